// Cache elements to f32: decode() takes one quad, 4 neighbouring widths, as the cache packs it.

//#if KV_FP8
// Four E4M3 codes / 256: sign and seven further bits are shifted to where an f16 has them, which is exact for subnormals too.
fn decode(word: u32) -> vec4f {
  let even = ((word << 8u) & 0x80008000u) | ((word << 7u) & 0x3f803f80u);
  let odd = (word & 0x80008000u) | ((word >> 1u) & 0x3f803f80u);
  let a = unpack2x16float(even);
  let b = unpack2x16float(odd);
  return vec4f(a.x, b.x, a.y, b.y);
}
//#end
//#if KV_F16
fn decode(words: vec2u) -> vec4f {
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}
//#end
//#if KV_BF16
fn decode(words: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
//#end
