"""Instructions that numba has no word for: 64 bytes at once, unaligned numbers, counting zeros.

Written as LLVM's own vectors, which it turns into whatever the processor has (AVX-512, AVX2, SSE2, NEON).
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WORD, BYTE = ir.IntType(64), ir.IntType(8)
BLOCK = 64
BYTES = ir.VectorType(BYTE, BLOCK)


def instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that says how it is typed, and gives the code for it."""
    made: Callable[..., Any] = intrinsic(function)
    return made


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = cgutils.create_struct_proxy(kind)(context, builder, value=array).data
    return builder.gep(data, [index])


def _all(value: int) -> Any:
    return ir.Constant(BYTES, [value] * BLOCK)


@instruction
def load_u64(typing: Any, array: Any, index: Any) -> Any:
    """Eight bytes of a uint8 array from `index` (int64) on, the first the lowest, aligned or not."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(place, WORD.as_pointer()), align=1)

    return types.uint64(array, index), code


@instruction
def trailing_zeros(typing: Any, number: Any) -> Any:
    """How many bits below the lowest that is set; 64 where none is."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), code


@instruction
def bits_set(typing: Any, number: Any) -> Any:
    """How many bits are set."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), code


@instruction
def classify(typing: Any, source: Any, start: Any, small: Any, place: Any) -> Any:
    """Lower-case the 64 bytes of `source` from `start` on into `small` from `place` on (uint8 arrays, int64 places).

    Returns two masks with a bit per byte: those of words (letters, digits, `_`, and every byte that is not ASCII), and
    those that are not ASCII.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        taken, wanted = signature.args[0], signature.args[2]
        read = _pointer(context, builder, taken, arguments[0], arguments[1])
        write = _pointer(context, builder, wanted, arguments[2], arguments[3])
        given = builder.load(builder.bitcast(read, BYTES.as_pointer()), align=1)

        def between(vector: Any, low: str, high: str) -> Any:
            moved = builder.sub(vector, _all(ord(low)))
            return builder.icmp_unsigned("<=", moved, _all(ord(high) - ord(low)))

        capital = between(given, "A", "Z")
        lower = builder.select(capital, builder.add(given, _all(32)), given)
        builder.store(lower, builder.bitcast(write, BYTES.as_pointer()), align=1)
        beyond = builder.icmp_signed("<", given, _all(0))
        letter = builder.or_(between(lower, "a", "z"), between(given, "0", "9"))
        word = builder.or_(builder.or_(letter, builder.icmp_unsigned("==", given, _all(ord("_")))), beyond)
        return context.make_tuple(
            builder, signature.return_type, [builder.bitcast(word, WORD), builder.bitcast(beyond, WORD)]
        )

    return types.UniTuple(types.uint64, 2)(source, start, small, place), code
