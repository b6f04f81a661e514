"""Networks built layer by layer through TensorRT's Python API, from a variant's own weights: one file a model."""
