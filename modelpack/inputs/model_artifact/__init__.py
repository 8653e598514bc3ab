"""Model artifacts of anybody, CNCF ModelPack or KitOps: what they hold, hostile until parsed."""
