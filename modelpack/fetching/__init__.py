"""Weights from where they live: a hub, a bucket, a web server, an image; see `fetching.place`."""
