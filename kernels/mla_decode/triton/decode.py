"""MLA decode in Triton, in two stages. Sizes and choices are constants of the launch; nothing here decides anything.

Per token the cache has one row of LATENT + ROPE values that all heads share. A key is the whole row; a value is its first
LATENT values, so V is the key tile transposed and is never loaded.
"""

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)

E4M3_BY_CVT = tl.constexpr(
    """{
    .reg .b16 low, high;
    mov.b32 {low, high}, $2;
    cvt.rn.f16x2.e4m3x2 $0, low;
    cvt.rn.f16x2.e4m3x2 $1, high;
    }"""
)
# A code shifted into an f16's pattern is its value / 256, subnormals included: for devices without the conversion.
E4M3_BY_SHIFT = tl.constexpr(
    """{
    .reg .b32 low, high;
    prmt.b32 low, $2, 0, 0x1404;
    prmt.b32 high, $2, 0, 0x3424;
    and.b32 $0, low, 0x7f007f00;
    and.b32 $1, high, 0x7f007f00;
    shr.u32 $0, $0, 1;
    shr.u32 $1, $1, 1;
    lop3.b32 $0, low, 0x80008000, $0, 0xea;
    lop3.b32 $1, high, 0x80008000, $1, 0xea;
    }"""
)


@triton.jit
def operand(x, KV: tl.constexpr, OPAQUE: tl.constexpr):
    """Cache values as operands of a matrix product. E4M3 codes become f16, which holds them all.

    The conversion is OPAQUE to the compiler, so that it stays where it is: before the tile's one copy in shared memory.
    Moved past it, each product would read and convert the codes again, and their loads could not be pipelined.
    """
    if KV == "e4m3":
        return tl.inline_asm_elementwise(E4M3_BY_CVT, "=r,=r,r", [x], dtype=tl.float16, is_pure=not OPAQUE, pack=4)
    elif KV == "e4m3_shift":
        return tl.inline_asm_elementwise(E4M3_BY_SHIFT, "=&r,=&r,r", [x], dtype=tl.float16, is_pure=not OPAQUE, pack=4)
    elif KV == "e4m3_plain":  # The same shift for the interpreter, which runs no PTX.
        bits = x.to(tl.uint16)
        return (((bits & 0x80) << 8) | ((bits & 0x7F) << 7)).to(tl.float16, bitcast=True)
    elif KV == "16bit_plain":  # The interpreter multiplies the bit patterns of bf16.
        return x.to(tl.float32)
    else:
        return x


@triton.jit
def softmax_step(s, in_request, m, weights, logit_cap, HAS_LOGIT_CAP: tl.constexpr):
    """A tile's unnormalised weights; what scales older ones; the new maximum and the weights so far.

    Those are summed over the tokens once, after the last tile.
    """
    if HAS_LOGIT_CAP:
        s = (2 * tl.sigmoid(2 * s / logit_cap) - 1) * (logit_cap * LOG2E)
    s = tl.where(in_request[None, :], s, -float("inf"))
    m_new = tl.maximum(m, tl.max(s, 1))
    scale = tl.exp2(m - m_new)
    p = tl.exp2(s - m_new[:, None])
    return p, scale, m_new, weights * scale[:, None] + p


@triton.jit
def sum_of_groups(x):
    """The sum of [rows, columns, 2 or 4] over the last dimension: one exchange between the warps."""
    if x.shape[2] == 4:
        low, high = tl.split(tl.reshape(x, (x.shape[0], x.shape[1], 2, 2)))
        x = low + high
    low, high = tl.split(x)
    return low + high


@triton.jit
def stage1(
    q,  # [batch, HEADS, LATENT + ROPE] bf16 or f16
    cache,  # [slots, LATENT + ROPE] u8 (E4M3 codes), f16 or bf16
    kv_indptr,  # [batch + 1] i32
    kv_indices,  # [tokens] i32, the slot of each token
    partial,  # [batch, splits, HEADS, LATENT] f32 or f16, each split's own softmax applied
    partial_lse,  # [batch, splits, HEADS] f32, base 2; -inf where a split has no token
    chunk,  # tokens a split, a multiple of BLOCK_N
    logit_scale,  # softmax scale · kv_scale · log2(e), without log2(e) where logits are capped
    logit_cap,
    HEADS: tl.constexpr,
    LATENT: tl.constexpr,
    ROPE: tl.constexpr,
    KV: tl.constexpr,  # how it is read: e4m3, e4m3_shift, e4m3_plain, 16bit or 16bit_plain
    OPAQUE: tl.constexpr,
    P_FP8: tl.constexpr,
    HAS_LOGIT_CAP: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PIECES: tl.constexpr,
    NUM_STAGES: tl.constexpr,
    PDL: tl.constexpr,
):
    head_block, split, request = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    splits = tl.num_programs(1)
    WIDTH: tl.constexpr = LATENT + ROPE
    PIECE: tl.constexpr = LATENT // PIECES
    begin = tl.load(kv_indptr + request)
    length = tl.load(kv_indptr + request + 1) - begin
    start = split * chunk
    end = tl.minimum(start + chunk, length)

    heads = head_block * BLOCK_H + tl.arange(0, BLOCK_H)
    in_heads = heads < HEADS
    place = (request * splits + split).to(tl.int64) * HEADS + heads
    if PDL:
        gdc_launch_dependents()
    if start >= end:
        tl.store(partial_lse + place, -float("inf"), mask=in_heads)
        return

    if KV == "16bit":
        dtype: tl.constexpr = cache.dtype.element_ty
    else:
        dtype: tl.constexpr = tl.float32 if KV == "16bit_plain" else tl.float16
    # The cast of q, like all that no tile changes, is done once.
    q_rows = (q + (request.to(tl.int64) * HEADS + heads) * WIDTH)[:, None]
    widths = tl.arange(0, PIECE)[None, :]
    query = ()
    acc = ()
    for i in tl.static_range(PIECES):
        query = query + (tl.load(q_rows + (i * PIECE + widths), mask=in_heads[:, None], other=0.0).to(dtype),)
        acc = acc + (tl.zeros([BLOCK_H, PIECE], tl.float32),)
    if ROPE > 0:
        ropes = LATENT + tl.arange(0, ROPE)[None, :]
        query = query + (tl.load(q_rows + ropes, mask=in_heads[:, None], other=0.0).to(dtype),)

    # Tokens past the end repeat the last one and get no weight: every load is of a row that is in use, and needs no mask.
    # Slots are read a tile ahead of their rows, so that a row's address waits for no load of its own tile.
    tokens = tl.arange(0, BLOCK_N)
    last = begin + end - 1
    slots = tl.load(kv_indices + tl.minimum(begin + start + tokens, last))
    m = tl.full([BLOCK_H], -float("inf"), tl.float32)
    weights = tl.zeros([BLOCK_H, BLOCK_N], tl.float32)
    for tile in tl.range(start, end, BLOCK_N, num_stages=NUM_STAGES):
        rows = (cache + slots.to(tl.int64) * WIDTH)[:, None]
        slots = tl.load(kv_indices + tl.minimum(begin + tile + BLOCK_N + tokens, last))
        keys = ()
        values = ()
        for i in tl.static_range(PIECES):
            codes = tl.load(rows + (i * PIECE + widths))
            key = operand(codes, KV, OPAQUE)
            keys = keys + (key,)
            values = values + ((codes.to(tl.float8e4nv, bitcast=True) if P_FP8 else key),)
        if ROPE > 0:
            keys = keys + (operand(tl.load(rows + ropes), KV, OPAQUE),)
        s = tl.zeros([BLOCK_H, BLOCK_N], tl.float32)
        for i in tl.static_range(len(keys)):
            if BLOCK_H < 64:  # An accumulator for each piece: short chains of dependent instructions.
                s += tl.dot(query[i], tl.trans(keys[i])) * logit_scale
            else:
                s = tl.dot(query[i], tl.trans(keys[i]), s)
        if BLOCK_H >= 64:
            s *= logit_scale
        p, scale, m, weights = softmax_step(s, tile + tokens < end, m, weights, logit_cap, HAS_LOGIT_CAP)
        p = p.to(tl.float8e4nv if P_FP8 else dtype)
        next_acc = ()
        for i in tl.static_range(PIECES):
            next_acc = next_acc + (tl.dot(p, values[i], acc[i] * scale[:, None]),)
        acc = next_acc

    weight = tl.sum(weights, 1)
    for i in tl.static_range(PIECES):
        out = acc[i] / weight[:, None]
        at = place[:, None] * LATENT + (i * PIECE + widths)
        tl.store(partial + at, out.to(partial.dtype.element_ty), mask=in_heads[:, None])
    tl.store(partial_lse + place, m + tl.log2(weight), mask=in_heads)


@triton.jit
def stage1_groups(
    q,  # As in stage1
    cache,
    kv_indptr,
    kv_indices,
    partial,
    partial_lse,
    chunk,
    logit_scale,
    logit_cap,
    HEADS: tl.constexpr,
    LATENT: tl.constexpr,
    ROPE: tl.constexpr,
    KV: tl.constexpr,
    OPAQUE: tl.constexpr,
    HAS_LOGIT_CAP: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_N: tl.constexpr,
    PIECES: tl.constexpr,
    GROUPS: tl.constexpr,  # of the latent width, as many as warps: 2 or 4
    NUM_STAGES: tl.constexpr,
    PDL: tl.constexpr,
):
    """stage1 with products batched over groups of the latent width, each of which is one warp's.

    A warp reads its own part of the queries, where otherwise each reads all of them for each tile; in return the groups'
    scores are added up.
    """
    head_block, split, request = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    splits = tl.num_programs(1)
    WIDTH: tl.constexpr = LATENT + ROPE
    GROUP: tl.constexpr = LATENT // GROUPS
    PART: tl.constexpr = GROUP // PIECES
    begin = tl.load(kv_indptr + request)
    length = tl.load(kv_indptr + request + 1) - begin
    start = split * chunk
    end = tl.minimum(start + chunk, length)

    heads = head_block * BLOCK_H + tl.arange(0, BLOCK_H)
    in_heads = heads < HEADS
    place = (request * splits + split).to(tl.int64) * HEADS + heads
    if PDL:
        gdc_launch_dependents()
    if start >= end:
        tl.store(partial_lse + place, -float("inf"), mask=in_heads)
        return

    if KV == "16bit":
        dtype: tl.constexpr = cache.dtype.element_ty
    else:
        dtype: tl.constexpr = tl.float32 if KV == "16bit_plain" else tl.float16
    q_rows = q + (request.to(tl.int64) * HEADS + heads) * WIDTH
    group_widths = tl.arange(0, GROUPS)[:, None, None] * GROUP + tl.arange(0, PART)[None, None, :]
    query = ()
    acc = ()
    for i in tl.static_range(PIECES):
        piece = tl.load(q_rows[None, :, None] + (i * PART + group_widths), mask=in_heads[None, :, None], other=0.0)
        query = query + (tl.permute(piece.to(dtype), (0, 2, 1)),)
        acc = acc + (tl.zeros([GROUPS, BLOCK_H, PART], tl.float32),)

    # A tile's rows are loaded in an order in which each warp has rows of one group, 16 bytes a thread.
    ROWS: tl.constexpr = 512 // (PART * cache.dtype.element_ty.primitive_bitwidth // 8)
    row_offsets = tl.arange(0, GROUPS * BLOCK_N) // ROWS % GROUPS * GROUP
    widths = tl.arange(0, PART)[None, :]
    tokens = tl.arange(0, BLOCK_N)
    last = begin + end - 1
    slots = tl.load(kv_indices + tl.minimum(begin + start + tokens, last))
    if ROPE > 0:
        # Rope has no groups. Its rows, a ninth of all, wait in registers: in shared memory one block less would fit an SM.
        ropes = LATENT + tl.arange(0, ROPE)[None, :]
        q_rope = tl.trans(tl.load(q_rows[:, None] + ropes, mask=in_heads[:, None], other=0.0).to(dtype))
        rope_codes = tl.load((cache + slots.to(tl.int64) * WIDTH)[:, None] + ropes)
        rope_slots = tl.load(kv_indices + tl.minimum(begin + start + BLOCK_N + tokens, last))
    m = tl.full([BLOCK_H], -float("inf"), tl.float32)
    weights = tl.zeros([BLOCK_H, BLOCK_N], tl.float32)
    for tile in tl.range(start, end, BLOCK_N, num_stages=NUM_STAGES):
        rows = tl.broadcast_to(tl.reshape(slots, (BLOCK_N // ROWS, 1, ROWS)), (BLOCK_N // ROWS, GROUPS, ROWS))
        rows = tl.reshape(rows, (GROUPS * BLOCK_N,)).to(tl.int64) * WIDTH + row_offsets
        slots = tl.load(kv_indices + tl.minimum(begin + tile + BLOCK_N + tokens, last))
        keys = ()
        for i in tl.static_range(PIECES):
            key = operand(tl.load((cache + rows)[:, None] + (i * PART + widths)), KV, OPAQUE)
            key = tl.permute(tl.reshape(key, (BLOCK_N // ROWS, GROUPS, ROWS, PART)), (1, 0, 2, 3))
            keys = keys + (tl.reshape(key, (GROUPS, BLOCK_N, PART)),)
        if ROPE > 0:
            rope_key = operand(rope_codes, KV, OPAQUE)
            rope_codes = tl.load((cache + rope_slots.to(tl.int64) * WIDTH)[:, None] + ropes)
            rope_slots = tl.load(kv_indices + tl.minimum(begin + tile + 2 * BLOCK_N + tokens, last))
            s = tl.trans(tl.dot(rope_key, q_rope))
        else:
            s = tl.zeros([BLOCK_H, BLOCK_N], tl.float32)
        # Tokens are rows here, so that both products read a tile as it is: Triton has no second view of a 3-D one.
        group_scores = tl.zeros([GROUPS, BLOCK_N, BLOCK_H], tl.float32)
        for i in tl.static_range(PIECES):
            group_scores = tl.dot(keys[i], query[i], group_scores)
        s = (s + sum_of_groups(tl.permute(group_scores, (2, 1, 0)))) * logit_scale
        p, scale, m, weights = softmax_step(s, tile + tokens < end, m, weights, logit_cap, HAS_LOGIT_CAP)
        p = tl.broadcast_to(tl.reshape(p.to(dtype), (1, BLOCK_H, BLOCK_N)), (GROUPS, BLOCK_H, BLOCK_N))
        next_acc = ()
        for i in tl.static_range(PIECES):
            next_acc = next_acc + (tl.dot(p, keys[i], acc[i] * scale[None, :, None]),)
        acc = next_acc

    weight = tl.sum(weights, 1)
    for i in tl.static_range(PIECES):
        out = acc[i] / weight[None, :, None]
        at = place[None, :, None] * LATENT + (i * PART + group_widths)
        tl.store(partial + at, out.to(partial.dtype.element_ty), mask=in_heads[None, :, None])
    tl.store(partial_lse + place, m + tl.log2(weight), mask=in_heads)


@triton.jit
def stage2(
    partial,  # [batch, splits, HEADS, LATENT] f32 or f16
    partial_lse,  # [batch, splits, HEADS] f32, base 2
    kv_indptr,  # [batch + 1] i32
    sinks,  # [HEADS] f32, natural units; read only where HAS_SINKS
    out,  # [batch, HEADS, LATENT] bf16 or f16
    lse,  # [batch, HEADS] f32, natural logarithm, without the sink
    chunk,  # tokens a split, as in stage 1
    splits,
    out_scale,  # kv_scale, · 256 where values were decoded by shifting
    HEADS: tl.constexpr,
    LATENT: tl.constexpr,
    HAS_SINKS: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PDL: tl.constexpr,
):
    head, piece, request = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    widths = piece * BLOCK_D + tl.arange(0, BLOCK_D)
    length = tl.load(kv_indptr + request + 1) - tl.load(kv_indptr + request)
    count = tl.cdiv(length, chunk)
    first = request.to(tl.int64) * splits
    m = -float("inf")
    weight = 0.0
    acc = tl.zeros([BLOCK_D], tl.float32)
    if PDL:
        gdc_wait()
    for split in tl.range(0, count, BLOCK_S):
        indices = split + tl.arange(0, BLOCK_S)
        there = indices < count
        rows = (first + indices) * HEADS + head
        parts = tl.load(partial + rows[:, None] * LATENT + widths[None, :], mask=there[:, None], other=0.0)
        logs = tl.load(partial_lse + rows, mask=there, other=-float("inf"))
        m_new = tl.maximum(m, tl.max(logs, 0))
        scale = tl.exp2(m - m_new)
        w = tl.exp2(logs - m_new)
        weight = weight * scale + tl.sum(w, 0)
        acc = acc * scale + tl.sum(parts.to(tl.float32) * w[:, None], 0)
        m = m_new
    denominator = weight
    if HAS_SINKS:
        denominator += tl.exp2(tl.load(sinks + head) * LOG2E - m)
    # An empty request has neither weight nor sum.
    acc = tl.where(weight > 0.0, acc * (out_scale / tl.where(weight > 0.0, denominator, 1.0)), 0.0)
    at = (request.to(tl.int64) * HEADS + head) * LATENT + widths
    tl.store(out + at, acc.to(out.dtype.element_ty))
    if piece == 0:
        tl.store(lse + request * HEADS + head, (m + tl.log2(weight)) * LN2)
