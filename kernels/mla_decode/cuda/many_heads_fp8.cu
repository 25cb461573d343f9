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
// With 64 heads a warp of QK copies the 16 rows that it multiplies, and so waits for its own copies alone; PV gets to see rows with P.
//
//   slot       a tile's rows; tile n lies in slot n % TILE_SLOTS.  P has more places, tile n's is n % PLACES
//   reference  the exponent that P and O of a head are relative to.  It moves only when a score passes it by 2^MOVE_AT, so the common
//              tile needs no reduction over tokens and no rescaling
//   d          score - reference, base 2
//
// P's place is free when tile n's rows are there: they were fetched once all PV warps had read tile n - TILE_SLOTS, after their products of the tile
// before that one, so PLACES > TILE_SLOTS suffices.
//
// grid   (ceil(MLA_HEADS / BLOCK_H), workers) blocks of MF_THREADS, one a multiprocessor; neighbouring blocks share their rows through L2
// shared SM_TOTAL bytes (221,008 with 64 heads, 224,936 with 32, 188,968 with 16), dynamic
#include "many_heads_fp8_parts.cuh"

// Where a lane reads step I: of 32 widths in QK, of 16 in PV.  Without LOADERS pieces of 16 bytes change places.
__device__ __forceinline__ int swapped(int row) { return LOADERS ? 0 : (row >> 1) & 3; }
template <int I> __device__ __forceinline__ u32 k_step(u32 a) { return LOADERS ? a + 32 * I : (I & 1 ? flip<32>(a) : a) + 64 * (I >> 1); }
template <int I> __device__ __forceinline__ u32 v_step(u32 a) { if constexpr (LOADERS || I == 0) return a + 16 * I; else return flip<16 * I>(a); }

// ---------------------------------------------------------------- a QK warpgroup: tiles n with n % 2 = me
// ldmatrix gives lane c bytes 4 c .. 4 c + 3 of 16: widths 4 c, 4 c + 1 become k = 2 c, 2 c + 1 of a k-step, widths 4 c + 2, 4 c + 3 become
// k = 2 c + 8, 2 c + 9.  q's widths are stored in that order.
__device__ __forceinline__ void load_q(const MlaParams& p, int request, int head0, int tid) {   // 256 threads
  const int h = (tid >> 2) & (MF_HEADS - 1), t = tid & 3;                        // 16 widths of a block of 64
  constexpr int APART = 64 / MF_HEADS, N = (9 + APART - 1) / APART;              // threads of a (head, t), and blocks of each
  const int first = APART > 1 ? tid / (4u * MF_HEADS) : 0;
  const bool real = MLA_HEADS % MF_HEADS == 0 || head0 + h < MLA_HEADS;
  const uint4* from = (const uint4*)(p.q + ((i64)request * MLA_HEADS + head0 + (real ? h : 0)) * MLA_WIDTH + 16 * t);
  const u32 to = SM_Q + h * 128, even = to + (((2 * t) ^ (h & 7)) << 4), odd = to + (((2 * t + 1) ^ (h & 7)) << 4);
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

__device__ __forceinline__ void qk_role(const MlaParams& p, int me, int tid, const MlaStretch st, int head0) {
  const int lane = tid & 31, warp = tid >> 5, bar = 2 + me;                      // bar: this warpgroup's own
  const u32 ka = opaque(SM_TILE + (16 * warp + (lane & 15)) * PITCH + 16 * ((lane >> 4) ^ swapped(lane)));
  const u32 pa = opaque(SM_P + ((lane >> 4) * 8 + (lane & 7)) * 128 + (((2 * warp + ((lane >> 3) & 1)) ^ (lane & 7)) << 4));
  const u32 t8 = __shfl_sync(~0u, 8 * (tid & 3), lane);                          // a shuffle, lest it be computed anew at each use
#if !LOADERS
  // Copies: a warp brings the 16 rows that it multiplies itself.  8 lanes take a whole line of 128 bytes: other shapes cost several times the
  // shared-memory cycles.  A row is four lines and half a line, after them (even rows) or before.
  // Rows past a segment's end repeat its last one: finite, and P = 0.
  int mine = 0;                                                                  // the cache slot of row lane % 16
  auto look_up = [&](const int* slots, const Tile& t) { mine = __ldg(slots + max(min(t.at + 16 * warp + (lane & 15), t.end - 1), 0)); };
  const u32 line = (lane & 8 ? 64 : 0) + 16 * (lane & 7), half = (lane & 4 ? 0 : 512) + 16 * (lane & 3);
  const u32 to_line = opaque(SM_TILE + (16 * warp + (lane >> 3)) * PITCH + (line ^ ((lane >> 4) << 4)));
  const u32 to_half = opaque(SM_TILE + (16 * warp + (lane >> 2)) * PITCH + (half ^ ((lane >> 3) << 4)));
  auto fetch = [&](u32 slot) {
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
  };
#endif
  {
    const Tile t0 = segment(p, st.begin, st.request, st.end);                    // the walk is the same in every thread
#if !LOADERS
    // The first three tiles.
    const Tile t1 = after(t0, p, st.end), t2 = after(t1, p, st.end), t3 = after(t2, p, st.end);
    const Tile own = me ? t1 : t0, next = me ? t3 : t2;
    const int* slots = st.begin < st.end ? p.kv_indices : p.kv_indptr;           // no tokens: kv_indices may be null
    look_up(slots, own);
    const int rows = mine;
    look_up(slots, next);
    const int rows_next = mine;
    mine = rows;
    if (own.at < own.end) fetch(me);
    copies_commit();
    mine = rows_next;
    if (me == 0) {
      if (next.at < next.end) fetch(2);
      look_up(slots, after(t3, p, st.end));                                      // tile 4
    }
    copies_commit();
#endif
    if (me == 0 && tid == 0) {
      Tile t = t0;
      t.flags &= ~NEW_Q;
      #pragma unroll 1
      for (int n = 0; n < LISTED; n++) { list_tile(n, t); t = after(t, p, st.end); }
    }
  }
  bar_sync(4, 512);                                                              // the list and the first q are there

#if !LOADERS
  u32 before = me ? 0 : 2, phase = me ? 0 : 1;                                   // tile n - 1's slot and its round's parity
#endif
  auto new_request = [&](int request) {                                          // once both warpgroups are done with the last request's q
    bar_sync(4, 256);
    load_q(p, request, head0, me * 128 + tid);
    fence_proxy_async();
    bar_sync(4, 256);
  };
  u32 flags_before = me ? listed_flags(0) : 0, flags = listed_flags(me);         // of tiles n - 1 and n
  #pragma unroll 1
  for (int n = me;; n += 2) {
    if ((flags_before | flags) & NEW_Q) {
      if (flags_before & NEW_Q) new_request(listed(n - 1).request);
      if (flags & NEW_Q) new_request(listed(n).request);
    }
    if (!(flags & REAL)) break;
    {
#if LOADERS
      const u32 slot = n & 3;
#else
      const u32 slot = before == 2 ? 0 : before + 1;
#endif
      float s[4 * HG];
      u32 raw[RAW_BUFS][4], a[A_BUFS][8];
      const u32 kt = ka + slot * TILE_BYTES;
#if LOADERS
      mh_wait(SM_FULL + 8 * slot, (n >> 2) & 1);
#else
      if (n < 2) copies_wait<1>();
      else copies_wait<0>();
#endif
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
      mh_wait(SM_DECIDED, (n & 1) ^ 1);                                          // tile n - 1's references stand
      __syncwarp();
      float2 ref[HG];
      #pragma unroll
      for (int j = 0; j < HG; j++) ref[j] = lds_f2(t8 + SM_REF + 32 * j);
      wgmma_wait<0>();
      hold(s);

      // s[4 j + 2 u + e]: token ROW + 8 u, head 8 j + 2 t + e; it becomes d
      const bool last = flags & LAST;
      const u32 place = n & (PLACES - 1);
      float top = MLA_NEG_INF;
      if (last) {
        const Tile tile = listed(n);
        const int count = tile.end - tile.at, row = 16 * warp + lane / 4;
        #pragma unroll
        for (int j = 0; j < HG; j++) {
          if (row >= count) s[4 * j] = s[4 * j + 1] = MLA_NEG_INF;
          if (row + 8 >= count) s[4 * j + 2] = s[4 * j + 3] = MLA_NEG_INF;
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
        const u32 red = opaque(SM_P + place * Q_BLOCK);                          // P's place is free still: [4 warps][heads] maxima
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
          const u32 r = red + tid * 4, to = SM_REF + tid * 4;
          float m = fmaxf(fmaxf(lds_f(r), lds_f(r + A_HEAD)), fmaxf(lds_f(r + 2 * A_HEAD), lds_f(r + 3 * A_HEAD))) - HEADROOM;
          if (!(flags & FIRST)) m = fmaxf(m, 0.f);
          sts_f(r, m);
          sts_f(to, lds_f(to) + m);
          sts_f(SM_ALPHA + place * A_HEAD + tid * 4, ex2(-m));
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
        if (tid < MF_HEADS) { const u32 r = SM_REF + tid * 4; sts_f(SM_REF_END + place * A_HEAD + tid * 4, lds_f(r)); sts_f(r, 0.f); }
        bar_sync(bar, 128);
      }
      if (tid == 0) {
        mbar_arrive(SM_DECIDED);
        sts4(SM_FLAGS + 4 * place, flags | (moved && !(flags & FIRST) ? MOVED : 0));
      }
      __syncwarp();
      auto probabilities = [&](auto C) {                                         // 16 heads of P
        constexpr int j = 2 * C.value;
        u32 x[4];
        #pragma unroll
        for (int k = 0; k < 4; k++) x[k] = MF_DIAG & 8 ? 0u : pack_f16(ex2(s[4 * j + 2 * k]), ex2(s[4 * j + 2 * k + 1]));
        stmatrix4_trans(pa + place * Q_BLOCK + j * 1024, x[0], x[1], x[2], x[3]);
      };
      const u32 flags_after = listed_flags(n + 1), flags_next = listed_flags(n + 2);
      unroll<HG / 2>(probabilities);
      __syncwarp();
      if (lane == 0) mbar_arrive(SM_READY + 8 * place);
#if !LOADERS
      if (n > 0) {                                                               // this warpgroup's next tile goes to where tile n - 1 was
        if (flags_next & REAL) { mh_wait(SM_EMPTY + 8 * before, phase); fetch(before); }
        copies_commit();
        look_up(p.kv_indices, listed(n + 4));
      }
#endif
      flags_before = flags_after;
      flags = flags_next;
    }
#if !LOADERS
    before += 2;
    if (before >= TILE_SLOTS) { before -= TILE_SLOTS; phase ^= 1; }
#endif
  }
}

// ---------------------------------------------------------------- a PV warpgroup: widths [256 me, 256 me + 256) of the output
__device__ __forceinline__ float sum4(u32 x, u32 y) { const float2 a = unpack_f16(x), b = unpack_f16(y); return (a.x + a.y) + (b.x + b.y); }
__device__ __forceinline__ float sum8(uint4 v) { return sum4(v.x, v.y) + sum4(v.z, v.w); }

__device__ __forceinline__ void pv_role(const MlaParams& p, int me, int tid, const MlaStretch st, int worker, int head0) {
  const int lane = tid & 31, all = me * 128 + tid;
  const int column = 256 * me + 64 * (tid >> 5);                                 // the warp's 64 widths
  const u32 va = opaque(SM_TILE + lane * PITCH + column + 16 * swapped(lane));
  constexpr int TOKENS = MF_HEADS / 4;                                           // of a tile: 256 threads share its heads and tokens
  const int h = all & (MF_HEADS - 1), part = (u32)all / MF_HEADS;                // for the row sums: a head, TOKENS of each tile
  if (st.begin < st.end) {                                                       // the first q, beside the QK warps' way to the first rows
    load_q(p, st.request, head0, all);
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
    mh_wait(SM_READY + 8 * place, ((u32)n / PLACES) & 1);
    const u32 vt = va + slot * TILE_BYTES;
    u32 r[PV_RAW][4], a[PV_BUFS][4];
    auto load_v = [&](auto STEP) {                                               // 16 widths (of each warp) x 32 tokens
      constexpr int step = STEP.value;
      ldmatrix4_trans(r[step % PV_RAW], v_step<(step >> 1)>(vt) + (step & 1) * 32 * PITCH);
    };
    fence_proxy_async();                                                         // P was written as ordinary stores, and wgmma reads it
    unroll<PV_RAW - 1>(load_v);
    const u32 pr = SM_P + place * Q_BLOCK + h * 128;
#if MF_HEADS > 16
    uint4 own[TOKENS / 8];
    #pragma unroll
    for (int i = 0; i < TOKENS / 8; i++) own[i] = lds16(pr + (((TOKENS / 8 * part + i) ^ (h & 7)) << 4));
#else
    const float2 own = lds_f2(pr + (((part >> 1) ^ (h & 7)) << 4) + 8 * (part & 1));   // four f16
#endif
    const u32 flags = lds4(SM_FLAGS + 4 * place);
    if (flags & FIRST) sum = 0.f;
    else if (flags & MOVED) {
      const u32 al = SM_ALPHA + place * A_HEAD;
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
    __syncwarp();                                                                // the warp has read its widths of the slot
    if (lane == 0) mbar_arrive(SM_EMPTY + 8 * slot);
    if (all == 224) {                                                            // here, where time is left
      const Tile next = after(listed(n + LISTED - 1), p, st.end);
      list_tile(n + LISTED, next);
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
    const Tile tile = listed(n);

    // ---- the segment's end: o / sum
    sts_f(SM_SUMS + all * 4, sum);
    bar_sync(1, 256);
    bool direct = false;
#if MLA_DIRECT
    direct = tile.flags & WHOLE;
#endif
    const i64 row0 = (i64)(direct ? tile.request : worker + tile.request) * MLA_HEADS + head0;
    if (all < MF_HEADS) {
      const u32 s = SM_SUMS + all * 4;
      float l = 0.f;
      #pragma unroll
      for (int i = 0; i < 256 / MF_HEADS; i++) l += lds_f(s + i * A_HEAD);
      const float ref = lds_f(SM_REF_END + place * A_HEAD + all * 4), lse = ref + __log2f(l);
      const bool real = head0 + all < MLA_HEADS;
      if (direct) {                                                              // lse without the sink, as in stage 2
        if (p.lse && real) p.lse[row0 + all] = lse * MLA_LN2;
#if MLA_SINKS
        l += ex2(__ldg(p.sinks + min(head0 + all, MLA_HEADS - 1)) * MLA_LOG2E - ref);
#endif
      } else if (real) p.partial_lse[row0 + all] = lse;
      sts_f(SM_FACTOR + all * 4, (direct ? p.kv_scale : 1.f) / l);
    }
    bar_sync(1, 256);
    const i64 base = (row0 + 2 * (lane & 3)) * MLA_LATENT + column + 2 * (lane >> 2);
    #pragma unroll
    for (int j = 0; j < HG; j++) {
      const float2 f2 = lds_f2(SM_FACTOR + 8 * (lane & 3) + 32 * j);
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
    const u32 slot = n & 3, full = SM_FULL + 8 * slot, back = n - TILES_IN_FLIGHT;
    mbar_wait_long(SM_EMPTY + 8 * slot, (n >> 2 & 1) ^ 1);
    if (n >= TILES_IN_FLIGHT) mbar_wait_long(SM_FULL + 8 * (back & 3), back >> 2 & 1);
    if (lane == 0) { if (MF_DIAG & 1) mbar_arrive(full); else mbar_expect(full, 16 * MLA_ROW_BYTES); }
    __syncwarp();
    if (!(MF_DIAG & 1) && lane < 16) bulk_copy(SM_TILE + slot * TILE_BYTES + row * PITCH, (const void*)from, MLA_ROW_BYTES, full, policy);
    __syncwarp();
  }
}
#endif

extern "C" __global__ void __launch_bounds__(MF_THREADS, 1) mla_decode_many_heads_fp8(const __grid_constant__ MlaParams p) {
  extern __shared__ __align__(1024) u8 smem[];
  const int tid = threadIdx.x, wg = tid >> 7;
  const int worker = blockIdx.y, head0 = blockIdx.x * MF_HEADS;
  if (MLA_PDL) pdl_launch();                      // stage 2 may take any room that appears; it waits for this grid's end
  if (tid == 0) {
    if (smem_u32(smem) != SM_BASE) __trap();
    for (int i = 0; i < TILE_SLOTS; i++) mbar_init(SM_EMPTY + 8 * i, 8);         // the PV warps
    if (LOADERS) for (int i = 0; i < TILE_SLOTS; i++) mbar_init(SM_FULL + 8 * i, 4);
    for (int i = 0; i < PLACES; i++) mbar_init(SM_READY + 8 * i, 4);                  // a QK warpgroup's warps
    mbar_init(SM_DECIDED, 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  if (tid >= MF_THREADS - MF_HEADS) sts_f(SM_REF + (tid - MF_THREADS + MF_HEADS) * 4, 0.f);
  if (MLA_PDL) pdl_wait();                        // where this launch itself overlaps an earlier kernel
  const MlaStretch st = mla_stretch(p, worker, tid, MF_THREADS);                 // holds a barrier: what is above is there
  if (wg < 2) {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(MF_PV_REGS));
    pv_role(p, wg, tid & 127, st, worker, head0);
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
    qk_role(p, wg - 2, tid & 127, st, head0);
  }
}
