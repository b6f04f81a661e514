"""What precisions are made of: 16-bit floats, Q/DQ and where it goes, calibration, weights in few bits, nodes kept out."""
