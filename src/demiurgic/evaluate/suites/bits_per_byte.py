"""How well a model predicts the held-out answers."""

from demiurgic.evaluate.likelihood import LikelihoodSuite
from demiurgic.evaluate.suite import SUITES, Length, MaxRows
from demiurgic.models.precision import Precision


@SUITES.register("bits_per_byte", version=2, metric="bits_per_byte", better="lower", unit="bits per byte")
def bits_per_byte(*, length: Length = 256, max_rows: MaxRows = None, precision: Precision = "fp32") -> LikelihoodSuite:
    """Bits a model needs for the answers of held-out rows, per byte of their text."""
    return LikelihoodSuite(length, precision, max_rows)
