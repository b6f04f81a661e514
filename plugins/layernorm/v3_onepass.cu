// v3 one pass: CUB reduces (sum x, sum x^2) together, variance = E[x^2] - E[x]^2, 16-byte copies.
// A block a row, the row stays in registers: x is read once and y written once.
// Source: NVIDIA/trt-samples-for-hackathon-cn, LayerNorm plugin with vector copies; CCCL 3.0.
/* launch
require(cols <= 16384, "at most 16,384 columns")
weak("shifted", "E[x^2] - E[x]^2 cancels: 1e8 carries an error of 8 in float32, the variance is 1", dtype != "bf16")
weak("random", "E[x^2] - E[x]^2 cancels where two or three elements happen to lie close together", itemsize == 4 and 1 < cols and cols <= 3)
weak("special", "E[x^2] - E[x]^2 cancels where two or three elements happen to lie close together", itemsize == 4 and 1 < cols and cols <= 3)
weak("constant", "a variance that should be 0 comes out negative: the root is NaN", dtype != "bf16")
VEC = vector(cols)
PACKS = cols // VEC
BLOCK = min(1024, max(32, 32 * cdiv(PACKS, 32)))
CHUNKS = cdiv(PACKS, BLOCK)
grid = rows
block = BLOCK
*/
#include "common.cuh"
#include <cub/block/block_reduce.cuh>

struct Sums { float x, xx; };
struct Add {
  __device__ Sums operator()(const Sums& a, const Sums& b) const { return {a.x + b.x, a.xx + b.xx}; }
};
using Reduce = cub::BlockReduce<Sums, BLOCK>;

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x,
#if AFFINE
    const elem* gamma, const elem* beta,
#endif
    int rows, int cols, elem* y) {
  __shared__ Reduce::TempStorage storage;
  __shared__ Sums total;
  const i64 row = (i64)blockIdx.x * cols;
  Pack<VEC> kept[CHUNKS];
  Sums sums = {0, 0};
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int pack = k * BLOCK + threadIdx.x;
    if (pack < PACKS) {
      kept[k] = load<VEC>(x + row + pack * VEC);
#pragma unroll
      for (int i = 0; i < VEC; ++i) {
        const float v = to_float(kept[k].e[i]);
        sums.x += v;
        sums.xx += v * v;
      }
    }
  }
  sums = Reduce(storage).Reduce(sums, Add());
  if (threadIdx.x == 0) total = sums;
  __syncthreads();
  const float mean = total.x / cols;
  const float scale = rsqrtf(total.xx / cols - mean * mean + EPS);
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int pack = k * BLOCK + threadIdx.x;
    if (pack < PACKS) {
#if AFFINE
      const Pack<VEC> g = load<VEC>(gamma + pack * VEC), b = load<VEC>(beta + pack * VEC);
#endif
      Pack<VEC> out;
#pragma unroll
      for (int i = 0; i < VEC; ++i) {
        float v = (to_float(kept[k].e[i]) - mean) * scale;
#if AFFINE
        v = v * to_float(g.e[i]) + to_float(b.e[i]);
#endif
        out.e[i] = from_float(v);
      }
      store<VEC>(y + row + pack * VEC, out);
    }
  }
}
