"""The states of steps, out of real runs of small stages."""

from pathlib import Path

import pytest

import toys
from demiurgic.core.errors import UserError
from demiurgic.report.page.evidence import ShownStep, line_numbers, read_evidence
from demiurgic.report.page.headline import headline, verdict_line
from demiurgic.run.lineage import revoke
from demiurgic.run.store import Store, remove
from written_store import WrittenStore

GATED = toys.SUM.replace("data: [parts.high]}", "data: [parts.high], gates: [{metric: total, min: 1e9}]}")


def shown(folder: Path, text: str = toys.SUM, overrides: tuple[str, ...] = ()) -> dict[str, ShownStep]:
    evidence = read_evidence(Store(folder / "store"), recipe=toys.recipe(folder, text, overrides))
    return {step.name: step for step in evidence.steps}


def walk_to(folder: Path, target: str, text: str = toys.SUM, overrides: tuple[str, ...] = ()) -> None:
    toys.run_recipe(toys.recipe(folder, text, overrides).up_to(target), Store(folder / "store"))


def states(folder: Path, text: str = toys.SUM) -> dict[str, str]:
    return {name: step.state for name, step in shown(folder, text).items()}


def test_steps_stand_in_the_recipes_order_with_what_became_of_them(tmp_path: Path):
    toys.walk(tmp_path)
    assert list(states(tmp_path).items()) == [(name, "made") for name in ("some", "mixed", "parts", "sum")]
    toys.walk(tmp_path)
    assert set(states(tmp_path).values()) == {"reused"}


def test_every_number_can_be_traced_to_the_ledger_line_that_made_it(tmp_path: Path):
    toys.walk(tmp_path)
    lines = (tmp_path / "store" / "ledger.jsonl").read_text().splitlines()
    for step in shown(tmp_path).values():
        assert step.line_number is not None
        assert f'"id": "{step.line}"' in lines[step.line_number - 1]
        assert f'"step": "{step.name}"' in lines[step.line_number - 1]
        assert '"event": "made"' in lines[step.line_number - 1]


def test_line_numbers_count_torn_lines_too(tmp_path: Path):
    ledger = Store(tmp_path).ledger
    first = ledger.append("revoked", {})
    with ledger.path.open("a") as file:
        file.write('{"id": "ha')
    second = ledger.append("restored", {})
    assert line_numbers(ledger) == {first: 1, second: 3}


def test_a_step_that_misses_its_gate_is_rejected_with_the_verdict(tmp_path: Path):
    toys.walk(tmp_path, GATED)
    step = shown(tmp_path, GATED)["sum"]
    assert step.state == "rejected"
    assert "total = " in step.why
    assert [verdict.passed for verdict in step.verdicts] == [False]


def test_what_depends_on_a_rejected_step_is_blocked(tmp_path: Path):
    text = toys.SUM.replace("count: 10}", "count: 10, gates: [{metric: rows, min: 100}]}")
    toys.walk(tmp_path, text)
    found = shown(tmp_path, text)
    assert {name: step.state for name, step in found.items()} == {
        "some": "rejected",
        "mixed": "blocked",
        "parts": "blocked",
        "sum": "blocked",
    }
    assert "some was rejected" in found["sum"].why


def test_a_failed_step_says_why_and_those_after_it_are_missing(tmp_path: Path):
    text = toys.SUM.replace("count: 10", "count: 0")
    with pytest.raises(UserError):
        toys.walk(tmp_path, text)
    found = shown(tmp_path, text)
    assert (found["some"].state, found["mixed"].state) == ("failed", "missing")
    assert "count is 0" in found["some"].why


def test_a_revoked_step_takes_its_descendants_with_it(tmp_path: Path):
    toys.walk(tmp_path)
    revoke(Store(tmp_path / "store"), "mixed", why="wrong order")
    found = shown(tmp_path)
    assert {name: step.state for name, step in found.items()} == {
        "some": "made",
        "mixed": "revoked",
        "parts": "revoked",
        "sum": "revoked",
    }
    assert "wrong order" in found["sum"].why


def test_a_step_whose_folder_is_gone_is_missing_and_keeps_what_the_ledger_knows(tmp_path: Path):
    toys.walk(tmp_path)
    store = Store(tmp_path / "store")
    remove(store.named("sum"))
    step = shown(tmp_path)["sum"]
    assert step.state == "missing"
    assert step.summary.metrics["total"].n == 10
    assert step.seconds >= 0
    assert not step.parts


def test_a_step_the_newest_run_did_not_come_to_is_shown_where_its_key_is_the_same(tmp_path: Path):
    toys.walk(tmp_path)
    walk_to(tmp_path, "mixed")
    found = shown(tmp_path)
    assert [step.state for step in found.values()] == ["reused", "reused", "made", "made"]
    assert "not part of the newest run" in found["sum"].note
    assert not found["mixed"].note
    evidence = read_evidence(Store(tmp_path / "store"), recipe=toys.recipe(tmp_path))
    assert verdict_line(evidence) == "sum: 2 reused, 2 made earlier; no gate was judged"
    assert "✓ All 4 steps finished, 2 of them in an earlier run" in str(headline(evidence))


def test_a_step_that_an_earlier_run_rejected_stays_rejected(tmp_path: Path):
    toys.walk(tmp_path, GATED)
    walk_to(tmp_path, "mixed", GATED)
    found = shown(tmp_path, GATED)
    assert [step.state for step in found.values()] == ["reused", "reused", "made", "rejected"]
    assert "total = " in found["sum"].why
    evidence = read_evidence(Store(tmp_path / "store"), recipe=toys.recipe(tmp_path, GATED))
    assert verdict_line(evidence) == "sum: 2 reused, 1 made earlier, 1 rejected; 0 of 1 gates passed"
    assert "✕ 3 of 4 steps finished, 1 of them in an earlier run; sum rejected" in str(headline(evidence))


def test_a_revoked_step_that_the_newest_run_did_not_come_to_is_revoked_with_its_descendants(tmp_path: Path):
    toys.walk(tmp_path)
    walk_to(tmp_path, "some")
    revoke(Store(tmp_path / "store"), "mixed", why="wrong order")
    assert list(states(tmp_path).values()) == ["reused", "revoked", "revoked", "revoked"]
    assert "wrong order" in shown(tmp_path)["sum"].why


def test_what_reads_a_step_that_the_newest_run_rejected_is_blocked(tmp_path: Path):
    toys.walk(tmp_path)
    text = toys.SUM.replace("count: 10}", "count: 10, gates: [{metric: rows, min: 100}]}")
    walk_to(tmp_path, "some", text)
    assert list(states(tmp_path, text).values()) == ["rejected", "blocked", "blocked", "blocked"]


def test_a_step_made_of_other_inputs_than_the_newest_run_has_is_not_passed_off_as_its_result(tmp_path: Path):
    toys.walk(tmp_path)
    changed = toys.SUM.replace("count: 10", "count: 20")
    walk_to(tmp_path, "mixed", changed)
    found = shown(tmp_path, changed)
    assert [step.state for step in found.values()] == ["made", "made", "missing", "missing"]
    assert "out of other inputs" in found["parts"].why
    assert "something that it reads is not there" in found["sum"].why


def test_a_step_made_with_another_config_than_the_recipe_has_is_not_passed_off_as_its_result(tmp_path: Path):
    toys.walk(tmp_path)
    walk_to(tmp_path, "mixed", overrides=("sum.threshold=0.5",))
    found = shown(tmp_path, overrides=("sum.threshold=0.5",))
    assert [step.state for step in found.values()] == ["reused", "reused", "made", "missing"]
    assert "another config" in found["sum"].why


def test_what_a_run_with_other_values_than_the_recipe_left_out_is_missing(tmp_path: Path):
    toys.walk(tmp_path)
    walk_to(tmp_path, "mixed", overrides=("sum.threshold=0.5",))
    found = shown(tmp_path)
    assert [step.state for step in found.values()] == ["reused", "reused", "missing", "missing"]
    assert "had other values than this recipe" in found["sum"].why


def test_without_the_recipe_nobody_can_tell_whether_an_earlier_result_still_stands(tmp_path: Path):
    toys.walk(tmp_path)
    walk_to(tmp_path, "mixed")
    steps = read_evidence(Store(tmp_path / "store"), recipe=None).steps
    assert [(step.stage, step.state) for step in steps[2:]] == [("halve", "missing"), ("total", "missing")]
    assert "can be told with the recipe's file" in steps[3].why


def test_gates_that_the_shown_run_did_not_have_are_not_judged(tmp_path: Path):
    toys.walk(tmp_path, GATED)
    toys.walk(tmp_path)
    step = shown(tmp_path)["sum"]
    assert (step.state, list(step.verdicts)) == ("reused", [])


def test_a_damaged_manifest_is_said_to_be_damaged(tmp_path: Path):
    toys.walk(tmp_path)
    (Store(tmp_path / "store").named("sum") / "manifest.json").write_text("{")
    step = shown(tmp_path)["sum"]
    assert step.state == "damaged"
    assert "manifest.json is damaged" in step.why


def test_a_step_that_two_recipes_share_is_one_result_under_a_name_that_tells_them_apart(tmp_path: Path):
    toys.walk(tmp_path)
    toys.walk(tmp_path, toys.SUM.replace("name: sum", "name: second"), overrides=("parts.limit=5",))
    evidence = read_evidence(Store(tmp_path / "store"), recipe=None)
    assert [step.label for step in evidence.results] == [
        *("sum/some", "sum/mixed", "sum/parts", "sum/sum"),
        *("second/parts", "second/sum"),
    ]


def test_without_a_recipe_every_recipe_and_what_no_run_uses_is_shown(tmp_path: Path):
    toys.walk(tmp_path)
    toys.walk(tmp_path, overrides=("some.count=20",))
    toys.walk(tmp_path, toys.SUM.replace("name: sum", "name: second"))
    evidence = read_evidence(Store(tmp_path / "store"), recipe=None)
    assert [run.recipe for run in evidence.runs] == ["sum", "second"]
    assert evidence.runs[0].overrides == ["some.count=20"]
    assert not evidence.earlier
    toys.walk(tmp_path, toys.SUM.replace("name: sum", "name: second"), overrides=("some.count=30",))
    assert len(read_evidence(Store(tmp_path / "store"), recipe=None).earlier) == 4


def test_an_empty_store_says_how_to_start(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no run yet.*demiurgic run"):
        read_evidence(Store(tmp_path / "store"), recipe=None)


def test_a_recipe_that_was_never_run_here_is_named_with_those_that_were(tmp_path: Path):
    written = WrittenStore(tmp_path / "store", recipe="other")
    written.start("a")
    written.made("a", "collect", metrics={"rows": 1})
    with pytest.raises(UserError, match="no run of the recipe sum; it has runs of: other"):
        read_evidence(written.store, recipe=toys.recipe(tmp_path))
