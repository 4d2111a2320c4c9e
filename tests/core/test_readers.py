"""Readers: every record of a file, or the position and reason of what is none; never a traceback."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from demiurgic.core.errors import UserError
from demiurgic.core.files.readers import Malformed, Record, read_records
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


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
@pytest.mark.parametrize("damage", ["cut off", "not gzip", "garbled"])
def test_a_damaged_gzip_file_is_one_paragraph(tmp_path, name, damage):
    whole = gzip.compress(b'{"n": 1}\n' * 1000)
    content = {"cut off": whole[:-10], "not gzip": b"n\n1\n", "garbled": whole[:20] + b"\xff" * 20 + whole[40:]}[damage]
    with pytest.raises(UserError, match="truncated or not gzip"):
        list(read_records(write(tmp_path, name, content)))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "Hi", "no file type .*Known: .csv, .json, .jsonl, .parquet"),
        ("a.jsonl", "", "is empty"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "1" * 5000, "is not JSON"),
        ("a.json", "[" * 100_000, "is not JSON"),
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
