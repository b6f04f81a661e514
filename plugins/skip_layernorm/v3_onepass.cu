// v3 one pass: LayerNorm v3 with x + bias + residual formed in registers, E[x^2] - E[x]^2.
// A block a row, 16-byte copies, the sum never goes to memory unless it is kept.
// Source: NVIDIA/TensorRT skipLayerNormPlugin (the fusion); CCCL 3.0 block reduction.
/* launch
require(cols <= 16384, "at most 16,384 columns")
weak("shifted", "E[x^2] - E[x]^2 cancels: 1e8 carries an error of 8 in float32, the variance is 1")
weak("random", "E[x^2] - E[x]^2 cancels where two or three elements happen to lie close together", itemsize == 4 and 1 < cols and cols <= 3)
weak("special", "E[x^2] - E[x]^2 cancels where two or three elements happen to lie close together", itemsize == 4 and 1 < cols and cols <= 3)
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
    const elem* x, const elem* residual, const elem* bias, const elem* gamma, const elem* beta,
    int rows, int cols, elem* y
#if KEEP
    , elem* total
#endif
) {
  __shared__ Reduce::TempStorage storage;
  __shared__ Sums whole;
  const i64 row = (i64)blockIdx.x * cols;
  float kept[CHUNKS][VEC];
  Sums sums = {0, 0};
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int pack = k * BLOCK + threadIdx.x;
    if (pack < PACKS) {
      const Pack<VEC> a = load<VEC>(x + row + pack * VEC), c = load<VEC>(bias + pack * VEC);
      const Pack<VEC> b = load<VEC>(residual + row + pack * VEC);
      Pack<VEC> out;
#pragma unroll
      for (int i = 0; i < VEC; ++i) {
        const float v = to_float(a.e[i]) + to_float(c.e[i]) + to_float(b.e[i]);
        kept[k][i] = v;
        out.e[i] = from_float(v);
        sums.x += v;
        sums.xx += v * v;
      }
#if KEEP
      store<VEC>(total + row + pack * VEC, out);
#endif
    }
  }
  sums = Reduce(storage).Reduce(sums, Add());
  if (threadIdx.x == 0) whole = sums;
  __syncthreads();
  const float mean = whole.x / cols;
  const float scale = rsqrtf(whole.xx / cols - mean * mean + EPS);
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int pack = k * BLOCK + threadIdx.x;
    if (pack < PACKS) {
      const Pack<VEC> g = load<VEC>(gamma + pack * VEC), b = load<VEC>(beta + pack * VEC);
      Pack<VEC> out;
#pragma unroll
      for (int i = 0; i < VEC; ++i)
        out.e[i] = from_float((kept[k][i] - mean) * scale * to_float(g.e[i]) + to_float(b.e[i]));
      store<VEC>(y + row + pack * VEC, out);
    }
  }
}
