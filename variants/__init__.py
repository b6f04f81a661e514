"""Everything that turns a model into the ONNX graph that is measured."""
