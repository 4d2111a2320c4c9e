"""The types of GGUF files and of the tensors in them: which tensor gets which type under which file type.

A file type such as `q4_k_m` is a mix: most matrices get its base type, some that matter more get a finer one. The rules
are llama.cpp's own (`llama_tensor_get_type_impl` and `tensor_type_fallback` in its src/llama-quant.cpp), for dense
models quantized without an importance matrix. Knows names and shapes, nothing of values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from demiurgic.core.errors import UserError, unknown


@dataclass(frozen=True, slots=True)
class TensorType:
    """How the values of one tensor are stored: blocks of `block` neighbours in a row, `block_bytes` each."""

    name: str
    number: int
    """`enum ggml_type`, as tensor infos carry it."""
    block: int
    block_bytes: int

    @property
    def quantized(self) -> bool:
        return self.block > 1

    def fits(self, width: int) -> bool:
        """Whether a row of that many values is whole blocks."""
        return width % self.block == 0

    def num_bytes(self, shape: tuple[int, ...]) -> int:
        """Bytes of a tensor; its last dimension is the row."""
        values = 1
        for length in shape:
            values *= length
        return values // self.block * self.block_bytes


@dataclass(frozen=True, slots=True)
class FileType:
    """A type a whole file is asked for in."""

    name: str
    number: int
    """`enum llama_ftype`, as `general.file_type` carries it."""
    base: str
    """The tensor type of all matrices that no rule makes an exception of."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the mixes depend on besides a tensor's own name and shape."""

    architecture: str
    num_layers: int
    tied: bool
    """Whether the token embedding is the output matrix too."""
    heads_per_kv: int
    """Query heads that share one key and value head."""

    @property
    def is_70b(self) -> bool:
        """What llama.cpp takes for a 70B model, whose value matrices are small and worth more bits."""
        grouped = self.architecture == "qwen2" or self.heads_per_kv > 1
        return self.architecture in ("llama", "qwen2") and self.num_layers == 80 and grouped


def _table(*types: TensorType) -> Mapping[str, TensorType]:
    return {each.name: each for each in types}


TENSOR_TYPES: Mapping[str, TensorType] = _table(
    TensorType("f32", 0, 1, 4),
    TensorType("f16", 1, 1, 2),
    TensorType("bf16", 30, 1, 2),
    TensorType("q4_0", 2, 32, 18),
    TensorType("q4_1", 3, 32, 20),
    TensorType("q5_0", 6, 32, 22),
    TensorType("q5_1", 7, 32, 24),
    TensorType("q8_0", 8, 32, 34),
    TensorType("q2_k", 10, 256, 84),
    TensorType("q3_k", 11, 256, 110),
    TensorType("q4_k", 12, 256, 144),
    TensorType("q5_k", 13, 256, 176),
    TensorType("q6_k", 14, 256, 210),
    TensorType("iq4_nl", 20, 32, 18),
    TensorType("iq4_xs", 23, 256, 136),
)
"""`enum ggml_type` and the block sizes of ggml-common.h."""

FILE_TYPES: Mapping[str, FileType] = {
    each.name: each
    for each in (
        FileType("f32", 0, "f32"),
        FileType("f16", 1, "f16"),
        FileType("bf16", 32, "bf16"),
        FileType("q8_0", 7, "q8_0"),
        FileType("q6_k", 18, "q6_k"),
        FileType("q5_k_m", 17, "q5_k"),
        FileType("q5_k_s", 16, "q5_k"),
        FileType("q5_1", 9, "q5_1"),
        FileType("q5_0", 8, "q5_0"),
        FileType("q4_k_m", 15, "q4_k"),
        FileType("q4_k_s", 14, "q4_k"),
        FileType("q4_1", 3, "q4_1"),
        FileType("q4_0", 2, "q4_0"),
        FileType("iq4_nl", 25, "iq4_nl"),
        FileType("iq4_xs", 30, "iq4_xs"),
        FileType("q3_k_l", 13, "q3_k"),
        FileType("q3_k_m", 12, "q3_k"),
        FileType("q3_k_s", 11, "q3_k"),
        FileType("q2_k", 10, "q2_k"),
    )
}
"""By size, within a size the better first. Types that need an importance matrix are not among them."""

FALLBACK: Mapping[str, str] = {
    "q2_k": "q4_0",
    "q3_k": "q4_0",
    "q4_k": "q5_0",
    "q5_k": "q5_1",
    "q6_k": "q8_0",
    "iq4_xs": "iq4_nl",
}
"""What a row that is no multiple of 256 gets instead: a type with blocks of 32, of as many bits or more."""


def find_file_type(name: str) -> FileType:
    """The file type of that name; raises UserError with the nearest name when there is none."""
    if name not in FILE_TYPES:
        raise UserError(unknown("GGUF type", name, FILE_TYPES))
    return FILE_TYPES[name]


def tensor_type(name: str, shape: tuple[int, ...], *, file_type: FileType, layout: Layout) -> TensorType:
    """The type that a tensor gets. `name` is GGUF's (`blk.0.attn_v.weight`), the last dimension of `shape` the row.

    Vectors and norms stay f32 under every file type.
    """
    if len(shape) < 2 or not name.endswith("weight") or "_norm.weight" in name:
        return TENSOR_TYPES["f32"]
    base = TENSOR_TYPES[file_type.base]
    if not base.quantized:
        return base
    return _that_fits(_mixed(name, shape[-1], file_type=file_type, layout=layout), shape[-1])


def _that_fits(wanted: TensorType, width: int) -> TensorType:
    if wanted.fits(width):
        return wanted
    instead = TENSOR_TYPES[FALLBACK.get(wanted.name, "f16")]
    return instead if instead.fits(width) else TENSOR_TYPES["f16"]


def _mixed(name: str, width: int, *, file_type: FileType, layout: Layout) -> TensorType:
    base = TENSOR_TYPES[file_type.base]
    if name == "output.weight" or (layout.tied and name == "token_embd.weight"):
        return TENSOR_TYPES["q8_0" if base.name == "q8_0" or not base.fits(width) else "q6_k"]
    if name == "token_embd.weight":
        return base
    layer, part = _place(name)
    chosen = base.name
    if part == "attn_v":
        chosen = _value_type(file_type, layer, layout) or base.name
        if layout.is_70b and chosen in ("q3_k", "q4_k"):
            chosen = "q5_k"
    elif part == "ffn_down":
        chosen = _down_type(file_type, layer, layout.num_layers) or base.name
    elif part == "attn_output":
        chosen = {"q2_k": "q3_k", "q3_k_m": "q4_k", "q3_k_l": "q5_k"}.get(file_type.name, base.name)
    return TENSOR_TYPES[chosen]


def _place(name: str) -> tuple[int, str]:
    """`blk.3.attn_v.weight` is (3, `attn_v`)."""
    _, layer, part, _ = name.split(".")
    return int(layer), part


def _more_bits(layer: int, num_layers: int) -> bool:
    """The first and last eighth of the layers, and every third between (`use_more_bits`)."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2


def _value_type(file_type: FileType, layer: int, layout: Layout) -> str | None:
    shared = layout.heads_per_kv >= 4
    match file_type.name:
        case "q2_k":
            return "q4_k" if shared else "q3_k"
        case "q3_k_m":
            return "q5_k" if layer < 2 else "q4_k"
        case "q3_k_l":
            return "q5_k"
        case "iq4_nl" | "iq4_xs":
            return "q5_k" if shared else None
        case "q4_k_m" | "q5_k_m":
            return "q6_k" if _more_bits(layer, layout.num_layers) else None
        case "q4_k_s":
            return "q5_k" if layer < 4 else None
        case _:
            return None


def _down_type(file_type: FileType, layer: int, num_layers: int) -> str | None:
    match file_type.name:
        case "q2_k":
            return "q3_k"
        case "q3_k_m":
            return "q5_k" if layer < num_layers // 16 else "q4_k"
        case "q3_k_l":
            return "q5_k"
        case "q4_k_m" | "q5_k_m":
            return "q6_k" if _more_bits(layer, num_layers) else None
        case "iq4_nl" | "iq4_xs" | "q4_k_s":
            return "q5_k" if layer < num_layers // 8 else None
        case _:
            return None
