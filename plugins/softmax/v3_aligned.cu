// v3 aligned: v2 for widths that no wide access divides: a row is read as the whole packs that cover it,
// its neighbours' elements at both ends are ignored, and only the ends are written in smaller pieces;
// the scale is folded into the exponent, one instruction an element less.
// Source: own; the peeling of vectorised loops, with the peeled ends left to the same threads.
/* launch
require(cols <= 16384, "at most 16,384 columns")
STEP = vector(cols)                                   # both the width and VEC are multiples of it
wide = min(16, align) // itemsize
VEC = wide if STEP == 2 and (itemsize == 4 or cols <= 256) else STEP
COLS = cols
PACKS = cdiv(cols + VEC - STEP, VEC)
narrow = VEC == 1 or VEC <= 2 and itemsize == 2
LANES = pow2(PACKS) if PACKS <= 32 else 16 if PACKS <= 56 else 32 if PACKS <= 128 or narrow and cols <= 1024 else min(1024, 32 * cdiv(PACKS, 64))
BLOCK = LANES * max(1, (256 if itemsize == 2 and STEP <= 2 else 128) // LANES)
GROUPS = BLOCK // LANES
grid = cdiv(batch * rows, GROUPS)
block = BLOCK
pdl = True
*/
#include "common.cuh"

constexpr int CHUNKS = (PACKS + LANES - 1) / LANES;
constexpr int TEAM = LANES < 32 ? LANES : 32;
#define LOG2E 1.4426950409f
// Unmasked scores stay raw and the scale goes into the exponent; a negative scale turns them round.
#if MASKED
constexpr float UNIT = LOG2E;
#else
constexpr float UNIT = SCALE < 0 ? -SCALE * LOG2E : SCALE * LOG2E;
#endif

__device__ __forceinline__ float exp2_fast(float v) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
  return r;
}

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(
    const elem* x,
#if MASKED
    const elem* mask,
#endif
    int batch, int rows, int cols, elem* y) {
  const int lane = threadIdx.x % LANES, team = threadIdx.x / LANES;
  const i64 all = (i64)batch * rows, row = (i64)blockIdx.x * GROUPS + team;
  const i64 start = row * COLS;
  // Elements of the row's first pack that belong to the row before.
  const int before = STEP == VEC ? 0 : int(start % VEC);
  // Index in the row of this thread's first element; the packs of a thread are LANES * VEC apart.
  const int own = lane * VEC - before;
  const bool live = row < all;
  // Packs that hold nothing but this row, whatever the thread: known when it is compiled.
  auto whole = [](int k) { return STEP == VEC && (k + 1) * LANES <= PACKS; };
  Pack<VEC> in[CHUNKS];
  pdl_wait();
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int at = own + k * (LANES * VEC);
    if (!live || (!whole(k) && at >= COLS)) continue;
    if (STEP == VEC || start + at + VEC <= all * COLS) {
      in[k] = load_once<VEC>(x + start + at);
    } else {  // the tensor ends inside this pack
#pragma unroll
      for (int i = 0; i < VEC; ++i)
        if (at + i < COLS) in[k].e[i] = x[start + at + i];
    }
  }
#if MASKED
  const elem* hide = mask + (live ? row / rows : 0) * COLS;
#endif
  Floats<VEC> v[CHUNKS];
  float most = -kInf, sum = 0;
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int at = own + k * (LANES * VEC);
    v[k] = widen(in[k]);
#pragma unroll
    for (int j = 0; j < VEC; j += STEP) {
      const bool inside = whole(k) || (at + j >= 0 && at + j < COLS);
#if MASKED
      Floats<STEP> m;
      if (inside) m = widen(load<STEP>(hide + at + j));
#endif
#pragma unroll
      for (int i = 0; i < STEP; ++i) {
        float& f = v[k].e[j + i];
#if MASKED
        f = f * SCALE + m.e[i];
#else
        if (SCALE < 0) f = -f;
#endif
        if (!inside) f = -kInf;
        most = fmaxf(most, f);
      }
    }
  }
  // Only now: a successor let in earlier takes slots from rows whose mask is still on its way.
  pdl_go();
  most = lanes_max<TEAM>(most);
  const float base = most == -kInf ? 0 : most * UNIT;
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k)
#pragma unroll
    for (int i = 0; i < VEC; ++i) sum += v[k].e[i] = exp2_fast(v[k].e[i] * UNIT - base);
  sum = lanes_sum<TEAM>(sum);
#if LANES <= 32
  const float factor = 1 / sum;
#else
  constexpr int WARPS = LANES / 32;
  __shared__ float2 part[GROUPS][WARPS];
  if (lane % 32 == 0) part[team][lane / 32] = make_float2(most * UNIT, sum);
  __syncthreads();
  const float2 p = lane % 32 < WARPS ? part[team][lane % 32] : make_float2(-kInf, 0);
  const float top = lanes_max<32>(p.x), shift = top == -kInf ? 0 : top;
  const float whole_sum = lanes_sum<32>(p.y * exp2_fast(p.x - shift));
  const float factor = exp2_fast(most * UNIT - shift) / whole_sum;
#endif
#pragma unroll
  for (int k = 0; k < CHUNKS; ++k) {
    const int at = own + k * (LANES * VEC);
    if (!live || (!whole(k) && at >= COLS)) continue;
#pragma unroll
    for (int i = 0; i < VEC; ++i) v[k].e[i] *= factor;
    const Pack<VEC> out = narrow(v[k]);
    if (STEP == VEC || (at >= 0 && at + VEC <= COLS)) {
      store_once<VEC>(y + start + at, out);
    } else {
#pragma unroll
      for (int j = 0; j < VEC; j += STEP)
        if (at + j >= 0 && at + j < COLS) {
          Pack<STEP> piece;
#pragma unroll
          for (int i = 0; i < STEP; ++i) piece.e[i] = out.e[j + i];
          store<STEP>(y + start + at + j, piece);
        }
    }
  }
}
