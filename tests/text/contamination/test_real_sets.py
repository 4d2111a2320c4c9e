"""Public sets that hold benchmark questions, and one that does not: how many rows are found."""

from collections import Counter

import pytest

from demiurgic.text.contamination import Hits, Scanner
from demiurgic.text.contamination.sets import scanner_of
from real_data import needs_real_data, pairs, real_data, records

pytestmark = needs_real_data


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    """Every benchmark there is: some 27,000 questions."""
    settings = {"n": 8, "template_items": 10, "coverage": 0.5, "fuzzy": 0.7, "field": None}
    return scanner_of(["benchmarks"], [], base=real_data("benchmarks").parent, **settings)


def by_benchmark(hits: Hits) -> Counter[str]:
    return Counter(hits[place].item.benchmark for place in range(len(hits)))


def test_a_training_set_made_of_test_questions_is_found_to_be_that(scanner):
    rows = [f"{asks}\n{answers}" for asks, answers in pairs("llm_adapters_train/ft-training_set_math_data.json")]
    assert len(rows) > 3_000
    assert len(scanner.scan(rows)) >= 0.99 * len(rows)


def test_every_solution_of_a_test_question_is_found(scanner):
    solved = [f"{record['question']}\n{record[model]['solution']}"
              for record in records("gsm8k_train") if "ground_truth" in record
              for model in record if isinstance(record[model], dict)]  # fmt: skip
    hits = scanner.scan(solved)
    assert len(hits) == len(solved) == 5_276
    assert set(by_benchmark(hits)) <= {"benchmarks/gsm8k/test", "benchmarks/gsm8k/test_socratic"}


def test_hardly_any_row_of_a_clean_set_is_flagged(scanner):
    rows = [f"{asks}\n{answers}" for asks, answers in pairs("alpaca_en")]
    assert len(rows) > 50_000
    assert len(scanner.scan(rows)) <= 10


def test_nearly_every_question_of_a_benchmark_finds_itself(scanner):
    """Also the short symbolic ones of BIG-Bench Hard, which hardly an n-gram tells from one another."""
    asked = [item.question for item in scanner.index.items if item.benchmark.startswith("benchmarks/bbh")]
    assert len(asked) > 6_000
    assert len(scanner.scan([f"Q: {question}\nA: Let me think." for question in asked])) >= 0.995 * len(asked)
