"""Model files are whole by their headers."""
