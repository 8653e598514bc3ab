"""Files for the systems around an image: pipelines of CI, workloads and policies of clusters."""
