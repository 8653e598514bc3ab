"""Every shared library that an image needs is in it, and made for its machine."""
