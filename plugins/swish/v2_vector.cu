// v2 vector: 16-byte accesses, several in flight a thread, exponential and reciprocal by the
// special function unit.
// Source: own.
/* launch
VEC = vector(0)
UNROLL = 1
BLOCK = 256
grid = cdiv(count, VEC * UNROLL * BLOCK)
block = BLOCK
pdl = True
*/
#include "pointwise.cuh"

extern "C" __global__ void __launch_bounds__(BLOCK) ENTRY(const elem* x, int count, elem* y) {
  pdl_go();
  pdl_wait();
  map_packs(x, count, y, [](float v) { return v * fast_rcp(1 + fast_exp2(-1.4426950409f * v)); });
}
