"""The table of stages, in the order of the pipeline, and of the registries whose things they use."""

from collections.abc import Mapping
from typing import Any

from demiurgic.collect import collect, fetch
from demiurgic.collect.formats import FORMATS
from demiurgic.collect.sources import SOURCES
from demiurgic.core.registry import Registry
from demiurgic.create import create, tokenizer
from demiurgic.curate import curate
from demiurgic.curate.audit import audit
from demiurgic.curate.filters import FILTERS
from demiurgic.curate.mix import mix
from demiurgic.evaluate import evaluate
from demiurgic.evaluate.suite import SUITES
from demiurgic.export import export
from demiurgic.generate import generate
from demiurgic.merge import merge
from demiurgic.providers import PROVIDERS
from demiurgic.run.stage import Stage
from demiurgic.serve import served  # noqa: F401  registers the provider
from demiurgic.train import cache_logits, tokenize, train
from demiurgic.train.losses import LOSSES

STAGES: Mapping[str, Stage[Any]] = {
    stage.name: stage
    for stage in (
        collect.STAGE,
        fetch.STAGE,
        generate.STAGE,
        curate.STAGE,
        mix.STAGE,
        audit.STAGE,
        tokenizer.STAGE,
        create.STAGE,
        tokenize.STAGE,
        cache_logits.STAGE,
        train.STAGE,
        merge.STAGE,
        evaluate.STAGE,
        export.STAGE,
    )
}

REGISTRIES: Mapping[str, Registry] = {
    registry.plural: registry for registry in (SOURCES, FORMATS, PROVIDERS, FILTERS, LOSSES, SUITES)
}
