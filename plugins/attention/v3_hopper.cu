// v3 hopper: v2 with wgmma: a warpgroup multiplies 64 queries by a whole tile of keys, and the
// product with the values runs on while the next scores are computed.
// Source: own; J. Shah et al. 2024, "FlashAttention-3" (arXiv 2407.08608) for the instruction choice.
/* launch
require(dtype != "fp32", "tensor cores multiply fp16 and bf16; use v1_unfused for fp32")
require(width == 64, "the head size is 64")
require(batch * heads <= 65535, "a grid has at most 65,535 heads")
require(align >= 16, "tiles are copied in 16-byte pieces, so pointers must be multiples of 16")
require(arch == 90, "wgmma exists on sm_90 alone; use v2_fused")
feature = "a"
WARPS = 4
few = hint(cdiv(seq, 64) * batch * heads <= 2 * sms)   # too few warpgroups to fill the chip: two share a query
room = shared_limit >= 98304 + 8192 + 4 * seq    # TensorRT gives a plugin 48 KiB
half = 16 * cdiv(seq, 32)
long = 80 if cdiv(seq, 80) * 80 * 32 <= seq * 33 and not few else 64
KEYS = 64 if not room else (max(48, 16 * cdiv(seq, 16)) if seq <= 128 else (half if seq <= 256 else (96 if seq <= 384 else long)))
SPLIT = (3 if hint(cdiv(seq, 64) * batch * heads <= sms) and seq > 384 else 2) if room and few and seq > 128 else 1
tiles = cdiv(cdiv(seq, KEYS), SPLIT)
SLOTS = min(4, tiles + 1)                        # one tile: keys and values; two: the second values take the first keys' place
BLOCKS = max(1, (4 if KEYS <= 64 else (3 if KEYS <= 112 else 2)) // SPLIT)
shared = SPLIT * SLOTS * KEYS * 128 + 2048 * WARPS + (4 * KEYS * cdiv(seq, KEYS) if masked else 0)
grid = (cdiv(seq, 64), batch * heads)
block = 32 * WARPS * SPLIT
pdl = True
*/
#include "flash.cuh"
#include "wgmma.cuh"

// Low half of a shared-memory matrix descriptor; the high half is a constant of wgmma.cuh. The
// second stride, bits 16 to 29, is not read for tiles one swizzle wide.
__device__ __forceinline__ u32 tile(u32 address) { return 1 << 16 | (address & 0x3ffff) >> 4; }

struct Warpgroup {
  // The warpgroup's 64 queries stay in shared memory.
  struct Queries {
    u32 left;
    __device__ __forceinline__ Queries(u32 at) : left(tile(at - threadIdx.x / 32 % 4 * 16 * 128)) {}
  };
  static __device__ __forceinline__ void visible() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
  static __device__ __forceinline__ void start() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
  static __device__ __forceinline__ void finish(float (&s)[SCORES], float (&out)[32]) {
    asm volatile("wgmma.commit_group.sync.aligned;\n wgmma.wait_group.sync.aligned 0;" ::: "memory");
    // The results count as written here, so that no use of them moves above the wait.
#pragma unroll
    for (int j = 0; j < SCORES; ++j) asm volatile("" : "+f"(s[j])::"memory");
#pragma unroll
    for (int j = 0; j < 32; ++j) asm volatile("" : "+f"(out[j])::"memory");
  }
  static __device__ __forceinline__ void scores(float (&s)[SCORES], const Queries& q, u32 keys) {
    const u32 right = tile(keys);
    WGMMA_SCORES(s, q.left, right, 0);
#pragma unroll
    for (int c = 1; c < 4; ++c) WGMMA_SCORES(s, q.left + c * 2, right + c * 2, 1);
  }
  static __device__ __forceinline__ void values(float (&out)[32], const u32 (&p)[SCORES / 2], u32 values) {
    const u32 right = tile(values);
#pragma unroll
    for (int c = 0; c < KEYS / 16; ++c) WGMMA_VALUES(out, (p + 4 * c), right + c * 128, 1);
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    ENTRY(const elem* q, const elem* k, const elem* v,
#if MASKED
          const elem* mask,
#endif
          int batch, int heads, int seq, int width, elem* y) {
#if !MASKED
  const elem* mask = nullptr;
#endif
  attend<Warpgroup>(q, k, v, mask, batch, heads, seq, y);
}
