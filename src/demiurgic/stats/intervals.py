"""95 % intervals that have a formula: a share of independent things, a mean over a few repeats.

Pure Python. Knows nothing of clusters; numbers whose items come in groups go through `bootstrap`.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
Z = NormalDist().inv_cdf(1 - TAIL)


def share(num_right: int, n: int) -> Metric:
    """The share `num_right / n` with Wilson's score interval (Wilson 1927, JASA 22, p. 209), which stays in [0, 1].

    Raises UserError when n is 0, ValueError when `num_right` is not between 0 and n.
    """
    if n == 0:
        raise UserError("A share of nothing has no value: found 0 items, wanted at least 1.")
    if not 0 <= num_right <= n:
        raise ValueError(f"{num_right} of {n} is not a share")
    value = num_right / n
    middle = (value + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half_width = Z * math.sqrt(value * (1 - value) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    # At 0 and n the bound is the value itself; the formula misses it by a rounding error.
    low = 0.0 if num_right == 0 else middle - half_width
    high = 1.0 if num_right == n else middle + half_width
    return Metric(value, low, high, n)


def mean(values: Sequence[float]) -> Metric:
    """The mean of a few independent repeats (one value per seed) with Student's t interval; n is their number.

    Raises UserError for fewer than 2 values.
    """
    n = len(values)
    if n < 2:
        raise UserError(f"An interval of a mean wants at least 2 repeats, found {n}. Run more seeds.")
    value = fmean(values)
    half_width = t_quantile(1 - TAIL, degrees=n - 1) * stdev(values) / math.sqrt(n)
    return Metric(value, value - half_width, value + half_width, n)


def t_quantile(probability: float, *, degrees: float) -> float:
    """The t with P(T <= t) = `probability` for Student's T with `degrees` degrees of freedom.

    Bisection on the distribution function P(T <= t) = 1 - I_x(degrees / 2, 1 / 2) / 2 at x = degrees / (degrees + t²)
    (Abramowitz & Stegun 26.7.1), to the last bits of a float.
    """
    if not 0 < probability < 1 or degrees <= 0:
        raise ValueError(f"no t quantile for probability {probability} and {degrees} degrees of freedom")
    if probability < 0.5:
        return -t_quantile(1 - probability, degrees=degrees)
    low, high = 0.0, 1.0
    while _t_below(high, degrees) < probability:
        low, high = high, 2 * high
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if _t_below(middle, degrees) < probability:
            low = middle
        else:
            high = middle


def _t_below(t: float, degrees: float) -> float:
    return 1 - incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b).

    Continued fraction DLMF 8.17.22, evaluated from the front by Lentz's method; the symmetry I_x(a, b) =
    1 - I_(1-x)(b, a) keeps x where the fraction converges fast.
    """
    if not 0 <= x <= 1:
        raise ValueError(f"x = {x} is outside [0, 1]")
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    return front * _beta_fraction(x, a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300  # stands in for a zero denominator, as Lentz's method asks
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    result = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1 + coefficient * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + coefficient / c
            c = c if abs(c) > tiny else tiny
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            return result
    raise ArithmeticError(f"the continued fraction of I_{x}({a}, {b}) did not converge")
