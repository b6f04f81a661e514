// Element types, vector accesses and reductions shared by the versions. No include: it compiles
// in milliseconds, and needs no CUDA header beside NVRTC.
#pragma once

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define kInf __int_as_float(0x7f800000)

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

// Count elements that move as one access of Count * sizeof(elem) bytes (16 at most).
template <int Count>
struct __align__(Count * sizeof(elem)) Pack {
  elem e[Count];
};

template <int Count>
__device__ __forceinline__ Pack<Count> load(const elem* p) {
  return *reinterpret_cast<const Pack<Count>*>(p);
}

template <int Count>
__device__ __forceinline__ void store(elem* p, const Pack<Count>& v) {
  *reinterpret_cast<Pack<Count>*>(p) = v;
}

// A pack in float32 and back; two 16-bit elements share a register and one conversion.
template <int Count>
struct Floats {
  float e[Count];
};

template <int Count>
__device__ __forceinline__ Floats<Count> widen(const Pack<Count>& v) {
  Floats<Count> f;
#if !defined(DTYPE_FP32)
  if constexpr (Count % 2 == 0) {
    const u32* w = reinterpret_cast<const u32*>(&v);
#pragma unroll
    for (int i = 0; i < Count / 2; ++i) {
#if defined(DTYPE_BF16)
      f.e[2 * i] = __uint_as_float(w[i] << 16);
      f.e[2 * i + 1] = __uint_as_float(w[i] & 0xffff0000u);
#else
      asm("{.reg .f16 a, b; mov.b32 {a, b}, %2; cvt.f32.f16 %0, a; cvt.f32.f16 %1, b;}"
          : "=f"(f.e[2 * i]), "=f"(f.e[2 * i + 1]) : "r"(w[i]));
#endif
    }
    return f;
  }
#endif
#pragma unroll
  for (int i = 0; i < Count; ++i) f.e[i] = to_float(v.e[i]);
  return f;
}

template <int Count>
__device__ __forceinline__ Pack<Count> narrow(const Floats<Count>& f) {
  Pack<Count> v;
#if !defined(DTYPE_FP32)
  if constexpr (Count % 2 == 0) {
    u32* w = reinterpret_cast<u32*>(&v);
#pragma unroll
    for (int i = 0; i < Count / 2; ++i)
#if defined(DTYPE_BF16)
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(w[i]) : "f"(f.e[2 * i + 1]), "f"(f.e[2 * i]));
#else
      asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(w[i]) : "f"(f.e[2 * i + 1]), "f"(f.e[2 * i]));
#endif
    return v;
  }
#endif
#pragma unroll
  for (int i = 0; i < Count; ++i) v.e[i] = from_float(f.e[i]);
  return v;
}

// Sum over aligned groups of Lanes (a power of two up to 32) neighbouring lanes.
template <int Lanes>
__device__ __forceinline__ float lanes_sum(float v) {
#pragma unroll
  for (int d = Lanes / 2; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
  return v;
}

template <int Lanes>
__device__ __forceinline__ float lanes_max(float v) {
#pragma unroll
  for (int d = Lanes / 2; d > 0; d /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
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

// Hints for what is read once or written once. Small tensors: past L1, which keeps the stores from taking
// L1 away from the loads (3 to 9 % on an H200). Large ones, where DRAM is the limit: none; there
// the hints cost 1 to 4 %, and L2 eviction policies more. A version sets LARGE in its launch block.
#if !defined(LARGE) || !LARGE
#define PAST_L1 ".L1::no_allocate"
#else
#define PAST_L1 ""
#endif

// 16, 8, 4 or 2 bytes. Not the non-coherent path, which does not promise to see what a kernel that is
// still finishing (programmatic launch) writes.
template <int Count>
__device__ __forceinline__ Pack<Count> load_once(const elem* p) {
  Pack<Count> v;
  if constexpr (sizeof(v) == 16) {
    u32* w = reinterpret_cast<u32*>(&v);
    asm volatile("ld.global" PAST_L1 ".v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "l"(p));
  } else if constexpr (sizeof(v) == 8) {
    u32* w = reinterpret_cast<u32*>(&v);
    asm volatile("ld.global" PAST_L1 ".v2.u32 {%0,%1}, [%2];" : "=r"(w[0]), "=r"(w[1]) : "l"(p));
  } else {
    v = load<Count>(p);
  }
  return v;
}

template <int Count>
__device__ __forceinline__ void store_once(elem* p, const Pack<Count>& v) {
  if constexpr (sizeof(v) == 16) {
    const u32* w = reinterpret_cast<const u32*>(&v);
    asm volatile("st.global" PAST_L1 ".v4.u32 [%0], {%1,%2,%3,%4};"
                 ::"l"(p), "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]) : "memory");
  } else if constexpr (sizeof(v) == 8) {
    const u32* w = reinterpret_cast<const u32*>(&v);
    asm volatile("st.global" PAST_L1 ".v2.u32 [%0], {%1,%2};" ::"l"(p), "r"(w[0]), "r"(w[1]) : "memory");
  } else {
    store<Count>(p, v);
  }
}
