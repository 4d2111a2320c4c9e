"""Personal data by scrubadub or datafog, in their own environment: what each finds in texts, and how long it takes.

    python bench/peers/personal_data.py scrubadub texts.json

Their defaults, of datafog the engine of patterns (the others need models). One line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def scrubadub() -> Callable[[str], list[str]]:
    from scrubadub import Scrubber

    scrubber = Scrubber()
    return lambda text: [filth.text for filth in scrubber.iter_filth(text)]


def datafog() -> Callable[[str], list[str]]:
    from datafog import scan

    return lambda text: [entity.text for entity in scan(text, engine="regex").entities]


def main() -> None:
    name, path = sys.argv[1:]
    texts = json.loads(Path(path).read_text())
    find = {"scrubadub": scrubadub, "datafog": datafog}[name]()
    find(texts[0])
    started = time.process_time()
    found = [find(text) for text in texts]
    print(json.dumps({"found": found, "cpu_seconds": time.process_time() - started}))


if __name__ == "__main__":
    main()
