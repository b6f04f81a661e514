// Element types, vector accesses and reductions shared by the versions. No include: it compiles
// in milliseconds, and needs no CUDA header beside NVRTC.
#pragma once

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#if defined(DTYPE_FP32)
typedef float elem;
#else
struct __align__(2) elem { u16 bits; };
#endif

__device__ __forceinline__ float to_float(elem v) {
#if defined(DTYPE_FP32)
  return v;
#elif defined(DTYPE_BF16)
  return __uint_as_float((u32)v.bits << 16);
#else
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v.bits));
  return f;
#endif
}

__device__ __forceinline__ elem from_float(float f) {
#if defined(DTYPE_FP32)
  return f;
#elif defined(DTYPE_BF16)
  elem v;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(v.bits) : "f"(f));
  return v;
#else
  elem v;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(v.bits) : "f"(f));
  return v;
#endif
}

// N elements that move as one access of N * sizeof(elem) bytes (16 at most).
template <int N>
struct __align__(N * sizeof(elem)) Pack {
  elem e[N];
};

template <int N>
__device__ __forceinline__ Pack<N> load(const elem* p) {
  return *reinterpret_cast<const Pack<N>*>(p);
}

template <int N>
__device__ __forceinline__ void store(elem* p, const Pack<N>& v) {
  *reinterpret_cast<Pack<N>*>(p) = v;
}

// Sum over aligned groups of LANES (a power of two up to 32) neighbouring lanes.
template <int LANES>
__device__ __forceinline__ float lanes_sum(float v) {
#pragma unroll
  for (int d = LANES / 2; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
  return v;
}

template <int LANES>
__device__ __forceinline__ float lanes_max(float v) {
#pragma unroll
  for (int d = LANES / 2; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
  return v;
}

// Programmatic dependent launch: `pdl_wait` before the first read of what an earlier kernel
// wrote, `pdl_go` once the next kernel may start. Without the launch attribute both do nothing.
__device__ __forceinline__ void pdl_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ void pdl_go() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
