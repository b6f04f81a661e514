// v1 unfused: scores by the library's matrix product, our scale-mask-softmax (a warp a row, the row
// in registers), then the product with the values: the scores cross memory four times.
// Source: own; the operator-by-operator form in which exporters write attention.
/* launch
require(seq <= 2048, "a warp holds at most 2,048 scores of a row")
weak("shifted", "raw scores of 6e9 overflow fp16", dtype == "fp16")
weak("constant", "raw scores in the thousands keep 8 or 11 bits between the kernels", dtype != "fp32" and seq > 16)
VEC = vector(seq)
PACKS = seq // VEC
ROWS = 4
workspace("scores", batch * heads * seq * seq)
steps = (matmul("q", "k^T", "scores"), launch("scores", "mask", "scores") if masked else launch("scores", "scores"), matmul("scores", "v", "y"))
grid = cdiv(batch * heads * seq, ROWS)
block = 32 * ROWS
pdl = True
*/
#include "common.cuh"

constexpr int CHUNKS = (PACKS + 31) / 32;
#define LOG2E 1.4426950408889634f

__device__ __forceinline__ float power(float v) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}

extern "C" __global__ void __launch_bounds__(32 * ROWS) ENTRY(const elem* scores,
#if MASKED
                                                              const elem* mask,
#endif
                                                              int batch, int heads, int seq, int width, elem* out) {
  const int lane = threadIdx.x % 32;
  const i64 row = (i64)blockIdx.x * ROWS + threadIdx.x / 32;
  if (row >= (i64)batch * heads * seq) return;
  float s[CHUNKS][VEC], most = -kInf, sum = 0;
  pdl_go();
  pdl_wait();
#pragma unroll
  for (int c = 0; c < CHUNKS; ++c) {
    const int pack = c * 32 + lane;
    const bool here = pack < PACKS;
    const Pack<VEC> got = load<VEC>(scores + row * seq + (here ? pack * VEC : 0));
#if MASKED
    const Pack<VEC> hide = load<VEC>(mask + row / heads / seq * seq + (here ? pack * VEC : 0));
#endif
#pragma unroll
    for (int i = 0; i < VEC; ++i) {
      s[c][i] = to_float(got.e[i]) * (SCALE * LOG2E);
#if MASKED
      s[c][i] += to_float(hide.e[i]) * LOG2E;
#endif
      if (!here) s[c][i] = -kInf;
      most = fmaxf(most, s[c][i]);
    }
  }
  most = lanes_max<32>(most);
  const float base = most == -kInf ? 0 : most;
#pragma unroll
  for (int c = 0; c < CHUNKS; ++c)
#pragma unroll
    for (int i = 0; i < VEC; ++i) sum += s[c][i] = power(s[c][i] - base);
  const float factor = 1 / lanes_sum<32>(sum);
#pragma unroll
  for (int c = 0; c < CHUNKS; ++c) {
    Pack<VEC> put;
#pragma unroll
    for (int i = 0; i < VEC; ++i) put.e[i] = from_float(s[c][i] * factor);
    if (c * 32 + lane < PACKS) store<VEC>(out + row * seq + (c * 32 + lane) * VEC, put);
  }
}
