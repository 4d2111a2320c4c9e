"""What a suite is: it chooses items from rows, and measures one model on them. Knows nothing of statistics or files.

A suite is registered with the metric it gives, which direction is better, and the unit:

    @SUITES.register("python_completion", metric="parses", better="higher", unit="share")
    def python_completion(*, max_rows: int | None = None) -> Suite: ...

An item is worth `numerator / denominator`, and the metric is the sum of the ones over the sum of the others: for a
share the denominators are 1. A suite may give more numbers of the same items, to be read beside its metric; it names
them when it is registered (`beside=["accuracy"]`).
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.core.records import Message, Row
from demiurgic.core.registry import Registry
from demiurgic.core.seeds import share_of
from demiurgic.dialects import Dialect
from demiurgic.models.tokenizer import dialect_of, load_tokenizer, tokenizer_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SUITES = Registry("suites", package="demiurgic.evaluate.suites")

Length = Annotated[int, Field(ge=8)]
"""In tokens: what a model reads at once. The length of the windows it was trained on, or less."""

MaxRows = Annotated[int, Field(ge=1)] | None
"""How many items at most; which ones depends on the row ids alone. None: all."""

UNIT_SHARE = "share"
"""The unit of a metric whose numerators are 0 or 1 and denominators 1."""
UNIT_PROBABILITY = "probability"
"""The unit of a metric whose numerators lie between 0 and their denominators."""


@dataclass(frozen=True)
class Contender:
    """What of a model matters before it is loaded: how it writes text down, and how much it can attend to."""

    name: str
    folder: Path
    tokenizer: "PreTrainedTokenizerFast"
    dialect: Dialect
    tokenizer_digest: str
    """Equal digests, equal ids for every text."""
    context: int
    """In tokens."""

    @classmethod
    def open(cls, name: str, folder: Path) -> "Contender":
        """Raises UserError when the folder holds no model, or its chat template cannot be used for training."""
        from transformers import AutoConfig

        tokenizer = load_tokenizer(folder)
        config: Any = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        context = int(config.max_position_embeddings)
        return cls(name, folder, tokenizer, dialect_of(tokenizer), tokenizer_digest(folder), context)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to measure on. A suite that asks fills in the question: `gold` is what follows `begun` in the row.

    `messages` is the conversation up to where the assistant answers, `begun` the start of its answer, given to it.
    """

    id: str
    row: Row
    messages: tuple[Message, ...] = ()
    begun: str = ""
    gold: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a model got on one item. `evidence` is what a person would want to see of it."""

    item: Item
    numerator: float
    denominator: float
    evidence: Mapping[str, JSON] | None = None
    gaps: Sequence[float] | None = None
    """Of a metric that sums |sums over items| (`stats.bootstrap.Measured`); the numerator is then the item's own."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """Numerators, over the same denominator, of the numbers that are named `beside` the metric."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The items all models are measured on, and how many rows were not asked about, by reason."""

    items: Sequence[Item]
    left_out: Mapping[str, int] = field(default_factory=dict)


class Suite(ABC):
    """Final ones: `likelihood.LikelihoodSuite` (how well is the text predicted?), `generation.GenerationSuite`."""

    @abstractmethod
    def choose(self, rows: Iterable[Row], contenders: Sequence[Contender]) -> Chosen:
        """The items, the same for every model. Raises UserError when there are none."""

    @abstractmethod
    def measure(
        self, items: Sequence[Item], model: "PreTrainedModel", contender: Contender, *, advance: Callable[[int], None]
    ) -> Iterator[Result]:
        """Measure one model; results come in any order. `advance` is told how many items more are done."""


def asked(row: Row) -> tuple[Message, ...] | None:
    """What stands before the answer of a conversation that ends with one; None for every other row."""
    if len(row.messages) < 2 or row.messages[-1].role != "assistant":
        return None
    return row.messages[:-1]


CODE = 'rows that end with an answer and whose meta holds "prefix", the code that the answer goes on from'


def asked_for_code(row: Row) -> tuple[Message, ...] | None:
    """The same for a row whose answer goes on from code (`CODE`); None for every other."""
    return asked(row) if isinstance(row.facts.get("prefix"), str) else None


def unwritable(row: Row, contenders: Iterable[Contender]) -> str | None:
    """Why a model could not be asked: what the row holds that a contender's dialect has no form for. None: it could."""
    for dialect in {contender.dialect.name: contender.dialect for contender in contenders}.values():
        if lacking := dialect.cannot_write(row):
            return f"{dialect.name} has no form for {lacking}"
    return None


def choose_items(rows: Iterable[Row], ask: Callable[[Row], Item | str], *, max_rows: int | None, wanted: str) -> Chosen:
    """The items that `ask` makes of rows, at most `max_rows`, and how often it gave which reason instead.

    Rows are asked in an order that depends on their ids alone, so that a smaller sample is a part of a larger one.
    Raises UserError, saying what was `wanted`, when no row makes an item.
    """
    ordered = sorted(rows, key=lambda row: (share_of(f"evaluate/{row.id}"), row.id))
    items: list[Item] = []
    left_out: Counter[str] = Counter()
    for position, row in enumerate(ordered):
        if len(items) == max_rows:
            left_out["over max_rows"] = len(ordered) - position
            break
        item = ask(row)
        if isinstance(item, Item):
            items.append(item)
        else:
            left_out[item] += 1
    if not items:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in left_out.items()) or "none looked at"
        raise UserError(f"No row of {len(ordered)} can be measured ({reasons}). Wanted: {wanted}.")
    return Chosen(items, dict(left_out))
