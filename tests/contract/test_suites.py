"""Every registered suite is held to what the stage and the reader rely on."""

import pytest

from demiurgic.evaluate.generation import Answer, GenerationSuite
from demiurgic.evaluate.suite import SUITES, Contender, Suite
from demiurgic.models.load import load_model
from tiny_code import CODE_ROWS
from tiny_models import tiny_model

every_suite = pytest.mark.parametrize("name", SUITES.entries())
every_suite_that_asks = pytest.mark.parametrize(
    "name", [name for name in SUITES.entries() if isinstance(SUITES.choose(name)(), GenerationSuite)]
)


@pytest.fixture(scope="module")
def contender(tmp_path_factory: pytest.TempPathFactory) -> Contender:
    return Contender.open("tiny", tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def made(name: str) -> Suite:
    suite: Suite = SUITES.choose(name)()
    return suite


def generation_suite(name: str) -> GenerationSuite:
    suite = made(name)
    assert isinstance(suite, GenerationSuite)
    return suite


@every_suite
def test_it_says_what_its_metric_is_and_which_direction_is_better(name: str):
    entry = SUITES.get(name)
    assert {"metric", "better", "unit"} <= entry.facts.keys()
    assert entry.facts["better"] in ("lower", "higher")
    assert entry.line.endswith(".")


@every_suite
def test_its_metric_is_its_own(name: str):
    metrics = [entry.facts["metric"] for entry in SUITES.entries().values()]
    assert metrics.count(SUITES.get(name).facts["metric"]) == 1


@every_suite
def test_it_measures_each_item_it_chose_once_and_on_something(name: str, contender: Contender):
    suite = made(name)
    chosen = suite.choose(CODE_ROWS, [contender])
    model = load_model(contender.folder, device="cpu")
    told: list[int] = []
    results = list(suite.measure(chosen.items, model, contender, advance=told.append))
    assert sorted(result.item.id for result in results) == sorted(item.id for item in chosen.items)
    assert all(result.denominator > 0 for result in results)
    assert sum(told) == len(chosen.items)


@every_suite
def test_an_item_gets_the_same_alone_and_among_others(name: str, contender: Contender):
    suite = made(name)
    items = suite.choose(CODE_ROWS, [contender]).items
    model = load_model(contender.folder, device="cpu")
    among = {r.item.id: r.numerator for r in suite.measure(items, model, contender, advance=lambda _: None)}
    for item in items[:3]:
        (alone,) = suite.measure([item], model, contender, advance=lambda _: None)
        assert alone.numerator == pytest.approx(among[item.id], rel=1e-5)


@every_suite_that_asks
def test_the_gold_answer_is_right(name: str):
    suite = generation_suite(name)
    items = [item for row in CODE_ROWS if (item := suite.question(row))]
    assert items
    assert {suite.score(item, Answer(item.gold, finished=True)) for item in items} == {1.0}


@every_suite_that_asks
@pytest.mark.parametrize("empty", ["", " ", "\n", "\n\n    \n"])
@pytest.mark.parametrize("finished", [True, False])
def test_an_empty_answer_is_wrong(name: str, empty: str, finished: bool):
    suite = generation_suite(name)
    items = [item for row in CODE_ROWS if (item := suite.question(row))]
    assert {suite.score(item, Answer(empty, finished=finished)) for item in items} == {0.0}


@every_suite_that_asks
def test_what_is_given_and_the_gold_answer_stand_in_the_row(name: str):
    suite = generation_suite(name)
    for row in CODE_ROWS:
        item = suite.question(row)
        assert item is not None
        assert row.answer().startswith(item.begun + item.gold)
        assert row.messages[: len(item.messages)] == item.messages


@every_suite
def test_the_same_rows_give_the_same_items_in_any_order(name: str, contender: Contender):
    suite = made(name)
    forwards, backwards = (suite.choose(rows, [contender]).items for rows in (CODE_ROWS, CODE_ROWS[::-1]))
    assert forwards == backwards
