"""Running an image: from what it says and what is asked for to a container, until it ends."""
