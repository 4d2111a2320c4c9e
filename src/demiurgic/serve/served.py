"""The provider `served`: a local model behind our own HTTP interface, asked as any other service is."""

from collections.abc import Iterator, Mapping

from demiurgic.core.artifacts import Either, Gguf, Model
from demiurgic.core.metric import JSON
from demiurgic.core.optional import require
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import Event, Provider, Request, refuse_top_logprobs
from demiurgic.providers.local import LocalProvider, open_local
from demiurgic.providers.openai import OpenAIProvider
from demiurgic.providers.scores import Passage, Scored, scorer
from demiurgic.run.context import Context
from demiurgic.serve.server import Server

WAIT_SECONDS = 86_400.0
"""A question waits for all that were asked before it, and the engine cannot vanish unseen: it is in this process."""
NAME = "local"
"""What the one model is called over HTTP; who it is stands in the identity."""


@PROVIDERS.register("served", needs=["openai", "starlette", "uvicorn", "transformers"], scores=True)
def served(run: Context, *, model: Either[Model | Gguf], context: int | None = None) -> "Served":
    """A model of an earlier step over HTTP, as a service would be: started on a free port, stopped at the end.

    `context` is how many tokens question and answer may have together, the model's own when not given.
    """
    require("openai", "starlette", "uvicorn")
    path = model.file if isinstance(model, Gguf) else model.path
    local = open_local(path, device=run.device, threads=run.engine.workers, context_length=context, digest=model.digest)
    try:
        return Served(local)
    except BaseException:
        local.close()
        raise


class Served(Provider):
    """A provider of this process, asked through its own server on a free port of 127.0.0.1; takes it over.

    The server is a thread: it ends with this process, whatever ends that.
    """

    def __init__(self, local: LocalProvider) -> None:
        self._local = local
        self.context_length = local.context_length
        self._server = Server({NAME: local})
        self._server.start()
        base_url = f"{self._server.address}/v1"
        self._client = OpenAIProvider(model=NAME, base_url=base_url, identity=local.identity, read_seconds=WAIT_SECONDS)

    @property
    def identity(self) -> Mapping[str, JSON]:
        return self._local.identity

    def complete(self, request: Request) -> Iterator[Event]:
        refuse_top_logprobs(request.sampling, provider="served")
        return self._client.complete(request)

    def score(self, passage: Passage, *, top_k: int) -> Scored:
        """Raises UserError for a GGUF file: its engine tells no log-probabilities of a text."""
        scorer(self._local)
        return self._client.score(Passage(passage.ids), top_k=top_k)

    def close(self) -> None:
        """Stop the server, cutting off what runs, and free the model."""
        self._client.close()
        self._server.stop(at_once=True)
        self._local.close()
