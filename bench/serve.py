"""What HTTP costs: tokens per second and time to first token, through our server and of the bare engine.

    python bench/serve.py --type q8_0 --answers 9

A model with random weights; one greedy answer of the bare engine, one over HTTP, in the same process and by turns, in
changing order, so that both meet the same machine. Over HTTP the answer is streamed to a plain client that reads every
chunk as JSON.
"""

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from demiurgic.core.records import Message
from demiurgic.dialects import DIALECTS
from demiurgic.models.shapes import SHAPES
from demiurgic.providers.base import Done, Provider, Request, Sampling, Text
from demiurgic.providers.local import open_local
from demiurgic.run.engine import usable_cores
from demiurgic.serve.server import serving
from tables import options, show

LINES = ["def add(left, right):\n    return left + right\n", "for index, item in enumerate(items):\n    print(item)\n"]
NAME = "random"
SHAPE = SHAPES["100m"].model_copy(update={"layers": 18})
"""A vocabulary of a few words saves its embedding, so layers make up for it: 113 M parameters."""


@dataclass(frozen=True)
class Timing:
    """One answer. The first token comes after the prompt; the speed is that of the others, one by one after it."""

    first_seconds: float
    tokens_per_second: float
    num_tokens: int


def main() -> int:
    parser = options("HTTP against the bare engine.")
    parser.add_argument("--type", default="q8_0", help="GGUF type")
    parser.add_argument("--answers", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=max(1, usable_cores() - 1), help="a core is left to the server")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = random_gguf(Path(folder), type=arguments.type)
        with (
            open_local(file, threads=arguments.threads, context_length=1024) as engine,
            serving({NAME: engine}) as address,
        ):
            asked = Request((Message("user", LINES[0] * 4),), Sampling(max_tokens=arguments.tokens, temperature=0))
            bare, over_http = [], []
            for turn in range(arguments.answers + 1):
                if turn % 2:  # neither side always comes first
                    here, there = bare_answer(engine, asked), http_answer(address, asked)
                else:
                    there, here = http_answer(address, asked), bare_answer(engine, asked)
                if turn:  # the first one warms up
                    bare.append(here)
                    over_http.append(there)
            num_parameters = engine.num_parameters
    rows = [
        compared("tokens/s", [t.tokens_per_second for t in bare], [t.tokens_per_second for t in over_http]),
        compared(
            "ms to first token", [1e3 * t.first_seconds for t in bare], [1e3 * t.first_seconds for t in over_http]
        ),
    ]
    if {t.num_tokens for t in (*bare, *over_http)} != {arguments.tokens}:
        raise AssertionError("an answer ended early: its tokens per second are no measure")
    show(
        f"Medians of {arguments.answers} answers of {arguments.tokens} tokens, {arguments.threads} thread(s), "
        f"{num_parameters / 1e6:.0f} M parameters in {arguments.type}",
        rows,
        as_json=arguments.json,
    )
    return 0


def compared(what: str, bare: list[float], over_http: list[float]) -> dict[str, object]:
    """Medians, and the median of the ratios turn by turn: neighbours in time meet the same machine."""
    ratios = [there / here for here, there in zip(bare, over_http, strict=True)]
    return {"what": what, "bare": median(bare), "over http": median(over_http), "ratio by turn": median(ratios)}


def bare_answer(engine: Provider, asked: Request) -> Timing:
    began = time.perf_counter()
    times = [(time.perf_counter(), event) for event in engine.complete(asked)]
    (done,) = (event for _, event in times if isinstance(event, Done))
    return timing(began, [at for at, event in times if isinstance(event, Text)], done.usage.completion_tokens)


def http_answer(address: str, asked: Request) -> Timing:
    body = {
        "model": NAME,
        "messages": [{"role": message.role, "content": message.content} for message in asked.messages],
        "max_tokens": asked.sampling.max_tokens,
        "temperature": asked.sampling.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    chunks = [(time.perf_counter(), chunk) for chunk in read_chunks(connection.getresponse())]
    connection.close()
    texts = [at for at, chunk in chunks if chunk["choices"] and chunk["choices"][0]["delta"].get("content")]
    return timing(began, texts, chunks[-1][1]["usage"]["completion_tokens"])


def read_chunks(response: http.client.HTTPResponse) -> Iterator[dict]:
    while line := response.readline():
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def timing(began: float, texts: list[float], num_tokens: int) -> Timing:
    return Timing(texts[0] - began, (num_tokens - 1) / (texts[-1] - texts[0]), num_tokens)


def random_gguf(folder: Path, *, type: str) -> Path:
    """A file with random weights."""
    from demiurgic.create.bpe import save_tokenizer, train_bpe
    from demiurgic.models.build import build_model
    from demiurgic.models.gguf.write import write_gguf
    from demiurgic.models.load import save_model
    from demiurgic.models.tokenizer import load_tokenizer

    dialect = DIALECTS["chatml"]
    save_tokenizer(train_bpe(LINES, size=270, special_tokens=dialect.special_tokens), folder / "words", dialect=dialect)
    model = build_model(SHAPE, load_tokenizer(folder / "words"), seed=0)
    save_model(model, folder / "words", folder / "model")
    write_gguf(folder / "model", folder / "model.gguf", type=type, name=NAME)
    return folder / "model.gguf"


if __name__ == "__main__":
    sys.exit(main())
