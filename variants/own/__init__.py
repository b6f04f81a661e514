"""Anyone's ONNX file as a variant: read without trusting it, given inputs, compared with ONNX Runtime."""
