"""Rows through the whole of `curate`: whatever they hold, each is in one part, untouched, or dropped with a reason."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demiurgic.core.artifacts import Dataset, Manifest, stamp_part
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Summary
from demiurgic.core.records import Message, Row, RowWriter
from demiurgic.curate.curate import SCRATCH, STAGE
from demiurgic.run.context import Context
from demiurgic.run.engine import Engine
from demiurgic.run.step import run_stage
from tiny_rows import any_row, chat

PARTS = ("train", "validation", "held_out", "dropped")
FILTERS = ["schema", "length", "min_words", "python_syntax", {"use": "fits_dialect", "only_tag": True}]
HUGE = "word " * 2_000_000


def dataset(folder, rows, *, rows_per_shard=50_000):
    """Rows as the part of a finished step, as they are: not read from a file that could refuse them."""
    with RowWriter(folder / "rows", rows_per_shard=rows_per_shard) as writer:
        for row in rows:
            writer.write(row)
    parts = {"rows": stamp_part(folder / "rows", kind="dataset")}
    Manifest(folder.name, "made", 1, folder.name, {}, None, {}, parts, Summary(), {}, {}, "").write(folder)
    return folder / "rows"


def curate(data, out, *, workers=1, **values):
    values = {"split": {"held_out": 0}, **values}
    return run_stage(STAGE, {"data": data, **values}, out, context=Context(engine=Engine(workers)))


def parts(out):
    return {part: list(Dataset.open(out / part).rows()) for part in PARTS}


def without_reasons(row):
    facts = {name: value for name, value in row.facts.items() if name not in ("dropped", "would_drop")}
    return replace(row, meta=json.dumps(facts, sort_keys=True))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_row, max_size=8), st.data())
def test_every_row_is_in_one_part_as_it_was_or_says_why_it_was_dropped(rows, data):
    rows += [Row("nul", text="a\0b"), chat("", "", id="empty"), chat("Hi", "Hello there, you!", id="good")]
    rows = [replace(row, id=f"{number}/{row.id}") for number, row in enumerate(rows)]
    cut = data.draw(st.integers(0, len(rows)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = [dataset(folder / "a", rows[:cut]), dataset(folder / "b", rows[cut:], rows_per_shard=2)]
        out = curate(sets, folder / "out", filters=FILTERS)
        found = parts(out)
        summary = Manifest.read(out).summary
    assert sorted(row.id for part in found.values() for row in part) == sorted(row.id for row in rows)
    assert all(row.facts["dropped"]["reason"] for row in found["dropped"])
    before = {row.id: without_reasons(row) for row in rows}
    assert all(without_reasons(row) == before[row.id] for part in found.values() for row in part)
    counted = sum(number for reasons in summary.facts["dropped"].values() for number in reasons.values())
    assert counted == len(found["dropped"]) == summary.metrics["dropped"].value


def test_a_row_of_ten_million_bytes_passes(tmp_path):
    rows = [Row("huge", text=HUGE), chat("Hi", HUGE, id="long"), chat("Hi", "Hello there, you!", id="short")]
    filters = ["schema", {"use": "length", "max_characters": None}, "min_words", "python_syntax"]
    found = parts(curate(dataset(tmp_path / "a", rows), tmp_path / "out", filters=filters))
    assert found["train"] == rows


def test_a_row_whose_id_another_has_is_set_aside_and_named(tmp_path):
    first, second = chat("Hi", "Hello there, you!", id="x"), chat("Bye", "See you then!", id="x")
    bad = chat("Hi", "", id="y")
    sets = [dataset(tmp_path / "a", [first, bad]), dataset(tmp_path / "b", [second, chat("Why?", "So, that.", id="y")])]
    out = curate(sets, tmp_path / "out")
    found = parts(out)
    assert [row.answer() for row in found["train"]] == ["Hello there, you!", "So, that."]
    assert [row.facts["dropped"] for row in found["dropped"] if row.id == "x"] == [
        {"reason": "id: another row has it", "evidence": "in data.1; the first is in data.0", "witness": "x"}
    ]
    assert Manifest.read(out).summary.facts["dropped"]["unnamed"]["id: another row has it"] == 1


def test_duplicates_are_sought_across_datasets(tmp_path):
    one, other = (chat("Hi", "Hello there, you!", id=id, source=id) for id in ("a", "b"))
    out = curate([dataset(tmp_path / "a", [one]), dataset(tmp_path / "b", [other])], tmp_path / "out")
    (gone,) = parts(out)["dropped"]
    assert (gone.id, gone.facts["dropped"]["witness"]) == ("b", "a")
    assert sorted(Manifest.read(out).inputs) == ["data.0", "data.1"]


def test_what_only_tags_is_counted_and_changes_no_part(tmp_path):
    rows = [chat("Hi", "one", id="a", source="list"), chat("Hi", "one two three", id="b", source="list")]
    out = curate(dataset(tmp_path / "a", rows), tmp_path / "out", filters=[{"use": "min_words", "only_tag": True}])
    tagged, plain = parts(out)["train"]
    assert [tag["reason"] for tag in tagged.facts["would_drop"]] == ["min_words: too few words"]
    assert plain.facts == {}
    assert Manifest.read(out).summary.facts["tagged"] == {"list": {"min_words: too few words": 1}}


def digests(out):
    return {name: part.digest for name, part in Manifest.read(out).parts.items()}


def test_neither_workers_nor_memory_change_a_byte(tmp_path, monkeypatch):
    monkeypatch.setattr("demiurgic.curate.row_pass.WORTH_PROCESSES", 10)
    monkeypatch.setattr("demiurgic.curate.row_pass.SLICE_ROWS", 20)
    rows = [chat(f"What is {n}?", f"It is {n % 40} and more", id=str(n), source=f"s{n % 3}") for n in range(100)]
    data = dataset(tmp_path / "a", rows, rows_per_shard=15)
    alone = curate(data, tmp_path / "alone", deduplicate="near")
    two = curate(data, tmp_path / "two", workers=2, deduplicate="near", memory_gb=1e-6)
    assert digests(alone) == digests(two)
    assert len(list((alone / "train").iterdir())) > 1


def test_nothing_is_left_of_what_it_needed_on_the_way(tmp_path):
    out = curate(dataset(tmp_path / "a", [chat("Hi", "Hello there, you!")]), tmp_path / "out")
    assert not (out / SCRATCH).exists()
    assert (out / "cpu_seconds.json").exists()
    seconds = json.loads((out / "wall_seconds.json").read_text())
    assert list(seconds) == ["row pass", "id", "duplicates", "split", "writing"]


KILLED = """
import sys, time
from pathlib import Path
from demiurgic.curate import curate
from demiurgic.run.step import run_stage

def never(*args, **kwargs):
    Path(sys.argv[3]).touch()
    time.sleep(60)

curate.write_parts = never
run_stage(curate.STAGE, {"data": sys.argv[1], "split": {"held_out": 0}}, Path(sys.argv[2]))
"""


def test_a_run_that_is_killed_leaves_nothing_that_the_next_one_minds(tmp_path):
    data = dataset(tmp_path / "a", [chat(f"{n}?", f"It is {n} then", id=str(n)) for n in range(30)])
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data), str(tmp_path / "out"), str(tmp_path / "there")]
    )
    until = time.monotonic() + 60
    while not (tmp_path / "there").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (partial,) = tmp_path.glob("out-*.partial")
    assert list((partial / SCRATCH).iterdir())
    assert not (tmp_path / "out").exists()
    assert digests(curate(data, tmp_path / "out")) == digests(curate(data, tmp_path / "undisturbed"))
    assert not partial.exists()


def test_a_full_disk_is_told_as_one(tmp_path):
    import resource

    rows = [chat(f"{n}?", os.urandom(2000).hex(), id=str(n)) for n in range(300)]
    data = dataset(tmp_path / "a", rows)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(UserError, match="is full"):
            curate(data, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_reasoning_weights_and_calls_come_through(tmp_path):
    talk = (
        Message("user", "Grüße 你好 🎉\u2028", weight=0.25),
        Message("assistant", "Hello there, you!", reasoning="Be\0polite."),
    )
    row = Row(
        "r", talk, rejected=(Message("assistant", "No."),), scores={"a": 0.1}, teacher="t", meta='{"b": {"c": []}}'
    )
    assert parts(curate(dataset(tmp_path / "a", [row]), tmp_path / "out", filters=["schema"]))["train"] == [row]
