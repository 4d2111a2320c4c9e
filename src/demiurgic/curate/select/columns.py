"""What a selection looks at, for every row at once: scores by name, and the number of a row's domain. N rows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError, unknown
from demiurgic.curate.spill import Spill

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Places = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class Named:
    """Per row the place of its value in `names`."""

    place_N: "Places"
    names: tuple[str, ...]


def score_of(scores: "pyarrow.MapArray", name: str) -> "Floats":
    """One score of each row of the column `scores`; NaN where a row has none of that name."""
    import numpy as np
    import pyarrow.compute as pc

    starts = scores.offsets.to_numpy()
    places = np.flatnonzero(pc.equal(scores.keys, name).to_numpy(zero_copy_only=False))
    inside = places[(places >= starts[0]) & (places < starts[-1])]
    found = np.full(len(scores), np.nan)
    values = scores.items.fill_null(np.nan).to_numpy(zero_copy_only=False)
    found[np.searchsorted(starts, inside, side="right") - 1] = values[inside]
    return found


def scores_of(spill: Spill, names: Collection[str]) -> "Mapping[str, Floats]":
    """Some scores of all rows. Raises UserError naming the scores that there are when no row has one of them."""
    import numpy as np
    import pyarrow.compute as pc

    found = {name: np.full(spill.num_rows, np.nan) for name in names}
    if not names:
        return found
    known: set[str] = set()
    for first, rows in spill.batches(["scores"]):
        column = rows.column("scores")
        known.update(pc.unique(column.keys).to_pylist())
        for name, scores_N in found.items():
            scores_N[first : first + len(rows)] = score_of(column, name)
    for name, scores_N in found.items():
        if spill.num_rows and np.isnan(scores_N).all():
            hint = "Put the filter that gives it (`demiurgic list filters`) before the selection, or name another."
            raise UserError(f"select: {unknown('score', name, known)} No row has it. {hint}")
    return found


def domains_of(spill: Spill) -> Named:
    """The domain of each row; that of a row without one is the empty text."""
    import numpy as np

    names: dict[str, int] = {}
    place_N = np.zeros(spill.num_rows, np.int32)
    for first, rows in spill.batches(["domain"]):
        coded = rows.column("domain").fill_null("").dictionary_encode()
        places = [names.setdefault(name, len(names)) for name in coded.dictionary.to_pylist()]
        place_N[first : first + len(rows)] = np.array(places, np.int32)[coded.indices.to_numpy()]
    return Named(place_N, tuple(names))
