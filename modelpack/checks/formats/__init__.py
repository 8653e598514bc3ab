"""Formats that can carry code, found by what files contain."""
