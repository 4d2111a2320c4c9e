"""Text of the student's own that never ends."""

from collections.abc import Iterator

from demiurgic.diagnose.finding import Change, Finding, NotCheckedError
from demiurgic.diagnose.log import STUDENT
from demiurgic.diagnose.spread import mean_of, percent
from demiurgic.diagnose.training import Training

ENDED = 0.5
"""Of the answers, over the last half of the steps that trained on them: where more than half are cut off, the student
mostly learns to go on."""


def endless(training: Training) -> Iterator[Finding]:
    """Most answers that the student wrote were cut off before they ended."""
    if (training.config or {}).get("on_policy") is None and not any(s.source == STUDENT for s in training.log.steps):
        raise NotCheckedError("the student wrote no text itself")
    ended = training.log.curve("finished share", lambda line: line.finished_share)
    if not len(ended):
        raise NotCheckedError("the log does not say how many of the student's answers ended")
    late = ended.share(0.5, 1)
    share = mean_of(late.values)
    if share.high < ENDED:
        limit = ((training.config or {}).get("on_policy") or {}).get("max_new_tokens")
        yield Finding(
            "endless_answers",
            "doubtful",
            f"{percent(share.value)} [{percent(share.low)}, {percent(share.high)}] of the student's own answers ended "
            f"by themselves over {len(late)} steps from {late.steps[0]} to {late.steps[-1]}"
            + (f"; the others were cut off at {limit} tokens at the latest" if limit else ""),
            "an answer without an end teaches nothing of ending, and its tail is mostly repetition",
            "train on data first (on_policy.share that rises), or allow more tokens",
            training.log.cite(late.steps[0], late.steps[-1]),
            (Change(("on_policy", "max_new_tokens"), 2 * limit),) if limit else (),
        )
