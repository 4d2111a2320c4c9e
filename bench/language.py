"""Languages: how often ours is right and how fast it is, beside CLD2 and fastText on the same texts as they are.

    python bench/language.py

Real texts: sentences of fifteen languages (one after the other in a fixed order, up to line 2,000; behind that lie
greetings, snippets and numbers in no order), English questions with their code, code alone, and English rows. Rows per
second of processor time, one thread.
"""

import ast
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.text.language import CODE, languages_of
from demiurgic.text.language.models import ask_cld2, ask_fasttext
from demiurgic.text.utf8 import Texts
from real_texts import data_folder, real_pairs
from tables import options, show

ORDER = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
IN_ORDER = 2_000
LONGEST_CHARACTERS = 2_000
"""What fastText is given of a text, as its users do; CLD2 is given all."""
WANTED = {"sentences": 0.945, "English with code": 0.99, "code": 0.95, "rows/cpu-s": 15_000}


@dataclass(frozen=True)
class Labelled:
    name: str
    texts: Sequence[str]
    wanted: Sequence[str]


def main() -> int:
    parser = options("Languages of texts, beside CLD2 and fastText alone.")
    parser.add_argument("--data", type=Path, help="a folder of public data; DEMIURGIC_DATA, or ../shared/data")
    arguments = parser.parse_args()
    sets = labelled(data_folder(arguments.data))
    identifiers = {"demiurgic": ours, "CLD2": cld2, "fastText": fasttext}
    rows = [measure(name, identify, sets) for name, identify in identifiers.items()]
    show("Languages", rows, as_json=arguments.json, texts={each.name: len(each.texts) for each in sets})
    return 0 if all(rows[0][name] >= bar for name, bar in WANTED.items()) else 1


def ours(texts: Sequence[str]) -> list[str | None]:
    return languages_of(Texts.of(texts)).names.to_pylist()


def cld2(texts: Sequence[str]) -> list[str | None]:
    return [ask_cld2(text.encode())[0] for text in texts]


def fasttext(texts: Sequence[str]) -> list[str | None]:
    return [ask_fasttext(text[:LONGEST_CHARACTERS].encode())[0] for text in texts]


def measure(
    name: str, identify: Callable[[Sequence[str]], list[str | None]], sets: Sequence[Labelled]
) -> dict[str, Any]:
    identify(["one to load the tables"])
    row: dict[str, Any] = {"identifier": name}
    seconds = num_rows = 0.0
    for each in sets:
        started = time.process_time()
        found = identify(each.texts)
        seconds += time.process_time() - started
        num_rows += len(found)
        row[each.name] = sum(map(str.__eq__, each.wanted, map(str, found))) / len(found)
    return {**row, "rows/cpu-s": num_rows / seconds}


def labelled(folder: Path) -> list[Labelled]:
    lines = (folder / "langid" / "xnli15_multilingual.txt").read_text(encoding="utf-8").splitlines()
    rows = real_pairs(folder)
    coded = [pair for pair in rows if pair.source == "codealpaca" and is_python(pair.answers)]
    prose = [pair.text for pair in rows if pair.source == "alpaca_en" and pair.text.isascii()]
    english = [text for text in prose if "ranslat" not in text]
    mbpp = [json.loads(line)["code"] for line in jsonl(folder / "benchmarks" / "mbpp")]
    code = [*(pair.answers for pair in coded), *mbpp]
    by_order = [ORDER[place % len(ORDER)] for place in range(len(lines))]
    return [
        Labelled("sentences", lines[:IN_ORDER], by_order[:IN_ORDER]),
        Labelled("all lines", lines, by_order),
        Labelled("English with code", [pair.text for pair in coded], ["en"] * len(coded)),
        Labelled("code", code, [CODE] * len(code)),
        Labelled("English rows", english, ["en"] * len(english)),
    ]


def jsonl(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]


def is_python(text: str) -> bool:
    """Whether a text parses and holds more than an expression, which prose of a word would be too."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    kinds = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.For | ast.While
    return any(isinstance(node, kinds) for node in ast.walk(tree))


if __name__ == "__main__":
    sys.exit(main())
