"""The page over stores written by hand: every section, and what must hold for the whole file."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from demiurgic.core.metric import Metric
from demiurgic.report.page.evidence import read_evidence
from demiurgic.report.page.headline import models_made, verdict_line
from demiurgic.report.page.page import STYLE, write_report
from demiurgic.report.page.rows import account_of
from demiurgic.report.page.sizes import limit_of
from demiurgic.report.page.training_log import read_training_log
from demiurgic.run.store import Store
from written_store import STEPS, WrittenStore, evaluation, training_log, whole_store


class Page(HTMLParser):
    """Ids, links, external addresses and words of a page; refuses tags that do not close."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has a handler"
            if name == "id":
                self.ids.append(str(value))
            elif name == "href":
                self.links.append(str(value))
            elif name in ("src", "srcset", "data", "action", "xlink:href", "background"):
                self.addresses.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return whole_store(tmp_path_factory.mktemp("whole") / "store")


@pytest.fixture(scope="module")
def raw(store: Store) -> str:
    out = write_report(store, recipe=None, out=store.path.parent / "made" / "report.html")
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(raw: str) -> Page:
    return Page(raw)


def test_the_same_store_gives_the_same_bytes(store: Store, raw: str, tmp_path: Path):
    moved = Path(shutil.copytree(store.path, tmp_path / "elsewhere"))
    again = write_report(Store(moved), recipe=None, out=tmp_path / "again.html")
    assert again.read_text(encoding="utf-8") == raw


def test_the_page_asks_for_nothing_from_outside(raw: str, page: Page):
    assert not page.addresses
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"url\(|@import|https?://", raw)
    assert "default-src &#x27;none&#x27;" in raw


def test_the_page_has_no_script_and_is_small(raw: str, page: Page):
    assert not {"script", "iframe", "object", "img", "link"} & set(page.tags)
    assert len(raw.encode()) < 1_000_000


def test_every_link_leads_to_one_place(page: Page):
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_every_section_is_there(page: Page):
    wanted = {"problems", "outcome", "comparison", "sizes", "training", "rows", "resources", "steps"}
    assert wanted <= set(page.ids)
    assert {f"step/demo/{name}" for name in STEPS} <= set(page.ids)


def test_sections_without_anything_to_say_are_left_out(tmp_path: Path):
    written = WrittenStore(tmp_path / "store")
    written.start("raw")
    written.made("raw", "collect", metrics={"rows": 3}, parts={"rows": "dataset"})
    page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
    assert [name for name in page.ids if "/" not in name] == ["resources", "steps"]


def test_text_out_of_the_store_is_only_ever_text(tmp_path: Path):
    evil = "<script>alert(1)</script><img src=http://x.y onerror=alert(2)>\"'&"
    written = WrittenStore(tmp_path / "store", recipe=evil)
    written.start(evil, "b", "c")
    written.made(
        evil,
        "curate",
        metrics={"rows_in": 2, "dropped": 1, evil: Metric(1, 0, 2, 3)},
        facts={"dropped": {evil: {evil: 1}}, evil: [evil, {evil: evil}]},
        parts={"train": "dataset"},
        config={evil: evil},
        gates=[{"metric": evil, "min": 0}],
    )
    written.event("failed", "b", evil, "ab" * 8, reason=evil)
    text = write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert "<script" not in text
    assert "<script>alert(1)</script>" in page.text
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_the_head_says_who_won_and_what_the_gates_say(store: Store, page: Page):
    assert "student against control: better in bits per byte (-0.099 [-0.112, -0.087]); worse in parses" in page.text
    assert "no evidence of change in exact next line." in page.text
    assert verdict_line(read_evidence(store, recipe=None)) == "demo: 12 made, 1 rejected; 4 of 5 gates passed"
    assert "✕ 12 of 13 steps finished; q2_k rejected; 4 of 5 gates passed" in page.text


def test_steps_with_the_same_trouble_are_named_together(tmp_path: Path):
    written = WrittenStore(tmp_path / "store")
    written.start("a", "b", "c", "d")
    written.event("failed", "a", "collect", "ab" * 8, reason="no rows")
    page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
    assert "✕ 0 of 4 steps finished; a failed, 3 missing; no gate was judged" in page.text
    assert "○ missing b, c, dnot run yet" in page.text


def test_a_run_without_trouble_says_so_and_has_no_problems(tmp_path: Path):
    written = WrittenStore(tmp_path / "store")
    written.start("a")
    written.made("a", "collect", metrics={"rows": 3}, gates=[{"metric": "rows", "min": 1}])
    page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
    assert "✓ All 1 steps finished; 1 of 1 gates passed" in page.text
    assert "problems" not in page.ids


def test_what_came_out_are_models_made_of_others_not_the_blank_ones_that_went_in(store: Store):
    names = [step.name for step in models_made(read_evidence(store, recipe=None))]
    assert names == ["teacher", "student", "control", "merged", "f16", "q8_0", "q4_k_m", "q2_k"]


def test_numbers_cite_their_step_key_and_ledger_line(store: Store, raw: str):
    step = next(step for step in read_evidence(store, recipe=None).steps if step.name == "score")
    cited = f'href="#step/demo/score/student.bits_per_byte" title="score ({step.key}), ledger line {step.line_number}'
    assert cited in raw


def test_a_comparison_names_the_smallest_change_it_would_see(page: Page):
    assert "sees ±0.045 or more" in page.text
    assert "Recovers 72 % [64, 80] of the lead in bits per byte that teacher has over control." in page.text


def test_curves_of_comparable_runs_share_axes_and_the_best_step_is_marked(raw: str):
    assert "Best: teacher 3.685 at step 200, student 3.685 at step 200, control 3.685 at step 200." in raw
    for title in ("Training loss: cross entropy", "Training loss: forward kl", "What student was trained on"):
        assert title in raw
    assert "What control was trained on" not in raw
    assert "at most 400 points" in raw


def test_no_line_of_a_chart_has_more_points_than_it_says(raw: str):
    lines = re.findall(r'<polyline points="([^"]*)"', raw)
    assert len(lines) > 10
    assert max(len(line.split()) for line in lines) <= 400


def test_a_damaged_log_is_drawn_as_far_as_it_goes_and_named(tmp_path: Path):
    whole = training_log(num_steps=20, components={"cross_entropy": 1.0})
    (tmp_path / "log.jsonl").write_text("".join(whole.splitlines(keepends=True)[:5]) + '{"step": 6, "tot')
    log = read_training_log(tmp_path)
    assert [point.x for point in log.total] == [1, 2, 3, 4, 5]
    assert log.problem == "log.jsonl cannot be read from line 6 on"
    (tmp_path / "log.jsonl").unlink()
    assert read_training_log(tmp_path).problem == "log.jsonl is gone from the step's folder"


def test_a_component_of_weight_0_has_no_curve(tmp_path: Path):
    (tmp_path / "log.jsonl").write_text(training_log(num_steps=3, components={"forward_kl": 1.0, "cross_entropy": 0.0}))
    assert list(read_training_log(tmp_path).raw) == ["forward_kl"]


def test_a_weight_that_follows_a_schedule_is_drawn_with_the_phases_and_is_not_said_to_be_its_last(tmp_path: Path):
    components = {"forward_kl": lambda step: 0.5 + step / 200, "cross_entropy": lambda step: max(0.0, 1 - step / 50)}
    log = training_log(num_steps=100, components=components, phases={"warm": 1, "long": 51})
    written = WrittenStore(tmp_path / "store")
    written.start("student")
    written.made("student", "train", metrics={"steps": 100}, parts={"model": "model"}, evidence={"log.jsonl": log})
    page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
    assert "Weights of studentper optimizer step; phases: warm from step 1, long from step 51" in page.text
    assert "forward kl: from 0.505 to 1. cross entropy: from 0.98 to 0." in page.text
    assert "0.505 to 1 × forward kl" in page.text and "0 to 0.98 × cross entropy" in page.text


def test_weights_that_stay_have_no_chart(page: Page):
    assert "Weights of" not in page.text and "0.9 × forward kl" in page.text


def test_what_diagnose_finds_stands_beside_the_curves(tmp_path: Path):
    log = training_log(num_steps=100, components={"forward_kl": 1e-4, "cross_entropy": 1.0}, every=10, best=20)
    written = WrittenStore(tmp_path / "store")
    written.start("student", "teacher", "lost")
    evidence = {"log.jsonl": log}
    written.made("student", "train", metrics={"steps": 100}, parts={"model": "model"}, evidence=evidence)
    whole = {"log.jsonl": training_log(num_steps=300, components={"cross_entropy": 1.0}, every=150)}
    written.made("teacher", "train", metrics={"steps": 300}, parts={"model": "model"}, evidence=whole)
    written.made("lost", "train", metrics={"steps": 3}, parts={"model": "model"})
    text = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text()).text
    assert "wrong loss_imbalance student (" in text
    assert "cross_entropy is 100 % [100 %, 100 %] of the weighted losses in steps 1-25" in text
    assert "To change: even the weights out" in text
    assert "From log.jsonl, steps 1 to 100" in text
    assert re.search(
        r"nothing found teacher \([0-9a-f]{8}, ledger line \d+\)\. 1\d of 21 symptoms could be looked for", text
    )
    assert text.count("log.jsonl is gone from the step's folder") == 1 and "not looked at" not in text


def test_the_limit_of_a_file_is_the_tighter_of_its_own_and_its_gates(store: Store):
    limits = {step.name: limit_of(step) for step in read_evidence(store, recipe=None).steps}
    assert limits["q2_k"] == 0.05
    assert limits["q4_k_m"] == 0.02
    assert limits["merged"] is None


def test_sizes_stand_beside_their_divergence(page: Page):
    assert "Size against KL" in page.text
    assert "2e-07 [1e-07, 3e-07]" in page.text
    assert "19.6 MB" in page.text


def test_rows_add_up_by_source_and_reason(store: Store, page: Page):
    accounts = {step.name: account_of(step) for step in read_evidence(store, recipe=None).steps}
    clean, asked = accounts["clean"], accounts["asked"]
    assert clean and asked
    assert clean.adds_up
    assert clean.reasons["files"]["too short"] == 200
    assert asked.adds_up
    assert asked.total == 100
    assert accounts["raw"] is None
    assert "1,000 rows in = 600 train + 100 held out + 300 dropped" in page.text
    assert page.text.count("✓ adds up") == 1  # nothing says how many came into `asked`


def test_generated_rows_are_held_against_the_questions_that_were_begun(tmp_path: Path):
    for rows_in, claim in ((100, "✓ adds up"), (101, "✕ does not add up")):
        written = WrittenStore(tmp_path / str(rows_in))
        written.start("asked")
        metrics = {"rows_in": rows_in, "rows": 95, "dropped": 5}
        parts = {"rows": "dataset", "dropped": "dataset"}
        written.made("asked", "generate", metrics=metrics, facts={"dropped": {"empty": 5}}, parts=parts)
        page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
        assert claim in page.text


def test_peak_memory_is_said_to_be_the_running_processs(page: Page):
    assert "what earlier steps of the run left loaded is in it" in page.text


@pytest.mark.parametrize("lost", ["rows_in", "dropped", "train"])
def test_an_account_that_does_not_add_up_says_so(tmp_path: Path, lost: str):
    metrics = {"rows_in": 10, "dropped": 4, "train": 6}
    written = WrittenStore(tmp_path / "store")
    written.start("clean")
    metrics[lost] += 1
    written.made(
        "clean", "curate", metrics=metrics, facts={"dropped": {"files": {"short": 4}}}, parts={"train": "dataset"}
    )
    page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
    assert "✕ does not add up" in page.text


def test_torn_lines_of_the_ledger_are_a_problem(tmp_path: Path):
    written = WrittenStore(tmp_path / "store")
    written.start("a")
    with written.store.ledger.path.open("a") as file:
        file.write('{"id": "half')
    written.made("a", "collect", metrics={"rows": 3})
    page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
    assert "1 of the ledger's lines cannot be read" in page.text


def test_an_evaluation_without_a_teacher_or_training_is_shown(tmp_path: Path):
    metrics, facts = evaluation()
    del metrics["student_vs_control.recovered_share"], facts["recovered_share"], facts["training"]
    facts["teacher"] = None
    written = WrittenStore(tmp_path / "store")
    written.start("score")
    written.made("score", "evaluate", metrics=metrics, facts=facts, parts={"scores": "scores"})
    page = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text())
    assert "student against control" in page.text
    assert "of the lead" not in page.text


def test_any_stage_shows_its_metrics_facts_and_config(tmp_path: Path):
    written = WrittenStore(tmp_path / "store")
    written.start("new")
    metrics = {"file_bytes": 1_234_567, "share": Metric(0.5, 0.4, 0.6, 1234)}
    facts = {"types": {f"tensor.{n}": "f16" for n in range(50)}, "notes": [{"a": 1}], "own": True}
    written.made("new", "some_stage", metrics=metrics, facts=facts, config={"rate": 1e-5, "folder": None})
    text = Page(write_report(written.store, recipe=None, out=tmp_path / "r.html").read_text()).text
    assert "1,234,567 1.2 MB" in text
    assert "0.500 [0.400, 0.600]1,234" in text
    assert "tensor.39" in text
    assert "and 10 more in the manifest" in text
    assert "rate1e-05foldernone" in text


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", css))


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """WCAG 2.2, contrast ratio."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_lines_can_be_told_from_their_ground(scheme: str):
    css = STYLE.read_text(encoding="utf-8")
    light, rest = css.split("@media (prefers-color-scheme: dark)", 1)
    found = colours(light) if scheme == "light" else colours(rest.split("* { box-sizing")[0])
    grounds = [found["page"], found["card"]]
    for name in ("text", "quiet", "link", "good", "bad", "warn", "c0", "c1", "c2", "c3", "c4", "c5"):
        assert all(contrast(found[name], ground) >= 4.5 for ground in grounds), name
    for name in ("good", "bad", "warn"):
        assert contrast(found[name], found[f"{name}-back"]) >= 4.5, name
    assert contrast(found["quiet"], found["plain-back"]) >= 4.5
