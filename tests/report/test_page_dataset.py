"""The section on what rows are like: on the page and on a terminal, out of `statistics.json` alone."""

import json
import re

import numpy as np
import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.records import to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.statistics import Tally
from demiurgic.curate.statistics.tally import FILE
from demiurgic.report.page.page import write_report
from demiurgic.report.statistics import print_statistics
from tiny_rows import chat
from written_store import WrittenStore

EVIL = "<script>alert(1)</script>"


def statistics():
    rows = [
        chat(
            "Hi",
            "word " * 4 * (n + 1),
            id=str(n),
            source="s",
            domain=EVIL if n % 2 else "code",
            meta='{"language": "en"}',
        )
        for n in range(40)
    ]
    tally = Tally()
    tally.add(RowBatch(to_batch(rows)), ["train", "length"], (np.arange(40) >= 30).astype(int))
    return json.dumps(tally.to_json(rules=["length"], parts=["train", "held_out"]))


def page_of(folder, text):
    written = WrittenStore(folder / "store")
    written.start("clean")
    written.made("clean", "curate", metrics={"train": 30}, parts={"train": "dataset"}, evidence={FILE: text})
    return write_report(written.store, recipe=None, out=folder / "page.html").read_text(encoding="utf-8")


def test_the_page_shows_lengths_domains_and_each_rule(tmp_path):
    page = page_of(tmp_path, statistics())
    assert 'id="dataset"' in page
    text = re.sub(r"<[^>]+>", " ", page)
    for words in ("What the rows are like", "Tokens per row", "Tokens per answer", "as they came", "code"):
        assert words in text
    rows = re.findall(r'<th scope="row">(as they came|length)</th><td>([\d,]+)</td>', page)
    assert rows == [("as they came", "40"), ("length", "30")]
    counts = [int(n) for n in re.findall(r"tokens: (\d+) rows of \d+", page.partition("Tokens per answer")[0])]
    assert sum(counts) == 2 * 30  # once on the pale column and once on the strong one


def test_a_domain_is_only_ever_text(tmp_path):
    page = page_of(tmp_path, statistics())
    assert EVIL not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "has no states"),
        ('{"parts": 3}', "has no states"),
        ('{"states": [{"after": "as they came"}], "sources": {}, "parts": {}}', "has no states"),
    ],
)
def test_a_damaged_file_is_said_and_stops_no_page(tmp_path, text, said):
    assert f"{FILE} {said}" in page_of(tmp_path, text)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=r"Delete the folder .* and run again"):
        print_statistics(tmp_path)


def test_the_terminal_shows_the_same_numbers(tmp_path, capsys):
    (tmp_path / FILE).write_text(statistics())
    print_statistics(tmp_path)
    shown = capsys.readouterr().out
    assert re.search(r"as they came\s+40\s", shown)
    assert re.search(r"length\s+30\s", shown)
    assert re.search(r"code\s+20\s+15", shown)


def test_a_step_without_statistics_is_answered_with_what_has_them(tmp_path):
    with pytest.raises(UserError, match="only a curate step measures its rows"):
        print_statistics(tmp_path)
