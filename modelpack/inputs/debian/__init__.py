"""A base from Debian packages: signed indexes, `.deb` files, one merged tree."""
