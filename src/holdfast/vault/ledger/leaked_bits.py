"""The bits that an answer tells about the test rows, and what is left of them after it.

An answer of b bits can depend on the sealed rows in at most 2**b ways; the bound for the next answer counts them all
(a union bound over Hoeffding's inequality, as in Dwork et al. 2015 and Blum and Hardt 2015). It is the worst case:
competitions with natural reuse showed little overfitting (Roelofs et al. 2019).
"""

from __future__ import annotations

import math

from holdfast.core.metrics import METRICS
from holdfast.core.tasks import task_of

FLOAT_BITS = 64.0
OWN_BITS = 2 * FLOAT_BITS  # of the interval, too: code that is not ours has given its ends
PASS_BITS = 1.0
DELTA = 0.05


def accuracy_bits(num_rows: int) -> float:
    """Bits of one accuracy: log2(n + 1)."""
    return math.log2(num_rows + 1)


def confusion_bits(num_rows: int, num_classes: int) -> float:
    """Bits of a confusion matrix: log2 of the ways to spread n rows over C * C cells."""
    cells = num_classes**2
    ways = math.lgamma(num_rows + cells) - math.lgamma(cells) - math.lgamma(num_rows + 1)
    return ways / math.log(2)


def row_bits(num_rows: int, task: str = "binary", num_outputs: int = 1) -> float:
    """Bits of all that the targets hold, row by row: n of two classes, n log2 C of C, a float64 for each value."""
    kind = task_of(task)
    if kind.is_values:
        return FLOAT_BITS * num_rows * num_outputs
    if kind.is_labels:
        return float(num_rows * num_outputs)
    return num_rows * math.log2(kind.num_columns(num_outputs))


def half_width(bits_before: float, num_rows: int, delta: float = DELTA) -> float:
    """The distance that a mean of n values in [0, 1] may have from the truth, with probability 1 - `delta`.

    sqrt((A ln 2 + ln(2 / delta)) / (2 n)), with A = `bits_before` bits told before this answer.
    """
    return math.sqrt((bits_before * math.log(2) + math.log(2 / delta)) / (2 * num_rows))


def effective_rows(bits_before: float, num_rows: int, delta: float = DELTA) -> float:
    """n_eff: how many fresh rows would give the same bound: n ln(2/delta) / (A ln 2 + ln(2/delta))."""
    fresh = math.log(2 / delta)
    return num_rows * fresh / (bits_before * math.log(2) + fresh)


def answer_bits(task: str, num_rows: int, num_outputs: int, metrics: list[str]) -> float:
    """Bits of the metrics that an opening prints, from above.

    Metrics of counts follow from one confusion matrix, any other is a float64. No answer holds more than the targets.
    """
    kind = task_of(task)
    counted = [name for name in metrics if name in METRICS and METRICS[name].of_counts and kind.is_classes]
    own = [name for name in metrics if name not in METRICS]
    bits = FLOAT_BITS * (len(metrics) - len(counted)) + OWN_BITS * len(own)
    if counted == ["accuracy"]:
        bits += accuracy_bits(num_rows)
    elif counted:
        bits += confusion_bits(num_rows, kind.num_columns(num_outputs))
    return min(bits, row_bits(num_rows, task, num_outputs))
