// The parts of many_heads_fp8.cu: its config, its shared memory, its list of tiles, its PTX, and the ways in which rows come.
#pragma once
#include "common.cuh"
#include "many_heads_ptx.cuh"

#ifndef BLOCK_N
#define BLOCK_N 64            // tokens a tile; wgmma's M, hence the only value
#endif
#ifndef BLOCK_H
#define BLOCK_H 64            // query heads a block: 16, 32 or 64
#endif
#ifndef CLUSTER
#define CLUSTER 1             // 2: the two blocks of 65 to 128 heads are a cluster, and each brings half of every tile's rows to both
#endif
#define LOADERS (BLOCK_H < 64)    // a fifth warpgroup brings the rows: with 64 heads there are no registers for it
#define BULK (LOADERS || CLUSTER > 1)   // rows come by bulk copies, which an mbarrier counts; otherwise each QK warp brings its own by cp.async
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
static_assert(CLUSTER == 1 || CLUSTER == 2 && BLOCK_H == 64 && MLA_HEADS > 64 && MLA_HEADS <= 128, "a cluster is two blocks of 64 heads");
static_assert(2 * (MF_PV_REGS + MF_QK_REGS) + LOADERS * MF_LOAD_REGS <= (LOADERS ? 480 : 512), "setmaxnreg would wait for ever");

#define MF_THREADS (LOADERS ? 640 : 512)
#define MF_HEADS BLOCK_H
#define HG (MF_HEADS / 8)
#define WRITER_FENCES (CLUSTER > 1)   // P is fenced by the QK warps that write it.  Without a cluster, their fence would wait for their cp.async
#define MOVE_AT 15.f          // P of f16 stays under 2^15 ...
#define HEADROOM -2.f         // ... and a head's largest P is 2^-2 when its reference is set: 17 octaves until it moves, subnormal P 2^22 below the largest

// A slot has a tile's rows.  Row r of a product (and of P) lies at row_offset(r) and is the tile's token token_of(r); r + 8 and r + 32 are constants away.
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
#if CLUSTER == 1
#define TILE_BYTES (64 * PITCH)
__device__ __forceinline__ constexpr int row_offset(int r) { return r * PITCH; }
__device__ __forceinline__ int token_of(int r) { return r; }
#else
// Four strips of 16 rows as they lie in the cache, so that one copy brings a strip, 16 bytes apart.  Rows 2 k and 2 k + 1 of every strip make eight
// rows of a product: at one column they lie in 8 different groups of banks.
#define STRIP (16 * PITCH + 16)
#define TILE_BYTES (4 * STRIP)
__device__ __forceinline__ constexpr int row_offset(int r) { return ((r >> 1) & 3) * STRIP + (r >> 3) * 2 * PITCH + (r & 1) * PITCH; }
__device__ __forceinline__ int token_of(int r) { r = opaque(r); return ((r >> 1) & 3) * 16 + (r >> 3) * 2 + (r & 1); }   // rare: no register for it
#endif
constexpr int TOKEN_8_ON = CLUSTER > 1 ? 2 : 8; // token_of(r + 8) - token_of(r)

// Where a lane reads step I: of 32 widths in QK, of 16 in PV.  BULK: no pieces change places.
__device__ __forceinline__ int swapped(int row) { return BULK ? 0 : (row >> 1) & 3; }
template <int I> __device__ __forceinline__ u32 k_step(u32 a) { return BULK ? a + 32 * I : (I & 1 ? flip<32>(a) : a) + 64 * (I >> 1); }
template <int I> __device__ __forceinline__ u32 v_step(u32 a) { if constexpr (BULK || I == 0) return a + 16 * I; else return flip<16 * I>(a); }

// A tile's slot, and the parity of the slot's round: from the tile's number where there are four, else from the slot of the tile before.
#if LOADERS
struct Slot {
  u32 n;
  __device__ __forceinline__ u32 at() const { return n % TILE_SLOTS; }
  __device__ __forceinline__ u32 parity() const { return n / TILE_SLOTS & 1; }
};
__device__ __forceinline__ Slot slot_before(int) { return {}; }
__device__ __forceinline__ Slot slot_of(u32 n, Slot) { return {n}; }
__device__ __forceinline__ Slot two_on(Slot s) { return s; }
#else
struct Slot {
  u32 slot, round;
  __device__ __forceinline__ u32 at() const { return slot; }
  __device__ __forceinline__ u32 parity() const { return round; }
};
__device__ __forceinline__ Slot slot_before(int n) { return {n ? 0u : TILE_SLOTS - 1, n ? 0u : 1u}; }   // of tile n - 1: -1 or 0
__device__ __forceinline__ Slot slot_of(u32, Slot before) {
  return before.slot == TILE_SLOTS - 1 ? Slot{0, before.round ^ 1} : Slot{before.slot + 1, before.round};
}
__device__ __forceinline__ Slot two_on(Slot s) {
  s.slot += 2;
  if (s.slot >= TILE_SLOTS) { s.slot -= TILE_SLOTS; s.round ^= 1; }
  return s;
}
#endif

#define Q_BLOCK (MF_HEADS * 128)                // bytes of 64 widths of q, and of a tile's P
#define A_HEAD (MF_HEADS * 4)                   // bytes of a number a head

// Shared memory, absolute byte addresses: constant addresses and descriptors cost no registers.  In a cluster, addresses begin with the block's rank:
// descriptors have no room for it and name the own block, all other addresses get Cluster::own added.
#define SM_BASE 1024                            // where dynamic shared memory begins on sm_90 (checked at start); swizzled tiles want multiples of 1024
#define SM_Q SM_BASE                            // [9 blocks of 64 widths][heads][64] f16, 128-byte swizzle, widths permuted
#define SM_P (SM_Q + 9 * Q_BLOCK)               // [PLACES][heads][64 tokens] f16, 128-byte swizzle
#define SM_TILE (SM_P + PLACES * Q_BLOCK)       // [TILE_SLOTS] tiles, E4M3
#define SM_REF (SM_TILE + TILE_SLOTS * TILE_BYTES)   // [heads] f32: references
#define SM_REF_END (SM_REF + A_HEAD)            // [PLACES][heads] f32: references at a segment's last tile
#define SM_ALPHA (SM_REF_END + PLACES * A_HEAD) // [PLACES][heads] f32: what O shrinks by before this tile
#define SM_SUMS (SM_ALPHA + PLACES * A_HEAD)    // [256 / heads][heads] f32: a segment's sums of P over a part of each tile
#define SM_FACTOR (SM_SUMS + 1024)              // [heads] f32: what O is multiplied by at a segment's end
#define SM_LIST (SM_FACTOR + A_HEAD)            // [16] Tile
#define SM_FLAGS (SM_LIST + 256)                // [PLACES] u32: flags of the tile whose P is in this place, MOVED among them
#define SM_EMPTY (SM_FLAGS + 4 * PLACES)        // [TILE_SLOTS] mbarriers: a slot's rows have been read, in all blocks of the cluster
#define SM_READY (SM_EMPTY + 8 * TILE_SLOTS)    // [PLACES] mbarriers: a tile's P is there
#define SM_DECIDED (SM_READY + 8 * PLACES)      // mbarrier: the references that hold from this tile on are there
#define SM_FULL (SM_DECIDED + 8)                // [TILE_SLOTS] mbarriers: a slot's rows have landed (BULK)
#define SM_END (SM_FULL + (BULK ? 8 * TILE_SLOTS : 0))
#define SM_TOTAL (SM_END - SM_BASE)
static_assert(SM_TOTAL <= 232448, "shared memory");

#if CLUSTER == 1
struct Cluster { static constexpr u32 own = 0; };
#else
struct Cluster { u32 own, rank; };              // what this block's addresses begin with, and which half of the heads it has
#endif

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
__device__ __forceinline__ void list_tile(const Cluster& c, int n, const Tile& t) {
  asm volatile("st.shared.v4.b32 [%0], {%1,%2,%3,%4};"
               :: "r"(c.own + SM_LIST + (n & 15) * 16), "r"(t.at), "r"(t.end), "r"(t.request), "r"(t.flags) : "memory");
}
__device__ __forceinline__ u32 listed_flags(const Cluster& c, int n) { return lds4(c.own + SM_LIST + (n & 15) * 16 + 12); }
__device__ __forceinline__ Tile listed(const Cluster& c, int n) {
  const uint4 v = lds16(c.own + SM_LIST + (n & 15) * 16);
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

// ---------------------------------------------------------------- the cluster
__device__ __forceinline__ void cluster_arrive() { if (CLUSTER > 1) asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { if (CLUSTER > 1) asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
__device__ __forceinline__ Cluster this_cluster(u32 smem) {
#if CLUSTER == 1
  return {};
#else
  return {smem - SM_BASE, blockIdx.x & 1};                                       // the grid is two blocks wide
#endif
}
// Whether dynamic shared memory begins where constants say it does.
__device__ __forceinline__ bool as_expected(u32 smem) { return ((smem - SM_BASE) & (CLUSTER > 1 ? 0xffffff : ~0u)) == 0; }
// A PV warp has read its widths of a slot.  Nothing is said of a slot that is not filled again: the other block may have left.
__device__ __forceinline__ void release(const Cluster& c, u32 slot, int lane, bool refilled) {
  __syncwarp();
#if CLUSTER == 1
  if (lane == 0) mbar_arrive(SM_EMPTY + 8 * slot);
#else
  if (refilled && lane < CLUSTER)
    asm volatile("{\n.reg .b32 a;\nmapa.shared::cluster.u32 a, %0, %1;\nmbarrier.arrive.shared::cluster.b64 _, [a];\n}"
                 :: "r"(c.own + SM_EMPTY + 8 * slot), "r"(lane) : "memory");      // of block `lane`
#endif
}

// ---------------------------------------------------------------- a tile's rows, as a QK warp brings them and waits for them
// first   tiles 0, 1 and 2
// next    after tile n's P: tile n + 2, if wanted, to where tile n - 1 was
// Rows past a segment's end repeat its last one: finite, and P = 0.
#if LOADERS
struct Rows {                                                                    // the loading warpgroup brings them
  __device__ __forceinline__ explicit Rows(int) {}
  __device__ __forceinline__ void first(const MlaParams&, const Cluster&, const MlaStretch&, const Tile&, int) {}
  __device__ __forceinline__ void next(const MlaParams&, const Cluster&, int, const Slot&, bool) {}
};
#elif CLUSTER == 1
// A warp brings the 16 rows that it multiplies itself, and waits for its own copies alone.  8 lanes take a whole line of 128 bytes: other shapes cost
// several times the shared-memory cycles.  A row is four lines and half a line, after them (even rows) or before.
struct Rows {
  const int lane, row;
  const u32 line, half, to_line, to_half;
  int mine = 0;                                                                  // the cache slot of row lane % 16
  __device__ __forceinline__ explicit Rows(int tid)
    : lane(tid & 31), row(16 * (tid >> 5)), line((lane & 8 ? 64 : 0) + 16 * (lane & 7)), half((lane & 4 ? 0 : 512) + 16 * (lane & 3)),
      to_line(opaque(SM_TILE + (row + (lane >> 3)) * PITCH + (line ^ ((lane >> 4) << 4)))),
      to_half(opaque(SM_TILE + (row + (lane >> 2)) * PITCH + (half ^ ((lane >> 3) << 4)))) {}
  __device__ __forceinline__ void look_up(const int* slots, const Tile& t) { mine = __ldg(slots + max(min(t.at + row + (lane & 15), t.end - 1), 0)); }
  __device__ __forceinline__ void fetch(const MlaParams& p, u32 slot) {
    const u64 lines = (u64)p.cache + line, halves = (u64)p.cache + half;
    const u32 d = to_line + slot * TILE_BYTES, dh = to_half + slot * TILE_BYTES;
    u64 from[6];
    unroll<4>([&](auto I) { from[I.value] = row_at(lines, __shfl_sync(~0u, mine, 4 * I.value + (lane >> 3))); });          // 4 rows' lines
    unroll<2>([&](auto I) { from[4 + I.value] = row_at(halves, __shfl_sync(~0u, mine, 8 * I.value + (lane >> 2))); });    // 8 rows' half lines
    if (MF_DIAG & 1) return;
    unroll<4>([&](auto I) {
      constexpr int i = I.value;
      unroll<4>([&](auto C) { copy16<4 * i * PITCH + 128 * C.value, 128 * C.value>(i & 1 ? flip<32>(d) : d, from[i]); });
    });
    unroll<2>([&](auto I) { copy16<8 * I.value * PITCH, 0>(dh, from[4 + I.value]); });
  }
  __device__ __forceinline__ void first(const MlaParams& p, const Cluster&, const MlaStretch& st, const Tile& t0, int me) {
    const Tile t1 = after(t0, p, st.end), t2 = after(t1, p, st.end), t3 = after(t2, p, st.end);
    const Tile own = me ? t1 : t0, next = me ? t3 : t2;
    const int* slots = st.begin < st.end ? p.kv_indices : p.kv_indptr;           // no tokens: kv_indices may be null
    look_up(slots, own);
    const int rows = mine;
    look_up(slots, next);
    const int rows_next = mine;
    mine = rows;
    if (own.at < own.end) fetch(p, me);
    copies_commit();
    mine = rows_next;
    if (me == 0) {
      if (next.at < next.end) fetch(p, 2);
      look_up(slots, after(t3, p, st.end));                                      // tile 4
    }
    copies_commit();
  }
  __device__ __forceinline__ void next(const MlaParams& p, const Cluster& c, int n, const Slot& before, bool wanted) {
    if (n <= 0) return;
    if (wanted) { mh_wait(SM_EMPTY + 8 * before.at(), before.parity()); fetch(p, before.at()); }
    copies_commit();
    look_up(p.kv_indices, listed(c, n + 4));
  }
};
#else
// Warp 0 brings this block's half of every tile, two strips, to the same place of both blocks and tells both mbarriers: a strip by one copy where its
// cache slots follow one another, by 16 elsewhere.  The other half may land before this block arms its mbarrier, whose phase waits for that, too.
struct Rows {
  const int tid, lane;
  int mine = 0;                                                                  // the cache slot of token 32 * rank + lane
  __device__ __forceinline__ explicit Rows(int tid) : tid(tid), lane(tid & 31) {}
  __device__ __forceinline__ int looked_up(const MlaParams& p, const Cluster& c, const Tile& t) const {
    return __ldg(p.kv_indices + max(min(t.at + 32 * (int)c.rank + lane, t.end - 1), 0));
  }
  template <bool REFILL> __device__ __forceinline__ void fetch(const MlaParams& p, const Cluster& c, const Slot& slot) {
    const u32 full = c.own + SM_FULL + 8 * slot.at();
    const u32 to = c.own + SM_TILE + slot.at() * TILE_BYTES + (2 * c.rank + (lane >> 4)) * STRIP + (lane & 15) * PITCH;
    const u32 along = __ballot_sync(~0u, mine - __shfl_sync(~0u, mine, lane & 16) == (lane & 15));
    const bool whole = (along >> (lane & 16) & 0xffff) == 0xffff;
    const u64 from = row_at((u64)p.cache, mine);
    if (REFILL) { mh_wait(c.own + SM_EMPTY + 8 * slot.at(), slot.parity()); __syncwarp(); }
    if (MF_DIAG & 1) { if (lane == 0) mbar_arrive(full); __syncwarp(); return; }
    if (lane == 0) mbar_expect(full, 64 * MLA_ROW_BYTES);
    __syncwarp();
    if (!whole || (lane & 15) == 0)
      asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1], %2, [%3], %4;"
                   :: "r"(to), "l"(from), "r"(whole ? 16 * MLA_ROW_BYTES : MLA_ROW_BYTES), "r"(full), "h"((u16)3) : "memory");
    __syncwarp();
  }
  __device__ __forceinline__ void first(const MlaParams& p, const Cluster& c, const MlaStretch& st, const Tile& t0, int me) {
    if (tid < 32 && st.begin < st.end) {
      const Tile t1 = after(t0, p, st.end), t2 = after(t1, p, st.end), t3 = after(t2, p, st.end);
      const Tile own = me ? t1 : t0, next = me ? t3 : t2;
      mine = looked_up(p, c, own);
      const int rows_next = looked_up(p, c, next);
      if (own.at < own.end) fetch<false>(p, c, Slot{(u32)me, 0});
      mine = rows_next;
      if (me == 0) {
        if (next.at < next.end) fetch<false>(p, c, Slot{2, 0});
        mine = looked_up(p, c, after(t3, p, st.end));                            // tile 4
      }
    }
    for (int k = st.begin + (me * 128 + tid) * 32; k < st.end; k += 256 * 32) prefetch_l2(p.kv_indices + k);
  }
  __device__ __forceinline__ void next(const MlaParams& p, const Cluster& c, int n, const Slot& before, bool wanted) {
    if (n <= 0 || tid >= 32) return;
    if (wanted) fetch<true>(p, c, before);
    mine = looked_up(p, c, listed(c, n + 4));
  }
};
#endif
__device__ __forceinline__ void wait_for_rows(const Cluster& c, int n, const Slot& slot) {
  if (BULK) mh_wait(c.own + SM_FULL + 8 * slot.at(), slot.parity());
  else if (n < 2) copies_wait<1>();
  else copies_wait<0>();
}
