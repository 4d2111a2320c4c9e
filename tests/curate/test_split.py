"""A group falls on one side, by its name and the seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from demiurgic.core.errors import UserError
from demiurgic.core.records import to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.core.seeds import share_of
from demiurgic.curate.split import SIDES, Split, shares_of, sides_of, split_groups
from spilled import spilled
from tiny_rows import a_few, chat, with_meta


def side_of(group, *, split, seed):
    (place,) = sides_of(np.array([share_of(f"{seed}/{group}")]), split=split)
    return SIDES[place]


def split_group(row, *, by):
    (group,) = split_groups(RowBatch(to_batch([row])), by=by)
    return group


groups = [f"module_{number}" for number in range(2000)]


def test_each_side_gets_about_its_share_of_the_groups():
    split = Split(held_out=0.2, validation=0.1)
    sides = [side_of(group, split=split, seed=7) for group in groups]
    # Four standard deviations of a binomial share over 2,000 groups.
    assert sides.count("held_out") / 2000 == pytest.approx(0.2, abs=0.036)
    assert sides.count("validation") / 2000 == pytest.approx(0.1, abs=0.027)


def test_another_seed_is_another_split():
    assert [side_of(group, split=Split(), seed=1) for group in groups] != [
        side_of(group, split=Split(), seed=2) for group in groups
    ]


@a_few
@given(group=st.text(), held_out=st.floats(0, 0.4), validation=st.floats(0, 0.4), more=st.floats(0, 0.1))
def test_a_larger_validation_share_takes_from_training_alone(group, held_out, validation, more):
    before = side_of(group, split=Split(held_out=held_out, validation=validation), seed=7)
    after = side_of(group, split=Split(held_out=held_out, validation=validation + more), seed=7)
    assert (before, after) in {(side, side) for side in ("train", "validation", "held_out")} | {("train", "validation")}


def test_a_share_of_nothing_gets_nothing():
    assert {side_of(group, split=Split(held_out=0), seed=7) for group in groups} == {"train"}


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ValidationError, match="leave nothing to train on"):
        Split(held_out=0.6, validation=0.4)


def test_rows_group_by_a_field_of_their_meta():
    assert split_group(with_meta("a", module="json"), by="module") == "json"
    assert split_group(with_meta("a", level=3), by="level") == "3"


def test_rows_group_by_their_source():
    assert split_group(with_meta("a"), by="source") == "list"


def test_single_rows_group_by_what_they_say(tmp_path):
    rows = [chat("Hi", "Hello", id="a"), chat("Hi", "Hello", id="b"), chat("Hi", "Hullo", id="c")]
    one, same, other = shares_of(spilled(rows, tmp_path), np.ones(3, np.bool_), split=Split(by="row"), seed=1)
    assert one == same != other


def test_a_row_without_the_field_is_answered_with_the_fields_it_has():
    with pytest.raises(
        UserError, match='split.by: row a .* it has no "modul". Its meta has module, name. Did you mean "module"'
    ):
        split_group(with_meta("a", module="json", name="x"), by="modul")
