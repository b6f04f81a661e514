"""ONNX Runtime on the GPU, replayed as one CUDA graph where ONNX Runtime captures the plan."""

from bench.backends._onnxruntime_cuda import OnnxRuntimeCuda

onnxruntime_cuda = OnnxRuntimeCuda(graph=True)
