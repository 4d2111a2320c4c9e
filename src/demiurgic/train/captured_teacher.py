"""Whose word a `cache_logits` step keeps: a model's, a served teacher's, or what one told with its answers.

Opens it for the capture, and counts how many of its words were known, over all runs that a capture took.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic_core import CoreSchema, core_schema

from demiurgic.core.artifacts import Model, Tokenizer
from demiurgic.core.errors import UserError
from demiurgic.models.precision import Precision
from demiurgic.models.tokenizer import tokenizer_digest
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.train.open_teacher import live_teacher
from demiurgic.train.signals import recorded, served
from demiurgic.train.signals.recorded import Recorded
from demiurgic.train.signals.served import Served

if TYPE_CHECKING:
    import torch

    from demiurgic.train.signals import TeacherSignal


class _ModelOrMapping:
    """A mapping is a teacher that is asked over a wire or was recorded, as its `use` says; all else is a model."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        def which(value: Any) -> str:
            if isinstance(value, dict):
                return str(value.get("use"))
            return value.use if isinstance(value, Served | Recorded) else "model"

        kinds = {"model": Model, "served": Served, "recorded": Recorded}
        schemas = {name: handler.generate_schema(kind) for name, kind in kinds.items()}
        return core_schema.tagged_union_schema(
            schemas,
            discriminator=which,
            custom_error_type="teacher",
            custom_error_message=(
                "a teacher is the name of a step that makes a model, {use: served, provider: …}, or {use: recorded, "
                "logprobs: …}"
            ),
        )


CapturedTeacher: TypeAlias = Annotated[Model | Served | Recorded, _ModelOrMapping()]
"""What `teacher` of a `cache_logits` step may be."""


@contextmanager
def opened_teacher(
    teacher: Model | Served | Recorded,
    windows: Windows,
    *,
    tokenizer: Tokenizer | Model | None,
    precision: Precision,
    device: "torch.device",
    context: Context,
) -> "Iterator[TeacherSignal]":
    """The teacher's signal, closed after use. `tokenizer` is that of the windows, where the recipe names it.

    Raises UserError for a teacher of another vocabulary, and where nobody says which tokenizer made the windows.
    """
    folder = tokenizer.path if tokenizer is not None else None
    match teacher:
        case Model():
            reader = folder if folder is not None else _same_tokenizer(teacher.path, windows)
            yield live_teacher(teacher.path, windows=windows, reader=reader, precision=precision, device=device)
        case Served():
            with closing(served.open_signal(teacher, windows, context, tokenizer=folder)) as asked:
                yield asked
        case Recorded():
            with closing(recorded.open_signal(teacher, windows, context, tokenizer=folder)) as read:
                yield read


def _same_tokenizer(teacher: Path, windows: Windows) -> Path:
    """The teacher's folder, where its tokenizer made the windows. Raises UserError where it did not."""
    if tokenizer_digest(teacher) == windows.tokenizer_digest:
        return teacher
    raise UserError(
        f"The teacher {teacher} has another tokenizer.json than the one {windows.folder} was made with, and whether "
        "the same ids mean the same tokens cannot be seen from the tokens alone. Set tokenizer to that of the data: "
        "the two are compared, and one of the same family, with more tokens behind those of the data, will do."
    )


def go_on_counting(teacher: "TeacherSignal", counts: Mapping[str, float]) -> None:
    """Let what an earlier run counted of a served teacher's words count on."""
    if isinstance(teacher, served.ServedTeacher):
        teacher.agreement.go_on_from(counts)


def count_agreement(teacher: "TeacherSignal", counts: dict[str, float]) -> None:
    """Put how many of a teacher's words were known among what a commit holds."""
    if isinstance(teacher, served.ServedTeacher | recorded.RecordedTeacher):
        counts.update(teacher.agreement.counts())
        counts.update({name: metric.value for name, metric in teacher.summary().metrics.items()})
