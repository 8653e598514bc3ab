"""One build: what it reads, how a plan becomes layers, and where the image goes."""
