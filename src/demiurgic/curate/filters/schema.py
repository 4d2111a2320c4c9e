"""Is the conversation one that can be trained on? Looks at its form, never at what is said. N rows, M messages."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Drop, Verdicts, first_reason

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

NEXT = {
    "start": ("system", "developer", "user"),
    "system": ("user", "developer"),
    "developer": ("user", "system"),
    "user": ("assistant",),
    "assistant": ("user",),
    "assistant that calls": ("tool",),
    "tool": ("tool", "assistant"),
}
"""Which roles may follow which."""
CALLS = "assistant that calls"
# What Python's str.strip takes away; RE2's \s is ASCII alone.
BLANK = r"\A[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*\z"


@FILTERS.register("schema", over="batch")
def schema(rows: RowBatch) -> Verdicts:
    """Drop rows whose roles do not take turns, that do not end with the assistant, or that leave a turn empty."""
    import numpy as np
    import pyarrow.compute as pc

    text_N = rows.is_text_N
    blank_N = _mask(pc.match_substring_regex(rows.column("text"), BLANK))
    talks = _Talks(rows)
    tools = _tools(rows, ~text_N & talks.has_tools_N)
    masks: dict[str, tuple[Mask, Callable[[int], str]]] = {"empty text": (text_N & blank_N, lambda row: "")}
    masks["roles do not take turns"] = (~text_N & (talks.first_wrong_N >= 0), talks.wrong_turn)
    masks["does not end with the assistant"] = (~text_N & ~talks.ends_well_N, talks.ending)
    masks["empty message"] = (~text_N & (talks.first_empty_N >= 0), talks.empty_message)
    for reason in dict.fromkeys(drop.reason for drop in tools.values()):
        found_N = np.zeros(len(rows), np.bool_)
        found_N[[row for row, drop in tools.items() if drop.reason == reason]] = True
        masks[reason] = (found_N, lambda row: tools[row].evidence)
    return first_reason(len(rows), masks)


class _Talks:
    """The conversations of a batch: for each row where its form breaks first, -1 where it does not."""

    def __init__(self, rows: RowBatch) -> None:
        import numpy as np
        import pyarrow.compute as pc

        turns = rows.turns
        messages = rows.column("messages").flatten()
        self._roles_M = turns.roles_M
        self._starts_N1 = turns.starts_N1
        calls_M = _mask(pc.greater(messages.field("tool_calls").value_lengths(), 0))
        names = list(NEXT)
        role_M = _places(turns.roles_M, names)
        after_M = np.where(calls_M, names.index(CALLS), role_M)
        before_M = np.concatenate(([0], after_M[:-1])) if len(after_M) else after_M
        first_M = turns.starts_N1[:-1][np.diff(turns.starts_N1) > 0]
        before_M[first_M] = names.index("start")
        allowed = np.array([[name in NEXT[before] for name in (*names, "")] for before in names])
        self._before_M = before_M
        self.first_wrong_N = self._first(~allowed[before_M, role_M])
        empty_M = _mask(pc.match_substring_regex(turns.contents_M, BLANK)) & ~calls_M & (role_M != names.index("tool"))
        self.first_empty_N = self._first(empty_M)
        num_N = np.diff(turns.starts_N1)
        self._last_N = np.full(len(rows), names.index("start"))
        self._last_N[num_N > 0] = after_M[turns.starts_N1[1:][num_N > 0] - 1]
        self.ends_well_N = np.isin(self._last_N, [names.index("assistant"), names.index(CALLS)])
        answers_M = messages.field("tool_call_id").is_valid().to_numpy(zero_copy_only=False)
        self.has_tools_N = rows.column("tools").is_valid().to_numpy(zero_copy_only=False)
        self.has_tools_N |= self._first(calls_M | answers_M) >= 0

    def _first(self, found_M: "Mask") -> Any:
        """For each row the place in the batch of its first such message, or -1."""
        import numpy as np

        places = np.append(np.flatnonzero(found_M), np.iinfo(np.int64).max)
        first_N = places[np.searchsorted(places, self._starts_N1[:-1])]
        return np.where(first_N < self._starts_N1[1:], first_N, -1)

    def _named(self, row: int, place: int) -> str:
        return f"message {place - int(self._starts_N1[row]) + 1}: {self._roles_M[place].as_py()}"

    def wrong_turn(self, row: int) -> str:
        place = int(self.first_wrong_N[row])
        return f"{self._named(row, place)} after {list(NEXT)[self._before_M[place]]}"

    def empty_message(self, row: int) -> str:
        return self._named(row, int(self.first_empty_N[row]))

    def ending(self, row: int) -> str:
        return f"ends with {list(NEXT)[self._last_N[row]]}"


def _places(roles_M: Any, names: list[str]) -> Any:
    """The place of each role in `names`; one behind the last for a role that is not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(roles_M, pa.array(names)).fill_null(len(names))
    return found.to_numpy(zero_copy_only=False)


def _mask(found: Any) -> "Mask":
    mask: Mask = found.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _tools(rows: RowBatch, chosen_N: "Mask") -> dict[int, Drop]:
    """What is wrong with the tools and calls of the chosen rows, by row."""
    import numpy as np
    import pyarrow as pa

    places = np.flatnonzero(chosen_N).tolist()
    if not places:
        return {}
    chosen = rows.batch.select(["tools", "messages"]).filter(pa.array(chosen_N)).to_pylist()
    found = {
        place: _wrong_tools(row["tools"], row["messages"] or []) for place, row in zip(places, chosen, strict=True)
    }
    return {place: drop for place, drop in found.items() if drop is not None}


def _wrong_tools(written: str | None, messages: list[dict[str, Any]]) -> Drop | None:
    tools = json.loads(written) if written is not None else []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return Drop("tools are not a list of objects", written[:100] if written else "")
    called: set[str] = set()
    for position, message in enumerate(messages, start=1):
        for call in message["tool_calls"] or []:
            if not _is_object(call["arguments"]):
                evidence = f"message {position}: {call['arguments'][:100]}"
                return Drop("tool call arguments are not a JSON object", evidence)
            called.add(call["id"])
        if message["tool_call_id"] and message["tool_call_id"] not in called:
            return Drop("tool answers a call that was not made", f"message {position}: {message['tool_call_id']}")
    return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
