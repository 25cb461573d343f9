// MLA decode, stage 2: merges the partials of each request by log-sum-exp; parallel over requests, heads, widths and splits.
//
// An item is (request, head, slice of the 512 widths).  A warp (MERGE_BLOCK_ITEM 0) or a whole block (1, for a batch of one or two with many
// partials) merges an item: 512 / MERGE_SLICES / 8 lanes read a partial's slice, 8 widths each, the remaining lanes and warps take other partials.
//
// grid   min(1056, items / (MERGE_BLOCK_ITEM ? 1 : MERGE_THREADS / 32)) blocks, any number works; items = batch * MLA_HEADS * MERGE_SLICES
// block  MERGE_THREADS; no dynamic shared memory
// Launched with programmatic stream serialization when MLA_PDL: all index arithmetic runs beside stage 1.
#include "common.cuh"

#ifndef MERGE_SLICES
#define MERGE_SLICES 4      // 2, 4, 8 or 16 slices of the 512 widths
#endif
#ifndef MERGE_BLOCK_ITEM
#define MERGE_BLOCK_ITEM 0  // 1: a block an item, 0: a warp an item
#endif
#ifndef MERGE_THREADS
#define MERGE_THREADS 128
#endif

#define WARPS (MERGE_THREADS / 32)
#define SLICE_WIDTHS (MLA_LATENT / MERGE_SLICES)
#define LANES_PER_PARTIAL (SLICE_WIDTHS / 8)
#define PARTIALS_PER_WARP (32 / LANES_PER_PARTIAL)
#ifndef MERGE_IN_FLIGHT
#define MERGE_IN_FLIGHT 5   // partials a lane loads before it uses the first: their latency is paid once for so many
#endif
#ifndef MERGE_REHEARSAL
#define MERGE_REHEARSAL MERGE_BLOCK_ITEM   // 1: a block goes through its first item twice (below)
#endif

struct Eight { float x[8]; };
__device__ __forceinline__ Eight load_partial(const partial_t* from) {
  Eight e;
#if MLA_PARTIAL_F32
  const float4 a = __ldcg((const float4*)from), b = __ldcg((const float4*)from + 1);
  e.x[0] = a.x; e.x[1] = a.y; e.x[2] = a.z; e.x[3] = a.w; e.x[4] = b.x; e.x[5] = b.y; e.x[6] = b.z; e.x[7] = b.w;
#else
  const uint4 v = __ldcg((const uint4*)from);
  const u32 u[4] = {v.x, v.y, v.z, v.w};
  #pragma unroll
  for (int k = 0; k < 4; k++) { const float2 f = unpack_f16(u[k]); e.x[2 * k] = f.x; e.x[2 * k + 1] = f.y; }
#endif
  return e;
}

__device__ __forceinline__ void store_eight(io_t* to, const float (&o)[8], float scale) {
  u32 u[4];
  #pragma unroll
  for (int k = 0; k < 4; k++) u[k] = pack_io(o[2 * k] * scale, o[2 * k + 1] * scale);
  *(uint4*)to = make_uint4(u[0], u[1], u[2], u[3]);
}

// Denominator of head h, a sink included, as a multiple of 2^top.
__device__ __forceinline__ float with_sink(const MlaParams& p, int h, float sum, float top) {
#if MLA_SINKS
  return sum + ex2(__ldg(p.sinks + h) * MLA_LOG2E - top);
#else
  return sum;
#endif
}

extern "C" __global__ void __launch_bounds__(MERGE_THREADS) mla_merge(const __grid_constant__ MlaParams p) {
#if MERGE_BLOCK_ITEM
  __shared__ float red[WARPS][SLICE_WIDTHS + 2];    // widths, sum of weights, their reference
#endif
#if MLA_PDL && MLA_EARLY
  pdl_launch();             // once every block is here, the next launch may take room; it waits for this grid's end
#endif
  const int tid = threadIdx.x, warp = tid >> 5, lane = tid & 31;
  const int item_warps = MERGE_BLOCK_ITEM ? WARPS : 1, item_warp = MERGE_BLOCK_ITEM ? warp : 0;
  // Neighbouring items are of one request, whose segments are looked up once.
  const i64 items = (i64)p.batch * MLA_HEADS * MERGE_SLICES;
  const i64 mergers = (i64)gridDim.x * (MERGE_BLOCK_ITEM ? 1 : WARPS), each = (items + mergers - 1) / mergers;
  const i64 from_item = (MERGE_BLOCK_ITEM ? (i64)blockIdx.x : (i64)blockIdx.x * WARPS + warp) * each, to_item = min(items, from_item + each);
  const int tokens = __ldg(p.kv_indptr + p.batch), ng = mla_granules(tokens), W = min(p.workers, ng);

  int request = -1, first_worker = 0, segments = 0;
  // A block goes through its first item twice: at first beside stage 1, without loads and stores, so that its instructions are at hand when stage 1
  // ends.  Not worth it where warps have items of their own, nor where most blocks come only with stage 1's end (many_heads_fp8.cu).
  int rehearsal = MLA_PDL && MERGE_REHEARSAL;
  for (i64 next = from_item; next < to_item;) {
    const i64 item = next++;
    const int r = (int)(item / (MLA_HEADS * MERGE_SLICES)), h = (int)(item / MERGE_SLICES) % MLA_HEADS, slice = (int)(item % MERGE_SLICES);
    if (r != request) {
      request = r;
      const int begin = __ldg(p.kv_indptr + r), end = __ldg(p.kv_indptr + r + 1);
      first_worker = end > begin ? mla_worker_of(begin / MLA_GRANULE, ng, W) : 0;
      segments = end > begin ? mla_worker_of((end - 1) / MLA_GRANULE, ng, W) - first_worker + 1 : 0;
    }
#if MLA_DIRECT
    if (segments == 1) {                                            // stage 1 wrote out and lse of the whole request
      next = (i64)(r + 1) * MLA_HEADS * MERGE_SLICES;
      continue;
    }
#endif
    int dry = rehearsal;
#if MLA_PDL && MERGE_REHEARSAL
    asm volatile("" : "+r"(dry));                                   // the same code for both, or the first time would be for nothing
    next -= dry;
#endif
    rehearsal = 0;
    const u64 row = (u64)(first_worker + r) * MLA_HEADS + h;        // of the request's first partial
    const int column = slice * SLICE_WIDTHS + (lane % LANES_PER_PARTIAL) * 8;
    const partial_t* from = p.partial + row * MLA_LATENT + column;
    const float* from_lse = p.partial_lse + row;
    io_t* to = p.out + ((u64)r * MLA_HEADS + h) * MLA_LATENT + column;
#if MLA_PDL
    if (!dry) pdl_wait();   // stage 1 has ended and its writes are visible; free after the first time
#endif
    float top = MLA_NEG_INF, sum = 0.f, o[8] = {};
    const int from_segment = item_warp * PARTIALS_PER_WARP, present = dry ? 0 : segments, to_segment = dry ? from_segment + 1 : segments;
    for (int base = from_segment; base < to_segment; base += MERGE_IN_FLIGHT * item_warps * PARTIALS_PER_WARP) {   // uniform in the warp
      Eight v[MERGE_IN_FLIGHT];
      float weight[MERGE_IN_FLIGHT], high = top;
      #pragma unroll
      for (int i = 0; i < MERGE_IN_FLIGHT; i++) {
        const int s = base + lane / LANES_PER_PARTIAL + i * item_warps * PARTIALS_PER_WARP;
        weight[i] = MLA_NEG_INF;
        v[i] = Eight{};
        if (s < present) { v[i] = load_partial(from + (u64)s * MLA_HEADS * MLA_LATENT); weight[i] = __ldcg(from_lse + (u64)s * MLA_HEADS); }
        high = fmaxf(high, weight[i]);
      }
      #pragma unroll
      for (int x = LANES_PER_PARTIAL; x < 32; x <<= 1) high = fmaxf(high, __shfl_xor_sync(~0u, high, x));
      const float alpha = ex2(top - high);
      top = high;
      sum *= alpha;
      #pragma unroll
      for (int k = 0; k < 8; k++) o[k] *= alpha;
      #pragma unroll
      for (int i = 0; i < MERGE_IN_FLIGHT; i++) {
        const float w = ex2(weight[i] - top);
        sum += w;
        #pragma unroll
        for (int k = 0; k < 8; k++) o[k] += w * v[i].x[k];
      }
    }
    #pragma unroll
    for (int x = LANES_PER_PARTIAL; x < 32; x <<= 1) {
      #pragma unroll
      for (int k = 0; k < 8; k++) o[k] += __shfl_xor_sync(~0u, o[k], x);
      sum += __shfl_xor_sync(~0u, sum, x);
    }
    const bool empty = segments == 0;
#if MERGE_BLOCK_ITEM
    __syncthreads();        // the item before has been read
    if (lane < LANES_PER_PARTIAL) {
      #pragma unroll
      for (int k = 0; k < 8; k++) red[warp][lane * 8 + k] = o[k];
      if (lane == 0) { red[warp][SLICE_WIDTHS] = sum; red[warp][SLICE_WIDTHS + 1] = top; }
    }
    __syncthreads();
    if (warp > 0 || lane >= LANES_PER_PARTIAL || dry) continue;
    for (int w = 0; w < WARPS; w++) top = fmaxf(top, red[w][SLICE_WIDTHS + 1]);
    sum = 0.f;
    #pragma unroll
    for (int k = 0; k < 8; k++) o[k] = 0.f;
    for (int w = 0; w < WARPS; w++) {
      const float f = empty ? 0.f : ex2(red[w][SLICE_WIDTHS + 1] - top);
      sum += f * red[w][SLICE_WIDTHS];
      #pragma unroll
      for (int k = 0; k < 8; k++) o[k] += f * red[w][lane * 8 + k];
    }
#endif
    if (lane < LANES_PER_PARTIAL) {
      store_eight(to, o, empty ? 0.f : p.kv_scale / with_sink(p, h, sum, top));
      if (lane == 0 && slice == 0 && p.lse) p.lse[(u64)r * MLA_HEADS + h] = empty ? MLA_NEG_INF : (top + log2f(sum)) * MLA_LN2;
    }
  }
#if MLA_PDL
  pdl_wait();               // a block without an item: this grid must not end before stage 1
#endif
}
