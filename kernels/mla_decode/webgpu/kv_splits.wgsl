// How many splits each request gets, computed on the device from kv_indptr: the rules of kv_splits.ts, with the same
// integers. `served` is what serving systems do; `wave` fills whole waves of work items. One workgroup does it all.
//
// splits[b] is the number of splits, 0 for an empty request; chunks[b] the tokens of each, a multiple of the granule.

struct Query {
  batch: u32,
  heads: u32,        // served: query heads; wave: unused
  sm_count: u32,     // served, 1 to 65535
  head_blocks: u32,  // wave: work items that one split costs
  slots: u32,        // wave: work items that run at once
  cap: u32,          // splits a request at most, 1 or more
  granule: u32,      // 1 or more
}

@group(0) @binding(0) var<uniform> query: Query;
@group(0) @binding(1) var<storage, read> kv_indptr: array<u32>;       // [batch + 1]
@group(0) @binding(2) var<storage, read_write> splits: array<u32>;    // [batch]
@group(0) @binding(3) var<storage, read_write> chunks: array<u32>;    // [batch]

const THREADS = 64u;
const SERVED_BLOCK_HEADS = 16u;

var<workgroup> shared_max: atomic<u32>;
var<workgroup> shared_min: atomic<u32>;
var<workgroup> shared_sum: atomic<u32>;

fn ceil_div(a: u32, b: u32) -> u32 {
  return a / b + u32(a % b != 0u);
}

fn length_of(request: u32) -> u32 {
  return kv_indptr[request + 1u] - kv_indptr[request];
}

// The upper word of a * b.
fn mul_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a & 0xffffu) * (b >> 16u) + (low >> 16u);
  let middle2 = (a >> 16u) * (b & 0xffffu) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (middle2 >> 16u);
}

// int(sm_count * max(log2(max_len / 64), 1)), in integers: one bit of the logarithm for each squaring of the mantissa.
fn served_extent(sm_count: u32, max_len: u32) -> u32 {
  if (max_len < 128u) { return sm_count; }
  let e = firstLeadingBit(max_len);
  var m = max_len << (31u - e);
  var fraction = 0u;
  for (var bit = 0u; bit < 32u; bit++) {
    let high = mul_high(m, m);
    let top = high >> 31u;
    m = select((high << 1u) | ((m * m) >> 31u), high, top == 1u);
    fraction = (fraction << 1u) | top;
  }
  return sm_count * (e - 6u) + mul_high(sm_count, fraction);
}

// The longest length, and the shortest that is not 0 (all ones where all are empty).
fn lengths(thread: u32) -> vec2u {
  for (var b = thread; b < query.batch; b += THREADS) {
    let length = length_of(b);
    atomicMax(&shared_max, length);
    if (length > 0u) { atomicMax(&shared_min, ~length); } // a maximum of complements: workgroup storage starts as 0
  }
  workgroupBarrier();
  let result = vec2u(atomicLoad(&shared_max), ~atomicLoad(&shared_min));
  workgroupBarrier();
  return result;
}

fn write(thread: u32, chunk: u32) {
  for (var b = thread; b < query.batch; b += THREADS) {
    let length = length_of(b);
    if (length == 0u) {
      splits[b] = 0u;
      chunks[b] = 0u;
    } else {
      let count = ceil_div(length, chunk);
      splits[b] = count;
      chunks[b] = ceil_div(ceil_div(length, count), query.granule) * query.granule;
    }
  }
}

@compute @workgroup_size(64)
fn served(@builtin(local_invocation_index) thread: u32) {
  let range = lengths(thread);
  let longest = max(range.x, 1u);
  var shortest = min(range.y, longest);
  if (shortest * 10u >= longest * 8u) { shortest = longest; }
  let even = ceil_div(longest, min(ceil_div(longest, shortest), query.cap));
  let grid = query.batch * ceil_div(query.heads, SERVED_BLOCK_HEADS);
  let fill = ceil_div(longest, min(ceil_div(served_extent(query.sm_count, longest), grid), query.cap));
  write(thread, min(even, fill));
}

// Work items of all requests where a split has `granules` granules.
fn items(thread: u32, granules: u32) -> u32 {
  if (thread == 0u) { atomicStore(&shared_sum, 0u); }
  workgroupBarrier();
  for (var b = thread; b < query.batch; b += THREADS) {
    atomicAdd(&shared_sum, ceil_div(length_of(b), granules * query.granule));
  }
  workgroupBarrier();
  let sum = atomicLoad(&shared_sum);
  workgroupBarrier();
  return sum * query.head_blocks;
}

@compute @workgroup_size(64)
fn wave(@builtin(local_invocation_index) thread: u32) {
  let longest = max(lengths(thread).x, 1u);
  var low = ceil_div(ceil_div(longest, query.cap), query.granule);
  var high = max(low, ceil_div(longest, query.granule));
  let waves = max(items(thread, low) / query.slots, ceil_div(items(thread, high), query.slots));
  // A loop of fixed length keeps the barriers uniform.
  for (var bit = 0u; bit < 32u; bit++) {
    let middle = (low + high) / 2u;
    let fits = items(thread, middle) <= waves * query.slots;
    if (low < high) {
      if (fits) { high = middle; } else { low = middle + 1u; }
    }
  }
  write(thread, low * query.granule);
}
