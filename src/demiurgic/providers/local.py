"""Opens a model of this machine as a provider, by what the path holds. Knows no store and no HTTP."""

from pathlib import Path

from demiurgic.core.errors import UserError
from demiurgic.providers.llama_cpp import LlamaCpp
from demiurgic.providers.transformers import Transformers
from demiurgic.providers.weights import LocalProvider

__all__ = ["LocalProvider", "open_local"]


def open_local(
    path: Path,
    *,
    device: str = "auto",
    threads: int = 0,
    context_length: int | None = None,
    digest: str | None = None,
) -> LocalProvider:
    """A Hugging Face folder in transformers, a `.gguf` file in llama.cpp; close it after use.

    `threads` 0 is one per usable core, `context_length` None the model's own. `digest` is the artifact's, where the
    path is one; without it the files are read for theirs when the identity is asked for.

    Raises UserError for a path that is neither, and for a model that cannot be opened or has no chat template.
    """
    if path.is_dir():
        return Transformers(path, device=device, threads=threads, context_length=context_length, digest=digest)
    if path.suffix == ".gguf":
        return LlamaCpp(path, device=device, threads=threads, context_length=context_length, digest=digest)
    raise UserError(f"{path} is no model. Give a Hugging Face folder or a .gguf file.")
