"""A base that is an image in a registry: looked up once, looked into, and never rewritten."""
