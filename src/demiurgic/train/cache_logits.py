"""The stage `cache_logits`: what a teacher says of every supervised token of a tokens folder, asked once and kept.

Reads the config into the capture's terms, and checks that teacher and tokens belong together.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import PositiveInt, model_validator

from demiurgic.core.artifacts import Either, Logits, Model, Tokenizer, Tokens
from demiurgic.core.console import size
from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_of
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.models.belongs import refuse_other_tokenizer
from demiurgic.models.head import output_head
from demiurgic.models.precision import Precision
from demiurgic.models.tokenizer import tokenizer_digest
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.stage import ONLY_SPEED, Stage, StageConfig, written
from demiurgic.train.cache.facts import FACTS, CacheFacts, read_facts
from demiurgic.train.cache.keep import Keep, KeepHidden, KeepSamples, KeepTopK
from demiurgic.train.cache.layout import ID_BYTES, WordBits
from demiurgic.train.cache.writer import CacheWriter, Commit
from demiurgic.train.captured_teacher import CapturedTeacher, count_agreement, go_on_counting, opened_teacher
from demiurgic.train.interrupts import Interrupts
from demiurgic.train.signals.recorded import Recorded
from demiurgic.train.signals.served import Served

if TYPE_CHECKING:
    from demiurgic.models.head import OutputHead
    from demiurgic.train.cache.capture import Capture
    from demiurgic.train.signals import TeacherSignal

COMMIT = "capture.json"
"""How far the capture has come, and what it took; beside the part."""


class CacheLogitsConfig(StageConfig):
    """Whose word is kept, on which tokens, and what of it. Made once, it serves every student of these tokens."""

    data: Tokens
    teacher: CapturedTeacher
    """A model, `{use: served, provider: …}`, or `{use: recorded, logprobs: …}`."""
    keep: Keep = KeepSamples()
    """`{use: hidden}`, `{use: top_k, k: 64}` or `{use: samples, draws: 50}`."""
    tokenizer: Either[Tokenizer | Model] | None = None
    """Of the data. Wanted where the teacher is no model, to know its words, or has another tokenizer.json, to compare
    which token has which id."""
    precision: Precision = "bf16"
    """`bf16`: matrix products under autocast, over weights in bf16 where that is what is stored, else fp32. Logits are
    fp32 in any case."""
    batch: Annotated[PositiveInt, ONLY_SPEED] = 8
    """Windows that the teacher reads at once."""

    @model_validator(mode="after")
    def _keeps_what_it_gets(self) -> Self:
        if not isinstance(self.teacher, Served | Recorded):
            return self
        if not isinstance(self.keep, KeepTopK):
            raise ValueError(
                f"keep is {self.keep.use}, and a {self.teacher.use} teacher tells its likeliest words alone; set keep: "
                "{use: top_k, k: 20}, or give the model itself"
            )
        if isinstance(self.teacher, Served) and self.keep.k > self.teacher.top_k:
            raise ValueError(
                f"keep.k ({self.keep.k}) is more than the teacher's top_k ({self.teacher.top_k}), which says how many "
                "words are asked for; set the one or the other"
            )
        if self.keep.temperatures != (1.0,):
            raise ValueError(
                f"keep.temperatures is {list(self.keep.temperatures)}, and what a {self.teacher.use} teacher says "
                "holds at 1 alone: of the words it does not name only the sum is known; set temperatures: [1.0]"
            )
        if self.tokenizer is None:
            raise ValueError(
                f"a {self.teacher.use} teacher's words are known by the data's tokenizer; set tokenizer to the step "
                "that data was made with"
            )
        return self

    @property
    def part(self) -> str:
        return self.keep.use


def run(config: CacheLogitsConfig, out: Path, context: Context) -> Summary:
    """Ask a teacher about every supervised token once, and keep what it says, for students to read without it."""
    folder = out / config.part
    if not (folder / FACTS).exists():
        _capture(config, out, context)
    done = Commit.read(out / COMMIT)
    if done is None:
        raise AssertionError(f"{folder} is whole, and {COMMIT} beside it is gone")
    facts, _ = read_facts(folder)
    return _summary(facts, done, num_bytes=sum(path.stat().st_size for path in folder.iterdir()))


def _capture(config: CacheLogitsConfig, out: Path, context: Context) -> None:
    """Make the part, or what is missing of it."""
    from demiurgic.models.load import resolve_device
    from demiurgic.train.cache.capture import Capture

    windows, device = Windows.open(config.data.path), resolve_device(context.device)
    _refuse_vocabulary(config, windows)
    with (
        too_little_is_a_users_matter(config),
        opened_teacher(
            config.teacher,
            windows,
            tokenizer=config.tokenizer,
            precision=config.precision,
            device=device,
            context=context,
        ) as teacher,
    ):
        facts = _facts(config, windows, teacher)
        capture = Capture(
            teacher,
            windows,
            config.keep,
            batch=config.batch,
            device=device,
            precision=config.precision,
            seeds=context.seeds,
        )
        with CacheWriter(out / config.part, facts.arrays, commit_path=out / COMMIT) as writer:
            _write_head(teacher, facts, writer.folder)
            _ask_about_all(capture, writer, context)
            writer.finish(facts)


@contextmanager
def too_little_is_a_users_matter(config: CacheLogitsConfig) -> Iterator[None]:
    """Turn "out of memory" into a UserError that says what to change. All else passes."""
    from demiurgic.train.memory import frozen_bytes, is_out_of_memory, words_of

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        weights = ""
        if isinstance(config.teacher, Model):
            weights = f" The teacher's weights alone take {size(frozen_bytes(config.teacher.path, config.precision))}."
        less = f"Set batch: {config.batch // 2} (now {config.batch}), or take" if config.batch > 1 else "Take"
        raise UserError(
            f"The capture does not fit into memory ({words_of(error)}).{weights} {less} the memory of this machine "
            "with --device cpu. The same command goes on from the last commit."
        ) from error


def _ask_about_all(capture: "Capture", writer: CacheWriter, context: Context) -> None:
    """Capture what is missing, with a commit now and then. Raises KeyboardInterrupt on Ctrl-C, after one."""
    go_on_counting(capture.teacher, writer.counts)
    saved, shown = time.perf_counter(), writer.num_windows
    with (
        Interrupts(context.console, what="batch of windows") as interrupts,
        context.console.progress("capture", len(capture.windows), done=shown) as bar,
    ):

        def after_batch() -> None:
            nonlocal saved, shown
            count_agreement(capture.teacher, writer.counts)
            if interrupts.pending:
                writer.commit()
                raise KeyboardInterrupt
            if time.perf_counter() - saved >= context.checkpoint_seconds:
                writer.commit()
                saved = time.perf_counter()
            bar.advance(writer.num_windows - shown)
            shown = writer.num_windows
            bar.show(f"{writer.num_tokens / max(writer.counts['seconds'], 1e-9):,.0f} tokens/s")

        capture.run(writer, after_batch=after_batch)


def _refuse_vocabulary(config: CacheLogitsConfig, windows: Windows) -> None:
    """Raises UserError for a vocabulary that does not fit what is kept, and for a tokenizer other than the data's."""
    if isinstance(config.keep, KeepTopK) and config.keep.k > windows.vocab_size:
        raise UserError(
            f"keep.k is {config.keep.k}, and the vocabulary of {windows.folder} has {windows.vocab_size} words. Keep "
            "at most as many."
        )
    if windows.vocab_size > 1 << (8 * ID_BYTES):
        most = 1 << (8 * ID_BYTES)
        raise UserError(f"The vocabulary of {windows.folder} has {windows.vocab_size} words; a cache can name {most}.")
    if isinstance(config.keep, KeepSamples):
        WordBits.of(vocab_size=windows.vocab_size, draws=config.keep.draws)
    if config.tokenizer is not None:
        refuse_other_tokenizer(windows, folder=config.tokenizer.path)


def _facts(config: CacheLogitsConfig, windows: Windows, teacher: "TeacherSignal") -> CacheFacts:
    hidden = isinstance(config.keep, KeepHidden)
    return CacheFacts(
        keep=config.keep,
        num_windows=len(windows),
        num_tokens=windows.counts.supervised,
        vocab_size=windows.vocab_size,
        tokens_digest=config.data.digest,
        teacher=_identity(config.teacher),
        precision=config.precision if isinstance(config.teacher, Model) else None,
        width=teacher.hidden_width if hidden else None,
        rule=_head_of(teacher).rule if hidden else None,
    )


def _identity(teacher: Any) -> dict[str, str]:
    """Whose word it is, for whoever reads the folder later."""
    if isinstance(teacher, Model):
        digests = {"digest": teacher.digest, "tokenizer_digest": tokenizer_digest(teacher.path)}
        return {"name": teacher.manifest.step, **digests}
    content = written(teacher, lambda artifact: {"artifact": artifact.kind, "digest": artifact.digest})
    return {"name": str(content["use"]), "digest": digest_of(content)}


def _head_of(teacher: "TeacherSignal") -> "OutputHead":
    from demiurgic.train.signals.live import LiveTeacher

    assert isinstance(teacher, LiveTeacher), "hidden states are a model's"
    return output_head(teacher.model)


def _write_head(teacher: "TeacherSignal", facts: CacheFacts, folder: Path) -> None:
    from demiurgic.train.cache.hidden_rows import write_head

    if isinstance(facts.keep, KeepHidden):
        write_head(folder, _head_of(teacher), vocab_size=facts.vocab_size)


def _summary(facts: CacheFacts, done: Commit, *, num_bytes: int) -> Summary:
    """`num_bytes` are those of the whole folder, the head of hidden states among them."""
    counts = done.counts
    found: dict[str, float] = {
        "windows": facts.num_windows,
        "tokens": facts.num_tokens,
        "bytes": num_bytes,
        "bytes_per_token": sum(done.sizes.values()) / facts.num_tokens,
        "seconds": counts["seconds"],
        "tokens_per_second": facts.num_tokens / counts["seconds"],
    }
    if "nats" in counts:
        found["teacher_nats_per_token"] = counts["nats"] / facts.num_tokens
    if "kept_mass" in counts:
        found |= {"tokens_told": counts["told"], "kept_mass": counts["kept_mass"] / max(counts["told"], 1)}
    found |= {name: value for name, value in counts.items() if name.startswith("teacher_")}
    if isinstance(facts.keep, KeepSamples):
        found["distinct_words"] = done.num_words / facts.num_tokens / len(facts.keep.temperatures)
    plain: dict[str, JSON] = {"keep": facts.keep.model_dump(mode="json"), "teacher": dict(facts.teacher)}
    return Summary({name: Metric.exact(value) for name, value in found.items()}, plain)


STAGE = Stage(
    "cache_logits",
    CacheLogitsConfig,
    run,
    makes=lambda config: {config.part: Logits},
    uses_seed=lambda config: isinstance(config.keep, KeepSamples),
    resumable=True,
    needs=("numpy", "torch", "transformers", "safetensors"),
)
