"""The C interface of llama.cpp as the installed xllamacpp exports it: signatures, layouts, log. Runs nothing itself.

xllamacpp is pinned to one version, for these layouts belong to it; `library` checks them before anything is called.
"""

import ctypes
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require

PINNED = "2026.10.11549"
F32 = 0
F16 = 1
"""Types of the key-value cache (`enum ggml_type`)."""
AUTO = -1
OFF = 0
"""Whether attention is computed in one piece (`enum llama_flash_attn_type`)."""
ERROR_LEVEL = 4
CONTINUED_LEVEL = 5
"""A line of the log goes on."""
SWITCHES = (False, True, True, True, True, False)
"""`embeddings`, `offload_kqv`, `no_perf`, `op_offload`, `swa_full` and `kv_unified` as the library sets them."""

_Pointer = ctypes.c_void_p
_Int = ctypes.c_int32
_Count = ctypes.c_uint32
_LOG_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class ModelParams(ctypes.Structure):
    """`llama_model_params`: 80 bytes, of which the first fields are named."""

    _fields_ = (
        ("devices", _Pointer),
        ("tensor_buffers", _Pointer),
        ("n_gpu_layers", _Int),
        ("rest", ctypes.c_uint8 * 60),
    )


class ContextParams(ctypes.Structure):
    """`llama_context_params`: 168 bytes, of which those that are set or checked here are named."""

    _fields_ = (
        ("n_ctx", _Count),
        ("n_batch", _Count),
        ("n_ubatch", _Count),
        ("n_seq_max", _Count),
        ("counts", _Count * 3),
        ("n_threads", _Int),
        ("n_threads_batch", _Int),
        ("kinds", _Int * 4),
        ("flash_attn_type", _Int),
        ("rope", ctypes.c_float * 8),
        ("callbacks", _Pointer * 2),
        ("type_k", _Int),
        ("type_v", _Int),
        ("abort", ctypes.c_uint8 * 24),
        ("switches", ctypes.c_bool * 5),
        ("kv_unified", ctypes.c_bool),
        ("rest", ctypes.c_uint8 * 26),
    )


class TokenBatch(ctypes.Structure):
    """`llama_batch`; without positions and sequences the library counts on from where sequence 0 is."""

    _fields_ = (
        ("n_tokens", _Int),
        ("token", ctypes.POINTER(_Int)),
        ("embd", _Pointer),
        ("pos", ctypes.POINTER(_Int)),
        ("n_seq_id", ctypes.POINTER(_Int)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(_Int))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "llama_backend_init": (None, []),
    "llama_log_get": (None, [ctypes.POINTER(_Pointer), ctypes.POINTER(_Pointer)]),
    "llama_log_set": (None, [_Pointer, _Pointer]),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_load_from_file": (_Pointer, [ctypes.c_char_p, ModelParams]),
    "llama_model_free": (None, [_Pointer]),
    "llama_model_get_vocab": (_Pointer, [_Pointer]),
    "llama_vocab_n_tokens": (_Int, [_Pointer]),
    "llama_init_from_model": (_Pointer, [_Pointer, ContextParams]),
    "llama_free": (None, [_Pointer]),
    "llama_n_ctx": (_Count, [_Pointer]),
    "llama_set_n_threads": (None, [_Pointer, _Int, _Int]),
    "llama_n_threads": (_Int, [_Pointer]),
    "llama_get_memory": (_Pointer, [_Pointer]),
    "llama_memory_clear": (None, [_Pointer, ctypes.c_bool]),
    "llama_memory_seq_cp": (None, [_Pointer, _Int, _Int, _Int, _Int]),
    "llama_decode": (_Int, [_Pointer, TokenBatch]),
    "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [_Pointer, _Int]),
    "llama_tokenize": (
        _Int,
        [_Pointer, ctypes.c_char_p, _Int, ctypes.POINTER(_Int), _Int, ctypes.c_bool, ctypes.c_bool],
    ),
    "llama_adapter_lora_init": (_Pointer, [_Pointer, ctypes.c_char_p]),
    "llama_set_adapters_lora": (
        _Int,
        [_Pointer, ctypes.POINTER(_Pointer), ctypes.c_size_t, ctypes.POINTER(ctypes.c_float)],
    ),
}


@cache
def library() -> Any:
    """llama.cpp, its functions typed. Raises UserError for a version of xllamacpp with other layouts."""
    require("xllamacpp")
    installed = version("xllamacpp")
    if installed.partition("+")[0] != PINNED:
        raise _other_version(installed)
    module = importlib.import_module("xllamacpp.xllamacpp")
    found = ctypes.CDLL(module.__file__)
    try:
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError as error:
        raise _other_version(str(error)) from None
    _check_layouts(found)
    found.llama_backend_init()
    return found


def _check_layouts(found: Any) -> None:
    """Raises UserError unless the named fields hold what the pinned version is known to put there."""
    model, context = found.llama_model_default_params(), found.llama_context_default_params()
    threads = (context.n_threads, context.n_threads_batch)
    cache_types = (context.flash_attn_type, context.type_k, context.type_v)
    switches = (*context.switches, context.kv_unified)
    found_here = (model.n_gpu_layers, context.n_seq_max, threads, cache_types, switches)
    if found_here != (-1, 1, (4, 4), (AUTO, F16, F16), SWITCHES):
        raise _other_version("parameters of another layout")


def _other_version(found: str) -> UserError:
    return UserError(
        f"The installed xllamacpp has another C interface than the version {PINNED} this package is made for "
        f'({found}). Install that one: pip install "xllamacpp=={PINNED}"'
    )


class _Log(threading.local):
    """What llama.cpp says in this thread while it is listened to."""

    errors: list[str] | None = None
    level = 0


_LOG = _Log()


def _listen(level: int, text: bytes | None, _: Any) -> None:
    _LOG.level = _LOG.level if level == CONTINUED_LEVEL else level
    line = (text or b"").decode("utf-8", "replace").strip()
    if _LOG.errors is not None and _LOG.level == ERROR_LEVEL and line:
        _LOG.errors.append(line)


_LISTENER = _LOG_CALLBACK(_listen)
"""Held here: the library keeps its address only."""


@contextmanager
def captured_errors() -> Iterator[list[str]]:
    """Keep llama.cpp's log off the screen while the block runs; yields the list its errors go into, in order.

    Who listened before goes on to listen after it. Blocks do not nest.
    """
    lib = library()
    before, data = ctypes.c_void_p(), ctypes.c_void_p()
    lib.llama_log_get(ctypes.byref(before), ctypes.byref(data))
    errors: list[str] = []
    _LOG.errors = errors
    lib.llama_log_set(ctypes.cast(_LISTENER, ctypes.c_void_p), None)
    try:
        yield errors
    finally:
        lib.llama_log_set(before, data)
        _LOG.errors = None
