"""How many optimizer steps to train: told, counted in epochs, or as many as fit into another model's training time."""

import math
import statistics
from collections.abc import Sequence

MEASURED_STEPS = 30
"""Steps after which the pace is known. The learning rate must still be warming up then, since it depends on the end."""
UNSTEADY_STEPS = 10
"""The first steps are slower (memory is new, caches are cold) and do not count for the pace."""


def steps_of_epochs(epochs: float, *, num_windows: int, batch: int) -> int:
    """The fewest steps that see every window `epochs` times."""
    # 1e-9: 0.1 * 30 / 1 is 3.0000000000000004 and means 3
    return max(1, math.ceil(epochs * num_windows / batch - 1e-9))


def steps_within(seconds: float, spent: Sequence[float]) -> int | None:
    """How many steps fit into `seconds`, or None while that cannot be told.

    `spent` holds the seconds of each step so far. After 30 steps the pace is the median of steps 11 to 30. A budget
    that is gone before that ends the training there.
    """
    if sum(spent) >= seconds:
        return len(spent)
    if len(spent) < MEASURED_STEPS:
        return None
    pace = statistics.median(spent[UNSTEADY_STEPS:MEASURED_STEPS])
    return MEASURED_STEPS + math.floor((seconds - sum(spent[:MEASURED_STEPS])) / pace)
