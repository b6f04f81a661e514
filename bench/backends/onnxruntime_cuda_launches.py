"""ONNX Runtime on the GPU, every kernel launched by the host: what its CUDA graph is held against."""

from bench.backends._onnxruntime_cuda import OnnxRuntimeCuda

onnxruntime_cuda_launches = OnnxRuntimeCuda(graph=False)
