"""A tokenizer's vocabulary as GGUF holds it: tokens and their kinds, merges, special ids, chat template.

For byte-level BPE (`tokenizer.ggml.model` "gpt2"), new or trimmed ones too. Whatever llama.cpp would read otherwise
than Hugging Face does is refused with the reason. Knows nothing of weights.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.gguf.pretokenizers import PreTokenizer, find_pre_tokenizers
from demiurgic.models.gguf.stops import special_ids
from demiurgic.models.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from gguf import GGUFWriter

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""`enum llama_token_type`. A control token is read from text only where the caller says so, as with transformers'
special tokens; a user-defined one always, as with its other added tokens."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All that a GGUF says of a tokenizer."""

    pre: str
    tokens: Sequence[str]
    kinds: Sequence[int]
    merges: Sequence[str]
    special: Mapping[str, int]
    """The roles `bos`, `eos`, `eot`, `eom`, `pad`, `unk`, where there are such tokens."""
    add_bos: bool
    add_eos: bool
    chat_template: str | Mapping[str, str] | None


def read_vocabulary(folder: Path, *, size: int) -> Vocabulary:
    """The vocabulary of a tokenizer or model folder for an embedding of `size` rows; ids beyond it are unused.

    Raises UserError for a tokenizer that no GGUF holds without changing what it does.
    """
    tokenizer = load_tokenizer(folder)
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = data["model"]
    _refuse_other_models(model, folder)
    _refuse_normalizer(data.get("normalizer"), folder)
    merges = [" ".join(_pair(merge)) for merge in model["merges"]]
    tokens, kinds = _tokens(model["vocab"], data.get("added_tokens") or [], size=size, folder=folder)
    special = special_ids(tokenizer, folder)
    return Vocabulary(
        pre=_pre(data, tokenizer, folder).name,
        tokens=tokens,
        kinds=kinds,
        merges=merges,
        special=special,
        add_bos=_adds(tokenizer, special.get("bos"), folder=folder, at_start=True),
        add_eos=_adds(tokenizer, special.get("eos"), folder=folder, at_start=False),
        chat_template=tokenizer.chat_template,
    )


def write_vocabulary(writer: "GGUFWriter", vocabulary: Vocabulary) -> None:
    """Add the vocabulary to a file's metadata."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    writer.add_token_merges(vocabulary.merges)
    for role, token_id in vocabulary.special.items():
        getattr(writer, f"add_{role}_token_id")(token_id)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    template = vocabulary.chat_template
    if isinstance(template, Mapping):
        writer.add_chat_template([{"name": name, "template": text} for name, text in template.items()])
    elif template:
        writer.add_chat_template(template)


def _refuse_other_models(model: Mapping[str, Any], folder: Path) -> None:
    reason = None
    if model.get("type", "BPE") != "BPE":
        reason = f"its model is {model['type']}"
    elif model.get("byte_fallback"):
        reason = "it falls back to bytes (byte_fallback), as SentencePiece's tokenizers do"
    elif model.get("dropout"):
        reason = f"it drops merges at random (dropout {model['dropout']})"
    elif model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        reason = "it marks the parts of words with a prefix or suffix"
    elif missing := sorted(_alphabet() - set(model["vocab"])):
        reason = f"{len(missing)} of the 256 bytes have no token (the first is {missing[0]!r})"
    elif strange := next((token for token in _words(model) if not set(token) <= _alphabet()), None):
        reason = f"the token {strange!r} is no sequence of bytes in GPT-2's spelling"
    if reason:
        raise UserError(
            f"The tokenizer of {folder} is no plain byte-level BPE: {reason}. Of others no GGUF can be written here; "
            "convert this model with llama.cpp's own converter."
        )


def _words(model: Mapping[str, Any]) -> set[str]:
    """The tokens that merging can make; what else is in the vocabulary are added tokens, which stand as they are."""
    return {"".join(_pair(merge)) for merge in model["merges"]}


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """Newer files write a merge as a list, older ones as text with a blank between."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _refuse_normalizer(normalizer: Mapping[str, Any] | None, folder: Path) -> None:
    if normalizer is not None and normalizer.get("type") != "NFC":
        raise UserError(
            f"The tokenizer of {folder} changes text first (normalizer {normalizer.get('type')}), which llama.cpp does "
            "not do for byte-level BPE. Use a tokenizer without a normalizer."
        )


def _pre(data: Mapping[str, Any], tokenizer: Any, folder: Path) -> PreTokenizer:
    rules = find_pre_tokenizers(data.get("pre_tokenizer"))
    asked = bool(data["model"].get("ignore_merges"))
    for rule in rules:
        if rule.ignores_merges == asked:
            return rule
    if token := _beyond_merges(data["model"], tokenizer):
        raise UserError(
            f"The tokenizer of {folder} has ignore_merges: {str(asked).lower()}, llama.cpp's rule {rules[0].name} has "
            f"the opposite, and it matters here: {token!r} is in the vocabulary and merging does not reach it. "
            "Use a tokenizer whose tokens are all made by its merges."
        )
    return rules[0]


def _beyond_merges(model: Mapping[str, Any], tokenizer: Any) -> str | None:
    """A token that its own bytes do not merge to, so that `ignore_merges` changes how it is found in text.

    An added token that the tokenizer cuts into several words is never looked up as one, and does not count.
    """
    require("tokenizers")
    from tokenizers import models

    bpe = models.BPE(vocab=model["vocab"], merges=[_pair(merge) for merge in model["merges"]], ignore_merges=False)
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    cut = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    for token in model["vocab"]:
        never_whole = token in added and len(cut(token)) > 1
        if not never_whole and [part.value for part in bpe.tokenize(token)] != [token]:
            return str(token)
    return None


def _tokens(
    words: Mapping[str, int], added: Sequence[Mapping[str, Any]], *, size: int, folder: Path
) -> tuple[list[str], list[int]]:
    """Token texts and kinds by id."""
    texts = {token_id: text for text, token_id in words.items()} | {each["id"]: each["content"] for each in added}
    kinds = {each["id"]: CONTROL if each["special"] else USER_DEFINED for each in added}
    _refuse_added(added, folder)
    if max(texts) >= size:
        raise UserError(
            f"The tokenizer of {folder} has ids up to {max(texts)}, and the model's embedding {size} rows "
            "(vocab_size). The tokenizer is not this model's."
        )
    tokens = [texts.get(token_id, f"[PAD{token_id}]") for token_id in range(size)]
    if len(set(tokens)) < size:
        twice = next(token for token in tokens if tokens.count(token) > 1)
        raise UserError(f"The tokenizer of {folder} has two ids for {twice!r}; llama.cpp wants each token once.")
    return tokens, [kinds.get(token_id, NORMAL if token_id in texts else UNUSED) for token_id in range(size)]


def _refuse_added(added: Sequence[Mapping[str, Any]], folder: Path) -> None:
    for each in added:
        odd = [flag for flag in ("lstrip", "rstrip", "single_word") if each.get(flag)]
        if odd:
            raise UserError(
                f"The tokenizer of {folder} has the added token {each['content']!r} with {', '.join(odd)}, which a "
                "GGUF cannot say. Save the tokenizer with these flags off if they do not matter to the model."
            )
        if not each["content"]:
            raise UserError(f"The tokenizer of {folder} has an empty added token (id {each['id']}).")


def _adds(tokenizer: Any, token_id: int | None, *, folder: Path, at_start: bool) -> bool:
    """Whether the tokenizer puts that token before (or after) a text; seen from what it does to one."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
    found = whole[:start] if at_start else whole[start + len(plain) :]
    if found and found != [token_id]:
        names = " ".join(tokenizer.convert_ids_to_tokens(found))
        where, role = ("before", "bos") if at_start else ("after", "eos")
        raise UserError(
            f"The tokenizer of {folder} puts {names} {where} every text; a GGUF can say only its one {role} token. Set "
            f"{role}_token in tokenizer_config.json to it, or remove it from the post-processor."
        )
    return bool(found)


@cache
def _alphabet() -> frozenset[str]:
    """The 256 characters that stand for bytes (GPT-2's `bytes_to_unicode`)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    return frozenset(map(chr, printable)) | frozenset(chr(256 + i) for i in range(256 - len(printable)))


def differs_on(folder: Path) -> str:
    """Text on which llama.cpp is known to cut otherwise than the tokenizer of a folder; empty where none is known."""
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return find_pre_tokenizers(data.get("pre_tokenizer"))[0].differs_on


def refuse_telling_name(name: str) -> None:
    """Raise UserError for a model name that changes how llama.cpp reads the vocabulary."""
    if re.search(r"phi-?3", name, re.IGNORECASE):
        raise UserError(
            f'The name "{name}" contains phi-3, by which llama.cpp strips blanks after special tokens. Choose another.'
        )
