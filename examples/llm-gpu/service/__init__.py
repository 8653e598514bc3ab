"""A language model over HTTP, on one GPU."""

MODEL = "llm-gpu"
VERSION = "1.0.0"
