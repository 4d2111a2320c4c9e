"""Words of prose in one pass: how many, of which class, in which script, how often again. Skips fenced code.

N texts, B bytes in all, S places of a lexicon, C classes, F facts, in the order of `WORD_FACTS`.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.lexicon import ARTICLES, FACTOR, START, word_hash

WORD_FACTS = (
    *("words", "distinct", "letters", "long_words", "longest_word", "unknown_long", "trigrams", "repeated_trigrams"),
    *("sentences", "joined_sentences", "ended_sentences", "unfinished"),
    *("broken", "fenced_bytes", "fences"),
    *("latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "thai", "han", "kana", "hangul", "other_script"),
)
"""What is counted: `long_words` have 8 letters or more, `unknown_long` are those of them in no class,
`longest_word` is 0 where none is long,
`joined_sentences` share a word of 4 letters or more with the one before, `unfinished`
are the words behind the last sentence or line that ended, `broken` are signs that no text should hold.
"""
NUM_FACTS = len(WORD_FACTS)
WORDS, DISTINCT, LETTERS, LONG, LONGEST_WORD, UNKNOWN_LONG, TRIGRAMS, REPEATED = range(8)
SENTENCES, JOINED, ENDED, UNFINISHED, BROKEN, FENCED, FENCES = range(8, 15)
LATIN, CYRILLIC, GREEK, ARABIC, HEBREW, DEVANAGARI, THAI, HAN, KANA, HANGUL, OTHER = range(15, NUM_FACTS)

SLOTS = 4096  # words and trigrams seen last: both tables stay in the processor's second cache
SLOT_SHIFT = np.uint64(52)
PROBES = 16
_LOW = np.int64(0xFFFFFFFF)
_FACTOR, _START = np.uint64(FACTOR), np.uint64(START)
_A, _AN, _THE = (np.uint64(word_hash(word)) for word in ARTICLES)
_HALF, _THREE, _ONE, _NONE = np.uint64(32), np.uint64(3), np.uint64(1), np.uint64(0)

PLAIN, LETTER, MARKED, WIDE = range(4)


def _kinds() -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """What a byte begins: a letter of ASCII, a sign that means something here, another character, or nothing."""
    kinds = np.zeros(256, np.uint8)
    kinds[[*range(65, 91), *range(97, 123)]] = LETTER
    kinds[[*range(9), 10, *range(11, 13), *range(14, 32), 33, 46, 63, 96]] = MARKED
    kinds[128:] = WIDE
    return kinds


KINDS_256 = _kinds()


@inlined
def _add(value: Any, byte: Any) -> Any:
    return (value ^ np.uint64(byte)) * _FACTOR


@compiled
def script_of(first: Any, second: Any) -> Any:
    """The script of a letter by its first two bytes of UTF-8, as a place in the facts; -1 for what is no letter."""
    if first < 0x80:
        return LATIN if 97 <= (first | 32) <= 122 else -1
    if first < 0xC3 or first == 0xE2:
        return -1
    if first <= 0xCD:
        return -1 if first == 0xC3 and (second == 0x97 or second == 0xB7) else LATIN
    if first <= 0xCF:
        return GREEK
    if first <= 0xD3:
        return CYRILLIC
    if first == 0xD6 or first == 0xD7:
        return HEBREW
    if 0xD8 <= first <= 0xDB:
        return ARABIC
    if first == 0xE0:
        return DEVANAGARI if 0xA4 <= second <= 0xA5 else THAI if 0xB8 <= second <= 0xB9 else OTHER
    if first == 0xE1:
        return LATIN if 0xB8 <= second <= 0xBB else HANGUL if 0x84 <= second <= 0x87 else OTHER
    if first == 0xE3:
        return -1 if second == 0x80 else KANA if second <= 0x83 else HAN if second >= 0x90 else OTHER
    if 0xE4 <= first <= 0xE9:
        return HAN
    if first >= 0xEA and first <= 0xED:
        return HANGUL if first > 0xEA or second >= 0xB0 else OTHER
    if first == 0xEF:
        return ARABIC if 0xAD <= second <= 0xBB else HAN if second == 0xA4 else -1
    if first == 0xF0:
        return HAN if second >= 0xA0 else -1
    return OTHER


@compiled
def _fold(first: Any, second: Any) -> Any:
    """Both bytes of a capital of two bytes as those of its small letter, as `first * 256 + second`."""
    if first == 0xC3 and 0x80 <= second <= 0x9E:
        return first * 256 + second + 0x20
    if first == 0xD0:
        if second <= 0x8F:
            return 0xD1 * 256 + second + 0x10
        if second <= 0x9F:
            return first * 256 + second + 0x20
        if second <= 0xAF:
            return 0xD1 * 256 + second - 0x20
    if first == 0xCE:
        if 0x91 <= second <= 0x9F:
            return first * 256 + second + 0x20
        if 0xA0 <= second <= 0xA9:
            return 0xCF * 256 + second - 0x20
    return first * 256 + second


@compiled
def length_of(first: Any) -> Any:
    """How many bytes a character has that begins with this one."""
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


@compiled
def _shift_of(size: Any) -> Any:
    """How far a key is shifted so that its upper bits name one of `size` places."""
    shift = 64
    while size > 1:
        size >>= 1
        shift -= 1
    return np.uint64(shift)


@compiled
def _classes_of(key: Any, keys_S: Any, classes_S: Any, shift: Any) -> Any:
    """The bits of what a key means, 0 where it stands nowhere."""
    size = len(keys_S)
    slot = np.int64(key >> shift)
    while keys_S[slot] != _NONE:
        if keys_S[slot] == key:
            return classes_S[slot]
        slot = (slot + 1) & (size - 1)
    return _NONE


@compiled
def _count(mask: Any, row: Any, counts_NC: Any) -> None:
    place = 0
    while mask != _NONE:
        if mask & _ONE:
            counts_NC[row, place] += 1
        mask >>= _ONE
        place += 1


@compiled
def _is_ending(bytes_B: Any, at: Any, stop: Any) -> Any:
    """Whether a sentence ends here: `.`, `!` or `?` before a space or the end, or one of the signs of other scripts."""
    byte = bytes_B[at]
    if byte == 46 or byte == 33 or byte == 63:
        after = bytes_B[at + 1] if at + 1 < stop else 32
        return after <= 32 or after == 34 or after == 39 or after == 41
    if at + 2 >= stop:
        return False
    second, third = bytes_B[at + 1], bytes_B[at + 2]
    if byte == 0xE3:
        return second == 0x80 and third == 0x82
    if byte == 0xEF:
        return second == 0xBC and (third == 0x81 or third == 0x9F)
    return byte == 0xE0 and second == 0xA5 and (third == 0xA4 or third == 0xA5)


@compiled
def _is_fence(bytes_B: Any, at: Any, start: Any, stop: Any) -> Any:
    if at + 2 >= stop or bytes_B[at] != 96 or bytes_B[at + 1] != 96 or bytes_B[at + 2] != 96:
        return False
    before = at - 1
    while before >= start and (bytes_B[before] == 32 or bytes_B[before] == 9):
        before -= 1
    return before < start or bytes_B[before] == 10


@compiled
def _after_fence(bytes_B: Any, at: Any, start: Any, stop: Any) -> Any:
    """Where the text goes on behind a fenced block that begins here; `stop` where nothing closes it."""
    at += 3
    while at < stop:
        if _is_fence(bytes_B, at, start, stop):
            return at + 3
        at += 1
    return stop


@compiled
def _place_of(value: Any, seen_T: Any, stamps_T: Any, text: Any) -> Any:
    """Where a word of this text stands in the table, or may: the first that is free."""
    first = np.int64(value >> SLOT_SHIFT)
    slot = first
    for _ in range(PROBES):
        if stamps_T[slot] >> 32 != text or seen_T[slot] == value:
            return slot
        slot = (slot + 1) & (SLOTS - 1)
    return first


@compiled
def count_words(bytes_B: Any, offsets_N1: Any, keys_S: Any, classes_S: Any, counts_NC: Any, facts_NF: Any) -> None:
    """Fill `counts_NC` (int32, entries of the lexicon by class) and `facts_NF` (int32), both given as zeros.

    What was seen before is remembered for some 4,096 words and as many trigrams: of a text of more different ones, some
    that come again far apart count as new.
    """
    # A stamp is the number of the text and, in the lower half, of the sentence that a word was in last.
    seen_T, stamps_T = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.int64)
    trigrams_T = np.zeros(SLOTS, np.uint64)
    shift = _shift_of(len(keys_S))
    for row in range(len(offsets_N1) - 1):
        start, at, stop = offsets_N1[row], offsets_N1[row], offsets_N1[row + 1]
        # So that a trigram of this text never equals one that another left in the table.
        salt = np.uint64(row + 1) * _FACTOR
        facts = facts_NF[row]
        before, last, second_last = _NONE, _NONE, _NONE
        in_sentence, sentence, joined = 0, 1, False
        words, all_letters, latin, distinct, long, longest, unknown, trigrams, repeated = 0, 0, 0, 0, 0, 0, 0, 0, 0
        while at < stop:
            byte = bytes_B[at]
            kind = KINDS_256[byte]
            if kind == PLAIN:
                at += 1
                continue
            value, letters = _START, 0
            if kind == LETTER:
                while kind == LETTER:
                    value = _add(value, byte | 32)
                    letters += 1
                    at += 1
                    if at >= stop:
                        break
                    byte = bytes_B[at]
                    kind = KINDS_256[byte]
                latin += letters
            second = bytes_B[at + 1] if at + 1 < stop else np.uint8(0)
            script = script_of(byte, second) if kind == WIDE and at < stop else -1
            if letters == 0 and script < 0:
                if byte == 96 and _is_fence(bytes_B, at, start, stop):
                    after = _after_fence(bytes_B, at, start, stop)
                    facts[FENCED] += after - at
                    facts[FENCES] += 1
                    at, before = after, _NONE
                    continue
                ending = _is_ending(bytes_B, at, stop)
                if (ending or byte == 10) and in_sentence:
                    facts[SENTENCES] += 1
                    facts[ENDED] += ending
                    facts[JOINED] += joined
                    in_sentence, joined, before = 0, False, _NONE
                    sentence += 1
                replaced = byte == 0xEF and second == 0xBF and at + 2 < stop and bytes_B[at + 2] == 0xBD
                facts[BROKEN] += replaced or (byte < 32 and byte != 10)
                at += length_of(byte)
                continue
            while script >= 0:
                single = HAN <= script <= HANGUL
                if single and letters:
                    break
                facts[script] += 1
                letters += 1
                length = min(length_of(byte), stop - at)
                if length == 1:
                    value = _add(value, byte | 32)
                elif length == 2:
                    folded = _fold(np.int64(byte), np.int64(second))
                    value = _add(_add(value, folded >> 8), folded & 255)
                else:
                    for place in range(at, at + length):
                        value = _add(value, bytes_B[place])
                at += length
                if single or at >= stop:
                    break
                byte = bytes_B[at]
                second = bytes_B[at + 1] if at + 1 < stop else np.uint8(0)
                script = script_of(byte, second)
            value = (value ^ (value >> _HALF)) * _FACTOR
            words += 1
            all_letters += letters
            in_sentence += 1
            mask = _classes_of(value, keys_S, classes_S, shift)
            if mask != _NONE:
                _count(mask, row, counts_NC)
            if letters >= 8:
                long += 1
                longest = max(longest, letters)
                unknown += mask == _NONE
            if value != _A and value != _AN and value != _THE:
                if before != _NONE:
                    mask = _classes_of((before * _THREE + value) * _FACTOR, keys_S, classes_S, shift)
                    if mask != _NONE:
                        _count(mask, row, counts_NC)
                before = value
            slot = _place_of(value, seen_T, stamps_T, row + 1)
            if stamps_T[slot] >> 32 == row + 1 and seen_T[slot] == value:
                # A word that the sentence before this one has too, and long enough to mean something.
                joined |= letters >= 4 and (stamps_T[slot] & _LOW) == sentence - 1
            else:
                distinct += 1
                seen_T[slot] = value
            stamps_T[slot] = ((row + 1) << 32) | sentence
            if second_last != _NONE:
                trigram = ((second_last * _THREE + last) * _THREE + value) * _FACTOR
                slot = np.int64(trigram >> SLOT_SHIFT)
                trigrams += 1
                repeated += trigrams_T[slot] == (trigram ^ salt)
                trigrams_T[slot] = trigram ^ salt
            second_last, last = last, value
        if in_sentence:
            facts[SENTENCES] += 1
            facts[UNFINISHED] = in_sentence
            facts[JOINED] += joined
        facts[WORDS], facts[DISTINCT], facts[LETTERS], facts[LONG] = words, distinct, all_letters, long
        facts[UNKNOWN_LONG], facts[TRIGRAMS], facts[REPEATED] = unknown, trigrams, repeated
        facts[LATIN] += latin
        facts[LONGEST_WORD] = longest
