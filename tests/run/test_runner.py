import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from demiurgic.core.artifacts import Manifest
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.run.context import Context
from demiurgic.run.recipe import load_recipe
from demiurgic.run.runner import run_recipe
from demiurgic.run.store import Store
from toys import STAGES, SUM, recipe, statuses, walk


def ledger(folder: Path) -> list[dict]:
    return list(Store(folder / "store").ledger.lines())


def test_a_first_run_makes_every_step(tmp_path):
    outcomes = walk(tmp_path)
    assert set(statuses(outcomes).values()) == {"made"}
    assert outcomes[-1].manifest.summary.metrics["total"].value == sum(range(4, 10))


def test_a_second_run_reuses_every_step(tmp_path):
    first = walk(tmp_path)
    second = walk(tmp_path)
    assert set(statuses(second).values()) == {"reused"}
    assert [o.key for o in first] == [o.key for o in second]


def test_a_change_makes_only_what_depends_on_it(tmp_path):
    walk(tmp_path)
    changed = walk(tmp_path, overrides=("parts.limit=5",))
    assert statuses(changed) == {"some": "reused", "mixed": "reused", "parts": "made", "sum": "made"}


def test_a_change_that_gives_the_same_result_stops_there(tmp_path):
    walk(tmp_path)
    changed = walk(tmp_path, overrides=("some.note=other",))
    assert statuses(changed) == {"some": "made", "mixed": "reused", "parts": "reused", "sum": "reused"}


def test_a_new_seed_makes_only_stages_that_use_it(tmp_path):
    walk(tmp_path)
    assert statuses(walk(tmp_path, overrides=("seed=8",)))["some"] == "reused"
    assert statuses(walk(tmp_path, overrides=("seed=9",)))["mixed"] == "made"


def test_only_the_part_used_enters_a_key(tmp_path):
    walk(tmp_path)
    # Nine numbers instead of ten change parts.high alone; what reads parts.low must stay.
    text = SUM + "  few: {use: total, data: parts.low}\n  mixed2: {use: numbers, count: 1}\n"
    before = {o.step: o.key for o in walk(tmp_path, text.replace("data: mixed, limit", "data: some, limit"))}
    after = {
        o.step: o.key
        for o in walk(tmp_path, text.replace("data: mixed, limit", "data: some, limit"), overrides=("some.count=9",))
    }
    assert before["few"] == after["few"]
    assert before["sum"] != after["sum"]


def test_steps_that_say_the_same_share_one_artifact(tmp_path):
    outcomes = walk(tmp_path, SUM + "  again: {like: some}\n")
    assert outcomes[-1].status == "reused"
    assert outcomes[-1].key == outcomes[0].key


def test_to_runs_one_step_and_what_it_needs(tmp_path):
    outcomes = run_recipe(recipe(tmp_path).up_to("mixed"), Store(tmp_path / "store"))
    assert [o.step for o in outcomes] == ["some", "mixed"]


def test_the_ledger_tells_how_each_step_was_made(tmp_path):
    walk(tmp_path, overrides=("some.count=11",))
    line = next(line for line in ledger(tmp_path) if line["event"] == "made" and line["step"] == "mixed")
    assert (line["event"], line["step"], line["stage"], line["seed"]) == ("made", "mixed", "shuffle", 7)
    assert line["overrides"] == ["some.count=11"]
    assert line["inputs"]["data"]["step"] == "some"
    assert line["peak_memory_bytes"] > 1_000_000
    assert {"code", "versions", "device", "seconds", "digests", "summary", "config", "id", "time"} <= set(line)


def test_packages_may_depend_on_the_config_and_are_missed_before_anything_runs(tmp_path):
    needing = replace(STAGES["numbers"], needs=lambda config: [config.note] if config.note else [])
    path = tmp_path / "recipe.yaml"
    path.write_text("steps:\n  a: {use: numbers, count: 1}\n  b: {use: numbers, count: 1, note: nowhere_to_be_found}\n")
    context = Context(console=Console(quiet=True))
    with pytest.raises(UserError, match="needs the package nowhere_to_be_found"):
        run_recipe(load_recipe(path, {"numbers": needing}), Store(tmp_path / "store"), context=context)
    assert not Store(tmp_path / "store").artifacts()
    path.write_text(path.read_text().replace("nowhere_to_be_found", "pytest"))
    plain, noted = run_recipe(load_recipe(path, {"numbers": needing}), Store(tmp_path / "store"), context=context)
    assert noted.manifest.took["versions"]["pytest"] == pytest.__version__
    assert "pytest" not in plain.manifest.took["versions"]


def test_a_manifest_knows_all_its_ancestors(tmp_path):
    manifest = walk(tmp_path)[-1].manifest
    assert {step["step"] for step in manifest.lineage.values()} == {"some", "mixed", "parts"}


def test_a_finished_folder_is_whole_and_no_partial_stays(tmp_path):
    walk(tmp_path)
    store = Store(tmp_path / "store")
    assert store.partials() == []
    assert len(store.artifacts()) == 4


def test_a_failing_step_stops_the_run_and_keeps_what_was_made(tmp_path):
    text = SUM.replace("sum:   {", "bad: {use: numbers, count: 0}\n  sum:   {")
    with pytest.raises(UserError, match="count is 0"):
        walk(tmp_path, text)
    last = ledger(tmp_path)[-1]
    assert (last["event"], last["step"], last["reason"]) == ("failed", "bad", "UserError: count is 0; give at least 1")
    assert statuses(walk(tmp_path))["parts"] == "reused"


GATED = SUM.replace("limit: 4}", "limit: 4, gates: [{metric: high, min: 7}]}") + "  other: {use: numbers, count: 3}\n"


def test_a_missed_gate_rejects_and_blocks_only_what_depends_on_it(tmp_path):
    outcomes = walk(tmp_path, GATED)
    assert statuses(outcomes) == {
        "some": "made",
        "mixed": "made",
        "parts": "rejected",
        "sum": "blocked",
        "other": "made",
    }
    assert outcomes[2].folder.is_dir()  # kept for inspection
    assert "parts was rejected: high = 6 [6, 6], wanted interval >= 7: missed" in outcomes[3].why


def test_gates_are_judged_again_without_remaking(tmp_path):
    walk(tmp_path, GATED)
    again = walk(tmp_path, GATED.replace("min: 7", "min: 6"))
    assert statuses(again)["parts"] == "reused"
    assert statuses(again)["sum"] == "made"


def test_a_gate_on_something_that_was_not_measured_rejects_and_the_step_stays_recorded(tmp_path):
    outcomes = walk(tmp_path, GATED.replace("metric: high", "metric: hihg"))
    assert statuses(outcomes)["parts"] == "rejected"
    assert "hihg is not known" in outcomes[2].why
    assert [line["step"] for line in ledger(tmp_path) if line["event"] == "made"] == ["some", "mixed", "parts", "other"]


def test_a_step_killed_before_its_ledger_line_is_recorded_by_the_next_run(tmp_path):
    walk(tmp_path)
    path = tmp_path / "store" / "ledger.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"step": "parts"' not in line))
    walk(tmp_path)
    made = [line for line in ledger(tmp_path) if line["event"] == "made" and line["step"] == "parts"]
    assert len(made) == 1
    assert made[0]["seconds"] > 0


def test_a_context_from_python_still_reads_from_the_recipes_folder(tmp_path, monkeypatch):
    from demiurgic.run.context import Context

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    first = run_recipe(recipe(tmp_path), Store(tmp_path / "store"), context=Context())
    assert set(statuses(first).values()) == {"made"}
    assert set(statuses(walk(tmp_path)).values()) == {"reused"}


def test_a_finished_folder_without_its_manifest_is_named_before_any_work(tmp_path):
    folder = walk(tmp_path)[0].folder
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="its manifest is gone. Delete the folder"):
        walk(tmp_path)


def test_a_file_added_to_a_part_is_damage(tmp_path):
    rows = walk(tmp_path)[0].folder / "rows"
    (rows / "rows-00001.parquet").write_bytes((rows / "rows-00000.parquet").read_bytes())
    with pytest.raises(UserError, match="rows-00001.parquet was not written by the step"):
        walk(tmp_path)


def test_requires_orders_and_blocks_without_entering_the_key(tmp_path):
    free = {o.step: o.key for o in walk(tmp_path)}
    text = SUM.replace(
        "  sum:   {", "  check: {use: numbers, count: 2, gates: [{metric: rows, min: 3}]}\n  sum: {requires: [check], "
    )
    outcomes = walk(tmp_path, text)
    assert statuses(outcomes)["sum"] == "blocked"
    passing = {o.step: o.key for o in walk(tmp_path, text.replace("min: 3", "min: 1"))}
    assert passing["sum"] == free["sum"]


def test_a_corrupted_artifact_is_named_and_not_used(tmp_path):
    shard = walk(tmp_path)[0].folder / "rows" / "rows-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"bytes where .* were written. The artifact is corrupted: delete"):
        walk(tmp_path)


def test_silent_corruption_is_found_when_a_step_reads_it(tmp_path):
    shard = walk(tmp_path)[0].folder / "rows" / "rows-00000.parquet"
    stat, content = shard.stat(), bytearray(shard.read_bytes())
    content[20] ^= 255
    shard.write_bytes(content)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(UserError, match="does not have the content that was written"):
        walk(tmp_path, overrides=("seed=8",))


def test_a_store_moved_elsewhere_is_still_reused(tmp_path):
    walk(tmp_path)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*.parquet"):
        os.utime(path, (1, 1))
    assert set(statuses(walk(tmp_path, store=tmp_path / "elsewhere")).values()) == {"reused"}


def test_a_file_that_a_crash_left_half_written_is_not_in_the_way(tmp_path):
    store = Store(tmp_path / "store")
    walk(tmp_path)
    with store.ledger.path.open("a") as file:
        file.write('{"id": "12345678", "event": "ma')
    assert set(statuses(walk(tmp_path)).values()) == {"reused"}
    assert store.ledger.num_torn() == 1
    assert json.loads(store.ledger.path.read_bytes().splitlines()[-1])["event"] == "reused"


def test_plug_in_versions_enter_the_key(tmp_path):
    from dataclasses import replace

    from demiurgic.run.step import step_key
    from toys import STAGES, WORDS

    config = STAGES["numbers"].config.model_validate({"count": 1, "word": "hello"})
    old = step_key(STAGES["numbers"], config, seed=0, base=tmp_path)
    newer = replace(config.word, entry=replace(WORDS.get("hello"), version=2))
    new = step_key(STAGES["numbers"], config.model_copy(update={"word": newer}), seed=0, base=tmp_path)
    assert old != new


def test_the_manifest_is_written_last(tmp_path):
    folder = walk(tmp_path)[0].folder
    others = [path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert (folder / "manifest.json").stat().st_mtime_ns >= max(others)
    assert Manifest.read(folder).key in folder.name
