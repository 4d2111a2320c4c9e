"""The report: one HTML file that needs no network and no script. A pure function of a store's ledger and evidence."""

from pathlib import Path

from demiurgic.core.files.atomic import write_text
from demiurgic.report.page.comparison import comparison
from demiurgic.report.page.curves import curves
from demiurgic.report.page.dataset import dataset
from demiurgic.report.page.evidence import Evidence, read_evidence
from demiurgic.report.page.headline import headline, outcome, verdict_line
from demiurgic.report.page.html import Html, element, join
from demiurgic.report.page.pipeline import pipeline
from demiurgic.report.page.problems import problems
from demiurgic.report.page.resources import resources
from demiurgic.report.page.rows import rows_by_reason
from demiurgic.report.page.samples import samples
from demiurgic.report.page.sizes import sizes
from demiurgic.run.recipe import Recipe
from demiurgic.run.store import Store

STYLE = Path(__file__).with_name("style.css")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load and run for the page: its own style, nothing else."""
SECTIONS = (
    ("problems", "Problems", problems),
    ("outcome", "What came out", outcome),
    ("comparison", "Comparison", comparison),
    ("sizes", "Size against KL", sizes),
    ("training", "Training", curves),
    ("rows", "Rows", rows_by_reason),
    ("dataset", "Statistics", dataset),
    ("look", "Rows to look at", samples),
    ("resources", "Time and memory", resources),
    ("steps", "Steps", pipeline),
)
"""From what a reader asks first to what proves it. A section that has nothing to say is left out."""


def write_report(store: Store, *, recipe: Recipe | None, out: Path) -> Path:
    """Write the page on the newest run of a recipe, or of every recipe in the store; returns `out`.

    The same store gives the same bytes. Raises UserError when the store is empty or has no run of the recipe.
    """
    return write_page(read_evidence(store, recipe=recipe), out=out)


def write_page(evidence: Evidence, *, out: Path) -> Path:
    """Write the page, whole or not at all; returns `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, str(page(evidence)))
    return out


def page(evidence: Evidence) -> Html:
    """The whole document."""
    made = {name: (title, make(evidence)) for name, title, make in SECTIONS}
    shown = {name: (title, body) for name, (title, body) in made.items() if body.text}
    title = f"{', '.join(run.recipe for run in evidence.runs)}: Demiurgic report"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="description", content=verdict_line(evidence)),
        element("title", title),
        element("style", Html(STYLE.read_text(encoding="utf-8"))),
    )
    links = [element("a", words, href=f"#{name}") for name, (words, _) in shown.items()]
    body = element(
        "body",
        element("div", headline(evidence), element("nav", *links, aria_label="Sections"), class_="top"),
        element("main", *(section for _, section in shown.values())),
        _foot(evidence),
    )
    return join(Html("<!doctype html>\n"), element("html", head, body, lang="en"), Html("\n"))


def _foot(evidence: Evidence) -> Html:
    ends = max(run.ended for run in evidence.runs).replace("T", " ").replace("Z", " UTC")
    words = (
        f"The ledger stood at {ends}. Every number links to the step it comes from; each step names its ledger line, "
        "its key and its inputs. This page loads nothing and runs nothing."
    )
    return element("footer", element("p", words))
