"""The global random streams of Python, NumPy and torch, which a model's dropout reads."""

from demiurgic.core.seeds import Seeds


def seed_randomness(seeds: Seeds, *, step: int, process: int) -> None:
    """Set every stream for one optimizer step.

    They are a function of seed, step and process, so that a training that goes on finds them as they were.
    """
    from accelerate.utils import set_seed

    set_seed(seeds.number(f"global/{step}/{process}") % 2**32)
