"""Files for the systems around an image, rendered from templates: pipelines of CI."""
