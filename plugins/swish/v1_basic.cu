// v1 basic: one element a thread, the formula as it is written.
// What a first plugin looks like.
// Source: P. Ramachandran et al. 2017, "Searching for activation functions".
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
  y[i] = from_float(v / (1 + expf(-v)));
}
