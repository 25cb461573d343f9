// What all CUDA kernels of mla_decode agree on: the parameters, the cut of the token line over workers, small PTX helpers.
//
// Compiles under NVRTC and nvcc: no standard headers.  Every value that a config chooses is a macro, so that the compiler sees constants.
//
//   worker   one thread block of stage 1 (times the blocks of query heads); it owns one stretch of the batch's token line
//   segment  the part of a worker's stretch that lies in one request; it yields one partial output a head
//   partial  a normalised output over a segment's tokens and its log-sum-exp (base 2), merged by stage 2
//   slot     (cache) a row of the KV cache; (ring) a piece of shared memory that holds 16 token rows
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#ifndef MLA_HEADS
#define MLA_HEADS 16        // query heads, 1..128
#endif
#ifndef MLA_LATENT
#define MLA_LATENT 512      // widths of V, and of K's first part
#endif
#ifndef MLA_ROPE
#define MLA_ROPE 64         // widths of K's second part
#endif
#if !defined(MLA_KV_FP8) && !defined(MLA_KV_BF16)
#define MLA_KV_FP8 1        // the cache's element: E4M3, or bf16
#endif
#if !defined(MLA_IO_BF16) && !defined(MLA_IO_F16)
#define MLA_IO_BF16 1       // q's and out's element
#endif
#ifndef MLA_LOGIT_CAP
#define MLA_LOGIT_CAP 0     // 1: logits become cap * tanh(logit / cap)
#endif
#ifndef MLA_SINKS
#define MLA_SINKS 0         // 1: exp(sink) joins each head's denominator
#endif
#ifndef MLA_PARTIAL_F32
#define MLA_PARTIAL_F32 0   // 1: partials in f32, 0: in f16 (normalised, so f16's range is enough unless the cache holds huge bf16)
#endif
#ifndef MLA_PDL
#define MLA_PDL 1           // 1: stage 2 is launched with programmatic stream serialization (compute capability 9.0 up)
#endif
#ifndef MLA_EARLY
#define MLA_EARLY 0         // 1, with MLA_PDL: stage 2 lets the next launch start beside it, and stage 1 prefetches while it waits (few_heads_fp8.cu)
#endif
#ifndef MLA_DIRECT
#define MLA_DIRECT 0        // 1: stage 1 writes requests that lie in one worker to out and lse itself, and stage 2 skips them (many_heads.cu)
#endif
#ifndef MLA_GRANULE
#define MLA_GRANULE 16      // worker boundaries fall on multiples of this many tokens of the line
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define MLA_WIDTH (MLA_LATENT + MLA_ROPE)
#if MLA_KV_BF16
#define MLA_KV_BYTES 2
#else
#define MLA_KV_BYTES 1
#endif
#define MLA_ROW_BYTES (MLA_WIDTH * MLA_KV_BYTES)

#if MLA_IO_F16
typedef __half io_t;
#else
typedef __nv_bfloat16 io_t;
#endif
#if MLA_PARTIAL_F32
typedef float partial_t;
#else
typedef __half partial_t;
#endif

#define MLA_LOG2E 1.4426950408889634f
#define MLA_LN2 0.69314718055994531f
#define MLA_NEG_INF __int_as_float(0xff800000)

// One struct for both stages, passed by value.  96 bytes; byte offsets in the right-hand column.
struct MlaParams {
  const io_t* q;            // [batch, heads, 576]                                                                    0
  const u8* cache;          // [slots, 576] elements of the cache's type                                              8
  const int* kv_indptr;     // [batch + 1], kv_indptr[0] = 0: request r owns positions [kv_indptr[r], kv_indptr[r+1])  16
  const int* kv_indices;    // [tokens]: the cache slot of every token                                               24
  partial_t* partial;       // [workers + batch, heads, 512], normalised, without kv_scale                           32
  float* partial_lse;       // [workers + batch, heads], base 2                                                      40
  io_t* out;                // [batch, heads, 512]; zeros for an empty request                                       48
  float* lse;               // [batch, heads], natural log; -inf for an empty request; null: not wanted              56
  const float* sinks;       // [heads], natural units after the softmax scale; null without MLA_SINKS                64
  float scale_log2;         // sm_scale * kv_scale * log2(e)                                                         72
  float kv_scale;           //                                                                                       76
  float cap_log2;           // logit cap * log2(e); unused without MLA_LOGIT_CAP                                     80
  int batch;                //                                                                                       84
  int workers;              // gridDim.x of stage 1                                                                  88
  int tokens;               // kv_indptr[batch] as the host expects it (kv_indices has so many); where it matters, the device's own decides  92
};

// ---------------------------------------------------------------- the cut of the token line (the same arithmetic in every kernel and in the host)
// All tokens of the batch form one line of granules.  Worker w of W = min(workers, granules) takes granules [w * NG / W, (w + 1) * NG / W).
// A segment's partial lies at index w + r (worker + request): unique, because both never decrease along the line and one of them grows.
__device__ __forceinline__ int mla_granules(int tokens) { return (tokens + MLA_GRANULE - 1) / MLA_GRANULE; }
__device__ __forceinline__ int mla_first_granule(int w, int ng, int W) { return (int)((i64)w * ng / W); }
__device__ __forceinline__ int mla_worker_of(int granule, int ng, int W) {
  if ((i64)ng * W < (1ll << 31)) return (int)(((u32)(granule + 1) * (u32)W - 1) / (u32)ng);   // 32-bit division where it fits: 20 instructions, not 100
  return (int)((((i64)granule + 1) * W - 1) / ng);
}

struct MlaStretch { int begin, end, request; };   // tokens [begin, end) of the line, and the request that holds `begin`

// The tokens of worker w out of so many.
__device__ __forceinline__ MlaStretch mla_cut(const MlaParams& p, int tokens, int w) {
  const int ng = mla_granules(tokens), W = min(p.workers, ng);
  MlaStretch s = {0, 0, 0};
  if (w < W) {
    s.begin = mla_first_granule(w, ng, W) * MLA_GRANULE;
    s.end = min(tokens, mla_first_granule(w + 1, ng, W) * MLA_GRANULE);
  }
  return s;
}

// The stretch of worker w.  All threads of the block call it (it holds a barrier).  The request is found by counting the requests that end at
// or before `begin`: one coalesced read of kv_indptr whatever the batch, where a binary search is a chain of misses.
__device__ __forceinline__ MlaStretch mla_stretch(const MlaParams& p, int w, int tid, int threads) {
  const int mine = tid < p.batch ? __ldg(p.kv_indptr + tid + 1) : 0x7fffffff;
  MlaStretch s = mla_cut(p, __ldg(p.kv_indptr + p.batch), w);
  s.request = __syncthreads_count(mine <= s.begin);
  for (int base = threads; base < p.batch; base += threads) {        // more requests than threads: uniform in the block
    const int r = base + tid;
    s.request += __syncthreads_count(r < p.batch && __ldg(p.kv_indptr + r + 1) <= s.begin);
  }
  return s;
}

// ---------------------------------------------------------------- numbers
__device__ __forceinline__ float ex2(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }

// cap * tanh(s / cap) with s and cap in base-2 units.  tanh.approx has 2^-11 relative error, which at cap 30 would be 1e-2 in a logit.
__device__ __forceinline__ float mla_cap(float s, float cap_log2) {
  const float e = ex2(2.f * MLA_LOG2E * s / cap_log2);
  return cap_log2 * (1.f - __fdividef(2.f, 1.f + e));
}

__device__ __forceinline__ u32 pack_f16(float a, float b) { __half2 h = __floats2half2_rn(a, b); return *(u32*)&h; }
__device__ __forceinline__ u32 pack_bf16(float a, float b) { __nv_bfloat162 h = __floats2bfloat162_rn(a, b); return *(u32*)&h; }
__device__ __forceinline__ float2 unpack_f16(u32 v) { return __half22float2(*(__half2*)&v); }
__device__ __forceinline__ float2 unpack_bf16(u32 v) { return __bfloat1622float2(*(__nv_bfloat162*)&v); }

__device__ __forceinline__ u32 pack_io(float a, float b) {
#if MLA_IO_F16
  return pack_f16(a, b);
#else
  return pack_bf16(a, b);
#endif
}
// Two values of q as the matrix unit's operand: f16 beside an FP8 cache (E4M3 converts to f16 exactly), bf16 beside a bf16 cache.
// bf16 -> f16 is exact while |q| < 65504.
__device__ __forceinline__ u32 q_operand(u32 v) {
#if MLA_KV_FP8 && MLA_IO_BF16
  const float2 f = unpack_bf16(v);
  return pack_f16(f.x, f.y);
#elif MLA_KV_BF16 && MLA_IO_F16
  const float2 f = unpack_f16(v);
  return pack_bf16(f.x, f.y);
#else
  return v;
#endif
}
// Probabilities, in the operand type of the cache's values.
__device__ __forceinline__ u32 pack_p(float a, float b) {
#if MLA_KV_BF16
  return pack_bf16(a, b);
#else
  return pack_f16(a, b);
#endif
}
// Four E4M3 bytes -> two f16x2 registers: lo = bytes 0 and 1, hi = bytes 2 and 3.  Exact for every finite code, subnormals and -0 included.
__device__ __forceinline__ void e4m3x4_to_f16(u32 v, u32& lo, u32& hi) {
#if __CUDA_ARCH__ >= 890
  asm("{\n.reg .b16 l, h;\nmov.b32 {l, h}, %2;\ncvt.rn.f16x2.e4m3x2 %0, l;\ncvt.rn.f16x2.e4m3x2 %1, h;\n}" : "=r"(lo), "=r"(hi) : "r"(v));
#else
  // Before compute capability 8.9: exponent and mantissa move into f16's fields, 2^8 makes up for the bias.
  // NaN codes become 480, as E4M3 would count on.
  const u32 a = __byte_perm(v, 0, 0x1404), b = __byte_perm(v, 0, 0x3424);   // a byte in the upper half of each 16 bits
  const u32 la = (a & 0x80008000u) | ((a & 0x7f007f00u) >> 1), lb = (b & 0x80008000u) | ((b & 0x7f007f00u) >> 1);
  const __half2 k = __float2half2_rn(256.f);
  const __half2 x = __hmul2(*(const __half2*)&la, k), y = __hmul2(*(const __half2*)&lb, k);
  lo = *(const u32*)&x, hi = *(const u32*)&y;
#endif
}

// A head's reference and sum of exponentials over the warpgroups of a block, from [GROUPS][m, l][HEADS]; ml points to its m of the first one.
template <int GROUPS, int HEADS> __device__ __forceinline__ void joined_ml(const float* ml, float& m, float& l) {
  m = MLA_NEG_INF, l = 0.f;
  #pragma unroll
  for (int w = 0; w < GROUPS; w++) m = fmaxf(m, ml[w * 2 * HEADS]);
  #pragma unroll
  for (int w = 0; w < GROUPS; w++) l += ex2(ml[w * 2 * HEADS] - m) * ml[(w * 2 + 1) * HEADS];
}

// ---------------------------------------------------------------- PTX
__device__ __forceinline__ u32 smem_u32(const void* p) { return (u32)__cvta_generic_to_shared(p); }

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void pdl_launch() { asm volatile("griddepcontrol.launch_dependents;"); }
__device__ __forceinline__ void pdl_wait() { asm volatile("griddepcontrol.wait;" ::: "memory"); }   // free where nothing is waited for
__device__ __forceinline__ void prefetch_l2(const void* p) { asm volatile("prefetch.global.L2 [%0];" :: "l"(p)); }

__device__ __forceinline__ void mbar_init(u32 b, int n) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(b), "r"(n) : "memory"); }
__device__ __forceinline__ void mbar_arrive(u32 b) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(b) : "memory"); }
__device__ __forceinline__ void mbar_expect(u32 b, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(b), "r"(bytes) : "memory");
}
__device__ __forceinline__ void mbar_wait(u32 b, u32 parity) {
  asm volatile("{\n.reg .pred p;\nW_%=:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra D_%=;\nbra W_%=;\nD_%=:\n}"
               :: "r"(b), "r"(parity) : "memory");
}
// For producers: a long suspend hint, so that they poll rarely and leave the issue slots to the computing warps.
__device__ __forceinline__ void mbar_wait_long(u32 b, u32 parity) {
  asm volatile("{\n.reg .pred p;\nW_%=:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1, 0x989680;\n@p bra D_%=;\nbra W_%=;\nD_%=:\n}"
               :: "r"(b), "r"(parity) : "memory");
}
__device__ __forceinline__ u64 l2_evict_first() {   // the cache is read once; q and the partials should stay in L2
  u64 policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
__device__ __forceinline__ void bulk_copy(u32 dst, const void* src, int bytes, u32 bar, u64 policy) {   // global -> shared, 16-byte units
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;"
               :: "r"(dst), "l"(src), "r"(bytes), "r"(bar), "l"(policy) : "memory");
}
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
#else
__device__ __forceinline__ void pdl_launch() {}
__device__ __forceinline__ void pdl_wait() {}
#endif
