"""The texts on which two forms of one model are compared: rows of the person's own, or ours where there are none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.models.windows import Windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NUM_PROBES = 24
"""Texts of one comparison."""
PROBE_TOKENS = 128
"""Tokens of a text at most."""
SHORTEST = 8
"""Shorter pieces say little."""

TEXTS = (
    "def add(left: int, right: int) -> int:\n    \"\"\"Return the sum of two numbers.\"\"\"\n    return left + right\n",
    "import os\nimport sys\n\n\nclass Counter:\n    def __init__(self, start=0):\n        self.count = start\n\n"
    "    def next(self):\n        self.count += 1\n        return self.count\n",
    "for (let i = 0; i < items.length; i++) {\n\tconst item = items[i];\n\tif (item === null) { continue; }\n}\n",
    "SELECT name, COUNT(*) AS num FROM customers JOIN orders USING (customer_id) GROUP BY name HAVING num > 3;",
    "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs; it isn't a lot: 1,234.5!",
    "In 1969, on July 20, two people walked on the Moon for the first time. They stayed there for about 21 hours.",
    "Die Würde des Menschen ist unantastbar. Les élèves étudiaient déjà à l'école. El niño comió piñas en España.",
    "我想在苹果公司工作。今日は天気がいいですね。안녕하세요, 반갑습니다. 2026年11月20日",
    "Emoji: 🚀🚀 👩‍👩‍👧‍👦 🇩🇪 🙂 — “quotes”, ‘apostrophes’, ellipsis… and e\u0301 combined, \u200bzero width.",
    "   leading spaces\n\n\n\t\ttabs \t mixed\r\nwindows line\n \n  trailing   ",
    "{\"name\": \"example\", \"values\": [1, 22, 333, 4444, 55555], \"nested\": {\"ok\": true, \"none\": null}}\n",
    "$ git commit -m 'fix: off-by-one' && git push origin main  # 100% done\n<html><body class=\"a-b\">x</body></html>",
)  # fmt: skip
"""Code, prose, scripts without spaces, emoji, blanks: what conversions are known to get wrong."""


def probe_sequences(
    tokenizer: "PreTrainedTokenizerFast",
    *,
    windows: Windows | None = None,
    context: int,
    count: int = NUM_PROBES,
    length: int = PROBE_TOKENS,
) -> list[list[int]]:
    """Token ids of up to `count` texts, each a document that stands alone: from `windows`, else our own texts.

    Documents are taken evenly from all windows. Raises UserError when no document is long enough.
    """
    length = min(length, context)
    if windows is None:
        encoded = [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
        sequences = [ids[:length] for ids in encoded if ids][:count]
    else:
        sequences = _documents(windows, count=count, length=length)
    if not sequences:
        raise UserError("The tokens hold no document of 8 tokens or more to compare models on. Give other tokens.")
    return sequences


def _documents(windows: Windows, *, count: int, length: int) -> list[list[int]]:
    found: list[list[int]] = []
    steps = max(1, len(windows) // count)
    order = [*range(0, len(windows), steps), *(w for w in range(len(windows)) if w % steps)]
    for window in order:
        batch = windows.batch([window])
        documents_T: Sequence[int] = batch.documents_BT[0].tolist()
        # the longest document of a window: those at its ends are cut
        numbers = {number: documents_T.count(number) for number in set(documents_T) - {0}}
        number = max(numbers, key=lambda n: (numbers[n], -n), default=0)
        ids = [int(i) for i, n in zip(batch.ids_BT[0], documents_T, strict=True) if n == number and n]
        if len(ids) >= SHORTEST:
            found.append(ids[:length])
        if len(found) == count:
            break
    return found
