"""Models whose vocabulary is padded beyond the tokenizer's words: the padding is no part of any number."""

import pytest

from demiurgic.evaluate.suite import SUITES, Contender, Suite
from demiurgic.models.load import load_model
from pretrained import pretrained
from tiny_code import CODE_ROWS


@pytest.fixture(scope="module")
def contender(tmp_path_factory: pytest.TempPathFactory) -> Contender:
    folder = tmp_path_factory.mktemp("padded") / "model"
    return Contender.open("padded", pretrained(folder, "qwen2", vocab_size=512))


@pytest.mark.parametrize("name", ["bits_per_byte", "calibration"])
def test_a_padded_model_gets_what_it_gets_without_the_padding(name: str, contender: Contender):
    suite: Suite = SUITES.choose(name)()
    items = suite.choose(CODE_ROWS[:3], [contender]).items
    padded, cut = (load_model(contender.folder, device="cpu") for _ in range(2))
    cut.resize_token_embeddings(len(contender.tokenizer))
    assert cut.config.vocab_size < padded.config.vocab_size
    found, wanted = (
        [
            (r.item.id, r.numerator, *r.beside.values())
            for r in suite.measure(items, model, contender, advance=lambda _: None)
        ]
        for model in (padded, cut)
    )
    for one, other in zip(found, wanted, strict=True):
        assert one == (other[0], *(pytest.approx(number, rel=1e-5) for number in other[1:]))
