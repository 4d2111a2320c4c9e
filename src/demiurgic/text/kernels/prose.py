"""What of a text is prose: lines of code, fenced and inline code, formulas and addresses left out, in one pass.

A line of code is known by its form: signs, calls, words that begin a statement, against plain words. Knows no language.
N texts, B bytes in all, K keywords, W bytes of the longest.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled

PROSE, CODE, STARTS = range(3)
NUM_FACTS = 3
"""Of each text: letters of prose and of code (a byte beyond ASCII is a third of one), and whether prose comes first."""

KEYWORDS = {
    1: ("class", "for", "while", "if", "else", "from", "with", "case", "try", "using", "let", "function", "public"),
    2: ("return", "print", "private", "protected", "static", "package", "break", "continue", "pass", "end", "echo",
        "except", "finally", "yield", "raise", "throw", "async", "await"),
    4: ("import", "def", "elif", "const", "var", "func", "fn", "void", "int", "double", "float", "char", "bool",
        "namespace", "struct", "extends", "implements", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER",
        "DROP", "FROM", "WHERE", "JOIN", "GROUP", "ORDER", "LIMIT", "TABLE", "VALUES", "HAVING", "#include", "#define",
        "console", "puts", "require", "lambda", "self"),
}  # fmt: skip
"""What a word weighs as a sign of code where it begins a line (from 4 on anywhere), against one for a plain word."""
LONGEST_KEYWORD = 12
ANYWHERE = 4


def keyword_table() -> tuple[Any, Any, Any]:
    """The keywords in order, `words_KW` (uint8, zeros behind), the weight of each, and `begins_129`: those that begin
    with a byte are at `begins_129[byte]` to `begins_129[byte + 1]`.
    """
    pairs = sorted((word, weight) for weight, words in KEYWORDS.items() for word in words)
    words_KW = np.zeros((len(pairs), LONGEST_KEYWORD), np.uint8)
    for place, (word, _) in enumerate(pairs):
        words_KW[place, : len(word)] = np.frombuffer(word.encode(), np.uint8)
    begins_129 = np.searchsorted(words_KW[:, 0], np.arange(129))
    return words_KW, np.array([weight for _, weight in pairs], np.int64), begins_129


@compiled
def _letter(byte: Any) -> Any:
    return 97 <= (byte | 32) <= 122 or byte >= 0x80


@compiled
def _digit(byte: Any) -> Any:
    return 48 <= byte <= 57


@compiled
def _thirds(bytes_B: Any, at: Any, stop: Any) -> Any:
    """Three for each ASCII letter, one for each byte beyond."""
    found = 0
    for place in range(at, stop):
        byte = bytes_B[place]
        found += 1 if byte >= 0x80 else 3 if 97 <= (byte | 32) <= 122 else 0
    return found


@compiled
def _run(bytes_B: Any, at: Any, stop: Any, byte: Any) -> Any:
    """How often a byte stands here in a row."""
    end = at
    while end < stop and bytes_B[end] == byte:
        end += 1
    return end - at


@compiled
def _weight(bytes_B: Any, at: Any, stop: Any, words_KW: Any, weights_K: Any, begins_129: Any) -> Any:
    """What the keyword in these bytes weighs; 0 where they are none."""
    length = stop - at
    if length > LONGEST_KEYWORD:
        return 0
    for keyword in range(begins_129[bytes_B[at]], begins_129[bytes_B[at] + 1]):
        if length < LONGEST_KEYWORD and words_KW[keyword, length] != 0:
            continue
        same = 0
        while same < length and words_KW[keyword, same] == bytes_B[at + same]:
            same += 1
        if same == length:
            return weights_K[keyword]
    return 0


@compiled
def _quoted(bytes_B: Any, at: Any, first: Any, stop: Any) -> Any:
    """Where the string that begins here ends, behind its quote; 0 where none does: quotes of prose stand otherwise."""
    quote = bytes_B[at]
    if quote != 34 and quote != 39:
        return 0
    before = at - 1
    while before >= first and bytes_B[before] == 32:
        before -= 1
    if before < first:
        return 0
    byte = bytes_B[before]
    # ( = , [ { + :
    if byte != 40 and byte != 61 and byte != 44 and byte != 91 and byte != 123 and byte != 43 and byte != 58:
        return 0
    for place in range(at + 1, stop):
        if bytes_B[place] == quote and bytes_B[place - 1] != 92:
            return place + 1
    return 0


@compiled
def _trims(byte: Any) -> Any:
    """Whether a sign stands around words of prose: " ' ( ) , . : ; ? ! *"""
    is_bracket = byte == 34 or byte == 39 or byte == 40 or byte == 41 or byte == 42
    return is_bracket or byte == 44 or byte == 46 or byte == 58 or byte == 59 or byte == 63 or byte == 33


@compiled
def _token(bytes_B: Any, at: Any, stop: Any) -> Any:
    """What stands between two spaces: 0 nothing that counts, 1 a number, 2 a word, 3 an operator, 4 code."""
    letters, digits = 0, 0
    for place in range(at, stop):
        letters += _letter(bytes_B[place])
        digits += _digit(bytes_B[place])
    if not letters:
        if digits:
            return 1
        byte = bytes_B[at]
        # - and other lone signs are those of lists and dashes.
        if stop - at == 1:
            is_operator = byte == 61 or byte == 43 or byte == 60 or byte == 62 or byte == 123 or byte == 125
            return 3 if is_operator or byte == 42 or byte == 124 else 0
        return 0 if byte == 45 or byte == 46 or byte == 42 or byte == 35 else 3
    while at < stop and _trims(bytes_B[at]):
        at += 1
    while stop > at and _trims(bytes_B[stop - 1]):
        stop -= 1
    for place in range(at, stop):
        byte = bytes_B[place]
        if not _letter(byte) and not _digit(byte) and byte != 39 and byte != 45 and byte != 47 and byte != 44:
            return 4
    return 2


@compiled
def _skipped(bytes_B: Any, at: Any, stop: Any) -> Any:
    """Where inline code, a formula or an address that begins here ends; 0 where none does."""
    byte = bytes_B[at]
    if byte == 96 or byte == 36:
        ticks = _run(bytes_B, at, stop, byte)
        place = at + ticks
        if byte == 36 and (place >= stop or bytes_B[place] == 32 or (ticks == 1 and _digit(bytes_B[place]))):
            return 0  # an amount of money
        while place < stop:
            run = _run(bytes_B, place, stop, byte)
            if run == ticks:
                return place + run
            place += max(1, run)
        return 0
    if byte == 92 and at + 1 < stop and (bytes_B[at + 1] == 40 or bytes_B[at + 1] == 91):
        closing = bytes_B[at + 1] + 1 if bytes_B[at + 1] == 40 else 93
        for place in range(at + 2, stop - 1):
            if bytes_B[place] == 92 and bytes_B[place + 1] == closing:
                return place + 2
        return 0
    if byte == 58 and at + 2 < stop and bytes_B[at + 1] == 47 and bytes_B[at + 2] == 47:
        place = at
        while place < stop and bytes_B[place] > 32 and bytes_B[place] < 0x80:
            place += 1
        return place
    return 0


@compiled
def is_code_line(
    bytes_B: Any, first: Any, stop: Any, indent: Any, is_below: Any, words_KW: Any, weights_K: Any, begins_129: Any
) -> Any:
    """Whether the signs of code outweigh the plain words.

    `first` is the first byte that is no space; `is_below` says that the line above is code.
    """
    words, signs, at, previous, opens, behind = 0, 0, first, 0, False, first
    last = stop - 1
    while last > first and bytes_B[last] <= 32:
        last -= 1
    stop = last + 1
    while at < stop:
        if bytes_B[at] <= 32:
            at += 1
            continue
        over = _skipped(bytes_B, at, stop)
        if over and bytes_B[at] != 58:
            at, previous = over, 0
            continue
        # What stands behind # or // is said of the code before it.
        mark = bytes_B[at]
        ticks = _run(bytes_B, at, stop, mark)
        is_mark = (mark == 35 and ticks == 1) or (mark == 47 and ticks == 2)
        if is_mark and at > first and at + ticks < stop and bytes_B[at + ticks] == 32:
            last = behind
            break
        end, strings, calls = at, 0, 0
        while end < stop and bytes_B[end] > 32:
            over = _quoted(bytes_B, end, first, stop)
            if over:
                strings += 1
                end = over
                continue
            calls += end > at and bytes_B[end] == 40 and 97 <= (bytes_B[end - 1] | 32) <= 122
            end += 1
        name = at
        while name < end and (97 <= (bytes_B[name] | 32) <= 122 or bytes_B[name] == 35):
            name += 1
        weight = _weight(bytes_B, at, name, words_KW, weights_K, begins_129) if name > at else 0
        kind = 4 if strings else _token(bytes_B, at, end)
        ends_sentence = name + 1 >= end and name < end and (bytes_B[name] == 46 or bytes_B[name] == 44)
        if weight and (at == first or weight >= ANYWHERE) and not ends_sentence:
            signs += weight + calls
            opens = opens or at == first
        elif kind == 2:
            words += 1 + (end - at) // 12
            signs += calls
        elif kind == 3:
            signs += 0 if previous == 1 else 2
        elif kind == 4:
            signs += 1 + strings + calls
        previous, behind = kind, end - 1
        at = end
    byte, start = bytes_B[last], bytes_B[first]
    signs += 2 * (byte == 59) + 3 * (byte == 123 or byte == 125) + (indent >= 2)
    signs += 3 * (is_below and indent > 0)
    signs += 2 * (byte == 58 and last > first and (opens or bytes_B[last - 1] == 41))
    signs += 2 * (start == 60 and last > first and (_letter(bytes_B[first + 1]) or bytes_B[first + 1] == 47))
    signs += 2 * (start == 64 or start == 123 or start == 125)
    return signs > words


@compiled
def _write(bytes_B: Any, at: Any, stop: Any, prose_B: Any, to: Any, limit: Any) -> Any:
    """Copy a line but for what is skipped; gives where the next byte goes. Signs that control become spaces."""
    while at < stop and to < limit:
        over = _skipped(bytes_B, at, stop)
        if over:
            prose_B[to] = 32
            at = over
        else:
            byte = bytes_B[at]
            prose_B[to] = 32 if byte < 32 or byte == 127 else byte
            at += 1
        to += 1
    return to


@compiled
def _triple(bytes_B: Any, at: Any, stop: Any) -> Any:
    """How many triple quotes a line holds."""
    found, place = 0, at
    while place + 2 < stop:
        byte = bytes_B[place]
        if (byte == 34 or byte == 39) and bytes_B[place + 1] == byte and bytes_B[place + 2] == byte:
            found += 1
            place += 3
        else:
            place += 1
    return found


@compiled
def _has_pair(bytes_B: Any, at: Any, stop: Any, one: Any, other: Any) -> Any:
    found = False
    for place in range(at, stop - 1):
        found = found or (bytes_B[place] == one and bytes_B[place + 1] == other)
    return found


OUTSIDE, FENCE, QUOTE, COMMENT = range(4)
IS_PROSE, IS_CODE, IS_NEITHER = range(3)


@compiled
def _line(
    bytes_B: Any,
    first: Any,
    stop: Any,
    indent: Any,
    is_below: Any,
    state: Any,
    words_KW: Any,
    weights_K: Any,
    begins_129: Any,
) -> Any:
    """What a line is, and the state behind it: within a fence, a triple quote, a comment of many lines."""
    byte = bytes_B[first]
    if (byte == 96 or byte == 126) and _run(bytes_B, first, stop, byte) >= 3 and state != QUOTE:
        return IS_NEITHER, OUTSIDE if state == FENCE else FENCE
    if state == FENCE:
        return IS_CODE, FENCE
    if state == COMMENT:
        return IS_CODE, OUTSIDE if _has_pair(bytes_B, first, stop, 42, 47) else COMMENT
    quotes = _triple(bytes_B, first, stop)
    if quotes or state == QUOTE:
        return IS_NEITHER, QUOTE if (state == QUOTE) != (quotes % 2 == 1) else OUTSIDE
    if byte == 47 and first + 1 < stop and bytes_B[first + 1] == 42:
        return IS_CODE, OUTSIDE if _has_pair(bytes_B, first, stop, 42, 47) else COMMENT
    if byte == 47 and first + 1 < stop and bytes_B[first + 1] == 47:
        return IS_CODE, OUTSIDE
    if is_code_line(bytes_B, first, stop, indent, is_below, words_KW, weights_K, begins_129):
        return IS_CODE, OUTSIDE
    # A heading or a comment; SQL's comment or a dash.
    is_dashed = byte == 45 and first + 1 < stop and bytes_B[first + 1] == 45
    return IS_NEITHER if byte == 35 or is_dashed else IS_PROSE, OUTSIDE


@compiled
def take_prose(
    bytes_B: Any,
    offsets_N1: Any,
    words_KW: Any,
    weights_K: Any,
    begins_129: Any,
    limit: Any,
    prose_B: Any,
    ends_N1: Any,
    facts_NF: Any,
) -> None:
    """Write the prose of each text behind that of the one before, up to `limit` bytes of it.

    `prose_B` (uint8) has room for all bytes and one more a text; `ends_N1` (int64) takes where each begins and ends,
    `facts_NF` (int64, zeros) the facts. A text is cut between characters.
    """
    to = 0
    ends_N1[0] = 0
    for row in range(len(offsets_N1) - 1):
        at, stop = offsets_N1[row], offsets_N1[row + 1]
        begin, state, first_kind, kind = to, OUTSIDE, IS_NEITHER, IS_NEITHER
        while at < stop:
            first = at
            while first < stop and (bytes_B[first] == 32 or bytes_B[first] == 9 or bytes_B[first] == 13):
                first += 1
            end = first
            while end < stop and bytes_B[end] != 10:
                end += 1
            if first < end:
                is_below, indent = kind == IS_CODE, first - at
                kind, state = _line(bytes_B, first, end, indent, is_below, state, words_KW, weights_K, begins_129)
                if kind == IS_CODE:
                    facts_NF[row, CODE] += _thirds(bytes_B, first, end)
                if kind == IS_PROSE and to - begin < limit:
                    since = to
                    to = _write(bytes_B, first, end, prose_B, to, begin + limit)
                    facts_NF[row, PROSE] += _thirds(prose_B, since, to)
                if kind == IS_PROSE and to < begin + limit:
                    prose_B[to] = 32
                    to += 1
                if first_kind == IS_NEITHER:
                    first_kind = kind
            at = end + 1
        # A cut within a character takes its beginning away too.
        if to - begin == limit:
            back = to
            while back > begin and prose_B[back - 1] & 0xC0 == 0x80:
                back -= 1
            if back > begin and prose_B[back - 1] >= 0xC0:
                lead = prose_B[back - 1]
                size = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2
                if to - (back - 1) < size:
                    to = back - 1
        facts_NF[row, STARTS] = first_kind == IS_PROSE
        ends_N1[row + 1] = to
    for row in range(len(offsets_N1) - 1):
        facts_NF[row, PROSE] //= 3
        facts_NF[row, CODE] //= 3
