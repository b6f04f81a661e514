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

// One tile of keys or values on its way to shared memory; rows past the end become zeros.
__device__ __forceinline__ void fetch(u32 slot, const elem* from, int first, int seq, int thread) {
#pragma unroll
  for (int c = 0; c < KEYS * 8; c += TEAM) {
    const int piece = c + thread, row = piece / 8;
    if (KEYS * 8 % TEAM && piece >= KEYS * 8) break;
    const int key = first + row, bytes = key < seq ? 16 : 0;
    const elem* source = from + (i64)(key < seq ? key : 0) * 64 + piece % 8 * 8;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(slot + swizzled(row, piece % 8)), "l"(source),
                 "r"(bytes));
  }
}

__device__ __forceinline__ void meet(int team) {
  if (SPLIT == 1)
    __syncthreads();
  else
    asm volatile("bar.sync %0, %1;" ::"r"(team + 1), "n"(TEAM) : "memory");
}

// Running softmax of two rows.
struct Rows {
  float most[2], sum[2];
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
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float most = rows.most[r];
#pragma unroll
    for (int j = 0; j < SCORES; j += 4) most = fmaxf(most, fmaxf(s[j + 2 * r], s[j + 2 * r + 1]));
    most = lanes_max<4>(most);
    const float base = most == -kInf ? 0 : most * unit;
    const float shrink = power(fmaf(rows.most[r], unit, -base));
    float sum = 0, odd = 0;
#pragma unroll
    for (int j = 0; j < SCORES; j += 4) {
      const float a = power(fmaf(s[j + 2 * r], unit, -base)), b = power(fmaf(s[j + 2 * r + 1], unit, -base));
      sum += a, odd += b;
      p[j / 2 + r] = pair(a, b);
    }
    rows.sum[r] = fmaf(rows.sum[r], shrink, sum + odd);
    rows.most[r] = most;
#pragma unroll
    for (int j = 0; j < 32; j += 4) out[j + 2 * r] *= shrink, out[j + 2 * r + 1] *= shrink;
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
      const float base = most == -kInf ? 0 : most * unit;
      const float a = power(fmaf(rows.most[r], unit, -base)), b = power(fmaf(m, unit, -base));
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
__device__ __forceinline__ void attend(const elem* q, const elem* k, const elem* v, const elem* mask, int heads,
                                       int seq, elem* y) {
  extern __shared__ __align__(1024) unsigned char shared[];
  const int team = threadIdx.x / TEAM, thread = threadIdx.x % TEAM, lane = threadIdx.x % 32;
  const i64 start = (i64)blockIdx.y * seq * 64;
  const int tiles = (seq + KEYS - 1) / KEYS, mine = (tiles - team + SPLIT - 1) / SPLIT;
  const int row = (blockIdx.x * WARPS + thread / 32) * 16 + lane / 4;
  const u32 ring = (u32)__cvta_generic_to_shared(shared) + team * SLOTS * TILE_BYTES;
  float* hide = reinterpret_cast<float*>(shared + SPLIT * SLOTS * TILE_BYTES);
  k += start, v += start;
  pdl_go();
  pdl_wait();
  // Group i is values i - 1 and keys i: what the products between two barriers read.
  auto group = [&](int i) {
    if (i > 0 && i <= mine) fetch(ring + (2 * i - 1) % SLOTS * TILE_BYTES, v, (team + (i - 1) * SPLIT) * KEYS, seq, thread);
    if (i < mine) fetch(ring + 2 * i % SLOTS * TILE_BYTES, k, (team + i * SPLIT) * KEYS, seq, thread);
    asm volatile("cp.async.commit_group;");
  };
#pragma unroll
  for (int i = 0; i < STAGES; ++i) group(i);
  u32 a[4][4];
#pragma unroll
  for (int c = 0; c < 16; ++c) {
    const int r = row + c % 2 * 8;
    const elem* at = q + start + (i64)r * 64 + c / 4 * 16 + c / 2 % 2 * 8 + lane % 4 * 2;
    a[c / 4][c % 4] = r < seq ? *reinterpret_cast<const u32*>(at) : 0;
  }
#if MASKED
  for (int i = threadIdx.x; i < tiles * KEYS; i += TEAM * SPLIT)
    hide[i] = i < seq ? to_float(mask[(i64)(blockIdx.y / heads) * seq + i]) * LOG2E : -kInf;
  if (SPLIT > 1) __syncthreads();
#endif
  auto ready = [&](int i) {
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
    Product::visible();
    meet(team);
    group(i + STAGES - 1);
  };
  float s[SCORES], out[32];
  u32 p[SCORES / 2];
  Rows rows = {{-kInf, -kInf}, {0, 0}};
#pragma unroll
  for (int j = 0; j < 32; ++j) out[j] = 0;
  if (mine > 0) {
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 1) : "memory");
    Product::visible();
    meet(team);
    Product::start();
    Product::scores(s, a, ring);
    Product::finish(s, out);
    for (int i = 0; i + 1 < mine; ++i) {
      const int tile = team + i * SPLIT;
      soften(s, p, out, rows, hide + tile * KEYS, seq - tile * KEYS);
      ready(i + 1);
      Product::start();
      Product::values(out, p, ring + (2 * i + 1) % SLOTS * TILE_BYTES);
      Product::scores(s, a, ring + (2 * i + 2) % SLOTS * TILE_BYTES);
      Product::finish(s, out);
    }
    const int tile = team + (mine - 1) * SPLIT;
    soften(s, p, out, rows, hide + tile * KEYS, seq - tile * KEYS);
    ready(mine);
    Product::start();
    Product::values(out, p, ring + (2 * mine - 1) % SLOTS * TILE_BYTES);
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
