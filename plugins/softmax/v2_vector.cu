// v2 vector: the row in registers as float32 powers of two, the widest access that its length
// allows, each warp about its own maximum, and warps meet once: x is read once, y written once.
// Source: own; merge of partial softmaxes after M. Milakov, N. Gimelshein 2018.
/* launch
require(cols <= 16384, "at most 16,384 columns")
VEC = vector(cols)
PACKS = cols // VEC
LANES = split(PACKS, 1) if PACKS <= 32 else split(PACKS, 3, 4, 2) if PACKS <= 64 else split(PACKS, 6, 4, 8) if VEC > 2 and PACKS <= 128 else 32 * max(1, PACKS // 106) if itemsize == 4 and VEC > 1 and cols <= 1024 else 32 if cols <= 1024 else min(1024, 32 * cdiv(PACKS, 32 * max(1, 16 // VEC)))
ROWS = 1
BLOCK = LANES * max(1, (256 if LANES == 32 else 128) // LANES)
GROUPS = BLOCK // LANES
grid = cdiv(batch * rows, GROUPS * ROWS)
block = BLOCK
pdl = True
*/
#include "common.cuh"

constexpr int CHUNKS = (PACKS + LANES - 1) / LANES;
constexpr int TEAM = LANES < 32 ? LANES : 32;
#define LOG2E 1.4426950409f

__device__ __forceinline__ float exp2_fast(float v) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}
__device__ __forceinline__ bool holds(int k, int lane) {
  return (k + 1) * LANES <= PACKS || k * LANES + lane < PACKS;
}

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x,
#if MASKED
    const elem* mask,
#endif
    int batch, int rows, int cols, elem* y) {
  const int lane = threadIdx.x % LANES, team = threadIdx.x / LANES;
  const i64 first = ((i64)blockIdx.x * GROUPS + team) * ROWS, all = (i64)batch * rows;
  const i64 start = first * (PACKS * VEC) + lane * VEC;
  Pack<VEC> kept[ROWS][CHUNKS];
  pdl_wait();
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < all && holds(k, lane))
        kept[r][k] = load_once<VEC>(x + start + (r * PACKS + k * LANES) * VEC);
  pdl_go();
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
#if MASKED
    const elem* hide = mask + (first + r < all ? (first + r) / rows : 0) * (PACKS * VEC) + lane * VEC;
#endif
    Floats<VEC> v[CHUNKS];
    float most = -kInf, sum = 0;
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (holds(k, lane)) {
#if MASKED
        const Floats<VEC> m = widen(load<VEC>(hide + k * LANES * VEC));
#endif
        v[k] = widen(kept[r][k]);
#pragma unroll
        for (int i = 0; i < VEC; ++i) {
          v[k].e[i] *= SCALE * LOG2E;
#if MASKED
          v[k].e[i] += m.e[i] * LOG2E;
#endif
          most = fmaxf(most, v[k].e[i]);
        }
      }
    most = lanes_max<TEAM>(most);
    const float base = most == -kInf ? 0 : most;
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (holds(k, lane))
#pragma unroll
        for (int i = 0; i < VEC; ++i) sum += v[k].e[i] = exp2_fast(v[k].e[i] - base);
    sum = lanes_sum<TEAM>(sum);
#if LANES <= 32
    const float factor = 1 / sum;
#else
    constexpr int WARPS = LANES / 32;
    __shared__ float2 part[GROUPS][WARPS];
    if (lane % 32 == 0) part[team][lane / 32] = make_float2(most, sum);
    __syncthreads();
    const float2 p = lane % 32 < WARPS ? part[team][lane % 32] : make_float2(-kInf, 0);
    const float top = lanes_max<32>(p.x), shift = top == -kInf ? 0 : top;
    const float whole = lanes_sum<32>(p.y * exp2_fast(p.x - shift));
    const float factor = exp2_fast(most - shift) / whole;
    if (r + 1 < ROWS) __syncthreads();
#endif
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < all && holds(k, lane)) {
#pragma unroll
        for (int i = 0; i < VEC; ++i) v[k].e[i] *= factor;
        store_once<VEC>(y + start + (r * PACKS + k * LANES) * VEC, narrow(v[k]));
      }
  }
}
