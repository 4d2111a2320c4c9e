"""What a suite asks and how it scores are pinned to its version: equal versions, comparable scores."""

import pytest

from demiurgic.core.hashing import digest_of
from demiurgic.core.metric import JSON
from demiurgic.evaluate.generation import Answer, GenerationSuite, prompt_of
from demiurgic.evaluate.likelihood import scored_rows
from demiurgic.evaluate.suite import SUITES, Contender, Item, Suite
from tiny_code import CODE_ROWS, EXPLAIN_ROW
from tiny_models import tiny_model

GOLDEN = {
    ("bits_per_byte", 2): "f65f2c9749f54d0f",
    ("calibration", 2): "f65f2c9749f54d0f",
    ("next_line", 1): "3dd081fb76a060dc",
    ("python_completion", 1): "f8c605b19ab2e794",
}
"""When a digest changes on purpose, raise the suite's version and put the new pair here."""


@pytest.fixture(scope="module")
def contender(tmp_path_factory: pytest.TempPathFactory) -> Contender:
    return Contender.open("tiny", tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def behaviour(name: str, contender: Contender) -> list[JSON]:
    """What a suite makes of fixed rows, and of fixed answers to them."""
    suite: Suite = SUITES.choose({"use": name, "max_rows": 5})()
    items = suite.choose([*CODE_ROWS, EXPLAIN_ROW], [contender]).items
    if isinstance(suite, GenerationSuite):
        return [[item.id, prompt_text(item, contender), item.gold, scores(suite, item)] for item in items]
    scored = scored_rows([item.row for item in items], contender)
    return [
        [item.id, list(row.ids), list(row.is_scored), row.num_bytes] for item, row in zip(items, scored, strict=True)
    ]


def prompt_text(item: Item, contender: Contender) -> str:
    prompt = prompt_of(item, contender)
    return contender.tokenizer.decode(prompt.ids) + prompt.owed


def scores(suite: GenerationSuite, item: Item) -> list[JSON]:
    texts = (item.gold, f"{item.gold} ", f"{item.gold}\n    pass", "    pass", "pass", "    return (")
    return [suite.score(item, Answer(text, finished)) for text in texts for finished in (True, False)]


@pytest.mark.parametrize("name", SUITES.entries())
def test_a_suite_asks_what_its_version_promises(name: str, contender: Contender):
    version = SUITES.get(name).version
    assert digest_of(behaviour(name, contender))[:16] == GOLDEN[name, version]
