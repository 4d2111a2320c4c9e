"""Datasets of a hub on the loopback: read as they come, gone on with where they broke off, pinned to a commit."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from demiurgic.collect import remote_file
from demiurgic.collect.hub_files import by_patterns, by_split
from demiurgic.collect.public_sets import PUBLIC_SETS, PublicSet
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.core.errors import UserError
from demiurgic.core.hashing import canonical
from loopback_hub import COMMIT, Hub, loopback_hub

ALPACA = [{"instruction": f"Double {n}.", "input": "", "output": str(2 * n)} for n in range(3000)]
CARD = """---
license: mit
configs:
- config_name: main
  default: true
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: test.jsonl.gz
---
# Doubles
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = tmp_path / "hub"
    (folder / "data").mkdir(parents=True)
    table = pa.table({name: [row[name] for row in ALPACA] for name in ALPACA[0]})
    parquet.write_table(table, folder / "data" / "train-00000.parquet", row_group_size=500)
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in ALPACA).encode())
    (folder / "test.jsonl.gz").write_bytes(packed)
    (folder / "plain.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ALPACA))
    (folder / "README.md").write_text(CARD)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(remote_file, "FIRST_WAIT_SECONDS", 0.01)
    with loopback_hub(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def read(base: Path, **options):
    return list(SOURCES.choose({"use": "hub", "id": "tiny/set", "revision": COMMIT, **options})(base))


@pytest.mark.parametrize(
    ("options", "file"),
    [
        ({}, "data/train-00000.parquet"),
        ({"config": "main", "split": "test"}, "test.jsonl.gz"),
        ({"files": ["*.jsonl"]}, "plain.jsonl"),
    ],
)
def test_the_rows_of_a_split_or_of_files_come_in(hub: Hub, tmp_path: Path, options, file):
    rows = read(tmp_path, license="MIT", **options)
    assert [row.messages[-1].content for row in rows] == [row["output"] for row in ALPACA]
    assert (rows[0].id, rows[0].source, rows[0].license) == (f"tiny/set/{file}:1", "tiny/set", "MIT")


def test_nothing_is_kept_on_the_disk_unless_asked_for(hub: Hub, tmp_path: Path):
    read(tmp_path / "here", files=["plain.jsonl"])
    assert not (tmp_path / "here").exists()
    assert read(tmp_path, files=["plain.jsonl"], copy_to="copies") == read(tmp_path, files=["plain.jsonl"])
    assert (tmp_path / "copies" / "plain.jsonl").read_bytes() == (hub.folder / "plain.jsonl").read_bytes()


@pytest.mark.parametrize("file", ["plain.jsonl", "test.jsonl.gz", "data/train-00000.parquet"])
def test_a_broken_connection_is_taken_up_where_it_broke_off(hub: Hub, tmp_path: Path, file: str):
    hub.cut_after[file] = 1000
    assert len(read(tmp_path, files=[file])) == len(ALPACA)
    assert not hub.cut_after
    assert "bytes=1000-" in hub.asked_for(file) or file.endswith(".parquet")


def test_rows_beyond_the_first_so_many_are_not_asked_for(hub: Hub, tmp_path: Path):
    assert len(read(tmp_path, files=["*.jsonl", "*.gz"], max_rows=7)) == 7
    assert not hub.asked_for("test.jsonl.gz")


def test_other_content_than_the_hub_lists_is_refused(hub: Hub, tmp_path: Path):
    content = (hub.folder / "plain.jsonl").read_bytes()
    hub.replaced["plain.jsonl"] = content.replace(b"Double 7.", b"Treble 7.")
    with pytest.raises(UserError, match=r"tiny/set/plain\.jsonl is not what the hub lists"):
        read(tmp_path, files=["plain.jsonl"])


def test_another_size_than_the_hub_lists_is_refused(hub: Hub, tmp_path: Path):
    hub.replaced["plain.jsonl"] = b"{}\n"
    with pytest.raises(UserError, match="the hub lists"):
        read(tmp_path, files=["plain.jsonl"])


@pytest.mark.parametrize("revision", [None, "main"])
def test_a_revision_that_can_move_is_refused_with_the_present_commit(hub: Hub, tmp_path: Path, revision):
    with pytest.raises(UserError, match=f"It is now: revision: {COMMIT}"):
        read(tmp_path, revision=revision)


def test_without_a_hub_to_ask_the_message_says_what_prints_the_commit(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"git ls-remote http://127\.0\.0\.1:9/datasets/tiny/set HEAD"):
        read(tmp_path, revision=None)
    with pytest.raises(UserError, match="does not answer"):
        read(tmp_path)


def test_a_dataset_that_does_not_exist_is_named(hub: Hub, tmp_path: Path):
    with pytest.raises(UserError, match="no repository tiny/other, or it is private"):
        read(tmp_path, id="tiny/other")


def test_files_that_are_not_there_are_answered_with_those_that_are(hub: Hub, tmp_path: Path):
    with pytest.raises(UserError, match=r"no file matches train\.jsonl.*It has data/train-00000\.parquet, plain"):
        read(tmp_path, files=["train.jsonl"])


def test_the_fingerprint_is_the_commit_and_asks_no_network(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    choice = SOURCES.choose({"use": "hub", "id": "tiny/set", "revision": COMMIT})
    print_ = choice.entry.fingerprint(tmp_path, **dict(choice.options))
    assert (print_["commit"], print_["hub"]) == (COMMIT, "http://127.0.0.1:9")
    canonical(print_)


def test_a_known_set_is_read_by_its_name(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known = PublicSet("tiny/set", 3000, "MIT", "alpaca", "", "", files=("*.jsonl",), domain="mathematics", teacher="me")
    monkeypatch.setitem(PUBLIC_SETS, "alpaca", known)  # type: ignore[arg-type]
    rows = list(SOURCES.choose({"use": "public", "set": "alpaca", "revision": COMMIT, "max_rows": 2})(tmp_path))
    assert [(row.id, row.source, row.license, row.domain, row.teacher) for row in rows] == [
        (f"alpaca/plain.jsonl:{n}", "alpaca", "MIT", "mathematics", "me") for n in (1, 2)
    ]


NAMES = ["README.md", "main/train-00000.parquet", "main/test-00000.parquet", "data/train.jsonl", "other.txt"]


@pytest.mark.parametrize(
    ("config", "split", "found"),
    [
        ("main", "train", ["main/train-00000.parquet"]),
        (None, "train", ["data/train.jsonl"]),
        ("main", "test", ["main/test-00000.parquet"]),
    ],
)
def test_without_a_card_a_split_is_told_by_the_names_of_files(config, split, found):
    assert by_split(NAMES, "", config=config, split=split, where="a/b") == found


def test_a_split_that_no_file_plainly_is_asks_for_the_files():
    with pytest.raises(UserError, match=r"no file is plainly the split dev. Name the files"):
        by_split(NAMES, "", config=None, split="dev", where="a/b")


def test_a_card_with_several_configs_wants_one_named():
    card = "---\nconfigs:\n- config_name: a\n  data_files: x.jsonl\n- config_name: b\n  data_files: y.jsonl\n---\n"
    with pytest.raises(UserError, match="Write one of: config: a, config: b"):
        by_split(["x.jsonl", "y.jsonl"], card, config=None, split="train", where="a/b")
    assert by_split(["x.jsonl", "y.jsonl"], card, config="b", split="train", where="a/b") == ["y.jsonl"]


def test_patterns_choose_each_file_once_in_their_order():
    names = ["a.csv", "b.csv"]
    assert by_patterns(names, ["b.*", "*.csv"], where="a/b") == ["b.csv", "a.csv"]


def test_every_known_set_can_be_named_and_read():
    for name, known in PUBLIC_SETS.items():
        SOURCES.choose({"use": "public", "set": name})
        SOURCES.choose({"use": "hub", "id": known.id, "format": known.format})
        assert known.num_rows and known.license and known.caveats
    assert not any(isinstance(known, BadRow) for known in PUBLIC_SETS.values())
