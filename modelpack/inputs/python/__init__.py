"""Dependencies: requirements, package indexes, wheels and bytecode for the image's Python."""
