"""Every answer and score that was ever paid for, kept in one file outside the store. Knows no service and no stage.

An answer is found again by who was asked (a provider's identity) and what was asked, never by the step that asked: a
new step key, a killed run or a changed recipe pays only for what is new. Each question is written down as asked before
it leaves, and its answer before anything reads it. What was being asked by a process that died may or may not have been
paid for; it is asked again and counted as unknown.
"""

import json
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from demiurgic.core.errors import UserError
from demiurgic.core.hashing import canonical, digest_of
from demiurgic.core.metric import JSON
from demiurgic.core.records import Message
from demiurgic.providers.answer_file import AnswerFile, Kept
from demiurgic.providers.base import Done, Event, Provider, ProviderError, Reply, Request, Text, collect
from demiurgic.providers.scores import Passage, Scored, places_from_json, places_to_json, scorer
from demiurgic.run.context import Context

LOOK_SECONDS = 0.05
"""How often to look whether another process has the answer that this one waits for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A question as a journal knows it: the key, and the canonical JSON that it is the sha256 of."""

    key: str
    request: str

    @classmethod
    def of(cls, identity: Mapping[str, JSON], request: Request) -> "Entry":
        """Who is asked, the messages as they are sent, every parameter, and which sample of several."""
        drawn = request.sampling
        sampling = asdict(drawn) | {
            "temperature": None if drawn.temperature is None else float(drawn.temperature),
            "top_p": None if drawn.top_p is None else float(drawn.top_p),
        }
        if drawn.top_logprobs is None:  # answers kept before there was such a thing are found again
            del sampling["top_logprobs"]
        content = {
            "identity": identity,
            "messages": [_sent(message) for message in request.messages],
            "sampling": sampling,
            "sample": request.sample,
        }
        return cls(digest_of(content), canonical(content))

    @classmethod
    def of_scores(cls, identity: Mapping[str, JSON], passage: Passage, *, top_k: int) -> "Entry":
        """Who is asked, which tokens, how many words of each, and the text where that is sent in their place."""
        content: dict[str, JSON] = {"identity": dict(identity), "score": [*passage.ids], "top_k": top_k}
        if passage.text is not None:
            content["text"] = passage.text
        return cls(digest_of(content), canonical(content))


def _sent(message: Message) -> dict[str, Any]:
    """What of a message can reach a provider: all but the loss weight."""
    sent = asdict(message)
    del sent["weight"]
    return {name: value for name, value in sent.items() if name in ("role", "content") or value}


@dataclass(frozen=True, slots=True)
class Tally:
    """What a journal did since it was opened.

    `asked` answers came from the provider, of `tokens` tokens where it counts them, and `kept` from the file. `unknown`
    says how often these answers had been asked for before with an outcome nobody knows, by this run or another: as many
    may have been paid twice. `seconds` is how long the provider was being asked at all, one question or many at once.
    """

    asked: int
    tokens: int
    kept: int
    unknown: int
    seconds: float = field(default=0.0, compare=False)


class Journal:
    """Gives kept answers, and keeps new ones; for several threads and several processes at once. Closed after use.

    Raises UserError for a file that is damaged, was written by something else, or finds no room.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = AnswerFile(path)
        self._lock = Lock()
        self._asking: dict[str, tuple[Lock, int]] = {}
        self._num_asked = self._num_tokens = self._num_kept = 0
        self._unknown: dict[str, int] = {}
        self._stopwatch = _Stopwatch()

    def answer(self, provider: Provider, request: Request) -> Reply:
        """The kept reply, or the provider's, kept before it is returned. One key is asked by one thread at a time.

        Raises whatever the provider raises; the question then counts as not asked, unless it may have been billed.
        """
        entry = Entry.of(provider.identity, request)
        return self._kept_or_asked(entry, lambda: collect(provider.complete(request)))

    def score(self, provider: Provider, passage: Passage, *, top_k: int) -> Scored:
        """The kept log-probabilities of a text, or the provider's, as `answer` gives answers.

        Raises UserError for a provider that has none.
        """
        asked = scorer(provider)
        entry = Entry.of_scores(provider.identity, passage, top_k=top_k)
        reply = self._kept_or_asked(entry, lambda: _as_reply(asked.score(passage, top_k=top_k)))
        return _as_scored(reply)

    def _kept_or_asked(self, entry: Entry, ask: Callable[[], Reply]) -> Reply:
        with self._alone(entry.key):
            kept = self._kept_or_claimed(entry)
            if kept is not None:
                self._count(entry, kept, asked=False)
                return kept.reply
            started = time.perf_counter()
            try:
                with self._stopwatch.running():
                    reply = ask()
            except BaseException as error:  # whatever it is: written down, and raised again
                self._file.not_answered(entry.key, unknown=_maybe_billed(error))
                raise
            kept = self._file.keep(entry.key, reply, seconds=time.perf_counter() - started)
            self._count(entry, kept, asked=True)
            return reply

    @property
    def tally(self) -> Tally:
        with self._lock:
            num_unknown = sum(self._unknown.values())
            return Tally(self._num_asked, self._num_tokens, self._num_kept, num_unknown, self._stopwatch.seconds)

    def num_answers(self) -> int:
        """How many answers the file holds."""
        return self._file.num_answers()

    def num_unknown(self, entry: Entry) -> int:
        """How often a question was asked with an outcome nobody knows."""
        return self._file.num_unknown(entry.key)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _kept_or_claimed(self, entry: Entry) -> Kept | None:
        """The kept reply, or None when the question is now written down as asked by us."""
        while True:
            kept = self._file.kept(entry.key)
            if kept is not None or self._file.claim(entry.key, entry.request):
                return kept
            time.sleep(LOOK_SECONDS)  # another process is asking right now

    def _count(self, entry: Entry, kept: Kept, *, asked: bool) -> None:
        usage = kept.reply.usage
        with self._lock:
            self._num_asked += asked
            self._num_kept += not asked
            self._num_tokens += usage.completion_tokens if usage and asked else 0
            if kept.num_unknown:
                self._unknown[entry.key] = kept.num_unknown

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Keep other threads of this process from asking the same at the same time."""
        with self._lock:
            turn, waiting = self._asking.get(key, (Lock(), 0))
            self._asking[key] = (turn, waiting + 1)
        try:
            with turn:
                yield
        finally:
            with self._lock:
                turn, waiting = self._asking[key]
                if waiting == 1:
                    del self._asking[key]
                else:
                    self._asking[key] = (turn, waiting - 1)


class _Stopwatch:
    """How long at least one of several threads was at work."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = Lock()
        self._num_running = 0
        self._since = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        with self._lock:
            if not self._num_running:
                self._since = time.perf_counter()
            self._num_running += 1
        try:
            yield
        finally:
            with self._lock:
                self._num_running -= 1
                if not self._num_running:
                    self.seconds += time.perf_counter() - self._since


def _as_reply(scored: Scored) -> Reply:
    """Scores as the file keeps them: JSON, zlib, base64 (a third of the JSON alone)."""
    packed = zlib.compress(canonical(places_to_json(scored.places)).encode())
    return Reply(b64encode(packed).decode("ascii"), "stop", None)


def _as_scored(reply: Reply) -> Scored:
    return Scored(places_from_json(json.loads(zlib.decompress(b64decode(reply.text)))))


def _maybe_billed(error: BaseException) -> bool:
    """Whether the question may have been worked on although no answer came: not where the provider said why not."""
    if isinstance(error, ProviderError):
        return error.maybe_billed
    return not isinstance(error, UserError)


class Journaled(Provider):
    """A provider whose answers are kept, and given again, by a journal; each comes whole, as one event.

    Does not close the journal, which may serve other providers.
    """

    def __init__(self, inner: Provider, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    @property
    def identity(self) -> Mapping[str, JSON]:
        return self._inner.identity

    def complete(self, request: Request) -> Iterator[Event]:
        reply = self._journal.answer(self._inner, request)
        yield Text(reply.text)
        yield Done(reply.finish, reply.usage, reply.raw)

    def score(self, passage: Passage, *, top_k: int) -> Scored:
        """Raises UserError where the provider inside has no log-probabilities."""
        return self._journal.score(self._inner, passage, top_k=top_k)

    def close(self) -> None:
        self._inner.close()


def open_journal(context: Context) -> Journal:
    """The journal that a run keeps its answers in."""
    if context.journal is None:
        raise AssertionError("a stage that asks a provider was run without a journal; use run_stage or run_recipe")
    return Journal(context.journal)
