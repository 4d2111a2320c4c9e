"""What to train, on what, for how long: the config of `train`, and what can be refused before files are read."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from demiurgic.core.artifacts import Adapter, Either, Model, Tokens
from demiurgic.core.metric import JSON
from demiurgic.models.attention import Attention
from demiurgic.models.lora import hub_origin
from demiurgic.models.precision import Precision
from demiurgic.run.stage import ONLY_SPEED, StageConfig
from demiurgic.train.adapter import Lora
from demiurgic.train.aims import Aims
from demiurgic.train.budget import MEASURED_STEPS
from demiurgic.train.fit import seconds_of
from demiurgic.train.learning_rate import Shape
from demiurgic.train.losses import LOSSES, LossChoice
from demiurgic.train.on_policy import OnPolicy
from demiurgic.train.phases import Phase
from demiurgic.train.schedule_checks import problem_of_measured_length, problem_of_schedules
from demiurgic.train.signal_checks import problem_of_cached_tokens, problem_of_signals
from demiurgic.train.teacher import Teacher

Share = Annotated[float, Field(ge=0, le=1)]


class TrainConfig(StageConfig):
    """What to train, on what, for how long. One of `steps`, `epochs` and `match_seconds` says how long."""

    model: Model
    """The start weights."""
    data: Tokens
    held_out: Tokens | None = None
    """Chooses the best checkpoint; without it the last weights are kept."""
    lora: Lora | None = None
    """Train an adapter and leave the start weights as they are."""
    teacher: Teacher | None = None
    """A model (live), a part of a `cache_logits` step, or `{use: served, provider: …}`."""
    losses: list[LossChoice] = Field(default_factory=lambda: [LOSSES.choose("cross_entropy")], min_length=1)
    phases: tuple[Phase, ...] = ()
    """Named parts of the training, by their shares of its steps, for schedules to speak of."""
    on_policy: OnPolicy | None = None
    """Let the student write some of the text itself."""
    average: Literal["tokens", "documents"] = "tokens"
    """What the loss is a mean over: all supervised tokens of a step, or its documents, each the mean over its own.
    Documents must not be cut: tokenize with packing: fit."""
    steps: PositiveInt | None = None
    """Optimizer steps."""
    epochs: PositiveFloat | None = None
    """Passes over the windows; the last step is filled up from the next pass."""
    match_seconds: Either[Model | Adapter] | None = None
    """Train as many steps as fit into the seconds that training this took, teacher forwards counted."""
    batch: PositiveInt = 16
    """Windows per optimizer step."""
    micro_batch: Annotated[PositiveInt | None, ONLY_SPEED] = None
    """Windows in memory at once, of each process (all of its share by default)."""
    gradient_checkpointing: Annotated[bool, ONLY_SPEED] = False
    """Keep the input of each block alone, and compute the block again in the backward pass: less memory, a third more
    time."""
    attention: Annotated[Attention, ONLY_SPEED] = "auto"
    """Which implementation; `auto` takes what is fastest for the device and the window's length."""
    compile: Annotated[bool, ONLY_SPEED] = False
    """`torch.compile` the student's blocks."""
    learning_rate: PositiveFloat = 1e-3
    warmup_steps: NonNegativeInt = 0
    """Less than all steps; with `match_seconds` at least 30, since the pace is not known before."""
    schedule: Shape = "cosine"
    min_learning_rate_share: Share = 0.1
    """What cosine and wsd end at, as a share of `learning_rate`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """On matrices, embeddings among them; not on norms."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.95)
    gradient_clip: PositiveFloat | None = 1.0
    """The largest norm of a gradient."""
    precision: Precision = "bf16"
    """`bf16`: matrix products under autocast, over fp32 weights. Logits and losses are fp32 in both."""
    evaluate_every: PositiveInt = 200
    """Optimizer steps between two looks at `held_out`; there is always one at the end."""
    held_out_windows: Annotated[int, Field(ge=2)] | None = None
    """How many of them, drawn once; all by default."""
    patience: PositiveInt | None = None
    """Stop early after so many looks at `held_out` in a row that were no better than the best."""
    gradient_norms_every: PositiveInt | None = None
    """Log the gradient norm of each component every so many steps; each such step costs one more pass per component.
    In the key, though the weights are the same: the log is evidence."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        given = [name for name in ("steps", "epochs", "match_seconds") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of steps, epochs and match_seconds; found {' and '.join(given) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.match_seconds is not None and self.warmup_steps < MEASURED_STEPS:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) is less than {MEASURED_STEPS}: with match_seconds the number of "
                "steps is fixed after those, and the learning rate depends on it when the warm-up ends; "
                f"set warmup_steps: {MEASURED_STEPS} or more"
            )
        if self.steps is not None and self.warmup_steps >= self.steps:
            raise ValueError(warmup_too_long(self.warmup_steps, self.steps))
        return self

    @model_validator(mode="after")
    def _held_out_is_held_out(self) -> Self:
        if self.held_out_windows is not None and self.held_out is None:
            raise ValueError("held_out_windows counts windows of held_out, which is not given; set held_out, too")
        if self.held_out is not None and self.held_out == self.data:
            raise ValueError(
                "held_out and data are the same; a checkpoint is chosen on rows that are not trained on, or not at "
                "all (held_out: null)"
            )
        return self

    @model_validator(mode="after")
    def _patience_has_something_to_look_at(self) -> Self:
        if self.patience is not None and self.held_out is None:
            raise ValueError("patience counts looks at held_out, which is not given; set held_out, too")
        return self

    @model_validator(mode="after")
    def _aims_make_sense(self) -> Self:
        problem = problem_of_signals(self.aims) or problem_of_cached_tokens(self.teacher, self.data)
        if self.match_seconds is not None:
            problem = problem or problem_of_measured_length(self.aims)
        problem = problem or problem_of_schedules(self.aims, num_steps=self.steps)
        if problem is not None:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _micro_batch_fits(self) -> Self:
        if self.micro_batch is not None and self.micro_batch > self.batch:
            raise ValueError(
                f"micro_batch ({self.micro_batch}) is larger than batch ({self.batch}), which it divides up"
            )
        return self

    def key_facts(self, base: Path) -> dict[str, JSON]:
        """The seconds that are matched, and the hub's name of an adapter's base: no content of a model tells them."""
        del base
        facts: dict[str, JSON] = {}
        if isinstance(self.match_seconds, Model | Adapter):  # no reference
            facts["seconds_to_match"] = seconds_of(self.match_seconds)
        if self.lora is not None and isinstance(self.model, Model) and (origin := hub_origin(self.model)):
            facts["base_origin"] = [*origin]
        return facts

    @property
    def aims(self) -> Aims:
        """What is learned, when and from whom: what checks and curriculum are made of."""
        return Aims(self.losses, self.teacher, self.on_policy, self.phases)

    @property
    def part(self) -> str:
        return "model" if self.lora is None else "adapter"


def warmup_too_long(warmup_steps: int, steps: int) -> str:
    return (
        f"warmup_steps ({warmup_steps}) is not less than the {steps} steps of the whole training, which would end "
        "before the learning rate is reached; set fewer warmup_steps or more steps"
    )
