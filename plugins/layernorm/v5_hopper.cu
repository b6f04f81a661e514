// v5: every load of a thread is in flight before the first use, the row stays in registers, the
// warps' moments meet once in shared memory, and the start overlaps the previous kernel's end.
// Source: own; T. F. Chan et al. 1979 for the moments, CUDA programmatic dependent launch.
/* launch
require(cols <= 16384, "at most 16,384 columns")
VEC = vector(cols)
PACKS = cols // VEC
LANES = split(PACKS, 1, 2, 3, 5) if PACKS <= 32 else split(PACKS, 3, 4, 2, 5) if PACKS <= 160 else split(PACKS, 3, 2, 4, 5) if PACKS <= 384 else split(PACKS, 4, 3, 6, 5)
ROWS = 1
BLOCK = LANES * max(1, (256 if LANES <= 16 else 128) // LANES)
GROUPS = BLOCK // LANES
grid = cdiv(rows, GROUPS * ROWS)
block = BLOCK
pdl = True
*/
#include "moments.cuh"

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x,
#if AFFINE
    const elem* gamma, const elem* beta,
#endif
    int rows, int cols, elem* y) {
  const int lane = threadIdx.x % LANES, team = threadIdx.x / LANES;
  const i64 first = ((i64)blockIdx.x * GROUPS + team) * ROWS;
  const i64 start = first * (PACKS * VEC) + lane * VEC;
  Pack<VEC> kept[ROWS][CHUNKS];
  float shift[ROWS];
  pdl_wait();
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < rows && holds(k, lane))
        kept[r][k] = load_once<VEC>(x + start + (r * PACKS + k * LANES) * VEC);
#pragma unroll
  for (int r = 0; r < ROWS; ++r) shift[r] = first + r < rows ? to_float(x[(first + r) * (PACKS * VEC)]) : 0;
#if AFFINE
  Pack<VEC> g[CHUNKS], b[CHUNKS];
  load_weights(gamma, beta, lane, g, b);
#endif
  // Only now: a successor let in earlier takes registers and slots from rows not yet asked for.
  pdl_go();
  float2 moments[ROWS];
  row_moments(kept, shift, lane, team, moments);
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < rows && holds(k, lane)) {
        Pack<VEC> out;
#pragma unroll
        for (int i = 0; i < VEC; ++i) {
          float v = ((to_float(kept[r][k].e[i]) - shift[r]) - moments[r].x) * moments[r].y;
#if AFFINE
          v = v * to_float(g[k].e[i]) + to_float(b[k].e[i]);
#endif
          out.e[i] = from_float(v);
        }
        store_once<VEC>(y + start + (r * PACKS + k * LANES) * VEC, out);
      }
}
