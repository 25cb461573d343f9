// The parts of few_heads_fp8.cu: its config, its shared memory, matrix instructions and their operands, the loading warps.
#pragma once
#include "common.cuh"

#if MLA_KV_BF16
#error "few_heads_fp8.cu multiplies E4M3 caches only"
#endif
#ifndef BLOCK_N
#define BLOCK_N 64          // tokens of a tile: wgmma's M
#endif
#if BLOCK_N != 64
#error "BLOCK_N: 64"
#endif
#ifndef BLOCK_H
#define BLOCK_H 16          // query heads of a block: 8, 16, 24 or 32
#endif
#ifndef NUM_GROUPS
#define NUM_GROUPS 2        // computing warpgroups of a block, 1 or 2; each takes every NUM_GROUPS-th tile
#endif
#ifndef NUM_STAGES
#define NUM_STAGES (2 * NUM_GROUPS)   // tiles of shared memory, a multiple of NUM_GROUPS
#endif
// A warpgroup waits for its own tiles only.  Were a slot not always the same warpgroup's, one that runs ahead could meet a slot whose tile of the
// round before has not landed, and take the barrier's parity of the round before that for its own.
#if NUM_STAGES % NUM_GROUPS
#error "NUM_STAGES: a multiple of NUM_GROUPS"
#endif
// Tiles that a block has on their way at most.  The more wait, the further apart the SMs' shares of the bandwidth, and the last SM's end is the
// kernel's; with fewer than two, a copy's latency is bare.
#ifndef TILES_IN_FLIGHT
#define TILES_IN_FLIGHT 2
#endif
#ifndef QK_CHAIN
#define QK_CHAIN 2          // k-steps that the matrix unit adds up itself; see "precision" in few_heads_fp8.cu
#endif
#define QK_TRUNCATION 1.00003f   // makes up for what the matrix unit cuts off a logit on average (measured, QK_CHAIN 2)
#ifndef QK_DEPTH
#define QK_DEPTH (BLOCK_H > 16 ? 1 : NUM_GROUPS == 1 ? 2 : 3)   // such chains in flight
#endif
#ifndef PV_DEPTH
#define PV_DEPTH (BLOCK_H > 24 ? 1 : 2)   // 64-width tiles of the output in flight
#endif
#ifndef FEW_HEADS_MODE
#define FEW_HEADS_MODE 0    // measuring aid.  0: all; 1: rows are loaded and dropped; 2: arithmetic on whatever the ring holds, no loads
#endif
// Registers a thread at launch (CONSUMER_REGS and PRODUCER_REGS after setmaxnreg): (NUM_GROUPS + 1) * LAUNCH_REGS = NUM_GROUPS * CONSUMER_REGS
// + PRODUCER_REGS, all multiples of 8.  Where 65536 leaves room, a block of stage 2 can start beside stage 1.
#ifndef CONSUMER_REGS
#if NUM_GROUPS == 1
#define LAUNCH_REGS 112     // two blocks an SM leave 8192 registers
#define CONSUMER_REGS 184
#define PRODUCER_REGS 40
#elif NUM_GROUPS == 2 && BLOCK_H <= 16
#define LAUNCH_REGS 152     // leaves 7168
#define CONSUMER_REGS 208
#define PRODUCER_REGS 40
#elif BLOCK_H <= 24
#define LAUNCH_REGS 168
#define CONSUMER_REGS 232
#define PRODUCER_REGS 40
#else
#define LAUNCH_REGS 168
#define CONSUMER_REGS 240
#define PRODUCER_REGS 24
#endif
#endif
#if (NUM_GROUPS + 1) * LAUNCH_REGS < NUM_GROUPS * CONSUMER_REGS + PRODUCER_REGS
#error "setmaxnreg would wait for ever: the roles ask for more registers than the block owns"
#endif

#define CONSUMERS (NUM_GROUPS * 128)
#define THREADS (CONSUMERS + 128)
#define HG (BLOCK_H / 8)    // groups of 8 heads
#define CORE 128            // bytes of a core matrix: 8 rows of 16 bytes, what wgmma's no-swizzle layout is made of
#define D_REGS (BLOCK_H / 2)          // f32 registers of a 64 x BLOCK_H accumulator
#define QK_STEPS (MLA_WIDTH / 32)
#if QK_STEPS % QK_CHAIN
#error "QK_CHAIN: 1, 2, 3, 6, 9 or 18"
#endif

#define ROW_PITCH 592       // bytes of a token row in shared memory: 576 + 16; = 80 mod 128, so ldmatrix's eight rows hit all banks
#define TILE_BYTES (BLOCK_N * ROW_PITCH)
// q: 16 widths of all heads [term: hi, lo][HG] core matrices, then 16 bytes so that a warp that stores one head hits all banks.
#define Q_COLUMN (2 * HG * CORE + 16)
// P: 16 tokens of all heads [term][HG]; four of them make a tile
#define P_COLUMN (2 * HG * CORE)
#define P_BYTES (4 * P_COLUMN)

// Shared memory: ring | q [36 columns] | P [NUM_GROUPS] | scales of the heads | m, l and weight of each warpgroup | reductions | barriers.
// At a segment's end q's place holds the halves of the outputs that the warpgroups hand each other, in f16.
#define AT_Q (NUM_STAGES * TILE_BYTES)
#define AT_P (AT_Q + (MLA_WIDTH / 16) * Q_COLUMN)
#define AT_SCALE (AT_P + NUM_GROUPS * P_BYTES)                      // [BLOCK_H] f32
#define AT_ML (AT_SCALE + BLOCK_H * 4)                                  // [NUM_GROUPS][m, l][BLOCK_H] f32
#define AT_RED (AT_ML + NUM_GROUPS * 2 * BLOCK_H * 4)                   // [NUM_GROUPS][BLOCK_H][4 warps][2] f32
#define AT_BARS (AT_RED + NUM_GROUPS * 8 * BLOCK_H * 4)
#define FEW_HEADS_FP8_SMEM (AT_BARS + 2 * NUM_STAGES * 8)

#define STR_(x) #x
#define STR(x) STR_(x)

// ---------------------------------------------------------------- matrix instructions
// D [64 x N] (+)= A [64 x 32] B [32 x N], E4M3.  lane = 4g + t, warp w: D d[4i], d[4i+1] = (row 16w + g; columns 8i + 2t, + 1), d[4i+2], d[4i+3] =
// (row + 8); A in registers a0 = (row 16w + g; k 4t .. 4t + 3), a1 = (row + 8), a2 = (k + 16), a3 = (both).
#define D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define LIST8 "%0,%1,%2,%3,%4,%5,%6,%7"
#define LIST16 LIST8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define LIST24 LIST16 ",%16,%17,%18,%19,%20,%21,%22,%23"
#define LIST32 LIST24 ",%24,%25,%26,%27,%28,%29,%30,%31"
#if BLOCK_H == 8
#define ONE_SHAPE "m64n8k32"                        // N: BLOCK_H
#define ONE_LIST "%0,%1,%2,%3"
#define ONE_IN "%4,%5,%6,%7", "%8", "%9"            // A's registers, B's descriptor, accumulate
#define ONE_D D4(0)
#define TWO_SHAPE "m64n16k32"                       // N: 2 BLOCK_H
#define TWO_LIST LIST8
#define TWO_IN "%8,%9,%10,%11", "%12", "%13"
#define TWO_D D4(0), D4(4)
#elif BLOCK_H == 16
#define ONE_SHAPE "m64n16k32"
#define ONE_LIST LIST8
#define ONE_IN "%8,%9,%10,%11", "%12", "%13"
#define ONE_D D4(0), D4(4)
#define TWO_SHAPE "m64n32k32"
#define TWO_LIST LIST16
#define TWO_IN "%16,%17,%18,%19", "%20", "%21"
#define TWO_D D4(0), D4(4), D4(8), D4(12)
#elif BLOCK_H == 24
#define ONE_SHAPE "m64n24k32"
#define ONE_LIST LIST8 ",%8,%9,%10,%11"
#define ONE_IN "%12,%13,%14,%15", "%16", "%17"
#define ONE_D D4(0), D4(4), D4(8)
#define TWO_SHAPE "m64n48k32"
#define TWO_LIST LIST24
#define TWO_IN "%24,%25,%26,%27", "%28", "%29"
#define TWO_D D4(0), D4(4), D4(8), D4(12), D4(16), D4(20)
#else
#define ONE_SHAPE "m64n32k32"
#define ONE_LIST LIST16
#define ONE_IN "%16,%17,%18,%19", "%20", "%21"
#define ONE_D D4(0), D4(4), D4(8), D4(12)
#define TWO_SHAPE "m64n64k32"
#define TWO_LIST LIST32
#define TWO_IN "%32,%33,%34,%35", "%36", "%37"
#define TWO_D D4(0), D4(4), D4(8), D4(12), D4(16), D4(20), D4(24), D4(28)
#endif
#define WGMMA_(shape, list, a, b, p) \
  "{\n.reg .pred p;\nsetp.ne.b32 p, " p ", 0;\nwgmma.mma_async.sync.aligned." shape ".f32.e4m3.e4m3 {" list "}, {" a "}, " b ", p, 1, 1;\n}"
#define WGMMA(shape, list, ...) WGMMA_(shape, list, __VA_ARGS__)

// B's descriptor, no swizzle.  Lower word: address / 16, and bytes / 16 between core matrices along k; upper word: bytes / 16 between those along
// the columns.  An offset is added to the lower word as bytes / 16.
__device__ __forceinline__ u32 desc_low(u32 addr, int k_stride) { return (addr >> 4) | (k_stride >> 4) << 16; }
__device__ __forceinline__ u64 desc(u32 low) {
  u64 d;
  asm("mov.b64 %0, {%1, %2};" : "=l"(d) : "r"(low), "n"(CORE >> 4));
  return d;
}
#define A_AND_B "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(desc(b)), "n"((int)ACCUMULATE)
template <bool ACCUMULATE> __device__ __forceinline__ void qk_wgmma(float (&d)[2 * D_REGS], const u32* a, u32 b) {
  asm volatile(WGMMA(TWO_SHAPE, TWO_LIST, TWO_IN) : TWO_D : A_AND_B);
}
template <bool ACCUMULATE> __device__ __forceinline__ void pv_wgmma(float (&d)[D_REGS], const u32* a, u32 b) {
  asm volatile(WGMMA(ONE_SHAPE, ONE_LIST, ONE_IN) : ONE_D : A_AND_B);
}
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> __device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }
// Keeps an accumulator's readers behind the wait.
template <int N> __device__ __forceinline__ void pin(float (&d)[N]) {
  #pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i]));
}

// ---------------------------------------------------------------- other instructions
__device__ __forceinline__ void consumers_sync() { asm volatile("bar.sync 1, %0;" :: "n"(CONSUMERS) : "memory"); }
__device__ __forceinline__ void group_sync(int group) { asm volatile("bar.sync %0, 128;" :: "r"(2 + group) : "memory"); }
__device__ __forceinline__ void ldmatrix(u32* v, u32 addr) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"(addr) : "memory");
}
__device__ __forceinline__ void ldmatrix_trans(u32* v, u32 addr) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"(addr) : "memory");
}

__device__ __forceinline__ float lg2(float x) { float y; asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
__device__ __forceinline__ float rcp(float x) { float y; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }

// N values of each lane, reduced over the 8 lanes of the same t.  Lanes share the work: a lane ends with values first .. first + left(N) - 1.
__host__ __device__ constexpr int left(int n) {
  for (int i = 0; i < 3; i++) if (n % 2 == 0) n /= 2;
  return n;
}
template <class T, int N, class Op> __device__ __forceinline__ int reduce_lanes(T (&v)[N], int lane, Op op) {
  int n = N, first = 0;
  #pragma unroll
  for (int o = 16; o >= 4; o >>= 1) {
    const bool upper = lane & o;
    if (n % 2 == 0) {
      n /= 2;
      first += upper ? n : 0;
      #pragma unroll
      for (int i = 0; i < N; i++) {
        if (i >= n) break;
        const T give = upper ? v[i] : v[i + n], keep = upper ? v[i + n] : v[i];
        v[i] = op(keep, __shfl_xor_sync(~0u, give, o));
      }
    } else {
      #pragma unroll
      for (int i = 0; i < N; i++) {
        if (i >= n) break;
        v[i] = op(v[i], __shfl_xor_sync(~0u, v[i], o));
      }
    }
  }
  return first;
}

// Two numbers as E4M3 in the lower 16 bits, the first in the lowest byte.
__device__ __forceinline__ u32 e4m3x2(float a, float b) {
  u16 r;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(r) : "f"(b), "f"(a));
  return r;
}
__device__ __forceinline__ u32 e4m3x2_of_f16(u32 v) {
  u16 r;
  asm("cvt.rn.satfinite.e4m3x2.f16x2 %0, %1;" : "=h"(r) : "r"(v));
  return r;
}
__device__ __forceinline__ u32 f16_of_e4m3x2(u32 v) {
  u32 r;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(r) : "h"((u16)v));
  return r;
}
__device__ __forceinline__ u32 f16_sub(u32 a, u32 b) { const __half2 r = __hsub2(*(__half2*)&a, *(__half2*)&b); return *(const u32*)&r; }
__device__ __forceinline__ u32 f16_max(u32 a, u32 b) { const __half2 r = __hmax2(*(__half2*)&a, *(__half2*)&b); return *(const u32*)&r; }
__device__ __forceinline__ u32 f16_add(u32 a, u32 b) { const __half2 r = __hadd2(*(__half2*)&a, *(__half2*)&b); return *(const u32*)&r; }

// ---------------------------------------------------------------- producers
// Warp pw brings rows 16pw .. 16pw + 15 of every tile, one bulk copy a row, whatever the page size.  Rows past a segment's end repeat its last row
// (finite values; their P is 0).
struct First { int position; u32 slot; };           // an entry of kv_indices that has been loaded ahead; position -1: none
__device__ __forceinline__ void produce(const MlaParams& p, MlaStretch s, u32 ring, u32 full, u32 empty, int pw, int lane, First first) {
  for (int k = s.begin + (pw * 32 + lane) * 32; k < s.end; k += 128 * 32) prefetch_l2(p.kv_indices + k);
  const u64 policy = l2_evict_first();
  const int row = 16 * pw + (lane & 15);
  int pos = s.begin, r = s.request, segment_end = min(s.end, __ldg(p.kv_indptr + r + 1));
  auto next = [&] {                                 // the cache slot of this lane's row of the next tile
    if (pos == segment_end) {
      do r++; while (__ldg(p.kv_indptr + r + 1) <= pos);
      segment_end = min(s.end, __ldg(p.kv_indptr + r + 1));
    }
    const int count = min(BLOCK_N, segment_end - pos), at = pos + min(row, count - 1);
    pos += count;
    return MLA_EARLY && at == first.position ? first.slot : (u32)__ldg(p.kv_indices + at);
  };
  u32 now = next();
  first.position = -1;
  int slot = 0;
  u32 phase = 0;
  for (bool more = true; more;) {
    const u8* from = p.cache + (u64)now * MLA_ROW_BYTES;
    more = pos < s.end;
    if (more) now = next();
    mbar_wait_long(empty + 8 * slot, phase ^ 1);
    if (TILES_IN_FLIGHT < NUM_STAGES) {             // the tile so many before has landed; no wait before the first
      const int back = slot - TILES_IN_FLIGHT;
      mbar_wait_long(full + 8 * (back < 0 ? back + NUM_STAGES : back), back < 0 ? phase ^ 1 : phase);
    }
    if (lane == 0) mbar_expect(full + 8 * slot, 16 * MLA_ROW_BYTES);
    __syncwarp();
    if (lane < 16) bulk_copy(ring + slot * TILE_BYTES + row * ROW_PITCH, from, MLA_ROW_BYTES, full + 8 * slot, policy);
    __syncwarp();
    if (++slot == NUM_STAGES) { slot = 0; phase ^= 1; }
  }
}

// ---------------------------------------------------------------- consumers
// q of request r -> two E4M3 terms, the B operand of QK.  A warp takes one head at a time: q * 2^k with the head's maximum between 128 and 256 is
// hi + lo.  bf16's 8 significant bits are 4 + 4, so the sum is exact, but for values below 2^-9 of the head's maximum, which lose at most
// 2^-17 of it.  2^-k goes into the scale of the head's logits.
__device__ __forceinline__ void stage_q(const MlaParams& p, int r, int head0, u8* smem, int block_warp, int lane) {
  constexpr int WARPS = CONSUMERS / 32, UNITS = MLA_WIDTH / 8, N = (BLOCK_H + WARPS - 1) / WARPS;   // a unit: 16 bytes of q
  uint4 v[N][3];
  #pragma unroll
  for (int n = 0; n < N; n++) {                     // all loads first: their latency is paid once
    const int h = min(head0 + block_warp + n * WARPS, MLA_HEADS - 1);
    const uint4* from = (const uint4*)(p.q + ((u64)r * MLA_HEADS + h) * MLA_WIDTH);
    #pragma unroll
    for (int i = 0; i < 3; i++) v[n][i] = __ldg(from + min(32 * i + lane, UNITS - 1));
  }
  #pragma unroll
  for (int n = 0; n < N; n++) {
    const int h = block_warp + n * WARPS;
    if (BLOCK_H % WARPS && h >= BLOCK_H) break;
    float x[3][8], top = 0.f;
    #pragma unroll
    for (int i = 0; i < 3; i++) {
      const u32 u[4] = {v[n][i].x, v[n][i].y, v[n][i].z, v[n][i].w};
      #pragma unroll
      for (int k = 0; k < 4; k++) {
#if MLA_IO_F16
        const float2 f = unpack_f16(u[k]);
#else
        const float2 f = unpack_bf16(u[k]);
#endif
        x[i][2 * k] = f.x, x[i][2 * k + 1] = f.y;
        top = fmaxf(top, fmaxf(fabsf(f.x), fabsf(f.y)));
      }
    }
    const u32 exponent = __reduce_max_sync(~0u, __float_as_uint(top)) >> 23;      // biased; 0 for a head of zeros
    const u32 k = 261u - max(exponent, 27u);       // biased exponent of the power of two: max * 2^(k - 127) < 256
    const float up = __uint_as_float(k << 23), down = __uint_as_float((254u - k) << 23);
    u8* to = smem + AT_Q + (h >> 3) * CORE + (h & 7) * 16 + (lane & 1) * 8 + (lane >> 1) * Q_COLUMN;
    #pragma unroll
    for (int i = 0; i < 3; i++) {
      u32 hi[4], lo[4];
      #pragma unroll
      for (int k = 0; k < 4; k++) {
        const float a = x[i][2 * k] * up, b = x[i][2 * k + 1] * up;
        hi[k] = e4m3x2(a, b);
        const float2 f = unpack_f16(f16_of_e4m3x2(hi[k]));
        lo[k] = e4m3x2(a - f.x, b - f.y);
      }
      if (32 * i + lane < UNITS) {
        *(uint2*)(to + 16 * i * Q_COLUMN) = make_uint2(hi[0] | hi[1] << 16, hi[2] | hi[3] << 16);
        *(uint2*)(to + 16 * i * Q_COLUMN + HG * CORE) = make_uint2(lo[0] | lo[1] << 16, lo[2] | lo[3] << 16);
      }
    }
    if (lane == 0) ((float*)(smem + AT_SCALE))[h] = p.scale_log2 * QK_TRUNCATION * down;
  }
}
