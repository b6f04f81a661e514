// v5: every load of a thread is in flight before the first use, the row stays in registers, the
// warps' moments meet once in shared memory, and the start overlaps the previous kernel's end.
// Source: own; T. F. Chan et al. 1979 for the moments, CUDA programmatic dependent launch.
/* launch
require(cols <= 16384, "at most 16,384 columns")
VEC = vector(cols)
PACKS = cols // VEC
LARGE = hint(rows * cols * itemsize >= 12582912)
FEW = PACKS <= 160 and (32 < PACKS and PACKS <= 64 or hint(rows <= 24 * sms))
short = split(PACKS, 1, 2, 3, 5) if PACKS <= 32 else split(PACKS, 2, 3, 4, 5) if PACKS <= 64 else split(PACKS, 3, 4, 2, 5)
# One wave of warps: the fewest threads that still reach every multiprocessor have most loads in flight.
middle = 32 if hint(rows <= 16 * sms) else 16 if hint(rows <= 32 * sms) else 64
long = split(PACKS, 4, 3, 2, 5) if PACKS <= 384 else split(PACKS, 2, 3, 4, 5) if PACKS <= 768 else split(PACKS, 2 if itemsize == 4 else 4, 3, 6, 5) if PACKS <= 1024 else split(PACKS, 4, 3, 6, 5)
LANES = short if PACKS <= 160 else middle if PACKS <= 192 else long
# Only where it won: 3 % on fp32 rows of 4,096; half as wide or twice as wide it loses.
TWICE = VEC * itemsize == 16 and PACKS == 1024 and itemsize == 4 and hint(rows >= 8 * sms)
ROWS = 1 if TWICE else 2 if PACKS > 384 and PACKS <= 1024 and hint(rows >= 8 * sms) else 1   # long rows share the weights
BLOCK = LANES * max(1, (256 if PACKS <= 16 else 128 if PACKS <= 160 else 64) // LANES)
GROUPS = BLOCK // LANES
grid = cdiv(rows, GROUPS * ROWS)
block = BLOCK
pdl = True
*/
#include "moments.cuh"
#if TWICE
#include "twice.cuh"
#endif

// FEW rows: registers rather than warps, so that the compiler keeps every load of a thread in flight.
#if TWICE
#define BOUNDS __launch_bounds__(BLOCK, 4)
#elif FEW
#define BOUNDS __launch_bounds__(BLOCK, 1)
#else
#define BOUNDS __launch_bounds__(BLOCK)
#endif

extern "C" __global__ void BOUNDS ENTRY(
    const elem* x,
#if AFFINE
    const elem* gamma, const elem* beta,
#endif
    int rows, int cols, elem* y) {
#if TWICE
#if AFFINE
  read_twice(x, gamma, beta, rows, y);
#else
  read_twice(x, nullptr, nullptr, rows, y);
#endif
#else
  const int lane = threadIdx.x % LANES, team = threadIdx.x / LANES;
  const i64 first = ((i64)blockIdx.x * GROUPS + team) * ROWS;
  const i64 start = first * (PACKS * VEC) + lane * VEC;
  Pack<VEC> in[ROWS][CHUNKS];
  elem head[ROWS];
  pdl_wait();
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < rows && holds(k, lane))
        in[r][k] = load_once<VEC>(x + start + (r * PACKS + k * LANES) * VEC);
#pragma unroll
  for (int r = 0; r < ROWS; ++r) head[r] = x[first + r < rows ? (first + r) * (PACKS * VEC) : 0];
#if AFFINE
  Pack<VEC> g[CHUNKS], b[CHUNKS];
  load_weights(gamma, beta, lane, g, b);
#endif
  // Only now: a successor let in earlier takes registers and slots from rows not yet asked for.
  pdl_go();
  Floats<VEC> kept[ROWS][CHUNKS];
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k) {
      kept[r][k] = widen(in[r][k]);
#pragma unroll
      for (int i = 0; i < VEC; ++i) kept[r][k].e[i] -= to_float(head[r]);
    }
  float2 moments[ROWS];
  row_moments(kept, lane, team, moments);
#pragma unroll
  for (int r = 0; r < ROWS; ++r)
#pragma unroll
    for (int k = 0; k < CHUNKS; ++k)
      if (first + r < rows && holds(k, lane)) {
#if AFFINE
        const Floats<VEC> scale = widen(g[k]), offset = widen(b[k]);
#endif
#pragma unroll
        for (int i = 0; i < VEC; ++i) {
          float& v = kept[r][k].e[i];
          v = (v - moments[r].x) * moments[r].y;
#if AFFINE
          v = v * scale.e[i] + offset.e[i];
#endif
        }
        store_once<VEC>(y + start + (r * PACKS + k * LANES) * VEC, narrow(kept[r][k]));
      }
#endif
}
