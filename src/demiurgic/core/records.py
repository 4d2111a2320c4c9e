"""The row: one conversation or text, with where it came from. Its Arrow schema stands here and nowhere else."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

ROLES = ("system", "developer", "user", "assistant", "tool")
ROWS_PER_SHARD = 50_000
CHARACTERS_PER_SHARD = 1 << 28
"""A shard of long rows ends here, before its rows fill the memory or its bytes an Arrow column (2 GB)."""
ROWS_PER_GROUP = 10_000
"""Rows of a shard that can be read without the others (a Parquet row group)."""


# As core/hashing.canonical writes it, without its look at every value: those of a row are texts and numbers.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class RowError(ValueError):
    """A row that does not fit the schema. The message is the reason, short enough to be counted by."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the assistant makes: `arguments` is the JSON text it wrote."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `weight` scales the loss of its tokens; None means the default of its role (assistant 1, others 0)."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation (`messages`) or a plain text (`text`), never both.

    `id` is source and position, given once and never changed. `meta` is one JSON object as a string.
    """

    id: str
    messages: tuple[Message, ...] = ()
    text: str | None = None
    tools: str | None = None
    rejected: tuple[Message, ...] = ()
    source: str = ""
    license: str = ""
    domain: str = ""
    teacher: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    meta: str = "{}"

    @property
    def content_hash(self) -> str:
        """32 hex digits of what is said, whoever said it where: equal content, equal hash."""
        return _hash_of(self, list(map(_message_to_json, self.messages)), list(map(_message_to_json, self.rejected)))

    @property
    def facts(self) -> dict[str, Any]:
        """`meta`, read."""
        facts: dict[str, Any] = json.loads(self.meta)
        return facts

    def answer(self) -> str:
        """The text of the last assistant message, or the whole text of a row without messages."""
        for message in reversed(self.messages):
            if message.role == "assistant":
                return message.content
        return self.text or ""

    def to_json(self) -> dict[str, Any]:
        """The row as one JSONL line holds it: empty fields left out."""
        line: dict[str, Any] = {"id": self.id, "content_hash": self.content_hash}
        if self.messages:
            line["messages"] = [_message_to_json(m) for m in self.messages]
        if self.rejected:
            line["rejected"] = [_message_to_json(m) for m in self.rejected]
        for name in ("text", "tools"):
            if getattr(self, name) is not None:
                line[name] = getattr(self, name)
        for name in ("source", "license", "domain", "teacher"):
            if getattr(self, name):
                line[name] = getattr(self, name)
        if self.scores:
            line["scores"] = dict(self.scores)
        if self.meta != "{}":
            line["meta"] = self.facts
        return line


def read_row(data: Any, *, id: str, source: str = "", license: str = "") -> Row:
    """Build a row from the JSON of a line; `id`, `source` and `license` stand in where the line has none.

    Raises RowError with a short reason.
    """
    if not isinstance(data, Mapping):
        raise RowError("not an object")
    unknown_fields = sorted(set(data) - ROW_FIELDS)
    if unknown_fields:
        raise RowError(f"unknown field {unknown_fields[0]}")
    messages = _messages(data.get("messages"), "messages")
    text = _text_or_none(data.get("text"), "text")
    if not messages and text is None:
        raise RowError("neither messages nor text")
    if messages and text is not None:
        raise RowError("both messages and text")
    return Row(
        id=_text_or_none(data.get("id"), "id") or id,
        messages=messages,
        text=text,
        tools=_json_or_none(data.get("tools"), "tools"),
        rejected=_messages(data.get("rejected"), "rejected"),
        source=_text_or_none(data.get("source"), "source") or source,
        license=_text_or_none(data.get("license"), "license") or license,
        domain=_text_or_none(data.get("domain"), "domain") or "",
        teacher=_text_or_none(data.get("teacher"), "teacher") or "",
        scores=_scores(data.get("scores")),
        meta=_object(_json_or_none(data.get("meta"), "meta") or "{}", "meta"),
    )


ROW_FIELDS = {"id", "content_hash", "messages", "text", "tools", "rejected", "source", "license", "domain"} | {
    "teacher", "scores", "meta",
}  # fmt: skip
MESSAGE_FIELDS = {"role", "content", "tool_calls", "tool_call_id", "reasoning", "weight"}


def _messages(value: Any, name: str) -> tuple[Message, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RowError(f"{name} is not a list")
    return tuple(_message(item, name) for item in value)


def _message(value: Any, name: str) -> Message:
    if not isinstance(value, Mapping):
        raise RowError(f"{name} holds something that is not an object")
    unknown_fields = sorted(set(value) - MESSAGE_FIELDS)
    if unknown_fields:
        raise RowError(f"unknown message field {unknown_fields[0]}")
    role, content = value.get("role"), value.get("content")
    if role not in ROLES:
        raise RowError(f"unknown role {role}")
    calls = _tool_calls(value.get("tool_calls"))
    if content is None and calls:
        content = ""
    if not isinstance(content, str):
        raise RowError("message content is not text")
    weight = value.get("weight")
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if weight is not None and not (number and 0 <= weight < 1e6):
        raise RowError("message weight is not a number of 0 or more")
    return Message(
        role=role,
        content=_unicode(content, "message content"),
        tool_calls=calls,
        tool_call_id=_text_or_none(value.get("tool_call_id"), "tool_call_id"),
        reasoning=_text_or_none(value.get("reasoning"), "reasoning"),
        weight=None if weight is None else float(weight),
    )


def _tool_calls(value: Any) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RowError("tool_calls is not a list")
    return tuple(map(_tool_call, value))


def _tool_call(value: Any) -> ToolCall:
    call = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
        raise RowError("tool call without a name")
    arguments = call.get("arguments", "{}")
    text = arguments if isinstance(arguments, str) else _dumped(arguments, "tool call")
    parts = {"id": str(value.get("id") or ""), "name": call["name"], "arguments": text}
    return ToolCall(**{name: _unicode(part, "tool call") for name, part in parts.items()})


def _text_or_none(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise RowError(f"{name} is not text")
    return _unicode(value, name)


def _unicode(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError(f"{name} holds half a surrogate pair") from None
    return text


def _json_or_none(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            raise RowError(f"{name} is not JSON") from None
        return _unicode(value, name)
    return _dumped(value, name)


def _dumped(value: Any, name: str) -> str:
    try:
        return _unicode(json.dumps(value, ensure_ascii=False, sort_keys=True), name)
    except (TypeError, RecursionError):
        raise RowError(f"{name} is not JSON") from None


def _object(text: str, name: str) -> str:
    if not isinstance(json.loads(text), dict):
        raise RowError(f"{name} is not an object")
    return text


def _scores(value: Any) -> dict[str, float]:
    if value is None:
        return {}
    pairs = value.items() if isinstance(value, Mapping) else value
    try:
        scores = {str(name): float(score) for name, score in pairs}
    except (TypeError, ValueError, OverflowError):
        raise RowError("scores are not numbers by name") from None
    for name in scores:
        _unicode(name, "scores")
    return scores


def _message_to_json(message: Message) -> dict[str, Any]:
    line: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        line["tool_calls"] = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in message.tool_calls]
    for name in ("tool_call_id", "reasoning", "weight"):
        if getattr(message, name) is not None:
            line[name] = getattr(message, name)
    return line


@cache
def arrow_schema() -> "pyarrow.Schema":
    """The one Arrow schema of rows."""
    import pyarrow as pa

    text = pa.string()
    call = pa.struct([("id", text), ("name", text), ("arguments", text)])
    message = pa.struct(
        [
            ("role", text),
            ("content", text),
            ("tool_calls", pa.list_(call)),
            ("tool_call_id", text),
            ("reasoning", text),
            ("weight", pa.float64()),
        ]
    )
    columns = [("id", text), ("content_hash", text), ("messages", pa.list_(message)), ("text", text), ("tools", text)]
    columns += [
        ("rejected", pa.list_(message)),
        ("source", text),
        ("license", text),
        ("domain", text),
        ("teacher", text),
    ]
    return pa.schema([*columns, ("scores", pa.map_(text, pa.float64())), ("meta", text)])


def to_batch(rows: Iterable[Row]) -> "pyarrow.RecordBatch":
    """Rows as one Arrow batch."""
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([_to_arrow(row) for row in rows], schema=arrow_schema())


def _to_arrow(row: Row) -> dict[str, Any]:
    messages, rejected = list(map(_message_to_json, row.messages)), list(map(_message_to_json, row.rejected))
    columns: dict[str, Any] = {name: getattr(row, name) for name in _AS_THEY_ARE}
    return columns | {
        "content_hash": _hash_of(row, messages, rejected),
        "messages": messages,
        "rejected": rejected,
        "scores": list(row.scores.items()),
    }


def _hash_of(row: Row, messages: list[dict[str, Any]], rejected: list[dict[str, Any]]) -> str:
    said = {"messages": messages, "text": row.text, "tools": row.tools, "rejected": rejected}
    return hashlib.sha256(_CANONICAL.encode(said).encode()).hexdigest()[:32]


_AS_THEY_ARE = ("id", "text", "tools", "source", "license", "domain", "teacher", "meta")
"""Columns that hold a field of a row unchanged."""


def from_batch(batch: "pyarrow.RecordBatch") -> Iterator[Row]:
    """The rows of an Arrow batch (or table), in order."""
    for columns in batch.to_pylist():
        yield Row(
            **{name: columns[name] for name in _AS_THEY_ARE},
            messages=tuple(map(_from_arrow, columns["messages"])),
            rejected=tuple(map(_from_arrow, columns["rejected"])),
            scores=dict(columns["scores"]),
        )


def _from_arrow(columns: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(**call) for call in columns.pop("tool_calls") or ())
    return Message(tool_calls=calls, **columns)


class RowWriter:
    """Writes rows into a folder as Parquet shards `rows-00000.parquet`, …; used as a context manager.

    An empty dataset is one shard without rows, so that a reader finds the schema.
    """

    def __init__(
        self, folder: Path, *, rows_per_shard: int = ROWS_PER_SHARD, characters_per_shard: int = CHARACTERS_PER_SHARD
    ) -> None:
        self.folder = folder
        self.num_rows = 0
        self._rows_per_shard = rows_per_shard
        self._characters_per_shard = characters_per_shard
        self._pending: list[Row] = []
        self._num_characters = 0
        self._num_shards = 0

    def __enter__(self) -> "RowWriter":
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, row: Row) -> None:
        self._pending.append(row)
        self.num_rows += 1
        self._num_characters += _num_characters(row)
        if len(self._pending) >= self._rows_per_shard or self._num_characters >= self._characters_per_shard:
            self._flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if kind is None and (self._pending or not self._num_shards):
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.Table.from_batches([to_batch(self._pending)])
        path = self.folder / f"rows-{self._num_shards:05d}.parquet"
        parquet.write_table(table, path, compression="zstd", row_group_size=ROWS_PER_GROUP)
        self._pending.clear()
        self._num_characters = 0
        self._num_shards += 1


def _num_characters(row: Row) -> int:
    """About as many as a row's texts have."""
    said = sum(len(message.content) for message in (*row.messages, *row.rejected))
    return said + len(row.text or "") + len(row.tools or "") + len(row.meta)


def read_rows(folder: Path, *, batch_size: int = 4096) -> Iterator[Row]:
    """The rows of a folder that a RowWriter wrote, in order, a batch in memory at a time."""
    from pyarrow import parquet

    for shard in sorted(folder.glob("rows-*.parquet")):
        with parquet.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=batch_size):
                yield from from_batch(batch)


def count_rows(folder: Path) -> int:
    """How many rows a folder holds, from the Parquet footers alone."""
    from pyarrow import parquet

    return sum(parquet.read_metadata(shard).num_rows for shard in sorted(folder.glob("rows-*.parquet")))
