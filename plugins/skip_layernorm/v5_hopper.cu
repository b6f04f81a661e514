// v5: LayerNorm v5 over x + bias + residual: both streams in flight before the first use, the sum
// in float32 registers, the weights fetched while the rows are reduced.
// Source: own; T. F. Chan et al. 1979 for the moments, CUDA programmatic dependent launch.
/* launch
require(cols <= 16384, "at most 16,384 columns")
VEC = vector(cols)
PACKS = cols // VEC
LARGE = itemsize == 4 and hint(rows * cols * itemsize >= 8388608)
spread = PACKS <= 32 or itemsize == 2 and PACKS > 64 and PACKS <= 128 and hint(rows <= 8 * sms)   # a pack a thread
LANES = split(PACKS, 1, 2, 3, 5) if spread else split(PACKS, 2, 3, 4, 5) if PACKS <= 64 else split(PACKS, 3, 4, 2, 5)
ROWS = 1
BLOCK = LANES * max(1, (128 if PACKS <= 64 else 64) // LANES)
GROUPS = BLOCK // LANES
grid = cdiv(rows, GROUPS * ROWS)
block = BLOCK
pdl = True
*/
#include "moments.cuh"

// One block a multiprocessor is asked for: registers rather than warps, so that every load stays in flight.
extern "C" __global__ void __launch_bounds__(BLOCK, 1) ENTRY(
    const elem* x, const elem* residual, const elem* bias, const elem* gamma, const elem* beta,
    int rows, int cols, elem* y
#if KEEP
    , elem* total
#endif
) {
  const int lane = threadIdx.x % LANES, team = threadIdx.x / LANES;
  const i64 first = ((i64)blockIdx.x * GROUPS + team) * ROWS;
  const i64 start = first * (PACKS * VEC) + lane * VEC;
  Pack<VEC> a[ROWS][CHUNKS], b[ROWS][CHUNKS], c[CHUNKS];
  pdl_wait();
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < rows && holds(k, lane)) {
        a[r][k] = load_once<VEC>(x + start + (r * PACKS + k * LANES) * VEC);
        b[r][k] = load_once<VEC>(residual + start + (r * PACKS + k * LANES) * VEC);
      }
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k)
    if (holds(k, lane)) c[k] = load<VEC>(bias + (k * LANES + lane) * VEC);
  Pack<VEC> g[CHUNKS], h[CHUNKS];
  load_weights(gamma, beta, lane, g, h);
  float head[ROWS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r) {
    const i64 at = first + r < rows ? (first + r) * (PACKS * VEC) : 0;
    head[r] = to_float(x[at]) + to_float(bias[0]) + to_float(residual[at]);
  }
  Floats<VEC> kept[ROWS][CHUNKS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k) {
      const Floats<VEC> p = widen(a[r][k]), q = widen(b[r][k]), s = widen(c[k]);
#pragma unroll
      for (int i = 0; i < VEC; ++i) kept[r][k].e[i] = p.e[i] + s.e[i] + q.e[i];
#if KEEP
      if (first + r < rows && holds(k, lane))
        store_once<VEC>(total + start + (r * PACKS + k * LANES) * VEC, narrow(kept[r][k]));
#endif
#pragma unroll
      for (int i = 0; i < VEC; ++i) kept[r][k].e[i] -= head[r];
    }
  pdl_go();
  float2 moments[ROWS];
  row_moments(kept, lane, team, moments);
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < rows && holds(k, lane)) {
        const Floats<VEC> scale = widen(g[k]), offset = widen(h[k]);
#pragma unroll
        for (int i = 0; i < VEC; ++i) {
          float& v = kept[r][k].e[i];
          v = (v - moments[r].x) * moments[r].y * scale.e[i] + offset.e[i];
        }
        store_once<VEC>(y + start + (r * PACKS + k * LANES) * VEC, narrow(kept[r][k]));
      }
}
