"""Rows to look at: found by source, reason, score and words; duplicates beside the row that stayed."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from curated_store import curated_store, talk
from demiurgic.cli.main import main
from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.records import RowWriter
from demiurgic.report.page.page import write_report
from demiurgic.report.page.samples import shown_row
from demiurgic.report.rows.clusters import Cluster, changed_words, find_clusters
from demiurgic.report.rows.query import Bound, Query, ShownRow, datasets_of, find_rows
from demiurgic.report.rows.terminal import print_clusters, print_rows

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return curated_store(tmp_path_factory.mktemp("curated"))


@pytest.fixture(scope="module")
def datasets(store):
    folder = store.named("clean")
    return datasets_of(folder, Manifest.read(folder))


def ids(datasets, **asked):
    return [shown.row.id for shown in find_rows(datasets, Query(**asked))]


def show(store, *arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("sys.argv", ["demiurgic", "show", "clean", *arguments, "--store", str(store.path)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


def test_every_row_of_every_part_is_found_when_nothing_is_asked(datasets):
    assert len(ids(datasets)) == 8


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"source": "DOLLY"}, ["dolly:1"]),
        ({"reason": "too short"}, ["alpaca:3"]),
        ({"reason": "near", "source": "copy"}, ["copy:1", "copy:2"]),
        ({"contains": "river"}, ["dolly:1"]),
        ({"bounds": (Bound("quality", "<", 0.5),)}, ["alpaca:2"]),
        ({"bounds": (Bound("quality", ">=", 0.3), Bound("quality", "<=", 0.3))}, ["alpaca:2"]),
    ],
)
def test_rows_are_found_by(datasets, asked, found):
    assert [name for name in ids(datasets, **asked) if name != "copy:9" or "source" not in asked] == found


def test_a_row_that_was_only_tagged_is_found_by_what_would_have_dropped_it(tmp_path, datasets, capsys):
    tag = {"reason": "quality: coherence too low", "evidence": "0.14, wanted at least 0.3"}
    tagged = replace(talk("a:1", "Hi", "Well"), meta=json.dumps({"would_drop": [tag]}))
    with RowWriter(tmp_path / "train") as writer:
        writer.write(tagged)
    train = Dataset(tmp_path / "train", "train", datasets["train"].manifest)
    assert ids({"train": train}, reason="Coherence") == ["a:1"]
    assert ids({"train": train}, reason="language") == []
    print_rows(find_rows({"train": train}, Query()))
    assert "would go: quality: coherence too low (0.14, wanted at least 0.3)" in capsys.readouterr().out


def test_a_reason_is_looked_for_in_the_reason_alone(datasets):
    assert ids(datasets, reason="wanted at least 1") == []


def test_a_score_that_no_row_has_is_answered_with_those_that_there_are(datasets):
    with pytest.raises(UserError, match="quality"):
        ids(datasets, bounds=(Bound("qualty", "<", 1),))


@pytest.mark.parametrize("text", ["quality", "quality < much", "<3", ""])
def test_what_is_no_bound_is_told_how_one_is_written(text):
    with pytest.raises(UserError, match="quality<0.4"):
        Bound.read(text)


def test_a_cluster_holds_the_row_that_stayed_and_those_that_went_for_it(datasets):
    first, second = find_clusters(datasets, Query(), limit=5)
    assert (first.witness, first.kept.part, first.num_members) == ("alpaca:1", "train", 2)
    assert [member.row.id for member in first.members] == ["copy:1", "copy:2"]
    assert (second.witness, second.kept) == ("last year:7", None)


def test_a_cluster_shows_no_more_members_than_asked_and_counts_all(datasets):
    (first,) = find_clusters(datasets, Query(), limit=1, members=1)
    assert (first.num_members, len(first.members)) == (2, 1)


def test_the_words_that_differ_are_marked():
    marked = changed_words("keep what it returns", "keep all it returns")
    assert [word for word, changed in marked if changed] == ["all"]
    assert "".join(word for word, _ in marked) == "keep all it returns"


def test_show_prints_a_dropped_row_with_its_reason_and_evidence(store, capsys, monkeypatch):
    code, out, _ = show(store, "--rows", "--reason", "short", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert "length: answer too short" in out
    assert "0 characters, wanted at least 1" in out


def test_show_prints_duplicates_beside_the_row_that_stayed(store, capsys, monkeypatch):
    _, out, _ = show(store, "--clusters", capsys=capsys, monkeypatch=monkeypatch)
    assert re.search(r"stayed: alpaca:1 .*┃ dropped", out)
    assert "Jaccard 0.875" in out
    assert "a row of an earlier dataset" in out.replace("\n", " ")


def test_brackets_in_ids_and_sources_are_no_markup(capsys):
    kept = ShownRow(talk("[/a]:1", "Hi", "Well", source="[b]"), "train")
    gone = ShownRow(talk("[/a]:2", "Hi", "Well", source="[/b]", reason="[/c]", witness="[/a]:1"), "dropped")
    print_clusters([Cluster("[/a]:1", kept, [gone], 1)])
    print_rows([kept, gone])
    out = capsys.readouterr().out
    assert "stayed: [/a]:1 (train, [b])" in out
    assert "[/a]:2  ([/b])" in out


def test_what_steers_a_terminal_is_shown_and_not_obeyed(capsys):
    print_rows([ShownRow(talk("a:1", "Hi", "\x1b[2Jgone", reason="r", evidence="\x1b[2J"), "dropped")])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"\x1b[2Jgone" in out


def test_statistics_and_rows_are_not_asked_for_at_once(store, capsys, monkeypatch):
    code, _, err = show(store, "--statistics", "--rows", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert "one of the two" in err


def test_show_prints_json_of_what_fits(store, capsys, monkeypatch):
    _, out, _ = show(store, "--source", "dolly", "--json", capsys=capsys, monkeypatch=monkeypatch)
    assert [(row["part"], row["id"]) for row in json.loads(out)] == [("train", "dolly:1")]


def test_show_says_when_no_row_fits(store, capsys, monkeypatch):
    _, out, _ = show(store, "--rows", "--contains", "volcano", capsys=capsys, monkeypatch=monkeypatch)
    assert out.strip() == "No row fits, of 8."


def test_the_page_shows_rows_and_buttons_for_each_source_and_reason(store, tmp_path):
    text = write_report(store, recipe=None, out=tmp_path / "report.html").read_text()
    assert "Rows to look at" in text
    assert text.count('class="look-row ') == 8
    assert "every source" in text
    assert "<mark>gives.</mark>" in text


def test_the_page_does_not_show_what_went_for_personal_data(store, tmp_path):
    text = write_report(store, recipe=None, out=tmp_path / "report.html").read_text()
    assert "alpaca:4" in text
    assert "anna@corp.org" not in text


@pytest.mark.parametrize("dropped", [{}, {"reason": "refusals: the answer declines", "evidence": "at anna@corp.org"}])
def test_the_page_shows_no_row_in_which_personal_data_was_found_whatever_became_of_it(dropped):
    row = talk("alpaca:5", "Mail me", "at anna@corp.org")
    facts = {"pii": "email", **({"dropped": dropped} if dropped else {})}
    shown = ShownRow(replace(row, meta=json.dumps(facts)), "dropped" if dropped else "train")
    page = str(shown_row(shown, "s0", [], []))
    assert "alpaca:5" in page
    assert "anna@corp.org" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_hides_the_rows_of_other_sources_without_a_script(store, tmp_path):
    page = write_report(store, recipe=None, out=tmp_path / "report.html")
    chosen = page.read_text().replace('id="s0-source-1"', 'id="s0-source-1" checked')
    every = '<p id="seen"></p><script>document.title = [...document.querySelectorAll(".look-row")]'
    every += '.filter(e => e.offsetHeight).map(e => e.querySelector("code").textContent).join(" ")</script></body>'
    watched = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", chosen).replace("</body>", every)
    (tmp_path / "chosen.html").write_text(watched)
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--dump-dom", (tmp_path / "chosen.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert re.search("<title>(.*?)</title>", done.stdout)[1] == "copy:1 copy:2"
