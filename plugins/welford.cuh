// Running mean and sum of squares about it (B. P. Welford 1962), merged after T. F. Chan et al. 1979.
#pragma once
#include "common.cuh"

struct Moments {
  float mean, m2, count;
  __device__ void add(float v) {
    count += 1;
    const float d = v - mean;
    mean += __fdividef(d, count);
    m2 += d * (v - mean);
  }
  __device__ void merge(float other_mean, float other_m2, float other_count) {
    const float total = count + other_count;
    if (total == 0) return;
    const float part = other_count / total, d = other_mean - mean;
    mean += d * part;
    m2 += other_m2 + d * d * count * part;
    count = total;
  }
};

template <int WIDTH>
__device__ void merge_lanes(Moments& m) {
#pragma unroll
  for (int d = WIDTH / 2; d > 0; d /= 2) {
    const float mean = __shfl_xor_sync(0xffffffffu, m.mean, d);
    const float m2 = __shfl_xor_sync(0xffffffffu, m.m2, d);
    const float count = __shfl_xor_sync(0xffffffffu, m.count, d);
    m.merge(mean, m2, count);
  }
}
