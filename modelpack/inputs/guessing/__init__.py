"""What a folder seems to hold: guesses for a first `modelpack.toml`, each with its reason."""
