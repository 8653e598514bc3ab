"""Programs that are copied into the image: the guard checks the weights, the probe asks for health.

Each file stands alone: standard library only, nothing of modelpack, Python 3.9 or newer.
"""
