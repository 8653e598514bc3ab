"""Images in registries: OCI distribution 1.1 over http(s), with the credentials of this machine."""
