"""How many tokens texts have by the estimate of `text/kernels/tokens.py`, counted 64 bytes at a time: the same numbers.

Holds a kernel: imported inside functions only. Each mask has a bit per byte of a block. N texts, B bytes.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from demiurgic.text.kernels import tokens
from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.wide import BLOCK, BYTES, WORD, bits_set, instruction, trailing_zeros

ONE, TOP = np.uint64(1), np.uint64(63)
ALL, NONE = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0)
KINDS = ((97, 122), (65, 90), (48, 57), (0, 32), (10, 10), (0, 127), (0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xFF))
"""Small letters, capitals, digits, blanks, line breaks, ASCII, and what begins a character of 2, 3 and 4 bytes."""

SAVED_BY_SAME = tokens.SIGN - tokens.SAME_SIGN


@instruction
def _kinds(typing: Any, source: Any, start: Any) -> Any:
    """The masks of KINDS for the 64 bytes of a uint8 array from `start` (int64) on, and which equal the byte after."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = builder.extract_value(arguments[0], 4)
        place = builder.gep(data, [arguments[1]])
        after = builder.gep(place, [ir.Constant(ir.IntType(64), 1)])
        given, next_one = (builder.load(builder.bitcast(each, BYTES.as_pointer()), align=1) for each in (place, after))
        masks = []
        for low, high in KINDS:
            moved = builder.sub(given, ir.Constant(BYTES, [low] * BLOCK))
            masks.append(builder.icmp_unsigned("<=", moved, ir.Constant(BYTES, [high - low] * BLOCK)))
        masks.append(builder.icmp_unsigned("==", given, next_one))
        return context.make_tuple(builder, signature.return_type, [builder.bitcast(mask, WORD) for mask in masks])

    return types.UniTuple(types.uint64, len(KINDS) + 1)(source, start), code


@inlined
def _after(mask: Any, before: Any, places: Any) -> Any:
    """A mask moved up by so many bytes; what left the block before comes in."""
    return (mask << np.uint64(places)) | (before >> np.uint64(64 - places))


@compiled
def _numbers(digits: Any, so_far: Any) -> Any:
    """How many numbers of up to three digits begin in a block, and how many digits its last run has if it goes on.

    `so_far` is that of the block before.
    """
    found, goes_on = np.int64(0), np.int64(0)
    while digits:
        first = trailing_zeros(digits)
        stop = first + trailing_zeros(~(digits >> np.uint64(first)))
        known = so_far if first == 0 else np.int64(0)
        found += (known + stop - first + 2) // 3 - (known + 2) // 3
        if stop >= 64:
            goes_on = known + stop - first
            break
        digits = digits >> np.uint64(stop) << np.uint64(stop)
    return found, goes_on


@compiled
def estimate_tokens(bytes_B: Any, offsets_N1: Any, tokens_N: Any) -> None:
    """Fill `tokens_N` (int64) as the function of this name in `text/kernels/tokens.py` does."""
    last_B = np.zeros(3 * BLOCK, np.uint8)
    for row in range(len(offsets_N1) - 1):
        start, stop = offsets_N1[row], offsets_N1[row + 1]
        total, so_far = np.int64(0), np.int64(0)
        before_small = before_letters = before_further = before_pairs = NONE
        before_blank = before_alone = before_equal = NONE
        for place in range(start, stop, BLOCK):
            if place + BLOCK < len(bytes_B):
                found = _kinds(bytes_B, place)
            else:
                for byte in range(place, len(bytes_B)):
                    last_B[byte - place] = bytes_B[byte]
                found = _kinds(last_B, 0)
            left = stop - place
            inside = ALL if left >= BLOCK else (ONE << np.uint64(left)) - ONE
            small, capital, digits, blank = found[0] & inside, found[1] & inside, found[2] & inside, found[3] & inside

            # A word begins with a letter that follows none, or with a capital that follows a small letter.
            letters = small | capital
            begins = letters & (~_after(letters, before_letters, 1) | (capital & _after(small, before_small, 1)))
            further = letters & ~begins
            pairs = further & _after(further, before_further, 1)
            # Letters beyond the free ones: those that six further ones end with.
            beyond = pairs & _after(pairs, before_pairs, 2) & _after(pairs, before_pairs, 4)
            total += bits_set(begins) * tokens.WORD + bits_set(beyond) * tokens.FURTHER_LETTER
            before_small, before_letters, before_further, before_pairs = small, letters, further, pairs

            if digits or so_far:
                numbers, so_far = _numbers(digits, so_far)
                total += numbers * tokens.NUMBER

            # Of runs of blanks a single one that breaks no line is free.
            first = blank & ~_after(blank, before_blank, 1)
            alone = first & ~found[4]
            free = _after(alone, before_alone, 1) & ~blank
            total += (bits_set(first) - bits_set(free)) * tokens.BLANKS
            before_blank, before_alone = blank, alone

            signs = found[5] & inside & ~(letters | digits | blank)
            same = signs & _after(found[9], before_equal, 1)
            total += bits_set(signs) * tokens.SIGN - bits_set(same) * SAVED_BY_SAME
            before_equal = found[9]
            if (found[5] & inside) != inside:
                total += bits_set(found[6] & inside) * tokens.TWO_BYTES
                total += (
                    bits_set(found[7] & inside) * tokens.THREE_BYTES + bits_set(found[8] & inside) * tokens.FOUR_BYTES
                )
        # A blank at the very end of the last block.
        total -= np.int64(before_alone >> TOP) * tokens.BLANKS
        tokens_N[row] = (total + 99) // 100
