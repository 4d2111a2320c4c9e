"""The stage `mix`: shares asked and got, budgets, epochs, and an account of every row."""

import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from demiurgic.collect.collect import STAGE as COLLECT
from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.records import read_rows, to_batch
from demiurgic.curate.curate import STAGE as CURATE
from demiurgic.curate.mix import write
from demiurgic.curate.mix.amounts import amounts, shares_by_temperature
from demiurgic.curate.mix.mix import STAGE, MixConfig
from demiurgic.curate.mix.survey import hashes_of
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage
from tiny_rows import a_few, any_row, chat


def collected(folder, name, rows):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    source = {"use": "files", "paths": [f"{name}.jsonl"]}
    return str(run_stage(COLLECT, {"source": source}, folder / name, context=Context(base=folder)))


def of(domain, number, *, source="list", words=1):
    return [
        chat(f"Is {domain} {n} here?", "yes " * words, id=f"{domain}:{n}", domain=domain, source=source)
        for n in range(number)
    ]


def mixed(folder, data, *, name="out", seed=0, **values):
    folder.mkdir(exist_ok=True)
    folders = [collected(folder, f"{name}{n}", some) for n, some in enumerate(data)]
    return run_stage(STAGE, {"data": folders, **values}, folder / name, seed=seed)


def rows_of(out, part="rows"):
    return list(Dataset.open(out / part).rows())


def numbers(out):
    return {name: metric.value for name, metric in Manifest.read(out).summary.metrics.items()}


def domains(out):
    return Counter(row.domain for row in rows_of(out))


def test_rows_are_mixed_by_the_shares_asked_for(tmp_path):
    out = mixed(tmp_path, [of("code", 80), of("talk", 50)], shares={"code": 30, "talk": 10}, rows=40)
    assert domains(out) == {"code": 30, "talk": 10}
    assert Manifest.read(out).summary.facts["shares"]["code"]["got"] == 0.75


def test_without_a_budget_there_are_as_many_rows_as_the_scarcest_kind_allows(tmp_path):
    out = mixed(tmp_path, [of("code", 90), of("talk", 10)], shares={"code": 3, "talk": 1})
    assert domains(out) == {"code": 30, "talk": 10}


def test_every_row_is_in_the_mix_or_left_out_with_a_reason(tmp_path):
    out = mixed(
        tmp_path, [of("code", 9), of("talk", 9, source="web"), of("joke", 2)], shares={"code": 2, "talk": 1}, rows=6
    )
    left = rows_of(out, "left_out")
    assert sorted(row.id for row in [*rows_of(out), *left]) == sorted(
        row.id for row in [*of("code", 9), *of("talk", 9), *of("joke", 2)]
    )
    assert {row.domain: row.facts["dropped"] for row in left} == {
        "code": {"reason": "mix: beyond its share", "evidence": "code: 4 of 9 rows are in"},
        "talk": {"reason": "mix: beyond its share", "evidence": "talk: 2 of 9 rows are in"},
        "joke": {"reason": "mix: no share was asked for", "evidence": "joke: 0 of 2 rows are in"},
    }
    assert Manifest.read(out).summary.facts["dropped"] == {
        "list": {"mix: no share was asked for": 2, "mix: beyond its share": 5},
        "web": {"mix: beyond its share": 7},
    }
    assert numbers(out)["rows_in"] == numbers(out)["kept"] + numbers(out)["dropped"] == 20


def test_scarce_rows_come_again_under_ids_of_their_own_but_no_more_often_than_allowed(tmp_path):
    out = mixed(tmp_path, [of("code", 60), of("talk", 8)], shares={"code": 1, "talk": 1}, rows=40, max_epochs=2)
    found = rows_of(out)
    assert domains(out) == {"code": 20, "talk": 16}
    again = [row for row in found if row.id.endswith("#2")]
    assert {row.facts["repeat_of"] for row in again} == {f"talk:{n}" for n in range(8)}
    assert len({row.id for row in found}) == len(found)
    hashes = Counter(row.content_hash for row in found)
    assert Counter(hashes.values()) == {1: 20, 2: 8}
    assert (numbers(out)["repeats"], numbers(out)["rows_out"], numbers(out)["kept"]) == (8, 36, 28)


def test_what_cannot_be_reached_is_said_and_measured(tmp_path, capsys):
    out = mixed(tmp_path, [of("code", 60), of("talk", 4)], shares={"code": 1, "talk": 1}, rows=40)
    facts = Manifest.read(out).summary.facts["shares"]["talk"]
    assert (facts["wanted"], facts["given"], facts["asked"], round(facts["got"], 3)) == (20, 4, 0.5, 0.167)
    assert numbers(out)["share_missed"] == pytest.approx(1 / 3)
    assert "talk gives 4 rows of 20 wanted" in capsys.readouterr().err


def test_copies_in_a_mix_are_found_by_a_later_search_for_duplicates(tmp_path):
    out = mixed(tmp_path, [of("code", 6), of("talk", 3)], shares={"code": 1, "talk": 1}, rows=12, max_epochs=2)
    clean = run_stage(CURATE, {"data": str(out / "rows"), "split": {"held_out": 0}}, tmp_path / "clean")
    assert {row.id.partition("#")[0] for row in rows_of(clean, "train")} == {
        row.id for row in [*of("code", 6), *of("talk", 3)]
    }
    assert len(rows_of(clean, "train")) == 9


def test_a_temperature_levels_the_shares():
    sizes = {"big": 10_000, "small": 100, "none": 0}
    assert shares_by_temperature(sizes, temperature=1) == pytest.approx({"big": 100 / 101, "small": 1 / 101})
    assert shares_by_temperature(sizes, temperature=2) == pytest.approx({"big": 10 / 11, "small": 1 / 11})
    assert shares_by_temperature({"a": 10**9, "b": 1}, temperature=1e-3)["a"] == 1.0


def test_a_temperature_so_low_that_shares_vanish_leaves_the_largest_kind(tmp_path):
    out = mixed(tmp_path, [of("code", 30), of("talk", 3)], temperature=0.001)
    assert domains(out) == {"code": 30}


def test_a_budget_too_small_for_any_row_is_refused(tmp_path):
    with pytest.raises(UserError, match="a budget of 1 tokens takes no row"):
        mixed(tmp_path, [of("code", 3, words=50)], shares={"code": 1}, tokens=1)


def test_a_kind_that_has_enough_is_not_called_scarce_when_the_next_row_is_too_long(tmp_path, capsys):
    mixed(tmp_path, [of("code", 9, words=400)], shares={"code": 1}, tokens=600)
    assert "has enough, and the next of its rows does not fit" in capsys.readouterr().err


def test_a_budget_of_tokens_is_not_exceeded_and_shares_are_of_tokens(tmp_path):
    rows = [of("code", 200, words=40), of("talk", 400, words=5)]
    out = mixed(tmp_path, rows, shares={"code": 1, "talk": 1}, tokens=4000)
    found = numbers(out)
    assert 3800 <= found["tokens_out"] <= 4000
    assert domains(out)["talk"] > 2 * domains(out)["code"]
    assert abs(Manifest.read(out).summary.facts["shares"]["code"]["got"] - 0.5) < 0.02


def test_the_rows_of_a_smaller_budget_are_among_those_of_a_larger_one_and_another_seed_takes_others(tmp_path):
    rows = [of("code", 100)]
    small, large, other = (
        {row.id for row in rows_of(mixed(tmp_path / str(n), rows, temperature=1, rows=size, seed=seed))}
        for n, (size, seed) in enumerate([(20, 0), (60, 0), (20, 1)])
    )
    assert small < large
    assert small != other


def test_rounding_moves_one_row_of_a_kind_at_most_and_loses_none_of_the_budget(tmp_path):
    shares, sizes, before = {"a": 6 / 14, "b": 6 / 14, "c": 2 / 14}, {"a": 60, "b": 60, "c": 20}, {}
    data = [[row for name, size in sizes.items() for row in of(name, size)]]
    for budget in (10, 11):  # at 10 the largest fraction is that of c, at 11 those of a and b
        out = mixed(tmp_path / str(budget), data, shares=shares, rows=budget)
        found = {name: {row.id for row in rows_of(out) if row.domain == name} for name in sizes}
        assert sum(map(len, found.values())) == budget
        assert all(len(rows - found[name]) <= 1 for name, rows in before.items())
        before = found


def test_rows_come_in_random_order_over_all_shards_and_the_same_every_time(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "ROWS_PER_SHARD", 30)
    rows = [of("code", 60), of("talk", 60)]
    first, second = (mixed(tmp_path / name, rows, temperature=1) for name in "ab")
    found = rows_of(first)
    assert [row.id for row in found] == [row.id for row in rows_of(second)]
    assert len(list((first / "rows").glob("rows-*.parquet"))) == 4
    assert 15 < sum(row.domain == "code" for row in found[:60]) < 45
    assert not list((first / "rows").glob("heap*"))


def test_a_second_row_with_an_id_is_left_out(tmp_path):
    twin = chat("Is another here?", "no", id="code:0", domain="code")
    out = mixed(tmp_path, [of("code", 5), [twin]], temperature=1)
    (left,) = rows_of(out, "left_out")
    assert (left.messages[0].content, left.facts["dropped"]["reason"]) == (
        "Is another here?", "mix: an earlier row has its id"
    )  # fmt: skip


def test_a_copy_never_takes_the_id_of_another_row(tmp_path):
    named = chat("Hi", "yes", id="talk:0#2", domain="code")
    with pytest.raises(UserError, match="would be called talk:0#2, and another row of the data is"):
        mixed(tmp_path, [of("talk", 1), [named]], shares={"talk": 1}, rows=2, max_epochs=2)


def test_rows_can_be_mixed_by_source_and_by_a_key_of_their_meta(tmp_path):
    rows = [
        chat(f"Hi {n}", "yes", id=str(n), meta=json.dumps({"language": "en" if n % 3 else "de"})) for n in range(30)
    ]
    out = mixed(tmp_path, [rows], by="language", shares={"en": 1, "de": 1})
    assert Counter(row.facts["language"] for row in rows_of(out)) == {"en": 10, "de": 10}


def test_a_field_that_rows_could_have_and_none_has_is_not_offered_again(tmp_path):
    with pytest.raises(UserError, match="no row says its domain. Name another field"):
        mixed(tmp_path, [of("", 6)], shares={"code": 1})


def test_rows_without_the_field_are_the_group_unnamed(tmp_path):
    out = mixed(tmp_path, [of("code", 6), of("", 6)], shares={"code": 1, "unnamed": 1})
    assert domains(out) == {"code": 6, "": 6}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"shares": {"coed": 1}}, 'no domain "coed".*Did you mean "code"'),
        ({"temperature": 1, "by": "langage"}, 'no field of rows "langage".*No row says its langage'),
    ],
)
def test_a_name_that_no_row_has_stops_with_those_there_are(tmp_path, values, said):
    with pytest.raises(UserError, match=said):
        mixed(tmp_path, [of("code", 3)], **values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "give shares or a temperature"),
        ({"shares": {"a": 1}, "temperature": 1}, "give shares or a temperature"),
        ({"temperature": 1, "rows": 1, "tokens": 1}, "give rows or tokens"),
        ({"shares": {"a": 0}}, "one of them above 0"),
        ({"shares": {"a": 1, "b": -1}}, "numbers of 0 or more"),
        ({"shares": {}}, "numbers of 0 or more"),
        ({"temperature": 1, "max_epochs": 0.5}, "greater than or equal to 1"),
    ],
)
def test_a_mix_that_says_nothing_or_two_things_is_refused_when_it_is_read(values, said):
    with pytest.raises(ValidationError, match=said):
        MixConfig.model_validate({"data": ["a"], **values}, context={"resolve": lambda text, kinds: text})


group_sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 1000), min_size=1)


@a_few
@given(group_sizes, st.integers(1, 5000), st.floats(1, 4), st.floats(0.2, 5))
def test_no_group_gives_more_than_its_share_or_than_it_has(sizes, budget, max_epochs, temperature):
    shares = shares_by_temperature(sizes, temperature=temperature)
    found = amounts(sizes, shares, budget=budget, max_epochs=max_epochs)
    for name, amount in found.items():
        assert amount.given <= amount.wanted <= budget + 1e-6
        assert amount.given <= sizes[name] * max_epochs
    whole = amounts(sizes, shares, budget=None, max_epochs=max_epochs)
    assert all(amount.given == pytest.approx(amount.wanted) for amount in whole.values())


@a_few
@given(st.lists(st.tuples(any_row, st.integers(0, 3)), min_size=1, max_size=6), st.integers(1, 3))
def test_whatever_a_row_holds_it_is_in_the_mix_as_it_was_and_a_copy_differs_in_id_and_meta_alone(given_rows, heaps):
    rows = [replace(row, id=f"{place}:{row.id}") for place, (row, _) in enumerate(given_rows)]
    times_N = np.array([times for _, times in given_rows], np.int32)
    batch = to_batch(rows)
    order = write.Order.drawn(times_N, random=np.random.default_rng(1))
    hashes = hashes_of(batch.column("id"))
    with tempfile.TemporaryDirectory() as folder:
        write.write_mixed([batch.slice(0, 2), batch.slice(2)], order, Path(folder), heaps=heaps, id_hash_N=hashes)
        found = {row.id: row for row in read_rows(Path(folder))}
    assert len(found) == times_N.sum()
    for row, times in zip(rows, times_N.tolist(), strict=True):
        for number in range(1, times + 1):
            copy = found[row.id if number == 1 else f"{row.id}#{number}"]
            facts = row.facts if number == 1 else {**row.facts, "repeat_of": row.id}
            assert copy.facts == facts
            assert replace(copy, id=row.id, meta=row.meta) == row
