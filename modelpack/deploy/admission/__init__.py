"""What a cluster must ask of images, in the words of the controllers that ask."""
