"""No secret gets into an image."""
