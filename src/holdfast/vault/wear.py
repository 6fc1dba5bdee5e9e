"""How much an answer tells about the test rows, and what is left of them after it.

An answer of b bits can depend on the sealed rows in at most 2**b ways; the bound for the next answer counts them all
(a union bound over Hoeffding's inequality, as in Dwork et al. 2015 and Blum and Hardt 2015). It is the worst case:
competitions with natural reuse showed little overfitting (Roelofs et al. 2019).
"""

from __future__ import annotations

import math

FLOAT_BITS = 64.0
COUNTED = ("accuracy", "precision_macro", "recall_macro", "f1_macro")


def accuracy_bits(num_rows: int) -> float:
    """Bits of one accuracy: log2(n + 1)."""
    return math.log2(num_rows + 1)


def confusion_bits(num_rows: int, num_classes: int) -> float:
    """Bits of a confusion matrix: log2 of the ways to spread n rows over C * C cells."""
    cells = num_classes**2
    ways = math.lgamma(num_rows + cells) - math.lgamma(cells) - math.lgamma(num_rows + 1)
    return ways / math.log(2)


def answer_bits(task: str, num_rows: int, num_outputs: int, metrics: list[str]) -> float:
    """Bits of the metrics that an opening prints, from above.

    Metrics of counts follow from one confusion matrix, any other is a float64. Targets that are classes hold at most
    log2 C bits a row.
    """
    others = FLOAT_BITS * sum(name not in COUNTED for name in metrics)
    if task == "regression":
        return FLOAT_BITS * len(metrics)
    if task == "multilabel":
        counted = FLOAT_BITS * (len(metrics) - others / FLOAT_BITS)
        return min(others + counted, float(num_rows * num_outputs))
    num_classes = 2 if task == "binary" else num_outputs
    has_only_accuracy = [name for name in metrics if name in COUNTED] == ["accuracy"]
    counted = accuracy_bits(num_rows) if has_only_accuracy else confusion_bits(num_rows, num_classes)
    return min(others + counted, num_rows * math.log2(num_classes))
