"""Readers: every record of a file, or the position and reason of what is none; never a traceback."""

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from demiurgic.core.errors import UserError
from demiurgic.core.files.readers import read_records
from demiurgic.core.files.records import BREAKS_OFF, Malformed, Record
from demiurgic.core.records import Row, RowError, read_row
from tiny_rows import a_few, any_row, json_objects


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("files")


def test_a_jsonl_record_counts_by_its_line_and_empty_lines_are_passed_over(tmp_path):
    path = write(tmp_path, "a.jsonl", '{"n": 1}\n\n{"n": 2}\n')
    assert list(read_records(path)) == [Record(1, {"n": 1}), Record(3, {"n": 2})]


def test_a_bad_line_is_one_malformed_record_between_good_ones(tmp_path):
    path = write(tmp_path, "a.jsonl", b'{"n": 1}\n{"n": \n{"n": "\xff"}\n{"n": 4}\n')
    first, second, third, fourth = read_records(path)
    assert (first, fourth) == (Record(1, {"n": 1}), Record(4, {"n": 4}))
    assert (second.position, second.reason) == (2, "not JSON: Expecting value")
    assert (third.position, third.reason, third.raw) == (3, "not UTF-8", '{"n": "\ufffd"}\n')


def test_a_number_too_long_to_read_is_malformed(tmp_path):
    path = write(tmp_path, "a.jsonl", "1" * 5000)
    assert [record.reason for record in read_records(path)] == ["not JSON: a number too long to read"]


def test_a_line_nested_too_deeply_is_malformed(tmp_path):
    path = write(tmp_path, "a.jsonl", "[" * 100_000)
    assert [record.reason for record in read_records(path)] == ["not JSON: nested too deeply"]


def test_a_json_file_is_a_list_of_records(tmp_path):
    assert list(read_records(write(tmp_path, "a.json", '[{"n": 1}, 2]'))) == [Record(1, {"n": 1}), Record(2, 2)]


def test_a_csv_record_is_a_mapping_by_header(tmp_path):
    path = write(tmp_path, "a.csv", '\ufeffask,say\n"two\nlines",é\n')
    assert list(read_records(path)) == [Record(1, {"ask": "two\nlines", "say": "é"})]


def test_csv_records_that_do_not_fit_the_header_are_malformed(tmp_path):
    path = write(tmp_path, "a.csv", b"ask,say\n1\n1,2,3\n\xff,2\n1,2\n")
    *bad, good = read_records(path)
    reasons = ["fewer columns than the header", "more columns than the header", "not UTF-8"]
    assert [record.reason for record in bad] == reasons
    assert good == Record(4, {"ask": "1", "say": "2"})


def test_a_broken_quote_that_ends_with_its_line_is_one_malformed_record(tmp_path):
    path = write(tmp_path, "a.csv", 'ask,say\n1,"say "hi" now"\n3,4\n')
    assert list(read_records(path)) == [
        Malformed(1, "not CSV: ',' expected after '\"'", '1,"say "hi" now"\n'),
        Record(2, {"ask": "3", "say": "4"}),
    ]


@pytest.mark.parametrize(
    ("lines", "opens", "lost"),
    [
        (["1,2", '3,"4', "5,6", "7,8"], 3, 3),  # never closed
        (['1,"two "or', "three,3", 'four"4', "5,6"], 2, 4),  # a quote inside, and lines that look like records
        (['1,"two "or', "three,3", 'four"', "5,6"], 2, 3),
        (["", '"one', 'line","two', 'lines"x', '3,"4"'], 4, 4),
        (['"one', 'line",2,3', "4,5"], 2, 2),  # closed, with more columns than the header
    ],
)
def test_a_broken_quote_that_takes_other_lines_with_it_names_where_it_opens(tmp_path, lines, opens, lost):
    path = write(tmp_path, "a.csv", "\n".join(["ask,say", *lines]) + "\n")
    with pytest.raises(UserError, match=rf"a quoted field opens in line {opens}, .* {lost} lines would be lost"):
        list(read_records(path))


def test_a_record_of_several_lines_that_is_not_utf8_is_one_malformed_record(tmp_path):
    path = write(tmp_path, "a.csv", b'ask,say\n"1\n\xff",2\n3,4\n')
    bad, good = read_records(path)
    assert (bad.reason, bad.raw, good.value) == ("not UTF-8", '"1\n\ufffd",2\n', {"ask": "3", "say": "4"})


def test_a_parquet_record_is_a_mapping_by_column(tmp_path):
    parquet.write_table(pa.table({"ask": ["a", "b"]}), tmp_path / "a.parquet")
    assert list(read_records(tmp_path / "a.parquet")) == [Record(1, {"ask": "a"}), Record(2, {"ask": "b"})]


def test_parquet_text_that_is_not_utf8_is_malformed_and_its_neighbours_are_not(tmp_path):
    words = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    parquet.write_table(pa.table({"ask": words}), tmp_path / "a.parquet")
    first, second, third = read_records(tmp_path / "a.parquet")
    assert (first.value, third.value) == ({"ask": "a"}, {"ask": "c"})
    assert (second.position, second.reason) == (2, "not UTF-8")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_gzipped_file_reads_like_a_plain_one(tmp_path, name):
    content = {"a.jsonl": '{"n": "1"}', "a.json": '[{"n": "1"}]', "a.csv": "n\n1\n"}[name]
    path = write(tmp_path, f"{name}.gz", gzip.compress(content.encode()))
    assert list(read_records(path)) == [Record(1, {"n": "1"})]


def packed(text: str, suffix: str) -> bytes:
    return gzip.compress(text.encode()) if suffix == ".gz" else pa.compress(text.encode(), codec="zstd", asbytes=True)


WORDS = ["".join(random.Random(seed).choices("abcdefgh ", k=40)) for seed in range(15_000)]
WHOLE = {
    ".jsonl": "".join(json.dumps({"n": word}) + "\n" for word in WORDS),
    ".json": json.dumps([{"n": word} for word in WORDS]),
    ".csv": "n,m\n" + "".join(f'{word},"two\nlines"\n' for word in WORDS),
}


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.9999])
def test_of_a_packed_file_that_is_cut_off_the_rows_before_the_cut_come_and_the_cut_is_named(
    tmp_path, suffix, packing, share
):
    whole = packed(WHOLE[suffix], packing)
    path = write(tmp_path, f"a{suffix}{packing}", whole[: int(len(whole) * share)])
    *good, cut = read_records(path)
    assert [record.value["n"] for record in good] == WORDS[: len(good)]
    assert (cut.reason, cut.rest, cut.position) == (BREAKS_OFF, True, len(good) + 1)
    assert 0.3 * share < len(good) / len(WORDS) <= 1


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_frames_of_a_packed_file_one_after_the_other_are_one_file(tmp_path, suffix, packing):
    text = WHOLE[suffix]
    path = write(tmp_path, f"a{suffix}{packing}", packed(text[:9000], packing) + packed(text[9000:], packing))
    assert [record.value["n"] for record in read_records(path)] == WORDS


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_packed_file_that_is_none_is_one_paragraph(tmp_path, suffix, packing):
    with pytest.raises(UserError, match=r"damaged or not (gzip|zstd)"):
        list(read_records(write(tmp_path, f"a{suffix}{packing}", b"n\n1\n")))


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_checksum_that_does_not_fit_is_one_paragraph_for_any_row_may_be_wrong(tmp_path, suffix):
    whole = bytearray(packed(WHOLE[suffix], ".gz"))
    whole[-6] ^= 255
    with pytest.raises(UserError, match="may be wrong"):
        list(read_records(write(tmp_path, f"a{suffix}.gz", bytes(whole))))


def test_a_json_list_that_is_broken_in_the_middle_gives_the_records_around(tmp_path):
    records = [json.dumps({"ask": f"a {n}", "more": [{"ask": "inner"}], "say": "b"}) for n in range(6)]
    records[2] = records[2].replace('"say"', "say")
    records[4] = records[4][:20]
    found = list(read_records(write(tmp_path, "a.json", "[" + ",\n".join(records) + "]")))
    assert [record.value["ask"] for record in found if isinstance(record, Record)] == ["a 0", "a 1", "a 3", "a 5"]
    broken = [record for record in found if isinstance(record, Malformed)]
    assert [(record.position, record.rest) for record in broken] == [(3, False), (5, False)]
    assert broken[0].raw.startswith('{"ask": "a 2"')


def test_a_json_list_that_is_broken_at_its_first_record_goes_on(tmp_path):
    found = list(read_records(write(tmp_path, "a.json", '[{"ask": "a" "say"}, {"ask": "b", "say": "c"}]')))
    assert [type(record) for record in found] == [Malformed, Record]


def test_a_json_list_that_breaks_off_gives_the_records_before(tmp_path):
    first, cut = read_records(write(tmp_path, "a.json", '[{"ask": "a"}, {"ask": "b'))
    assert first == Record(1, {"ask": "a"})
    assert (cut.position, cut.reason, cut.raw, cut.rest) == (2, BREAKS_OFF, '{"ask": "b', True)


def test_a_json_record_nested_too_deeply_is_malformed(tmp_path):
    (bad,) = read_records(write(tmp_path, "a.json", "[" * 100_000))
    assert bad.reason == "not JSON: nested too deeply"


def test_a_comma_too_few_or_too_many_in_a_json_list_loses_nothing(tmp_path):
    found = list(read_records(write(tmp_path, "a.json", '[{"n": 1}\n{"n": 2}, ]')))
    assert found == [Record(1, {"n": 1}), Record(2, {"n": 2})]


def test_a_json_record_that_is_not_utf8_is_malformed_and_its_neighbours_are_not(tmp_path):
    found = list(read_records(write(tmp_path, "a.json", b'[{"n": 1}, {"n": "\xff"}, {"n": "\xc3\xa9"}]')))
    assert [getattr(record, "reason", None) for record in found] == [None, "not UTF-8", None]
    assert found[2].value == {"n": "é"}


def test_a_json_list_is_read_across_the_borders_of_what_is_read_at_once(tmp_path):
    records = [{"n": number, "text": "é" * (number * 997 % 70_000)} for number in range(60)]
    path = write(tmp_path, "a.json", json.dumps(records, ensure_ascii=False))
    assert [record.value for record in read_records(path)] == records


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path, name):
    content = {"a.json": '[{"n": "1"}]', "a.jsonl": '{"n": "1"}\n', "a.csv": "n\n1\n"}[name]
    assert list(read_records(write(tmp_path, name, "\ufeff" + content))) == [Record(1, {"n": "1"})]


def test_a_json_file_that_has_an_object_on_each_line_is_read_as_lines(tmp_path):
    path = write(tmp_path, "a.json", '{"n": 1}\n{"n": \n{"n": 3}\n')
    assert [getattr(record, "value", None) for record in read_records(path)] == [{"n": 1}, None, {"n": 3}]


@pytest.mark.parametrize("content", ['[{"a": 1}, {"a": 2}]', '[\n{"a": 1},\n{"a": 2}\n]\n', '\ufeff[\n  {"a": 1}\n]'])
def test_one_list_in_a_file_of_lines_is_one_paragraph_with_the_name_it_should_have(tmp_path, content):
    with pytest.raises(UserError, match=r"holds one list, .* ends in .json"):
        list(read_records(write(tmp_path, "a.jsonl", content)))


def test_the_records_behind_a_damaged_place_of_a_parquet_file_are_malformed_one_by_one(tmp_path):
    table = pa.table({"n": pa.array(range(3000), pa.int64())})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=1000, compression="zstd", use_dictionary=False)
    start = parquet.read_metadata(tmp_path / "a.parquet").row_group(1).column(0).data_page_offset
    whole = bytearray((tmp_path / "a.parquet").read_bytes())
    whole[start : start + 60] = b"\xff" * 60
    (tmp_path / "a.parquet").write_bytes(whole)
    found = list(read_records(tmp_path / "a.parquet"))
    assert [record.position for record in found] == list(range(1, 3001))
    assert [isinstance(record, Malformed) for record in found] == [False] * 1000 + [True] * 1000 + [False] * 1000


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "Hi", "no file type .*Known: .csv, .json, .jsonl, .parquet"),
        ("a.jsonl", "", "is empty"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "1" * 5000, "is not JSON"),
        ("a.json", '{"n": 1}', "wanted a list of objects"),
        ("a.csv", "\n", "no header"),
        ("a.csv", 'a,"b', "header"),
        ("a.csv", "a,b,a\n1,2,3\n", 'two columns called "a"'),
        ("a.parquet", "PAR1", "not Parquet"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_paragraph(tmp_path, name, content, says):
    with pytest.raises(UserError, match=says):
        list(read_records(write(tmp_path, name, content)))


def test_a_missing_file_is_one_paragraph(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_records(tmp_path / "a.jsonl")


@a_few
@given(values=st.lists(json_objects, min_size=1, max_size=5), escaped=st.booleans())
def test_any_json_lines_come_back_as_written(folder, values, escaped):
    path = write(folder, "b.jsonl", "\n".join(json.dumps(value, ensure_ascii=escaped) for value in values))
    assert [record.value for record in read_records(path)] == values


@a_few
@given(
    row=any_row,
    cut=st.integers(0, 400),
    noise=st.binary(max_size=8),
    suffix=st.sampled_from([".jsonl", ".json", ".csv"]),
)
def test_cut_and_garbled_bytes_never_raise_anything_but_a_users_error(folder, row, cut, noise, suffix):
    whole = json.dumps(row.to_json()).encode()
    path = write(folder, f"c{suffix}", whole[:cut] + noise + whole[cut + len(noise) :] + noise)
    assert all(isinstance(outcome, Row | Malformed | RowError) for outcome in outcomes(path))


@a_few
@given(
    noise=st.binary(min_size=1, max_size=60), suffix=st.sampled_from([".jsonl.gz", ".json.gz", ".csv.gz", ".parquet"])
)
def test_bytes_that_are_no_file_never_raise_anything_but_a_users_error(folder, noise, suffix):
    assert all(isinstance(outcome, Malformed | RowError) for outcome in outcomes(write(folder, f"d{suffix}", noise)))


@a_few
@given(value=json_objects | st.fixed_dictionaries({"messages": st.lists(json_objects, max_size=2)}))
def test_any_json_is_a_row_or_has_a_reason(value):
    try:
        assert isinstance(read_row(value, id="x"), Row)
    except RowError as error:
        assert str(error)


def outcomes(path: Path) -> list[Row | Malformed | RowError]:
    """What becomes of each record of a file; of none, when the whole file is refused."""
    try:
        records = list(read_records(path))
    except UserError:
        return []
    return [record if isinstance(record, Malformed) else as_row(record) for record in records]


def as_row(record: Record) -> Row | RowError:
    try:
        return read_row(record.value, id="x")
    except RowError as error:
        return error
