"""A tiny model twice: as the Hugging Face folder and as the GGUF file made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demiurgic.core.records import Message
from demiurgic.providers.base import Request, Sampling
from pretrained import pretrained
from tiny_models import tiny_model


@dataclass(frozen=True)
class Pair:
    folder: Path
    gguf: Path

    @property
    def paths(self) -> Mapping[str, Path]:
        return {"transformers": self.folder, "llama_cpp": self.gguf}


def tiny_pair(folder: Path, family: str = "own") -> Pair:
    """A model of our own shape, or of one of the families of `pretrained`, in both formats."""
    from demiurgic.models.gguf.write import write_gguf

    source = tiny_model(folder / "model") if family == "own" else pretrained(folder / "model", family)
    write_gguf(source, folder / "model.gguf", type="f32", name="tiny")
    return Pair(source, folder / "model.gguf")


def question(text: str = "Write the function", **sampling: object) -> Request:
    return Request((Message("user", text),), Sampling(**sampling))
