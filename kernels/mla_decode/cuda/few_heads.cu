// MLA decode, stage 1, for few query heads on Hopper (sm_90a): memory-bound, every cache row crosses device memory once a block of heads.
//
// grid   (workers, ceil(MLA_HEADS / BLOCK_H))
// block  THREADS: NUM_GROUPS warpgroups compute, one loads
// shared FEW_HEADS_SMEM bytes, dynamic
//
// The token is the matrix unit's M.  Rows stay in the cache's type in shared memory and become wgmma's A operand in registers:
//   S^T [64 tokens x BLOCK_H] = K [64 x 576] q^T         A: 16 bytes of a token row a thread, converted; B: q in shared memory
//   O^T [512 x BLOCK_H]      += V^T [512 x 64] P^T       A: bytes of two tokens interleaved by prmt, converted; B: P in shared memory
// so each tile of 64 tokens stays within one warpgroup: scores never leave registers, and only P (2 kB at 16 heads) crosses shared memory.
// Warpgroups take tiles in turn and meet only at a segment's end.  The order of widths within a k-step, of tokens within a tile and of output
// rows is free; each is chosen so that loads are 16 bytes and free of bank conflicts, and undone where q is staged and the output written.
#include "few_heads_parts.cuh"

extern "C" __global__ void __maxnreg__(LAUNCH_REGS) mla_few_heads(const __grid_constant__ MlaParams p) {
  extern __shared__ __align__(128) u8 smem[];
  const u32 ring = smem_u32(smem), full = ring + AT_BARS, empty = full + NUM_STAGES * 8;
  const int tid = threadIdx.x, block_warp = tid >> 5, lane = tid & 31, head0 = blockIdx.y * BLOCK_H;

#if MLA_PDL
  pdl_launch();             // stage 2 may take any room that appears; it waits for this grid's end
#endif
  if (p.batch == 1 && tid >= CONSUMERS) {           // q of the only request, while kv_indptr is on its way
    for (int i = tid - CONSUMERS; i < min(BLOCK_H, MLA_HEADS - head0) * MLA_WIDTH * 2 / 128; i += 128)
      prefetch_l2((const char*)(p.q + (u64)head0 * MLA_WIDTH) + i * 128);
  }
  if (tid == 0) {
    for (int s = 0; s < NUM_STAGES; s++) { mbar_init(full + 8 * s, 1); mbar_init(empty + 8 * s, 4); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
#if MLA_PDL
  pdl_wait();               // where this launch itself overlaps an earlier kernel
#endif
  const MlaStretch stretch = mla_stretch(p, blockIdx.x, tid, THREADS);   // holds the barrier that publishes the mbarriers

  if (block_warp >= CONSUMERS / 32) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 " STR(PRODUCER_REGS) ";");
    if (FEW_HEADS_MODE != 2 && stretch.begin < stretch.end) produce(p, stretch, ring, full, empty, block_warp - CONSUMERS / 32, lane);
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 " STR(CONSUMER_REGS) ";");
  const int wg = block_warp >> 2, warp = block_warp & 3, g = lane >> 2, t = lane & 3;
  float* red = (float*)(smem + AT_RED) + wg * 4 * BLOCK_H;   // [4 warps][BLOCK_H]
  float* ml = (float*)(smem + AT_ML);               // [NUM_GROUPS][m, l][BLOCK_H]
  // this thread's places in a slot.  QK: its two token rows, 16 bytes at 16t of each chunk.  PV: 16 bytes of four token rows.
  const u32 k_at = ring + row_of(g) * ROW_PITCH + 16 * t;                        // and row_of(g + 8) = row_of(g) + 1
  const u32 v_even = ring + 128 * warp + 16 * g + row_of(2 * t) * ROW_PITCH;     // k = 2t; 2t + 8 is the next row
  const u32 v_odd = ring + 128 * warp + 16 * g + row_of(2 * t + 1) * ROW_PITCH;  // k = 2t + 1, 2t + 9
  int slot = 0, pos = stretch.begin, r = stretch.request, p_buffer = 0, turn = 0;   // slot: the tile's first; turn: the warpgroup that takes it
  u32 phase = 0;
  auto slot_of = [&](int i, u32& parity) {          // of the tile's i-th 16 tokens
    const int s = slot + i;
    parity = s >= NUM_STAGES ? phase ^ 1 : phase;
    return s >= NUM_STAGES ? s - NUM_STAGES : s;
  };
  auto advance = [&](int slots) {
    slot += slots;
    if (slot >= NUM_STAGES) { slot -= NUM_STAGES; phase ^= 1; }
  };
  // Waits for the tile that starts `ahead` slots on; the offset in the ring of this warp's 16 tokens (past the end: its last group, masked later).
  auto wait_tile = [&](int ahead, int groups) {
    u32 parity;
    #pragma unroll
    for (int i = 0; i < 4; i++) {
      const int my = slot_of(ahead + min(i, groups - 1), parity);
      if (FEW_HEADS_MODE != 2) mbar_wait(full + 8 * my, parity);
    }
    return (u32)(slot_of(ahead + min(warp, groups - 1), parity) * SLOT_BYTES);
  };
  auto load_v = [&](uint4 (&v)[4], int k, int half) {   // of k-step k of the tile
    u32 parity;
    const int my = slot_of(k, parity);
    const u32 at = my * SLOT_BYTES + 512 * half;
    v[0] = lds128(v_even + at);
    v[1] = lds128(v_odd + at);
    v[2] = lds128(v_even + at + ROW_PITCH);
    v[3] = lds128(v_odd + at + ROW_PITCH);
  };
  auto release = [&](int k) {                       // the slot of k-step k is in registers
    u32 parity;
    const int my = slot_of(k, parity);
    __syncwarp();
    if (FEW_HEADS_MODE != 2 && lane == 0) mbar_arrive(empty + 8 * my);
  };
  const u32 q_desc = b_desc(ring + AT_Q), p_desc = b_desc(ring + AT_P);

  while (pos < stretch.end) {
    int segment_end;
    while ((segment_end = __ldg(p.kv_indptr + r + 1)) <= pos) r++;
    segment_end = min(segment_end, stretch.end);
#if FEW_HEADS_MODE == 1
    if (wg > 0) return;
    for (; pos < segment_end; pos += min(SLOT_ROWS, segment_end - pos)) {
      mbar_wait(full + 8 * slot, phase);
      if (lane == 0) mbar_arrive(empty + 8 * slot);
      if (++slot == NUM_STAGES) { slot = 0; phase ^= 1; }
    }
    continue;
#endif
    if (pos > stretch.begin) consumers_sync();      // the segment before has left q's place
    stage_q(p, r, head0, smem, wg, warp, g, t);
    fence_proxy_async();
    consumers_sync();
    if (segment_end < stretch.end)                  // the next request's q
      for (int i = tid; i < min(BLOCK_H, MLA_HEADS - head0) * MLA_WIDTH * 2 / 128; i += CONSUMERS)
        prefetch_l2((const char*)(p.q + ((u64)(r + 1) * MLA_HEADS + head0) * MLA_WIDTH) + i * 128);

    float acc[8][D_REGS];                           // O^T, eight tiles of 64 widths
    float s[D_REGS];                                // S^T of the tile in hand
    float m[2 * HG], l[2 * HG];                     // of heads 8i + 2t + e at [2i + e]; m the same in all threads, l this thread's tokens only
    #pragma unroll
    for (int j = 0; j < 8; j++)
      #pragma unroll
      for (int k = 0; k < D_REGS; k++) acc[j][k] = 0.f;
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) { m[i] = MLA_NEG_INF; l[i] = 0.f; }

    // S^T of the tile that starts `ahead` slots on, O^T += V^T P^T of the tile in hand, or both: instruction by instruction, so that the chain of
    // S^T's accumulations hides behind PV's independent ones, and conversions behind both.
    auto multiply = [&](auto with_qk, auto with_pv, int ahead, int groups, u32 p_now) {
      constexpr bool QK = decltype(with_qk)::on, PV = decltype(with_pv)::on;
      Step fk[DEPTH], fv[DEPTH];
      float odd[D_REGS];
      uint4 v[4], x, y;
      u32 at = 0;
      if constexpr (PV) load_v(v, 0, 0);
      if constexpr (QK) { at = wait_tile(ahead, groups); at += k_at; x = lds128(at); y = lds128(at + ROW_PITCH); }
      #pragma unroll
      for (int u = 0; u < (QK ? QK_STEPS : PV_STEPS); u++) {
        Step &k = fk[u % DEPTH], &w = fv[u % DEPTH];
        wgmma_wait<DEPTH - 1>();                    // step u - DEPTH is done: its registers are free
        if constexpr (QK) {
          k_fragments(k, x, y, u % STEPS_PER_CHUNK);
          const int next = (u + 1) / STEPS_PER_CHUNK;
          if ((u + 1) % STEPS_PER_CHUNK == 0 && next < QK_CHUNKS) { x = lds128(at + 64 * next); y = lds128(at + 64 * next + ROW_PITCH); }
        }
        if (PV && u < PV_STEPS) {
          v_fragments(w, v, u % 4);
          if (u % 4 == 3) {
            release(u / 4);
            if (u + 1 < PV_STEPS) load_v(v, u / 4 + 1, 0);
          } else if (MLA_KV_BYTES == 2 && u % 4 == 1) load_v(v, u / 4, 1);
        }
        wgmma_fence();
        #pragma unroll
        for (int j = 0; j < 2; j++) {
          if constexpr (QK && PV) wgmma<0>(s, k.a + 4 * j, q_desc + (2 * u + j) * (KSTEP_BYTES >> 4), u + j > 0);
          else if constexpr (QK) wgmma<0>(j ? odd : s, k.a + 4 * j, q_desc + (2 * u + j) * (KSTEP_BYTES >> 4), u > 0);   // two chains
          if (PV && u < PV_STEPS) wgmma<1>(acc[2 * (u % 4) + j], w.a + 4 * j, p_now + u / 4 * (KSTEP_BYTES >> 4), 1);
        }
        wgmma_commit();
      }
      wgmma_wait<0>();
      if constexpr (QK && !PV) {
        #pragma unroll
        for (int i = 0; i < D_REGS; i++) s[i] += odd[i];
      }
    };

    int count = 0, groups = 0;
    auto take = [&] { count = min(BLOCK_N, segment_end - pos); groups = (count + 15) >> 4; };
    auto pass = [&] {                               // on to the next tile of the segment
      pos += count;
      advance(groups);
      turn = turn + 1 == NUM_GROUPS ? 0 : turn + 1;
    };
    auto seek = [&] {                               // this warpgroup's next tile of the segment, or none
      for (; pos < segment_end; pass()) { take(); if (turn == wg) return true; }
      return false;
    };
    bool have_scores = false;
    while (seek()) {
      if (!have_scores) multiply(Flag<true>{}, Flag<false>{}, 0, groups, 0u);
      // ---- softmax.  m is a reference, not the running maximum: it moves only when a score passes it by more than 2^8 (P stays within f16
      // and keeps its relative precision), so the common tile needs no exchange of maxima and no rescaling.
      const bool live_lo = 16 * warp + row_of(g) < count, live_hi = 16 * warp + row_of(g + 8) < count;
      bool moved = false;
      #pragma unroll
      for (int i = 0; i < D_REGS; i++) {
        float x = s[i] * p.scale_log2;
#if MLA_LOGIT_CAP
        x = mla_cap(x, p.cap_log2);
#endif
        s[i] = (i & 2 ? live_hi : live_lo) ? x : MLA_NEG_INF;
        moved |= s[i] > m[2 * (i / 4) + (i & 1)] + 8.f;
      }
      float e[D_REGS];
      auto write_p = [&] {
        u8* to = smem + AT_P + (2 * wg + p_buffer) * P_BYTES + warp * KSTEP_BYTES + g * 16 + t * 4;
        #pragma unroll
        for (int i = 0; i < D_REGS; i++) e[i] = ex2(s[i] - m[2 * (i / 4) + (i & 1)]);
        #pragma unroll
        for (int i = 0; i < D_REGS; i += 2)         // core matrix [k half = token row half][head group]: 8 tokens x 8 heads
          *(u32*)(to + ((i >> 1 & 1) * HG + i / 4) * CORE) = pack_p(e[i], e[i + 1]);
        fence_proxy_async();
      };
      write_p();
      if (group_sync_or(wg, moved)) {
        #pragma unroll
        for (int i = 0; i < 2 * HG; i++) {
          float x = fmaxf(s[4 * (i / 2) + (i & 1)], s[4 * (i / 2) + (i & 1) + 2]);
          #pragma unroll
          for (int o = 4; o < 32; o <<= 1) x = fmaxf(x, __shfl_xor_sync(~0u, x, o));
          if (g == 0) red[warp * BLOCK_H + 8 * (i / 2) + 2 * t + (i & 1)] = x;
        }
        group_sync(wg);
        #pragma unroll
        for (int i = 0; i < 2 * HG; i++) {
          const float* column = red + 8 * (i / 2) + 2 * t + (i & 1);
          const float top = fmaxf(fmaxf(fmaxf(column[0], column[BLOCK_H]), fmaxf(column[2 * BLOCK_H], column[3 * BLOCK_H])), m[i]);
          const float alpha = ex2(m[i] - top);
          m[i] = top;
          l[i] *= alpha;
          #pragma unroll
          for (int j = 0; j < 8; j++) { acc[j][4 * (i / 2) + (i & 1)] *= alpha; acc[j][4 * (i / 2) + (i & 1) + 2] *= alpha; }
        }
        write_p();
        group_sync(wg);
      }
      #pragma unroll
      for (int i = 0; i < D_REGS; i++) l[2 * (i / 4) + (i & 1)] += e[i];

      const u32 p_now = p_desc + (2 * wg + p_buffer) * (P_BYTES >> 4);
      p_buffer ^= 1;
      have_scores = FUSED && pos + NUM_GROUPS * BLOCK_N < segment_end;
      if (have_scores) {                            // the warpgroup's next tile is in this segment, so this one has four whole k-steps
        multiply(Flag<true>{}, Flag<true>{}, 4 * NUM_GROUPS, (min(BLOCK_N, segment_end - pos - NUM_GROUPS * BLOCK_N) + 15) >> 4, p_now);
      } else if (groups == 4) {
        multiply(Flag<false>{}, Flag<true>{}, 0, 4, p_now);
      } else {
        #pragma unroll 1
        for (int k = 0; k < groups; k++) {
          uint4 v[4];
          Step f[4];
          load_v(v, k, 0);
          #pragma unroll
          for (int u = 0; u < 4; u++) {
            if (u == 2 && MLA_KV_BYTES == 2) load_v(v, k, 1);
            v_fragments(f[u], v, u);
          }
          release(k);
          wgmma_fence();
          #pragma unroll
          for (int u = 0; u < 8; u++) wgmma<1>(acc[u], f[u / 2].a + 4 * (u % 2), p_now + k * (KSTEP_BYTES >> 4), 1);
          wgmma_commit();
          wgmma_wait<0>();
        }
      }
      pass();
    }

    // ---- the segment's partial: this thread has 16 widths of each of its heads, over its warpgroup's tiles
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) {
      float x = l[i];
      #pragma unroll
      for (int o = 4; o < 32; o <<= 1) x += __shfl_xor_sync(~0u, x, o);
      if (g == 0) red[warp * BLOCK_H + 8 * (i / 2) + 2 * t + (i & 1)] = x;
    }
    group_sync(wg);
    float share[2 * HG];                            // what turns acc into this warpgroup's part of the normalised output
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) {
      const int column = 8 * (i / 2) + 2 * t + (i & 1);
      l[i] = red[column] + red[BLOCK_H + column] + red[2 * BLOCK_H + column] + red[3 * BLOCK_H + column];
      share[i] = 1.f / l[i];
      if (NUM_GROUPS > 1 && warp == 0 && g == 0) { ml[wg * 2 * BLOCK_H + column] = m[i]; ml[(wg * 2 + 1) * BLOCK_H + column] = l[i]; }
    }
    if (NUM_GROUPS > 1) {
      consumers_sync();                             // all have finished with q and P
      #pragma unroll
      for (int i = 0; i < 2 * HG; i++) {
        float top, sum;
        joined_ml<NUM_GROUPS, BLOCK_H>(ml + 8 * (i / 2) + 2 * t + (i & 1), top, sum);
        share[i] = ex2(m[i] - top) / sum;
        m[i] = top, l[i] = sum;
      }
      uint4* room = (uint4*)(smem + AT_Q) + tid % 128;   // [NUM_GROUPS - 1][4 HG][128 threads] 8 f16
      if (wg > 0) {
        #pragma unroll
        for (int i = 0; i < 2 * HG; i++)
          #pragma unroll
          for (int v = 0; v < 2; v++) {
            const int d = 4 * (i / 2) + (i & 1);
            u32 o[4];
            #pragma unroll
            for (int j = 0; j < 4; j++) o[j] = pack_f16(acc[4 * v + j][d] * share[i], acc[4 * v + j][d + 2] * share[i]);
            room[((wg - 1) * 4 * HG + 2 * i + v) * 128] = make_uint4(o[0], o[1], o[2], o[3]);
          }
      }
      consumers_sync();
      if (wg > 0) continue;
    }
    #pragma unroll
    for (int i = 0; i < 2 * HG; i++) {
      const int column = 8 * (i / 2) + 2 * t + (i & 1), head = head0 + column, d = 4 * (i / 2) + (i & 1);
      if (head >= MLA_HEADS) continue;
      const u64 at = (u64)(blockIdx.x + r) * MLA_HEADS + head;
      if (warp == 0 && g == 0) p.partial_lse[at] = m[i] + log2f(l[i]);
      #pragma unroll
      for (int v = 0; v < 2; v++) {                 // 8 widths each; d, d + 2 are neighbouring widths
        float o[8];
        #pragma unroll
        for (int j = 0; j < 4; j++) { o[2 * j] = acc[4 * v + j][d] * share[i]; o[2 * j + 1] = acc[4 * v + j][d + 2] * share[i]; }
        #pragma unroll
        for (int w = 1; w < NUM_GROUPS; w++) {
          const uint4 x = ((const uint4*)(smem + AT_Q))[((w - 1) * 4 * HG + 2 * i + v) * 128 + tid];
          const u32 u[4] = {x.x, x.y, x.z, x.w};
          #pragma unroll
          for (int j = 0; j < 4; j++) { const float2 f = unpack_f16(u[j]); o[2 * j] += f.x; o[2 * j + 1] += f.y; }
        }
        partial_t* to = p.partial + at * MLA_LATENT + (MLA_KV_BYTES == 2 ? 256 * v + 64 * warp + 8 * g : 128 * warp + 16 * g + 8 * v);
#if MLA_PARTIAL_F32
        ((float4*)to)[0] = make_float4(o[0], o[1], o[2], o[3]);
        ((float4*)to)[1] = make_float4(o[4], o[5], o[6], o[7]);
#else
        *(uint4*)to = make_uint4(pack_f16(o[0], o[1]), pack_f16(o[2], o[3]), pack_f16(o[4], o[5]), pack_f16(o[6], o[7]));
#endif
      }
    }
  }
}
