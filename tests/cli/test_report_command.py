from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import toys
from demiurgic import api
from demiurgic.cli.report import command
from demiurgic.core.errors import UserError
from tiny_models import QUIET
from written_store import WrittenStore


def report(*arguments: str, store: Path) -> Result:
    return CliRunner().invoke(command, [*arguments, "--store", str(store)], catch_exceptions=False)


def test_the_command_prints_the_path_and_one_line_of_verdict(tmp_path: Path):
    toys.walk(tmp_path)
    out = tmp_path / "new folder" / "page.html"
    done = report("--out", str(out), store=tmp_path / "store")
    assert done.exit_code == 0
    assert done.output.splitlines() == [str(out), "sum: 4 made; no gate was judged"]
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_recipe_of_the_package_is_found_by_name(tmp_path: Path):
    written = WrittenStore(tmp_path / "store", recipe="stdlib")
    written.start("raw")
    written.made("raw", "collect", metrics={"rows": 3})
    done = report("stdlib", "--out", str(tmp_path / "page.html"), store=tmp_path / "store")
    assert done.output.splitlines()[1].startswith("stdlib: 1 made, ")


def test_the_page_on_a_recipe_knows_the_changes_its_newest_run_had(tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"text": "line {n}"}}\n' for n in range(40)))
    path = tmp_path / "small.yaml"
    path.write_text(
        "name: small\nsteps:\n"
        "  raw: {use: collect, source: {use: files, paths: [rows.jsonl], license: MIT}}\n"
        "  all: {use: curate, data: raw}\n"
    )
    store = tmp_path / "store"
    before = api.load_recipe(path)
    api.run_recipe(before, store=store, context=QUIET)
    changed = api.load_recipe(path, overrides=("all.split.held_out=0.4",))
    api.run_recipe(changed, store=store, to="raw", context=QUIET)
    out = str(tmp_path / "page.html")
    assert report(str(path), "--out", out, store=store).output.splitlines()[1].startswith("small: 1 reused, 1 missing;")
    api.run_recipe(before, store=store, to="raw", context=QUIET)
    verdict = report(str(path), "--out", out, store=store).output.splitlines()[1]
    assert verdict.startswith("small: 1 reused, 1 made earlier;")


def test_an_empty_store_is_a_persons_matter(tmp_path: Path):
    with pytest.raises(UserError, match="has no run yet"):
        report("--out", str(tmp_path / "page.html"), store=tmp_path / "store")
    assert not (tmp_path / "page.html").exists()
    assert not (tmp_path / "store").exists()


def test_an_unknown_recipe_is_named_with_those_there_are(tmp_path: Path):
    toys.walk(tmp_path)
    with pytest.raises(UserError, match=r"stdlb.*stdlib"):
        report("stdlb", store=tmp_path / "store")


def test_the_help_shows_examples():
    assert "demiurgic report stdlib --out stdlib.html --open" in CliRunner().invoke(command, ["--help"]).output
