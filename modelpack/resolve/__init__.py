"""Spec to Lock: every outside input is looked up once, checked, and recorded by digest."""
