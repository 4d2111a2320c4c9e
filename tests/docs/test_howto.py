"""Every how-to ends in code that runs as it stands, in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HOWTOS = sorted((Path(__file__).parents[2] / "docs" / "howto").glob("add-a-*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_there_are_howtos():
    assert HOWTOS


@pytest.mark.parametrize("page", HOWTOS, ids=lambda page: page.stem)
def test_a_howto_ends_in_code_that_runs(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    *_, block = BLOCK.finditer(text)
    assert not text[block.end() :].strip(), "the code must be the end of the page"
    (tmp_path / "example.py").write_text(block[1], encoding="utf-8")
    command = [sys.executable, "-W", "error::SyntaxWarning", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
