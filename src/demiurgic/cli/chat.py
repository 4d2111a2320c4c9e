"""`demiurgic chat`: talk with a model on the terminal, or put one question through a pipe."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from demiurgic.cli.options import device_option, json_option, store_option

if TYPE_CHECKING:
    from demiurgic.chat.about import Answering
    from demiurgic.providers.base import Sampling


@click.command("chat")
@click.argument("model")
@click.argument("words", nargs=-1)
@click.option("--system", default="", metavar="TEXT", help="What the model is told before everything else.")
@click.option("--temperature", metavar="NUMBER", help="How freely words are drawn; 0 takes the likeliest.")
@click.option("--max-tokens", metavar="N", help="The longest answer, in tokens.")
@click.option("--seed", metavar="N", help="The same seed draws the same answer.")
@device_option
@click.option(
    "--threads", type=click.IntRange(1), help="Threads of the engine.  [default: all cores; one for a GGUF below 50 MB]"
)
@click.option("--context", type=click.IntRange(1), help="Tokens per conversation.  [default: the model's own]")
@store_option
@click.option("--no-history", is_flag=True, help="Keep no history file of what you type.")
@json_option
def command(
    model: str,
    words: tuple[str, ...],
    system: str,
    temperature: str | None,
    max_tokens: str | None,
    seed: str | None,
    device: str,
    threads: int | None,
    context: int | None,
    store: Path,
    no_history: bool,
    as_json: bool,
) -> int:
    """Talk with a model: a step of the store, a Hugging Face folder, or a .gguf file.

    With WORDS, or with a text on stdin, it answers once on stdout and ends: words first, then the text.

    \b
    Examples:
      demiurgic chat student
      demiurgic chat file.gguf --temperature 0
      demiurgic chat student "Complete this Python function:" < head.py
      cat notes.txt | demiurgic chat ./my-model "Sum this up:" --json
    """
    from demiurgic.chat.about import rejection_of, starting_sampling
    from demiurgic.chat.pipe import answer_once, question_of
    from demiurgic.chat.session import Session
    from demiurgic.core.errors import UserError

    given = _settings(temperature=temperature, max_tokens=max_tokens, seed=seed)
    once = bool(words) or as_json or sys.stdin is None or not sys.stdin.isatty()
    if not once and not sys.stdout.isatty():
        raise UserError("A chat needs a terminal to show itself on. For one answer, write the question as words.")
    question = question_of(words, stdin=sys.stdin) if once else ""
    open_model = _opener(store=store, device=device, threads=threads or 0, context=context)
    try:
        answering = open_model(model)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
        return 130
    sampling = replace(starting_sampling(answering), **given)
    if once:
        with answering.provider:
            if answering.rejected:
                click.echo(rejection_of(answering), err=True)
            session = Session(answering.provider, system=system, sampling=sampling)
            return answer_once(session, question, label=answering.label, as_json=as_json)
    _talk(answering, open_model, system=system, sampling=sampling, store=store, keep_history=not no_history)
    return 0


def _talk(
    answering: "Answering",
    open_model: "Callable[[str], Answering]",
    *,
    system: str,
    sampling: "Sampling",
    store: Path,
    keep_history: bool,
) -> None:
    from demiurgic.chat.commands import Desk
    from demiurgic.chat.prompt import history_file
    from demiurgic.chat.screen import Screen, wants_colour
    from demiurgic.chat.session import Session
    from demiurgic.chat.terminal import Terminal

    with ExitStack() as closing:
        desk = Desk(Session(answering.provider, system=system, sampling=sampling), answering, open_model)
        closing.callback(lambda: desk.answering.provider.close())  # the one that answers then, after /model
        screen = Screen(sys.stdout, colour=wants_colour(sys.stdout))
        history = history_file() if keep_history else None
        Terminal(desk, screen, history=history, names=lambda: _names(store)).run()


def _opener(*, store: Path, device: str, threads: int, context: int | None) -> "Callable[[str], Answering]":
    """Opens a model by name, with a line on stderr while it loads."""

    def open_model(name: str) -> "Answering":
        from demiurgic.api import find_model
        from demiurgic.chat.about import Answering
        from demiurgic.chat.screen import Screen, wants_colour
        from demiurgic.providers.local import open_local

        with Screen(sys.stderr, colour=wants_colour(sys.stderr)).waiting(f"opening {name} …"):
            found = find_model(name, store=store)
            digest = found.artifact.digest if found.artifact else None
            provider = open_local(found.path, device=device, threads=threads, context_length=context, digest=digest)
        return Answering(found.label, found.artifact, provider, found.rejected)

    return open_model


def _names(store: Path) -> list[str]:
    """The finished steps of a store that can answer."""
    from demiurgic.core.artifacts import Gguf, Manifest, Model
    from demiurgic.run.store import Store

    manifests = [Manifest.read(folder) for folder in Store(store).artifacts()]
    answering = {m.step for m in manifests if any(p.kind in (Model.kind, Gguf.kind) for p in m.parts.values())}
    return sorted(answering)


def _settings(**given: str | None) -> dict[str, Any]:
    """The options that were given, read as /set reads them."""
    from demiurgic.chat.commands import SETTINGS

    return {name: SETTINGS[name](name, text) for name, text in given.items() if text is not None}
