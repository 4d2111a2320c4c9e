"""Is the row too short or too long? Counts characters, for tokens depend on a tokenizer that does not exist yet."""

from demiurgic.core.records import Row
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Verdict


@FILTERS.register("length")
def length(
    row: Row,
    *,
    min_answer_characters: int = 1,
    max_answer_characters: int | None = None,
    min_characters: int = 1,
    max_characters: int | None = 100_000,
) -> Verdict:
    """Drop rows whose answer, or whose messages together, are too short or too long (in characters; null: no bound)."""
    answer = len(row.answer())
    whole = len(row.text or "") + sum(len(message.content) for message in row.messages)
    if answer < min_answer_characters:
        return Drop("answer too short", f"{answer} characters, wanted at least {min_answer_characters}")
    if max_answer_characters is not None and answer > max_answer_characters:
        return Drop("answer too long", f"{answer} characters, wanted at most {max_answer_characters}")
    if whole < min_characters:
        return Drop("too short", f"{whole} characters, wanted at least {min_characters}")
    if max_characters is not None and whole > max_characters:
        return Drop("too long", f"{whole} characters, wanted at most {max_characters}")
    return KEEP
