// v2 vector: 16-byte accesses, several in flight a thread; erf by a polynomial and one exponential,
// tanh folded into a sigmoid, so that arithmetic stays below the memory time.
// Source: own; erf after M. Abramowitz, I. A. Stegun, Handbook of Mathematical Functions, 7.1.26.
/* launch
VEC = vector(0)
UNROLL = 1
BLOCK = 256
grid = cdiv(count, VEC * UNROLL * BLOCK)
block = BLOCK
pdl = True
*/
#include "pointwise.cuh"

__device__ __forceinline__ float gelu(float x) {
#if defined(FORM_TANH)
  // x / 2 (1 + tanh u) = x / (1 + e^-2u); the constant is -2 sqrt(2 / pi) log2(e).
  const float u = -2.302208198f * x * (1 + 0.044715f * x * x);
  return x * fast_rcp(1 + fast_exp2(u));
#else
  const float z = fabsf(x) * 0.7071067812f;
  const float t = fast_rcp(1 + 0.3275911f * z);
  const float p = ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const float upper = 1 - p * fast_exp2(-1.4426950409f * z * z);  // erf |z|
  return 0.5f * x * (1 + copysignf(upper, x));
#endif
}

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(const elem* x, int count, elem* y) {
  pdl_go();
  pdl_wait();
  map_packs(x, count, y, gelu);
}
