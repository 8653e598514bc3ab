"""Handwritten digits over HTTP: a small neural network in NumPy behind the standard library."""

MODEL = "digits"
VERSION = "1.0.0"
