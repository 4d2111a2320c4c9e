import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.hashing import canonical, digest_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_the_order_of_keys_does_not_matter():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_one_and_one_point_zero_and_true_are_different_things():
    assert len({digest_of(1), digest_of(1.0), digest_of(True), digest_of("1")}) == 4


@pytest.mark.parametrize("value", [{1, 2}, object(), {1: "a"}, b"x", {"deep": [{"set": {1}}]}])
def test_what_has_no_single_form_is_refused(value):
    with pytest.raises(TypeError):
        canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_numbers_that_are_not_numbers_are_refused(value):
    with pytest.raises(ValueError, match="canonical"):
        canonical(value)


@given(st.dictionaries(st.text(), json_values))
def test_a_copy_has_the_same_digest(value):
    assert digest_of(value) == digest_of(dict(reversed(list(value.items()))))


def test_digests_do_not_depend_on_the_hash_seed():
    program = "from demiurgic.core.hashing import digest_of; print(digest_of({'b': [1, 2.5, None], 'a': {'ü': 'ß'}}))"
    seen = set()
    for seed in ("0", "1", "42"):
        done = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1
    assert seen.pop().strip()
