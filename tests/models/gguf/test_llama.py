from pathlib import Path

import numpy as np
import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.llama import MAX_BATCH, Llama
from demiurgic.models.gguf.llama_c import library
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.load import load_model
from pretrained import pretrained


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained(tmp_path_factory.mktemp("hub") / "model", std=0.04, max_position_embeddings=1024)


@pytest.fixture(scope="module")
def file(source: Path) -> Path:
    return write_gguf(source, source.parent / "model.gguf", type="f32", name="model").file


def test_logits_of_an_f32_file_are_those_of_the_source(source: Path, file: Path):
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    with torch.no_grad():
        expected_TV = load_model(source, device="cpu")(torch.tensor([ids])).logits[0].numpy()
    with Llama(file, context=64, threads=1) as llama:
        assert llama.vocab_size == expected_TV.shape[1]
        np.testing.assert_allclose(llama.logits_TV(ids), expected_TV, atol=1e-4)


def test_a_text_longer_than_one_batch_has_the_logits_of_its_parts_read_one_after_another(source: Path, file: Path):
    ids = [number % 300 for number in range(MAX_BATCH + 20)]
    with torch.no_grad():
        expected_TV = load_model(source, device="cpu")(torch.tensor([ids])).logits[0].numpy()
    with Llama(file, context=MAX_BATCH + 20, threads=1) as llama:
        np.testing.assert_allclose(llama.logits_TV(ids), expected_TV, atol=1e-3)


def test_one_text_leaves_nothing_behind_for_the_next(file: Path):
    with Llama(file, context=64, threads=1) as llama:
        first_TV = llama.logits_TV([5, 6, 7])
        llama.greedy([9, 8, 7, 6], 5)
        np.testing.assert_array_equal(llama.logits_TV([5, 6, 7]), first_TV)


def test_greedy_takes_the_likeliest_token_each_time(file: Path):
    with Llama(file, context=64, threads=1) as llama:
        ids = [3, 1, 4]
        written = llama.greedy(ids, 6)
        for id in written:
            assert int(llama.logits_TV(ids)[-1].argmax()) == id
            ids = [*ids, id]


def test_what_looks_like_a_special_token_is_one_only_where_that_is_asked_for(file: Path):
    with Llama(file, context=64, threads=1) as llama:
        assert len(llama.tokenize("<|eot_id|>", special=True)) == 1
        assert len(llama.tokenize("<|eot_id|>", special=False)) > 1
        assert llama.tokenize("a", special=True, opening=True)[1:] == llama.tokenize("a", special=True)


def test_a_text_that_is_too_long_is_refused(file: Path):
    with Llama(file, context=16, threads=1) as llama:
        with pytest.raises(UserError, match="17 tokens was given; wanted 1 to 16"):
            llama.logits_TV([1] * 17)
        with pytest.raises(UserError, match="18 tokens was given"):
            llama.greedy([1] * 8, 10)


def test_a_token_that_does_not_exist_is_refused(file: Path):
    with Llama(file, context=16, threads=1) as llama, pytest.raises(UserError, match=r"does not read these tokens"):
        llama.logits_TV([10**6])


@pytest.mark.parametrize("damage", ["text", "cut"])
def test_a_file_that_llama_cpp_does_not_load_is_refused_with_its_reason(
    damage: str, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    broken = tmp_path / "broken.gguf"
    whole = file.read_bytes()
    broken.write_bytes(b"no gguf at all" if damage == "text" else whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"does not load .*broken.gguf \((?!it gives no reason)"):
        Llama(broken, context=16, threads=1)
    assert capfd.readouterr().err == ""


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="is no file"):
        Llama(tmp_path / "none.gguf", context=16, threads=1)


def test_a_file_that_is_no_adapter_is_refused_as_one(file: Path):
    with pytest.raises(UserError, match="does not load the adapter"):
        Llama(file, context=16, threads=1, adapters=[file])


def test_the_layouts_are_those_of_the_installed_library():
    context = library().llama_context_default_params()
    assert (context.n_ctx, context.n_batch, context.n_ubatch) == (512, 2048, 512)
