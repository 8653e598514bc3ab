"""An image as other tools want to see it: new manifests over its blobs; it stays as it is."""
