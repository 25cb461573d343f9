// The parts of many_heads_fp8.cu: its config, its shared memory, its list of tiles and its PTX.
#pragma once
#include "common.cuh"
#include "many_heads_ptx.cuh"

#ifndef BLOCK_N
#define BLOCK_N 64            // tokens a tile; wgmma's M, hence the only value
#endif
#ifndef BLOCK_H
#define BLOCK_H 64            // query heads a block: 16, 32 or 64
#endif
#define LOADERS (BLOCK_H < 64)    // a fifth warpgroup brings the rows: with 64 heads there are no registers for it
// Registers a thread, multiples of 8.  Of two warpgroups of PV, two of QK and the loading one together at most what they start with: 4 * 128, or
// 5 * 96.
#ifndef MF_PV_REGS
#define MF_PV_REGS (LOADERS ? 120 : 168)
#endif
#ifndef MF_QK_REGS
#define MF_QK_REGS (LOADERS ? 96 : 88)
#endif
#ifndef MF_LOAD_REGS
#define MF_LOAD_REGS 40
#endif
#ifndef TILES_IN_FLIGHT
#define TILES_IN_FLIGHT 2     // tiles on their way at most (LOADERS), as in few_heads_fp8_parts.cuh
#endif
#ifndef A_BUFS
#define A_BUFS 2              // QK: steps of 32 widths whose converted values wgmma may still be reading (8 registers each)
#endif
#ifndef RAW_BUFS
#define RAW_BUFS 3            // QK: steps of 32 widths whose bytes are in registers or on their way (4 registers each)
#endif
#ifndef PV_BUFS
#define PV_BUFS 2             // PV: steps of 16 tokens whose converted values wgmma may still be reading (4 registers each)
#endif
#ifndef PV_RAW
#define PV_RAW 2              // PV: steps of 32 tokens whose bytes are in registers or on their way (4 registers each)
#endif
#ifndef MF_DIAG
#define MF_DIAG 0             // timing only, wrong results: sum of 1 no cache loads, 2 no PV products, 4 no QK products, 8 no softmax
#endif

#if MLA_KV_BF16
#error "many_heads_fp8.cu reads E4M3 caches"
#endif
static_assert(BLOCK_N == 64, "a tile has 64 tokens");
static_assert(MLA_LATENT == 512 && MLA_ROPE == 64, "widths");
static_assert(BLOCK_H == 16 || BLOCK_H == 32 || BLOCK_H == 64, "heads");
static_assert(2 * (MF_PV_REGS + MF_QK_REGS) + LOADERS * MF_LOAD_REGS <= (LOADERS ? 480 : 512), "setmaxnreg would wait for ever");

#define MF_THREADS (LOADERS ? 640 : 512)
#define MF_HEADS BLOCK_H
#define HG (MF_HEADS / 8)
#define MOVE_AT 15.f          // P of f16 stays under 2^15 ...
#define HEADROOM -2.f         // ... and a head's largest P is 2^-2 when its reference is set: 17 octaves until it moves, subnormal P 2^22 below the largest

#if LOADERS
#define TILE_SLOTS 4
#define PLACES 8              // with 4, a product of tile n - 4 could still read the place that tile n's P goes to
#define PITCH 592             // rows come one by one: 80 mod 128, so ldmatrix's eight rows hit all banks
#else
#define TILE_SLOTS 3
#define PLACES 4
// Token rows lie at 576 bytes as in the cache, so that lines of 128 bytes are lines in both (where row and cache slot are both even or both odd;
// elsewhere it costs time alone).  Within each 64 bytes the pieces of 16 change places, piece i to i ^ (row / 2) % 4: 8 rows' pieces at one
// column then lie in 8 different groups of banks.
#define PITCH 576
#endif
#define TILE_BYTES (64 * PITCH)
#define Q_BLOCK (MF_HEADS * 128)                // bytes of 64 widths of q, and of a tile's P
#define A_HEAD (MF_HEADS * 4)                   // bytes of a number a head

// Shared memory, absolute byte addresses: constant addresses and descriptors cost no registers.
#define SM_BASE 1024                            // where dynamic shared memory begins on sm_90 (checked at start); swizzled tiles want multiples of 1024
#define SM_Q SM_BASE                            // [9 blocks of 64 widths][heads][64] f16, 128-byte swizzle, widths permuted
#define SM_P (SM_Q + 9 * Q_BLOCK)               // [PLACES][heads][64 tokens] f16, 128-byte swizzle
#define SM_TILE (SM_P + PLACES * Q_BLOCK)       // [TILE_SLOTS][64 tokens][PITCH] E4M3
#define SM_REF (SM_TILE + TILE_SLOTS * TILE_BYTES)   // [heads] f32: references
#define SM_REF_END (SM_REF + A_HEAD)            // [PLACES][heads] f32: references at a segment's last tile
#define SM_ALPHA (SM_REF_END + PLACES * A_HEAD) // [PLACES][heads] f32: what O shrinks by before this tile
#define SM_SUMS (SM_ALPHA + PLACES * A_HEAD)    // [256 / heads][heads] f32: a segment's sums of P over a part of each tile
#define SM_FACTOR (SM_SUMS + 1024)              // [heads] f32: what O is multiplied by at a segment's end
#define SM_LIST (SM_FACTOR + A_HEAD)            // [16] Tile
#define SM_FLAGS (SM_LIST + 256)                // [PLACES] u32: flags of the tile whose P is in this place, MOVED among them
#define SM_EMPTY (SM_FLAGS + 4 * PLACES)        // [TILE_SLOTS] mbarriers: a slot's rows have been read
#define SM_READY (SM_EMPTY + 8 * TILE_SLOTS)    // [PLACES] mbarriers: a tile's P is there
#define SM_DECIDED (SM_READY + 8 * PLACES)      // mbarrier: the references that hold from this tile on are there
#define SM_FULL (SM_DECIDED + 8)                // [TILE_SLOTS] mbarriers: a slot's rows have landed (LOADERS)
#define SM_END (SM_FULL + (LOADERS ? 8 * TILE_SLOTS : 0))
#define SM_TOTAL (SM_END - SM_BASE)
static_assert(SM_TOTAL <= 232448, "shared memory");

// ---------------------------------------------------------------- the list of tiles
// A worker's tiles are numbered through its segments.  They stand in a ring of 16, listed ten ahead.
#define FIRST 1               // of its segment
#define WHOLE 2               // the segment is all of its request
#define LAST 4                // of its segment
#define FINAL 8               // of the worker
#define MOVED 16              // references moved: O must be rescaled
#define REAL 32               // there is such a tile
#define NEW_Q 64              // its request's q is not in shared memory yet
#define LISTED 10
struct Tile { int at, end, request, flags; };   // its first token on the line, where its segment ends (at >= end: no tile)
__device__ __forceinline__ Tile with_ends(Tile t, int stop) {
  t.flags |= t.at + BLOCK_N >= t.end ? LAST | (t.end >= stop ? FINAL : 0) : 0;
  return t;
}
__device__ __forceinline__ Tile segment(const MlaParams& p, int at, int request, int stop) {   // the tile that begins a segment at `at`
  Tile t = {at, at, request, 0};
  if (at >= stop) return t;
  int e;
  while ((e = __ldg(p.kv_indptr + t.request + 1)) <= at) t.request++;
  t.flags = REAL | FIRST | NEW_Q | (e <= stop && at == __ldg(p.kv_indptr + t.request) ? WHOLE : 0);
  t.end = min(stop, e);
  return with_ends(t, stop);
}
__device__ __forceinline__ Tile after(const Tile& t, const MlaParams& p, int stop) {
  if (t.at + BLOCK_N < t.end) return with_ends(Tile{t.at + BLOCK_N, t.end, t.request, t.flags & (REAL | WHOLE)}, stop);
  return segment(p, t.end, t.request, stop);
}
__device__ __forceinline__ void list_tile(int n, const Tile& t) {
  asm volatile("st.shared.v4.b32 [%0], {%1,%2,%3,%4};" :: "r"(SM_LIST + (n & 15) * 16), "r"(t.at), "r"(t.end), "r"(t.request), "r"(t.flags) : "memory");
}
__device__ __forceinline__ u32 listed_flags(int n) { return lds4(SM_LIST + (n & 15) * 16 + 12); }
__device__ __forceinline__ Tile listed(int n) {
  const uint4 v = lds16(SM_LIST + (n & 15) * 16);
  return Tile{(int)v.x, (int)v.y, (int)v.z, (int)v.w};
}

// ---------------------------------------------------------------- PTX
__device__ __forceinline__ void ldmatrix4(u32 (&r)[4], u32 a) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(a) : "memory");
}
__device__ __forceinline__ void ldmatrix4_trans(u32 (&r)[4], u32 a) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(a) : "memory");
}
// 16 bytes, past L1; the offsets go into the instruction
template <int TO, int FROM> __device__ __forceinline__ void copy16(u32 to, u64 from) {
  asm volatile("cp.async.cg.shared.global.L2::256B [%0 + %2], [%1 + %3], 16;" :: "r"(to), "l"(from), "n"(TO), "n"(FROM) : "memory");
}
__device__ __forceinline__ void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void copies_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); }
__device__ __forceinline__ void sts16(u32 a, u32 x, u32 y, u32 z, u32 w) {
  asm volatile("st.shared.v4.b32 [%0], {%1,%2,%3,%4};" :: "r"(a), "r"(x), "r"(y), "r"(z), "r"(w) : "memory");
}
