// Mean and variance of rows held in registers: LANES threads share a row of PACKS packs of VEC
// elements, ROWS rows a thread, GROUPS such teams a block (macros of the including version).
// Two passes over registers, then the warps' moments merge exactly (T. F. Chan et al. 1979).
#pragma once
#include "common.cuh"

constexpr int CHUNKS = (PACKS + LANES - 1) / LANES;
constexpr int TEAM = LANES < 32 ? LANES : 32;

// Does this thread's pack number k lie inside the row?
__device__ __forceinline__ bool holds(int k, int lane) {
  return (k + 1) * LANES <= PACKS || k * LANES + lane < PACKS;
}

__device__ __forceinline__ void load_weights(const elem* gamma, const elem* beta, int lane, Pack<VEC>* g, Pack<VEC>* b) {
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k)
    if (holds(k, lane)) {
      g[k] = load<VEC>(gamma + (k * LANES + lane) * VEC);
      b[k] = load<VEC>(beta + (k * LANES + lane) * VEC);
    }
}

// Elements of the row that warp w of its team holds.
__device__ __forceinline__ float warp_count(int w) {
  int packs = 0;
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int left = PACKS - k * LANES - TEAM * w;
    packs += left < 0 ? 0 : left < TEAM ? left : TEAM;
  }
  return packs * VEC;
}

// Mean and, about it, the sum of squares over a warp's lanes that share a row.
__device__ __forceinline__ float2 warp_moments(const Floats<VEC>* kept, int lane) {
  const float count = LANES <= 32 ? float(PACKS * VEC) : fmaxf(warp_count(lane / 32), 1);
  float sum = 0;
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k)
    if (holds(k, lane))
#pragma unroll
      for (int i = 0; i < VEC; ++i) sum += kept[k].e[i];
  const float mean = lanes_sum<TEAM>(sum) / count;
  float squares = 0;
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k)
    if (holds(k, lane))
#pragma unroll
      for (int i = 0; i < VEC; ++i) {
        const float d = kept[k].e[i] - mean;
        squares += d * d;
      }
  return make_float2(mean, lanes_sum<TEAM>(squares));
}

// (mean, 1 / sqrt(variance + EPS)) of each of a thread's ROWS rows; a barrier if LANES > 32.
// Rows come with their first element subtracted: what a row shares is gone before it costs digits,
// and an outlier there inflates the deviation by more than the digits it costs.
__device__ __forceinline__ void row_moments(const Floats<VEC> (*kept)[CHUNKS], int lane, int team, float2* out) {
#if LANES <= 32
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const float2 m = warp_moments(kept[r], lane);
    out[r] = make_float2(m.x, rsqrtf(m.y * (1.0f / (PACKS * VEC)) + EPS));
  }
#else
  constexpr int WARPS = LANES / 32;
  constexpr int SPAN = WARPS > 16 ? 32 : WARPS > 8 ? 16 : WARPS > 4 ? 8 : WARPS > 2 ? 4 : 2;
  __shared__ float2 part[GROUPS][ROWS][WARPS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const float2 m = warp_moments(kept[r], lane);
    if (lane % 32 == 0) part[team][r][lane / 32] = m;
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    // Each lane takes one warp's moments; as many lanes as a power of two above WARPS hold a copy.
    const int w = lane % SPAN;
    const float2 m = w < WARPS ? part[team][r][w] : make_float2(0, 0);
    const float count = w < WARPS ? warp_count(w) : 0;
    const float mean = lanes_sum<SPAN>(m.x * count) * (1.0f / (PACKS * VEC));
    const float d = m.x - mean;
    const float squares = lanes_sum<SPAN>(m.y + d * d * count);
    out[r] = make_float2(mean, rsqrtf(squares * (1.0f / (PACKS * VEC)) + EPS));
  }
#endif
}
