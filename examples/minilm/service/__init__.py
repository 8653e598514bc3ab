"""Sentence embeddings over HTTP: all-MiniLM-L6-v2, its forward pass written in NumPy."""

MODEL = "minilm"
VERSION = "1.0.0"
