"""Two rows say the same when they ask and answer the same; that is told by 128 bits, made in columns."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.records import Message, Row, ToolCall, to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.duplicates.said import as_hex, hash_texts, said_hashes
from tiny_rows import a_few, any_row, chat

ROW = chat("Hi", "Hello", id="a")


def said(*rows: Row) -> list[str]:
    return as_hex(said_hashes(RowBatch(to_batch(rows))))


def calling(id: str, name: str, arguments: str = "{}") -> Row:
    return Row("a", (Message("user", "Hi"), Message("assistant", "", (ToolCall(id, name, arguments),))))


def test_id_source_licence_and_meta_do_not_make_another_row():
    others = [replace(ROW, id="b"), replace(ROW, source="elsewhere", license="MIT", meta='{"n": 1}', scores={"x": 1.0})]
    assert len(set(said(ROW, *others))) == 1


def test_weights_and_reasoning_do_not_make_another_row():
    ask, say = ROW.messages
    weighed = replace(ROW, messages=(ask, replace(say, weight=0.5, reasoning="Be polite.")))
    assert len(set(said(ROW, weighed))) == 1


def test_another_prompt_answer_role_or_preference_makes_another_row():
    others = [chat("Hi!", "Hello"), chat("Hi", "Hello!"), replace(ROW, rejected=(Message("assistant", "No."),))]
    others += [replace(ROW, tools="[]"), Row("a", text="HiHello"), replace(ROW, messages=ROW.messages[::-1])]
    others += [replace(ROW, messages=(Message("system", "Hi"), ROW.messages[1])), Row("a", ROW.messages[:1])]
    assert len(set(said(ROW, *others))) == 9


def test_words_that_move_from_one_message_to_the_next_make_another_row():
    assert len(set(said(chat("ab", "c"), chat("a", "bc"), chat("abc", ""), chat("", "abc")))) == 4


def test_tool_calls_are_told_apart_by_what_they_call_and_not_by_their_ids():
    same, other, more = calling("2", "add"), calling("1", "subtract"), calling("1", "add", '{"x": 1}')
    assert len({*said(calling("1", "add"), same)}) == 1
    assert len({*said(calling("1", "add"), other, more)}) == 3


def test_an_empty_text_is_not_a_row_without_one():
    assert len(set(said(Row("a", text=""), Row("a", text="\0"), Row("a", (Message("user", ""),))))) == 3


def test_no_rows_have_no_hashes():
    assert said_hashes(RowBatch(to_batch([]))).shape == (0, 2)


def test_a_slice_of_a_batch_has_the_hashes_of_its_rows():
    rows = [calling("1", f"f{number}") for number in range(5)] + [ROW, Row("t", text="plain")]
    whole = said_hashes(RowBatch(to_batch(rows)))
    assert np.array_equal(said_hashes(RowBatch(to_batch(rows).slice(3, 3))), whole[3:6])


@a_few
@given(st.lists(any_row, min_size=1, max_size=6))
def test_a_row_has_one_hash_alone_and_among_others_and_equal_hashes_are_equal_content(rows):
    together = said(*rows)
    assert together == [said(row)[0] for row in rows]
    spoken = [repr(_plain(row)) for row in rows]
    assert len(set(together)) == len(set(spoken))


def _plain(row: Row):
    def talk(messages):
        return [(m.role, m.content, [(call.name, call.arguments) for call in m.tool_calls]) for m in messages]

    return row.text, row.tools, talk(row.messages), talk(row.rejected)


def test_the_hash_of_bytes_is_murmur3_of_128_bits():
    # Reference values of MurmurHash3_x64_128, seed 0.
    texts = ["", "hello", "The quick brown fox jumps over the lazy dog"]
    expected = ["0" * 32, "cbd8a7b341bd9b025b1e906a48ae1d19", "e34bbc7bbc071b6c7a433ca9c49a9347"]
    assert as_hex(hash_texts(pa.array(texts))) == expected
