import json
from typing import Any

import pytest
from click.testing import CliRunner

from demiurgic.cli.main import cli
from demiurgic.train.losses import LOSSES, reads_of
from demiurgic.train.matrix import MEANINGS, SIGNALS, losses_on, signals_for, support, table

LABELS = dict.fromkeys(SIGNALS, "exact")
DISTRIBUTION = {"live": "exact", "hidden": "exact", "top_k": "coarse", "samples": None, "served": "coarse"}
HIDDEN = {"live": "exact", "hidden": "last layer", "top_k": None, "samples": None, "served": None}


@pytest.mark.parametrize("name", LOSSES.entries())
def test_what_a_loss_reads_decides_what_it_can_be_computed_from(name: str):
    entry = LOSSES.get(name)
    wanted: dict[str, Any] = {"labels": LABELS, "distribution": DISTRIBUTION, "hidden": HIDDEN}[reads_of(entry)]
    if entry.facts.get("from_samples"):
        wanted = {**wanted, "samples": "unbiased"}
    assert {signal: support(entry, signal) for signal in SIGNALS} == wanted


def test_forward_kl_is_unbiased_on_samples_and_the_reverse_is_refused():
    assert support(LOSSES.get("forward_kl"), "samples") == "unbiased"
    assert support(LOSSES.get("reverse_kl"), "samples") is None
    assert losses_on("samples") == ["forward_kl"]
    assert signals_for(LOSSES.get("hidden_mse")) == ["live", "hidden"]


def test_the_table_has_every_loss_and_every_signal():
    rows = table()
    assert rows[0] == ["", *SIGNALS]
    assert [row[0] for row in rows[1:]] == list(LOSSES.entries())
    assert {cell for row in rows[1:] for cell in row[1:]} <= {*MEANINGS, "-"}


def test_list_losses_prints_the_matrix_and_what_its_words_mean():
    found = CliRunner().invoke(cli, ["list", "losses"])
    assert found.exit_code == 0
    lines = [line.split() for line in found.output.splitlines()]
    assert list(SIGNALS) in lines
    assert ["forward_kl", "exact", "exact", "coarse", "unbiased", "coarse"] in lines
    assert "Never larger than the true one" in " ".join(found.output.split())


def test_list_losses_as_json_says_for_each_loss_what_it_can_be_computed_from():
    found = CliRunner().invoke(cli, ["list", "losses", "--json"])
    assert json.loads(found.stdout)["losses"]["forward_kl"]["signals"]["samples"] == "unbiased"
