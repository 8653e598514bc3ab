"""Reproducible packaging and supply-chain builds for machine-learning models.

A Spec resolves to a Lock; Spec, Lock and Source make a Plan of Steps; a Builder and the assembler
turn it into an Image; Stores hold images. `modelpack.pipeline` is the whole tool on one page.
"""

__version__ = "0.1.0"
