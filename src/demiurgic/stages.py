"""The table of stages, in the order of the pipeline, and of the registries whose things they use."""

from collections.abc import Mapping
from typing import Any

from demiurgic.collect import collect
from demiurgic.collect.sources import SOURCES
from demiurgic.core.registry import Registry
from demiurgic.create import create, tokenizer
from demiurgic.curate import curate
from demiurgic.curate.filters import FILTERS
from demiurgic.evaluate import evaluate
from demiurgic.evaluate.suite import SUITES
from demiurgic.run.stage import Stage
from demiurgic.train import tokenize, train
from demiurgic.train.losses import LOSSES

STAGES: Mapping[str, Stage[Any]] = {
    stage.name: stage
    for stage in (
        collect.STAGE,
        curate.STAGE,
        tokenizer.STAGE,
        create.STAGE,
        tokenize.STAGE,
        train.STAGE,
        evaluate.STAGE,
    )
}

REGISTRIES: Mapping[str, Registry] = {registry.plural: registry for registry in (SOURCES, FILTERS, LOSSES, SUITES)}
