"""Kernels in several versions side by side, and their TensorRT wrappers."""
