"""Selection: trusted sources whole, others by score, quotas by source and domain; each row that goes says why."""

import random
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from demiurgic.core.errors import UserError
from demiurgic.curate.select import Select, select
from spilled import spilled
from tiny_rows import chat


def scored(source, *scores, domain=""):
    """A row per score; None is a row without one."""
    given = [{} if score is None else {"quality": score} for score in scores]
    return [
        chat("Hi", "yes", id=f"{source}:{n}", source=source, domain=domain, scores=each) for n, each in enumerate(given)
    ]


def decide(folder, rows, *, dropped=(), id_hashes=None, **settings):
    folder.mkdir(exist_ok=True)
    spill = spilled(rows, folder)
    if id_hashes is not None:
        spill = replace(spill, id_hash_N=np.array(id_hashes, np.uint64))
    alive_N = np.array([row.id not in dropped for row in rows], np.bool_)
    return select(spill, alive_N, Select.model_validate(settings))


def gone(rows, decisions):
    places = np.flatnonzero(decisions.reason_N >= 0).tolist()
    return {rows[n].id: (decisions.reasons[decisions.reason_N[n]], decisions.evidence[n]) for n in places}


def test_a_trusted_source_stays_whole_and_one_that_is_not_named_too(tmp_path):
    rows = scored("books", 0.1, 0.2) + scored("web", 0.9, 0.1) + scored("forum", 0.0)
    found = decide(tmp_path, rows, trusted=["books"], scored=[{"sources": ["web"], "min": 0.5}])
    assert set(gone(rows, found)) == {"web:1"}


def test_of_a_mixed_set_the_best_share_stays_rounded_up_over_its_sources_together(tmp_path):
    rows = scored("a", 0.9, 0.8, 0.7) + scored("b", 0.6, 0.5)
    found = decide(tmp_path, rows, scored=[{"sources": ["a", "b"], "keep": 0.5}])
    assert gone(rows, found) == {
        "b:0": ("select: not among the best", "quality 0.6; the 3 best of 5 end at 0.7"),
        "b:1": ("select: not among the best", "quality 0.5; the 3 best of 5 end at 0.7"),
    }


def test_a_share_that_is_a_whole_number_of_rows_is_not_rounded_up(tmp_path):
    rows = scored("a", *(n / 100 for n in range(100)))
    found = decide(tmp_path, rows, scored=[{"sources": ["a"], "keep": 0.07}])  # 0.07 * 100 is 7.000000000000001
    assert len(rows) - len(gone(rows, found)) == 7


def test_all_limits_of_a_tier_hold_together(tmp_path):
    rows = scored("a", 0.9, 0.8, 0.7, 0.2)
    found = decide(tmp_path, rows, scored=[{"sources": ["a"], "min": 0.3, "rows": 2}])
    assert {row: reason for row, (reason, _) in gone(rows, found).items()} == {
        "a:2": "select: not among the best",
        "a:3": "select: score below the bar",
    }


def test_a_row_without_the_score_goes_and_says_so(tmp_path):
    rows = scored("a", 0.9, None)
    found = decide(tmp_path, rows, scored=[{"sources": ["a"], "keep": 1}])
    assert gone(rows, found) == {"a:1": ("select: no score", "it has no quality")}


def test_a_row_dropped_before_is_not_counted_and_not_judged(tmp_path):
    rows = scored("a", 0.9, 0.8, 0.7, 0.6)
    found = decide(tmp_path, rows, dropped=["a:0", "a:1"], scored=[{"sources": ["a"], "keep": 0.5}])
    assert set(gone(rows, found)) == {"a:3"}


def test_a_score_that_no_row_has_stops_with_the_names_there_are(tmp_path):
    rows = scored("a", 0.9)
    with pytest.raises(UserError, match='no score "qualty".*Did you mean "quality"'):
        decide(tmp_path, rows, scored=[{"sources": ["a"], "score": "qualty", "keep": 0.5}])


def test_a_source_that_no_row_is_of_stops_with_the_names_there_are(tmp_path):
    with pytest.raises(UserError, match='no source "boks".*Did you mean "books"'):
        decide(tmp_path, scored("books", 0.5), trusted=["boks"])


def test_a_domain_that_no_row_is_of_stops_with_the_names_there_are(tmp_path):
    rows = scored("a", 0.5, domain="code")
    with pytest.raises(UserError, match='no domain "cod".*Known: code'):
        decide(tmp_path, rows, quotas={"by": "domain", "rows": {"cod": 1}})


def test_a_quota_keeps_the_best_and_limits_only_the_names_it_lists(tmp_path):
    rows = scored("a", 0.1, 0.9, 0.5, domain="code") + scored("b", 0.1, 0.2, domain="talk")
    found = decide(tmp_path, rows, quotas={"by": "domain", "rows": {"code": 1}, "score": "quality"})
    assert gone(rows, found) == {
        "a:0": ("select: beyond the quota", "quality 0.1; code: 1 of 3 rows may stay"),
        "a:2": ("select: beyond the quota", "quality 0.5; code: 1 of 3 rows may stay"),
    }


def test_a_quota_takes_no_row_of_a_trusted_source_though_they_fill_it(tmp_path):
    rows = scored("books", 0.1, 0.1, domain="code") + scored("web", 0.9, 0.8, domain="code")
    quotas = {"by": "domain", "rows": {"code": 3}, "score": "quality"}
    found = decide(tmp_path, rows, trusted=["books"], quotas=quotas)
    assert set(gone(rows, found)) == {"web:1"}
    assert found.facts["quotas 1"]["found"] == {"code": {"rows": 4, "quota": 3, "stayed": 3}}


def test_equal_scores_are_told_apart_by_the_ids_hash_whatever_the_order_of_rows(tmp_path):
    rows = scored("a", *[0.5] * 20)
    hashes = {row.id: random.Random(row.id).getrandbits(64) for row in rows}
    kept = []
    for number, order in enumerate((rows, rows[::-1])):
        found = decide(
            *(tmp_path / str(number), order),
            id_hashes=[hashes[row.id] for row in order],
            scored=[{"sources": ["a"], "rows": 5}],
        )
        kept.append({row.id for row in order} - set(gone(order, found)))
    assert kept[0] == kept[1] == set(sorted(hashes, key=hashes.__getitem__)[:5])


def test_an_infinite_score_ranks_where_it_belongs(tmp_path):
    rows = scored("a", float("-inf"), 0.5, float("inf"))
    found = decide(tmp_path, rows, scored=[{"sources": ["a"], "rows": 2}])
    assert set(gone(rows, found)) == {"a:0"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "selects nothing"),
        ({"scored": [{"sources": ["a"]}]}, "say how much stays"),
        ({"trusted": ["a"], "scored": [{"sources": ["a"], "keep": 0.5}]}, "named twice"),
        ({"trusted": ["a"], "quotas": {"by": "source", "rows": {"a": 3}}}, "is trusted, which keeps it whole"),
        ({"scored": [{"sources": ["a"], "keep": 1.5}]}, "less than or equal to 1"),
    ],
)
def test_a_selection_that_says_nothing_or_two_things_is_refused_when_it_is_read(settings, said):
    with pytest.raises(ValidationError, match=said):
        Select.model_validate(settings)
