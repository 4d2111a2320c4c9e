"""Questions of evaluation sets in real rows: how many rows of each source are flagged, and how fast they are scanned.

    python bench/contamination.py

The index holds every question of the folder `benchmarks`. Each source is a public set of training rows; of some, parts
are made of test questions (`llm_adapters_train`, the solutions in `gsm8k_train`). Megabytes (10^6) of UTF-8 per second
of processor time, one thread, best of `--repeat`. Clean rows are what a curation has most of: a question that is found
costs more.
"""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demiurgic.text.contamination import HOW, Scanner
from demiurgic.text.contamination.sets import scanner_of
from demiurgic.text.utf8 import Texts
from real_texts import data_folder, real_pairs
from tables import options, show

CLEAN = ("alpaca_en", "codealpaca", "gpteacher", "hh_rlhf")
"""Sources that are not made of, or like, any of the questions."""
WANTED = {"MB/cpu-s": 180.0, "alpaca_en flagged": 10}


def main() -> int:
    parser = options("Questions of evaluation sets in real rows.")
    parser.add_argument("--data", type=Path, help="a folder of public data; DEMIURGIC_DATA, or ../shared/data")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    data = data_folder(arguments.data)
    started = time.process_time()
    scanner = scanner_of(["benchmarks"], [], base=data, n=8, template_items=10, coverage=0.5, fuzzy=0.7, field=None)
    scanner.ask("Compiles what is not compiled yet.")
    index_seconds = time.process_time() - started
    texts: dict[str, list[str]] = {}
    for pair in real_pairs(data):
        texts.setdefault(pair.source, []).append(pair.text)
    rows = [measure(scanner, source, found, repeat=arguments.repeat) for source, found in texts.items()]
    clean = [text for source in CLEAN for text in texts.get(source, [])]
    rows.append(measure(scanner, "the clean ones together", clean, repeat=arguments.repeat))
    own = measure(scanner, "questions of BIG-Bench Hard", bbh(scanner), repeat=1)
    show("Questions of evaluation sets in real rows", [*rows, own], as_json=arguments.json,
         questions=len(scanner.index.items), repeated=scanner.index.num_repeated,
         index_and_compiling_seconds=index_seconds)  # fmt: skip
    flagged = next((row["flagged"] for row in rows if row["source"] == "alpaca_en"), 0)
    return 0 if rows[-1]["MB/cpu-s"] >= WANTED["MB/cpu-s"] and flagged <= WANTED["alpaca_en flagged"] else 1


def bbh(scanner: Scanner) -> list[str]:
    """Its questions as rows: the short symbolic ones are the hardest to find."""
    return [f"Q: {item.question}\nA: True." for item in scanner.index.items if "bbh/" in item.benchmark]


def measure(scanner: Scanner, source: str, rows: Sequence[str], *, repeat: int) -> dict[str, Any]:
    texts = Texts.of(rows)
    seconds: list[float] = []
    for _ in range(repeat):
        started = time.process_time()
        hits = scanner.scan(texts)
        seconds.append(time.process_time() - started)
    how = Counter(HOW[way] for way in hits.how_H)
    named = Counter(hits[place].item.benchmark.removeprefix("benchmarks/") for place in range(len(hits)))
    return {
        "source": source,
        "rows": len(rows),
        "flagged": len(hits),
        **{way: how[way] for way in HOW},
        "MB/cpu-s": texts.num_bytes / min(seconds) / 1e6,
        "most of": ", ".join(f"{name} {number}" for name, number in named.most_common(2)) or "none",
    }


if __name__ == "__main__":
    sys.exit(main())
