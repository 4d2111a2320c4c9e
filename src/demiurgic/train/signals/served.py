"""A teacher behind an endpoint that tells the log-probabilities of a text: its likeliest words, and the rest as one.

Each document is asked for by itself, up to its last supervised token, and through the journal: one that was asked in an
earlier epoch, run or step is not asked again.

Shapes: B windows, T tokens of a window, N supervised tokens, K words of each.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from demiurgic.core.errors import UserError
from demiurgic.core.metric import Summary
from demiurgic.core.registry import Choice
from demiurgic.models.tokenizer import load_tokenizer, tokenizer_digest
from demiurgic.models.windows import Windows
from demiurgic.providers import ProviderChoice
from demiurgic.providers.in_order import in_order
from demiurgic.providers.journal import Journaled, open_journal
from demiurgic.providers.retries import Retrying
from demiurgic.providers.scores import MOST_WORDS, Passage, Place, Scored, scorer, without_log_probabilities
from demiurgic.run.context import Context
from demiurgic.train.signals import Signal
from demiurgic.train.signals.agreement import Agreement, Verdict
from demiurgic.train.signals.align import align
from demiurgic.train.signals.told import Row, ToldTokens, row_of
from demiurgic.train.signals.vocabulary import NO_TEXT, Spelling, Vocabulary, spelling_of

if TYPE_CHECKING:
    from demiurgic.train.batch import SupervisedTokens, TokenBatch

CONTINUATION = bytes(range(0x80, 0xC0))
"""Bytes that begin no character in UTF-8."""
Matched = Annotated[float, Field(gt=0, le=1)]


class Served(BaseModel):
    """Ask an endpoint for the log-probabilities of each text, through the journal."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    use: Literal["served"] = "served"
    provider: ProviderChoice
    top_k: Annotated[int, Field(gt=0, le=MOST_WORDS)] = 20
    """How many words of each position are asked for."""
    ask: Literal["ids", "text"] = "ids"
    """`ids`: the tokens as they are, where the service takes them (vLLM, our own); `text`: written out, where it says
    the text again with its log-probabilities (`echo`)."""
    matched: Matched = 0.99
    """The least share of the text's tokens that the service must name as the student does."""

    @field_validator("provider")
    @classmethod
    def _tells_log_probabilities(cls, provider: Choice) -> Choice:
        if not provider.entry.facts.get("scores"):
            raise ValueError(without_log_probabilities(f"The provider {provider.name}"))
        return provider


def open_signal(
    config: Served, windows: Windows, context: Context, *, tokenizer: Path | None = None
) -> "ServedTeacher":
    """The teacher, open; close it after use. `tokenizer` is the folder of that which made the windows.

    Raises UserError when the provider has no log-probabilities, or the tokenizer is not that of the windows.
    """
    vocabulary = vocabulary_of(tokenizer, windows)
    with ExitStack() as stack:
        journal = stack.enter_context(open_journal(context))
        provider = config.provider(context)
        asked = stack.enter_context(
            Retrying(Journaled(provider, journal), console=context.console, seeds=context.seeds)
        )
        scorer(provider)
        told = TellingService(asked, top_k=min(config.top_k, vocabulary.size), at_once=context.requests_in_flight)
        return ServedTeacher(
            told, vocabulary, by_text=config.ask == "text", matched=config.matched, opened=stack.pop_all()
        )


def vocabulary_of(tokenizer: Path | None, windows: Windows) -> Vocabulary:
    """The windows' vocabulary, by the folder of a tokenizer or model. Raises UserError for none, or another one."""
    if tokenizer is None:
        raise UserError(
            f"Nobody says which tokenizer made {windows.folder}, and the teacher's words are known by it. Add "
            "tokenizer: the step that the tokens were made with."
        )
    if tokenizer_digest(tokenizer) != windows.tokenizer_digest:
        raise UserError(
            f"The tokens in {windows.folder} were made with another tokenizer than that of {tokenizer}. Name the step "
            "that they were made with as tokenizer."
        )
    return Vocabulary.of(load_tokenizer(tokenizer), size=windows.vocab_size)


@dataclass(frozen=True)
class TellingService:
    """A provider that is asked for many passages at once."""

    provider: Retrying
    top_k: int
    at_once: int

    @property
    def name(self) -> str:
        return " ".join(str(value) for value in self.provider.identity.values())

    def scored(self, passages: Sequence[Passage]) -> list[Scored]:
        """Raises what the provider raises; what was under way by then is kept in the journal."""
        ask = partial(self.provider.score, top_k=self.top_k)
        asked = in_order(ask, passages, at_once=min(self.at_once, len(passages)), on_stop=self.provider.give_up)
        return list(asked)


class ServedTeacher:
    """Asks for each document of a micro-batch, of the training data or of the student's own text."""

    signal: Signal = "served"
    hidden_width: int | None = None

    def __init__(
        self,
        service: TellingService,
        vocabulary: Vocabulary,
        *,
        by_text: bool = False,
        matched: float = 0.99,
        opened: ExitStack | None = None,
    ) -> None:
        self._service = service
        self._vocabulary = vocabulary
        self._by_text = by_text
        self._opened = opened or ExitStack()
        self.agreement = Agreement(matched)

    def read(self, batch: "TokenBatch", tokens: "SupervisedTokens") -> ToldTokens:
        """Raises UserError when the service does not answer, tells no log-probabilities, or cuts texts otherwise."""
        documents = _documents(batch, tokens)
        sent = [self._sent(document) for document in documents]
        scored = self._service.scored([each.passage for each in sent]) if sent else []
        rows: dict[int, Row] = {}
        for document, each, answer in zip(documents, sent, scored, strict=True):
            rows.update(self._rows(document, each, answer))
        self.agreement.check(f"The teacher ({self._service.name})")
        ordered = [rows[number] for number in range(len(rows))]
        return ToldTokens.of(ordered, num_words=self._service.top_k, device=batch.ids_BT.device)

    def _sent(self, document: "_Document") -> "_Sent":
        if not self._by_text:
            return _Sent(Passage(document.ids), 0, 0)
        data = b"".join(self._vocabulary.words[id] or b"" for id in document.ids)
        whole = data.lstrip(CONTINUATION)  # a document may be cut within a character
        text = whole.decode(errors="ignore")
        return _Sent(Passage(document.ids, text), len(data) - len(whole), len(whole) - len(text.encode()))

    def _rows(self, document: "_Document", sent: "_Sent", scored: Scored) -> Iterator[tuple[int, Row]]:
        spelling = spelling_of(scored.places)
        by = self._places_of_text if self._by_text else self._places_of_ids
        places = by(document.ids, sent, scored, spelling)
        for place, number in document.asked:
            yield (
                number,
                row_of(
                    places.get(place),
                    vocabulary=self._vocabulary,
                    spelling=spelling,
                    num_words=self._service.top_k,
                    agreement=self.agreement,
                ),
            )

    def _places_of_ids(
        self, ids: Sequence[int], sent: "_Sent", scored: Scored, spelling: Spelling
    ) -> Mapping[int, Place]:
        del sent, spelling
        if [place.word.id for place in scored.places] != [*ids]:
            raise UserError(
                f"The teacher ({self._service.name}) was asked for {len(ids)} tokens by their ids and spoke of others. "
                "It takes no ids: try ask: text."
            )
        places = {}
        for number, place in enumerate(scored.places[1:], start=1):
            verdict = self._vocabulary.verdict(place.word)
            self._count(ids[number], verdict, said=place)
            if verdict != "other":
                places[number] = place
        return places

    def _places_of_text(
        self, ids: Sequence[int], sent: "_Sent", scored: Scored, spelling: Spelling
    ) -> Mapping[int, Place]:
        units = [self._vocabulary.unit(id) for id in ids]
        words = [self._vocabulary.unit_of(place.word, spelling=spelling) for place in scored.places]
        begin, end = 0, sum(map(len, units)) - sent.num_after
        found = align(_without_added_beginning(words, units), units, start=sent.num_before, end=end)
        for number, unit in enumerate(units):
            inside = sent.num_before <= begin and begin + len(unit) <= end
            if number and inside and number not in found.lost:
                self._count(ids[number], "same" if number in found.word else "other")
            begin += len(unit)
        return {number: scored.places[word] for number, word in found.word.items()}

    def _count(self, id: int, verdict: Verdict, *, said: Place | None = None) -> None:
        own = (self._vocabulary.words[id] or b"").decode(errors="backslashreplace")
        other = "" if said is None else f", which it calls {said.word.text!r}"
        is_long = self._vocabulary.is_long(id)
        self.agreement.count_token(verdict, is_long=is_long, example=f"{own!r} ({id}){other}")

    def summary(self) -> Summary:
        """How much of the teacher's words was matched."""
        return self.agreement.summary()

    def close(self) -> None:
        self._opened.close()


@dataclass(frozen=True, slots=True)
class _Document:
    """A document up to its last supervised token, and its supervised tokens: the place of each, and its number."""

    ids: tuple[int, ...]
    asked: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A passage, and how many bytes before and after its text are parts of a character that was cut."""

    passage: Passage
    num_before: int
    num_after: int


def _documents(batch: "TokenBatch", tokens: "SupervisedTokens") -> list[_Document]:
    """The documents that hold supervised tokens, which are numbered in the order of the flattened windows."""
    length = batch.ids_BT.shape[1]
    ids_BT, documents_BT = batch.ids_BT.tolist(), batch.documents_BT.tolist()
    asked: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, position in enumerate(tokens.positions_N.tolist()):
        window, place = divmod(position + 1, length)
        asked.setdefault((window, documents_BT[window][place]), []).append((place, number))
    documents = []
    for (window, document), places in asked.items():
        start = documents_BT[window].index(document)
        ids = ids_BT[window][start : places[-1][0] + 1]
        documents.append(_Document(tuple(ids), tuple((place - start, number) for place, number in places)))
    return documents


def _without_added_beginning(words: Sequence[bytes | None], units: Sequence[bytes]) -> list[bytes | None]:
    """Without a beginning of text that the service puts before every text."""
    if not words or words[0] is None or not words[0].startswith(NO_TEXT):
        return [*words]
    added = words[0] != units[0] or words[1:2] == [units[0]]
    return [b"" if added else words[0], *words[1:]]
