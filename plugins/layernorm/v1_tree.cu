// v1 tree: a block a row, two passes over global memory, tree reductions in shared memory.
// The textbook start: one element a thread and access, a barrier a level.
// Source: M. Harris, "Optimizing parallel reduction in CUDA" (NVIDIA, 2007), reduction 3.
/* launch
require(cols <= 16384, "at most 16,384 columns")
BLOCK = 256
grid = rows
block = BLOCK
*/
#include "common.cuh"

__device__ float tree_sum(float v, float* tree) {
  const int t = threadIdx.x;
  tree[t] = v;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (t < half) tree[t] += tree[t + half];
    __syncthreads();
  }
  const float sum = tree[0];
  __syncthreads();
  return sum;
}

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x,
#if AFFINE
    const elem* gamma, const elem* beta,
#endif
    int rows, int cols, elem* y) {
  __shared__ float tree[BLOCK];
  const i64 row = (i64)blockIdx.x * cols;
  float sum = 0;
  for (int c = threadIdx.x; c < cols; c += BLOCK) sum += to_float(x[row + c]);
  const float mean = tree_sum(sum, tree) / cols;
  float squares = 0;
  for (int c = threadIdx.x; c < cols; c += BLOCK) {
    const float d = to_float(x[row + c]) - mean;
    squares += d * d;
  }
  const float scale = rsqrtf(tree_sum(squares, tree) / cols + EPS);
  for (int c = threadIdx.x; c < cols; c += BLOCK) {
    float v = (to_float(x[row + c]) - mean) * scale;
#if AFFINE
    v = v * to_float(gamma[c]) + to_float(beta[c]);
#endif
    y[row + c] = from_float(v);
  }
}
