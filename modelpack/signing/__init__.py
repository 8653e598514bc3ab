"""Signatures on images: what is signed, what is signed already, and where the bundles go."""
