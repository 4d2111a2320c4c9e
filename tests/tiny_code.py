"""A few functions as the rows that ask for code, and models of two layers to ask, one of which knows them by heart."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from demiurgic.core.artifacts import Dataset, Model
from demiurgic.core.metric import Metric, Summary
from demiurgic.core.records import Message, Row
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.run.step import run_stage
from tiny_models import QUIET, tiny_model

FUNCTIONS = [
    ("sums", "def add(left, right):\n", "    return left + right"),
    ("sums", "def total(items):\n    count = 0\n", "    for item in items:\n        count += item\n    return count"),
    ("counters", "class Counter:\n    def __init__(self, start=0):\n", "        self.count = start"),
    ("counters", "def count(self):\n", "    if self.count is None:\n        return 0\n\n    return self.count"),
    ("files", "def read(path):\n", "    with open(path, encoding='utf-8') as file:\n        return file.read()"),
    (
        "files",
        "def first(path):\n    text = read(path)\n",
        "    if not text:\n        raise ValueError('empty')\n    return text[0]",
    ),
]


def code_row(module: str, prefix: str, answer: str, *, id: str) -> Row:
    """A row as the sources of Python code write it: the answer goes on from `prefix`."""
    messages = (Message("user", f"Complete this Python function:\n{prefix}"), Message("assistant", answer))
    return Row(id, messages, source="tiny", meta=json.dumps({"kind": "complete", "module": module, "prefix": prefix}))


CODE_ROWS = [code_row(*function, id=f"code:{number}") for number, function in enumerate(FUNCTIONS)]

EXPLAIN_ROW = Row(
    "explain:1",
    (
        Message("user", "Explain this Python function:\ndef add(left, right): ..."),
        Message("assistant", "Adds two numbers."),
    ),
    source="tiny",
    meta=json.dumps({"kind": "explain", "module": "sums"}),
)


class MadeFrom(StageConfig):
    """What a model was made from: the data it learnt, or another model."""

    data: Dataset | None = None
    model: Model | None = None


def model_step(
    folder: Path,
    *,
    knows: Sequence[Row] = (),
    context: int = 256,
    seed: int = 0,
    gpt2: bool = False,
    made_from: Mapping[str, Path] | None = None,
    took: Mapping[str, float] | None = None,
) -> Path:
    """A finished step with the one part `model`; returns the step's folder.

    It has learnt the rows it `knows`; with `gpt2` its tokenizer cuts text in another way. It says it was `made_from`
    artifacts by their fields in `MadeFrom`, and `took` is what its training reports.
    """

    def run(config: MadeFrom, out: Path, _context: Context) -> Summary:
        tiny_model(out / "model", context=context, seed=seed)
        if gpt2:
            split_like_gpt2(out / "model")
        if knows:
            learn_by_heart(out / "model", knows)
        return Summary({name: Metric.exact(value) for name, value in (took or {}).items()})

    stage = Stage("model", MadeFrom, run, makes={"model": Model})
    return run_stage(stage, made_from or {}, folder, context=QUIET)


def learn_by_heart(folder: Path, rows: Sequence[Row]) -> None:
    """Train the model of a folder on whole rows, one per window, until it can say them all."""
    import torch

    from demiurgic.models.load import load_model, save_model
    from demiurgic.models.tokenizer import dialect_of, encode_rows, load_tokenizer

    tokenizer = load_tokenizer(folder)
    encoded = encode_rows(rows, tokenizer, dialect=dialect_of(tokenizer))
    length = max(len(row.ids) for row in encoded)
    ids_BT = torch.tensor([row.ids + [0] * (length - len(row.ids)) for row in encoded])
    labels_BT = torch.tensor([row.ids + [-100] * (length - len(row.ids)) for row in encoded])
    model = load_model(folder, device="cpu")
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a second thread gains nothing at this size, and on a busy machine costs tenfold
    for _ in range(100):
        loss = model(input_ids=ids_BT, labels=labels_BT).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.set_num_threads(threads)
    save_model(model.eval(), folder, folder.with_name("learnt"))
    for file in folder.with_name("learnt").iterdir():
        file.replace(folder / file.name)


def split_like_gpt2(folder: Path) -> None:
    """Give the tokenizer of a folder GPT-2's way of cutting text, and one token of a line break and blanks."""
    path = folder / "tokenizer.json"
    words = json.loads(path.read_text(encoding="utf-8"))
    words["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    vocab, merges = words["model"]["vocab"], words["model"]["merges"]
    last = next(token for token, number in vocab.items() if number == len(vocab) - 1)
    merges[:] = [["Ċ", "Ġ"], *(merge for merge in merges if "".join(merge) != last)]
    vocab["ĊĠ"] = vocab.pop(last)
    path.write_text(json.dumps(words), encoding="utf-8")
