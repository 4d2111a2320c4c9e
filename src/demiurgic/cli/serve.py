"""`demiurgic serve`: models of this machine over HTTP, until Ctrl-C."""

import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from demiurgic.cli.options import device_option, quiet_option, store_option

if TYPE_CHECKING:
    from demiurgic.api import FoundModel
    from demiurgic.core.console import Console
    from demiurgic.providers.base import Provider
    from demiurgic.serve.server import Server


@click.command("serve")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 finds a free one.")
@click.option("--api-key-env", metavar="NAME", help="The environment variable with the key that clients must send.")
@click.option(
    "--threads", type=click.IntRange(1), help="Threads per model.  [default: all cores; one for a GGUF below 50 MB]"
)
@click.option("--even-rejected", is_flag=True, help="Serve a model that missed its gates, too.")
@click.option("--context", type=click.IntRange(1), help="Tokens per conversation.  [default: the model's own]")
@device_option
@store_option
@quiet_option
def command(
    models: tuple[str, ...],
    host: str,
    port: int,
    api_key_env: str | None,
    threads: int | None,
    context: int | None,
    even_rejected: bool,
    device: str,
    store: Path,
    quiet: bool,
) -> int:
    """Serve models over HTTP, as OpenAI's chat completions: any client of OpenAI's can ask them.

    A MODEL is a step of the store (student, file.gguf), a Hugging Face folder or a .gguf file. Nothing but this machine
    reaches it, unless --host says so, and then only with a key.

    \b
    Examples:
      demiurgic serve student
      demiurgic serve student teacher --port 9000
      demiurgic serve model.gguf --context 4096
      demiurgic serve student --host 0.0.0.0 --api-key-env MY_KEY
    """
    from demiurgic import api
    from demiurgic.core.console import Console
    from demiurgic.core.errors import UserError
    from demiurgic.providers.local import open_local
    from demiurgic.serve.server import Server

    console = Console(quiet=quiet)
    api_key = _key(api_key_env)
    found = [api.find_model(name, store=store) for name in models]
    rejected = next((model for model in found if model.rejected), None)
    if rejected and not even_rejected:
        raise UserError(
            f"{rejected.label} was rejected: {rejected.rejected}. Serve another one, or this one all the same with "
            "--even-rejected."
        )
    labels = [model.label for model in found]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise UserError(f"Two of the models are called {min(twice)}. Serve one of them, or rename its file.")
    with ExitStack() as opened:
        providers: dict[str, Provider] = {}
        # The port first: a port in use is told at once, and a large model loads for minutes.
        server = Server(providers, host=host, port=port, api_key=api_key)
        opened.callback(server.close)
        try:
            for model in found:
                digest = model.artifact.digest if model.artifact else None
                provider = open_local(
                    model.path, device=device, threads=threads or 0, context_length=context, digest=digest
                )
                providers[model.label] = opened.enter_context(provider)
                console.say(f"{_described(model)}; a context of {provider.context_length:,} tokens.")
        except KeyboardInterrupt:
            console.say("Stopped before anything was served.")
            return 130
        return _serve(server, console, example=_curl(server.address, labels[0], api_key_env))


def _key(name: str | None) -> str | None:
    from demiurgic.core.errors import UserError

    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise UserError(f"The environment variable {name} is not set. Put the key that clients must send into it.")
    return key


def _described(model: "FoundModel") -> str:
    what = "a GGUF file" if model.kind == "gguf" else "a model"
    if model.artifact is None:
        return f"{model.label}: {what} from elsewhere ({model.path}), of which nothing is proven"
    manifest = model.artifact.manifest
    said = f", which was rejected: {model.rejected}" if model.rejected else ""
    return f"{model.label}: {what} of the step {manifest.step} ({manifest.key}){said}"


def _curl(address: str, label: str, api_key_env: str | None) -> str:
    key = f' -H "Authorization: Bearer ${api_key_env}"' if api_key_env else ""
    body = f'{{"model": "{label}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    return f"curl {address}/v1/chat/completions{key} -H 'Content-Type: application/json' -d '{body}'"


def _serve(server: "Server", console: "Console", *, example: str) -> int:
    """Serve until a signal: 130 after Ctrl-C, 0 after SIGTERM. Running answers end; a second signal cuts them off."""
    signals: list[int] = []
    came = threading.Event()

    def note(number: int, frame: object) -> None:
        del frame
        signals.append(number)
        came.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.start()
        console.say(f"Listening on {server.address}/v1. Ctrl-C stops it. Try:\n  {example}")
        came.wait()
        server.ask_to_stop()
        if not server.stopped(within_seconds=0.5):
            console.say("Waiting for running answers to end; Ctrl-C again cuts them off.")
        while not server.stopped(within_seconds=0.1):
            if len(signals) > 1:
                server.ask_to_stop(at_once=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 130 if signals[0] == signal.SIGINT else 0
