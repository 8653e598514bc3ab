"""What an image claims to be and where it came from: read from its documents, never proved."""
