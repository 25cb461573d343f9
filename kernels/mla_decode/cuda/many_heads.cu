// MLA decode, stage 1 for many query heads (64 a block), Hopper (sm_90a): the matrix-bound shape.
//
// A block owns 64 query heads and one worker's stretch of the token line.  Three warpgroups, two roles:
//   QK (1)   takes tiles of 64 tokens.  A thread loads cache bytes straight into registers in the order of wgmma's A fragment, a whole tile
//            ahead, converts them (E4M3 -> f16) and uses the result twice: as A of S^T = K q^T (B = q in shared memory) and, stored as it is,
//            as the tile's V.  While tile n's products run it makes tile n - 1's softmax; P^T goes to shared memory transposed (stmatrix.trans).
//   PV (2)   hold half of the 64 x 512 f32 output each: O += P V, both operands from shared memory, V read "transposed" (N-major).
// So K never crosses shared memory for QK, nothing is exchanged but P, and a tile's V is written once and read once.
//
//   slot       V [64 tokens][512 widths] and P [64 heads][64 tokens], 16-bit; two of them: tile n lies in slot n & 1
//   reference  the exponent that P and O of a head are relative to.  It moves only when a score passes it by 2^MOVE_AT, so the common
//              tile needs no reduction over tokens and no rescaling
//   d          score - reference, base 2
//
// grid   (ceil(MLA_HEADS / 64), workers) blocks of 384 threads, one a multiprocessor; neighbouring blocks share their rows through L2
// shared SM_TOTAL = 223,592 bytes, dynamic
#include "many_heads_parts.cuh"

// ---------------------------------------------------------------- the QK warpgroup
// Widths 64 b + 16 t + 4 s + i (i < 4) of a token, the word s of the 16 bytes that lane t loads, are k = 16 s + {2 t, 2 t + 1, 2 t + 8, 2 t + 9}
// of block b: just what lane t holds of an A fragment.  q's widths are stored in that order.
__device__ __forceinline__ void load_q(const MlaParams& p, int request, int head0, int tid) {
  const int t = tid & 3;
  #pragma unroll 1
  for (int g = tid >> 2; g < 64; g += 32) {                                      // 128 threads: 32 heads x 4 lanes at once
    const bool real = head0 + g < MLA_HEADS;
    const io_t* q = p.q + ((i64)request * MLA_HEADS + head0 + (real ? g : 0)) * MLA_WIDTH;
    const u32 to = SM_Q + g * 128 + 4 * t;
    #pragma unroll 3
    for (int b = 0; b < 9; b++) {
#if MLA_KV_BF16
      const uint4 x = __ldg((const uint4*)(q + 64 * b + 8 * t)), y = __ldg((const uint4*)(q + 64 * b + 32 + 8 * t));
#else
      const uint4 x = __ldg((const uint4*)(q + 64 * b + 16 * t)), y = __ldg((const uint4*)(q + 64 * b + 16 * t) + 1);
#endif
      const u32 w[8] = {x.x, x.y, x.z, x.w, y.x, y.y, y.z, y.w};
      #pragma unroll
      for (int c = 0; c < 8; c++) sts4(to + b * 8192 + ((c ^ (g & 7)) << 4), real ? q_operand(w[c]) : 0u);
    }
  }
}

#if MLA_KV_BF16
#define RAW 4                 // 16-byte pieces of a block of 64 widths that a thread holds: 2 rows x 2
#define LOAD(stage, jb) { constexpr int off = (jb) == 0 ? 1024 : ((jb) - 1) * 128; \
  raw[stage][0] = ldg_row<off>(r0); raw[stage][1] = ldg_row<off>(r1); raw[stage][2] = ldg_row<off + 64>(r0); raw[stage][3] = ldg_row<off + 64>(r1); }
#else
#define RAW 2
#define LOAD(stage, jb) { constexpr int off = (jb) == 0 ? 512 : ((jb) - 1) * 64; raw[stage][0] = ldg_row<off>(r0); raw[stage][1] = ldg_row<off>(r1); }
#endif
#if MLA_DIAG & 1
#undef LOAD
#define LOAD(stage, jb) {}
#endif

// Tile n's products and tile n - 1's softmax run together: the products are asynchronous, so between their issues the warps have time.
__device__ __forceinline__ void qk_role(const MlaParams& p, int tid, int head0) {
#define ROW ((tid >> 5) * 16 + (tid & 31) / 4)                                   // this thread's tokens of a tile: ROW and ROW + 8
  const int lane = tid & 31;
  const u32 va = opaque(SM_V + (16 * (tid >> 5) + (lane & 15)) * 128 + (((lane >> 4) ^ (lane & 7)) << 4));   // V for stmatrix: k-step s at va ^ 32 s
  const u32 pa = opaque(SM_P + ((lane >> 4) * 8 + (lane & 7)) * 128 + (((2 * (tid >> 5) + ((lane >> 3) & 1)) ^ (lane & 7)) << 4));
  const u32 t8 = opaque(8 * (tid & 3));
  u64 r0, r1;                                                                    // the two rows' bytes: 16 from here of every 64
  auto rows_of = [&](int n) {
    const u32 at = opaque(SM_ROWS + (n & 3) * 256 + ROW * 4);
    const u64 base = (u64)p.cache + 16 * (tid & 3);
    r0 = row_at(base, (int)lds4(at));
    r1 = row_at(base, (int)lds4(at + 32));
  };
  // blocks in the order rope, latent 0 .. 7: the rope block needs no room in the slot
  uint4 raw[NUM_STAGES][RAW] = {};
  rows_of(0);
  unroll<NUM_STAGES>([&](auto J) { constexpr int j = J.value; LOAD(j, j) });

  float s[32], d[32];                                                            // scores of tile n; of tile n - 1, less their references
  u32 a[A_BUFS][8];
  u32 before = 0;                                                                // tile n - 1, while its softmax is due
  int n = 0;
  #pragma unroll 1
  while (true) {
    const u32 tile = TILE(n);
    const bool products = tile >= 16 && !(before && (tile & FIRST));             // a new request waits until the last one's softmax is done
    const u32 slot = n & 1, slot_p = slot ^ 1, vs = va + slot * 65536;
    auto block = [&](auto J) {
      constexpr int jb = J.value, b = jb == 0 ? 8 : jb - 1, stage = jb % NUM_STAGES;
      unroll<2>([&](auto HH) {
        constexpr int h = HH.value, A = (2 * jb + h) % A_BUFS;
        if (2 * jb + h >= A_BUFS) wgmma_wait<A_BUFS - 1>();                      // the products that read a[A] are done
#if MLA_KV_BF16
        const uint4 x = raw[stage][2 * h], y = raw[stage][2 * h + 1];
        a[A][0] = x.x; a[A][2] = x.y; a[A][4] = x.z; a[A][6] = x.w;
        a[A][1] = y.x; a[A][3] = y.y; a[A][5] = y.z; a[A][7] = y.w;
#else
        const uint4 x = raw[stage][0], y = raw[stage][1];
        convert(h ? x.z : x.x, a[A][0], a[A][2]);
        convert(h ? y.z : y.x, a[A][1], a[A][3]);
        convert(h ? x.w : x.y, a[A][4], a[A][6]);
        convert(h ? y.w : y.y, a[A][5], a[A][7]);
#endif
        if (b < 8 && !(MLA_DIAG & 8)) {
          stmatrix4((h ? flip<64>(vs) : vs) + b * 8192, a[A][0], a[A][1], a[A][2], a[A][3]);
          stmatrix4((h ? flip<96>(vs) : flip<32>(vs)) + b * 8192, a[A][4], a[A][5], a[A][6], a[A][7]);
        }
        wgmma_fence();
        if (!(MLA_DIAG & 4) || jb == 0) {
          const u64 qd = matrix_desc(SM_Q + b * 8192, 16, 1024);
          wgmma_qk(s, a[A], qd + 4 * h, jb + h > 0);
          wgmma_qk(s, a[A] + 4, qd + 4 * h + 2, 1);
        }
        wgmma_commit();
      });
      if (jb == 9 - NUM_STAGES) rows_of(n + 1);
      constexpr int nj = (jb + NUM_STAGES) % 9;
      LOAD(stage, nj)                                                            // past the last tile: row 0 of the cache, unused
    };
    auto probabilities = [&](auto C) {                                           // 16 heads of P
      constexpr int j = 2 * C.value;
      u32 x[4];
      #pragma unroll
      for (int k = 0; k < 4; k++) x[k] = pack_p(ex2(d[4 * j + 2 * k]), ex2(d[4 * j + 2 * k + 1]));
      stmatrix4_trans(pa + slot_p * 8192 + j * 1024, x[0], x[1], x[2], x[3]);
    };
    auto publish = [&] {                                                         // P and V of tile n - 1 are there
      fence_proxy_async();
      __syncwarp();
      if (lane == 0) mbar_arrive(SM_BARS + 8 * slot_p);
    };

    auto decide = [&] {                                                          // do the references of tile n - 1 move?
      float top = MLA_NEG_INF;
      #pragma unroll
      for (int k = 0; k < 32; k++) top = fmaxf(top, d[k]);
      const bool moved = bar_or(2, 128, top > MOVE_AT || (before & FIRST));
      if (moved) {
        const u32 red = opaque(SM_P + slot_p * 8192);                            // P's room is free still: [4 warps][64] maxima
        #pragma unroll
        for (int j = 0; j < 8; j++) {
          #pragma unroll
          for (int e = 0; e < 2; e++) {
            float m = fmaxf(d[4 * j + e], d[4 * j + 2 + e]);
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 4));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 8));
            m = fmaxf(m, __shfl_xor_sync(~0u, m, 16));
            if (lane < 4) sts_f(red + (tid >> 5) * 256 + t8 + 32 * j + 4 * e, m);
          }
        }
        bar_sync(2, 128);
        if (tid < 64) {
          const u32 r = red + tid * 4, ref = SM_REF + tid * 4;
          float m = fmaxf(fmaxf(lds_f(r), lds_f(r + 256)), fmaxf(lds_f(r + 512), lds_f(r + 768))) - HEADROOM;
          if (!(before & FIRST)) m = fmaxf(m, 0.f);
          sts_f(r, m);
          sts_f(ref, lds_f(ref) + m);
          sts_f(SM_ALPHA + slot_p * 256 + tid * 4, ex2(-m));
        }
        bar_sync(2, 128);
        #pragma unroll
        for (int j = 0; j < 8; j++) {
          const float2 m = lds_f2(red + t8 + 32 * j);
          d[4 * j] -= m.x; d[4 * j + 1] -= m.y; d[4 * j + 2] -= m.x; d[4 * j + 3] -= m.y;
        }
        bar_sync(2, 128);                                                        // P overwrites red
      }
      if (before & LAST) {                                                       // hand the references over, zero them for the next segment
        if (tid < 64) { const u32 ref = SM_REF + tid * 4; sts_f(SM_REF_END + slot_p * 256 + tid * 4, lds_f(ref)); sts_f(ref, 0.f); }
        bar_sync(2, 128);
      }
      if (tid == 0) sts4(SM_FLAG + 4 * slot_p, moved && !(before & FIRST));
    };
    auto tile_products = [&](auto WITH) {                                        // one straight run of code, with the softmax or without
      constexpr bool softmax = WITH.value;
      block(Const<0>{});
      if constexpr (softmax) { decide(); probabilities(Const<0>{}); }
      mh_wait(SM_BARS + 16 + 8 * slot, ((n >> 1) & 1) ^ 1);
      block(Const<1>{});
      if constexpr (softmax) probabilities(Const<1>{});
      block(Const<2>{});
      if constexpr (softmax) probabilities(Const<2>{});
      block(Const<3>{});
      if constexpr (softmax) { probabilities(Const<3>{}); publish(); }
      block(Const<4>{});
      block(Const<5>{});
      block(Const<6>{});
      block(Const<7>{});
      block(Const<8>{});
    };
    float2 ref[8];
    if (!products) {
      if (before) {
        decide();
        unroll<4>(probabilities);
        publish();
      }
      if (tile < 16) break;
      before = 0;
      continue;
    }
    if (before) {
      tile_products(Const<1>{});
      #pragma unroll
      for (int j = 0; j < 8; j++) ref[j] = lds_f2(t8 + SM_REF + 32 * j);
      wgmma_wait<0>();
      hold(s);
    } else {
      load_q(p, TILE_REQUEST(n), head0, tid);                                    // a segment's first tile
      fence_proxy_async();
      bar_sync(2, 128);
      tile_products(Const<0>{});
      #pragma unroll
      for (int j = 0; j < 8; j++) ref[j] = make_float2(0.f, 0.f);
      wgmma_wait<0>();
      hold(s);
    }
    // s[4 j + 2 u + e]: token ROW + 8 u, head 8 j + 2 t + e
    if (tile & LAST) {
      const int count = tile >> 4, row = ROW;
      #pragma unroll
      for (int j = 0; j < 8; j++) {
        if (row >= count) s[4 * j] = s[4 * j + 1] = MLA_NEG_INF;
        if (row + 8 >= count) s[4 * j + 2] = s[4 * j + 3] = MLA_NEG_INF;
      }
    }
    #pragma unroll
    for (int j = 0; j < 8; j++) {
      #pragma unroll
      for (int k = 0; k < 4; k++) {
        const float r = k & 1 ? ref[j].y : ref[j].x;
        d[4 * j + k] = above_reference(p, s[4 * j + k], r);
      }
    }
    before = tile;
    n++;
  }
}

// ---------------------------------------------------------------- a PV warpgroup: widths [256 me, 256 me + 256) of the output
__device__ __forceinline__ float sum8(uint4 v) {
#if MLA_KV_BF16
  const float2 a = unpack_bf16(v.x), b = unpack_bf16(v.y), c = unpack_bf16(v.z), d = unpack_bf16(v.w);
#else
  const float2 a = unpack_f16(v.x), b = unpack_f16(v.y), c = unpack_f16(v.z), d = unpack_f16(v.w);
#endif
  return ((a.x + a.y) + (b.x + b.y)) + ((c.x + c.y) + (d.x + d.y));
}

__device__ __forceinline__ void pv_role(const MlaParams& p, int me, int tid, const MlaStretch st, int worker, int head0) {
  const int lane = tid & 31, warp = tid >> 5, g = lane >> 2, t = lane & 3, row = 16 * warp + g;   // heads row, row + 8
  const int h = (int)(threadIdx.x & 63), quarter = (int)(threadIdx.x >> 6);   // for the row sums: a head, 16 tokens of a tile
  const u32 full = SM_BARS, empty = full + 16;
  const bool lists = me == 0 && tid < 64;                                        // two warps list tiles, a row a thread
  Tiles ahead = {st.request, st.begin, 0, 0};                                    // tile n + 4
  if (lists) {
    enter(ahead, p, st.end);
    for (int i = 0; i < 4; i++) next_tile(ahead, p, st.end);
  }
  float o[128], sum = 0.f;
  #pragma unroll
  for (int i = 0; i < 128; i++) o[i] = 0.f;
  #pragma unroll 1
  for (int n = 0;; n++) {
    const u32 slot = n & 1, tile = TILE(n);
    if (tile < 16) break;
    const int ahead_slot = lists ? tile_slot(ahead, p, st.end, tid) : 0;         // on its way during the wait
    mh_wait(full + 8 * slot, (n >> 1) & 1);
    if (tile & FIRST) sum = 0.f;
    else if (lds4(SM_FLAG + 4 * slot)) {
      const u32 al = SM_ALPHA + slot * 256;
      const float a0 = lds_f(al + row * 4), a1 = lds_f(al + row * 4 + 32);
      sum *= lds_f(al + h * 4);
      #pragma unroll
      for (int k = 0; k < 128; k += 4) { o[k] *= a0; o[k + 1] *= a0; o[k + 2] *= a1; o[k + 3] *= a1; }
    }
    const u64 pd = matrix_desc(SM_P + slot * 8192, 16, 1024);
    const u64 vd = matrix_desc(SM_V + slot * 65536 + me * 32768, 8192, 1024);
    hold(o);
    wgmma_fence();
    if (!(MLA_DIAG & 2)) {
      #pragma unroll
      for (int k = 0; k < 4; k++) wgmma_pv(o, pd + 2 * k, vd + 128 * k, k || !(tile & FIRST));
    }
    wgmma_commit();
    {
      const u32 pr = SM_P + slot * 8192 + h * 128;
      sum += sum8(lds16(pr + (((2 * quarter) ^ (h & 7)) << 4))) + sum8(lds16(pr + (((2 * quarter + 1) ^ (h & 7)) << 4)));
    }
    if (lists) list_tile(n + 4, ahead, st.end, tid, ahead_slot);
    wgmma_wait<0>();
    hold(o);
    if (!(tile & LAST)) { __syncwarp(); if (lane == 0) mbar_arrive(empty + 8 * slot); }
    if (lists) {
#if MLA_L2_AHEAD
      if (ahead.at < st.end) {                                                   // 576 bytes at a multiple of 64 lie in five lines
        const char* a = (const char*)row_at((u64)p.cache, ahead_slot);
        #pragma unroll
        for (int k = 0; k < MLA_ROW_BYTES; k += 128) prefetch_l2(a + k);
        if (ahead.flags & FIRST) {                                               // the request's q
          const char* q = (const char*)(p.q + ((i64)ahead.request * MLA_HEADS + head0) * MLA_WIDTH);
          const int lines = min(MH_HEADS, MLA_HEADS - head0) * MLA_WIDTH * 2 / 128;
          for (int i = tid; i < lines; i += 64) prefetch_l2(q + i * 128);
        }
      }
#endif
      next_tile(ahead, p, st.end);
    }
    if (!(tile & LAST)) continue;
    // ---- the segment's end: o / sum
    const u32 sums = SM_V + slot * 65536;                                    // each warpgroup's in its own half of V, which is free now
    sts_f(sums + me * 32768 + tid * 4, sum);
    const float ref0 = lds_f(SM_REF_END + (slot * 64 + row) * 4), ref1 = lds_f(SM_REF_END + (slot * 64 + row + 8) * 4);
    bar_sync(1, 256);
    float l0 = 0.f, l1 = 0.f;
    #pragma unroll
    for (int k = 0; k < 4; k++) { const u32 part = sums + (k >> 1) * 32768 + (k & 1) * 256 + row * 4; l0 += lds_f(part); l1 += lds_f(part + 32); }
    const bool own0 = me == 0 && t == 0 && head0 + row < MLA_HEADS, own1 = me == 0 && t == 0 && head0 + row + 8 < MLA_HEADS;
    bool direct = false;
#if MLA_DIRECT
    direct = tile & WHOLE;
#endif
    const int request = TILE_REQUEST(n);
    const i64 part = worker + request;
    float f0, f1;
    if (direct) {
      if (p.lse) {                                                               // without the sink, as in stage 2
        float* d = p.lse + (i64)request * MLA_HEADS + head0 + row;
        if (own0) d[0] = (ref0 + __log2f(l0)) * MLA_LN2;
        if (own1) d[8] = (ref1 + __log2f(l1)) * MLA_LN2;
      }
#if MLA_SINKS
      l0 += ex2(__ldg(p.sinks + min(head0 + row, MLA_HEADS - 1)) * MLA_LOG2E - ref0);
      l1 += ex2(__ldg(p.sinks + min(head0 + row + 8, MLA_HEADS - 1)) * MLA_LOG2E - ref1);
#endif
      f0 = p.kv_scale / l0; f1 = p.kv_scale / l1;
    } else {
      f0 = 1.f / l0; f1 = 1.f / l1;
      float* d = p.partial_lse + part * MLA_HEADS + head0 + row;
      if (own0) d[0] = ref0 + __log2f(l0);
      if (own1) d[8] = ref1 + __log2f(l1);
    }
    // Column 8 j + 2 t + e of a block of 64 is k's order above: lane t has 16 (bf16 cache: twice 8) neighbouring widths a block
    #pragma unroll
    for (int u = 0; u < 2; u++) {
      if (head0 + row + 8 * u >= MLA_HEADS) continue;
      const float f = u ? f1 : f0;
      const i64 at = ((direct ? (i64)request : part) * MLA_HEADS + head0 + row + 8 * u) * MLA_LATENT + 256 * me;
      #pragma unroll
      for (int c = 0; c < 8; c++) {                                              // 8 widths: block c / 2, its half c % 2
        const float* x = o + 32 * (c >> 1) + 16 * (c & 1) + 2 * u;
#if MLA_KV_BF16
        const i64 w = at + 64 * (c >> 1) + 32 * (c & 1) + 8 * t;
#else
        const i64 w = at + 64 * (c >> 1) + 8 * (c & 1) + 16 * t;
#endif
        if (direct) {
          *(uint4*)(p.out + w) = make_uint4(pack_io(x[0] * f, x[1] * f), pack_io(x[4] * f, x[5] * f), pack_io(x[8] * f, x[9] * f), pack_io(x[12] * f, x[13] * f));
        } else {
#if MLA_PARTIAL_F32
          *(float4*)(p.partial + w) = make_float4(x[0] * f, x[1] * f, x[4] * f, x[5] * f);
          *(float4*)(p.partial + w + 4) = make_float4(x[8] * f, x[9] * f, x[12] * f, x[13] * f);
#else
          *(uint4*)(p.partial + w) = make_uint4(pack_f16(x[0] * f, x[1] * f), pack_f16(x[4] * f, x[5] * f), pack_f16(x[8] * f, x[9] * f), pack_f16(x[12] * f, x[13] * f));
#endif
        }
      }
    }
    __syncwarp();
    if (lane == 0) mbar_arrive(empty + 8 * slot);
  }
}

extern "C" __global__ void __launch_bounds__(MH_THREADS, 1) mla_decode_many_heads(const __grid_constant__ MlaParams p) {
  extern __shared__ __align__(1024) u8 smem[];
  const int tid = threadIdx.x, wg = tid >> 7;
  const int worker = blockIdx.y, head0 = blockIdx.x * MH_HEADS;
  if (MLA_PDL) pdl_launch();                      // stage 2 may take any room that appears; it waits for this grid's end
  if (tid == 0) {
    if (smem_u32(smem) != SM_BASE) __trap();
    for (int i = 0; i < 2; i++) {
      mbar_init(SM_BARS + 8 * i, 4);              // full: the warps of the QK warpgroup
      mbar_init(SM_BARS + 16 + 8 * i, 8);         // empty: the warps of both PV warpgroups
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  const MlaStretch st = mla_stretch(p, worker, tid, MH_THREADS);   // holds a barrier: the mbarriers are there
  if (tid < 256) {                                // the first four tiles' list
    Tiles t = {st.request, st.begin, 0, 0};
    enter(t, p, st.end);
    for (int i = 0; i < tid >> 6; i++) next_tile(t, p, st.end);
    list_tile(tid >> 6, t, st.end, tid & 63, tile_slot(t, p, st.end, tid & 63));
  } else {
    if (tid < 320) sts_f(SM_REF + (tid & 63) * 4, 0.f);
    for (int k = st.begin + (tid - 256) * 32; k < st.end; k += 128 * 32) prefetch_l2(p.kv_indices + k);
  }
  __syncthreads();
  if (wg < 2) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(MLA_PV_REGS));
    pv_role(p, wg, tid & 127, st, worker, head0);
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(MLA_QK_REGS));
    qk_role(p, tid & 127, head0);
  }
}
