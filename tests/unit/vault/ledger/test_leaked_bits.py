from __future__ import annotations

import math

import pytest

from holdfast.vault.ledger.leaked_bits import (
    PASS_BITS,
    accuracy_bits,
    answer_bits,
    confusion_bits,
    effective_rows,
    half_width,
    row_bits,
)


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
    assert answer_bits("binary", 1000, 1, ["accuracy", "mcc"]) == pytest.approx(confusion_bits(1000, 2))
    assert answer_bits("binary", 1000, 1, ["log_loss"]) == 64


def test_a_metric_of_the_users_own_tells_value_and_interval() -> None:
    assert answer_bits("binary", 1000, 1, ["kappa"]) == 3 * 64


def test_figures_of_the_second_and_the_tenth_opening() -> None:
    bits = accuracy_bits(10_000)
    assert int(effective_rows(bits, 10_000)) == 2859
    assert int(effective_rows(9 * bits, 10_000)) == 426
    assert effective_rows(0, 10_000) == 10_000


def test_half_width_is_hoeffdings_bound_over_all_answers() -> None:
    n, bits, delta = 500, 12.5, 0.01
    assert half_width(bits, n, delta) == pytest.approx(math.sqrt(math.log(2 * 2**bits / delta) / (2 * n)))
    assert half_width(0, n, delta) == pytest.approx(math.sqrt(math.log(2 / delta) / (2 * n)))
    fresh = effective_rows(bits, n, delta)
    assert half_width(0, 1, delta) / math.sqrt(fresh) == pytest.approx(half_width(bits, n, delta))


def test_bits_of_single_rows_and_pass_or_fail() -> None:
    assert (PASS_BITS, row_bits(300)) == (1.0, 300.0)


def test_targets_row_by_row_are_all_that_they_hold() -> None:
    assert row_bits(10_000, "multiclass", 10) == pytest.approx(33_219.28)
    assert (row_bits(50, "multilabel", 3), row_bits(50, "regression")) == (150, 3200)
    assert answer_bits("regression", 1, 1, ["loss", "mae", "rmse"]) == 64
