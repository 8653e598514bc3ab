"""Gates: inputs in, Findings out."""
