"""Heavy and optional packages: imported where they are used, and missed with the exact line that installs them."""

import importlib
import importlib.util
from types import ModuleType

from demiurgic.core.errors import UserError

EXTRA_OF = {
    "numpy": "data",
    "pyarrow": "data",
    "torch": "models",
    "transformers": "models",
    "tokenizers": "models",
    "safetensors": "models",
    "accelerate": "train",
}
"""Which extra of this package brings which import name."""


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def require(*modules: str) -> ModuleType:
    """Import the modules and return the first; raise a UserError with the install line when one is missing."""
    for module in modules:
        top = module.partition(".")[0]
        if not installed(top):
            extra = EXTRA_OF.get(top)
            line = f'pip install "demiurgic[{extra}]"' if extra else f"pip install {top}"
            raise UserError(f"This needs the package {top}, which is not installed. Install it with: {line}")
    return importlib.import_module(modules[0])
