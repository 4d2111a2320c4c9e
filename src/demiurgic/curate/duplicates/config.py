"""What a person may say of duplicates in a recipe. Knows nothing of how they are found."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from demiurgic.core.artifacts import Fingerprints
from demiurgic.run.stage import Many

Key = Literal["prompt", "response", "pair", "last_turn"]
"""What of a row is compared: everything before the last answer, the last answer, all that is said, or the last question
and answer. A plain text has no prompt, and is itself the rest."""

Preference = Literal["quality", "source_rank", "license", "longest", "first"]
Unit = Literal["word", "character"]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Listed = BeforeValidator(_listed)
"""One name may stand for a list of one."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Near(_Settings):
    """Rows that resemble a better one, by the Jaccard index: n-grams in both texts over n-grams in either."""

    key: Annotated[list[Key], Listed] = Field(default=["pair"], min_length=1)
    """With several, a row goes if any of them matches."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    unit: Unit = "word"
    n: int = Field(default=3, ge=1, le=64)
    common_above: int | None = Field(default=None, ge=1)
    """n-grams in more rows than this are a template's, and do not count."""
    method: Literal["auto", "exact", "minhash"] = "auto"
    """`exact` finds every pair; `minhash` compares what shares a band of a signature, and checks what it finds."""
    exact_up_to: int = Field(default=10_000_000, ge=0)
    """Rows up to which `auto` is `exact`."""
    permutations: int = Field(default=128, ge=1, le=4096)
    bands: int = Field(default=16, ge=1, le=4096)
    leaders: int = Field(default=16, ge=1)
    """How many rows of one band are compared with each later one."""
    hash_seed: int = Field(default=1, ge=0, lt=2**32)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.key)) < len(self.key):
            raise ValueError(f"key names one thing twice: {', '.join(self.key)}")
        if self.permutations % self.bands:
            raise ValueError(f"{self.permutations} permutations do not make {self.bands} equal bands")
        return self

    def is_exact(self, num_rows: int) -> bool:
        return self.method == "exact" or (self.method == "auto" and num_rows <= self.exact_up_to)


class Duplicates(_Settings):
    """Which rows repeat another, and which of them stays. `exact`, `near` and `none` are its short forms."""

    exact: bool = True
    """Of rows that ask and answer the same, one stays."""
    near: Near | None = None
    answers_per_prompt: int | None = Field(default=None, ge=1)
    """So many rows of one prompt stay, the best first."""
    keep: Annotated[list[Preference], Listed] = Field(default=["first"], min_length=1)
    """Which of several stays: by the first of these that tells them apart, in the end by `first`."""
    quality: str = "quality"
    """The score that `quality` in `keep` means; more is better, a row without it is worse than any that has it."""
    source_rank: Annotated[list[str], Listed] = []
    """Sources, the best first; any other is worse."""
    license_rank: Annotated[list[str], Listed] = []
    """Licences, the best first; any other is worse."""
    against: Many[Fingerprints] = []
    """Indexes of earlier curations: what repeats one of their rows goes."""
    keep_index: bool = False
    """Make the part `index`, for later curations' `against`."""
    sample: int = Field(default=1000, ge=0)
    """How many rows the step checks itself on; 0 checks nothing."""

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        if "first" in self.keep[:-1] or len(set(self.keep)) < len(self.keep):
            raise ValueError("keep names each once, and first only as the last: it tells any two rows apart")
        for name, ranks in (("source_rank", self.source_rank), ("license", self.license_rank)):
            option = "license_rank" if name == "license" else name
            if name in self.keep and not ranks:
                raise ValueError(f"keep names {name}: say with {option} which are better, the best first")
            if ranks and name not in self.keep:
                raise ValueError(f"{option} is given, and keep does not name {name}")
        if self.against and not self.exact:
            raise ValueError("against an index rows are compared exactly first: leave out exact: false")
        return self

    @property
    def does_anything(self) -> bool:
        return self.exact or self.near is not None or self.answers_per_prompt is not None


SHORT: Mapping[str, Mapping[str, Any]] = {"exact": {}, "none": {"exact": False}, "near": {"near": {}}}


def _read(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in SHORT:
        raise ValueError(f'wants {", ".join(SHORT)} or settings; found "{value}"')
    return dict(SHORT[value])


DuplicatesChoice: TypeAlias = Annotated[Duplicates, BeforeValidator(_read)]
"""As a recipe writes it: `deduplicate: near`, or `deduplicate: {near: {threshold: 0.7}, keep: [longest]}`."""
