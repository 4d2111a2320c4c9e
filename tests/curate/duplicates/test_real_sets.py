"""Public sets repeat each other under other names; the rule finds that without being told where to look."""

import numpy as np

from real_data import needs_real_data, pairs
from spilled import decide
from tiny_rows import chat


def rows_of(name: str, *, source: str, limit: int | None = None):
    talks = pairs(name, limit=limit)
    return [chat(ask, say, id=f"{source}:{n}", source=source) for n, (ask, say) in enumerate(talks)]


@needs_real_data
def test_a_code_set_of_one_publisher_is_the_set_of_another(tmp_path):
    rows = rows_of("codealpaca", source="codealpaca") + rows_of("gpteacher/codegen-instruct.json", source="gpteacher")
    decisions = decide(rows, tmp_path, exact=False, near={}, sample=300, threads=2)
    assert decisions.witness_N is not None
    named = np.array([row.source for row in rows])
    theirs = named == "gpteacher"
    gone = decisions.reason_N >= 0
    assert theirs.sum() > 4000
    assert gone[theirs].mean() > 0.99
    assert gone[~theirs].mean() < 0.05
    assert (named[decisions.witness_N[gone & theirs]] == "codealpaca").mean() > 0.99
    assert (decisions.metrics["recall"].value, decisions.metrics["precision"].value) == (1, 1)


@needs_real_data
def test_minhash_finds_nearly_what_the_exact_join_finds(tmp_path):
    rows = rows_of("gpteacher/roleplay-similarity_0.6-instruct-dataset.json", source="one")
    rows += rows_of("gpteacher/roleplay-simple-deduped-roleplay-instruct.json", source="two")
    exact = decide(rows, tmp_path / "1", near={"method": "exact"}, sample=0).reason_N >= 0
    decisions = decide(rows, tmp_path / "2", near={"method": "minhash"}, sample=300)
    found = decisions.reason_N >= 0
    assert (exact & found).sum() >= 0.97 * exact.sum()
    assert (exact & found).sum() >= 0.97 * found.sum()
    assert decisions.metrics["precision"].value == 1
