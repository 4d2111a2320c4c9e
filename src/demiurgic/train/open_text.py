"""What a recipe's training reads: from its config to the source of each step's text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Artifact
from demiurgic.core.seeds import Seeds
from demiurgic.models.windows import Windows
from demiurgic.train.config import TrainConfig
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.fit import refuse_cut_documents
from demiurgic.train.order import Order
from demiurgic.train.signals import TeacherSignal
from demiurgic.train.source import FromData, TextSource, averaged
from demiurgic.train.student_text import WithStudent, Writer, refuse_no_prompts, refuse_shards

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def open_text(
    config: TrainConfig,
    windows: Windows,
    order: Order,
    *,
    curriculum: Curriculum,
    model: "PreTrainedModel",
    teacher: TeacherSignal | None,
    accelerator: Any,
    seeds: Seeds,
) -> TextSource:
    """The source of each step's text; `model` is the student itself, after it was spread over the processes.

    Raises UserError when the student is to go on from prompts and the windows have none, or each process holds a shard
    of it; and when documents are to count the same and windows hold pieces of them.
    """
    data = FromData(windows, order)
    if config.average == "documents":
        refuse_cut_documents(windows)
    if config.on_policy is None:
        return averaged(data, config.average)
    refuse_no_prompts(windows)
    refuse_shards(model)
    writer = Writer(
        model,
        stop_ids=_stop_ids(config.model),
        vocab_size=windows.vocab_size,
        context=min(_contexts(model, teacher)),
        precision=config.precision,
        accelerator=accelerator,
    )
    return averaged(WithStudent(data, config.on_policy, curriculum, writer, seeds), config.average)


def _stop_ids(model: Artifact) -> Sequence[int]:
    from demiurgic.models.tokenizer import dialect_of, load_tokenizer, stop_ids

    tokenizer = load_tokenizer(model.path)
    return stop_ids(tokenizer, dialect=dialect_of(tokenizer))


def _contexts(model: "PreTrainedModel", teacher: TeacherSignal | None) -> list[int]:
    """Of the student, and of a teacher that reads what it wrote."""
    from demiurgic.models.load import context_length
    from demiurgic.train.signals.live import LiveTeacher

    models = [model, *([teacher.model] if isinstance(teacher, LiveTeacher) else [])]
    return [context_length(each) for each in models]
