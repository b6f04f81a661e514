// y[i] = f(x[i]) with 16-byte accesses, UNROLL of them in flight a thread, and a scalar tail.
#pragma once
#include "common.cuh"

// 1 / v and 2^v by the special function unit: relative errors of 1 and 2 units in 2^-22.
__device__ __forceinline__ float fast_rcp(float v) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}
__device__ __forceinline__ float fast_exp2(float v) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}

template <typename F>
__device__ __forceinline__ void map_packs(const elem* x, int count, elem* y, F f) {
  const int packs = count / VEC;
  const i64 first = (i64)blockIdx.x * (BLOCK * UNROLL) + threadIdx.x;
  Pack<VEC> kept[UNROLL];
#pragma unroll
  for (int u = 0; u < UNROLL; ++u)
    if (first + u * BLOCK < packs) kept[u] = load_once<VEC>(x + (first + u * BLOCK) * VEC);
#pragma unroll
  for (int u = 0; u < UNROLL; ++u)
    if (first + u * BLOCK < packs) {
      Floats<VEC> v = widen(kept[u]);
#pragma unroll
      for (int i = 0; i < VEC; ++i) v.e[i] = f(v.e[i]);
      store_once<VEC>(y + (first + u * BLOCK) * VEC, narrow(v));
    }
  const i64 tail = (i64)packs * VEC + threadIdx.x;
  if (blockIdx.x == 0 && tail < count) y[tail] = from_float(f(to_float(x[tail])));
}
