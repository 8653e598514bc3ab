"""What goes into an image, read at the door: packages, wheels, weights, code, git."""
