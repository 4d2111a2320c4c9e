"""`demiurgic doctor`: whether this machine can do the work."""

from dataclasses import asdict
from pathlib import Path

import click

from demiurgic.cli.options import json_option, print_json, print_table, store_option


@click.command("doctor")
@store_option
@json_option
def command(store: Path, as_json: bool) -> int:
    """Check Python, packages, memory, disk, accelerator and the store, with the next step for what is wrong.

    \b
    Example:
      demiurgic doctor
    """
    from demiurgic.run.doctor import examine
    from demiurgic.run.store import Store

    checks = examine(Store(store))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        rows = [
            [check.name, check.state, f"{check.found}. {check.mend}." if check.mend else check.found]
            for check in checks
        ]
        print_table(["check", "state", ""], rows)
    return 2 if any(check.state == "bad" for check in checks) else 0
