"""Finds the value of one key of JSON objects, in their text, without reading the rest into objects. N texts."""

from typing import Any

from demiurgic.text.kernels.compiled import compiled

QUOTE, BACKSLASH, COLON = 34, 92, 58


@compiled
def _after_string(bytes_B: Any, at: Any, stop: Any) -> Any:
    """Behind the string whose opening quote stands at `at`."""
    at += 1
    while at < stop and bytes_B[at] != QUOTE:
        at += 2 if bytes_B[at] == BACKSLASH else 1
    return min(at + 1, stop)


@compiled
def _after_value(bytes_B: Any, at: Any, stop: Any) -> Any:
    """Behind a value: at the comma or bracket of the object that holds it."""
    depth = 0
    while at < stop:
        byte = bytes_B[at]
        if byte == QUOTE:
            at = _after_string(bytes_B, at, stop)
            continue
        if byte == 123 or byte == 91:
            depth += 1
        elif byte == 125 or byte == 93:
            if depth == 0:
                return at
            depth -= 1
        elif byte == 44 and depth == 0:
            return at
        at += 1
    return stop


@compiled
def find_values(bytes_B: Any, offsets_N1: Any, key_K: Any, spans_N2: Any) -> None:
    """Into `spans_N2` (int64) from where to where the value of a key of the outermost object goes; of two the last.

    Both are 0 where there is none. `key_K` holds the key's bytes (uint8) as JSON writes them between quotes.
    """
    spans_N2[:] = 0
    for text in range(len(offsets_N1) - 1):
        at, stop = offsets_N1[text], offsets_N1[text + 1]
        while at < stop and bytes_B[at] != 123:
            at += 1
        at += 1
        while at < stop:
            if bytes_B[at] != QUOTE:
                at += 1
                continue
            start = at + 1
            at = _after_string(bytes_B, at, stop)
            same = at - 1 - start == len(key_K)
            if same:
                for place in range(len(key_K)):
                    if bytes_B[start + place] != key_K[place]:
                        same = False
                        break
            while at < stop and bytes_B[at] != COLON:
                at += 1
            at += 1
            while at < stop and bytes_B[at] <= 32:
                at += 1
            end = _after_value(bytes_B, at, stop)
            if same:
                spans_N2[text, 0], spans_N2[text, 1] = at, end
            at = end
