"""THE TABLE of symptoms: what is looked for, in the order a person should read of it."""

from collections.abc import Callable, Iterator, Mapping

from demiurgic.diagnose.finding import Diagnosis, Finding, NotCheckedError, Unmade
from demiurgic.diagnose.symptoms import balance, failure, held_out, learning_rate, on_policy, rows, teacher, upstream
from demiurgic.diagnose.training import Training

Check = Callable[[Training], Iterator[Finding]]

SYMPTOMS: Mapping[str, Check] = {
    "failed": failure.failed,
    "non_finite": failure.non_finite,
    "unusable_upstream": upstream.unusable,
    "bad_merge_upstream": upstream.merges,
    "four_bit_base": upstream.four_bits,
    "never_warmed": learning_rate.warmup,
    "no_warmup": learning_rate.cold_start,
    "learning_rate_too_high": learning_rate.too_high,
    "clipped_at_every_step": learning_rate.clipped,
    "learning_rate_too_low": learning_rate.too_low,
    "spikes": failure.spikes,
    "loss_imbalance": balance.imbalance,
    "dead_component": balance.dead,
    "teacher_worse": teacher.worse,
    "soft_top_k": teacher.soft_top_k,
    "endless_answers": on_policy.endless,
    "held_out_not_looked_at": held_out.not_looked_at,
    "train_eval_gap": held_out.gap,
    "best_is_first": held_out.best_is_first,
    "best_is_last": held_out.best_is_last,
    "many_epochs": rows.repeated,
}
"""Name -> the function that looks for it; the first line of its docstring says what it is."""


def diagnose(training: Training) -> Diagnosis:
    """Look for every symptom; what cannot be looked for is said, with the reason."""
    findings: list[Finding] = []
    checked: list[str] = []
    unmade: list[Unmade] = []
    for name, check in SYMPTOMS.items():
        try:
            findings += check(training)
        except NotCheckedError as reason:
            unmade.append(Unmade(name, str(reason)))
        else:
            checked.append(name)
    findings.sort(key=lambda finding: finding.severity != "wrong")
    return Diagnosis(findings, checked, unmade)
