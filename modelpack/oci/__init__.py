"""Images as the Open Container Initiative writes them: tars, layers, images and their stores."""
