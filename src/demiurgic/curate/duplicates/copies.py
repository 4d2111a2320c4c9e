"""Exact copies: rows that ask and answer the same, told by 128 bits of what they say."""

from typing import TYPE_CHECKING, Any

from demiurgic.curate.duplicates.groups import grouped
from demiurgic.curate.duplicates.standing import Reason, Standing

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]


def drop_copies(standing: Standing, said_A2: "Hashes", *, order: "Places", said_K2: "Hashes | None") -> None:
    """Of rows with one hash keep the first in `order`; none that a row of an earlier curation has, too."""
    import numpy as np

    num_known = 0 if said_K2 is None else len(said_K2)
    known = np.zeros((0, 2), np.uint64) if said_K2 is None else said_K2
    groups = grouped(np.concatenate((known, said_A2[order])))
    places = np.concatenate((standing.num_rows + np.arange(num_known), order))
    repeats = (groups.rank_A > 0) & (groups.place_A >= num_known)
    gone, witnesses = places[groups.place_A[repeats]], places[groups.place_A[groups.first_A[repeats]]]
    standing.drop(gone, witnesses=witnesses, reason=Reason.COPY, known=Reason.KNOWN_COPY, similarity=1.0)
