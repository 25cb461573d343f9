"""A stand-in for SGLang's module of this name, for tests: its functions' names and parameters, with a kernel of our own.

Constants are hard-coded where SGLang has them, so that a patch of this file is like one of theirs.
"""

import triton
import triton.language as tl

_MIN_BLOCK_KV = 32


@triton.jit
def _fwd_grouped_kernel_stage1(
    Q,
    K_Buffer,
    V_Buffer,
    sm_scale_withk,
    kv_indptr,
    kv_indices,
    Att_Out,
    Att_Lse,
    num_kv_splits,
    q_head_num: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_H: tl.constexpr,
    MIN_BLOCK_KV: tl.constexpr,
    Lk: tl.constexpr,
    Lv: tl.constexpr,
    BLOCK_DPE: tl.constexpr,
):
    request, block, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    heads = block * BLOCK_H + tl.arange(0, BLOCK_H)
    in_heads = heads < q_head_num
    begin = tl.load(kv_indptr + request)
    length = tl.load(kv_indptr + request + 1) - begin
    splits = tl.load(num_kv_splits + request)
    chunk = tl.cdiv(tl.cdiv(length, splits), MIN_BLOCK_KV) * MIN_BLOCK_KV
    end = tl.minimum(chunk * (split + 1), length)
    if chunk * split >= end:
        return
    values = tl.arange(0, Lv)
    ropes = Lv + tl.arange(0, BLOCK_DPE)
    q_row = Q + (request * q_head_num + heads)[:, None] * Lk
    q = tl.load(q_row + values[None, :], mask=in_heads[:, None], other=0.0)
    q_rope = tl.load(q_row + ropes[None, :], mask=in_heads[:, None], other=0.0)
    m = tl.full([BLOCK_H], -float("inf"), tl.float32)
    weight = tl.zeros([BLOCK_H], tl.float32)
    acc = tl.zeros([BLOCK_H, Lv], tl.float32)
    for start in range(chunk * split, end, BLOCK_N):
        tokens = start + tl.arange(0, BLOCK_N)
        there = tokens < end
        rows = tl.load(kv_indices + begin + tokens, mask=there, other=0) * Lk
        k = tl.load(K_Buffer + rows[:, None] + values[None, :], mask=there[:, None], other=0.0)
        k_rope = tl.load(K_Buffer + rows[:, None] + ropes[None, :], mask=there[:, None], other=0.0)
        s = tl.dot(q, tl.trans(k.to(q.dtype))) + tl.dot(q_rope, tl.trans(k_rope.to(q.dtype)))
        s = tl.where(there[None, :], s * sm_scale_withk, -float("inf"))
        m_new = tl.maximum(m, tl.max(s, 1))
        scale = tl.exp(m - m_new)
        p = tl.exp(s - m_new[:, None])
        v = tl.load(V_Buffer + rows[:, None] + values[None, :], mask=there[:, None], other=0.0)
        acc = acc * scale[:, None] + tl.dot(p.to(v.dtype), v)
        weight = weight * scale + tl.sum(p, 1)
        m = m_new
    place = (request * q_head_num + heads) * tl.num_programs(2) + split
    tl.store(Att_Out + place[:, None] * Lv + values[None, :], acc / weight[:, None], mask=in_heads[:, None])
    tl.store(Att_Lse + place, m + tl.log(weight), mask=in_heads)


@triton.jit
def _fwd_kernel_stage2(
    Mid_O,
    Mid_O_1,
    O,
    v_scale,
    kv_indptr,
    num_kv_splits,
    MAX_KV_SPLITS: tl.constexpr,
    MIN_BLOCK_KV: tl.constexpr,
    Lv: tl.constexpr,
):
    request, head = tl.program_id(0), tl.program_id(1)
    length = tl.load(kv_indptr + request + 1) - tl.load(kv_indptr + request)
    splits = tl.load(num_kv_splits + request)
    chunk = tl.cdiv(tl.cdiv(length, splits), MIN_BLOCK_KV) * MIN_BLOCK_KV
    values = tl.arange(0, Lv)
    first = (request * tl.num_programs(1) + head) * MAX_KV_SPLITS
    m = -float("inf")
    weight = 0.0
    acc = tl.zeros([Lv], tl.float32)
    for split in range(0, tl.cdiv(length, chunk)):
        log = tl.load(Mid_O_1 + first + split)
        m_new = tl.maximum(m, log)
        scale = tl.exp(m - m_new)
        w = tl.exp(log - m_new)
        acc = acc * scale + w * tl.load(Mid_O + (first + split) * Lv + values)
        weight = weight * scale + w
        m = m_new
    tl.store(O + (request * tl.num_programs(1) + head) * Lv + values, acc / weight * v_scale)


def _decode_grouped_att_m_fwd(
    q, k_buffer, v_buffer, att_out, att_lse, kv_indptr, kv_indices, num_kv_splits, max_kv_splits, sm_scale_withk
):
    BLOCK = 32
    Lk = k_buffer.shape[-1]
    Lv = v_buffer.shape[-1]
    batch, head_num = q.shape[0], q.shape[1]
    BLOCK_H = 16
    grid = (batch, triton.cdiv(head_num, min(BLOCK_H, head_num)), max_kv_splits)
    num_stages = 2
    _fwd_grouped_kernel_stage1[grid](
        q,
        k_buffer,
        v_buffer,
        sm_scale_withk,
        kv_indptr,
        kv_indices,
        att_out,
        att_lse,
        num_kv_splits,
        q_head_num=head_num,
        BLOCK_N=BLOCK,
        BLOCK_H=BLOCK_H,
        MIN_BLOCK_KV=_MIN_BLOCK_KV,
        Lk=Lk,
        Lv=Lv,
        BLOCK_DPE=Lk - Lv,
        num_warps=4,
        num_stages=num_stages,
    )


def _decode_softmax_reducev_fwd(logits, lse, q, o, v_scale, v_buffer, kv_indptr, num_kv_splits, max_kv_splits):
    _fwd_kernel_stage2[(q.shape[0], q.shape[1])](
        logits,
        lse,
        o,
        v_scale,
        kv_indptr,
        num_kv_splits,
        MAX_KV_SPLITS=max_kv_splits,
        MIN_BLOCK_KV=_MIN_BLOCK_KV,
        Lv=v_buffer.shape[-1],
        num_warps=4,
        num_stages=2,
    )


def decode_attention_fwd_grouped(
    q,
    k_buffer,
    v_buffer,
    o,
    kv_indptr,
    kv_indices,
    attn_logits,
    attn_lse,
    num_kv_splits,
    max_kv_splits,
    sm_scale_withk,
    v_scale,
    logit_cap=0.0,
    sinks=None,
    xai_temperature_len=-1,
):
    assert logit_cap == 0.0 and sinks is None and xai_temperature_len == -1
    _decode_grouped_att_m_fwd(
        q,
        k_buffer,
        v_buffer,
        attn_logits,
        attn_lse,
        kv_indptr,
        kv_indices,
        num_kv_splits,
        max_kv_splits,
        sm_scale_withk,
    )
    _decode_softmax_reducev_fwd(
        attn_logits, attn_lse, q, o, v_scale, v_buffer, kv_indptr, num_kv_splits, max_kv_splits
    )
