// v2 CUB: a block a row, one element a thread, two block reductions by the library (mean, variance).
// Rows longer than a block are read again from cache by a loop.
// Source: NVIDIA/trt-samples-for-hackathon-cn, LayerNorm plugin with cub::BlockReduce; CCCL 3.0.
/* launch
require(cols <= 16384, "at most 16,384 columns")
BLOCK = min(1024, 32 * cdiv(cols, 32))
grid = rows
block = BLOCK
*/
#include "common.cuh"
#include <cub/block/block_reduce.cuh>

using Reduce = cub::BlockReduce<float, BLOCK>;

__device__ float block_sum(float v, Reduce::TempStorage& storage, float& shared) {
  const float sum = Reduce(storage).Sum(v);
  if (threadIdx.x == 0) shared = sum;
  __syncthreads();
  return shared;
}

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x,
#if AFFINE
    const elem* gamma, const elem* beta,
#endif
    int rows, int cols, elem* y) {
  __shared__ Reduce::TempStorage storage[2];
  __shared__ float total[2];
  const i64 row = (i64)blockIdx.x * cols;
  float sum = 0;
  for (int c = threadIdx.x; c < cols; c += BLOCK) sum += to_float(x[row + c]);
  const float mean = block_sum(sum, storage[0], total[0]) / cols;
  float squares = 0;
  for (int c = threadIdx.x; c < cols; c += BLOCK) {
    const float d = to_float(x[row + c]) - mean;
    squares += d * d;
  }
  const float scale = rsqrtf(block_sum(squares, storage[1], total[1]) / cols + EPS);
  for (int c = threadIdx.x; c < cols; c += BLOCK) {
    float v = (to_float(x[row + c]) - mean) * scale;
#if AFFINE
    v = v * to_float(gamma[c]) + to_float(beta[c]);
#endif
    y[row + c] = from_float(v);
  }
}
