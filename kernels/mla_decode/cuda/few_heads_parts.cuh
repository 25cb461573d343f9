// The parts of few_heads.cu: its config, its shared memory, matrix instructions and their operands, the loading warps.
#pragma once
#include "common.cuh"

#ifndef BLOCK_N
#define BLOCK_N 64          // tokens of a tile: wgmma's M
#endif
#if BLOCK_N != 64
#error "BLOCK_N: 64"
#endif
#ifndef BLOCK_H
#define BLOCK_H 16          // query heads of a block: 8, 16, 24 or 32 (wgmma's N)
#endif
#ifndef NUM_GROUPS
#define NUM_GROUPS 3        // computing warpgroups of a block, 1 to 3; each takes every NUM_GROUPS-th tile.  With 1, two blocks fit an SM
#endif
#ifndef NUM_STAGES           // ring slots of 16 token rows: at least 4, or 4 * (NUM_GROUPS + 1) with FUSED; these defaults fill shared memory
#if MLA_KV_BF16
#define NUM_STAGES (NUM_GROUPS == 1 ? 4 : 9)
#elif BLOCK_H > 16
#define NUM_STAGES 16
#else
#define NUM_STAGES (NUM_GROUPS == 1 ? 9 : 20)
#endif
#endif
#ifndef FUSED
#define FUSED 0             // 1: PV of a tile and QK of the warpgroup's next one as one stream of instructions (more registers and ring slots)
#endif
#ifndef DEPTH
#if BLOCK_H > 24 || (MLA_KV_BF16 && NUM_GROUPS == 2)
#define DEPTH 1             // steps of two wgmmas in flight (two of each product when fused); 8 (16) registers a step
#elif NUM_GROUPS == 1 && !FUSED
#define DEPTH 4
#else
#define DEPTH 2
#endif
#endif
#ifndef FEW_HEADS_MODE
#define FEW_HEADS_MODE 0    // measuring aid.  0: all; 1: rows are loaded and dropped; 2: arithmetic on whatever the ring holds, no loads
#endif
// Registers a thread at launch (CONSUMER_REGS and PRODUCER_REGS after setmaxnreg): (NUM_GROUPS + 1) * LAUNCH_REGS = NUM_GROUPS * CONSUMER_REGS
// + PRODUCER_REGS, all multiples of 8.  Where 65536 leaves room, a block of stage 2 can start beside stage 1.
#ifndef CONSUMER_REGS
#if NUM_GROUPS == 1 && BLOCK_H <= 16 && !FUSED
#define LAUNCH_REGS 112     // two blocks an SM leave 8192 registers
#define CONSUMER_REGS 192
#define PRODUCER_REGS 32
#elif NUM_GROUPS == 1
#define LAUNCH_REGS 128
#define CONSUMER_REGS 216
#define PRODUCER_REGS 40
#elif NUM_GROUPS == 2 && BLOCK_H <= 16
#define LAUNCH_REGS 152     // leaves 7168
#define CONSUMER_REGS 208
#define PRODUCER_REGS 40
#elif NUM_GROUPS == 2
#define LAUNCH_REGS 168
#define CONSUMER_REGS 232
#define PRODUCER_REGS 40
#else
#define LAUNCH_REGS 128
#define CONSUMER_REGS 160
#define PRODUCER_REGS 32
#endif
#endif
#if (NUM_GROUPS + 1) * LAUNCH_REGS < NUM_GROUPS * CONSUMER_REGS + PRODUCER_REGS
#error "setmaxnreg would wait for ever: the roles ask for more registers than the block owns"
#endif
#if NUM_STAGES < 4 || (FUSED && NUM_STAGES < 4 * (NUM_GROUPS + 1))
#error "NUM_STAGES: the ring must hold every tile that a warpgroup waits for while it still holds one"
#endif

#if MLA_KV_BF16
#define ROW_PITCH 1232      // bytes of a token row in shared memory: 1152 + 80; = 80 mod 128, see row_of()
#define QK_CHUNKS 18        // 64-byte chunks of a row
#define MMA_TYPES "f32.bf16.bf16"
#else
#define ROW_PITCH 592       // 576 + 16; = 80 mod 128
#define QK_CHUNKS 9
#define MMA_TYPES "f32.f16.f16"
#endif

#define SLOT_ROWS 16        // token rows of a ring slot: what one warp multiplies in QK, one k-step of PV
#define SLOT_BYTES (SLOT_ROWS * ROW_PITCH)
#define CONSUMERS (NUM_GROUPS * 128)
#define THREADS (CONSUMERS + 128)
#define HG (BLOCK_H / 8)    // groups of 8 heads
#define CORE 128            // bytes of a core matrix: 8 rows of 16 bytes, what wgmma's no-swizzle layout is made of
#define KSTEP_BYTES (2 * HG * CORE)   // of a B operand: 16 k x BLOCK_H heads
#define D_REGS (BLOCK_H / 2)          // f32 registers of a 64 x BLOCK_H accumulator

// Shared memory: ring | q [36 k-steps] | P [NUM_GROUPS][2 buffers][4 k-steps] | m and l of each warpgroup | reductions | full and empty barriers.
// At a segment's end q and P hold the outputs of all warpgroups but the first, in f16.
#define AT_Q (NUM_STAGES * SLOT_BYTES)
#define AT_P (AT_Q + (MLA_WIDTH / 16) * KSTEP_BYTES)
#define P_BYTES (4 * KSTEP_BYTES)
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define AT_ML MAX(AT_P + NUM_GROUPS * 2 * P_BYTES, AT_Q + (NUM_GROUPS - 1) * MLA_LATENT * BLOCK_H * 2)   // [NUM_GROUPS][2][BLOCK_H] f32
#define AT_RED (AT_ML + NUM_GROUPS * 2 * BLOCK_H * 4)                                                    // [NUM_GROUPS][4 warps][BLOCK_H] f32
#define AT_BARS (AT_RED + NUM_GROUPS * 4 * BLOCK_H * 4)
#define FEW_HEADS_SMEM (AT_BARS + 2 * NUM_STAGES * 8)

// The token (of 16) behind row r of a wgmma fragment.  Rows 2i and 2i + 1 are tokens 4 apart mod 8 (QK: two 64-byte pieces at the row pitch, 80
// mod 128, fall into different banks); rows 0, 2, 4, 6 are tokens 0, 2, 4, 6 (PV: four 32-byte pieces cover the 32 banks).
__device__ __forceinline__ constexpr int row_of(int r) {
  const int half = r >> 3, i = (r & 7) & ~1;
  return (r & 1) ? 8 + (i + 4) % 8 + half : i + half;
}

// D [64 x BLOCK_H] (+)= A [64 x 16] B [16 x BLOCK_H].  lane = 4g + t, warp w: A a0 = (row 16w + g; k 2t, 2t+1), a1 = (row + 8), a2 = (k + 8),
// a3 = (both); D d[4i], d[4i+1] = (row 16w + g; heads 8i + 2t, + 1), d[4i+2], d[4i+3] = (row + 8).
// B's descriptor: no swizzle, core matrices HG * 128 bytes apart along k and 128 apart along heads.  `b` is its lower word, see b_desc(): 14 bits
// of address / 16, so an offset is added as bytes / 16.
#define B_DESC_HIGH (CORE >> 4)
__device__ __forceinline__ u32 b_desc(u32 addr) { return (addr >> 4) | ((HG * CORE) >> 4) << 16; }
template <int TRANS_B>
__device__ __forceinline__ void wgmma(float (&d)[D_REGS], const u32* a, u32 b, int accumulate) {
  u64 desc;
  asm("mov.b64 %0, {%1, %2};" : "=l"(desc) : "r"(b), "n"(B_DESC_HIGH));
#define A_REGS "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(desc), "r"(accumulate), "n"(TRANS_B)
#if BLOCK_H == 8
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %9, 0;\nwgmma.mma_async.sync.aligned.m64n8k16." MMA_TYPES
    " {%0,%1,%2,%3}, {%4,%5,%6,%7}, %8, p, 1, 1, %10;\n}"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : A_REGS);
#elif BLOCK_H == 16
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %13, 0;\nwgmma.mma_async.sync.aligned.m64n16k16." MMA_TYPES
    " {%0,%1,%2,%3,%4,%5,%6,%7}, {%8,%9,%10,%11}, %12, p, 1, 1, %14;\n}"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]) : A_REGS);
#elif BLOCK_H == 24
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %17, 0;\nwgmma.mma_async.sync.aligned.m64n24k16." MMA_TYPES
    " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11}, {%12,%13,%14,%15}, %16, p, 1, 1, %18;\n}"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
      "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]) : A_REGS);
#else
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %21, 0;\nwgmma.mma_async.sync.aligned.m64n32k16." MMA_TYPES
    " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, p, 1, 1, %22;\n}"
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
      "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]) : A_REGS);
#endif
}
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> __device__ __forceinline__ void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }

__device__ __forceinline__ void consumers_sync() { asm volatile("bar.sync 1, %0;" :: "n"(CONSUMERS) : "memory"); }
__device__ __forceinline__ void group_sync(int group) { asm volatile("bar.sync %0, 128;" :: "r"(2 + group) : "memory"); }
__device__ __forceinline__ bool group_sync_or(int group, bool flag) {   // the same barrier, and an OR over the warpgroup
  u32 r;
  asm volatile("{\n.reg .pred p, q;\nsetp.ne.u32 p, %1, 0;\nbar.red.or.pred q, %2, 128, p;\nselp.u32 %0, 1, 0, q;\n}"
               : "=r"(r) : "r"((u32)flag), "r"(2 + group) : "memory");
  return r;
}
__device__ __forceinline__ uint4 lds128(u32 addr) {
  uint4 v;
  asm volatile("ld.shared.v4.b32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(addr) : "memory");
  return v;
}

// ---------------------------------------------------------------- producers
// Every 16 tokens of a segment are one slot; warp pw fills the slots whose number is pw mod 4.  Rows past a segment's end repeat its last row
// (finite values; their P is 0), so a slot is always 16 rows.
__device__ __forceinline__ void produce(const MlaParams& p, MlaStretch s, u32 ring, u32 full, u32 empty, int pw, int lane) {
  for (int k = s.begin + (pw * 32 + lane) * 32; k < s.end; k += 128 * 32) prefetch_l2(p.kv_indices + k);
  const u64 policy = l2_evict_first();
  int pos = s.begin, r = s.request, segment_end = min(s.end, __ldg(p.kv_indptr + r + 1));
  int at = 0, rows = 0;                             // of this warp's next slot; no rows: the end
  auto next_four = [&] {
    if (segment_end - pos >= 64) { at = pos + 16 * pw; rows = 16; pos += 64; return; }
    rows = 0;
    for (int i = 0; i < 4; i++) {
      if (pos == segment_end && pos < s.end) {
        do r++; while (__ldg(p.kv_indptr + r + 1) <= pos);
        segment_end = min(s.end, __ldg(p.kv_indptr + r + 1));
      }
      const int c = min(SLOT_ROWS, segment_end - pos);
      if (i == pw) { at = pos; rows = c; }
      pos += c;
    }
  };
  auto cache_slot = [&] { return rows ? __ldg(p.kv_indices + at + min(lane & 15, rows - 1)) : 0; };
  next_four();
  int row = cache_slot(), slot = pw, phase = 0;
  while (rows) {
    next_four();
    const int next_row = cache_slot();
    mbar_wait_long(empty + 8 * slot, phase ^ 1);
    if (lane == 0) mbar_expect(full + 8 * slot, SLOT_ROWS * MLA_ROW_BYTES);
    __syncwarp();
    if (lane < SLOT_ROWS)
      bulk_copy(ring + slot * SLOT_BYTES + lane * ROW_PITCH, p.cache + (u64)(u32)row * MLA_ROW_BYTES, MLA_ROW_BYTES, full + 8 * slot, policy);
    __syncwarp();
    row = next_row;
    slot += 4;
    if (slot >= NUM_STAGES) { slot -= NUM_STAGES; phase ^= 1; }
  }
}

// ---------------------------------------------------------------- consumers
// q of request r -> B operand of QK.  A thread's 16 bytes of K at 64c + 16t give the chunk's k-steps j: its 4 widths 4j .. 4j + 3 are
// k = 2t, 2t + 1, 2t + 8, 2t + 9.  q follows that order.  Core matrices [k-step][k half][head group]: 8 heads x 8 k.
// Warp w takes head groups w / 2, w / 2 + 2, and of every 64 widths (two k-step pairs) the one pair w % 2.
__device__ __forceinline__ void stage_q(const MlaParams& p, int r, int head0, u8* smem, int wg, int warp, int g, int t) {
  const int pair = warp & 1;
  #pragma unroll
  for (int group = warp >> 1; group < HG; group += 2) {
    const int h = head0 + 8 * group + g;
    const io_t* from = p.q + ((u64)r * MLA_HEADS + min(h, MLA_HEADS - 1)) * MLA_WIDTH + (MLA_KV_BYTES == 2 ? 8 * t + 32 * pair : 16 * t + 8 * pair);
    u8* to = smem + AT_Q + 2 * pair * KSTEP_BYTES + group * CORE + g * 16 + t * 4;
    constexpr int N = (9 + NUM_GROUPS - 1) / NUM_GROUPS;   // of the nine stretches of 64 widths, those of this warpgroup
    uint4 v[N];
    #pragma unroll
    for (int n = 0; n < N; n++) v[n] = __ldg((const uint4*)(from + 64 * min(wg + NUM_GROUPS * n, 8)));
    #pragma unroll
    for (int n = 0; n < N; n++) {
      const int i = min(wg + NUM_GROUPS * n, 8);
      const u32 w[4] = {q_operand(v[n].x), q_operand(v[n].y), q_operand(v[n].z), q_operand(v[n].w)};
      #pragma unroll
      for (int k = 0; k < 4; k++) *(u32*)(to + (4 * i + k / 2) * KSTEP_BYTES + (k & 1) * HG * CORE) = h < MLA_HEADS ? w[k] : 0u;
    }
  }
}

#define STR_(x) #x
#define STR(x) STR_(x)

// A step is two wgmmas of QK (18 of them make a tile's S^T) or two of PV (16 make its O^T).  Their A fragments: 8 registers, filled while earlier
// steps are in flight.
#define QK_STEPS (MLA_WIDTH / 32)
#define PV_STEPS 16
#define STEPS_PER_CHUNK (QK_STEPS / QK_CHUNKS)
struct Step { u32 a[8]; };
template <bool B> struct Flag { static constexpr bool on = B; };

// Keeps a step's registers in front of the next wgmma.fence: the compiler would move bf16's plain permutes behind it and serialise the wgmmas.
__device__ __forceinline__ void pin(Step& f) {
#if MLA_KV_BF16
  #pragma unroll
  for (int i = 0; i < 8; i++) asm volatile("" : "+r"(f.a[i]));
#endif
}

// QK: 32 widths of two token rows, from 16 bytes of each; FP8 has 64 widths there and `part` picks 32.
__device__ __forceinline__ void k_fragments(Step& f, uint4 lo_row, uint4 hi_row, int part) {
  const u32 x[4] = {lo_row.x, lo_row.y, lo_row.z, lo_row.w}, y[4] = {hi_row.x, hi_row.y, hi_row.z, hi_row.w};
  #pragma unroll
  for (int j = 0; j < 2; j++) {
#if MLA_KV_BF16
    f.a[4*j] = x[2*j]; f.a[4*j+1] = y[2*j]; f.a[4*j+2] = x[2*j+1]; f.a[4*j+3] = y[2*j+1];
#else
    e4m3x4_to_f16(x[2*part + j], f.a[4*j], f.a[4*j+2]);
    e4m3x4_to_f16(y[2*part + j], f.a[4*j+1], f.a[4*j+3]);
#endif
  }
  pin(f);
}

// PV: two of the eight 64-width tiles of a k-step.  The bytes of two tokens side by side, then converted, are the fragment.
__device__ __forceinline__ void v_fragments(Step& f, const uint4 (&v)[4], int part) {
  #pragma unroll
  for (int k = 0; k < 2; k++) {                     // tokens 2t, 2t + 1, then 2t + 8, 2t + 9 of the fragment
    const u32 x[4] = {v[2*k].x, v[2*k].y, v[2*k].z, v[2*k].w}, y[4] = {v[2*k+1].x, v[2*k+1].y, v[2*k+1].z, v[2*k+1].w};
#if MLA_KV_BF16
    #pragma unroll
    for (int j = 0; j < 2; j++) {
      f.a[4*j + 2*k] = __byte_perm(x[2*(part & 1) + j], y[2*(part & 1) + j], 0x5410);
      f.a[4*j + 2*k + 1] = __byte_perm(x[2*(part & 1) + j], y[2*(part & 1) + j], 0x7632);
    }
#else
    e4m3x4_to_f16(__byte_perm(x[part], y[part], 0x5140), f.a[2*k], f.a[2*k + 1]);
    e4m3x4_to_f16(__byte_perm(x[part], y[part], 0x7362), f.a[4 + 2*k], f.a[4 + 2*k + 1]);
#endif
  }
  pin(f);
}
