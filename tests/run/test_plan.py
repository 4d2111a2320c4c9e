from demiurgic.run.plan import plan_recipe
from demiurgic.run.store import Store
from toys import SUM, recipe, walk


def actions(folder, text=SUM, **more):
    plan = plan_recipe(recipe(folder, text, **more), Store(folder / "store"))
    return {step.step: (step.action, step.why) for step in plan.steps}, plan.warnings


def test_an_empty_store_means_everything_runs(tmp_path):
    steps, _ = actions(tmp_path)
    assert steps["some"] == ("run", "not made yet")
    assert steps["sum"] == ("run", "after parts")
    assert not (tmp_path / "store").exists()


def test_a_finished_recipe_is_reused(tmp_path):
    walk(tmp_path)
    assert {action for action, _ in actions(tmp_path)[0].values()} == {"reuse"}


def test_the_plan_says_what_changed(tmp_path):
    walk(tmp_path)
    steps, _ = actions(tmp_path, overrides=("parts.limit=5", "sum.threshold=0.5"))
    assert steps["parts"] == ("run", "changed: limit 4 -> 5")
    assert steps["sum"] == ("run", "after parts")
    assert actions(tmp_path, overrides=("seed=8",))[0]["mixed"] == ("run", "changed: seed 7 -> 8")


def test_an_interrupted_step_will_be_resumed(tmp_path):
    text = "steps:\n  slow: {use: count, to: 3}\n"
    folder = walk(tmp_path, text)[0].folder
    folder.rename(folder.with_name(folder.name + ".partial"))
    assert actions(tmp_path, text)[0]["slow"] == ("resume", "an earlier run was interrupted")


def test_a_step_that_leaves_the_house_without_a_gate_is_warned_about(tmp_path):
    assert actions(tmp_path)[1] == ["sum (total) leaves the house with no gate before it"]
    gated = SUM.replace("limit: 4}", "limit: 4, gates: [{metric: high, min: 1}]}")
    assert actions(tmp_path, gated)[1] == []


def test_a_rejected_step_blocks_in_the_plan_too(tmp_path):
    gated = SUM.replace("limit: 4}", "limit: 4, gates: [{metric: high, min: 100}]}")
    walk(tmp_path, gated)
    steps, _ = actions(tmp_path, gated)
    assert steps["parts"][0] == "rejected"
    assert steps["sum"][0] == "blocked"


def test_a_step_that_only_requires_an_unmade_one_is_reused(tmp_path):
    walk(tmp_path)
    text = SUM.replace("  sum:   {", "  check: {use: numbers, count: 2}\n  sum: {requires: [check], ")
    assert actions(tmp_path, text)[0]["sum"][0] == "reuse"


def test_a_folder_that_is_gone_is_the_reason(tmp_path):
    from demiurgic.run.store import remove

    remove(walk(tmp_path)[0].folder)
    assert actions(tmp_path)[0]["some"] == ("run", "its folder is gone from the store")
