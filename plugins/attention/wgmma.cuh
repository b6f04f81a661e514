// wgmma of sm_90a: 64 queries of a warpgroup times KEYS keys, and times 64 value columns. Right
// operands and the queries are in shared memory with the 128-byte swizzle, probabilities in registers.
// Source: PTX ISA 9.0, "Asynchronous warpgroup level matrix instructions".
#pragma once
#include "common.cuh"

#if defined(DTYPE_BF16)
#define KIND ".f32.bf16.bf16"
#else
#define KIND ".f32.f16.f16"
#endif
// High half of the descriptors: 128-byte swizzle (bit 62), 1,024 bytes from one group of eight rows
// to the next (bits 32 to 45, in units of 16).
#define HIGH "0x40000040"
#define D4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define D8(d, i) D4(d, i), D4(d, i + 4)
#define D16(d, i) D8(d, i), D8(d, i + 8)

#define WGMMA_VALUES(d, a, desc, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 r; setp.ne.b32 p, %37, 0; mov.b64 r, {%36, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n64k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"\
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31" \
      "}, {%32,%33,%34,%35}, r, p, 1, 1, 1;}" \
      : D16(d, 0), D16(d, 16) \
      : "r"((a)[0]), "r"((a)[1]), "r"((a)[2]), "r"((a)[3]), "r"(desc), "n"(keep))

#if KEYS == 48
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %26, 0; mov.b64 l, {%24, " HIGH "}; mov.b64 r, {%25, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n48k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D8(d, 16) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 64
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %34, 0; mov.b64 l, {%32, " HIGH "}; mov.b64 r, {%33, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n64k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 80
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %42, 0; mov.b64 l, {%40, " HIGH "}; mov.b64 r, {%41, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n80k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D8(d, 32) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 96
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %50, 0; mov.b64 l, {%48, " HIGH "}; mov.b64 r, {%49, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n96k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 112
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %58, 0; mov.b64 l, {%56, " HIGH "}; mov.b64 r, {%57, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n112k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
      "%48,%49,%50,%51,%52,%53,%54,%55" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32), D8(d, 48) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 128
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %66, 0; mov.b64 l, {%64, " HIGH "}; mov.b64 r, {%65, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n128k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32), D16(d, 48) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 144
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %74, 0; mov.b64 l, {%72, " HIGH "}; mov.b64 r, {%73, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n144k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
      "%64,%65,%66,%67,%68,%69,%70,%71" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32), D16(d, 48), D8(d, 64) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 160
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %82, 0; mov.b64 l, {%80, " HIGH "}; mov.b64 r, {%81, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n160k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
      "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32), D16(d, 48), D16(d, 64) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 176
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %90, 0; mov.b64 l, {%88, " HIGH "}; mov.b64 r, {%89, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n176k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
      "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79," \
      "%80,%81,%82,%83,%84,%85,%86,%87" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32), D16(d, 48), D16(d, 64), D8(d, 80) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 192
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %98, 0; mov.b64 l, {%96, " HIGH "}; mov.b64 r, {%97, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n192k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
      "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79," \
      "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32), D16(d, 48), D16(d, 64), D16(d, 80) \
      : "r"(left), "r"(right), "n"(keep))
#elif KEYS == 208
#define WGMMA_SCORES(d, left, right, keep) \
  asm volatile( \
      "{.reg .pred p; .reg .b64 l, r; setp.ne.b32 p, %106, 0; mov.b64 l, {%104, " HIGH "}; mov.b64 r, {%105, " HIGH "};" \
      "wgmma.mma_async.sync.aligned.m64n208k16" KIND " {" \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
      "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
      "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
      "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79," \
      "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95," \
      "%96,%97,%98,%99,%100,%101,%102,%103" \
      "}, l, r, p, 1, 1, 0, 0;}" \
      : D16(d, 0), D16(d, 16), D16(d, 32), D16(d, 48), D16(d, 64), D16(d, 80), D8(d, 96) \
      : "r"(left), "r"(right), "n"(keep))
#else
#error "KEYS must be a multiple of 16 from 48 to 208"
#endif
