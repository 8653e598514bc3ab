"""Stores by the names that people give: opened, copied between, and written beside an image."""
