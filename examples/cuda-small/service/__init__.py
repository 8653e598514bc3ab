"""Points in a plane sorted into three spirals, by weights that have been in a GPU's memory."""

MODEL = "cuda-small"
VERSION = "1.0.0"
