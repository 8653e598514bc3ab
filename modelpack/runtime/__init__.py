"""Programs that are copied into the image: the guard checks the weights, the probe asks for health.

The third, `environment.py`, is copied where Docker builds and does not end in the image. Each file
stands alone: standard library only, nothing of modelpack, Python 3.9 or newer.
"""
