"""The entry point: a table of commands, each imported when used, and the one place where errors become exit codes."""

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from demiurgic.version import __version__

COMMANDS: Mapping[str, str] = {
    "run": "Run a recipe: make what is not there, reuse what is.",
    "plan": "Say what a run would do, and why.",
    "status": "Show the newest run of each recipe in the store.",
    "show": "Show a finished step, its rows, or a model shape.",
    "diagnose": "Name what is wrong with a training, and write a corrected recipe.",
    "report": "Write one offline page on what was made, with its evidence.",
    "chat": "Talk to a model on the terminal, or through a pipe.",
    "serve": "Serve models over HTTP, as OpenAI's chat completions.",
    "list": "List what can be named: stages, losses, filters, providers, shapes, …",
    "do": "Run one stage without a recipe.",
    "doctor": "Check this machine and the store.",
    "gc": "List, then delete, what the store can spare.",
    "revoke": "Mark a step, and everything made from it, as unusable.",
}
"""Name -> the line that `--help` shows; the command itself is in cli/NAME.py. In the order of use."""

MODULES = {"list": "list_things", "do": "do_stage"}
"""Where the file cannot have the command's name."""

MAKING = ("run", "do")
GOES_ON = " Everything finished is kept, and a running training left a checkpoint: the same command goes on from there."


class Commands(click.Group):
    """A group that knows its commands by name and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"demiurgic.cli.{MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args and args[0] not in COMMANDS:
            from demiurgic.core.errors import nearest

            ctx.fail(f'There is no command "{args[0]}".{nearest(args[0], COMMANDS)}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="demiurgic")
def cli() -> None:
    """Make a small language model that does what a large one does, and prove every step.

    \b
    Start here:
      demiurgic run                     the recipe stdlib: no GPU, no key, no download
      demiurgic plan my.yaml            what a run of your own recipe would do
      demiurgic do --help               one stage at a time
    """


def main() -> None:
    """Run a command: 0 done, 1 rejected by a gate, 2 a mistake a person can mend, 130 after Ctrl-C."""
    from demiurgic.core.errors import UserError

    try:
        # Not cli.main(): it would make an interruption of every EOFError, and exit code 1 of a closed pipe.
        with cli.make_context("demiurgic", sys.argv[1:]) as context:
            code = cli.invoke(context)
    except UserError as error:
        click.echo(f"{click.style('Stopped', fg='red', bold=True)}: {error}", err=True)
        sys.exit(2)
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        message = f"{error.filename or error}: {error.strerror or 'cannot be used'}. Check the path and who may use it."
        click.echo(f"{click.style('Stopped', fg='red', bold=True)}: {message}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, click.Abort):
        # No option of the group itself takes a value, so the first word is the command.
        _interrupted(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    except BrokenPipeError:
        _close_quietly()  # `demiurgic … | head`
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _interrupted(command: str) -> NoReturn:
    click.echo(f"\nInterrupted.{GOES_ON if command in MAKING else ''}", err=True)
    sys.exit(130)


def _close_quietly() -> NoReturn:
    # Python would complain of the closed pipe once more when it flushes at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)
