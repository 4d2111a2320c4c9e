"""The log-probabilities that came with answers, a row of Parquet per answer: written by one stage and read by another.

Knows no provider. The columns: `row` (the id of the answer's row), `text` (the answer), and `tokens`, a list of
`logprob`, `id`, `text`, `bytes` and `top`, a list of the same four.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from demiurgic.core.errors import UserError
from demiurgic.providers.scores import Place, Word

if TYPE_CHECKING:
    from pyarrow import Schema

FILE = "logprobs.parquet"
ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class AnswerLogprobs:
    """An answer, and the log-probabilities of its tokens as its service cut it."""

    row: str
    text: str
    places: tuple[Place, ...]


class LogprobWriter:
    """Writes a folder with one file; closed at the end of a `with`. Answers stand in the order they were given."""

    def __init__(self, folder: Path) -> None:
        from pyarrow import parquet

        folder.mkdir(parents=True, exist_ok=True)
        self.num_rows = 0
        self._schema = _schema()
        self._waiting: list[dict[str, Any]] = []
        self._writer: Any = parquet.ParquetWriter(folder / FILE, self._schema, compression="zstd")

    def write(self, row: str, text: str, places: Sequence[Place]) -> None:
        tokens = [{**_word(place.word), "top": [_word(word) for word in place.top]} for place in places]
        self._waiting.append({"row": row, "text": text, "tokens": tokens})
        self.num_rows += 1
        if len(self._waiting) == ROWS_AT_ONCE:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting = []


def read_logprobs(folder: Path) -> Iterator[AnswerLogprobs]:
    """Every answer of a folder, in order. Raises UserError for a folder that holds none, or a damaged file."""
    from pyarrow import ArrowException, parquet

    path = folder / FILE
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    yield AnswerLogprobs(row["row"], row["text"], tuple(map(_place_of, row["tokens"])))
    except (FileNotFoundError, ArrowException, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({error}). Point to the part logprobs of a generate step with top_logprobs."
        ) from None


def _schema() -> "Schema":
    import pyarrow as pa

    word = [("logprob", pa.float64()), ("id", pa.int32()), ("text", pa.string()), ("bytes", pa.binary())]
    token = pa.struct([*word, ("top", pa.list_(pa.struct(word)))])
    return pa.schema([("row", pa.string()), ("text", pa.string()), ("tokens", pa.list_(token))])


def _word(word: Word) -> dict[str, Any]:
    return {"logprob": word.logprob, "id": word.id, "text": word.text, "bytes": word.data}


def _word_of(found: dict[str, Any]) -> Word:
    return Word(found["logprob"], found["id"], found["text"], found["bytes"])


def _place_of(found: dict[str, Any]) -> Place:
    return Place(_word_of(found), tuple(map(_word_of, found["top"])))
