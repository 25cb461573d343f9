// MLA decode, stage 1, for few query heads and an E4M3 cache on Hopper (sm_90a): every product by E4M3 wgmma, the cache's bytes as they are.
//
// grid   (workers, ceil(MLA_HEADS / BLOCK_H))
// block  THREADS: NUM_GROUPS warpgroups compute, one loads
// shared FEW_HEADS_FP8_SMEM bytes, dynamic
//
// q and P go in as two E4M3 terms each, hi + lo, together 8 significant bits.  The token is the matrix unit's M in QK, the width in PV:
//   S^T [64 tokens x (hi, lo of BLOCK_H)] = K [64 x 576] q^T     A: ldmatrix; B: both terms of q side by side
//   O^T [512 x BLOCK_H]      += V^T [512 x 64] P^T               A: ldmatrix.trans and one prmt a register; B: P, hi then lo
// Each tile of 64 tokens stays within one warpgroup: scores never leave registers, and only P (2 kB at 16 heads) crosses shared memory.
// Warpgroups take tiles in turn and meet only at a segment's end.
//
// precision  The unit keeps about 14 bits of a running sum of E4M3 products.  So it adds up QK_CHAIN k-steps of QK, or one tile of PV, and the rest
// is added in f32.
#include "few_heads_fp8_parts.cuh"

#define P_MAX 7.f           // a tile's largest P of a head is about 2^7, 17 binary orders above what becomes 0.  E4M3 ends at 448: room for what
                            // f16 rounds off a score of up to 4096
#define M_RANGE 64.f        // binary orders that a tile's reference may pass the segment's by

extern "C" __global__ void __maxnreg__(LAUNCH_REGS) mla_few_heads_fp8(const __grid_constant__ MlaParams p) {
  extern __shared__ __align__(128) u8 smem[];
  const u32 ring = smem_u32(smem), full = ring + AT_BARS, empty = full + NUM_STAGES * 8;
  const int tid = threadIdx.x, block_warp = tid >> 5, lane = tid & 31, head0 = blockIdx.y * BLOCK_H;

#if MLA_PDL
  pdl_launch();             // stage 2 may take any room that appears; it waits for this grid's end
#endif
  if (tid == 0) {
    for (int s = 0; s < NUM_STAGES; s++) { mbar_init(full + 8 * s, 4); mbar_init(empty + 8 * s, 4); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  const auto prefetch_q = [&] {
    for (int i = tid - CONSUMERS; i < min(BLOCK_H, MLA_HEADS - head0) * MLA_WIDTH * 2 / 128; i += 128)
      prefetch_l2((const char*)(p.q + (u64)head0 * MLA_WIDTH) + i * 128);
  };
  First first = {-1, 0};
#if MLA_EARLY
  // Nothing may be read yet, but lines may come into L2: those of the stretch that this worker has if the host counted right.
  const MlaStretch guess = mla_cut(p, p.tokens, blockIdx.x);
  if (tid >= CONSUMERS) {
    if (tid == CONSUMERS) prefetch_l2(p.kv_indptr);
    for (int k = guess.begin + (tid - CONSUMERS) * 32; k < guess.end; k += 128 * 32) prefetch_l2(p.kv_indices + k);
    if (p.batch == 1) prefetch_q();
  }
#endif
#if MLA_PDL
  pdl_wait();               // where this launch itself overlaps an earlier kernel
#endif
#if MLA_EARLY
  if (tid >= CONSUMERS && guess.begin < guess.end) {
    first.position = min(guess.begin + (tid - CONSUMERS) / 32 * 16 + (lane & 15), guess.end - 1);
    first.slot = __ldg(p.kv_indices + first.position);
  }
#else
  if (p.batch == 1 && tid >= CONSUMERS) prefetch_q();   // of the only request, while kv_indptr is on its way
#endif
  const MlaStretch stretch = mla_stretch(p, blockIdx.x, tid, THREADS);   // holds the barrier that publishes the mbarriers

  if (block_warp >= CONSUMERS / 32) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 " STR(PRODUCER_REGS) ";");
    if (FEW_HEADS_MODE != 2 && stretch.begin < stretch.end) produce(p, stretch, ring, full, empty, block_warp - CONSUMERS / 32, lane, first);
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 " STR(CONSUMER_REGS) ";");
  const int wg = block_warp >> 2, warp = block_warp & 3, g = lane >> 2, t = lane & 3;
  float* red = (float*)(smem + AT_RED) + wg * 8 * BLOCK_H;   // [BLOCK_H][4 warps], or [BLOCK_H][4 warps][l, lp]
  float* ml = (float*)(smem + AT_ML);               // [NUM_GROUPS][m, l][BLOCK_H]
  const float* scales = (const float*)(smem + AT_SCALE);
  // A lane's row for ldmatrix.  QK: one of the warp's 16 tokens, 16 of 32 widths; PV: one of 32 tokens, 16 of 64 widths.
  const u32 k_at = ring + (16 * warp + (lane & 15)) * ROW_PITCH + (lane >> 4) * 16, v_at = ring + lane * ROW_PITCH + 16 * warp;
  const u32 q_desc = desc_low(ring + AT_Q, Q_COLUMN), p_desc = desc_low(ring + AT_P, P_COLUMN);
  int slot = 0, pos = stretch.begin, r = stretch.request, turn = 0;   // slot: the tile's; turn: the warpgroup that takes it
  u32 phase = 0;

  while (pos < stretch.end) {
    int segment_end;
    while ((segment_end = __ldg(p.kv_indptr + r + 1)) <= pos) r++;
    segment_end = min(segment_end, stretch.end);
    if (pos > stretch.begin) consumers_sync();      // the segment before has left q's place
    stage_q(p, r, head0, smem, block_warp, lane);
    fence_proxy_async();
    consumers_sync();
    if (segment_end < stretch.end)                  // the next request's q
      for (int i = tid; i < min(BLOCK_H, MLA_HEADS - head0) * MLA_WIDTH * 2 / 128; i += CONSUMERS)
        prefetch_l2((const char*)(p.q + ((u64)(r + 1) * MLA_HEADS + head0) * MLA_WIDTH) + i * 128);

    float acc[8][D_REGS];                           // O^T, eight tiles of 64 widths
    float m[2 * HG], l[2 * HG], lp[2 * HG];         // of heads 8i + 2t + e at [2i + e]; m, a reference, the same in all threads; l and lp of this thread's tokens:
    #pragma unroll                                  // sums of P and of P's two terms.  l makes the log-sum-exp, lp divides what the terms multiplied
    for (int j = 0; j < 8; j++)
      #pragma unroll
      for (int k = 0; k < D_REGS; k++) acc[j][k] = 0.f;
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) { m[i] = MLA_NEG_INF; l[i] = lp[i] = 0.f; }

    for (int count; pos < segment_end; pos += count) {
      count = min(BLOCK_N, segment_end - pos);
      const bool mine = turn == wg;
      turn = turn + 1 == NUM_GROUPS ? 0 : turn + 1;
      const int tile = slot;
      const u32 parity = phase;
      if (++slot == NUM_STAGES) { slot = 0; phase ^= 1; }
      if (!mine) continue;
      if (FEW_HEADS_MODE != 2) mbar_wait(full + 8 * tile, parity);
#if FEW_HEADS_MODE == 1
      if (lane == 0) mbar_arrive(empty + 8 * tile);
      continue;
#endif
      // ---- S^T
      float s[D_REGS];
      {
        constexpr int CHAINS = QK_STEPS / QK_CHAIN;
        float d[QK_DEPTH][2 * D_REGS];
        u32 f[QK_DEPTH + 1][4 * QK_CHAIN];          // fragments of the chains in flight and the next
        #pragma unroll
        for (int i = 0; i < D_REGS; i++) s[i] = 0.f;
        auto load = [&](int c) {
          #pragma unroll
          for (int k = 0; k < QK_CHAIN; k++) ldmatrix(f[c % (QK_DEPTH + 1)] + 4 * k, k_at + tile * TILE_BYTES + 32 * (c * QK_CHAIN + k));
        };
        auto add = [&](int c) {
          float (&x)[2 * D_REGS] = d[c % QK_DEPTH];
          pin(x);
          #pragma unroll
          for (int i = 0; i < D_REGS; i++) s[i] += x[i] + x[i + D_REGS];
        };
        load(0);
        #pragma unroll
        for (int c = 0; c < CHAINS; c++) {
          if (c >= QK_DEPTH) { wgmma_wait<QK_DEPTH - 1>(); add(c - QK_DEPTH); }
          if (c + 1 < CHAINS) load(c + 1);
          wgmma_fence();
          #pragma unroll
          for (int k = 0; k < QK_CHAIN; k++) {
            const u32* a = f[c % (QK_DEPTH + 1)] + 4 * k;
            const u32 b = q_desc + 2 * (c * QK_CHAIN + k) * (Q_COLUMN >> 4);
            if (k) qk_wgmma<true>(d[c % QK_DEPTH], a, b);
            else qk_wgmma<false>(d[c % QK_DEPTH], a, b);
          }
          wgmma_commit();
        }
        wgmma_wait<0>();
        #pragma unroll
        for (int c = CHAINS - QK_DEPTH; c < CHAINS; c++) add(c);
      }
      u32 raw[2][2][4];                             // V^T of a 64-width tile: [buffer][32 tokens][8 tokens each]
      auto load_v = [&](int j) {
        ldmatrix_trans(raw[j & 1][0], v_at + tile * TILE_BYTES + j * 64);
        ldmatrix_trans(raw[j & 1][1], v_at + tile * TILE_BYTES + j * 64 + 32 * ROW_PITCH);
      };
      load_v(0);
      // ---- softmax.  A tile's P is relative to the tile's own maximum, so that E4M3's range is spent on 64 tokens, whatever tokens came before
      // (a first token that takes most of the weight); the tile's sums are brought to the segment's reference m as they are added.
      const bool live_lo = 16 * warp + g < count, live_hi = 16 * warp + g + 8 < count;
      #pragma unroll
      for (int i = 0; i < D_REGS; i++) {
        float x = s[i] * scales[8 * (i / 4) + 2 * t + (i & 1)];
#if MLA_LOGIT_CAP
        x = mla_cap(x, p.cap_log2);
#endif
        s[i] = (i & 2 ? live_hi : live_lo) ? x : MLA_NEG_INF;
      }
      {
        u32 top[HG];                                // two heads each, f16: near enough for a reference
        #pragma unroll
        for (int i = 0; i < HG; i++) top[i] = pack_f16(fmaxf(s[4 * i], s[4 * i + 2]), fmaxf(s[4 * i + 1], s[4 * i + 3]));
        const int from = reduce_lanes(top, lane, f16_max);
        #pragma unroll
        for (int k = 0; k < left(HG); k++) ((u32*)red)[4 * (4 * (from + k) + t) + warp] = top[k];
      }
      group_sync(wg);                               // all have P of the tile before behind them, too
      float own[2 * HG], to_m[2 * HG];              // the tile's references, and what brings its sums to the segment's
      bool far = false;                             // a segment's first tile, or one without a like
      #pragma unroll
      for (int i = 0; i < HG; i++) {
        const uint4 of = ((const uint4*)red)[4 * i + t];
        const float2 top = unpack_f16(f16_max(f16_max(of.x, of.y), f16_max(of.z, of.w)));
        own[2 * i] = top.x - P_MAX;
        own[2 * i + 1] = top.y - P_MAX;
        far |= own[2 * i] > m[2 * i] + M_RANGE || own[2 * i + 1] > m[2 * i + 1] + M_RANGE;
      }
      if (far) {
        #pragma unroll
        for (int i = 0; i < 2 * HG; i++) {
          const float to = fmaxf(own[i], m[i]), down = ex2(m[i] - to);
          m[i] = to;
          l[i] *= down;
          lp[i] *= down;
          #pragma unroll
          for (int j = 0; j < 8; j++) { acc[j][4 * (i / 2) + (i & 1)] *= down; acc[j][4 * (i / 2) + (i & 1) + 2] *= down; }
        }
      }
      u8* to = smem + AT_P + wg * P_BYTES + warp * P_COLUMN + 2 * t * 16 + 2 * g;
      #pragma unroll
      for (int i = 0; i < 2 * HG; i++) {            // head 8 (i / 2) + 2t + (i & 1): tokens 16 warp + g and + 8, side by side in P
        const int at = 4 * (i / 2) + (i & 1);
        to_m[i] = ex2(own[i] - m[i]);
        const float e0 = ex2(s[at] - own[i]), e1 = ex2(s[at + 2] - own[i]);
        const u32 x = pack_f16(e0, e1), hi = e4m3x2_of_f16(x), hi16 = f16_of_e4m3x2(hi);
        const u32 lo = e4m3x2_of_f16(f16_sub(x, hi16));
        const float2 both = unpack_f16(f16_add(hi16, f16_of_e4m3x2(lo)));
        *(u16*)(to + i / 2 * CORE + (i & 1) * 16) = (u16)hi;
        *(u16*)(to + (HG + i / 2) * CORE + (i & 1) * 16) = (u16)lo;
        l[i] = fmaf(e0 + e1, to_m[i], l[i]);
        lp[i] = fmaf(both.x + both.y, to_m[i], lp[i]);
      }
      fence_proxy_async();
      group_sync(wg);

      // ---- O^T
      const u32 p_now = p_desc + wg * (P_BYTES >> 4);
      float d[PV_DEPTH][D_REGS];
      u32 a[PV_DEPTH][8];
      auto add = [&](int j) {
        float (&x)[D_REGS] = d[j % PV_DEPTH];
        pin(x);
        #pragma unroll
        for (int i = 0; i < D_REGS; i++) acc[j][i] = fmaf(x[i], to_m[2 * (i / 4) + (i & 1)], acc[j][i]);
      };
      #pragma unroll
      for (int j = 0; j < 8; j++) {
        if (j >= PV_DEPTH) { wgmma_wait<PV_DEPTH - 1>(); add(j - PV_DEPTH); }
        u32 (&f)[8] = a[j % PV_DEPTH];
        float (&x)[D_REGS] = d[j % PV_DEPTH];
        #pragma unroll
        for (int k = 0; k < 2; k++) {               // tokens 2t, 2t + 8, 2t + 1, 2t + 9 of each warp's 16, as P has them
          const u32 (&v)[4] = raw[j & 1][k];
          f[4 * k] = __byte_perm(v[0], v[1], 0x6240);       // width 2g
          f[4 * k + 1] = __byte_perm(v[0], v[1], 0x7351);   // width 2g + 1
          f[4 * k + 2] = __byte_perm(v[2], v[3], 0x6240);
          f[4 * k + 3] = __byte_perm(v[2], v[3], 0x7351);
        }
        #pragma unroll
        for (int k = 0; k < 8; k++) asm volatile("" : "+r"(f[k]));   // in registers before the fence, and before the tile is given back
        if (j < 7) load_v(j + 1);
        else {
          __syncwarp();
          if (FEW_HEADS_MODE != 2 && lane == 0) mbar_arrive(empty + 8 * tile);
        }
        wgmma_fence();
        pv_wgmma<false>(x, f, p_now);
        pv_wgmma<true>(x, f, p_now + (HG * CORE >> 4));
        pv_wgmma<true>(x, f + 4, p_now + (2 * P_COLUMN >> 4));
        pv_wgmma<true>(x, f + 4, p_now + ((2 * P_COLUMN + HG * CORE) >> 4));
        wgmma_commit();
      }
      wgmma_wait<0>();
      #pragma unroll
      for (int j = 8 - PV_DEPTH; j < 8; j++) add(j);
    }
#if FEW_HEADS_MODE == 1
    continue;
#endif

    // ---- the segment's partial: this thread has 16 widths of each of its heads, over its warpgroup's tiles
    constexpr int WIDTH_TILES = 8 / NUM_GROUPS;     // of the output that a warpgroup writes
    float sums[4 * HG];
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) { sums[i] = l[i]; sums[2 * HG + i] = lp[i]; }
    const int from = reduce_lanes(sums, lane, [](float a, float b) { return a + b; });
    #pragma unroll
    for (int k = 0; k < left(4 * HG); k++) {
      const int term = from + k >= 2 * HG, i = from + k - 2 * HG * term;
      red[8 * (8 * (i / 2) + 2 * t + (i & 1)) + 2 * warp + term] = sums[k];
    }
    group_sync(wg);
    float share[2 * HG];                            // what turns acc into this warpgroup's part of the normalised output
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) {
      const int column = 8 * (i / 2) + 2 * t + (i & 1);
      const float4 a = *(const float4*)(red + 8 * column), b = *(const float4*)(red + 8 * column + 4);
      const float x = (a.x + a.z) + (b.x + b.z), y = (a.y + a.w) + (b.y + b.w);
      l[i] = x;
      share[i] = y > 0.f ? rcp(y) : 0.f;
      if (NUM_GROUPS > 1 && warp == 0 && g == 0) { ml[wg * 2 * BLOCK_H + column] = m[i]; ml[(wg * 2 + 1) * BLOCK_H + column] = x; }
    }
    if (NUM_GROUPS > 1) {
      consumers_sync();                             // all have finished with q and P
      #pragma unroll
      for (int i = 0; i < 2 * HG; i++) {
        float top, sum;
        joined_ml<NUM_GROUPS, BLOCK_H>(ml + 8 * (i / 2) + 2 * t + (i & 1), top, sum);
        share[i] *= ex2(m[i] - top) * l[i] * rcp(sum);
        m[i] = top, l[i] = sum;
      }
      // Each warpgroup hands half of its widths to the other and writes the other half.
      uint4* room = (uint4*)(smem + AT_Q) + tid % 128;   // [NUM_GROUPS][2 HG][128 threads] 8 f16
      #pragma unroll
      for (int i = 0; i < 2 * HG; i++) {
        const int d = 4 * (i / 2) + (i & 1);
        u32 o[4];
        #pragma unroll
        for (int j = 0; j < 4; j++) {
          const float a = acc[j][d] * share[i], b = acc[j][d + 2] * share[i], x = acc[4 + j][d] * share[i], y = acc[4 + j][d + 2] * share[i];
          o[j] = wg ? pack_f16(a, b) : pack_f16(x, y);
          acc[j][d] = wg ? x : a;
          acc[j][d + 2] = wg ? y : b;
        }
        room[((wg ^ 1) * 2 * HG + i) * 128] = make_uint4(o[0], o[1], o[2], o[3]);
      }
      consumers_sync();
      #pragma unroll
      for (int i = 0; i < 2 * HG; i++) {
        const uint4 x = room[(wg * 2 * HG + i) * 128];
        const u32 u[4] = {x.x, x.y, x.z, x.w};
        #pragma unroll
        for (int j = 0; j < 4; j++) {
          const float2 f = unpack_f16(u[j]);
          acc[j][4 * (i / 2) + (i & 1)] += f.x;
          acc[j][4 * (i / 2) + (i & 1) + 2] += f.y;
        }
      }
    }
#if MLA_DIRECT
    const bool whole = __ldg(p.kv_indptr + r) >= stretch.begin && __ldg(p.kv_indptr + r + 1) <= stretch.end;   // no other segment: stage 2 skips it
#else
    const bool whole = false;
#endif
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) {
      const int column = 8 * (i / 2) + 2 * t + (i & 1), head = head0 + column, d = 4 * (i / 2) + (i & 1);
      if (MLA_HEADS % BLOCK_H && head >= MLA_HEADS) continue;
      const bool first = wg == 0 && warp == 0 && g == 0;
      const int width = 64 * WIDTH_TILES * wg + 16 * warp + 2 * g;
      float scale = NUM_GROUPS > 1 ? 1.f : share[i];
      if (whole) {
        const u64 at = (u64)r * MLA_HEADS + head;
        if (first && p.lse) p.lse[at] = (m[i] + lg2(l[i])) * MLA_LN2;            // without the sink, as in stage 2
        scale *= p.kv_scale;
#if MLA_SINKS
        scale *= l[i] * rcp(l[i] + ex2(__ldg(p.sinks + head) * MLA_LOG2E - m[i]));
#endif
        #pragma unroll
        for (int j = 0; j < WIDTH_TILES; j++)
          *(u32*)(p.out + at * MLA_LATENT + width + 64 * j) = pack_io(acc[j][d] * scale, acc[j][d + 2] * scale);
        continue;
      }
      const u64 at = (u64)(blockIdx.x + r) * MLA_HEADS + head;
      if (first) p.partial_lse[at] = m[i] + lg2(l[i]);
      #pragma unroll
      for (int j = 0; j < WIDTH_TILES; j++) {
        partial_t* to = p.partial + at * MLA_LATENT + width + 64 * j;
#if MLA_PARTIAL_F32
        *(float2*)to = make_float2(acc[j][d] * scale, acc[j][d + 2] * scale);
#else
        *(u32*)to = pack_f16(acc[j][d] * scale, acc[j][d + 2] * scale);
#endif
      }
    }
  }
}
