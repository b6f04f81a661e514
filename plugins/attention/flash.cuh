// Attention that keeps its scores in registers: the loop, the running softmax and the loads that
// the fused versions share. A version brings `Product`, the two tensor-core products.
//
// A block is SPLIT teams of WARPS warps. Every team owns the same 16 * WARPS queries and every
// SPLIT-th tile of KEYS keys; teams meet once, at the end. A warp holds 16 queries: a thread has
// rows lane / 4 and lane / 4 + 8 and, of each 8 columns, the two at lane % 4 * 2.
// Keys and values go through a ring of SLOTS tiles of KEYS x 128 bytes, the 16-byte pieces of a
// row exchanged by exclusive or with the row, which is also the 128-byte swizzle of wgmma.
#pragma once
#include "common.cuh"

#define LOG2E 1.4426950408889634f
constexpr int TEAM = 32 * WARPS, TILE_BYTES = KEYS * 128, SCORES = KEYS / 2;
constexpr int QUERIES = 16 * WARPS, THREADS = TEAM * SPLIT;
constexpr int STAGES = SLOTS / 2 < 2 ? 2 : SLOTS / 2;  // tiles in flight, the one in use included

__device__ __forceinline__ float power(float v) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}

__device__ __forceinline__ u32 pair(float low, float high) {
  u32 r;
#if defined(DTYPE_BF16)
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
#else
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
#endif
  return r;
}

__device__ __forceinline__ u32 swizzled(int row, int piece) { return row * 128 + ((piece ^ (row & 7)) << 4); }

// Where a team's next tile of keys, or of values, comes from and goes to: both move by constants.
struct Tiles {
  const elem* from;   // this thread's 16 bytes of the tile's first row that it copies
  int left;           // rows from the tile's first to the end of the sequence
  u32 slot;           // offset of the tile in the ring

  __device__ __forceinline__ void advance() {
    from += SPLIT * KEYS * 64;
    left -= SPLIT * KEYS;
    next(slot);
  }
  // Keys and values take turns, so each moves on by two slots.
  static __device__ __forceinline__ void next(u32& slot) {
    slot += 2 * TILE_BYTES;
    if (slot >= SLOTS * TILE_BYTES) slot -= SLOTS * TILE_BYTES;
  }
};

// One tile on its way to shared memory; rows past the end become zeros. A thread copies the same
// 16-byte column of every RISE-th row, so that its addresses differ by constants.
constexpr int RISE = TEAM / 8;
__device__ __forceinline__ void fetch(u32 target, u32 flip, const Tiles& t, int line) {
#pragma unroll
  for (int row = 0; row < KEYS; row += RISE) {
    if (KEYS % RISE && row + line >= KEYS) break;
    // Fewer than eight rows at a time: every other step meets the other half of the exchange.
    const u32 to = (RISE % 8 && row / RISE % 2 ? flip : target) + t.slot + row * 128;
    // With 0 bytes to read the address is not looked at.
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(t.from + row * 64),
                 "r"(row + line < t.left ? 16 : 0));
  }
}

__device__ __forceinline__ void meet(int team) {
  if (SPLIT == 1)
    __syncthreads();
  else
    asm volatile("bar.sync %0, %1;" ::"r"(team + 1), "n"(TEAM) : "memory");
}

// Running softmax of two rows. `far` says for the whole warp that a maximum is so large that the
// product with SCALE * LOG2E, rounded, is off by more than the exponent may be.
struct Rows {
  float most[2], sum[2];
  bool far;
};

// scores -> probabilities as operand pairs; `out` is rescaled to the new maximum.
__device__ __forceinline__ void soften(float (&s)[SCORES], u32 (&p)[SCORES / 2], float (&out)[32], Rows& rows,
                                       const float* hide, int left) {
  const int column = threadIdx.x % 4 * 2;
#if MASKED
#pragma unroll
  for (int j = 0; j < KEYS / 8; ++j) {
    const float2 h = *reinterpret_cast<const float2*>(hide + j * 8 + column);
#pragma unroll
    for (int r = 0; r < 4; ++r) s[4 * j + r] = fmaf(s[4 * j + r], SCALE * LOG2E, r & 1 ? h.y : h.x);
  }
  constexpr float unit = 1;
#else
  if (left < KEYS)
#pragma unroll
    for (int j = 0; j < SCORES; ++j)
      if (j / 4 * 8 + column + (j & 1) >= left) s[j] = -kInf;
  constexpr float unit = SCALE * LOG2E;
#endif
  float most[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    most[r] = fmaxf(s[2 * r], s[2 * r + 1]);
#pragma unroll
    for (int j = 4; j < SCORES; j += 4) most[r] = fmaxf(most[r], fmaxf(s[j + 2 * r], s[j + 2 * r + 1]));
    most[r] = fmaxf(rows.most[r], lanes_max<4>(most[r]));
  }
  // A maximum that grew by less than 2^SLACK is not worth rescaling for: the quotient cancels any
  // common factor, and 2^8 times a probability still fits fp16. (J. Shah et al., FlashAttention-4.)
  constexpr float SLACK = 8;
  const bool grew = (most[0] - rows.most[0]) * unit > SLACK || (most[1] - rows.most[1]) * unit > SLACK;
  if (__any_sync(0xffffffffu, grew)) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float shrink = power((rows.most[r] - (most[r] == -kInf ? 0 : most[r])) * unit);
      rows.sum[r] *= shrink;
      rows.most[r] = most[r];
#pragma unroll
      for (int j = 0; j < 32; j += 4) out[j + 2 * r] *= shrink, out[j + 2 * r + 1] *= shrink;
    }
    rows.far = !MASKED && __any_sync(0xffffffffu, fmaxf(fabsf(most[0]), fabsf(most[1])) * unit > 65536);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float base = rows.most[r] == -kInf ? 0 : rows.most[r];
    if (rows.far) {
#pragma unroll
      for (int j = 0; j < SCORES; j += 4) s[j + 2 * r] -= base, s[j + 2 * r + 1] -= base;
      base = 0;
    }
    base *= unit;
    float sum = 0, odd = 0;
#pragma unroll
    for (int j = 0; j < SCORES; j += 4) {
      const float a = power(fmaf(s[j + 2 * r], unit, -base)), b = power(fmaf(s[j + 2 * r + 1], unit, -base));
      sum += a, odd += b;
      p[j / 2 + r] = pair(a, b);
    }
    rows.sum[r] += sum + odd;
  }
}

// Four lanes hold two of each eight columns; afterwards each holds eight of its own and stores 16 bytes.
__device__ __forceinline__ void put(elem* row, const float (&out)[32], int r, float factor) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    u32 w[4];
#pragma unroll
    for (int b = 0; b < 4; ++b) {
      const int j = (half * 4 + b) * 4 + 2 * r;
      w[b] = pair(out[j] * factor, out[j + 1] * factor);
    }
#pragma unroll
    for (int bit = 1; bit < 4; bit *= 2)
#pragma unroll
      for (int b = 0; b < 4; ++b)
        if (!(b & bit)) {
          const bool upper = lane & bit;
          const u32 got = __shfl_xor_sync(0xffffffffu, upper ? w[b] : w[b | bit], bit);
          if (upper) w[b] = got; else w[b | bit] = got;
        }
    if (row) *reinterpret_cast<uint4*>(row + (half * 4 + lane) * 8) = make_uint4(w[0], w[1], w[2], w[3]);
  }
}

// Teams 1.. hand their part to team 0 through shared memory.
__device__ __forceinline__ void merge(float* shared, float (&out)[32], Rows& rows, int team, int thread) {
  __syncthreads();
  if (team > 0) {
    float* mine = shared + (team - 1) * 36 * TEAM + thread;
#pragma unroll
    for (int j = 0; j < 32; ++j) mine[j * TEAM] = out[j];
#pragma unroll
    for (int r = 0; r < 2; ++r) mine[(32 + r) * TEAM] = rows.most[r], mine[(34 + r) * TEAM] = rows.sum[r];
  }
  __syncthreads();
  if (team > 0) return;
#if MASKED
  constexpr float unit = 1;
#else
  constexpr float unit = SCALE * LOG2E;
#endif
  for (int other = 0; other < SPLIT - 1; ++other) {
    const float* theirs = shared + other * 36 * TEAM + thread;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float m = theirs[(32 + r) * TEAM], most = fmaxf(rows.most[r], m);
      const float base = most == -kInf ? 0 : most;
      const float a = power((rows.most[r] - base) * unit), b = power((m - base) * unit);
      rows.most[r] = most;
      rows.sum[r] = rows.sum[r] * a + theirs[(34 + r) * TEAM] * b;
#pragma unroll
      for (int j = 2 * r; j < 32; j += 4) {
        out[j] = out[j] * a + theirs[j * TEAM] * b;
        out[j + 1] = out[j + 1] * a + theirs[(j + 1) * TEAM] * b;
      }
    }
  }
}

template <class Product>
__device__ __forceinline__ void attend(const elem* q, const elem* k, const elem* v, const elem* mask, int batch,
                                       int heads, int seq, elem* y) {
  if (blockIdx.y >= batch * heads) return;
  extern __shared__ __align__(1024) unsigned char shared[];
  const int team = threadIdx.x / TEAM, thread = threadIdx.x % TEAM, lane = threadIdx.x % 32;
  const i64 start = (i64)blockIdx.y * seq * 64;
  const int row = (blockIdx.x * WARPS + thread / 32) * 16 + lane / 4;
  const u32 ring = (u32)__cvta_generic_to_shared(shared) + team * SLOTS * TILE_BYTES;
  const u32 queries = (u32)__cvta_generic_to_shared(shared) + SPLIT * SLOTS * TILE_BYTES;
  float* hide = reinterpret_cast<float*>(shared + SPLIT * SLOTS * TILE_BYTES + QUERIES * 128);
  const i64 own = start + (team * KEYS + thread / 8) * 64 + thread % 8 * 8;
  Tiles keys = {k + own, seq - team * KEYS, 0}, values = {v + own, seq - team * KEYS, TILE_BYTES};
  u32 target = ring + swizzled(thread / 8, thread % 8), flip = ring + swizzled(thread / 8 + RISE, thread % 8) - RISE * 128;
  int line = thread / 8;
  // Opaque, so that the compiler keeps them instead of working them out again at every tile.
  asm volatile("" : "+r"(target), "+r"(flip), "+r"(line));
  pdl_go();
  pdl_wait();
#pragma unroll
  for (int c = threadIdx.x; c < QUERIES * 8; c += THREADS) {
    const int own = blockIdx.x * QUERIES + c / 8, bytes = own < seq ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(queries + swizzled(c / 8, c % 8)),
                 "l"(q + start + (i64)(own < seq ? own : 0) * 64 + c % 8 * 8), "r"(bytes));
  }
  // Group 0 is the queries and the first keys, group i values i - 1 and keys i: what is read between two barriers.
  auto group = [&](bool first) {
    if (!first && values.left > 0) fetch(target, flip, values, line), values.advance();
    if (keys.left > 0) fetch(target, flip, keys, line), keys.advance();
    asm volatile("cp.async.commit_group;");
  };
#pragma unroll
  for (int i = 0; i < STAGES; ++i) group(i == 0);
#if MASKED
  for (int i = threadIdx.x; i < (seq + KEYS - 1) / KEYS * KEYS; i += THREADS)
    hide[i] = i < seq ? to_float(mask[(i64)(blockIdx.y / heads) * seq + i]) * LOG2E : -kInf;
#endif
  auto ready = [&] {
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
    Product::visible();
    meet(team);
    group(false);
  };
  float s[SCORES], out[32];
  u32 p[SCORES / 2], key_slot = 0, value_slot = TILE_BYTES;
  Rows rows = {{-kInf, -kInf}, {0, 0}, false};
#pragma unroll
  for (int j = 0; j < 32; ++j) out[j] = 0;
  hide += team * KEYS;
  int left = seq - team * KEYS;
  asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
  Product::visible();
  __syncthreads();
  if (left > 0) {
    const typename Product::Queries a(queries + thread / 32 * 16 * 128);
    Product::start();
    Product::scores(s, a, ring);
    Product::finish(s, out);
    for (; left > SPLIT * KEYS; left -= SPLIT * KEYS, hide += SPLIT * KEYS) {
      soften(s, p, out, rows, hide, left);
      ready();
      Tiles::next(key_slot);
      Product::start();
      Product::values(out, p, ring + value_slot);
      Product::scores(s, a, ring + key_slot);
      Product::finish(s, out);
      Tiles::next(value_slot);
    }
    soften(s, p, out, rows, hide, left);
    ready();
    Product::start();
    Product::values(out, p, ring + value_slot);
    Product::finish(s, out);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) rows.sum[r] = lanes_sum<4>(rows.sum[r]);
  if (SPLIT > 1) merge(reinterpret_cast<float*>(shared), out, rows, team, thread);
  if (team > 0) return;
#pragma unroll
  for (int r = 0; r < 2; ++r)
    put(row + 8 * r < seq ? y + start + (i64)(row + 8 * r) * 64 : nullptr, out, r, 1 / rows.sum[r]);
}
