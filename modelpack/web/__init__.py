"""The door to http(s): one client for mirrors and registries; package indexes have pip."""
