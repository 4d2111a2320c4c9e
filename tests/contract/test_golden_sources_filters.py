"""What every source and filter makes of its example, as a digest: no output changes without a new version.

After raising a version, `python tests/contract/test_golden_sources_filters.py` writes the new digest down.
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from demiurgic.collect.sources import SOURCES, BadRow, LeftOut
from demiurgic.core.hashing import digest_of
from demiurgic.curate.filters import FILTERS, Drop
from plugin_examples import SOURCE_EXAMPLES, filter_, ours, rows_for, source, verdicts

GOLDEN = Path(__file__).with_name("golden_sources_filters.json")
PLUGINS = [("sources", entry) for entry in ours(SOURCES)] + [("filters", entry) for entry in ours(FILTERS)]


def output(sort, name):
    if sort == "filters":
        found = verdicts(filter_(name), rows_for(name))
        return [[verdict.reason, verdict.evidence] if isinstance(verdict, Drop) else None for verdict in found]
    with tempfile.TemporaryDirectory() as folder, SOURCE_EXAMPLES[name].in_folder(Path(folder)) as base:
        rows = list(source(name)(base))
    return [
        [row.file, row.position, row.reason]
        if isinstance(row, BadRow)
        else [row.file, row.reason]
        if isinstance(row, LeftOut)
        else row.to_json()
        for row in rows
    ]


def present(sort, entry):
    return {"version": entry.version, "digest": digest_of(output(sort, entry.name))}


def written():
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


def problem(sort, entry):
    before, now = written().get(f"{sort}/{entry.name}"), present(sort, entry)
    if before == now:
        return None
    if before and before["version"] == now["version"]:
        return (
            f"{sort}/{entry.name} gives another output than before under the same version {entry.version}: results "
            f"made with the old one would be taken for new ones. Raise it: register(..., version={entry.version + 1})."
        )
    return f"{sort}/{entry.name} version {entry.version} is not written down. Run: python {Path(__file__).name}"


@pytest.mark.parametrize(("sort", "entry"), PLUGINS, ids=[f"{sort}/{entry.name}" for sort, entry in PLUGINS])
def test_output_changes_only_with_the_version(sort, entry):
    assert problem(sort, entry) is None


def test_nothing_is_written_down_that_does_not_exist():
    assert sorted(written()) == sorted(f"{sort}/{entry.name}" for sort, entry in PLUGINS)


def write():
    for sort, entry in PLUGINS:
        trouble = problem(sort, entry)
        if trouble and "Raise it" in trouble:
            raise SystemExit(trouble)
    lines = {f"{sort}/{entry.name}": present(sort, entry) for sort, entry in PLUGINS}
    GOLDEN.write_text(json.dumps(dict(sorted(lines.items())), indent=1) + "\n")


if __name__ == "__main__":
    write()
