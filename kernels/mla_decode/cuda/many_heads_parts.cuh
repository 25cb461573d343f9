// The parts of many_heads.cu: its config, its shared memory and its list of tiles.
#pragma once
#include "common.cuh"
#include "many_heads_ptx.cuh"

#ifndef BLOCK_N
#define BLOCK_N 64            // tokens a tile; wgmma's M, hence the only value
#endif
#ifndef NUM_STAGES
#define NUM_STAGES 9          // blocks of 64 widths on their way to registers (8 registers a thread each; bf16: 16): 1, 3 or 9 = a whole tile ahead
#endif
#ifndef A_BUFS
#define A_BUFS 2              // half blocks of converted values that wgmma may still be reading (8 registers each): 2 or 3
#endif
// Registers a thread.  Both multiples of 8, 2 * MLA_PV_REGS + MLA_QK_REGS <= 504 (what 384 threads start with: 3 * 168; more and setmaxnreg waits for ever).
#ifndef MLA_PV_REGS
#define MLA_PV_REGS 160       // under 154 ptxas has no room for m64n256k16
#endif
#ifndef MLA_QK_REGS
#define MLA_QK_REGS 184
#endif
#ifndef MLA_L2_AHEAD
#define MLA_L2_AHEAD 1        // 1: a tile's rows are prefetched into L2 four tiles ahead
#endif
#ifndef MLA_DIRECT
#define MLA_DIRECT 0          // 1: a request that lies in one worker is written to out and lse at once; stage 2 must skip it
#endif
#ifndef MLA_DIAG
#define MLA_DIAG 0            // timing only, wrong results: sum of 1 no cache loads, 2 no PV, 4 no QK, 8 no V stores
#endif

static_assert(BLOCK_N == 64, "a tile has 64 tokens");
static_assert(9 % NUM_STAGES == 0, "NUM_STAGES divides the nine blocks of 64 widths");
static_assert(!(MLA_KV_BYTES == 2 && NUM_STAGES > 3), "bf16 rows: three blocks at most fit the registers");
static_assert(A_BUFS == 2 || A_BUFS == 3, "A_BUFS divides the eighteen half blocks");
static_assert(MLA_LATENT == 512 && MLA_ROPE == 64, "widths");

#define MH_THREADS 384
#define MH_HEADS 64
#define MOVE_AT 13.f          // P of f16 stays under 2^13 ...
#define HEADROOM 5.f          // ... and a head's largest P is 2^5 when its reference is set: room for small P above f16's subnormals

// shared memory, absolute byte addresses: constant addresses and descriptors cost no registers
#define SM_BASE 1024                            // where dynamic shared memory begins on sm_90 (checked at start); swizzled tiles want multiples of 1024
#define SM_Q SM_BASE                            // [9 blocks of 64 widths][64 heads][64] 16-bit, 128-byte swizzle, widths permuted
#define SM_V (SM_Q + 9 * 8192)                  // [2][8 blocks][64 tokens][64]
#define SM_P (SM_V + 2 * 65536)                 // [2][64 heads][64 tokens]
#define SM_REF (SM_P + 2 * 8192)                // [64] f32: references
#define SM_ALPHA (SM_REF + 256)                 // [2][64] f32: what O shrinks by before this slot's tile
#define SM_REF_END (SM_ALPHA + 512)             // [2][64] f32: references at a segment's last tile
#define SM_ROWS (SM_REF_END + 512)              // [4][64] i32: cache slots of a tile's rows
#define SM_TILES (SM_ROWS + 1024)               // [8] {tokens << 4 | flags, request}
#define SM_FLAG (SM_TILES + 64)                 // [2] u32: 1 = O must be rescaled
#define SM_BARS (SM_FLAG + 8)                   // full[2], empty[2]
#define SM_END (SM_BARS + 32)
#define SM_TOTAL (SM_END - SM_BASE)             // 223,592

// ---------------------------------------------------------------- the list of tiles
// A worker's tiles are numbered through its segments; tile n lies in slot n & 1.  What a tile is and the cache slots of its rows stand in a
// ring of 8 entries in shared memory, written four tiles ahead by two warps of a PV warpgroup, which have time for it.
#define FIRST 1               // of its segment
#define LAST 2
#define WHOLE 4               // the segment is all of its request
#define AFTER_FIRST 8         // the tile before is its segment's first
struct Tiles { int request, at, end, flags; };  // the tile's first token on the line, and where its segment ends
__device__ __forceinline__ void enter(Tiles& t, const MlaParams& p, int stop) {   // t.at: first token of a segment; finds request and end
  if (t.at >= stop) return;
  int e;
  while ((e = __ldg(p.kv_indptr + t.request + 1)) <= t.at) t.request++;
  t.flags = (t.flags & AFTER_FIRST) | FIRST | (e <= stop && t.at == __ldg(p.kv_indptr + t.request) ? WHOLE : 0);
  t.end = min(stop, e);
}
__device__ __forceinline__ void next_tile(Tiles& t, const MlaParams& p, int stop) {
  t.at += BLOCK_N;
  t.flags = (t.flags & WHOLE) | (t.flags & FIRST ? AFTER_FIRST : 0);
  if (t.at >= t.end) { t.at = t.end; enter(t, p, stop); }
}
// rows past a segment's end repeat its last one: finite, and P = 0
__device__ __forceinline__ int tile_slot(const Tiles& t, const MlaParams& p, int stop, int row) {
  return t.at < stop ? __ldg(p.kv_indices + min(t.at + row, t.end - 1)) : 0;
}
__device__ __forceinline__ void list_tile(int n, const Tiles& t, int stop, int row, int slot) {
  sts4(SM_ROWS + (n & 3) * 256 + row * 4, slot);
  if (row == 0) {
    const int count = t.at < stop ? min(BLOCK_N, t.end - t.at) : 0;              // 0: no tile
    sts4(SM_TILES + (n & 7) * 8, count << 4 | (count ? t.flags | (t.at + BLOCK_N >= t.end ? LAST : 0) : t.flags & AFTER_FIRST));
    sts4(SM_TILES + (n & 7) * 8 + 4, t.request);
  }
}
#define TILE(n) lds4(SM_TILES + ((n) & 7) * 8)                              // tokens << 4 | flags
#define TILE_REQUEST(n) (int)lds4(SM_TILES + ((n) & 7) * 8 + 4)
