"""Instructions that numba has no word for: 64 bytes or numbers at once, unaligned numbers, counting zeros.

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
NUMBER, LANES = ir.IntType(32), 16
NUMBERS = ir.VectorType(NUMBER, LANES)


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
def write_eight(typing: Any, mask: Any, first: Any, places: Any, count: Any) -> Any:
    """Write the places of the lowest eight bits, `first` added, into `places` (int32) from `count` on; the other bits.

    Where there are fewer, what is written for the rest means nothing.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, added, written, begin = arguments
        write = _pointer(context, builder, signature.args[2], written, begin)
        added = builder.trunc(added, NUMBER)
        for number in range(8):
            bit = builder.trunc(builder.cttz(left, ir.Constant(ir.IntType(1), 0)), NUMBER)
            builder.store(builder.add(added, bit), builder.gep(write, [ir.Constant(WORD, number)]), align=4)
            left = builder.and_(left, builder.sub(left, ir.Constant(WORD, 1)))
        return left

    return types.uint64(mask, first, places, count), code


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


@instruction
def least_products(typing: Any, hashes: Any, factors: Any, first: Any, least: Any) -> Any:
    """Of 64 factors from number `first` on the least product with the upper half of any hash, modulo 2^32.

    `hashes` is a uint64 array, `factors` and `least` are uint32 arrays; writes `least[first:first + 64]`. One pass over
    the hashes, with the factors and what is least so far in registers all the while.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        hashed = cgutils.create_struct_proxy(kinds[0])(context, builder, value=arguments[0])
        halves = builder.bitcast(hashed.data, NUMBER.as_pointer())
        taken = builder.bitcast(_pointer(context, builder, kinds[1], *arguments[1:3]), NUMBERS.as_pointer())
        wanted = builder.bitcast(_pointer(context, builder, kinds[3], arguments[3], arguments[2]), NUMBERS.as_pointer())
        lanes = range(BLOCK // LANES)
        places = [ir.Constant(WORD, lane) for lane in lanes]
        factors_of = [builder.load(builder.gep(taken, [place]), align=4) for place in places]
        least_of = [cgutils.alloca_once_value(builder, ir.Constant(NUMBERS, [0xFFFFFFFF] * LANES)) for _ in lanes]
        zero = ir.Constant(ir.VectorType(NUMBER, LANES), ir.Undefined)
        with cgutils.for_range(builder, builder.extract_value(hashed.shape, 0), intp=WORD) as loop:
            upper = builder.add(builder.add(loop.index, loop.index), ir.Constant(WORD, 1))
            number = builder.load(builder.gep(halves, [upper]), align=4)
            one = builder.insert_element(zero, number, ir.Constant(NUMBER, 0))
            everywhere = builder.shuffle_vector(one, zero, ir.Constant(ir.VectorType(NUMBER, LANES), [0] * LANES))
            for factor, held in zip(factors_of, least_of, strict=True):
                product, before = builder.mul(everywhere, factor), builder.load(held)
                builder.store(builder.select(builder.icmp_unsigned("<", product, before), product, before), held)
        for place, held in zip(places, least_of, strict=True):
            builder.store(builder.load(held), builder.gep(wanted, [place]), align=4)
        return context.get_dummy_value()

    return types.void(hashes, factors, first, least), code


@instruction
def join_eight(typing: Any, parts: Any, place: Any, n: Any, step: Any, mix: Any, joined: Any, at: Any) -> Any:
    """Eight n-grams at once: `joined[at + i]` from `parts[place + i:place + i + n]`, uint64 arrays.

    A polynomial of the parts with factor `step`, then twice `x ^= x >> 32; x *= mix`, and `x ^ x >> 32`.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        given, first, length, factor, stir, written, begin = arguments
        eight = ir.VectorType(WORD, 8)

        def everywhere(number: Any) -> Any:
            one = builder.insert_element(ir.Constant(eight, ir.Undefined), number, ir.Constant(NUMBER, 0))
            return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(NUMBER, 8), [0] * 8))

        factors, stirs = everywhere(factor), everywhere(stir)
        half = ir.Constant(eight, [32] * 8)
        held = cgutils.alloca_once_value(builder, ir.Constant(eight, [0] * 8))
        with cgutils.for_range(builder, length, intp=WORD) as loop:
            read = _pointer(context, builder, kinds[0], given, builder.add(first, loop.index))
            part = builder.load(builder.bitcast(read, eight.as_pointer()), align=8)
            builder.store(builder.add(builder.mul(builder.load(held), factors), part), held)
        number = builder.load(held)
        for _ in range(2):
            number = builder.mul(builder.xor(number, builder.lshr(number, half)), stirs)
        number = builder.xor(number, builder.lshr(number, half))
        write = _pointer(context, builder, kinds[5], written, begin)
        builder.store(number, builder.bitcast(write, eight.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(parts, place, n, step, mix, joined, at), code
