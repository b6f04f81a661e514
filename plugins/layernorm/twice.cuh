// A row read twice: nothing of it is kept in registers, so four blocks share a multiprocessor and some of
// them always load while others store. The first reading asks L1 and L2 to keep the row, the second lets
// it go. One row a block, CHUNKS packs a thread, none ragged (macros of the including version).
// Source: the hints are those that torch's compiler gives such a kernel.
#pragma once
#include "moments.cuh"

__device__ __forceinline__ Pack<VEC> read_and_keep(const elem* p) {
  Pack<VEC> v;
  u32* w = reinterpret_cast<u32*>(&v);
  asm volatile(
      "{.reg .b64 last; createpolicy.fractional.L2::evict_last.b64 last, 1.0;"
      " ld.global.L1::evict_last.L2::cache_hint.v4.u32 {%0,%1,%2,%3}, [%4], last;}"
      : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "l"(p));
  return v;
}

__device__ __forceinline__ Pack<VEC> read_and_drop(const elem* p) {
  Pack<VEC> v;
  u32* w = reinterpret_cast<u32*>(&v);
  asm volatile(
      "{.reg .b64 first; createpolicy.fractional.L2::evict_first.b64 first, 1.0;"
      " ld.global.L1::evict_first.L2::cache_hint.v4.u32 {%0,%1,%2,%3}, [%4], first;}"
      : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "l"(p));
  return v;
}

// Mean and, about it, the sum of squares of a thread's elements, pack by pack (T. F. Chan et al. 1979).
__device__ __forceinline__ float2 thread_moments(const Pack<VEC> (&in)[CHUNKS]) {
  float mean = 0, squares = 0;
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const Floats<VEC> f = widen(in[k]);
    float own = 0;
#pragma unroll
    for (int i = 0; i < VEC; ++i) own += f.e[i] * (1.0f / VEC);
#pragma unroll
    for (int i = 0; i < VEC; ++i) squares += (f.e[i] - own) * (f.e[i] - own);
    const float d = own - mean;
    mean += d * (1.0f / (k + 1));
    squares += d * d * (float(VEC) * k / (k + 1));
  }
  return make_float2(mean, squares);
}

// Moments of `count` elements a lane, over SPAN lanes.
template <int SPAN>
__device__ __forceinline__ float2 merged(float2 m, float count) {
  const float mean = lanes_sum<SPAN>(m.x) * (1.0f / SPAN), d = m.x - mean;
  return make_float2(mean, lanes_sum<SPAN>(m.y + d * d * count));
}

__device__ __forceinline__ void read_twice(const elem* x, const elem* gamma, const elem* beta, int rows, elem* y) {
  if (blockIdx.x >= rows) return;
  constexpr int WARPS = LANES / 32;
  const int lane = threadIdx.x;
  const i64 start = (i64)blockIdx.x * (PACKS * VEC) + lane * VEC;
  __shared__ float2 part[WARPS];
  Pack<VEC> in[CHUNKS];
  pdl_wait();
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) in[k] = read_and_keep(x + start + k * LANES * VEC);
  const float2 own = merged<32>(thread_moments(in), CHUNKS * VEC);
  pdl_go();
  if (lane % 32 == 0) part[lane / 32] = own;
  __syncthreads();
  const float2 all = merged<WARPS>(part[lane % WARPS], CHUNKS * VEC * 32);
  const float factor = rsqrtf(all.y * (1.0f / (PACKS * VEC)) + EPS);
#pragma unroll 1
  for (int k = 0; k < CHUNKS; ++k) {
    Floats<VEC> f = widen(read_and_drop(x + start + k * LANES * VEC));
#if AFFINE
    const Floats<VEC> scale = widen(load<VEC>(gamma + (k * LANES + lane) * VEC));
    const Floats<VEC> offset = widen(load<VEC>(beta + (k * LANES + lane) * VEC));
#endif
#pragma unroll
    for (int i = 0; i < VEC; ++i) {
      f.e[i] = (f.e[i] - all.x) * factor;
#if AFFINE
      f.e[i] = f.e[i] * scale.e[i] + offset.e[i];
#endif
    }
    store_once<VEC>(y + start + k * LANES * VEC, narrow(f));
  }
}
