"""The decode that servers launch untuned, for the baseline: the shape of SGLang's and vLLM's Triton kernels, in our words.

What costs time there is kept: values are loaded a second time, a row's address waits for its slot in the same tile, and
stage 2 goes through all splits one after the other.
"""

import triton
import triton.language as tl


@triton.jit
def operand(x, KV: tl.constexpr, DTYPE: tl.constexpr):
    """Cache values in the queries' type; by shifting (· 1/256) where there is no conversion of E4M3."""
    if KV == "e4m3":
        return x.to(tl.float8e4nv, bitcast=True).to(DTYPE)
    elif KV == "e4m3_plain" or KV == "e4m3_shift":
        bits = x.to(tl.uint16)
        return (((bits & 0x80) << 8) | ((bits & 0x7F) << 7)).to(tl.float16, bitcast=True).to(DTYPE)
    else:
        return x.to(DTYPE)


@triton.jit
def stage1(
    q,  # [batch, HEADS, LATENT + ROPE] bf16 or f16
    cache,  # [slots, LATENT + ROPE] u8 (E4M3 codes), f16 or bf16
    kv_indptr,  # [batch + 1] i32
    kv_indices,  # [tokens] i32
    partial,  # [batch, splits, HEADS, LATENT] f32
    partial_lse,  # [batch, splits, HEADS] f32, natural; unwritten where a split has no token
    chunk,  # tokens a split
    logit_scale,
    logit_cap,
    HEADS: tl.constexpr,
    LATENT: tl.constexpr,
    ROPE: tl.constexpr,
    KV: tl.constexpr,
    P_FP8: tl.constexpr,
    HAS_LOGIT_CAP: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    request, head_block, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    splits = tl.num_programs(2)
    WIDTH: tl.constexpr = LATENT + ROPE
    # The interpreter multiplies the bit patterns of bf16.
    DTYPE: tl.constexpr = tl.float32 if KV == "e4m3_plain" or KV == "16bit_plain" else q.dtype.element_ty
    heads = head_block * BLOCK_H + tl.arange(0, BLOCK_H)
    in_heads = heads < HEADS
    latents = tl.arange(0, LATENT)
    begin = tl.load(kv_indptr + request)
    length = tl.load(kv_indptr + request + 1) - begin
    start = chunk * split
    end = tl.minimum(start + chunk, length)
    if start >= end:
        return
    q_row = q + (request.to(tl.int64) * HEADS + heads) * WIDTH
    query = tl.load(q_row[:, None] + latents[None, :], mask=in_heads[:, None], other=0.0).to(DTYPE)
    if ROPE > 0:
        ropes = LATENT + tl.arange(0, ROPE)
        query_rope = tl.load(q_row[:, None] + ropes[None, :], mask=in_heads[:, None], other=0.0).to(DTYPE)
    m = tl.zeros([BLOCK_H], tl.float32) - float("inf")
    weight = tl.zeros([BLOCK_H], tl.float32)
    acc = tl.zeros([BLOCK_H, LATENT], tl.float32)
    for tile in range(start, end, BLOCK_N):
        tokens = tile + tl.arange(0, BLOCK_N)
        there = tokens < end
        rows = tl.load(kv_indices + begin + tokens, mask=there, other=0).to(tl.int64) * WIDTH
        key = tl.load(cache + rows[None, :] + latents[:, None], mask=there[None, :], other=0)
        s = tl.dot(query, operand(key, KV, DTYPE))
        if ROPE > 0:
            key_rope = tl.load(cache + rows[None, :] + ropes[:, None], mask=there[None, :], other=0)
            s += tl.dot(query_rope, operand(key_rope, KV, DTYPE))
        s *= logit_scale
        if HAS_LOGIT_CAP:
            s = logit_cap * (2 * tl.sigmoid(2 * s / logit_cap) - 1)
        s = tl.where(in_heads[:, None] & there[None, :], s, -float("inf"))
        value = tl.load(cache + rows[:, None] + latents[None, :], mask=there[:, None], other=0)
        m_new = tl.maximum(tl.max(s, 1), m)
        scale = tl.exp(m - m_new)
        p = tl.exp(s - m_new[:, None])
        acc *= scale[:, None]
        if P_FP8:
            acc += tl.dot(p.to(tl.float8e4nv), value.to(tl.float8e4nv, bitcast=True))
        else:
            acc += tl.dot(p.to(DTYPE), operand(value, KV, DTYPE))
        weight = weight * scale + tl.sum(p, 1)
        m = m_new
    place = (request.to(tl.int64) * splits + split) * HEADS + heads
    tl.store(partial + place[:, None] * LATENT + latents[None, :], acc / weight[:, None], mask=in_heads[:, None])
    tl.store(partial_lse + place, m + tl.log(weight), mask=in_heads)


@triton.jit
def stage2(
    partial,  # [batch, SPLITS, HEADS, LATENT] f32
    partial_lse,  # [batch, SPLITS, HEADS] f32, natural
    kv_indptr,  # [batch + 1] i32
    sinks,  # [HEADS] f32; read only where HAS_SINKS
    out,  # [batch, HEADS, LATENT] bf16 or f16
    lse,  # [batch, HEADS] f32
    chunk,
    out_scale,
    HEADS: tl.constexpr,
    LATENT: tl.constexpr,
    HAS_SINKS: tl.constexpr,
    SPLITS: tl.constexpr,
):
    request, head = tl.program_id(0), tl.program_id(1)
    latents = tl.arange(0, LATENT)
    length = tl.load(kv_indptr + request + 1) - tl.load(kv_indptr + request)
    weight = 0.0
    m = -float("inf")
    acc = tl.zeros([LATENT], tl.float32)
    first = request.to(tl.int64) * SPLITS * HEADS + head
    for split in range(0, SPLITS):
        start = chunk * split
        if tl.minimum(start + chunk, length) > start:
            part = tl.load(partial + (first + split * HEADS) * LATENT + latents)
            log = tl.load(partial_lse + first + split * HEADS)
            m_new = tl.maximum(log, m)
            scale = tl.exp(m - m_new)
            w = tl.exp(log - m_new)
            acc = acc * scale + w * part
            weight = weight * scale + w
            m = m_new
    denominator = weight
    if HAS_SINKS:
        denominator += tl.exp(tl.load(sinks + head) - m)
    # Servers leave empty requests out; here they are zeros.
    acc = tl.where(weight > 0.0, acc / tl.where(weight > 0.0, denominator, 1.0) * out_scale, 0.0)
    tl.store(out + (request.to(tl.int64) * HEADS + head) * LATENT + latents, acc.to(out.dtype.element_ty))
    tl.store(lse + request * HEADS + head, m + tl.log(weight))
