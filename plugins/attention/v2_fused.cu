// v2 fused: one kernel, the scores live in registers; mma.sync tensor cores, a warp holds 16
// queries, running softmax, keys and values through a ring of tiles filled by cp.async.
// Source: T. Dao 2023, "FlashAttention-2" (arXiv 2307.08691); own code.
/* launch
require(dtype != "fp32", "tensor cores multiply fp16 and bf16; use v1_unfused for fp32")
require(width == 64, "the head size is 64")
require(batch * heads <= 65535, "a grid has at most 65,535 heads")
require(align >= 16, "tiles are copied in 16-byte pieces, so pointers must be multiples of 16")
KEYS = 64
few = hint(cdiv(seq, 64) * batch * heads <= sms) and shared_limit >= 73728 + 4 * seq
WARPS = 2 if few else 4
tiles = max(1, cdiv(seq, KEYS))
SPLIT = min(4 if seq <= 256 else 2, tiles) if few else 1   # teams that share the keys of a query; none is idle
SLOTS = min(4, cdiv(tiles, SPLIT) + 1)
BLOCKS = 3 if SPLIT == 1 else 1
shared = SPLIT * SLOTS * KEYS * 128 + 2048 * WARPS + (4 * KEYS * cdiv(seq, KEYS) if masked else 0)
grid = (cdiv(seq, 16 * WARPS), batch * heads)
block = 32 * WARPS * SPLIT
pdl = True
*/
#include "flash.cuh"

#if defined(DTYPE_BF16)
#define KIND "f32.bf16.bf16.f32"
#else
#define KIND "f32.f16.f16.f32"
#endif

__device__ __forceinline__ void mma(float* d, const u32* a, u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col." KIND " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void matrices(u32 (&r)[4], u32 at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
}

struct Sync {
  // The warp's 16 queries as left operands.
  struct Queries {
    u32 part[4][4];
    __device__ __forceinline__ Queries(u32 at) {
      const int matrix = threadIdx.x % 32 / 8, line = threadIdx.x % 8;
#pragma unroll
      for (int c = 0; c < 4; ++c) matrices(part[c], at + swizzled(matrix % 2 * 8 + line, 2 * c + matrix / 2));
    }
  };
  static __device__ __forceinline__ void visible() {}
  static __device__ __forceinline__ void start() {}
  static __device__ __forceinline__ void finish(float (&)[SCORES], float (&)[32]) {}
  static __device__ __forceinline__ void scores(float (&s)[SCORES], const Queries& q, u32 keys) {
    const int matrix = threadIdx.x % 32 / 8, line = threadIdx.x % 8;
#pragma unroll
    for (int j = 0; j < SCORES; ++j) s[j] = 0;
#pragma unroll
    for (int c = 0; c < 4; ++c)
#pragma unroll
      for (int n = 0; n < KEYS / 16; ++n) {
        const int row = n * 16 + matrix / 2 * 8 + line;
        u32 b[4];
        matrices(b, keys + swizzled(row, 2 * c + matrix % 2));
        mma(s + 8 * n, q.part[c], b[0], b[1]);
        mma(s + 8 * n + 4, q.part[c], b[2], b[3]);
      }
  }
  static __device__ __forceinline__ void values(float (&out)[32], const u32 (&p)[SCORES / 2], u32 values) {
    const int matrix = threadIdx.x % 32 / 8, line = threadIdx.x % 8;
#pragma unroll
    for (int c = 0; c < KEYS / 16; ++c)
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        const int row = c * 16 + matrix % 2 * 8 + line;
        u32 b[4];
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
                     : "r"(values + swizzled(row, 2 * n + matrix / 2)));
        mma(out + 8 * n, p + 4 * c, b[0], b[1]);
        mma(out + 8 * n + 4, p + 4 * c, b[2], b[3]);
      }
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) ENTRY(const elem* q, const elem* k, const elem* v,
#if MASKED
                                                                const elem* mask,
#endif
                                                                int batch, int heads, int seq, int width, elem* y) {
#if !MASKED
  const elem* mask = nullptr;
#endif
  attend<Sync>(q, k, v, mask, batch, heads, seq, y);
}
