"""Every kernel version as a TensorRT quick plugin whose engine runs without Python."""
