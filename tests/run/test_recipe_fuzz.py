"""Whatever stands in a recipe, it is read or answered with one paragraph; never a traceback."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demiurgic.core.errors import UserError
from toys import SUM, recipe

EASY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["some", "parts.low", "some[*]", "x.y.z", "[", "", "numbers"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["use", "metric", "seed", "a.b"]), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.sampled_from(
    ["use", "like", "for_each", "requires", "gates", "seed", "count", "data", "limit", "weights", "word", "zzz"]
)


ODD = st.sampled_from(
    ["<<: *a", "&a ", "2020-13-45", "9" * 5000, "!!int xx", "!!omap", ".inf", "[" * 3000, '"\\ud800"']
)


def read(folder: Path, text: str) -> None:
    try:
        recipe(folder, text)
    except UserError as error:
        assert str(error)


@EASY
@given(text=st.text(max_size=200))
def test_any_text(tmp_path, text):
    read(tmp_path, text.encode("utf-8", "replace").decode())


@EASY
@given(
    start=st.integers(0, len(SUM)),
    length=st.integers(0, 20),
    put=st.text("[]{}:,.*&!|>'\"\n\t #-ab1", max_size=8) | ODD,
)
def test_a_good_recipe_with_a_piece_replaced(tmp_path, start, length, put):
    read(tmp_path, SUM[:start] + put + SUM[start + length :])


@EASY
@given(step=st.dictionaries(keys, values, max_size=5), use=st.sampled_from(["numbers", "shuffle", "halve", "total"]))
def test_any_values_in_a_step(tmp_path, step, use):
    import json

    read(tmp_path, SUM + f"  odd: {json.dumps({'use': use, **step})}\n")
