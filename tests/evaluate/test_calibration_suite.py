from pathlib import Path

import pytest
import torch
from pyarrow import parquet

from demiurgic.core.artifacts import Manifest
from demiurgic.core.records import Row
from demiurgic.evaluate.calibration import BINS
from demiurgic.evaluate.evaluate import STAGE
from demiurgic.evaluate.suite import SUITES, Contender, Result, Suite
from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import encode_row
from demiurgic.report.results import results_table
from demiurgic.run.step import run_stage
from demiurgic.stats.bootstrap import Measured
from tiny_code import CODE_ROWS, model_step
from tiny_models import QUIET, conversation, tiny_dataset, tiny_model


@pytest.fixture(scope="module")
def contender(tmp_path_factory: pytest.TempPathFactory) -> Contender:
    return Contender.open("tiny", tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


def results(rows: list[Row], contender: Contender, **options: object) -> dict[str, Result]:
    suite: Suite = SUITES.choose({"use": "calibration", **options})()
    model = load_model(contender.folder, device="cpu")
    items = suite.choose(rows, [contender]).items
    return {r.item.id: r for r in suite.measure(items, model, contender, advance=lambda _: None)}


def by_hand(row: Row, contender: Contender) -> tuple[torch.Tensor, torch.Tensor]:
    """Confidence and rightness of the supervised tokens, from the model's own logits."""
    encoded = encode_row(row, contender.tokenizer, dialect=contender.dialect)
    with torch.no_grad():
        logits_TV = load_model(contender.folder, device="cpu")(torch.tensor([encoded.ids])).logits[0]
    highest = logits_TV[:-1].softmax(dim=-1).max(dim=-1)
    supervised = torch.tensor(encoded.weights[1:]) > 0
    right = highest.indices == torch.tensor(encoded.ids[1:])
    return highest.values[supervised].double(), right[supervised].double()


def test_the_error_is_that_of_guo_et_al_in_15_bins(contender: Contender):
    confidence, right = by_hand(CODE_ROWS[0], contender)
    error = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            gap = (right[inside].mean() - confidence[inside].mean()).abs()
            error += float(gap * inside.sum() / len(confidence))
    found = results([CODE_ROWS[0]], contender)["code:0"]
    assert found.numerator / found.denominator == pytest.approx(error, rel=1e-5)
    assert BINS == 15


def test_confidence_and_accuracy_stand_beside_it(contender: Contender):
    confidence, right = by_hand(CODE_ROWS[0], contender)
    found = results([CODE_ROWS[0]], contender)["code:0"]
    assert found.denominator == len(confidence)
    assert found.beside["confidence"] == pytest.approx(float(confidence.sum()), rel=1e-5)
    assert found.beside["accuracy"] == float(right.sum())


def test_a_row_longer_than_a_window_is_counted_once(contender: Contender):
    row = conversation("Say it.", "for index, item in enumerate(items):\n    print(index, item)\n" * 3)
    whole, in_windows = (results([row], contender, length=length)["row"] for length in (256, 64))
    assert in_windows.denominator == whole.denominator
    assert in_windows.beside["confidence"] == pytest.approx(whole.beside["confidence"], rel=0.05)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the rows by heart against one that guesses."""
    folder = tmp_path_factory.mktemp("evaluated")
    models = {
        "knowing": model_step(folder / "knowing", knows=CODE_ROWS),
        "guessing": model_step(folder / "guessing", seed=1),
    }
    data = tiny_dataset(folder / "held_out", CODE_ROWS)
    values = {
        "models": models, "data": data, "suites": ["bits_per_byte", "calibration"],
        "compare": [("knowing", "guessing")],
    }  # fmt: skip
    return run_stage(STAGE, values, folder / "score", context=QUIET)


def test_a_model_that_knows_is_right_and_sure_of_it(evaluated: Path):
    metrics = Manifest.read(evaluated).summary.metrics
    assert metrics["knowing.accuracy"].value > 0.95
    assert metrics["knowing.confidence"].value == pytest.approx(1, abs=0.1)
    assert metrics["knowing.ece"].value < 0.1
    assert metrics["guessing.accuracy"].value < 0.2


def test_pairs_have_differences_of_all_three(evaluated: Path):
    metrics = Manifest.read(evaluated).summary.metrics
    assert metrics["knowing_vs_guessing.accuracy"].low > 0.5
    assert metrics["knowing_vs_guessing.confidence"].low > 0.5
    difference = metrics["knowing_vs_guessing.ece"]
    assert difference.value == pytest.approx(metrics["knowing.ece"].value - metrics["guessing.ece"].value)


def test_only_the_metric_itself_is_called_better_or_worse(evaluated: Path):
    summary = Manifest.read(evaluated).summary
    assert set(summary.facts["metrics"]) == {"bits_per_byte", "ece"}
    assert summary.facts["beside"] == {"confidence": "calibration", "accuracy": "calibration"}
    assert "ece" in str(results_table(summary)).lower()


def test_the_error_can_be_computed_again_from_the_scores(evaluated: Path):
    lines = parquet.read_table(evaluated / "scores" / "scores.parquet").to_pylist()
    own = [line for line in lines if line["model"] == "guessing" and line["metric"] == "ece"]
    names = ("item", "cluster", "numerator", "denominator", "gaps")
    measured = Measured(*([line[name] for line in own] for name in names))
    assert measured.value == pytest.approx(Manifest.read(evaluated).summary.metrics["guessing.ece"].value)
