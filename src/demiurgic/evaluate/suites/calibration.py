"""Does a model know how sure it may be?"""

from demiurgic.evaluate.calibration import CalibrationSuite
from demiurgic.evaluate.suite import SUITES, UNIT_PROBABILITY, Length, MaxRows
from demiurgic.models.precision import Precision


@SUITES.register(
    "calibration", version=2, metric="ece", better="lower", unit=UNIT_PROBABILITY, beside=["confidence", "accuracy"]
)
def calibration(*, length: Length = 256, max_rows: MaxRows = None, precision: Precision = "fp32") -> CalibrationSuite:
    """Expected calibration error of next tokens, 0 to 1: how far confidence lies from being right, in 15 bins."""
    return CalibrationSuite(length, precision, max_rows)
