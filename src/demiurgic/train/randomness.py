"""The global random streams of Python, NumPy and torch, which a model's dropout reads."""

import random
from typing import Any

from demiurgic.core.seeds import Seeds


def seed_randomness(seeds: Seeds, *, step: int, process: int) -> None:
    """Set every stream for one optimizer step.

    They are a function of seed, step and process, so that a training that goes on finds them as they were.
    """
    from accelerate.utils import set_seed

    set_seed(seeds.number(f"global/{step}/{process}") % 2**32)


def random_state() -> dict[str, Any]:
    """Where every stream stands."""
    import numpy as np
    import torch

    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), position, has_gauss, gauss),  # type: ignore[union-attr]
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put every stream back to where `random_state` found it."""
    import numpy as np
    import torch

    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
