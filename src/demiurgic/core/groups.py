"""Which rows belong together: those that share a field of theirs or of their meta. Knows neither splits nor scores."""

from demiurgic.core.errors import UserError, nearest
from demiurgic.core.hashing import canonical
from demiurgic.core.records import Row

ROW_FIELDS = ("id", "source", "domain", "license")
"""What of a row itself may name its group; everything else is looked up in its meta."""


def group_of(row: Row, *, by: str, option: str) -> str:
    """The group of a row, by a field of its own or of its meta; `option` is how a recipe calls `by`.

    Raises UserError for a row without the field, or with null in it.
    """
    if by in ROW_FIELDS:
        return str(getattr(row, by))
    facts = row.facts
    value = facts.get(by)
    if value is None:
        has = [name for name, fact in facts.items() if fact is not None]
        found = f'its "{by}" is null' if by in facts else f'it has no "{by}"'
        raise UserError(
            f"{option}: row {row.id} cannot be told its group, {found}. Its meta has {', '.join(has) or 'nothing'}."
            f"{nearest(by, [*has, *ROW_FIELDS])} Name a field that every row has, or one of {', '.join(ROW_FIELDS)}."
        )
    return value if isinstance(value, str) else canonical(value)
