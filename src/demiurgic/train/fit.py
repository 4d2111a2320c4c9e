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


def refuse_same_tokens(data: Tokens, held_out: Tokens) -> None:
    """Raises UserError when the checkpoint would be chosen on what the student was trained on."""
    if held_out.digest == data.digest:
        raise UserError(
            f"held_out ({held_out.path}) holds the same tokens as data ({data.path}), and would choose the checkpoint "
            "that knows its training rows best by heart. Give rows that are not trained on, or leave held_out away."
        )


def refuse_other_vocabulary(
    student_model: "PreTrainedModel", teacher_model: "PreTrainedModel", *, student: Path, teacher: Path
) -> None:
    """Raises UserError unless id i is the same token for student and teacher, for all ids of both."""
    sizes = student_model.config.vocab_size, teacher_model.config.vocab_size
    if sizes[0] != sizes[1]:
        raise UserError(
            f"The student {student} has a vocabulary of {sizes[0]} tokens and the teacher {teacher} one of {sizes[1]}. "
            "A student learns from probabilities of the same tokens: give both the same tokenizer."
        )
    if tokenizer_digest(student) == tokenizer_digest(teacher):
        return
    ids_of = load_tokenizer(student).get_vocab(), load_tokenizer(teacher).get_vocab()
    if ids_of[0] != ids_of[1]:
        other = next(word for word in sorted({*ids_of[0], *ids_of[1]}) if ids_of[0].get(word) != ids_of[1].get(word))
        raise UserError(
            f"Student {student} and teacher {teacher} number their tokens differently: {other!r} is "
            f"{ids_of[0].get(other)} for one and {ids_of[1].get(other)} for the other. Give both the same tokenizer."
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
