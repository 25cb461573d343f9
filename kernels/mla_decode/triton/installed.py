"""The Triton MLA decode of the SGLang or vLLM that is installed, launched through its own function with other constants.

Nothing of theirs is copied or changed on disk: while their function runs, its kernels are wrapped so that a launch gets
the constants of a config in place of the ones that the function passes. What the function must look like for that is
checked first, so that a version that is not known is refused and not mistuned.
"""

import ast
import difflib
import importlib
import importlib.metadata
import inspect
import math


class UnknownVersionError(RuntimeError):
    pass


STAGE1 = ("_fwd_grouped_kernel_stage1", ("BLOCK_N", "BLOCK_H", "num_warps", "num_stages"))
STAGE2 = ("_fwd_kernel_stage2", ("num_warps",))
# Where a config's values are written down in the source: function, then the name or the keyword of the launch.
HARD_CODED = {
    "BLOCK_N": ("_decode_grouped_att_m_fwd", "BLOCK"),
    "BLOCK_H": ("_decode_grouped_att_m_fwd", "BLOCK_H"),
    "num_stages": ("_decode_grouped_att_m_fwd", "num_stages"),
    "num_warps": ("_decode_grouped_att_m_fwd", "num_warps"),
    "merge_warps": ("_decode_softmax_reducev_fwd", "num_warps"),
}

SERVERS = {
    "sglang": {
        "modules": ("sglang.srt.layers.attention.triton_ops.decode_attention",),
        "signatures": (
            "q k_buffer v_buffer o kv_indptr kv_indices attn_logits attn_lse num_kv_splits max_kv_splits "
            "sm_scale_withk v_scale logit_cap sinks xai_temperature_len",
        ),
    },
    "vllm": {
        "modules": ("vllm.v1.attention.ops.triton_decode_attention", "vllm.attention.ops.triton_decode_attention"),
        "signatures": (
            "q k_buffer v_buffer o lse req_to_token b_seq_len attn_logits num_kv_splits sm_scale page_size "
            "logit_cap k_scale",
        ),
    },
}
ENTRY = "decode_attention_fwd_grouped"

_known = {}


def module_of(server):
    """The server's module, once its functions are known to be the ones that this file was written for."""
    if server not in _known:
        _known[server] = _checked(server, _import(server))
    return _known[server]


def version_of(server):
    """The version of the server's package."""
    try:
        return importlib.metadata.version(server)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _import(server):
    names = SERVERS[server]["modules"]
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name):
                raise RuntimeError(f"Cannot import {name}: {error}") from error
    raise RuntimeError(f"Cannot find the decode kernel of {server} in this Python: no module {' or '.join(names)}")


def _checked(server, module):
    def refuse(why):
        expected = "; ".join(f"({text.replace(' ', ', ')})" for text in SERVERS[server]["signatures"])
        raise UnknownVersionError(
            f"Cannot tune the kernel of {server} {version_of(server)}: {why}, expected {ENTRY}{expected}"
        )

    entry = getattr(module, ENTRY, None)
    if entry is None:
        refuse(f"{module.__name__} has no {ENTRY}")
    names = " ".join(inspect.signature(entry).parameters)
    if names not in SERVERS[server]["signatures"]:
        refuse(f"{ENTRY} takes ({names.replace(' ', ', ')})")
    for name, _ in (STAGE1, STAGE2):
        if not hasattr(getattr(module, name, None), "arg_names"):
            refuse(f"{module.__name__} has no Triton kernel {name}")
    return module


class _Launches:
    """A kernel whose launches get other constants."""

    def __init__(self, kernel, known, changes):
        self._kernel, self._known, self._changes = kernel, known, changes

    def __getitem__(self, grid):
        def launch(*args, **kwargs):
            missing = [name for name in self._known if name not in kwargs]
            if missing:
                raise UnknownVersionError(f"Cannot set {', '.join(missing)}: the launch passes {', '.join(kwargs)}")
            changed = {**kwargs, **self._changes}
            blocks = list(grid)
            if "BLOCK_H" in self._changes:
                # Their grid counts blocks of their own height.
                heads = changed["q_head_num"]
                blocks[1] = math.ceil(heads / min(changed["BLOCK_H"], heads))
            return self._kernel[tuple(blocks)](*args, **changed)

        return launch


def _call(server, config, arguments):
    module = module_of(server)
    stage1 = {name: config[name] for name in STAGE1[1]}
    stage2 = {"num_warps": config["merge_warps"]}
    own = [getattr(module, name) for name, _ in (STAGE1, STAGE2)]
    try:
        for (name, known), kernel, changes in zip((STAGE1, STAGE2), own, (stage1, stage2)):
            setattr(module, name, _Launches(kernel, known, changes))
        getattr(module, ENTRY)(**arguments)
    finally:
        for (name, _), kernel in zip((STAGE1, STAGE2), own):
            setattr(module, name, kernel)


def sglang(
    q,  # [batch, heads, latent + rope]
    cache,  # [slots, 1, latent + rope]
    kv_indptr,  # [batch + 1] i32
    kv_indices,  # [tokens] i32
    out,  # [batch, heads, latent]
    attn_logits,  # [batch, heads, max_kv_splits, latent] f32
    attn_lse,  # [batch, heads, max_kv_splits] f32
    num_kv_splits,  # [batch] i32
    sm_scale,
    kv_scale,
    logit_cap,
    sinks,  # [heads] f32, or "" where there are none
    **config,
):
    latent = out.shape[2]
    _call("sglang", config, {
        "q": q,
        "k_buffer": cache,
        "v_buffer": cache[..., :latent],
        "o": out,
        "kv_indptr": kv_indptr,
        "kv_indices": kv_indices,
        "attn_logits": attn_logits,
        "attn_lse": attn_lse,
        "num_kv_splits": num_kv_splits,
        "max_kv_splits": attn_logits.shape[2],
        "sm_scale_withk": sm_scale * kv_scale,
        "v_scale": kv_scale,
        "logit_cap": logit_cap,
        "sinks": None if isinstance(sinks, str) else sinks,
    })  # fmt: skip


def sglang_lse(attn_lse, used_splits, lse):
    """Each request's log-sum-exp over the splits that it used, which SGLang does not give."""
    import torch

    unused = torch.arange(attn_lse.shape[2], device=lse.device)[None, None, :] >= used_splits[:, None, None]
    lse.copy_(torch.logsumexp(attn_lse.masked_fill(unused, -float("inf")), 2))


def vllm(
    q,  # [batch, heads, latent + rope]
    cache,  # [slots, 1, 1, latent + rope]: pages of one token
    req_to_token,  # [batch, tokens a request] i32
    b_seq_len,  # [batch] i32
    out,  # [batch, heads, latent]
    lse,  # [batch, heads] f32
    attn_logits,  # [batch, heads, splits, latent + 1] f32
    k_scale,  # [1] f32, or "" where the cache has 16 bits
    sm_scale,
    logit_cap,
    **config,
):
    latent = out.shape[2]
    _call("vllm", config, {
        "q": q,
        "k_buffer": cache,
        "v_buffer": cache[..., :latent],
        "o": out,
        "lse": lse,
        "req_to_token": req_to_token,
        "b_seq_len": b_seq_len,
        "attn_logits": attn_logits,
        "num_kv_splits": attn_logits.shape[2],
        "sm_scale": sm_scale,
        "page_size": 1,
        "logit_cap": logit_cap,
        "k_scale": None if isinstance(k_scale, str) else k_scale,
    })  # fmt: skip


def patch(server, config):
    """The smallest change of the installed source that makes it launch `config`, as a unified diff.

    Gives the server's version, the file, the diff, and each value that is hard-coded as "name: theirs → ours".
    """
    module = module_of(server)
    path = inspect.getsourcefile(module)
    with open(path, encoding="utf-8") as file:
        before = file.read().splitlines(keepends=True)
    after = list(before)
    changes = []
    for name, (function, text) in HARD_CODED.items():
        value = _constant(ast.parse("".join(before)), function, text)
        if value is None:
            raise UnknownVersionError(f"Cannot find {text} in {function} of {path}: the constant has moved")
        if name in config and value.value != config[name]:
            # Lines of one expression are ASCII up to it: columns of bytes are columns of characters.
            line = after[value.lineno - 1]
            after[value.lineno - 1] = line[: value.col_offset] + str(config[name]) + line[value.end_col_offset :]
            changes.append(f"{name}: {value.value} → {config[name]}")
    file = module.__name__.replace(".", "/") + ".py"
    diff = "".join(difflib.unified_diff(before, after, f"a/{file}", f"b/{file}", n=1))
    return {"version": version_of(server), "path": path, "changes": changes, "diff": diff}


def _constant(tree, function, name):
    """The constant that a function gives to a variable or to a keyword of a call. What is inside an `if` is for others."""
    for definition in tree.body:
        if isinstance(definition, ast.FunctionDef) and definition.name == function:
            for statement in definition.body:
                if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == [name]:
                    if isinstance(statement.value, ast.Constant):
                        return statement.value
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                    for keyword in statement.value.keywords:
                        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
                            return keyword.value
    return None
