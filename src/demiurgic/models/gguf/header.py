"""What a GGUF says of how it is to be run, written and read back: the fields of its architecture and rope's factors.

Token ids and weights are compared elsewhere. Fields are exact, so they are compared as such: a wrong one may change
little of a short text, and be wrong all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.models.gguf.architecture import Architecture, header_fields
from demiurgic.models.gguf.metadata import read_metadata
from demiurgic.models.gguf.tensors import rope_factors

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter
    from numpy.typing import NDArray

ROPE_FACTORS = "rope_freqs.weight"
MAX_FACTOR_ERROR = 1e-6
"""Of a factor, relative: they are rounded to fp32."""
SHOWN = 3


@dataclass(frozen=True, slots=True)
class HeaderCheck:
    """How many fields were compared (rope's factors count as one), and what is wrong, one text each."""

    fields: int
    wrong: tuple[str, ...]

    @property
    def miss(self) -> str | None:
        if not self.wrong:
            return None
        more = f" and {len(self.wrong) - SHOWN} more" if len(self.wrong) > SHOWN else ""
        return f"the header is not the config's: {'; '.join(self.wrong[:SHOWN])}{more}"


def write_header(writer: "GGUFWriter", architecture: Architecture) -> None:
    """Add the metadata that llama.cpp builds the model from."""
    for name, value in header_fields(architecture).items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{architecture.name}.{name}", value)


def check_header(file: Path, architecture: Architecture) -> HeaderCheck:
    """Compare a file's own fields and rope factors with those of a model folder's config.

    A field that the config gives no reason for is wrong, too. Raises UserError for a file that is no GGUF.
    """
    metadata = read_metadata(file)
    start = f"{architecture.name}."
    wanted = {"general.architecture": architecture.name} | {
        f"{start}{name}": value for name, value in header_fields(architecture).items()
    }
    found = {key: value for key, value in metadata.fields.items() if key in wanted or key.startswith(start)}
    factors = _stored_factors(file) if ROPE_FACTORS in metadata.shapes else None
    wrong = [*_other_fields(found, wanted), *_other_factors(factors, architecture)]
    return HeaderCheck(len(wanted.keys() | found.keys()) + 1, tuple(wrong))


def _other_fields(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} is {_shown(found.get(key, 'missing'))}, wanted {_shown(wanted.get(key, 'none'))}"
        for key in sorted(wanted.keys() | found.keys())
        if not _same(found.get(key), wanted.get(key))
    ]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _same(found: Any, wanted: Any) -> bool:
    """Numbers with a fraction are stored in fp32."""
    import numpy as np

    if isinstance(wanted, float) and isinstance(found, float):
        return bool(np.float32(found) == np.float32(wanted))
    return type(found) is type(wanted) and bool(found == wanted)


def _other_factors(found: "NDArray[np.float32] | None", architecture: Architecture) -> list[str]:
    import numpy as np

    wanted = rope_factors(architecture.rope, architecture.head_dim) if architecture.rope.kind == "llama3" else None
    if found is None and wanted is None:
        return []
    if found is None or wanted is None:
        return [f"{ROPE_FACTORS} is {'missing' if found is None else 'there, wanted none'}"]
    if found.shape == wanted.shape and np.allclose(found, wanted, rtol=MAX_FACTOR_ERROR, atol=0):
        return []
    return [f"{ROPE_FACTORS} ({found.min():g} to {found.max():g}) differs, wanted {wanted.min():g} to {wanted.max():g}"]


def _stored_factors(file: Path) -> "NDArray[np.float32]":
    import gguf
    import numpy as np

    (stored,) = (tensor for tensor in gguf.GGUFReader(file).tensors if tensor.name == ROPE_FACTORS)
    return np.array(stored.data, np.float32).reshape(-1)
