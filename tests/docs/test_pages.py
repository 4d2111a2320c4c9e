"""What the pages show works: recipes can be read, Python compiles, commands exist."""

import re
import shlex
from pathlib import Path

import pytest

from demiurgic.api import load_recipe
from demiurgic.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_whole_recipe_on_a_page_can_be_read(page: Path, tmp_path: Path):
    for block in blocks(page, "yaml"):
        if re.search(r"^steps:", block, re.MULTILINE):
            (tmp_path / "page.yaml").write_text(block, encoding="utf-8")
            assert load_recipe(tmp_path / "page.yaml").steps


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_compiles(page: Path):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_exists_with_its_options(page: Path):
    for line in re.findall(r"^\s*(?:\$ )?(demiurgic [a-z].*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = shlex.split(line, comments=True)
        name = words[1].strip("`…")
        assert name in COMMANDS, line
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z-]+(=.*)?", word)}
        assert used <= known | {"--help"}, line


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200
