// MLA decode, stage 2: merges the splits' partial outputs by their log-sum-exp.
//
// A workgroup has one head and MERGE_X quads (4 widths) of its output; MERGE_S segments of threads share out the splits.
// Each thread merges its splits one after the other (4 loads in flight); the segments then merge pairwise, in a tree.
// An attention sink takes weight from the output and has no part in the log-sum-exp. An empty request gives 0 and -inf.

struct Params {
  heads: u32,
  max_splits: u32,
  logit_scale: f32,
  out_scale: f32,
  logit_cap: f32,
  batch: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> kv_indptr: array<u32>;       // [batch + 1]
@group(0) @binding(2) var<storage, read> chunks: array<u32>;          // [batch] tokens a split
@group(0) @binding(3) var<storage, read> partial: array<vec4f>;       // [batch][max_splits][heads][latent / 4]
@group(0) @binding(4) var<storage, read> partial_lse: array<f32>;     // [batch][max_splits][heads] log2 units
@group(0) @binding(5) var<storage, read_write> out: array<$OUT_QUAD>; // [batch][heads][latent / 4]
@group(0) @binding(6) var<storage, read_write> lse: array<u32>;       // [batch][heads] bits of f32, natural units
//#if SINKS
@group(0) @binding(7) var<storage, read> sinks: array<f32>;           // [heads] natural units
//#end

const LOG2_E = 1.4426950408889634;
const LN_2 = 0.6931471805599453;
const MASKED = -1e30;

var<workgroup> outs: array<array<vec4f, $MERGE_X>, $MERGE_HALF>;
var<workgroup> maxima: array<f32, $MERGE_HALF>;
var<workgroup> sums: array<f32, $MERGE_HALF>;

//#if IO_F32
fn packed(x: vec4f) -> vec4f { return x; }
//#end
//#if IO_F16
fn packed(x: vec4f) -> vec2u { return vec2u(pack2x16float(x.xy), pack2x16float(x.zw)); }
//#end
//#if IO_BF16
fn packed(x: vec4f) -> vec2u {
  let bits = bitcast<vec4u>(x);
  let rounded = (bits + 0x7fffu + ((bits >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u); // to nearest, ties to even
  return vec2u(rounded.x | (rounded.y << 16u), rounded.z | (rounded.w << 16u));
}
//#end

@compute @workgroup_size($(MERGE_X * MERGE_S))
fn stage2(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) group: vec3u) {
  let x = thread % $MERGE_Xu;
  let segment = thread / $MERGE_Xu;
  let quad = group.x * $MERGE_Xu + x;
  let head = group.y;
  let request = group.z;
  let row = request * params.heads + head;
  let length = kv_indptr[request + 1u] - kv_indptr[request];
  if (length == 0u) {
    if (segment == 0u) { out[row * $V_QUADSu + quad] = packed(vec4f(0.0)); }
    if (thread == 0u && group.x == 0u) { lse[row] = 0xff800000u; }
    return;
  }
  let chunk = chunks[request];
  let splits = (length + chunk - 1u) / chunk;
  let base = request * params.max_splits;

  var o = vec4f(0.0);
  var m = MASKED;
  var sum = 0.0;
  for (var i = segment; i < splits; i += $(4 * MERGE_S)u) {
    //#for j in 0..4
    let split_$j = i + $(j * MERGE_S)u;
    let row_$j = (base + min(split_$j, splits - 1u)) * params.heads + head;
    let o_$j = partial[row_$j * $V_QUADSu + quad];
    let lse_$j = select(MASKED, partial_lse[row_$j], split_$j < splits);
    //#end
    let highest = max(m, max(max(lse_0, lse_1), max(lse_2, lse_3)));
    let w = exp2(m - highest);
    o *= w;
    sum *= w;
    m = highest;
    //#for j in 0..4
    let w_$j = exp2(lse_$j - highest);
    o = fma(vec4f(w_$j), o_$j, o);
    sum += w_$j;
    //#end
  }

  for (var half = $MERGE_HALFu; half > 0u; half /= 2u) {
    if (segment >= half && segment < 2u * half) {
      outs[segment - half][x] = o;
      if (x == 0u) {
        maxima[segment - half] = m;
        sums[segment - half] = sum;
      }
    }
    workgroupBarrier();
    if (segment < half) {
      let highest = max(m, maxima[segment]);
      let mine = exp2(m - highest);
      let other = exp2(maxima[segment] - highest);
      o = o * mine + outs[segment][x] * other;
      sum = sum * mine + sums[segment] * other;
      m = highest;
    }
    workgroupBarrier();
  }

  if (segment == 0u) {
    var weight = sum;
    //#if SINKS
    weight += exp2(min(sinks[head] * LOG2_E - m, 126.0));
    //#end
    out[row * $V_QUADSu + quad] = packed(o * (params.out_scale / weight));
    if (thread == 0u && group.x == 0u) { lse[row] = bitcast<u32>((m + log2(sum)) * LN_2); }
  }
}
