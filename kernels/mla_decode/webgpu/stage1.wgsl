// MLA decode, stage 1: one workgroup attends BLOCK_H heads of a request to one split of its tokens.
//
// tile    BLOCK_N cache rows in workgroup storage, as the cache packs them: each is key and, in its first part, value
// quad    4 neighbouring widths: one word of E4M3, two words of f16 or bf16
// slice   the widths of QK are dealt over SLICES groups of threads, quad by quad; their sums are added afterwards
// stages  tiles in flight: one in workgroup storage, NUM_STAGES - 1 in registers
//
// For each tile:
//   1. rows: registers -> workgroup storage; the registers are filled for a later tile
//   2. QK: each thread multiplies QK_H heads x QK_T tokens of its slice: each word is decoded once for QK_H heads
//   3. softmax: each thread owns one head and TOKENS_OWNED tokens: sums the slices, takes part in the maximum, writes p
//   4. PV: each thread owns PV_H heads x PV_W quads of the output, held in registers over the whole split
//
// Logits are in log2 units, so that exp2 serves. E4M3 decodes to its value / 256; the 256 is in logit_scale and out_scale.

struct Params {
  heads: u32,
  max_splits: u32,   // splits that partial buffers have room for, of each request
  logit_scale: f32,  // smScale * kvScale (* 256), natural units
  out_scale: f32,    // kvScale (* 256)
  logit_cap: f32,
  batch: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<array<$Q_QUAD, $QUADS>>;   // [batch * heads][quads]
@group(0) @binding(2) var<storage, read> cache: array<vec4u>;               // [slots][ROW_VECS]
@group(0) @binding(3) var<storage, read> kv_indptr: array<u32>;             // [batch + 1]
@group(0) @binding(4) var<storage, read> kv_indices: array<u32>;            // [tokens] slot of each token
@group(0) @binding(5) var<storage, read> chunks: array<u32>;                // [batch] tokens a split, 0 for an empty request
@group(0) @binding(6) var<storage, read_write> partial: array<vec4f>;       // [batch][max_splits][heads][latent / 4]
@group(0) @binding(7) var<storage, read_write> partial_lse: array<f32>;     // [batch][max_splits][heads] log2 units

const LOG2_E = 1.4426950408889634;
const MASKED = -1e30;

// The last index of `rows` has one element more than is used, and slices are 8 words further apart than their rows are
// long, so that neighbouring threads' scores fall into different banks.
struct Slice {
  rows: array<array<array<array<f32, $(QK_H + 1)>, $HEAD_GROUPS>, $TOKEN_GROUPS>, $QK_T>,
  pad: array<f32, 8>,
}

// Rows have PAD_VECS vectors more than they use: QK reads several rows at once, and they must not share banks.
var<workgroup> tile: array<array<array<array<array<vec4u, $(ROW_VECS + PAD_VECS)>, 4>, $(TOKEN_GROUPS / 4)>, $QK_T>, $BUFFERS>;
var<workgroup> scores: array<Slice, $SUMS>;
//#if ACC_F16
var<workgroup> weights: array<array<array<vec4<f16>, $(BLOCK_N / 4)>, $PV_H>, $PV_GROUPS>;
//#else
var<workgroup> weights: array<array<array<vec4f, $(BLOCK_N / 4)>, $PV_H>, $PV_GROUPS>;
//#end
var<workgroup> maxima: array<array<f32, $BLOCK_H>, $OWNERS>;
var<workgroup> rescale: array<array<f32, $PV_H>, $PV_GROUPS>;

// decode() is in decode.wgsl.

//#if IO_F32
fn query(row: u32, quad: u32) -> vec4f {
  return q[row][quad];
}
//#end
//#if IO_F16
fn query(row: u32, quad: u32) -> vec4f {
  let words = q[row][quad];
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}
//#end
//#if IO_BF16
fn query(row: u32, quad: u32) -> vec4f {
  let words = q[row][quad];
  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
//#end

@compute @workgroup_size($THREADS)
fn stage1(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let head0 = group.x * $BLOCK_Hu;
  let split = group.y;
  let request = group.z;
  let request_start = kv_indptr[request];
  let request_end = kv_indptr[request + 1u];
  let start = request_start + split * chunks[request];
  if (start >= request_end) { return; }
  let end = min(start + chunks[request], request_end);
  let last = end - 1u;

  // Roles in QK.
  let token_group = thread % $TOKEN_GROUPSu;
  let head_group = (thread / $TOKEN_GROUPSu) % $HEAD_GROUPSu;
  let slice = thread / $(TOKEN_GROUPS * HEAD_GROUPS)u;
  let query_row = request * params.heads + head0 + head_group * $QK_Hu;
  // Roles in the softmax.
  let owned_head = thread % $BLOCK_Hu;
  let owner = thread / $BLOCK_Hu;
  var running_max = MASKED;
  var running_sum = 0.0;
  // Roles in PV.
  let pv_quad = thread % $PV_STRIDEu;
  let pv_group = thread / $PV_STRIDEu;
  //#for h in 0..PV_H
  //#for w in 0..PV_W
  var o_$h_$w = vec4f(0.0);
  //#end
  //#end

  //#if NUM_STAGES - 1
  // Roles in loading: each thread moves vectors thread, thread + THREADS, ... of the tile.
  //#for j in 0..LOADS
  let load_token_$j = (thread + $(j * THREADS)u) / $ROW_VECSu;
  let load_vec_$j = (thread + $(j * THREADS)u) % $ROW_VECSu;
  //#end
  //#for s in 0..NUM_STAGES - 1
  //#for j in 0..LOADS
  var r_$s_$j = cache[kv_indices[min(start + $(s * BLOCK_N)u + load_token_$j, last)] * $ROW_VECSu + load_vec_$j];
  //#end
  //#end
  // Slots are read one tile ahead of the rows that they lead to, so that no load waits for another.
  //#for j in 0..LOADS
  var slot_$j = kv_indices[min(start + $((NUM_STAGES - 1) * BLOCK_N)u + load_token_$j, last)];
  //#end
  //#end

  var buffer = 0u;
  for (var first = start; first < end; first += $BLOCK_Nu) {
    //#if BUFFERS - 1
    buffer = 1u - buffer;
    //#else
    workgroupBarrier(); // PV of the tile before has read its rows
    //#end
    //#if NUM_STAGES - 1
    //#for j in 0..LOADS
    //#if (j + 1) * THREADS / (BLOCK_N * ROW_VECS + 1)
    if (load_token_$j < $BLOCK_Nu)
    //#end
    {
      tile[buffer][load_token_$j / $TOKEN_GROUPSu][(load_token_$j % $TOKEN_GROUPSu) / 4u][load_token_$j % 4u][load_vec_$j] = r_0_$j;
    }
    //#end
    //#for s in 0..NUM_STAGES - 2
    //#for j in 0..LOADS
    r_$s_$j = r_$(s + 1)_$j;
    //#end
    //#end
    //#for j in 0..LOADS
    r_$(NUM_STAGES - 2)_$j = cache[slot_$j * $ROW_VECSu + load_vec_$j];
    slot_$j = kv_indices[min(first + $(NUM_STAGES * BLOCK_N)u + load_token_$j, last)];
    //#end
    //#else
    for (var i = thread; i < $(BLOCK_N * ROW_VECS)u; i += $THREADSu) {
      let token = i / $ROW_VECSu;
      let slot = kv_indices[min(first + token, last)];
      tile[buffer][token / $TOKEN_GROUPSu][(token % $TOKEN_GROUPSu) / 4u][token % 4u][i % $ROW_VECSu] = cache[slot * $ROW_VECSu + i % $ROW_VECSu];
    }
    //#end
    workgroupBarrier();

    // QK.
    //#for h in 0..QK_H
    //#for t in 0..QK_T
    var s_$h_$t = 0.0;
    //#end
    //#end
    for (var quad = slice; quad < $QUADSu; quad += $SLICESu) {
      //#for t in 0..QK_T
      //#if KV_FP8
      let k_$t = decode(tile[buffer][$t][token_group / 4u][token_group % 4u][quad / 4u][quad % 4u]);
      //#else
      let kv_$t = tile[buffer][$t][token_group / 4u][token_group % 4u][quad / 2u];
      let k_$t = decode(select(kv_$t.xy, kv_$t.zw, (quad & 1u) == 1u));
      //#end
      //#end
      //#for h in 0..QK_H
      let q_$h = query(query_row + $hu, quad);
      //#for t in 0..QK_T
      s_$h_$t = fma(q_$h.w, k_$t.w, fma(q_$h.z, k_$t.z, fma(q_$h.y, k_$t.y, fma(q_$h.x, k_$t.x, s_$h_$t))));
      //#end
      //#end
    }
    //#if SLICE_ROUNDS - 1
    // The upper half of the slices leave their sums first; the lower half add theirs in the same place.
    if (slice >= $SUMSu) {
      //#for h in 0..QK_H
      //#for t in 0..QK_T
      scores[slice - $SUMSu].rows[$t][token_group][head_group][$h] = s_$h_$t;
      //#end
      //#end
    }
    workgroupBarrier();
    if (slice < $SUMSu) {
      //#for h in 0..QK_H
      //#for t in 0..QK_T
      scores[slice].rows[$t][token_group][head_group][$h] += s_$h_$t;
      //#end
      //#end
    }
    //#else
    //#for h in 0..QK_H
    //#for t in 0..QK_T
    scores[slice].rows[$t][token_group][head_group][$h] = s_$h_$t;
    //#end
    //#end
    //#end
    workgroupBarrier();

    // Softmax.
    //#for e in 0..TOKENS_OWNED
    var x_$e = 0.0;
    //#end
    if (owner < $OWNERSu) {
      for (var i = 0u; i < $SUMSu; i++) {
        //#for e in 0..TOKENS_OWNED
        x_$e += scores[i].rows[(owner * $TOKENS_OWNEDu + $eu) / $TOKEN_GROUPSu][(owner * $TOKENS_OWNEDu + $eu) % $TOKEN_GROUPSu][owned_head / $QK_Hu][owned_head % $QK_Hu];
        //#end
      }
      var highest = MASKED;
      //#for e in 0..TOKENS_OWNED
      x_$e *= params.logit_scale;
      //#if LOGIT_CAP
      // tanh(y) = 1 - 2 / (exp(2 y) + 1), without overflow.
      x_$e = params.logit_cap * (1.0 - 2.0 / (exp2(2.0 * LOG2_E * clamp(x_$e / params.logit_cap, -20.0, 20.0)) + 1.0));
      //#end
      x_$e = select(MASKED, x_$e * LOG2_E, first + owner * $TOKENS_OWNEDu + $eu < end);
      highest = max(highest, x_$e);
      //#end
      maxima[owner][owned_head] = highest;
    }
    workgroupBarrier();
    if (owner < $OWNERSu) {
      let previous = running_max;
      //#for i in 0..OWNERS
      running_max = max(running_max, maxima[$i][owned_head]);
      //#end
      let factor = exp2(previous - running_max);
      running_sum *= factor;
      //#for e in 0..TOKENS_OWNED
      x_$e = exp2(x_$e - running_max);
      running_sum += x_$e;
      //#end
      //#for i in 0..TOKENS_OWNED / 4
      weights[owned_head / $PV_Hu][owned_head % $PV_Hu][owner * $(TOKENS_OWNED / 4)u + $iu] =
        $WEIGHT_VEC(vec4f(x_$(4 * i), x_$(4 * i + 1), x_$(4 * i + 2), x_$(4 * i + 3)));
      //#end
      if (owner == 0u) { rescale[owned_head / $PV_Hu][owned_head % $PV_Hu] = factor; }
    }
    workgroupBarrier();

    // PV.
    //#for h in 0..PV_H
    let a_$h = rescale[pv_group][$h];
    //#for w in 0..PV_W
    o_$h_$w *= a_$h;
    //#if ACC_F16
    var t_$h_$w = vec4<f16>(0.0h);
    //#end
    //#end
    //#end
    for (var i = 0u; i < $(BLOCK_N / 4)u; i++) {
      //#for e in 0..4
      //#for w in 0..PV_W
      //#if KV_FP8
      let v32_$e_$w = decode(tile[buffer][i / $(TOKEN_GROUPS / 4)u][i % $(TOKEN_GROUPS / 4)u][$e][(pv_quad + $(w * PV_STRIDE)u) / 4u][pv_quad % 4u]);
      //#else
      let vv_$e_$w = tile[buffer][i / $(TOKEN_GROUPS / 4)u][i % $(TOKEN_GROUPS / 4)u][$e][(pv_quad + $(w * PV_STRIDE)u) / 2u];
      let v32_$e_$w = decode(select(vv_$e_$w.xy, vv_$e_$w.zw, (pv_quad & 1u) == 1u));
      //#end
      //#if ACC_F16
      let v_$e_$w = vec4<f16>(v32_$e_$w);
      //#end
      //#end
      //#end
      //#for h in 0..PV_H
      let p_$h = weights[pv_group][$h][i];
      //#for w in 0..PV_W
      //#if ACC_F16
      t_$h_$w = fma(vec4<f16>(p_$h.w), v_3_$w, fma(vec4<f16>(p_$h.z), v_2_$w, fma(vec4<f16>(p_$h.y), v_1_$w, fma(vec4<f16>(p_$h.x), v_0_$w, t_$h_$w))));
      //#else
      o_$h_$w = fma(vec4f(p_$h.w), v32_3_$w, fma(vec4f(p_$h.z), v32_2_$w, fma(vec4f(p_$h.y), v32_1_$w, fma(vec4f(p_$h.x), v32_0_$w, o_$h_$w))));
      //#end
      //#end
      //#end
    }
    //#if ACC_F16
    //#for h in 0..PV_H
    //#for w in 0..PV_W
    o_$h_$w += vec4f(t_$h_$w);
    //#end
    //#end
    //#end
  }

  // The owners' sums become one a head; the maxima and factors have been read.
  workgroupBarrier();
  if (owner < $OWNERSu) { maxima[owner][owned_head] = running_sum; }
  workgroupBarrier();
  let partial_row = (request * params.max_splits + split) * params.heads + head0;
  if (owner == 0u) {
    var sum = 0.0;
    //#for i in 0..OWNERS
    sum += maxima[$i][owned_head];
    //#end
    rescale[owned_head / $PV_Hu][owned_head % $PV_Hu] = 1.0 / sum;
    if (head0 + owned_head < params.heads) { partial_lse[partial_row + owned_head] = running_max + log2(sum); }
  }
  workgroupBarrier();
  //#for h in 0..PV_H
  if (head0 + pv_group * $PV_Hu + $hu < params.heads) {
    //#for w in 0..PV_W
    partial[(partial_row + pv_group * $PV_Hu + $hu) * $V_QUADSu + pv_quad + $(w * PV_STRIDE)u] = o_$h_$w * rescale[pv_group][$h];
    //#end
  }
  //#end
}
