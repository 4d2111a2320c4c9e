"""Services of the tests that tell log-probabilities: a tiny model behind `/v1/completions`, in the forms of vLLM and of
OpenAI. What they tell is worked out here, apart from the code that is tested.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from demiurgic.core.records import Message
from demiurgic.models.load import load_model
from demiurgic.models.token_bytes import token_bytes
from demiurgic.models.tokenizer import dialect_of, encode_prompt, load_tokenizer
from mock_openai import Body, Says, Tells


class Telling:
    """A script for `MockOpenAI`: answers both forms from the model of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = load_model(folder, device="cpu")
        self.tokenizer = load_tokenizer(folder)

    def __call__(self, body: Body) -> Tells:
        return Tells(self.by_ids(body) if isinstance(body["prompt"], list) else self.by_text(body))

    def log_TV(self, ids: Sequence[int]) -> torch.Tensor:
        """Log-probabilities after each id, over the words of the tokenizer."""
        with torch.no_grad():
            logits_TV = self.model(torch.tensor([list(ids)])).logits[0, :, : len(self.tokenizer)]
        return logits_TV.double().log_softmax(-1)

    def by_ids(self, body: Body) -> dict[str, Any]:
        """As vLLM: by id, the token itself first; its rank tells whether it is among the likeliest."""
        ids, k = body["prompt"], body["prompt_logprobs"]
        told: list[Any] = [None]
        for own, log_V in zip(ids[1:], self.log_TV(ids)[:-1], strict=True):
            rank = int((log_V > log_V[own]).sum()) + 1
            words = {own: (log_V[own].item(), rank)}
            for place, id in enumerate(log_V.topk(k).indices.tolist(), start=1):
                words.setdefault(id, (log_V[id].item(), place))
            told.append({str(id): self._named(id, *word) for id, word in words.items()})
        return {"prompt_logprobs": told}

    def by_text(self, body: Body, *, spell: Callable[[int], str] | None = None) -> dict[str, Any]:
        """As OpenAI's `echo`: tokens by what they are decoded to."""
        spell = spell or (lambda id: self.tokenizer.decode([id], clean_up_tokenization_spaces=False))
        ids = self.tokenizer(body["prompt"], add_special_tokens=False)["input_ids"]
        logprobs: list[Any] = [None]
        tops: list[Any] = [None]
        for own, log_V in zip(ids[1:], self.log_TV(ids)[:-1], strict=True):
            logprobs.append(log_V[own].item())
            tops.append({spell(id): log_V[id].item() for id in log_V.topk(body["logprobs"]).indices.tolist()})
        told = {"tokens": [spell(id) for id in ids], "token_logprobs": logprobs, "top_logprobs": tops}
        return {"logprobs": {**told, "text_offset": [0] * len(ids)}}

    def _named(self, id: int, logprob: float, rank: int) -> dict[str, Any]:
        text = self.tokenizer.decode([id], clean_up_tokenization_spaces=False)
        return {"logprob": logprob, "rank": rank, "decoded_token": text}


def answering(telling: Telling, text: str) -> Callable[[Body], Says]:
    """A script that answers every chat with `text`, and tells what the model says of each of its tokens."""
    tokenizer, data = telling.tokenizer, token_bytes(telling.tokenizer)
    answer = tokenizer(text, add_special_tokens=False)["input_ids"]

    def named(id: int, logprob: float) -> dict[str, Any]:
        return {"token": tokenizer.decode([id]), "bytes": list(data[id] or b""), "logprob": logprob}

    def script(body: Body) -> Says:
        messages = [Message(message["role"], message["content"]) for message in body["messages"]]
        prompt = encode_prompt(messages, tokenizer, dialect=dialect_of(tokenizer))
        told = []
        for id, log_V in zip(answer, telling.log_TV([*prompt, *answer])[len(prompt) - 1 :], strict=False):
            likeliest = log_V.topk(body["top_logprobs"]).indices.tolist()
            top = [named(likely, log_V[likely].item()) for likely in likeliest]
            told.append({**named(id, log_V[id].item()), "top_logprobs": top})
        return Says(tuple(tokenizer.decode([id]) for id in answer), logprobs=tuple(told))

    return script
