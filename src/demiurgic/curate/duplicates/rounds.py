"""Goes over the rows, key by key and then prompt by prompt, until every row that goes names one that stays.

With one key and no cap that is one pass. With more, a row may name a witness that a later key or the cap takes: it is
judged again after all rows that stay, which no round takes any more, so that each round settles at least one such row.
"""

from typing import TYPE_CHECKING, Any

from demiurgic.curate.duplicates.config import Duplicates
from demiurgic.curate.duplicates.groups import grouped
from demiurgic.curate.duplicates.near import Pass, Passes
from demiurgic.curate.duplicates.standing import Reason, Standing
from demiurgic.curate.duplicates.survey import Survey

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]


def go_over(
    standing: Standing, looked: Survey, *, order: "Places", config: Duplicates, passes: Passes | None
) -> list[Pass]:
    """Settle every row; the passes of the first round, for those after it see only a few rows again."""
    import numpy as np

    first: list[Pass] | None = None
    judged_A = np.ones(len(looked), np.bool_)
    while True:
        done = [passes.run(key, standing, order=order, judged_A=judged_A) for key in passes.near.key] if passes else []
        first = done if first is None else first
        if config.answers_per_prompt is not None and looked.prompt_A2 is not None:
            _cap(standing, looked.prompt_A2, order=order, most=config.answers_per_prompt)
        orphans = standing.orphans()
        if not len(orphans):
            return first
        stays_A = standing.stays_A
        standing.revive(orphans)
        judged_A = np.zeros(len(looked), np.bool_)
        judged_A[orphans] = True
        order = np.concatenate((order[stays_A[order]], order[judged_A[order]]))


def _cap(standing: Standing, prompt_A2: "Hashes", *, order: "Places", most: int) -> None:
    """Of the rows in `order` that stay, the best first, drop those beyond `most` of one prompt."""
    has_prompt_A = (prompt_A2 != 0).any(axis=1)
    order = order[standing.stays_A[order] & has_prompt_A[order]]
    groups = grouped(prompt_A2[order])
    beyond = groups.rank_A >= most
    gone, best = groups.place_A[beyond], groups.place_A[groups.first_A[beyond]]
    standing.drop(order[gone], witnesses=order[best], reason=Reason.CAPPED)
