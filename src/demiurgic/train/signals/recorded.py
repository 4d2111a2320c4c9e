"""A teacher that told the log-probabilities of its answers when it gave them: laid to the tokens of those answers.

`generate` with `top_logprobs` keeps them, and `cache_logits` lays them to the windows that were made of its rows. The
teacher spoke of the whole conversation, also where a window holds a part of it. Knows no endpoint: nothing is asked.

Shapes: N supervised tokens, T tokens of a window, M places that were told, K words of each.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from demiurgic.core.artifacts import LogProbabilities
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric, Summary
from demiurgic.models.windows import Windows
from demiurgic.providers.logprob_file import AnswerLogprobs, read_logprobs
from demiurgic.run.context import Context
from demiurgic.train.signals import Signal
from demiurgic.train.signals.agreement import Agreement
from demiurgic.train.signals.align import Alignment, align
from demiurgic.train.signals.served import Matched, vocabulary_of
from demiurgic.train.signals.told import Row, ToldTokens, nothing, row_of
from demiurgic.train.signals.vocabulary import Vocabulary, holds_text, spelling_of

if TYPE_CHECKING:
    from demiurgic.train.batch import SupervisedTokens, TokenBatch


class Recorded(BaseModel):
    """Take what the teacher told with its answers, when they were generated."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    use: Literal["recorded"] = "recorded"
    logprobs: LogProbabilities
    """The part `logprobs` of a `generate` step with `top_logprobs`."""
    matched: Matched = 0.99
    """The least share of the answers' tokens, and of the rows, that must be found again."""


def open_signal(
    config: Recorded, windows: Windows, context: Context, *, tokenizer: Path | None = None
) -> "RecordedTeacher":
    """The recorded word on the windows' tokens. `tokenizer` is the folder of that which made the windows.

    Raises UserError when the tokenizer is not that of the windows, when too many tokens of the answers were cut
    otherwise, or when too many rows of the windows have no answer that was recorded.
    """
    del context
    vocabulary = vocabulary_of(tokenizer, windows)
    return RecordedTeacher(windows, config.logprobs.path, vocabulary, matched=config.matched)


class RecordedTeacher:
    """Holds 8 K + 4 bytes of each token that was told, and 4 T of each window."""

    signal: Signal = "served"
    hidden_width: int | None = None

    def __init__(self, windows: Windows, logprobs: Path, vocabulary: Vocabulary, *, matched: float = 0.99) -> None:
        self._windows = windows
        self._vocabulary = vocabulary
        self.agreement = Agreement(matched)
        self._rows = _Rows(_num_words(logprobs, vocabulary.size), length=windows.length)
        self.num_rows = self.num_found = 0
        self._lay_all(logprobs)

    def read(self, batch: "TokenBatch", tokens: "SupervisedTokens") -> ToldTokens:
        """Of supervised tokens that no answer holds (a prompt, an end of turn that was not told) nothing is said.

        Raises UserError for text that the student wrote.
        """
        if batch.windows is None:
            raise UserError(
                "A recorded teacher has spoken of its own answers, and can say nothing of what the student writes. Use "
                "a live or a served teacher with on_policy."
            )
        length = batch.ids_BT.shape[1]
        places = [divmod(position + 1, length) for position in tokens.positions_N.tolist()]
        rows = [self._rows.get(batch.windows[window], place) for window, place in places]
        return ToldTokens.of(rows, num_words=self._rows.num_words, device=batch.ids_BT.device)

    def summary(self) -> Summary:
        """How many rows and tokens were found again."""
        found = self.agreement.summary()
        rows = {"teacher_rows": Metric.exact(self.num_rows), "teacher_rows_matched": Metric.exact(self.num_found)}
        return Summary({**found.metrics, **rows}, found.facts)

    def close(self) -> None:
        """Nothing is open."""

    def _lay_all(self, logprobs: Path) -> None:
        rows = _rows_by_id(self._windows)
        self.num_rows = sum(map(len, rows.values()))
        for answer in read_logprobs(logprobs):
            for pieces in rows.get(answer.row, ()):
                self.num_found += self._lay(answer, pieces)
        self.agreement.check("The teacher that gave the answers")
        if self.num_found < self.agreement.limit * self.num_rows:
            raise UserError(
                f"{self.num_found:,} of the {self.num_rows:,} rows in {self._windows.folder} hold an answer of "
                f"{logprobs} as it was given, and at least {self.agreement.limit:.2%} must. Tokenize the rows of that "
                "generate step alone, or lower matched: of all others the teacher says nothing."
            )

    def _lay(self, answer: AnswerLogprobs, pieces: "Sequence[_Piece]") -> bool:
        """Lay an answer to the pieces of its row; False where it is not what the row ends in, or is not learned."""
        where = [(piece.window, place) for piece in pieces for place in range(piece.start, piece.end)]
        ids = [int(self._windows.ids_NT[window, place]) for window, place in where]
        units = [self._vocabulary.unit(id) for id in ids]
        spelling = spelling_of(answer.places)
        words = [self._vocabulary.unit_of(place.word, spelling=spelling) for place in answer.places]
        laid = _laid(answer.text, words, b"".join(units))
        if laid is None:
            return False
        own = _between(units, start=laid.start, end=laid.end)
        if not any(self._windows.weights_NT[where[token]] for token in own):
            return False
        found = align(laid.words, units, start=laid.start, end=laid.end)
        self._count([token for token in own if token not in found.lost], ids, found)
        for token, word in found.word.items():
            window, place = where[token]
            if self._windows.weights_NT[window, place] != 0:
                row = row_of(
                    answer.places[word],
                    vocabulary=self._vocabulary,
                    spelling=spelling,
                    num_words=self._rows.num_words,
                    agreement=self.agreement,
                )
                self._rows.put(window, place, row)
        return True

    def _count(self, tokens: Sequence[int], ids: Sequence[int], found: Alignment) -> None:
        """Some tokens of a row: a word was laid to them, which has their bytes, or none was."""
        for token in tokens:
            id = ids[token]
            self.agreement.count_token(
                "same" if token in found.word else "other",
                is_long=self._vocabulary.is_long(id),
                example=f"{self._vocabulary.unit(id).decode(errors='backslashreplace')!r} ({id})",
            )


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens `start` to `end` of a window, which are the next ones of a row."""

    window: int
    start: int
    end: int


def _rows_by_id(windows: Windows) -> Mapping[str, list[list[_Piece]]]:
    """The pieces of each row, in order. Rows of one id (data that holds a row twice) are kept apart."""
    from pyarrow import parquet

    found: dict[str, list[list[_Piece]]] = {}
    last: tuple[str, _Piece] | None = None
    for entry in parquet.read_table(windows.folder / "rows.parquet").to_pylist():
        row, piece = entry["row"], _Piece(entry["window"], entry["start"], entry["end"])
        of_id = found.setdefault(row, [])
        if last is not None and last[0] == row and _goes_on(last[1], piece, length=windows.length):
            of_id[-1].append(piece)
        else:
            of_id.append([piece])
        last = (row, piece)
    return found


def _goes_on(piece: _Piece, following: _Piece, *, length: int) -> bool:
    """Whether a row that has not ended with a piece goes on in the next: rows are cut where a window ends."""
    next_window = (following.window, following.start) == (piece.window + 1, 0)
    return piece.end == length and (piece.start == 0 or next_window)


def _between(units: Sequence[bytes], *, start: int, end: int) -> list[int]:
    """The numbers of the tokens that lie between two bytes of a row."""
    ends = [*accumulate(map(len, units))]
    return [number for number, unit in enumerate(units) if start <= ends[number] - len(unit) and ends[number] <= end]


@dataclass(frozen=True, slots=True)
class _Laid:
    """An answer in its row: from byte to byte of the row's units, and the words that begin there."""

    words: Sequence[bytes | None]
    start: int
    end: int


def _laid(text: str, words: Sequence[bytes | None], row: bytes) -> _Laid | None:
    """Where a row ends in an answer, but for white space and special tokens; None where it ends in something else.

    A template may have taken white space off the answer's ends: words that begin before the rest stand for no token.
    """
    bare = text.strip().encode()
    found = row.rfind(bare)
    if found < 0 or not bare or holds_text(row[found + len(bare) :]):
        return None
    before = text[: len(text) - len(text.lstrip())].encode()
    end = found + len(bare)
    if row[:found].endswith(before):
        return _Laid(words, found - len(before), end)
    place, number = -len(before), 0
    while place < 0 and number < len(words):
        place += len(words[number] or b" ")
        number += 1
    return _Laid([*[b""] * number, *words[number:]], found + place, end)


class _Rows:
    """Rows of K words by window and place, end to end in memory."""

    def __init__(self, num_words: int, *, length: int) -> None:
        self.num_words = num_words
        self._length = length
        self._ids, self._logs, self._tails = array("i"), array("f"), array("f")
        self._numbers: dict[int, array[int]] = {}
        self._nothing = nothing(num_words)

    def put(self, window: int, place: int, row: Row) -> None:
        numbers = self._numbers.setdefault(window, array("i", [-1]) * self._length)
        numbers[place] = len(self._tails)
        self._ids.extend(row.ids)
        self._logs.extend(row.logs)
        self._tails.append(row.log_tail)

    def get(self, window: int, place: int) -> Row:
        numbers = self._numbers.get(window)
        number = -1 if numbers is None else numbers[place]
        if number < 0:
            return self._nothing
        words = slice(number * self.num_words, (number + 1) * self.num_words)
        return Row(tuple(self._ids[words]), tuple(self._logs[words]), self._tails[number])


def _num_words(logprobs: Path, vocab_size: int) -> int:
    """The most words that were told of one token."""
    most = max((len(place.top) for answer in read_logprobs(logprobs) for place in answer.places), default=0)
    if not most:
        raise UserError(f"{logprobs} names no likeliest words. Generate the answers with top_logprobs.")
    return min(most, vocab_size)
