"""What rows say of their origin, as text to match: their own fields by name, else what stands in their meta."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.statistics.labels import label_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

OWN = ("source", "license", "domain", "teacher")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


Pattern: TypeAlias = Annotated[str, AfterValidator(_compiles)]
"""A regular expression (Python's `re`), checked when the recipe is read."""


def field_of(rows: RowBatch, name: str) -> "pyarrow.Array":
    """The value of `source`, `license`, `domain`, `teacher` or a key of `meta`; null where a row says nothing.

    A value of meta that is no text is given as JSON writes it (`3`, `true`).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if name not in OWN:
        return label_of(rows.column("meta"), name)
    column = rows.column(name)
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def refuse_unseen(wanted: Sequence[str], seen: set[str], known: set[str]) -> None:
    """Raises UserError when a key stood in no row at all: a filter that finds none drops nothing, or everything.

    `known` are keys that do stand in rows.
    """
    missing = sorted(set(wanted) - set(OWN) - seen)
    if missing:
        named = unknown("field of rows", missing[0], {*OWN, *known})
        raise UserError(f"{named} No row has it in its meta, and a filter looks for it.")


def matches(values: "pyarrow.Array", pattern: str) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Which values match the whole pattern; a null never does. Each different value is asked once."""
    import numpy as np

    coded = values.dictionary_encode()
    whole = re.compile(pattern)
    answers = [whole.fullmatch(value) is not None for value in coded.dictionary.to_pylist()]
    found: np.ndarray[Any, np.dtype[np.bool_]] = np.array([*answers, False])[coded.indices.fill_null(len(answers))]
    return found
