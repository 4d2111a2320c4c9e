from pathlib import Path

import numpy as np
import pytest
import torch

from demiurgic.models.compare import divergence
from demiurgic.models.gguf.far import NUM_FAR, FarText, far_logits_TV, far_texts
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.load import load_model
from pretrained import FAMILIES, Family, pretrained

IDS = torch.randint(0, 300, (33,), generator=torch.Generator().manual_seed(0)).tolist()
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 8192}


def test_without_a_gap_the_second_half_reads_what_it_always_reads(tmp_path: Path):
    source = pretrained(tmp_path / "llama3")
    model = load_model(source, device="cpu")
    with torch.no_grad():
        plain_TV = model(torch.tensor([IDS])).logits[0][len(IDS) // 2 :].numpy()
    np.testing.assert_allclose(far_logits_TV(model, FarText(IDS, 0)), plain_TV, atol=1e-4)
    file = write_gguf(source, tmp_path / "model.gguf", type="f32", name="tiny").file
    with Llama(file, context=64, threads=1) as llama:
        np.testing.assert_allclose(llama.far_logits_TV(FarText(IDS, 0)), plain_TV, atol=1e-3)
        llama.far_logits_TV(FarText(IDS, 5000))
        np.testing.assert_array_equal(llama.far_logits_TV(FarText(IDS, 0)), llama.far_logits_TV(FarText(IDS, 0)))


@pytest.mark.parametrize("family", FAMILIES)
def test_both_programs_read_the_same_across_a_gap(family: Family, tmp_path: Path):
    source = pretrained(tmp_path / family, family, std=0.04, max_position_embeddings=32_768, rope_parameters=YARN)
    file = write_gguf(source, tmp_path / "model.gguf", type="f32", name="tiny").file
    model = load_model(source, device="cpu")
    near_TV, far_TV = (far_logits_TV(model, FarText(IDS, gap)) for gap in (0, 30_000))
    with Llama(file, context=64, threads=1) as llama:
        found_TV = torch.from_numpy(llama.far_logits_TV(FarText(IDS, 30_000)))
    assert divergence([(torch.from_numpy(far_TV), found_TV)]).mean_kl < 1e-7
    assert divergence([(torch.from_numpy(near_TV), found_TV)]).mean_kl > 1e-4


def test_gaps_grow_to_the_whole_context():
    texts = far_texts([[1] * 100] * 20, context=900)
    assert [text.gap for text in texts] == [100, 200, 300, 400, 500, 600, 700, 800]
    assert len(texts) == NUM_FAR


def test_texts_that_are_too_short_or_fill_the_context_get_no_gap():
    assert far_texts([[1] * 7, [1] * 64], context=64) == []
