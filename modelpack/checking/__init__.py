"""The author's own checks (`[checks]`), run with what the image holds and nothing else."""
