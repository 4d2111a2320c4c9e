"""Options and outputs that several commands share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from demiurgic.core.console import Console
from demiurgic.run.context import Context, Strategy
from demiurgic.run.engine import Engine

Command = TypeVar("Command", bound=Callable[..., Any])

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("store"),
    envvar="DEMIURGIC_STORE",
    show_default=True,
    show_envvar=True,
    help="The folder that holds everything made.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for a program to read.")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="STEP.FIELD=VALUE",
    help="Change a value of the recipe for this run; recorded in the ledger. May be repeated.",
)
preset_option = click.option(
    "--preset",
    metavar="NAME",
    help="One of the recipe's presets, applied before --set; recorded in the ledger.",
)
to_option = click.option("--to", metavar="STEP", help="Only this step and what it depends on.")
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Worker processes for rows.  [default: all cores]"
)
in_flight_option = click.option(
    "--in-flight",
    type=click.IntRange(1),
    default=Context.requests_in_flight,
    show_default=True,
    metavar="N",
    help="Questions a provider is asked at once.",
)
journal_option = click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where providers' answers are kept.  [default: beside the folder that is made, FOLDER-journal.sqlite]",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
processes_option = click.option(
    "--processes",
    type=click.IntRange(1),
    metavar="N",
    help="Processes of a step that can be several (train), on this machine.  [default: 1]",
)
strategy_option = click.option(
    "--strategy",
    type=click.Choice(get_args(Strategy)),
    default="ddp",
    show_default=True,
    help="How they share the model: a copy each, a shard each, or DeepSpeed's ZeRO 2.",
)
launch_config_option = click.option(
    "--launch-config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="A config file of accelerate's: which GPUs, how many processes, which port.",
)
track_option = click.option(
    "--track",
    "trackers",
    multiple=True,
    metavar="NAME",
    help="Send the log of a training to tensorboard, wandb or trackio, too. May be repeated.",
)


quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print results only.")


def how_options(command: Command) -> Command:
    """The options of every command that makes something, in order."""
    options = (
        workers_option,
        processes_option,
        strategy_option,
        launch_config_option,
        in_flight_option,
        journal_option,
        device_option,
        track_option,
        quiet_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def context_of(
    *,
    workers: int | None,
    processes: int | None,
    strategy: Strategy,
    launch_config: Path | None,
    in_flight: int,
    journal: Path | None,
    device: str,
    trackers: tuple[str, ...],
    quiet: bool,
    base: Path,
) -> Context:
    """What `how_options` say.

    Raises UserError for a launch config that asks for what is not done, and for a tracker that is unknown or missing.
    """
    from demiurgic.run.launch import launcher_of
    from demiurgic.train.trackers import refuse_missing

    refuse_missing(trackers)
    return Context(
        engine=Engine(workers or 0),
        device=device,
        console=Console(quiet=quiet),
        base=base,
        requests_in_flight=in_flight,
        journal=journal,
        launcher=launcher_of(processes, strategy=strategy, config_file=launch_config),
        trackers=trackers,
    )


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Columns aligned by their widest cell; the last one is left to wrap by itself."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header) - 1)]
    for position, row in enumerate([header, *rows]):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        click.echo(click.style(line, bold=True) if position == 0 else line)
