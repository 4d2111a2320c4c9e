"""What a recipe may say under `deduplicate`."""

import pytest
from pydantic import TypeAdapter, ValidationError

from demiurgic.curate.duplicates.config import Duplicates, DuplicatesChoice, Near

CHOICE = TypeAdapter(DuplicatesChoice)


def test_short_forms_stand_for_settings():
    assert CHOICE.validate_python("exact") == Duplicates()
    assert CHOICE.validate_python("none") == Duplicates(exact=False)
    assert CHOICE.validate_python("near") == Duplicates(near=Near())
    assert not CHOICE.validate_python("none").does_anything


def test_a_mapping_sets_every_parameter():
    read = CHOICE.validate_python({"near": {"key": ["prompt", "response"], "n": 5, "method": "minhash", "bands": 32}})
    assert read.near is not None
    assert (read.near.key, read.near.n, read.near.threshold, read.near.bands) == (["prompt", "response"], 5, 0.8, 32)


def test_one_key_and_one_preference_need_no_list():
    read = CHOICE.validate_python({"near": {"key": "response"}, "keep": "longest"})
    assert read == Duplicates(near=Near(key=["response"]), keep=["longest"])
    assert CHOICE.validate_python({"keep": "license", "license_rank": "MIT"}).license_rank == ["MIT"]


def test_auto_joins_exactly_up_to_its_limit():
    near = Near(exact_up_to=100)
    assert (near.is_exact(100), near.is_exact(101)) == (True, False)
    assert Near(method="exact").is_exact(10**9)
    assert not Near(method="minhash").is_exact(1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("fuzzy", "wants exact, none, near or settings"),
        ({"near": {"permutations": 100, "bands": 16}}, "100 permutations do not make 16 equal bands"),
        ({"near": {"key": []}}, "at least 1"),
        ({"near": {"key": ["pair", "pair"]}}, "names one thing twice"),
        ({"near": {"threshold": 0}}, "greater than 0"),
        ({"near": {"treshold": 0.7}}, "Extra inputs"),
        ({"keep": ["source_rank"]}, "say with source_rank which are better"),
        ({"license_rank": ["MIT"]}, "keep does not name license"),
        ({"keep": ["first", "longest"]}, "first only as the last"),
        ({"exact": False, "answers_per_prompt": 0}, "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused_and_says_why(settings, says):
    with pytest.raises(ValidationError, match=says):
        CHOICE.validate_python(settings)
