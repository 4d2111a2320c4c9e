"""What came in from above, and what must come after: merges, revoked and rejected ancestors, 4-bit bases."""

from collections.abc import Iterator

from demiurgic.diagnose.finding import Change, Finding, NotCheckedError
from demiurgic.diagnose.training import Ancestor, Training
from demiurgic.merge.proof import MAX_KL, MAX_SHARE, MIN_TOP1, PROJECTION_SLACK

NEAR = 0.5
"""Of a bound. The bounds of a merge are far above what rounding of a right one gives, so half of one is unusual."""


def merges(training: Training) -> Iterator[Finding]:
    """A merged model among the ancestors whose figures are near the bounds of its proof, or beyond."""
    for ancestor in _ancestors(training):
        if ancestor.stage == "merge":
            yield from _merge(ancestor)


def _merge(ancestor: Ancestor) -> Iterator[Finding]:
    near = {name: (value, times) for name, (value, times) in _ratios(ancestor).items() if times > NEAR}
    if not near:
        return
    beyond = any(times > 1 for _, times in near.values())
    told = ", ".join(f"{name} {value:.4g}, {times:.2g} times its bound" for name, (value, times) in near.items())
    yield Finding(
        "bad_merge_upstream",
        "wrong" if beyond else "doubtful",
        f"the model comes through the merge {ancestor.step} ({ancestor.key}), with {told}",
        "what is off in a merged base is learned around by everything trained on it",
        f"look at proof.json of {ancestor.step}; merge with dtype: fp32, and onto: dequantized for an nf4 adapter",
        f"the summary of {ancestor.step}, key {ancestor.key}",
    )


def _ratios(ancestor: Ancestor) -> dict[str, tuple[float, float]]:
    """Each figure, and what multiple of its bound it is."""
    metrics = {name: metric.value for name, metric in ancestor.summary.metrics.items()}
    # what a right merge has, and how far off it a proof lets it be
    bounds = {
        "kl": (0.0, MAX_KL),
        "kl_share_of_effect": (0.0, MAX_SHARE),
        "top1": (1.0, 1 - MIN_TOP1),
        "min_projection": (1.0, PROJECTION_SLACK),
        "max_projection": (1.0, PROJECTION_SLACK),
    }
    return {
        name: (metrics[name], abs(metrics[name] - right) / slack)
        for name, (right, slack) in bounds.items()
        if name in metrics
    }


def unusable(training: Training) -> Iterator[Finding]:
    """An ancestor that was revoked, or that missed its gates."""
    for ancestor in _ancestors(training):
        for state, reason in (("revoked", ancestor.revoked), ("rejected", ancestor.rejected)):
            if reason is not None:
                yield Finding(
                    f"{state}_upstream",
                    "wrong",
                    f"it was made from {ancestor.step} ({ancestor.key}), which was {state}: {reason}",
                    "nothing made from it is to be used",
                    f"change {ancestor.step}, or what it reads, and train again",
                    f"the ledger, key {ancestor.key}",
                )


def _ancestors(training: Training) -> Iterator[Ancestor]:
    if training.ancestors is None:
        raise NotCheckedError("what it was made from is not known: a folder that is not finished does not say")
    yield from training.ancestors


def four_bits(training: Training) -> Iterator[Finding]:
    """An adapter of a 4-bit base, and a merge that would put it onto another one, or none that says otherwise."""
    lora = (training.config or {}).get("lora")
    if training.base_precision is None and training.config is None:
        raise NotCheckedError("neither a config nor a base.json says what it was trained on")
    if training.base_precision != "nf4" and (lora or {}).get("precision") != "nf4":
        return
    merges = training.merges or ()
    wrong = [merge for merge in merges if merge.onto != "dequantized"]
    if merges and not wrong:
        return
    onto = ", ".join(f"{merge.step} merges it onto: {merge.onto}" for merge in wrong)
    yield Finding(
        "four_bit_base",
        "wrong" if wrong else "doubtful",
        f"the adapter was trained on a base in 4 bits (nf4); {onto or 'no step merges it yet'}",
        "it has learned to mend the rounding of its 4-bit base as well; on any other base that is an error of its own",
        "merge with onto: dequantized, and quantize the merged model afterwards",
        f"the config of {training.name}, lora.precision",
        tuple(Change(("onto",), "dequantized", step=merge.step) for merge in wrong),
    )
