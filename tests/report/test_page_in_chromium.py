"""The page as a browser shows it: on a phone and on a desk, light and dark, with the network off."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from demiurgic.report.page.page import write_report
from written_store import WrittenStore, training_log, whole_store

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

OFFLINE = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--disable-background-networking")
MEASURE = """
<script>
const inside = e => { for (let p = e; p; p = p.parentElement) if (p.classList.contains("scroll")) return true; };
const wide = innerWidth;
const over = [...document.querySelectorAll("body *")]
  .filter(e => e.getBoundingClientRect().right > wide + 0.5 && !inside(e))
  .map(e => e.tagName + "." + (e.getAttribute("class") || "") + " " + e.textContent.slice(0, 30));
const measured = {
  inner: wide, scroll: document.documentElement.scrollWidth, over: over.slice(0, 5), charts: 0,
  ground: getComputedStyle(document.body).backgroundColor,
};
for (const chart of document.querySelectorAll("svg.plot")) {
  const box = chart.getBoundingClientRect();
  measured.charts += box.width > 200 && box.height > 150;
}
parent.postMessage(JSON.stringify(measured), "*");
</script>
"""
FRAME = """
<!doctype html><meta name="color-scheme" content="light dark">
<script>onmessage = event => { document.title = event.data; };</script>
<iframe src="measured.html" style="width: %dpx; height: 900px; border: 0"></iframe>
"""
"""A window cannot be as narrow as a phone; a frame in it can."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every section, and a second recipe with names and reasons that no line has room for."""
    folder = tmp_path_factory.mktemp("page")
    store = whole_store(folder / "store")
    second = WrittenStore(store.path, recipe="second", run="run2")
    long = f"student[losses={'forward_kl+' * 8}]"
    second.start(long, "failed")
    log = training_log(num_steps=3, components={"cross_entropy": 1.0})
    metrics = {f"a_metric_of_{'great_' * 9}length": 1.0, "kl": 1e-4, "file_bytes": 1e9}
    parts = {"model": "model"}
    second.made(
        long, "train", metrics=metrics, parts=parts, evidence={"log.jsonl": log}, gates=[{"metric": "kl", "max": 1}]
    )
    second.event("failed", "failed", "collect", "ab" * 8, reason=f"/a/{'long/' * 40}path has no rows")
    return write_report(store, recipe=None, out=folder / "report.html")


def chromium(page: Path, *options: str, width: int) -> subprocess.CompletedProcess[str]:
    profile = page.parent / "profile"
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--no-first-run", "--hide-scrollbars", f"--window-size={width},900", "--enable-logging=stderr"]
    done = subprocess.run([*command, *OFFLINE, *options, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def measured(page: Path, *options: str, width: int) -> dict[str, object]:
    """What a script finds in a copy of the page that lets it run, with every step open."""
    text = page.read_text(encoding="utf-8").replace("<details", "<details open")
    text, found = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert found == 1
    page.with_name("measured.html").write_text(text.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME % width, encoding="utf-8")
    done = chromium(frame, "--dump-dom", "--virtual-time-budget=5000", *options, width=1400)
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert title
    return dict(json.loads(title[1]))


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window_and_charts_are_drawn(page: Path, width: int):
    found = measured(page, width=width)
    assert found["inner"] == width
    assert found["over"] == []
    assert found["scroll"] == width
    assert found["charts"] == 6


def test_the_page_is_dark_where_the_reader_wants_it_dark(page: Path):
    assert measured(page, "--blink-settings=preferredColorScheme=1", width=800)["ground"] == "rgb(247, 246, 243)"
    assert measured(page, "--blink-settings=preferredColorScheme=0", width=800)["ground"] == "rgb(18, 21, 26)"


def test_the_page_loads_without_a_network_and_without_a_complaint(page: Path):
    picture = page.with_name("page.png")
    done = chromium(page, f"--screenshot={picture}", width=1280)
    assert "CONSOLE" not in done.stderr
    assert picture.stat().st_size > 20_000


def test_a_complaint_would_be_seen(page: Path):
    broken = page.with_name("broken.html")
    text = page.read_text(encoding="utf-8").replace("</main>", '<img src="http://example.invalid/a.png"></main>')
    broken.write_text(text, encoding="utf-8")
    assert "CONSOLE" in chromium(broken, f"--screenshot={page.with_name('x.png')}", width=1280).stderr
