"""The locked libraries read the model files, from versions alone."""
