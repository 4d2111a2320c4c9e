"""What the rule must know of every row that comes to it, read once: hashes, ranks, and the texts to compare.

Decides nothing. A rows come to the rule, those that no filter dropped; they are known by their places, 0 to A - 1.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.duplicates.config import Duplicates, Key
from demiurgic.curate.duplicates.said import hash_texts
from demiurgic.curate.select.columns import score_of
from demiurgic.curate.spill import Slice, Spill
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

DIFFICULTY = "difficulty"
"""The score that says how hard a row is."""
TEXT_OF: dict[Key, str] = {"prompt": "prompt", "response": "answer", "pair": "whole", "last_turn": "last_turn"}
"""Which text of a `RowBatch` each key compares."""


@dataclass(frozen=True)
class KeyTexts:
    """The texts of one key, a row each, on disk as Arrow has them in memory, to be read as often as needed."""

    paths: Sequence[Path]
    num_documents: int

    def batches(self) -> "Iterator[pyarrow.Array]":
        """All texts in order, a batch in memory at a time."""
        import pyarrow as pa

        for path in self.paths:
            # Read, not mapped: a mapped file counts as this process's memory when all of it has been looked at.
            with pa.OSFile(str(path)) as source:
                reader = pa.ipc.open_file(source)
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number).column(0)

    def take(self, places: "np.ndarray[Any, np.dtype[np.int64]]") -> dict[int, str]:
        """The texts at some places; little else is read."""
        import numpy as np
        import pyarrow as pa

        wanted, first = np.unique(places), 0
        found: dict[int, str] = {}
        for path in self.paths:
            with pa.memory_map(str(path)) as source:
                reader = pa.ipc.open_file(source)
                for number in range(reader.num_record_batches):
                    texts = reader.get_batch(number).column(0)
                    low, high = np.searchsorted(wanted, (first, first + len(texts)))
                    some = texts.take(pa.array(wanted[low:high] - first)).to_pylist()
                    found |= dict(zip(wanted[low:high].tolist(), some, strict=True))
                    first += len(texts)
        return found


@dataclass(frozen=True)
class Codes:
    """A name per row: `names[code_A[a]]`."""

    code_A: "np.ndarray[Any, np.dtype[np.int32]]"
    names: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """Columns over A rows. What the settings do not ask for is None, or not among the texts."""

    row_A: "np.ndarray[Any, np.dtype[np.int64]]"
    """The number of each row among all that came in."""
    said_A2: "np.ndarray[Any, np.dtype[np.uint64]]"
    texts: dict[Key, KeyTexts]
    source: Codes
    domain: Codes
    license: Codes
    difficulty_A: "np.ndarray[Any, np.dtype[np.float64]]"
    """NaN where a row has no such score, as in `quality_A`."""
    quality_A: "np.ndarray[Any, np.dtype[np.float64]]"
    num_bytes_A: "np.ndarray[Any, np.dtype[np.int64]]"
    """Of what the messages, or the text, say."""
    prompt_A2: "np.ndarray[Any, np.dtype[np.uint64]] | None"
    """All zeros where a row has no prompt."""

    def __len__(self) -> int:
        return len(self.row_A)

    def release(self, workspace: Workspace) -> None:
        """Give the workspace back what it lent, and delete the texts."""
        workspace.release(*(array for array in (self.said_A2, self.prompt_A2) if array is not None))
        for texts in self.texts.values():
            for path in texts.paths:
                path.unlink()


def survey(
    spill: Spill,
    alive_N: "np.ndarray[Any, np.dtype[np.bool_]]",
    *,
    config: Duplicates,
    keys: Sequence[Key],
    workspace: Workspace,
    threads: int,
) -> Survey:
    """Look once at every row that is alive; the texts of `keys` go into the workspace's folder, and stay there."""
    import numpy as np

    def look(part: Slice) -> _Piece:
        return _looked_at(spill, part, alive_N, config=config, keys=keys, folder=workspace.folder)

    with ThreadPoolExecutor(threads) as pool:
        pieces = list(pool.map(look, spill.slices))
    row_A = np.flatnonzero(alive_N)
    said_A2 = workspace.array("said", (len(row_A), 2), np.uint64)
    said_A2[:] = spill.said_N2[row_A]
    prompt_A2 = workspace.array("prompt", (len(row_A), 2), np.uint64) if config.answers_per_prompt else None
    if prompt_A2 is not None:
        _lay(prompt_A2, [piece.prompts for piece in pieces])
    return Survey(
        row_A=row_A,
        said_A2=said_A2,
        texts={key: KeyTexts([piece.paths[key] for piece in pieces], len(row_A)) for key in keys},
        source=Codes(spill.source_N[row_A], spill.sources),
        domain=_merged([piece.domain for piece in pieces]),
        license=_merged([piece.license for piece in pieces]),
        difficulty_A=_joined([piece.difficulty for piece in pieces], np.float64),
        quality_A=_joined([piece.quality for piece in pieces], np.float64),
        num_bytes_A=_joined([piece.num_bytes for piece in pieces], np.int64),
        prompt_A2=prompt_A2,
    )


@dataclass
class _Piece:
    """The columns of one slice, a list of arrays each."""

    prompts: "list[np.ndarray[Any, Any]]"
    domain: "list[pyarrow.DictionaryArray]"
    license: "list[pyarrow.DictionaryArray]"
    difficulty: "list[np.ndarray[Any, Any]]"
    quality: "list[np.ndarray[Any, Any]]"
    num_bytes: "list[np.ndarray[Any, Any]]"
    paths: dict[Key, Path]


def _looked_at(
    spill: Spill, part: Slice, alive_N: Any, *, config: Duplicates, keys: Sequence[Key], folder: Path
) -> _Piece:
    piece = _Piece([], [], [], [], [], [], {key: folder / f"{key}-{part.first}.arrow" for key in keys})
    writers = {key: _TextFile(path) for key, path in piece.paths.items()}
    for first, whole in spill.read(part, columns=["messages", "text", "domain", "license", "scores"]):
        rows = whole.filter(alive_N[first : first + len(whole)])
        if config.answers_per_prompt:
            piece.prompts.append(_prompt_hashes(rows))
        piece.domain.append(_named(rows.column("domain")))
        piece.license.append(_named(rows.column("license")))
        scores = rows.column("scores")
        piece.difficulty.append(score_of(scores, DIFFICULTY))
        piece.quality.append(score_of(scores, config.quality))
        piece.num_bytes.append(_num_bytes(rows))
        for key, file in writers.items():
            file.write(getattr(rows, TEXT_OF[key]))
    for file in writers.values():
        file.close()
    return piece


class _TextFile:
    """An Arrow file of one column, not compressed: it is read several times and soon deleted."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._schema = pa.schema([("text", pa.string())])
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, self._schema)

    def write(self, texts: "pyarrow.Array") -> None:
        import pyarrow as pa

        self._writer.write_batch(pa.record_batch([texts.cast(pa.string())], schema=self._schema))

    def close(self) -> None:
        self._writer.close()
        self._sink.close()


def _prompt_hashes(rows: RowBatch) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    import pyarrow.compute as pc

    prompts = rows.prompt
    hashes_N2 = hash_texts(prompts)
    hashes_N2[pc.equal(pc.binary_length(prompts), 0).to_numpy(zero_copy_only=False)] = 0
    return hashes_N2


def _num_bytes(rows: RowBatch) -> "np.ndarray[Any, np.dtype[np.int64]]":
    import numpy as np
    import pyarrow.compute as pc

    of_M = pc.binary_length(rows.turns.said_M).to_numpy(zero_copy_only=False)
    before_M1 = np.concatenate(([0], np.cumsum(of_M, dtype=np.int64)))
    starts_N1 = rows.turns.starts_N1
    of_text = pc.binary_length(rows.column("text")).fill_null(0).to_numpy(zero_copy_only=False)
    found: np.ndarray[Any, np.dtype[np.int64]] = before_M1[starts_N1[1:]] - before_M1[starts_N1[:-1]] + of_text
    return found


def _lay(target: "np.ndarray[Any, Any]", pieces: "Sequence[Sequence[np.ndarray[Any, Any]]]") -> None:
    at = 0
    for array in (array for piece in pieces for array in piece):
        target[at : at + len(array)] = array
        at += len(array)


def _joined(pieces: "Sequence[Sequence[np.ndarray[Any, Any]]]", dtype: Any) -> "np.ndarray[Any, Any]":
    import numpy as np

    return np.concatenate([np.zeros(0, dtype), *(array for piece in pieces for array in piece)])


def _named(names: "pyarrow.Array") -> "pyarrow.DictionaryArray":
    return names.fill_null("").dictionary_encode()


def _merged(pieces: "Sequence[Sequence[pyarrow.DictionaryArray]]") -> Codes:
    import numpy as np
    import pyarrow as pa

    arrays = [array for piece in pieces for array in piece]
    if not arrays:
        return Codes(np.zeros(0, np.int32), ())
    # Unified over all batches, so that one name has one code.
    unified = pa.chunked_array(arrays).unify_dictionaries()
    codes = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in unified.chunks]
    return Codes(np.concatenate(codes).astype(np.int32), tuple(unified.chunk(0).dictionary.to_pylist()))
