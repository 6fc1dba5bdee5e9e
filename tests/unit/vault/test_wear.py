from __future__ import annotations

import math

import pytest

from holdfast.vault.wear import accuracy_bits, answer_bits, confusion_bits


def test_bits_are_the_logarithm_of_the_number_of_answers() -> None:
    assert accuracy_bits(10_000) == pytest.approx(math.log2(10_001))
    assert confusion_bits(3, 2) == pytest.approx(math.log2(math.comb(6, 3)))
    assert confusion_bits(10_000, 10) == pytest.approx(math.log2(math.comb(10_099, 99)))


def test_an_answer_holds_no_more_than_the_targets() -> None:
    names = ["loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "auroc_macro"]
    assert answer_bits("multiclass", 10_000, 10, names) == pytest.approx(confusion_bits(10_000, 10) + 128)
    assert answer_bits("multiclass", 10, 10, names) == pytest.approx(10 * math.log2(10))
    assert answer_bits("binary", 1000, 1, ["accuracy"]) == pytest.approx(math.log2(1001))
    assert answer_bits("multilabel", 1000, 3, names) == 6 * 64
    assert answer_bits("regression", 100, 1, ["loss", "mae"]) == 128
