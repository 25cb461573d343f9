// MLA decode, stage 1 for many query heads (64, 32 or 16 a block) and an FP8 cache, Hopper (sm_90a): the matrix-bound shape.
//
// A block owns BLOCK_H query heads and one worker's stretch of the token line.  Rows stay E4M3 in shared memory; every product takes its A operand
// from registers, converted to f16 on the way, and its B operand (q or P, f16) from shared memory.  So no f16 copy of the cache exists.  Four
// warpgroups, two roles, and below 64 heads a fifth:
//   QK (2)   take turns at tiles of 64 tokens: S^T = K q^T (A = 64 tokens' rows by ldmatrix), softmax, P to shared memory [heads][tokens], then
//            with 64 heads copies of the rows of its next tile.  While one makes its softmax, the other multiplies.
//   PV (2)   hold half of the 512 x BLOCK_H f32 output each: O^T += V^T P^T (A = V^T by ldmatrix.trans; a prmt brings two tokens of one width
//            side by side).
//   loading  (LOADERS) brings the rows, as soon as a slot is free.
// How rows come is the parts' business (Rows, wait_for_rows, release): with 64 heads a warp of QK copies the 16 rows that it multiplies, and so waits
// for its own copies alone; PV gets to see rows with P.  With CLUSTER 2 the two blocks of a worker each bring half of a tile's rows to both, by
// bulk copies of whole strips: slower where cache slots lie scattered, so it is a choice.
//
//   slot       a tile's rows; tile n lies in slot n % TILE_SLOTS.  P has more places, tile n's is n % PLACES
//   reference  the exponent that P and O of a head are relative to.  It moves only when a score passes it by 2^MOVE_AT, so the common
//              tile needs no reduction over tokens and no rescaling
//   d          score - reference, base 2
//
// P's place is free when tile n's rows are there: they were fetched once all PV warps had read tile n - TILE_SLOTS, after their products of the tile
// before that one, so PLACES > TILE_SLOTS suffices.
//
// Why nothing waits for ever in a cluster, and nothing is overwritten unread.  Both blocks walk the same tiles.  Of tile n, L are its rows' copies, Q its
// products with q, V those with V:
//   L(n)  by both blocks, each after its own Q(n - 2), and EMPTY: V(n - 3) in both
//   Q(n)  after FULL: L(n) by both; DECIDED: Q(n - 1); where q changes, the barrier of both QK warpgroups: Q(n - 1), L(n + 1)
//   V(n)  after READY: Q(n); V(n - 1)
// All of it leads to smaller tiles, in either block.  A phase of EMPTY or FULL ends only once the one before has been seen in this block: its L(n + 3)
// has waited for V(n), so for Q(n), and neither FULL nor EMPTY of tile n + 3 completes without that L.  What is sent to a block is waited for there
// (EMPTY is told only where a copy follows), so none is sent to one that has left; the barrier at the end is there besides.
//
// grid   (ceil(MLA_HEADS / BLOCK_H), workers) blocks of MF_THREADS, one a multiprocessor; neighbouring blocks share their rows, through L2 or as a cluster
// shared SM_TOTAL bytes (221,008 with 64 heads, in a cluster 221,224; 224,936 with 32, 188,968 with 16), dynamic
#include "many_heads_fp8_parts.cuh"

// ---------------------------------------------------------------- a QK warpgroup: tiles n with n % 2 = me
// ldmatrix gives lane c bytes 4 c .. 4 c + 3 of 16: widths 4 c, 4 c + 1 become k = 2 c, 2 c + 1 of a k-step, widths 4 c + 2, 4 c + 3 become
// k = 2 c + 8, 2 c + 9.  q's widths are stored in that order.
__device__ __forceinline__ void load_q(const MlaParams& p, const Cluster& c, int request, int head0, int tid) {   // 256 threads
  const int h = (tid >> 2) & (MF_HEADS - 1), t = tid & 3;                        // 16 widths of a block of 64
  constexpr int APART = 64 / MF_HEADS, N = (9 + APART - 1) / APART;              // threads of a (head, t), and blocks of each
  const int first = APART > 1 ? tid / (4u * MF_HEADS) : 0;
  const bool real = MLA_HEADS % MF_HEADS == 0 || head0 + h < MLA_HEADS;
  const uint4* from = (const uint4*)(p.q + ((i64)request * MLA_HEADS + head0 + (real ? h : 0)) * MLA_WIDTH + 16 * t);
  const u32 to = c.own + SM_Q + h * 128, even = to + (((2 * t) ^ (h & 7)) << 4), odd = to + (((2 * t + 1) ^ (h & 7)) << 4);
  uint4 x[N], y[N];                                                              // all on their way at once
  #pragma unroll
  for (int i = 0; i < N; i++) { const int b = min(APART * i + first, 8); x[i] = __ldg(from + 8 * b); y[i] = __ldg(from + 8 * b + 1); }
  #pragma unroll
  for (int i = 0; i < N; i++) {
    const int b = min(APART * i + first, 8);                                     // the last one twice, maybe
    if (!real) x[i] = y[i] = make_uint4(0, 0, 0, 0);
    sts16(even + b * Q_BLOCK, q_operand(x[i].x), q_operand(x[i].z), q_operand(y[i].x), q_operand(y[i].z));
    sts16(odd + b * Q_BLOCK, q_operand(x[i].y), q_operand(x[i].w), q_operand(y[i].y), q_operand(y[i].w));
  }
}

__device__ __forceinline__ void qk_role(const MlaParams& p, const Cluster& c, int me, int tid, const MlaStretch st, int head0) {
  const int lane = tid & 31, warp = tid >> 5, bar = 2 + me;                      // bar: this warpgroup's own
  const u32 ka = opaque(c.own + SM_TILE + row_offset(16 * warp + (lane & 15)) + 16 * ((lane >> 4) ^ swapped(lane)));
  const u32 pa = opaque(c.own + SM_P + ((lane >> 4) * 8 + (lane & 7)) * 128 + (((2 * warp + ((lane >> 3) & 1)) ^ (lane & 7)) << 4));
  const u32 t8 = __shfl_sync(~0u, c.own + 8 * (tid & 3), lane);                  // a shuffle, lest it be computed anew at each use
  Rows rows(tid);
  {
    const Tile t0 = segment(p, st.begin, st.request, st.end);                    // the walk is the same in every thread
    rows.first(p, c, st, t0, me);
    if (me == 0 && tid == 0) {
      Tile t = t0;
      t.flags &= ~NEW_Q;
      #pragma unroll 1
      for (int n = 0; n < LISTED; n++) { list_tile(c, n, t); t = after(t, p, st.end); }
    }
  }
  bar_sync(4, 512);                                                              // the list and the first q are there

  Slot before = slot_before(me);                                                 // tile n - 1's
  auto new_request = [&](int request) {                                          // once both warpgroups are done with the last request's q
    bar_sync(4, 256);
    load_q(p, c, request, head0, me * 128 + tid);
    fence_proxy_async();
    bar_sync(4, 256);
  };
  u32 flags_before = me ? listed_flags(c, 0) : 0, flags = listed_flags(c, me);   // of tiles n - 1 and n
  #pragma unroll 1
  for (int n = me;; n += 2) {
    if ((flags_before | flags) & NEW_Q) {
      if (flags_before & NEW_Q) new_request(listed(c, n - 1).request);
      if (flags & NEW_Q) new_request(listed(c, n).request);
    }
    if (!(flags & REAL)) break;
    {
      const Slot slot = slot_of(n, before);
      float s[4 * HG];
      u32 raw[RAW_BUFS][4], a[A_BUFS][8];
      const u32 kt = ka + slot.at() * TILE_BYTES;
      wait_for_rows(c, n, slot);
      __syncwarp();
      unroll<RAW_BUFS - 1>([&](auto I) { ldmatrix4(raw[I.value], k_step<I.value>(kt)); });
      unroll<18>([&](auto I) {                                                   // 32 widths each
        constexpr int i = I.value;
        if (i >= A_BUFS) wgmma_wait<A_BUFS - 1>();                               // the products that read x are done
        constexpr int ahead = i + RAW_BUFS - 1;
        if constexpr (ahead < 18) ldmatrix4(raw[ahead % RAW_BUFS], k_step<ahead>(kt));
        u32 (&r)[4] = raw[i % RAW_BUFS];
        u32 (&x)[8] = a[i % A_BUFS];
        convert(r[0], x[0], x[2]);
        convert(r[1], x[1], x[3]);
        convert(r[2], x[4], x[6]);
        convert(r[3], x[5], x[7]);
        wgmma_fence();
        if (!(MF_DIAG & 4) || i == 0) {
          const u64 qd = matrix_desc(SM_Q + (i >> 1) * Q_BLOCK, 16, 1024) + 4 * (i & 1);
          wgmma_qk(s, x, qd, i > 0);
          wgmma_qk(s, x + 4, qd + 2, 1);
        }
        wgmma_commit();
      });
      mh_wait(c.own + SM_DECIDED, (n & 1) ^ 1);                                  // tile n - 1's references stand
      __syncwarp();
      float2 ref[HG];
      #pragma unroll
      for (int j = 0; j < HG; j++) ref[j] = lds_f2(t8 + SM_REF + 32 * j);
      wgmma_wait<0>();
      hold(s);

      // s[4 j + 2 u + e]: row 16 warp + lane / 4 + 8 u, head 8 j + 2 t + e; it becomes d
      const bool last = flags & LAST;
      const u32 place = n & (PLACES - 1);
      float top = MLA_NEG_INF;
      if (last) {
        const Tile tile = listed(c, n);
        const int count = tile.end - tile.at, row = token_of(16 * warp + lane / 4);
        #pragma unroll
        for (int j = 0; j < HG; j++) {
          if (row >= count) s[4 * j] = s[4 * j + 1] = MLA_NEG_INF;
          if (row + TOKEN_8_ON >= count) s[4 * j + 2] = s[4 * j + 3] = MLA_NEG_INF;
        }
      }
      #pragma unroll
      for (int j = 0; j < HG; j++) {
        #pragma unroll
        for (int k = 0; k < 4; k++) {
          const float r = k & 1 ? ref[j].y : ref[j].x;
          s[4 * j + k] = above_reference(p, s[4 * j + k], r);
          top = fmaxf(top, s[4 * j + k]);
        }
      }
      // do references move?
      const bool moved = bar_or(bar, 128, top > MOVE_AT || (flags & FIRST));
      if (moved) {
        const u32 red = opaque(SM_P + place * Q_BLOCK);                          // P's place is free still: [4 warps][heads] maxima (t8 has c.own)
        #pragma unroll
        for (int j = 0; j < HG; j++) {
          #pragma unroll
          for (int e = 0; e < 2; e++) {
            float m = fmaxf(s[4 * j + e], s[4 * j + 2 + e]);
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 4));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 8));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 16));
            if (lane < 4) sts_f(red + warp * A_HEAD + t8 + 32 * j + 4 * e, m);
          }
        }
        bar_sync(bar, 128);
        if (tid < MF_HEADS) {
          const u32 r = c.own + red + tid * 4, to = c.own + SM_REF + tid * 4;
          float m = fmaxf(fmaxf(lds_f(r), lds_f(r + A_HEAD)), fmaxf(lds_f(r + 2 * A_HEAD), lds_f(r + 3 * A_HEAD))) - HEADROOM;
          if (!(flags & FIRST)) m = fmaxf(m, 0.f);
          sts_f(r, m);
          sts_f(to, lds_f(to) + m);
          sts_f(c.own + SM_ALPHA + place * A_HEAD + tid * 4, ex2(-m));
        }
        bar_sync(bar, 128);
        #pragma unroll
        for (int j = 0; j < HG; j++) {
          const float2 m = lds_f2(red + t8 + 32 * j);
          s[4 * j] -= m.x; s[4 * j + 1] -= m.y; s[4 * j + 2] -= m.x; s[4 * j + 3] -= m.y;
        }
        bar_sync(bar, 128);                                                      // P overwrites red
      }
      if (last) {                                                                // hand the references over, zero them for the next segment
        if (tid < MF_HEADS) { const u32 r = c.own + SM_REF + tid * 4; sts_f(c.own + SM_REF_END + place * A_HEAD + tid * 4, lds_f(r)); sts_f(r, 0.f); }
        bar_sync(bar, 128);
      }
      if (tid == 0) {
        mbar_arrive(c.own + SM_DECIDED);
        sts4(c.own + SM_FLAGS + 4 * place, flags | (moved && !(flags & FIRST) ? MOVED : 0));
      }
      __syncwarp();
      auto probabilities = [&](auto C) {                                         // 16 heads of P
        constexpr int j = 2 * C.value;
        u32 x[4];
        #pragma unroll
        for (int k = 0; k < 4; k++) x[k] = MF_DIAG & 8 ? 0u : pack_f16(ex2(s[4 * j + 2 * k]), ex2(s[4 * j + 2 * k + 1]));
        stmatrix4_trans(pa + place * Q_BLOCK + j * 1024, x[0], x[1], x[2], x[3]);
      };
      const u32 flags_after = listed_flags(c, n + 1), flags_next = listed_flags(c, n + 2);
      unroll<HG / 2>(probabilities);
      if (WRITER_FENCES) fence_proxy_async();
      __syncwarp();
      if (lane == 0) mbar_arrive(c.own + SM_READY + 8 * place);
      rows.next(p, c, n, before, flags_next & REAL);
      flags_before = flags_after;
      flags = flags_next;
    }
    before = two_on(before);
  }
}

// ---------------------------------------------------------------- a PV warpgroup: widths [256 me, 256 me + 256) of the output
__device__ __forceinline__ float sum4(u32 x, u32 y) { const float2 a = unpack_f16(x), b = unpack_f16(y); return (a.x + a.y) + (b.x + b.y); }
__device__ __forceinline__ float sum8(uint4 v) { return sum4(v.x, v.y) + sum4(v.z, v.w); }

__device__ __forceinline__ void pv_role(const MlaParams& p, const Cluster& c, int me, int tid, const MlaStretch st, int worker, int head0) {
  const int lane = tid & 31, all = me * 128 + tid;
  const int column = 256 * me + 64 * (tid >> 5);                                 // the warp's 64 widths
  const u32 va = opaque(c.own + SM_TILE + row_offset(lane) + column + 16 * swapped(lane));
  constexpr int TOKENS = MF_HEADS / 4;                                           // of a tile: 256 threads share its heads and tokens
  const int h = all & (MF_HEADS - 1), part = (u32)all / MF_HEADS;                // for the row sums: a head, TOKENS of each tile
  if (st.begin < st.end) {                                                       // the first q, beside the QK warps' way to the first rows
    load_q(p, c, st.request, head0, all);
    fence_proxy_async();
  }
  bar_sync(4, 512);
  if (st.begin >= st.end) return;

  float o[4][4 * HG], sum = 0.f;                                                 // o[b][4 j + 2 u + e]: width column + 16 b + 2 g + u, head 8 j + 2 t + e
  #pragma unroll
  for (int b = 0; b < 4; b++) {
    #pragma unroll
    for (int i = 0; i < 4 * HG; i++) o[b][i] = 0.f;
  }
  u32 slot = 0;
  #pragma unroll 1
  for (int n = 0;; n++) {
    const u32 place = n & (PLACES - 1);
    mh_wait(c.own + SM_READY + 8 * place, ((u32)n / PLACES) & 1);
    const u32 vt = va + slot * TILE_BYTES;
    u32 r[PV_RAW][4], a[PV_BUFS][4];
    auto load_v = [&](auto STEP) {                                               // 16 widths (of each warp) x 32 tokens
      constexpr int step = STEP.value;
      ldmatrix4_trans(r[step % PV_RAW], v_step<(step >> 1)>(vt) + (step & 1) * row_offset(32));
    };
    if (!WRITER_FENCES) fence_proxy_async();                                     // P was written as ordinary stores, and wgmma reads it
    unroll<PV_RAW - 1>(load_v);
    const u32 pr = c.own + SM_P + place * Q_BLOCK + h * 128;
#if MF_HEADS > 16
    uint4 own[TOKENS / 8];
    #pragma unroll
    for (int i = 0; i < TOKENS / 8; i++) own[i] = lds16(pr + (((TOKENS / 8 * part + i) ^ (h & 7)) << 4));
#else
    const float2 own = lds_f2(pr + (((part >> 1) ^ (h & 7)) << 4) + 8 * (part & 1));   // four f16
#endif
    const u32 flags = lds4(c.own + SM_FLAGS + 4 * place);
    const bool refilled = CLUSTER == 1 || listed_flags(c, n + TILE_SLOTS) & REAL;       // the slot, with tile n + 3
    if (flags & FIRST) sum = 0.f;
    else if (flags & MOVED) {
      const u32 al = c.own + SM_ALPHA + place * A_HEAD;
      sum *= lds_f(al + h * 4);
      #pragma unroll
      for (int j = 0; j < HG; j++) {
        const float2 f = lds_f2(al + 8 * (lane & 3) + 32 * j);
        #pragma unroll
        for (int b = 0; b < 4; b++) { o[b][4 * j] *= f.x; o[b][4 * j + 1] *= f.y; o[b][4 * j + 2] *= f.x; o[b][4 * j + 3] *= f.y; }
      }
    }
#if MF_HEADS > 16
    #pragma unroll
    for (int i = 0; i < TOKENS / 8; i++) sum += sum8(own[i]);
#else
    sum += sum4(__float_as_uint(own.x), __float_as_uint(own.y));
#endif
    const u64 pd = matrix_desc(SM_P + place * Q_BLOCK, 16, 1024);
    #pragma unroll
    for (int b = 0; b < 4; b++) hold(o[b]);
    unroll<16>([&](auto I) {                                                     // 16 widths (of each warp) x 16 tokens each
      constexpr int i = I.value, b = i >> 2, k = i & 3;
      u32 (&x)[4] = a[i % PV_BUFS];
      constexpr int ahead = i / 2 + PV_RAW - 1;
      if constexpr (i % 2 == 0 && ahead < 8) load_v(Const<ahead>{});
      if (i >= PV_BUFS) wgmma_wait<PV_BUFS - 1>();                               // the products that read x are done
      convert(__byte_perm(r[(i >> 1) % PV_RAW][2 * (k & 1)], 0, 0x3120), x[0], x[1]);
      convert(__byte_perm(r[(i >> 1) % PV_RAW][2 * (k & 1) + 1], 0, 0x3120), x[2], x[3]);
      wgmma_fence();
      if (!(MF_DIAG & 2) || i == 0) wgmma_qk(o[b], x, pd + 2 * k, k ? 1 : ~flags & FIRST);
      wgmma_commit();
    });
    release(c, slot, lane, refilled);
    if (all == 224) {                                                            // here, where time is left
      const Tile next = after(listed(c, n + LISTED - 1), p, st.end);
      list_tile(c, n + LISTED, next);
      if (p.batch > 1 && next.at < next.end && (next.flags & FIRST))             // its q, to L2
        asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;"
                     :: "l"(p.q + ((i64)next.request * MLA_HEADS + head0) * MLA_WIDTH), "r"(min(MF_HEADS, MLA_HEADS - head0) * MLA_WIDTH * 2) : "memory");
    }
    __syncwarp();
    if (++slot == TILE_SLOTS) slot = 0;
    wgmma_wait<0>();
    #pragma unroll
    for (int b = 0; b < 4; b++) hold(o[b]);
    if (!(flags & LAST)) continue;
    const Tile tile = listed(c, n);

    // ---- the segment's end: o / sum
    sts_f(c.own + SM_SUMS + all * 4, sum);
    bar_sync(1, 256);
    bool direct = false;
#if MLA_DIRECT
    direct = tile.flags & WHOLE;
#endif
    const i64 row0 = (i64)(direct ? tile.request : worker + tile.request) * MLA_HEADS + head0;
    if (all < MF_HEADS) {
      const u32 s = c.own + SM_SUMS + all * 4;
      float l = 0.f;
      #pragma unroll
      for (int i = 0; i < 256 / MF_HEADS; i++) l += lds_f(s + i * A_HEAD);
      const float ref = lds_f(c.own + SM_REF_END + place * A_HEAD + all * 4), lse = ref + __log2f(l);
      const bool real = head0 + all < MLA_HEADS;
      if (direct) {                                                              // lse without the sink, as in stage 2
        if (p.lse && real) p.lse[row0 + all] = lse * MLA_LN2;
#if MLA_SINKS
        l += ex2(__ldg(p.sinks + min(head0 + all, MLA_HEADS - 1)) * MLA_LOG2E - ref);
#endif
      } else if (real) p.partial_lse[row0 + all] = lse;
      sts_f(c.own + SM_FACTOR + all * 4, (direct ? p.kv_scale : 1.f) / l);
    }
    bar_sync(1, 256);
    const i64 base = (row0 + 2 * (lane & 3)) * MLA_LATENT + column + 2 * (lane >> 2);
    #pragma unroll
    for (int j = 0; j < HG; j++) {
      const float2 f2 = lds_f2(c.own + SM_FACTOR + 8 * (lane & 3) + 32 * j);
      #pragma unroll
      for (int e = 0; e < 2; e++) {
        if (MLA_HEADS % MF_HEADS && head0 + 8 * j + 2 * (lane & 3) + e >= MLA_HEADS) continue;
        const float f = e ? f2.y : f2.x;
        #pragma unroll
        for (int b = 0; b < 4; b++) {
          const i64 w = base + (8 * j + e) * MLA_LATENT + 16 * b;
          const float x = o[b][4 * j + e] * f, y = o[b][4 * j + 2 + e] * f;
          if (direct) *(u32*)(p.out + w) = pack_io(x, y);
#if MLA_PARTIAL_F32
          else *(float2*)(p.partial + w) = make_float2(x, y);
#else
          else *(u32*)(p.partial + w) = pack_f16(x, y);
#endif
        }
      }
    }
    if (flags & FINAL) break;
  }
}

#if LOADERS
// ---------------------------------------------------------------- the loading warpgroup: a warp brings 16 rows of every tile, one bulk copy a row
// Rows past a segment's end repeat its last one: finite, and P = 0.
__device__ __forceinline__ void load_role(const MlaParams& p, int warp, int lane, const MlaStretch st) {
  if (st.begin >= st.end) return;
  for (int k = st.begin + (warp * 32 + lane) * 32; k < st.end; k += 128 * 32) prefetch_l2(p.kv_indices + k);
  const u64 policy = l2_evict_first();
  const int row = 16 * warp + (lane & 15);
  Tile t = segment(p, st.begin, st.request, st.end);
  auto look_up = [&] { return __ldg(p.kv_indices + min(t.at + row, t.end - 1)); };
  int now = look_up();
  #pragma unroll 1
  for (u32 n = 0, last = 0; !last; n++) {
    const u64 from = row_at((u64)p.cache, now);
    last = t.flags & FINAL;
    if (!last) { t = after(t, p, st.end); now = look_up(); }
    const Slot slot{n}, back{n - TILES_IN_FLIGHT};
    const u32 full = SM_FULL + 8 * slot.at();
    mbar_wait_long(SM_EMPTY + 8 * slot.at(), slot.parity() ^ 1);
    if (n >= TILES_IN_FLIGHT) mbar_wait_long(SM_FULL + 8 * back.at(), back.parity());
    if (lane == 0) { if (MF_DIAG & 1) mbar_arrive(full); else mbar_expect(full, 16 * MLA_ROW_BYTES); }
    __syncwarp();
    if (!(MF_DIAG & 1) && lane < 16) bulk_copy(SM_TILE + slot.at() * TILE_BYTES + row_offset(row), (const void*)from, MLA_ROW_BYTES, full, policy);
    __syncwarp();
  }
}
#endif

#if CLUSTER > 1    // of the kernel, so that a launch needs no attribute
#define CLUSTER_DIMS __cluster_dims__(CLUSTER, 1, 1)
#else
#define CLUSTER_DIMS
#endif
extern "C" __global__ void CLUSTER_DIMS __launch_bounds__(MF_THREADS, 1) mla_decode_many_heads_fp8(const __grid_constant__ MlaParams p) {
  extern __shared__ __align__(1024) u8 smem[];
  const int tid = threadIdx.x, wg = tid >> 7;
  const int worker = blockIdx.y, head0 = blockIdx.x * MF_HEADS;
  const Cluster c = this_cluster(smem_u32(smem));
  if (MLA_PDL) pdl_launch();                      // stage 2 may take any room that appears; it waits for this grid's end
  if (tid == 0) {
    if (!as_expected(smem_u32(smem))) __trap();
    for (int i = 0; i < TILE_SLOTS; i++) mbar_init(c.own + SM_EMPTY + 8 * i, 8 * CLUSTER);        // the PV warps, of both blocks
    if (BULK) for (int i = 0; i < TILE_SLOTS; i++) mbar_init(c.own + SM_FULL + 8 * i, LOADERS ? 4 : 1);   // who arms it: the loading warps, or one of QK
    for (int i = 0; i < PLACES; i++) mbar_init(c.own + SM_READY + 8 * i, 4);          // a QK warpgroup's warps
    mbar_init(c.own + SM_DECIDED, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  cluster_arrive();
  if (tid >= MF_THREADS - MF_HEADS) sts_f(c.own + SM_REF + (tid - MF_THREADS + MF_HEADS) * 4, 0.f);
  if (MLA_PDL) pdl_wait();                        // where this launch itself overlaps an earlier kernel
  const MlaStretch st = mla_stretch(p, worker, tid, MF_THREADS);                 // holds a barrier: what is above is there
  cluster_wait();                                                                // in the other block, too
  if (wg < 2) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(MF_PV_REGS));
    pv_role(p, c, wg, tid & 127, st, worker, head0);
#if LOADERS
  } else if (wg == 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(MF_LOAD_REGS));
    load_role(p, (tid >> 5) & 3, tid & 31, st);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(MF_QK_REGS));
#else
  } else {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(MF_QK_REGS));
#endif
    qk_role(p, c, wg - 2, tid & 127, st, head0);
  }
  cluster_arrive();                               // a block stays while the other may write to it
  cluster_wait();
}
