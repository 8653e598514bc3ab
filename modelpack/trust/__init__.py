"""Statements about images, and what is needed to believe them."""
