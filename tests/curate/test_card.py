"""The data card: a header that the hub can read, and no number that the summary or the statistics do not hold."""

from dataclasses import replace

import numpy as np
import pytest
from ruamel.yaml import YAML

from demiurgic.core.metric import Metric, Summary
from demiurgic.core.records import to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.card import CARD, write_card
from demiurgic.curate.card.header import hub_license, size_category
from demiurgic.curate.card.markdown import table
from demiurgic.curate.statistics import Tally
from tiny_rows import chat

SUMMARY = Summary(
    {"rows_in": Metric.exact(4), "duplicates.recall": Metric(0.99, 0.98, 1.0, 1000)},
    {
        "dropped": {"web|site": {"length: answer too short": 1}},
        "counts": {"pii": {"email": 3}},
        "duplicates": {"between_sources": [{"gone": "copy", "kept": "books", "rows": 7}]},
    },
)


def statistics(*, rules=("length",)):
    tally = Tally()
    given = [("MIT", "books", 0), ("CC-BY-NC-4.0", "web|site", 0), ("MIT", "books", 1), ("odd licence", "web|site", 2)]
    rows = [
        chat("Hi", f"yes {n}", id=str(n), source=source, license=license, domain="talk", meta='{"language": "no"}')
        for n, (license, source, _) in enumerate(given)
    ]
    fate_N = np.array([fate for _, _, fate in given])
    tally.add(RowBatch(to_batch(rows)), ["train", "held_out", "length"], fate_N)
    return tally.to_json(rules=rules, parts=["train", "validation", "held_out"])


@pytest.fixture
def card(tmp_path):
    write_card(tmp_path, summary=SUMMARY, statistics=statistics())
    return (tmp_path / CARD).read_text(encoding="utf-8")


def header(card):
    return YAML(typ="safe").load(card.split("---\n")[1])


def test_the_header_says_licence_language_size_and_where_the_rows_lie(card):
    assert header(card) == {
        "license": ["cc-by-nc-4.0", "mit"],
        "language": ["no"],
        "size_categories": ["n<1K"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "train/*.parquet"},
                    {"split": "held_out", "path": "held_out/*.parquet"},
                ],
            }
        ],
    }


def test_the_card_says_what_was_kept_of_each_source_and_what_each_rule_took(card):
    assert "3 rows kept of 4 that came in (75.0 %)" in card
    assert "| books | MIT | 2 | 2 | 100.0 % |" in card
    assert "| web\\|site | CC-BY-NC-4.0, odd licence | 2 | 1 | 50.0 % |" in card
    assert "| length | 3 | 1 |" in card
    assert "| length: answer too short | web\\|site | 1 |" in card


def test_the_card_repeats_what_the_run_measured_of_its_own_duplicates_and_found_in_rows(card):
    assert "| recall | 0.99 | 0.98 | 1 | 1,000 |" in card
    assert "| copy | books | 7 |" in card
    assert "| pii | email | 3 |" in card


def test_the_card_names_what_was_not_looked_for(tmp_path, card):
    assert "Rows were not compared with evaluation sets." in card
    rules = ("language", "quality", "pii", "decontaminate", "length", "duplicates")
    write_card(tmp_path, summary=SUMMARY, statistics=statistics(rules=rules))
    whole = (tmp_path / CARD).read_text(encoding="utf-8")
    assert "not compared" not in whole
    assert "Ran and dropped nothing: language, quality, pii, decontaminate, duplicates." in whole


def test_the_card_of_exact_copies_alone_says_that_near_ones_were_not_looked_for(tmp_path, card):
    assert "Rows that say nearly the same were not looked for." not in card  # said already: no duplicates at all
    write_card(
        tmp_path,
        summary=replace(SUMMARY, facts={"duplicates": {"passes": {}}}),
        statistics=statistics(rules=("length", "duplicates")),
    )
    assert "Rows that say nearly the same were not looked for." in (tmp_path / CARD).read_text(encoding="utf-8")
    facts = {"duplicates": {"passes": {"pair": {"rows": 4}}}}
    write_card(tmp_path, summary=replace(SUMMARY, facts=facts), statistics=statistics(rules=("length", "duplicates")))
    assert "nearly the same" not in (tmp_path / CARD).read_text(encoding="utf-8")


def test_a_dataset_without_a_row_has_a_card_too(tmp_path):
    write_card(tmp_path, summary=Summary({}, {}), statistics=Tally().to_json(rules=[], parts=["train"]))
    assert "No row was kept." in (tmp_path / CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spdx", "hub"),
    [
        ("MIT", "mit"),
        ("GPL-3.0-only", "gpl-3.0"),
        ("Apache-2.0", "apache-2.0"),
        ("PSF-2.0", "other"),
        ("mine", "other"),
    ],
)
def test_a_licence_has_the_name_the_hub_knows(spdx, hub):
    assert hub_license(spdx) == hub


@pytest.mark.parametrize(
    ("rows", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (674_728, "100K<n<1M"), (10**9, "1B<n<10B")],
)
def test_a_size_has_the_name_the_hub_knows(rows, category):
    assert size_category(rows) == category


def test_a_cell_cannot_break_the_table():
    assert table(("a", "b"), [("x|y\nz", None)]).splitlines()[-1] == "| x\\|y z | - |"
