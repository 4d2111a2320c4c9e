"""Whether student, teacher and tokens belong together. Ids mean nothing without the vocabulary they index."""

from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.artifacts import Adapter, Model, Tokens
from demiurgic.core.errors import UserError
from demiurgic.models.belongs import refuse_other_tokenizer
from demiurgic.models.load import context_length
from demiurgic.models.tokenizer import dialect_of, load_tokenizer, tokenizer_digest
from demiurgic.models.windows import Windows

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def refuse_misfit(model: "PreTrainedModel", windows: Windows, *, folder: Path) -> None:
    """Raises UserError when the model cannot read the tokens: another tokenizer or dialect, or windows too long."""
    refuse_other_tokenizer(windows, folder=folder)
    dialect = dialect_of(load_tokenizer(folder)).name
    if dialect != windows.dialect:
        raise UserError(
            f"The tokens in {windows.folder} are written in the dialect {windows.dialect}; the model {folder} speaks "
            f"{dialect}. Tokenize the rows with the model's own tokenizer."
        )
    if model.config.vocab_size < windows.vocab_size:
        raise UserError(
            f"The model {folder} has embeddings for {model.config.vocab_size} tokens; the vocabulary of "
            f"{windows.folder} has {windows.vocab_size}. Create the model with the tokens' tokenizer."
        )
    refuse_long_windows(model, windows, folder=folder)


def refuse_long_windows(model: "PreTrainedModel", windows: Windows, *, folder: Path) -> None:
    """Raises UserError when a window is longer than what the model attends to."""
    if windows.length > context_length(model):
        raise UserError(
            f"The windows of {windows.folder} have {windows.length} tokens; the model {folder} attends to "
            f"{context_length(model)}. Tokenize with a length of at most that."
        )


def refuse_cut_documents(windows: Windows) -> None:
    """Raises UserError when a document lies in several pieces, each of which would count as much as a whole one."""
    if windows.counts.rows_cut:
        raise UserError(
            f"average: documents counts every document the same, and {windows.counts.rows_cut} of the "
            f"{windows.counts.rows} rows of {windows.folder} are cut into pieces. Tokenize with packing: fit and a "
            f"length (now {windows.length}) that holds the longest row, or leave average at tokens."
        )


def refuse_same_tokens(data: Tokens, held_out: Tokens) -> None:
    """Raises UserError when the checkpoint would be chosen on what the student was trained on."""
    if held_out.digest == data.digest:
        raise UserError(
            f"held_out ({held_out.path}) holds the same tokens as data ({data.path}), and would choose the checkpoint "
            "that knows its training rows best by heart. Give rows that are not trained on, or leave held_out away."
        )


def refuse_other_vocabulary(teacher_model: "PreTrainedModel", *, teacher: Path, reader: Path, vocab_size: int) -> None:
    """Raises UserError unless each id below `vocab_size` is the same token for the teacher as for `reader`.

    `reader` holds the tokenizer of the windows, that of the student: `vocab_size` is its number of tokens. Embeddings
    beyond it, of either model, are padding (151,936 rows in one size of a family and 152,064 in another); they take no
    part. The teacher may know more tokens than the windows' tokenizer, behind those they share.
    """
    embeddings = teacher_model.config.vocab_size
    if embeddings < vocab_size:
        raise UserError(
            f"The teacher {teacher} has embeddings for {embeddings} tokens, and the vocabulary of {reader} has "
            f"{vocab_size}. A student learns from probabilities of the same tokens: give both the same tokenizer."
        )
    refuse_other_numbering(teacher=teacher, reader=reader, vocab_size=vocab_size)


def refuse_other_numbering(*, teacher: Path, reader: Path, vocab_size: int) -> None:
    """Raises UserError naming the first token, by id, below `vocab_size` that two tokenizers number differently."""
    if tokenizer_digest(reader) == tokenizer_digest(teacher):
        return
    ids = load_tokenizer(reader).get_vocab(), load_tokenizer(teacher).get_vocab()
    shared = [{token: number for token, number in found.items() if number < vocab_size} for found in ids]
    if shared[0] == shared[1]:
        return
    numbered = ((number, token) for found in shared for token, number in found.items())
    _, token = min(pair for pair in numbered if shared[0].get(pair[1]) != shared[1].get(pair[1]))
    first, second = (str(found[token]) if token in found else "no token" for found in ids)
    raise UserError(
        f"The tokenizers of {reader} and of the teacher {teacher} number their tokens differently: {token!r} is "
        f"{first} for one and {second} for the other. A student learns from probabilities of the same tokens: give "
        "both the same tokenizer."
    )


def seconds_of(trained: Model | Adapter) -> float:
    """The seconds of training that made a model or an adapter. Raises UserError when no training did."""
    metric = trained.manifest.summary.metrics.get("train_seconds")
    if metric is None:
        hint = "Point it to the adapter that was merged" if trained.manifest.stage == "merge" else "Point it to one"
        raise UserError(
            f"match_seconds wants what a train step made; {trained.manifest.step} was made by the stage "
            f"{trained.manifest.stage}, which has no training time. {hint}."
        )
    return metric.value


def refuse_other_processes(trained: Model | Adapter, *, processes: int) -> None:
    """Raises UserError when a training took its seconds in another number of processes."""
    took = trained.manifest.took.get("processes", 1)
    if took != processes:
        raise UserError(
            f"match_seconds: {trained.manifest.step} was trained with --processes {took}, and this training runs with "
            f"--processes {processes}: their seconds are not alike. Run it with --processes {took}, too."
        )
