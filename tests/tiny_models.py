"""A tokenizer of a few hundred words, a model of two layers and datasets of a few rows: real ones, made in a second."""

from collections.abc import Iterable
from pathlib import Path

from demiurgic.core.artifacts import Dataset, Tokenizer
from demiurgic.core.console import Console
from demiurgic.core.metric import Summary
from demiurgic.core.records import Message, Row, RowWriter
from demiurgic.dialects import DIALECTS
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.run.step import run_stage

QUIET = Context(console=Console(quiet=True))

LINES = [
    "def add(left, right):\n    return left + right\n",
    "class Counter:\n    def __init__(self, start=0):\n        self.count = start\n",
    "for index, item in enumerate(items):\n    print(index, item)\n",
    "Write the function `add` that returns the sum of two numbers.",
    "import os\n\nwith open(path, encoding='utf-8') as file:\n    text = file.read()\n",
    "if value is None:\n    raise ValueError('a value is needed')\n",
]


def tiny_tokenizer(folder: Path, *, size: int = 300) -> Path:
    """A byte-level BPE with the special tokens and template of ChatML; returns the folder."""
    from demiurgic.create.bpe import save_tokenizer, train_bpe

    dialect = DIALECTS["chatml"]
    save_tokenizer(train_bpe(LINES, size=size, special_tokens=dialect.special_tokens), folder, dialect=dialect)
    return folder


def tiny_model(
    folder: Path,
    *,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    intermediate: int = 96,
    context: int = 256,
    tied: bool = True,
    seed: int = 0,
) -> Path:
    """A LLaMA with grouped-query attention, random weights and a `tiny_tokenizer` of its own; returns the folder."""
    from demiurgic.models.build import build_model
    from demiurgic.models.load import save_model
    from demiurgic.models.shape import Shape
    from demiurgic.models.tokenizer import load_tokenizer

    words = tiny_tokenizer(folder.with_name(f"{folder.name}-tokenizer"))
    shape = Shape(
        description="for tests",
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=hidden // heads,
        intermediate=intermediate,
        vocab=512,
        context=context,
        tied=tied,
    )
    save_model(build_model(shape, load_tokenizer(words), seed=seed), words, folder)
    return folder


def conversation(question: str, answer: str, *, id: str = "row", weight: float | None = None) -> Row:
    """A row of one question and its answer."""
    return Row(id=id, messages=(Message("user", question), Message("assistant", answer, weight=weight)))


def tiny_dataset(folder: Path, rows: Iterable[Row]) -> Path:
    """A finished step with the one part `rows`; returns the step's folder."""

    def run(config: StageConfig, out: Path, context: Context) -> Summary:
        with RowWriter(out / "rows") as writer:
            for row in rows:
                writer.write(row)
        return Summary()

    return run_stage(Stage("rows", StageConfig, run, makes={"rows": Dataset}), {}, folder, context=QUIET)


def tiny_words(folder: Path) -> Path:
    """A finished step with the one part `tokenizer`; returns the step's folder."""

    def run(config: StageConfig, out: Path, context: Context) -> Summary:
        tiny_tokenizer(out / "tokenizer")
        return Summary()

    return run_stage(Stage("words", StageConfig, run, makes={"tokenizer": Tokenizer}), {}, folder, context=QUIET)
