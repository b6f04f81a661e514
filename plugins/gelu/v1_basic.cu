// v1 basic: one element a thread, the formula as it is written.
// What a first plugin looks like.
// Source: NVIDIA/TensorRT geluPlugin (tanh form); D. Hendrycks, K. Gimpel 2016.
/* launch
BLOCK = 256
grid = cdiv(count, BLOCK)
block = BLOCK
*/
#include "common.cuh"

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(const elem* x, int count, elem* y) {
  const i64 i = (i64)blockIdx.x * BLOCK + threadIdx.x;
  if (i >= count) return;
  const float v = to_float(x[i]);
#if defined(FORM_TANH)
  y[i] = from_float(0.5f * v * (1 + tanhf(0.7978845608f * (v + 0.044715f * v * v * v))));
#else
  y[i] = from_float(0.5f * v * (1 + erff(v * 0.7071067812f)));
#endif
}
