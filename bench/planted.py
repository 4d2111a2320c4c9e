"""A large job made of real rows: as many as wanted, no two uses of one alike, and duplicates whose similarity is known.

Each use of the real rows puts other words in the place of theirs, by a permutation of all words of its own, so that
two uses share hardly a 3-gram; the words' frequencies, the separators and the lengths stay real. Several rows make one,
until it is as long as wanted. A planted duplicate is a row with some words put for others; its Jaccard similarity is
counted on the numbers of its words. B bytes, W words of all real rows together, V different words, T words of one text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from demiurgic.core.records import arrow_schema

ROWS_PER_SHARD = 50_000
WORD = re.compile(r"[A-Za-z0-9_]+")
KNOWN_JACCARD = (0.75, 1.0)


@dataclass(frozen=True)
class Words:
    """Real rows as numbers of words, each with what stands after it. Row i is `starts_R1[i]` to `starts_R1[i + 1]`."""

    words_W: np.ndarray
    after_W: np.ndarray
    starts_R1: np.ndarray
    spelled: "pa.LargeStringArray"
    separators: "pa.LargeStringArray"

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Words":
        words: dict[str, int] = {}
        separators: dict[str, int] = {}
        numbers, after, starts = [], [], [0]
        for text in texts:
            end = 0
            for found in WORD.finditer(text):
                if numbers and len(numbers) > starts[-1]:
                    after.append(separators.setdefault(_ascii(text[end : found.start()]), len(separators)))
                numbers.append(words.setdefault(found[0].lower(), len(words)))
                end = found.end()
            if len(numbers) > starts[-1]:
                after.append(separators.setdefault("\n", len(separators)))
                starts.append(len(numbers))
        return cls(
            *(np.array(numbers, np.int32), np.array(after, np.int32), np.array(starts, np.int64)),
            *(pa.array(list(words), pa.large_string()), pa.array(list(separators), pa.large_string())),
        )


def _ascii(separator: str) -> str:
    """Without letters of other alphabets: they would join the words that it stands between."""
    return separator.encode("ascii", "ignore").decode() or " "


@dataclass(frozen=True)
class Job:
    """`of_row` names the row that each row was made from (-1: none), with the similarity of the two."""

    num_rows: int
    num_bytes: int
    of_row: np.ndarray
    jaccard: np.ndarray

    def similar(self, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """The planted pairs at least so similar: those that must go, the later of each, and their partners."""
        planted = np.flatnonzero((self.of_row >= 0) & (self.jaccard >= threshold))
        other = self.of_row[planted]
        return np.maximum(planted, other), np.minimum(planted, other)


def write_job(
    folder: Path, texts: Sequence[str], *, num_rows: int, mean_bytes: int, share_planted: float, seed: int = 0
) -> Job:
    """Write Parquet shards of the row schema: a user's message and the assistant's."""
    words = Words.of(texts)
    rng = np.random.default_rng(seed)
    num_planted = round(num_rows * share_planted)
    share = num_planted / num_rows
    source = _rows(words, rng, mean_bytes=mean_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    of_row, jaccard, written, num_bytes = [], [], 0, 0
    for shard, start in enumerate(range(0, num_rows, ROWS_PER_SHARD)):
        count = min(ROWS_PER_SHARD, num_rows - start)
        part = _shard(words, source, rng, count=count, planted=round(count * share))
        table = _as_rows(part, first=start)
        parquet.write_table(table, folder / f"rows-{shard:05d}.parquet", compression="zstd", row_group_size=5_000)
        of_row.append(np.where(part.of_row >= 0, part.of_row + start, -1))
        jaccard.append(part.jaccard)
        num_bytes += part.num_bytes
        written += count
    return Job(written, num_bytes, np.concatenate(of_row), np.concatenate(jaccard))


@dataclass(frozen=True)
class _Part:
    asks: "pa.LargeStringArray"
    answers: "pa.LargeStringArray"
    of_row: np.ndarray
    jaccard: np.ndarray
    num_bytes: int


def _rows(words: Words, rng: Any, *, mean_bytes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless rows: word numbers (of this use's permutation) and what stands after each."""
    separated = pc.binary_length(words.separators).to_numpy()[words.after_W].mean()
    per_word = pc.mean(pc.binary_length(words.spelled)).as_py() + separated
    per_row = np.diff(words.starts_R1).mean()
    while True:
        other = rng.permutation(len(words.spelled)).astype(np.int32)
        order = rng.permutation(len(words.starts_R1) - 1)
        lengths = np.diff(words.starts_R1)[order]
        wanted = mean_bytes / per_word - per_row / 2  # the last one goes beyond, by half of it
        begin, total = 0, 0
        for place, length in enumerate(lengths):
            total += length
            if total >= wanted:
                pieces = [slice(words.starts_R1[row], words.starts_R1[row + 1]) for row in order[begin : place + 1]]
                yield (
                    other[np.concatenate([words.words_W[piece] for piece in pieces])],
                    np.concatenate([words.after_W[piece] for piece in pieces]),
                )
                begin, total = place + 1, 0


def _shard(words: Words, source: Iterator[Any], rng: Any, *, count: int, planted: int) -> _Part:
    rows = [next(source) for _ in range(count - planted)]
    bases = rng.permutation(len(rows))[:planted]
    made = [_changed(rows[base][0], rng, len(words.spelled)) for base in bases]
    rows += [(numbers, rows[base][1]) for (numbers, _), base in zip(made, bases, strict=True)]
    order = rng.permutation(count)
    place_of = np.argsort(order)
    of_row, jaccard = np.full(count, -1, np.int64), np.zeros(count)
    of_row[place_of[count - planted :]] = place_of[bases]
    jaccard[place_of[count - planted :]] = [similarity for _, similarity in made]
    rows = [rows[row] for row in order]
    lengths = np.array([len(numbers) for numbers, _ in rows])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    asked = ends[:-1] + np.maximum(lengths // 4, 1)
    cuts = np.stack([ends[:-1], asked], axis=1).reshape(-1)
    text = _spell(
        *(np.concatenate([numbers for numbers, _ in rows]), np.concatenate([after for _, after in rows])),
        *(np.append(cuts, ends[-1]), *_buffers(words.spelled), *_buffers(words.separators)),
    )
    both = pa.LargeStringArray.from_buffers(len(text[1]) - 1, pa.py_buffer(text[1]), pa.py_buffer(text[0]))
    asks, answers = (both.take(pa.array(np.arange(side, 2 * count, 2))) for side in (0, 1))
    return _Part(asks, answers, of_row, jaccard, len(text[0]))


def _changed(numbers: np.ndarray, rng: Any, num_words: int) -> tuple[np.ndarray, float]:
    wanted = rng.uniform(*KNOWN_JACCARD)
    size = len(_grams(numbers))
    changes = round(size * (1 - wanted) / (3 * (1 + wanted)))
    changed = numbers.copy()
    changed[rng.integers(0, len(numbers), changes)] = rng.integers(0, num_words, changes)
    before, after = _grams(numbers), _grams(changed)
    common = len(np.intersect1d(before, after, assume_unique=True))
    return changed, common / (len(before) + len(after) - common)


def _grams(numbers: np.ndarray) -> np.ndarray:
    wide = numbers.astype(np.uint64)
    return np.unique((wide[:-2] << np.uint64(42)) | (wide[1:-1] << np.uint64(21)) | wide[2:])


def _buffers(array: "pa.LargeStringArray") -> tuple[np.ndarray, np.ndarray]:
    _, offsets, data = array.buffers()
    return np.frombuffer(data, np.uint8), np.frombuffer(offsets, np.int64)[: len(array) + 1]


@numba.njit(cache=True)
def _spell(words_T, after_T, cuts, spelled_B, spelled_starts, after_B, after_starts):
    """The texts between the cuts: UTF-8 bytes, and where each begins."""
    total = 0
    for word in range(len(words_T)):
        total += spelled_starts[words_T[word] + 1] - spelled_starts[words_T[word]]
        total += after_starts[after_T[word] + 1] - after_starts[after_T[word]]
    made = np.empty(total, np.uint8)
    starts = np.empty(len(cuts), np.int64)
    place = 0
    for text in range(len(cuts) - 1):
        starts[text] = place
        for word in range(cuts[text], cuts[text + 1]):
            for byte in range(spelled_starts[words_T[word]], spelled_starts[words_T[word] + 1]):
                made[place] = spelled_B[byte]
                place += 1
            for byte in range(after_starts[after_T[word]], after_starts[after_T[word] + 1]):
                made[place] = after_B[byte]
                place += 1
    starts[len(cuts) - 1] = place
    return made, starts


def _as_rows(part: _Part, *, first: int) -> "pa.Table":
    count = len(part.asks)
    roles = pa.array(["user", "assistant"] * count, pa.string())
    contents = pa.chunked_array([part.asks, part.answers]).cast(pa.string()).combine_chunks()
    contents = contents.take(pa.array(np.arange(2 * count).reshape(2, count).T.reshape(-1)))
    schema = arrow_schema()
    message = schema.field("messages").type.value_type
    fields = {"role": roles, "content": contents}
    struct = pa.StructArray.from_arrays(
        [fields.get(field.name, pa.nulls(2 * count, field.type)) for field in message], fields=list(message)
    )
    columns = {
        "id": pa.array([f"job-{row}" for row in range(first, first + count)]),
        "content_hash": pa.array([f"{row:032x}" for row in range(first, first + count)]),
        "messages": pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * count + 1, 2), pa.int32()), struct),
        "source": pa.array(["job"] * count),
        **{name: pa.array([""] * count) for name in ("license", "domain", "teacher")},
        "rejected": pa.array([[]] * count, schema.field("rejected").type),
        "scores": pa.array([[]] * count, schema.field("scores").type),
        "meta": pa.array(["{}"] * count),
    }
    return pa.table([columns.get(field.name, pa.nulls(count, field.type)) for field in schema], schema=schema)
