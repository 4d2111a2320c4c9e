"""Personal data and secrets: what is found, what wrongly, and how fast, beside plain `re`, scrubadub and datafog.

    python bench/safety.py --peers ~/safety-peers/bin/python

`bench/peers/README.md` says how to make the peers' environment. Real rows: the whole filter, masking included, on rows
in Arrow. Planted: `personal.py` sets something made up into every other real row; recall is the share of these of which
nothing that matters is left (for peers: of which any part was found); every other row is clean but for what real rows
hold. Megabytes (10^6) of text per second of processor time, one thread.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from demiurgic.core.records import Message, Row, to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS
from demiurgic.curate.pii.detectors import DETECTORS
from personal import MAKERS, Planted, plant
from real_texts import Pair, data_folder, real_pairs
from tables import options, show

HERE = Path(__file__).parent
PEERS = ("scrubadub", "datafog")
WANTED = {"MB/cpu-s": 30.0, "recall": 0.95, "clean flagged": 0.01}


def main() -> int:
    parser = options("Personal data and secrets, beside plain re, scrubadub and datafog.")
    parser.add_argument("--data", type=Path, help="a folder of public data; DEMIURGIC_DATA, or ../shared/data")
    parser.add_argument(
        "--peers", type=Path, default=os.environ.get("DEMIURGIC_SAFETY_PEERS"), help="their interpreter"
    )
    parser.add_argument("--planted", type=int, default=5_200, help="rows with something planted")
    parser.add_argument("--peer-rows", type=int, default=2_080, help="rows, planted and clean, that peers are given")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    pairs = real_pairs(data_folder(arguments.data))
    planted, clean = chosen(pairs, arguments.planted, Random(arguments.seed))
    ours, recall_by_kind = measure(planted, clean)
    rows = [ours, plain(planted, clean, arguments.peer_rows)]
    rows += [peer(name, arguments, planted, clean) for name in PEERS if arguments.peers]
    real = whole(pairs)
    show("Planted and clean rows", rows, as_json=arguments.json, recall=recall_by_kind, real_rows=real)
    good = ours["recall"] >= WANTED["recall"] and ours["clean flagged"] <= WANTED["clean flagged"]
    return 0 if good and real["MB/cpu-s"] >= WANTED["MB/cpu-s"] else 1


def chosen(pairs: Sequence[Pair], num_planted: int, random: Random) -> tuple[list[Planted], list[str]]:
    texts = random.sample([pair.text for pair in pairs], min(len(pairs), 2 * num_planted))
    kinds = list(MAKERS)
    planted = [plant(text, kind=kinds[i % len(kinds)], random=random) for i, text in enumerate(texts[::2])]
    return planted, texts[1::2]


def masked(texts: Sequence[str]) -> tuple[list[str], float, dict[str, int]]:
    """The texts as the filter leaves them, its seconds, and its counts."""
    batch = RowBatch(to_batch(Row(str(place), text=text) for place, text in enumerate(texts)))
    choice = FILTERS.choose("pii")
    started = time.process_time()
    found = choice(batch)
    seconds = time.process_time() - started
    rows = batch.batch if found.rows is None else found.rows
    return rows.column("text").to_pylist(), seconds, dict(found.counts)


def measure(planted: Sequence[Planted], clean: Sequence[str]) -> tuple[dict[str, Any], dict[str, float]]:
    left, seconds, _ = masked([item.text for item in planted])
    _, clean_seconds, counts = masked(clean)
    found = Counter(item.kind for item, text in zip(planted, left, strict=True) if item.secret not in text)
    asked = Counter(item.kind for item in planted)
    num_bytes = size([item.text for item in planted]) + size(clean)
    row = {
        "tool": "demiurgic, masking",
        "recall": found.total() / len(planted),
        "clean flagged": counts.get("rows", 0) / len(clean),
        "MB/cpu-s": num_bytes / (seconds + clean_seconds) / 1e6,
        "rows": len(planted) + len(clean),
    }
    return row, {kind: found[kind] / asked[kind] for kind in MAKERS}


def plain(planted: Sequence[Planted], clean: Sequence[str], num_rows: int) -> dict[str, Any]:
    """The same detectors without a screen in columns: every text goes through every pattern of Python's `re`."""
    some, others = planted[: num_rows // 2], clean[: num_rows // 2]
    started = time.process_time()
    found = [unreserved(item.text) for item in some]
    flagged = [unreserved(text) for text in others]
    seconds = time.process_time() - started
    hits = sum(any(touches(value, item.secret) for value in values) for item, values in zip(some, found, strict=True))
    return {
        "tool": "the same, re on every row",
        "recall": hits / len(some),
        "clean flagged": sum(map(bool, flagged)) / len(others),
        "MB/cpu-s": (size([item.text for item in some]) + size(others)) / seconds / 1e6,
        "rows": len(some) + len(others),
    }


def unreserved(text: str) -> list[str]:
    places = ((detector, text[place.start : place.stop]) for detector in DETECTORS for place in detector.find(text))
    return [value for detector, value in places if not detector.is_reserved(value)]


def touches(value: str, secret: str) -> bool:
    return bool(value) and (value in secret or secret in value)


def peer(name: str, arguments: argparse.Namespace, planted: Sequence[Planted], clean: Sequence[str]) -> dict[str, Any]:
    """What a peer found in its own process: the stretches it would replace."""
    half = arguments.peer_rows // 2
    some, others = planted[:half], clean[:half]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps([*(item.text for item in some), *others]))
        script = [str(arguments.peers), str(HERE / "peers" / "personal_data.py"), name, str(path)]
        done = subprocess.run(script, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    found, flagged = told["found"][: len(some)], told["found"][len(some) :]
    hits = sum(any(touches(value, item.secret) for value in values) for item, values in zip(some, found, strict=True))
    return {
        "tool": name,
        "recall": hits / len(some),
        "clean flagged": sum(map(bool, flagged)) / len(others),
        "MB/cpu-s": (size([item.text for item in some]) + size(others)) / told["cpu_seconds"] / 1e6,
        "rows": len(some) + len(others),
    }


def whole(pairs: Sequence[Pair]) -> dict[str, Any]:
    """The filter on every real row, as conversations."""
    batches = [
        RowBatch(to_batch(Row(str(i), (Message("user", p.asks), Message("assistant", p.answers))) for i, p in part))
        for part in parts(list(enumerate(pairs)))
    ]
    choice, counts = FILTERS.choose("pii"), Counter[str]()
    started = time.process_time()
    for batch in batches:
        counts.update(choice(batch).counts)
    seconds = time.process_time() - started
    flagged = counts.pop("rows", 0) / len(pairs)
    speed = size([pair.text for pair in pairs]) / seconds / 1e6
    return {"rows": len(pairs), "MB/cpu-s": speed, "rows/cpu-s": len(pairs) / seconds, "flagged": flagged, **counts}


def parts(items: list[Any]) -> list[list[Any]]:
    return [items[start : start + 10_000] for start in range(0, len(items), 10_000)]


def size(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)


if __name__ == "__main__":
    sys.exit(main())
