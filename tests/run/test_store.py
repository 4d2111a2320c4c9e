import subprocess
import sys
from pathlib import Path

import pytest

from demiurgic.core.artifacts import Manifest
from demiurgic.core.errors import UserError
from demiurgic.run.garbage import collect_garbage, garbage
from demiurgic.run.ledger import Ledger
from demiurgic.run.lineage import restore, revoke
from demiurgic.run.runner import run_recipe
from demiurgic.run.status import store_status
from demiurgic.run.step import run_stage
from demiurgic.run.store import Store, folder_name, remove
from toys import STAGES, SUM, recipe, statuses, walk

HOLD = """
import sys
from pathlib import Path
from demiurgic.run.store import Store
with Store(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_on_one_store_are_refused_with_the_holder(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "store")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"is in use by process {holder.pid} on .* Wait for it to end"):
            walk(tmp_path)
        holder.kill()
        holder.wait()
        assert set(statuses(walk(tmp_path)).values()) == {"made"}  # the lock went with the process


def test_a_store_is_in_use_while_it_is_locked_and_not_after_a_crash(tmp_path):
    store = Store(tmp_path / "store")
    assert not store.in_use()
    with store.locked():
        assert store.in_use()
    assert not store.in_use()
    (store.path / "lock").write_text('{"pid": 1}')  # as a killed run leaves it
    assert not store.in_use()
    with store.locked():  # asking holds nobody up
        pass


def test_a_revoked_step_and_what_was_made_from_it_are_unusable(tmp_path):
    walk(tmp_path)
    store = Store(tmp_path / "store")
    assert set(revoke(store, "mixed", why="bad shuffle")) == {"mixed", "parts", "sum"}
    with pytest.raises(UserError, match=r"mixed was revoked: bad shuffle.*revoke [0-9a-f]{16} --undo"):
        walk(tmp_path)
    assert statuses(walk(tmp_path, overrides=("seed=99",)))["mixed"] == "made"


def test_a_descendant_names_the_ancestor_that_was_revoked(tmp_path):
    walk(tmp_path)
    store = Store(tmp_path / "store")
    revoke(store, "some", why="wrong numbers")
    says = {step.step: step.says for step in store_status(store).recipes["sum"]}
    assert says["sum"].startswith("sum was made from some, which was revoked: wrong numbers")


def test_a_revocation_can_be_lifted(tmp_path):
    walk(tmp_path)
    store = Store(tmp_path / "store")
    revoke(store, "mixed", why="bad shuffle")
    assert restore(store, "mixed") == "mixed"
    assert set(statuses(walk(tmp_path)).values()) == {"reused"}
    with pytest.raises(UserError, match="is not revoked"):
        restore(store, "mixed")


def test_a_revoked_key_is_not_made_again_after_its_folder_is_gone(tmp_path):
    folder = walk(tmp_path)[1].folder
    store = Store(tmp_path / "store")
    revoke(store, "mixed", why="bad shuffle")
    remove(folder)
    with pytest.raises(UserError, match="mixed was revoked: bad shuffle"):
        walk(tmp_path)
    restore(store, Manifest.read(store.named("parts")).inputs["data"]["key"][:6])
    assert statuses(walk(tmp_path))["mixed"] == "made"


def test_a_single_stage_refuses_a_revoked_input(tmp_path):
    folder = walk(tmp_path)[0].folder
    revoke(Store(tmp_path / "store"), "some", why="wrong numbers")
    with pytest.raises(UserError, match="some was revoked: wrong numbers"):
        run_stage(STAGES["shuffle"], {"data": str(folder)}, tmp_path / "out")


def test_gc_spares_what_each_recipe_uses(tmp_path):
    walk(tmp_path)
    walk(tmp_path, overrides=("parts.limit=5",))
    walk(tmp_path, SUM.replace("name: sum", "name: other"), overrides=("sum.threshold=1e-4",))
    store = Store(tmp_path / "store")
    (store.path / "left-0123456789abcdef.partial").mkdir()
    found = {item.folder.name.partition("-")[0] for item in garbage(store)}
    assert found == {"left", "sum"}
    assert len(collect_garbage(store, garbage(store))) == 2
    assert garbage(store) == []
    assert set(statuses(walk(tmp_path, overrides=("parts.limit=5",))).values()) == {"reused"}


def test_gc_after_a_short_or_failed_run_spares_what_it_did_not_come_to(tmp_path):
    walk(tmp_path)
    store = Store(tmp_path / "store")
    run_recipe(recipe(tmp_path).up_to("some"), store)
    assert garbage(store) == []
    with pytest.raises(UserError, match="count is 0"):
        walk(tmp_path, overrides=("some.count=0",))
    assert [item.folder.suffix for item in garbage(store)] == [".partial"]


def test_gc_deletes_only_what_is_garbage_still(tmp_path):
    walk(tmp_path)
    walk(tmp_path, overrides=("parts.limit=5",))
    store = Store(tmp_path / "store")
    listed = garbage(store)
    walk(tmp_path)  # while a person reads the list, the old parts are used again
    deleted = collect_garbage(store, listed)
    assert {item.folder for item in deleted}.isdisjoint({outcome.folder for outcome in walk(tmp_path)})


def test_a_deletion_cut_short_is_neither_found_nor_resumed(tmp_path):
    text = "steps:\n  slow: {use: count, to: 3}\n"
    folder = walk(tmp_path, text)[0].folder
    folder.rename(folder.with_name(folder.name + ".deleted"))  # what a kill in the middle of `remove` leaves
    store = Store(tmp_path / "store")
    assert store.artifacts() == store.partials() == []
    assert [item.why for item in garbage(store)] == ["half deleted"]
    assert walk(tmp_path, text)[0].manifest.summary.metrics["counted_now"].value == 3


def test_gc_keeps_the_ancestors_of_what_is_used(tmp_path):
    walk(tmp_path)
    walk(tmp_path, "name: sum\nsteps:\n  some: {use: numbers, count: 10}\n")
    assert {item.folder.name.partition("-")[0] for item in garbage(Store(tmp_path / "store"))} == {
        "mixed",
        "parts",
        "sum",
    }


def test_status_cites_the_line_that_made_each_step(tmp_path):
    walk(tmp_path)
    walk(tmp_path)
    store = Store(tmp_path / "store")
    made = {line["step"]: line["id"] for line in store.ledger.lines() if line["event"] == "made"}
    for step in store_status(store).recipes["sum"]:
        assert (step.last, step.line) == ("reused", made[step.step])


def test_status_verify_names_a_changed_file(tmp_path):
    shard = walk(tmp_path)[0].folder / "rows" / "rows-00000.parquet"
    shard.write_bytes(b"x" * shard.stat().st_size)
    problems = store_status(Store(tmp_path / "store"), verify=True).problems
    assert [str(shard) in problem for problem in problems] == [True]


def test_a_step_is_found_by_name_key_and_folder(tmp_path):
    folder = walk(tmp_path)[1].folder
    store = Store(tmp_path / "store")
    assert store.named("mixed") == store.named(Manifest.read(folder).key[:6]) == store.named(folder.name) == folder
    with pytest.raises(UserError, match='holds no finished step "mixd"'):
        store.named("mixd")


def test_folder_names_need_no_quoting():
    assert folder_name("student[seed=1,lr=0.1]") == "student.seed-1-lr-0.1"


def test_the_ledger_only_ever_grows(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("made", {"step": "a"})
    before = ledger.path.read_bytes()
    ledger.append("reused", {"step": "a"})
    assert ledger.path.read_bytes().startswith(before)
    assert len({line["id"] for line in ledger.lines()}) == 2


def test_a_ledger_whose_first_line_is_cut_off_still_serves(tmp_path):
    walk(tmp_path)
    store = Store(tmp_path / "store")
    lines = store.ledger.path.read_text().splitlines(keepends=True)
    store.ledger.path.write_text(lines[0][:30] + "\n" + "".join(lines[1:]))
    assert garbage(store) == []
    assert [step.last for step in store_status(store).recipes["sum"]] == ["made"] * 4
