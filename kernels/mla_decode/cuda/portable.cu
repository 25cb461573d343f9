// MLA decode, stage 1, for compute capability 8.0 up: cp.async and mma.sync, 16 query heads a block.
//
// grid   (workers, ceil(MLA_HEADS / 16))
// block  256: all warps load, compute and share barriers
// shared PORTABLE_SMEM bytes, dynamic
//
// Per tile of BLOCK_N tokens, NUM_STAGES tiles in flight, rows in the cache's type:
//   QK       eight warps = 4 quarters of the 576 widths x 2 halves of the tokens; q stays in registers; quarters are summed through shared memory
//   softmax  two heads a warp, f32
//   PV       eight warps = 8 slices of 64 output widths
// A thread takes 4 consecutive widths of a row at once: in QK they are the k = 2t, 2t + 1, 2t + 8, 2t + 9 of its fragment (q is loaded in the same
// order), in PV the bytes of two token rows are interleaved and make four fragments, one for each of four output tiles.
#include "common.cuh"

#ifndef BLOCK_N
#define BLOCK_N 32          // tokens of a tile: 32 or 64
#endif
#ifndef NUM_STAGES
#define NUM_STAGES 2        // tiles in flight
#endif
#ifndef MIN_BLOCKS
#define MIN_BLOCKS 1        // blocks an SM that registers must leave room for: 1 or 2
#endif

#define THREADS 256
#define BLOCK_H 16
#if MLA_KV_BF16
#define ROW_PITCH 1232      // bytes of a row in shared memory, 20 words mod 32 banks: 8 rows x 8 words, and 4 row pairs x 8 words, hit all banks
#else
#define ROW_PITCH 592       // 20 words mod 32: 8 rows x 4 words, and 4 row pairs x 8 words, hit all banks
#endif
#define PIECES (MLA_ROW_BYTES / 16)
#define TILE_BYTES (BLOCK_N * ROW_PITCH)
#define P_PITCH ((BLOCK_N + 8) * 2)

// Shared memory: tiles | partial scores [4 quarters][16 heads][BLOCK_N] f32 | P [16][P_PITCH] | alpha [16] | sums [16]
#define AT_SCORE (NUM_STAGES * TILE_BYTES)
#define AT_P (AT_SCORE + 4 * BLOCK_H * BLOCK_N * 4)
#define AT_ALPHA (AT_P + BLOCK_H * P_PITCH)
#define AT_SUM (AT_ALPHA + BLOCK_H * 4)
#define PORTABLE_SMEM (AT_SUM + BLOCK_H * 4)

// D [16 x 8] += A [16 x 16] B [16 x 8].  lane = 4g + t: A a0 = (row g; k 2t, 2t+1), a1 = (g+8), a2 = (g; k + 8), a3 = (both);
// B b0 = (k 2t, 2t+1; n g), b1 = (k + 8); D d0, d1 = (row g; n 2t, 2t+1), d2, d3 = (row g + 8)
__device__ __forceinline__ void mma(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if MLA_KV_BF16
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#else
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#endif
    : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void copy_16(u32 to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(to), "l"(from) : "memory");
}
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void copy_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); }

// Four widths of a row as the B operand of QK.
__device__ __forceinline__ void k_operand(const u8* at, u32& b0, u32& b1) {
#if MLA_KV_BF16
  const uint2 v = *(const uint2*)at;
  b0 = v.x, b1 = v.y;
#else
  e4m3x4_to_f16(*(const u32*)at, b0, b1);
#endif
}
// Four widths of two tokens' rows as the B operands of four output tiles.
__device__ __forceinline__ void v_operands(const u8* row, u32 (&b)[4]) {
#if MLA_KV_BF16
  const uint2 x = *(const uint2*)row, y = *(const uint2*)(row + ROW_PITCH);
  b[0] = __byte_perm(x.x, y.x, 0x5410), b[1] = __byte_perm(x.x, y.x, 0x7632);
  b[2] = __byte_perm(x.y, y.y, 0x5410), b[3] = __byte_perm(x.y, y.y, 0x7632);
#else
  const u32 x = *(const u32*)row, y = *(const u32*)(row + ROW_PITCH);
  e4m3x4_to_f16(__byte_perm(x, y, 0x5140), b[0], b[1]);
  e4m3x4_to_f16(__byte_perm(x, y, 0x7362), b[2], b[3]);
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS) mla_portable(const __grid_constant__ MlaParams p) {
  extern __shared__ __align__(128) u8 smem[];
  const int tid = threadIdx.x, warp = tid >> 5, lane = tid & 31, g = lane >> 2, t = lane & 3, head0 = blockIdx.y * BLOCK_H;
#if MLA_PDL
  pdl_launch();
  pdl_wait();
#endif
  const MlaStretch stretch = mla_stretch(p, blockIdx.x, tid, THREADS);
  const int quarter = warp & 3, half = warp >> 2;
  constexpr int GROUPS = BLOCK_N / 16;              // n-tiles of 8 tokens that a warp has in QK
  constexpr int TOKENS = BLOCK_N / 16;              // tokens of a lane in the softmax: head 2 warp + lane / 16, tokens TOKENS * (lane % 16) ..
  int r = stretch.request;

  for (int begin = stretch.begin; begin < stretch.end;) {
    int end;
    while ((end = __ldg(p.kv_indptr + r + 1)) <= begin) r++;
    end = min(end, stretch.end);
    const int tiles = (end - begin + BLOCK_N - 1) / BLOCK_N;

    // Rows past the end repeat the last one: finite values whose P is 0.
    auto load_tile = [&](int tile) {
      if (tile < tiles) {
        const u32 to = smem_u32(smem) + tile % NUM_STAGES * TILE_BYTES;
        for (int i = tid; i < BLOCK_N * PIECES; i += THREADS) {
          const int row = i / PIECES, piece = i % PIECES;
          const u64 slot = (u32)__ldg(p.kv_indices + min(begin + tile * BLOCK_N + row, end - 1));
          copy_16(to + row * ROW_PITCH + piece * 16, p.cache + slot * MLA_ROW_BYTES + piece * 16);
        }
      }
      copy_commit();                                // an empty group keeps the count
    };
    __syncthreads();                                // the segment before has left the tiles
    for (int i = 0; i < NUM_STAGES - 1; i++) load_tile(i);

    // q: k-step j of this quarter holds widths 144 quarter + 16 j + 4t .. + 3
    u32 q[9][4];
    #pragma unroll
    for (int j = 0; j < 9; j++)
      #pragma unroll
      for (int k = 0; k < 2; k++) {
        const int h = head0 + g + 8 * k;
        uint2 v = make_uint2(0, 0);
        if (h < MLA_HEADS) v = __ldg((const uint2*)(p.q + ((u64)r * MLA_HEADS + h) * MLA_WIDTH + 144 * quarter + 16 * j + 4 * t));
        q[j][k] = q_operand(v.x), q[j][2 + k] = q_operand(v.y);
      }
    float acc[8][4] = {};                           // output tile 4i + j: width 64 warp + 32 i + 4n + j; rows are heads g, g + 8
    float m = MLA_NEG_INF, l = 0.f;                 // of the softmax's head; l this lane's tokens only

    for (int tile = 0; tile < tiles; tile++) {
      const int count = min(BLOCK_N, end - begin - tile * BLOCK_N);
      const u8* rows = smem + tile % NUM_STAGES * TILE_BYTES;
      load_tile(tile + NUM_STAGES - 1);             // into the stage that the last tile left behind its final barrier
      copy_wait<NUM_STAGES - 1>();
      __syncthreads();                              // this tile is there, for all threads
      // ---- scores of this warp's tokens and widths
      #pragma unroll
      for (int n = 0; n < GROUPS; n++) {
        float s[4] = {};
        const int first = half * (BLOCK_N / 2) + n * 8;
        const u8* row = rows + (first + g) * ROW_PITCH + (144 * quarter + 4 * t) * MLA_KV_BYTES;
        #pragma unroll
        for (int j = 0; j < 9; j++) {
          u32 b0, b1;
          k_operand(row + 16 * j * MLA_KV_BYTES, b0, b1);
          mma(s, q[j], b0, b1);
        }
        float* to = (float*)(smem + AT_SCORE) + (quarter * BLOCK_H + g) * BLOCK_N + first + 2 * t;
        *(float2*)to = make_float2(s[0], s[1]);
        *(float2*)(to + 8 * BLOCK_N) = make_float2(s[2], s[3]);
      }
      __syncthreads();
      // ---- softmax
      {
        const int h = 2 * warp + (lane >> 4), first = TOKENS * (lane & 15);
        const float* from = (const float*)(smem + AT_SCORE) + h * BLOCK_N + first;
        float x[TOKENS], top = m;
        #pragma unroll
        for (int i = 0; i < TOKENS; i++) {
          x[i] = (from[i] + from[BLOCK_H * BLOCK_N + i] + from[2 * BLOCK_H * BLOCK_N + i] + from[3 * BLOCK_H * BLOCK_N + i]) * p.scale_log2;
#if MLA_LOGIT_CAP
          x[i] = mla_cap(x[i], p.cap_log2);
#endif
          if (first + i >= count) x[i] = MLA_NEG_INF;
          top = fmaxf(top, x[i]);
        }
        #pragma unroll
        for (int o = 8; o; o >>= 1) top = fmaxf(top, __shfl_xor_sync(~0u, top, o));
        const float alpha = ex2(m - top);
        m = top;
        l *= alpha;
        u32* to = (u32*)(smem + AT_P + h * P_PITCH + first * 2);
        #pragma unroll
        for (int i = 0; i < TOKENS; i += 2) {
          const float a = ex2(x[i] - m), b = ex2(x[i + 1] - m);
          l += a + b;
          to[i / 2] = pack_p(a, b);
        }
        if ((lane & 15) == 0) ((float*)(smem + AT_ALPHA))[h] = alpha;
      }
      __syncthreads();
      // ---- output
      const float a0 = ((const float*)(smem + AT_ALPHA))[g], a1 = ((const float*)(smem + AT_ALPHA))[g + 8];
      #pragma unroll
      for (int j = 0; j < 8; j++) { acc[j][0] *= a0; acc[j][1] *= a0; acc[j][2] *= a1; acc[j][3] *= a1; }
      #pragma unroll
      for (int k = 0; k < BLOCK_N / 16; k++) {
        const u8* weights = smem + AT_P + g * P_PITCH + (16 * k + 2 * t) * 2;
        const u32 a[4] = {*(const u32*)weights, *(const u32*)(weights + 8 * P_PITCH),
                          *(const u32*)(weights + 16), *(const u32*)(weights + 8 * P_PITCH + 16)};
        #pragma unroll
        for (int i = 0; i < 2; i++) {
          const u8* row = rows + (16 * k + 2 * t) * ROW_PITCH + (64 * warp + 32 * i + 4 * g) * MLA_KV_BYTES;
          u32 b0[4], b1[4];
          v_operands(row, b0);
          v_operands(row + 8 * ROW_PITCH, b1);
          #pragma unroll
          for (int j = 0; j < 4; j++) mma(acc[4 * i + j], a, b0[j], b1[j]);
        }
      }
      __syncthreads();                              // the tile's stage, scores and P are free
    }
    copy_wait<0>();

    // ---- the segment's partial
    #pragma unroll
    for (int o = 8; o; o >>= 1) l += __shfl_xor_sync(~0u, l, o);
    const u64 first_row = (u64)(blockIdx.x + r) * MLA_HEADS;
    if ((lane & 15) == 0) {
      const int h = 2 * warp + (lane >> 4);
      ((float*)(smem + AT_SUM))[h] = l;
      if (head0 + h < MLA_HEADS) p.partial_lse[first_row + head0 + h] = m + log2f(l);
    }
    __syncthreads();
    #pragma unroll
    for (int k = 0; k < 2; k++) {
      const int h = head0 + g + 8 * k;
      if (h >= MLA_HEADS) continue;
      const float share = 1.f / ((const float*)(smem + AT_SUM))[g + 8 * k];
      #pragma unroll
      for (int i = 0; i < 2; i++) {                 // n = 2t, 2t + 1 of tiles 4i .. 4i + 3: widths 64 warp + 32 i + 8t .. + 7
        partial_t* to = p.partial + (first_row + h) * MLA_LATENT + 64 * warp + 32 * i + 8 * t;
        float o[8];
        #pragma unroll
        for (int j = 0; j < 4; j++) { o[j] = acc[4 * i + j][2 * k] * share; o[4 + j] = acc[4 * i + j][2 * k + 1] * share; }
#if MLA_PARTIAL_F32
        ((float4*)to)[0] = make_float4(o[0], o[1], o[2], o[3]);
        ((float4*)to)[1] = make_float4(o[4], o[5], o[6], o[7]);
#else
        *(uint4*)to = make_uint4(pack_f16(o[0], o[1]), pack_f16(o[2], o[3]), pack_f16(o[4], o[5]), pack_f16(o[6], o[7]));
#endif
      }
    }
    begin = end;
  }
}
