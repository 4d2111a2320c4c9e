"""The form of texts in one pass over the bytes: lines, brackets, fences, numbers, signs of code and of formulas.

N texts, B bytes in all, F facts, in the order of `FORM_FACTS`.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled

FORM_FACTS = (
    *("characters", "spaces", "digits", "signs", "numbers"),
    *("lines", "repeated_lines", "list_lines", "numbered_lines", "indented_lines", "code_lines", "deepest_indent"),
    *("open_brackets", "wrong_brackets", "deepest_bracket", "fences", "code_signs", "operators", "latex", "calls"),
    *("quoted_calls", "options", "questions", "ending"),
)
"""What is counted. `lines` are not empty; `repeated_lines` have 12 bytes or more and were seen before; `code_lines` end
as statements do; `operators` stand behind a number or `)`; `options` are marks of choices
(`(A)`, `B)`, `Answer1:`); `ending` is how the text ends: 0 within, 1 with a sign that ends, 2 with one that goes on.
"""
NUM_FACTS = len(FORM_FACTS)
CHARACTERS, SPACES, DIGITS, SIGNS, NUMBERS = range(5)
LINES, REPEATED, LISTED, NUMBERED, INDENTED, CODE_LINES, DEEPEST_INDENT = range(5, 12)
OPEN, WRONG, DEEPEST, FENCES, CODE_SIGNS, OPERATORS, LATEX, CALLS = range(12, 20)
QUOTED_CALLS, OPTIONS, QUESTIONS, ENDING = range(20, NUM_FACTS)

SLOTS = 4096
_FACTOR, _SHIFT, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(52), np.uint64(32)


@compiled
def _letter(byte: Any) -> Any:
    return 97 <= (byte | 32) <= 122


@compiled
def _digit(byte: Any) -> Any:
    return 48 <= byte <= 57


@compiled
def _hash(bytes_B: Any, at: Any, stop: Any, value: Any) -> Any:
    while at + 4 <= stop:
        low = np.uint64(bytes_B[at]) | np.uint64(bytes_B[at + 1]) << np.uint64(8)
        high = np.uint64(bytes_B[at + 2]) | np.uint64(bytes_B[at + 3]) << np.uint64(8)
        value = (value ^ (low | high << np.uint64(16))) * _FACTOR
        value ^= value >> _HALF
        at += 4
    while at < stop:
        value = (value ^ np.uint64(bytes_B[at])) * _FACTOR
        at += 1
    return value


@compiled
def _line(bytes_B: Any, at: Any, stop: Any, facts: Any, row: Any, lines_T: Any) -> Any:
    """Count the line that begins here; gives where it ends."""
    first = at
    while first < stop and (bytes_B[first] == 32 or bytes_B[first] == 9):
        first += 1
    end = first
    while end < stop and bytes_B[end] != 10:
        end += 1
    last = end - 1
    while last >= first and bytes_B[last] <= 32:
        last -= 1
    if last < first:
        return end
    facts[LINES] += 1
    byte, indent = bytes_B[first], first - at
    if indent >= 2 or (indent and bytes_B[at] == 9):
        facts[INDENTED] += 1
        facts[DEEPEST_INDENT] = max(facts[DEEPEST_INDENT], indent * (4 if bytes_B[at] == 9 else 1))
    if first + 1 < stop and (byte == 45 or byte == 42) and bytes_B[first + 1] == 32:
        facts[LISTED] += 1
    if byte == 0xE2 and first + 2 < stop and bytes_B[first + 1] == 0x80 and bytes_B[first + 2] == 0xA2:
        facts[LISTED] += 1
    if byte == 96 and first + 2 <= last and bytes_B[first + 1] == 96 and bytes_B[first + 2] == 96:
        facts[FENCES] += 1
    if _digit(byte):
        place = first
        while place < end and _digit(bytes_B[place]):
            place += 1
        if place + 1 < end and (bytes_B[place] == 46 or bytes_B[place] == 41) and bytes_B[place + 1] == 32:
            facts[NUMBERED] += 1
    closing = bytes_B[last]
    is_call = closing == 41 and last - first >= 3 and _letter(byte) and indent >= 2
    opens = closing == 58 and (indent >= 2 or bytes_B[last - 1] == 41)
    if is_call or opens or closing == 59 or closing == 123 or closing == 125:
        facts[CODE_LINES] += 1
    if last - first >= 11:
        value = _hash(bytes_B, first, last + 1, np.uint64(row + 1))
        slot = np.int64(value >> _SHIFT)
        facts[REPEATED] += lines_T[slot] == value
        lines_T[slot] = value
    return end


@compiled
def _option(bytes_B: Any, at: Any, start: Any, stop: Any) -> Any:
    """Whether a mark of a choice ends here: at the `)` of `(A)` or ` A)`, or at the `:` behind `Answer1`."""
    byte = bytes_B[at]
    if at == start:
        return False
    before, earlier = bytes_B[at - 1], bytes_B[at - 2] if at - 2 >= start else np.uint8(10)
    if byte == 41:
        return 65 <= before <= 71 and (earlier == 40 or earlier <= 32)
    return byte == 58 and 49 <= before <= 57 and _letter(earlier)


@compiled
def measure_form(bytes_B: Any, offsets_N1: Any, facts_NF: Any) -> None:
    """Fill `facts_NF` (int32), given as zeros."""
    lines_T = np.zeros(SLOTS, np.uint64)
    for row in range(len(offsets_N1) - 1):
        start, stop = offsets_N1[row], offsets_N1[row + 1]
        facts = facts_NF[row]
        at = start
        while at < stop:
            at = _line(bytes_B, at, stop, facts, row, lines_T) + 1
        round_, square, curly = 0, 0, 0
        characters, spaces, digits, numbers, signs, code_signs = 0, 0, 0, 0, 0, 0
        previous, solid = np.uint8(10), np.uint8(10)  # the byte before, and the last that is no space
        at = start - 1
        while at + 1 < stop:
            at += 1
            byte = bytes_B[at]
            if _letter(byte):
                first = at
                while at + 1 < stop and _letter(bytes_B[at + 1]):
                    at += 1
                characters += at - first + 1
                facts[LATEX] += previous == 92
                solid = previous = bytes_B[at]
                continue
            characters += byte < 0x80 or byte >= 0xC0
            if byte <= 32:
                spaces += 1
                previous = byte
                continue
            if byte >= 0x80:
                solid = previous = byte
                continue
            if _digit(byte):
                digits += 1
                numbers += not _digit(previous)
                solid = previous = byte
                continue
            signs += 1
            if byte == 40 or byte == 91 or byte == 123:
                round_ += byte == 40
                square += byte == 91
                curly += byte == 123
                facts[DEEPEST] = max(facts[DEEPEST], round_ + square + curly)
                called = byte != 123 and (_letter(previous) or previous == 95)
                code_signs += called or byte == 123
                if called and byte == 40:
                    facts[CALLS] += 1
                    facts[QUOTED_CALLS] += at + 1 < stop and (bytes_B[at + 1] == 39 or bytes_B[at + 1] == 34)
            elif byte == 41:
                # "1)" and ":)" open nothing.
                facts[OPTIONS] += _option(bytes_B, at, start, stop)
                round_ = max(round_ - 1, 0)
            elif byte == 93:
                facts[WRONG] += square == 0
                square = max(square - 1, 0)
            elif byte == 125:
                facts[WRONG] += curly == 0
                curly = max(curly - 1, 0)
                code_signs += 1
            elif byte == 63:
                facts[QUESTIONS] += 1
            elif byte == 58:
                facts[OPTIONS] += _option(bytes_B, at, start, stop)
            elif byte == 59 or byte == 95 or byte == 60 or byte == 62:
                code_signs += 1
            elif byte == 43 or byte == 42 or byte == 47 or byte == 61 or byte == 94 or byte == 45:
                code_signs += byte == 61
                facts[OPERATORS] += (_digit(solid) or solid == 41) and (byte != 45 or previous == 32)
            solid = previous = byte
        facts[OPEN] = round_ + square + curly
        facts[CHARACTERS], facts[SPACES], facts[DIGITS], facts[SIGNS] = characters, spaces, digits, signs
        facts[NUMBERS], facts[CODE_SIGNS] = numbers, code_signs
        ends = solid == 46 or solid == 33 or solid == 63 or solid == 41 or solid == 93 or solid == 125
        ends |= solid == 34 or solid == 39 or solid == 59 or solid == 62 or solid == 96 or solid == 124 or solid == 36
        if ends:
            facts[ENDING] = 1
        elif solid == 44 or solid == 40 or solid == 91 or solid == 58 or solid == 123:
            facts[ENDING] = 2
