// v1 basic: a block a row, three passes over global memory (maximum, sum, quotient), one element a
// thread and access, tree reductions in shared memory.
// Source: the textbook form; M. Milakov, N. Gimelshein 2018, "safe softmax".
/* launch
require(cols <= 16384, "at most 16,384 columns")
BLOCK = 256
grid = batch * rows
block = BLOCK
*/
#include "common.cuh"

template <bool Max>
__device__ float tree(float v, float* slots) {
  const int t = threadIdx.x;
  slots[t] = v;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (t < half) slots[t] = Max ? fmaxf(slots[t], slots[t + half]) : slots[t] + slots[t + half];
    __syncthreads();
  }
  const float all = slots[0];
  __syncthreads();
  return all;
}

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x,
#if MASKED
    const elem* mask,
#endif
    int batch, int rows, int cols, elem* y) {
  __shared__ float slots[BLOCK];
  const i64 row = (i64)blockIdx.x * cols;
#if MASKED
  const elem* hide = mask + (i64)(blockIdx.x / rows) * cols;
#define SCORE(c) (to_float(x[row + (c)]) * SCALE + to_float(hide[c]))
#else
#define SCORE(c) (to_float(x[row + (c)]) * SCALE)
#endif
  float most = -kInf;
  for (int c = threadIdx.x; c < cols; c += BLOCK) most = fmaxf(most, SCORE(c));
  most = tree<true>(most, slots);
  float sum = 0;
  for (int c = threadIdx.x; c < cols; c += BLOCK) sum += expf(SCORE(c) - most);
  sum = tree<false>(sum, slots);
  for (int c = threadIdx.x; c < cols; c += BLOCK) y[row + c] = from_float(expf(SCORE(c) - most) / sum);
}
