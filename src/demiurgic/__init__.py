"""Demiurgic makes a small language model that does what a large one does, and proves every step.

import demiurgic

recipe = demiurgic.load_recipe("stdlib")
outcomes = demiurgic.run_recipe(recipe, store="store")
folder = demiurgic.run_stage("collect", {"source": {"use": "python_stdlib"}}, "rows")
"""

from typing import TYPE_CHECKING, Any

from demiurgic.version import __version__

if TYPE_CHECKING:
    from demiurgic.api import load_recipe, plan, run_recipe, run_stage

__all__ = ["__version__", "load_recipe", "plan", "run_recipe", "run_stage"]


def __getattr__(name: str) -> Any:
    # On first use, so that `demiurgic --help` does not pay for it.
    if name in ("load_recipe", "plan", "run_recipe", "run_stage"):
        from demiurgic import api

        return getattr(api, name)
    raise AttributeError(f"module 'demiurgic' has no attribute {name!r}")
