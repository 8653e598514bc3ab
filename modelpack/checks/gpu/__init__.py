"""Wheels, driver and GPUs fit, and the weights fit the memory."""
