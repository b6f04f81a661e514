// v4 Welford: a warp, or a fraction of one, a row up to 1,024 columns, the row in registers;
// above that a block a row staged in shared memory, its size chosen by occupancy.
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
shared = 0 if IN_WARP else cols * itemsize
*/
#include "welford.cuh"

#if AFFINE
#define WEIGHTS const elem *gamma, const elem *beta,
#define PASS gamma, beta,
#else
#define WEIGHTS
#define PASS
#endif

__device__ __forceinline__ void finish(const Pack<VEC>& in, const Moments& m, WEIGHTS int column, elem* out) {
  const float scale = rsqrtf(m.m2 / m.count + EPS);
  Pack<VEC> v;
#if AFFINE
  const Pack<VEC> g = load<VEC>(gamma + column), b = load<VEC>(beta + column);
#endif
#pragma unroll
  for (int i = 0; i < VEC; ++i) {
    float f = (to_float(in.e[i]) - m.mean) * scale;
#if AFFINE
    f = f * to_float(g.e[i]) + to_float(b.e[i]);
#endif
    v.e[i] = from_float(f);
  }
  store<VEC>(out + column, v);
}

#if IN_WARP
extern "C" __global__ void __launch_bounds__(BLOCK)
    ENTRY(const elem* x, WEIGHTS int rows, int cols, elem* y) {
  const int lane = threadIdx.x % LANES;
  const i64 row = (i64)blockIdx.x * (BLOCK / LANES) + threadIdx.x / LANES;
  Pack<VEC> kept[CHUNKS];
  Moments m = {0, 0, 0};
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int pack = k * LANES + lane;
    if (row < rows && pack < PACKS) kept[k] = load<VEC>(x + row * cols + pack * VEC);
  }
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    if (row < rows && k * LANES + lane < PACKS) {
#pragma unroll
      for (int i = 0; i < VEC; ++i) m.add(to_float(kept[k].e[i]));
    }
  }
  merge_lanes<LANES>(m);
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int pack = k * LANES + lane;
    if (row < rows && pack < PACKS) finish(kept[k], m, PASS pack * VEC, y + row * cols);
  }
}
#else
extern "C" __global__ void __launch_bounds__(BLOCK)
    ENTRY(const elem* x, WEIGHTS int rows, int cols, elem* y) {
  extern __shared__ uint4 staged[];
  elem* kept = reinterpret_cast<elem*>(staged);
  __shared__ Moments of_warp[BLOCK / 32];
  const i64 row = (i64)blockIdx.x * cols;
  Moments m = {0, 0, 0};
  for (int pack = threadIdx.x; pack < PACKS; pack += BLOCK) {
    const Pack<VEC> v = load<VEC>(x + row + pack * VEC);
    store<VEC>(kept + pack * VEC, v);
#pragma unroll
    for (int i = 0; i < VEC; ++i) m.add(to_float(v.e[i]));
  }
  merge_lanes<32>(m);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = m;
  __syncthreads();
  m = threadIdx.x % 32 < BLOCK / 32 ? of_warp[threadIdx.x % 32] : Moments{0, 0, 0};
  merge_lanes<32>(m);
  for (int pack = threadIdx.x; pack < PACKS; pack += BLOCK)
    finish(load<VEC>(kept + pack * VEC), m, PASS pack * VEC, y + row);
}
#endif
