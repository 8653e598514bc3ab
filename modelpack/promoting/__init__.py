"""Stages of a repository: an image is promoted, and what no stage needs any more is removed."""
