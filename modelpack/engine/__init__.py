"""The one door to container engines: Docker and podman, through the Docker Engine API."""
