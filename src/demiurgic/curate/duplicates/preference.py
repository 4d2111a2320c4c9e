"""Which of several rows is better, as the settings say: an order over all of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError, unknown
from demiurgic.curate.duplicates.config import Duplicates
from demiurgic.curate.duplicates.survey import Codes, Survey

if TYPE_CHECKING:
    import numpy as np


def best_first(survey: Survey, config: Duplicates) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The places of all rows, best first; of equally good ones the first that came.

    Raises UserError for a score that no row has, and where no row has any of the ranked sources or licences.
    """
    import numpy as np

    worse = [_worse(survey, name, config) for name in config.keep if name != "first"]
    if not worse:
        return np.arange(len(survey))
    # lexsort sorts by its last key first, and leaves equal ones in their order.
    return np.lexsort(worse[::-1])


def _worse(survey: Survey, name: str, config: Duplicates) -> "np.ndarray[Any, Any]":
    """A number per row, the lower the better."""
    import numpy as np

    if name == "longest":
        return -survey.num_bytes_A
    if name == "source_rank":
        return _places(survey.source, config.source_rank, what="source", option="source_rank")
    if name == "license":
        return _places(survey.license, config.license_rank, what="licence", option="license_rank")
    missing_A = np.isnan(survey.quality_A)
    if len(survey) and missing_A.all():
        raise UserError(
            f'deduplicate keeps the row of the best "{config.quality}", and no row has a score of that name. Add the '
            "filter that gives it, name another score with quality, or leave quality out of keep."
        )
    return np.where(missing_A, np.inf, -survey.quality_A)


def _places(codes: Codes, ranks: Sequence[str], *, what: str, option: str) -> "np.ndarray[Any, Any]":
    import numpy as np

    if len(codes.code_A) and not set(ranks) & set(codes.names):
        named = unknown(what, ranks[0], codes.names)
        raise UserError(f"{named} {option} ranks rows by it, and no row has any of those it names.")
    place = {name: number for number, name in enumerate(ranks)}
    of_name = np.array([place.get(name, len(ranks)) for name in codes.names] or [0])
    found: np.ndarray[Any, Any] = of_name[codes.code_A]
    return found
