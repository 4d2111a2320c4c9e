"""A teacher that told the log-probabilities of its answers when it gave them: laid to the tokens of those answers.

`generate` with `top_logprobs` keeps them, and `cache_logits` lays them to the windows that were made of its rows. The
teacher spoke of the whole conversation, also where a window holds a part of it. Knows no endpoint: nothing is asked.

Shapes: N supervised tokens, T tokens of a window, M places that were told, K words of each.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from demiurgic.train.signals.vocabulary import Vocabulary, spelling_of

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
        pieces = _pieces(self._windows)
        self.num_rows = len(pieces)
        for answer in read_logprobs(logprobs):
            if answer.row in pieces:
                self.num_found += self._lay(answer, pieces[answer.row])
        self.agreement.check("The teacher that gave the answers")
        if self.num_found < self.agreement.limit * self.num_rows:
            raise UserError(
                f"{self.num_found:,} of the {self.num_rows:,} rows in {self._windows.folder} hold an answer of "
                f"{logprobs} as it was given, and at least {self.agreement.limit:.2%} must. Tokenize the rows of that "
                "generate step alone, or lower matched: of all others the teacher says nothing."
            )

    def _lay(self, answer: AnswerLogprobs, pieces: "Sequence[_Piece]") -> bool:
        """Lay an answer to the pieces of its row; False where the row does not hold it."""
        where = [(piece.window, place) for piece in pieces for place in range(piece.start, piece.end)]
        ids = [int(self._windows.ids_NT[window, place]) for window, place in where]
        units = [self._vocabulary.unit(id) for id in ids]
        spelling = spelling_of(answer.places)
        words = [self._vocabulary.unit_of(place.word, spelling=spelling) for place in answer.places]
        laid = _laid(answer.text, words, b"".join(units))
        if laid is None:
            return False
        found = align(laid.words, units, start=laid.start, end=laid.end)
        self._count(ids, units, found, start=laid.start, end=laid.end)
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

    def _count(self, ids: Sequence[int], units: Sequence[bytes], found: Alignment, *, start: int, end: int) -> None:
        """The tokens between two bytes of the row."""
        begin = 0
        for number, unit in enumerate(units):
            if start <= begin and begin + len(unit) <= end and number not in found.lost:
                own = unit.decode(errors="backslashreplace")
                self.agreement.count_token(matched=number in found.word, example=f"{own!r} ({ids[number]})")
            begin += len(unit)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens `start` to `end` of a window, which are the next ones of a row."""

    window: int
    start: int
    end: int


def _pieces(windows: Windows) -> Mapping[str, list[_Piece]]:
    """By row, in order."""
    from pyarrow import parquet

    found: dict[str, list[_Piece]] = {}
    for piece in parquet.read_table(windows.folder / "rows.parquet").to_pylist():
        found.setdefault(piece["row"], []).append(_Piece(piece["window"], piece["start"], piece["end"]))
    return found


@dataclass(frozen=True, slots=True)
class _Laid:
    """An answer in its row: from byte to byte of the row's units, and the words that begin there."""

    words: Sequence[bytes | None]
    start: int
    end: int


def _laid(text: str, words: Sequence[bytes | None], row: bytes) -> _Laid | None:
    """Where a row holds an answer: the last time it does, for the answer is its last message.

    A template may have taken white space off the answer's ends: words that begin before the rest stand for no token.
    """
    bare = text.strip().encode()
    found = row.rfind(bare)
    if found < 0 or not bare:
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
