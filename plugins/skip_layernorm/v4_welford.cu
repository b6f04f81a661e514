// v4 Welford: LayerNorm v4 over x + bias + residual; a warp or a fraction of one a row up to 1,024
// columns, above that a block a row with the float32 sum staged in shared memory.
// Source: B. P. Welford 1962, T. F. Chan et al. 1979; layout after OneFlow's layer_norm.cuh.
/* launch
require(cols <= 16384, "at most 16,384 columns")
VEC = vector(cols)
PACKS = cols // VEC
IN_WARP = cols <= 1024
LANES = min(32, pow2(PACKS)) if IN_WARP else 32
CHUNKS = cdiv(PACKS, LANES) if IN_WARP else 1
BLOCK = 128 if IN_WARP else occupancy(128, 256, 512, 1024)
grid = cdiv(rows, BLOCK // LANES if IN_WARP else 1)
block = BLOCK
shared = 0 if IN_WARP else cols * 4
*/
#include "welford.cuh"

struct Args {
  const elem *x, *residual, *bias, *gamma, *beta;
  elem *y, *total;
};

__device__ __forceinline__ void read(const Args& a, i64 row, int column, float* sum, Moments& m) {
  const Pack<VEC> p = load<VEC>(a.x + row + column), q = load<VEC>(a.residual + row + column);
  const Pack<VEC> b = load<VEC>(a.bias + column);
  Pack<VEC> out;
#pragma unroll
  for (int i = 0; i < VEC; ++i) {
    sum[i] = to_float(p.e[i]) + to_float(b.e[i]) + to_float(q.e[i]);
    out.e[i] = from_float(sum[i]);
    m.add(sum[i]);
  }
#if KEEP
  store<VEC>(a.total + row + column, out);
#endif
}

__device__ __forceinline__ void write(const Args& a, i64 row, int column, const float* sum, const Moments& m) {
  const float scale = rsqrtf(m.m2 / m.count + EPS);
  const Pack<VEC> g = load<VEC>(a.gamma + column), b = load<VEC>(a.beta + column);
  Pack<VEC> out;
#pragma unroll
  for (int i = 0; i < VEC; ++i)
    out.e[i] = from_float((sum[i] - m.mean) * scale * to_float(g.e[i]) + to_float(b.e[i]));
  store<VEC>(a.y + row + column, out);
}

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x, const elem* residual, const elem* bias, const elem* gamma, const elem* beta,
    int rows, int cols, elem* y
#if KEEP
    , elem* total
#endif
) {
#if KEEP
  const Args args = {x, residual, bias, gamma, beta, y, total};
#else
  const Args args = {x, residual, bias, gamma, beta, y, nullptr};
#endif
  Moments m = {0, 0, 0};
#if IN_WARP
  const int lane = threadIdx.x % LANES;
  const i64 row = (i64)blockIdx.x * (BLOCK / LANES) + threadIdx.x / LANES;
  float kept[CHUNKS][VEC];
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k)
    if (row < rows && k * LANES + lane < PACKS) read(args, row * cols, (k * LANES + lane) * VEC, kept[k], m);
  merge_lanes<LANES>(m);
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k)
    if (row < rows && k * LANES + lane < PACKS) write(args, row * cols, (k * LANES + lane) * VEC, kept[k], m);
#else
  extern __shared__ float kept[];
  __shared__ Moments of_warp[BLOCK / 32];
  const i64 row = (i64)blockIdx.x * cols;
  for (int pack = threadIdx.x; pack < PACKS; pack += BLOCK) read(args, row, pack * VEC, kept + pack * VEC, m);
  merge_lanes<32>(m);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = m;
  __syncthreads();
  m = threadIdx.x % 32 < BLOCK / 32 ? of_warp[threadIdx.x % 32] : Moments{0, 0, 0};
  merge_lanes<32>(m);
  for (int pack = threadIdx.x; pack < PACKS; pack += BLOCK) write(args, row, pack * VEC, kept + pack * VEC, m);
#endif
}
