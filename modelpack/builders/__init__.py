"""Makers of base and dependency layers."""
