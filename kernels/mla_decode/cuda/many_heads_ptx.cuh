// What many_heads.cu and many_heads_fp8.cu share (sm_90a): scores, wgmma on 128-byte-swizzled tiles, shared memory by address, row loads.
#pragma once
#include "common.cuh"

#if MLA_KV_BF16
#define MH_TYPES "f32.bf16.bf16"
#else
#define MH_TYPES "f32.f16.f16"
#endif

__device__ __forceinline__ u64 matrix_desc(u32 addr, u32 lead, u32 stride) {   // 128-byte swizzle
  return (u64)((addr & 0x3ffff) >> 4) | (u64)(lead >> 4) << 16 | (u64)(stride >> 4) << 32 | 1ull << 62;
}
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> __device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }
template <int N> __device__ __forceinline__ void hold(float (&r)[N]) {          // pins reads of accumulators behind a wait
  #pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(r[i]) :: "memory");
}
// A product of q and k as a score above its head's reference, base 2; -infinity stays that.
__device__ __forceinline__ float above_reference(const MlaParams& p, float qk, float reference) {
#if MLA_LOGIT_CAP
  return (qk == MLA_NEG_INF ? MLA_NEG_INF : mla_cap(qk * p.scale_log2, p.cap_log2)) - reference;
#else
  return fmaf(qk, p.scale_log2, -reference);
#endif
}
#define F4(r, i) "+f"(r[i]), "+f"(r[i + 1]), "+f"(r[i + 2]), "+f"(r[i + 3])
#define F16(r, i) F4(r, i), F4(r, i + 4), F4(r, i + 8), F4(r, i + 12)
#define F64(r, i) F16(r, i), F16(r, i + 16), F16(r, i + 32), F16(r, i + 48)

// s[64 tokens x 64 heads] (+)= a (registers) * B (K-major)
__device__ __forceinline__ void wgmma_qk(float (&s)[32], const u32* a, u64 b, int accumulate) {
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
    "wgmma.mma_async.sync.aligned.m64n64k16." MH_TYPES " "
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
    "{%32,%33,%34,%35}, %36, p, 1, 1, 0;\n}"
    : F16(s, 0), F16(s, 16) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));
}
__device__ __forceinline__ void wgmma_qk(float (&s)[16], const u32* a, u64 b, int accumulate) {   // 32 heads
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %21, 0;\n"
    "wgmma.mma_async.sync.aligned.m64n32k16." MH_TYPES " "
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, p, 1, 1, 0;\n}"
    : F16(s, 0) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));
}
__device__ __forceinline__ void wgmma_qk(float (&s)[8], const u32* a, u64 b, int accumulate) {    // 16 heads
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %13, 0;\n"
    "wgmma.mma_async.sync.aligned.m64n16k16." MH_TYPES " {%0,%1,%2,%3,%4,%5,%6,%7}, {%8,%9,%10,%11}, %12, p, 1, 1, 0;\n}"
    : F4(s, 0), F4(s, 4) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate));
}
// o[64 heads x 256 widths] (+)= A (K-major) * B (N-major)
__device__ __forceinline__ void wgmma_pv(float (&o)[128], u64 a, u64 b, int accumulate) {
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
    "wgmma.mma_async.sync.aligned.m64n256k16." MH_TYPES " "
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
    "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
    "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}, "
    "%128, %129, p, 1, 1, 0, 1;\n}"
    : F64(o, 0), F64(o, 64) : "l"(a), "l"(b), "r"(accumulate));
}
__device__ __forceinline__ void sts4(u32 a, u32 x) { asm volatile("st.shared.b32 [%0], %1;" :: "r"(a), "r"(x) : "memory"); }
__device__ __forceinline__ void sts_f(u32 a, float x) { asm volatile("st.shared.f32 [%0], %1;" :: "r"(a), "f"(x) : "memory"); }
__device__ __forceinline__ float lds_f(u32 a) { float x; asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(a) : "memory"); return x; }
__device__ __forceinline__ u32 lds4(u32 a) { u32 x; asm volatile("ld.shared.b32 %0, [%1];" : "=r"(x) : "r"(a) : "memory"); return x; }
__device__ __forceinline__ float2 lds_f2(u32 a) { float2 v; asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(a) : "memory"); return v; }
__device__ __forceinline__ uint4 lds16(u32 a) {
  uint4 v; asm volatile("ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(a) : "memory"); return v;
}
__device__ __forceinline__ void stmatrix4(u32 a, u32 x, u32 y, u32 z, u32 w) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" :: "r"(a), "r"(x), "r"(y), "r"(z), "r"(w) : "memory");
}
__device__ __forceinline__ void stmatrix4_trans(u32 a, u32 x, u32 y, u32 z, u32 w) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" :: "r"(a), "r"(x), "r"(y), "r"(z), "r"(w) : "memory");
}
__device__ __forceinline__ void bar_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); }
__device__ __forceinline__ bool bar_or(int id, int threads, bool f) {            // a barrier, and an OR of f over its threads
  u32 r;
  asm volatile("{\n.reg .pred p, q;\nsetp.ne.u32 p, %1, 0;\nbar.red.or.pred q, %2, %3, p;\nselp.u32 %0, 1, 0, q;\n}" : "=r"(r) : "r"((u32)f), "r"(id), "r"(threads) : "memory");
  return r;
}
__device__ __forceinline__ void mh_wait(u32 bar, u32 parity) {
#ifdef MLA_SPIN_LIMIT       // debugging: a wait that never ends becomes an error
  for (u32 i = 0; i < MLA_SPIN_LIMIT; i++) {
    u32 ok;
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}" : "=r"(ok) : "r"(bar), "r"(parity) : "memory");
    if (ok) return;
  }
  __trap();
#else
  mbar_wait(bar, parity);
#endif
}
// e4m3x4_to_f16, but kept in its place: moved up, its results would need registers that there are not
__device__ __forceinline__ void convert(u32 v, u32& lo, u32& hi) {
  asm volatile("{\n.reg .b16 l, h;\nmov.b32 {l, h}, %2;\ncvt.rn.f16x2.e4m3x2 %0, l;\ncvt.rn.f16x2.e4m3x2 %1, h;\n}" : "=r"(lo), "=r"(hi) : "r"(v));
}
template <int OFFSET> __device__ __forceinline__ uint4 ldg_row(u64 row) {        // the offset goes into the instruction
  uint4 v;
  asm volatile("ld.global.nc.L2::256B.v4.b32 {%0,%1,%2,%3}, [%4 + %5];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(row), "n"(OFFSET));
  return v;
}
__device__ __forceinline__ u64 row_at(u64 base, int slot) {                      // 64-bit: slot * 576 passes 2^31
  u64 a;
  asm volatile("mad.wide.s32 %0, %1, %2, %3;" : "=l"(a) : "r"(slot), "n"(MLA_ROW_BYTES), "l"(base));
  return a;
}

// Hides where a value comes from, so that it is one register and constants added to it go into instructions' offsets (absolute addresses invite
// the compiler to fold them into masks of the thread index, again and again).
__device__ __forceinline__ u32 opaque(u32 x) { asm volatile("" : "+r"(x)); return x; }
template <int BITS> __device__ __forceinline__ u32 flip(u32 x) { u32 y; asm volatile("xor.b32 %0, %1, %2;" : "=r"(y) : "r"(x), "n"(BITS)); return y; }

// Loops whose index is a compile-time constant, for templates and asm immediates.
template <int V> struct Const { static constexpr int value = V; };
template <int N, int I = 0, class F> __device__ __forceinline__ void unroll(F&& f) {
  if constexpr (I < N) { f(Const<I>{}); unroll<N, I + 1>(f); }
}
