from __future__ import annotations

import pytest

from holdfast.core.errors import InputError
from holdfast.evaluation.criterion import parse_criterion, passes

METRICS = {"accuracy": {"value": 0.94}, "auroc_macro": {"value": None}}


@pytest.mark.parametrize("text", ["accuracy > 0.94", "accuracy>0.94", " test/accuracy >  .94 ", "accuracy > 94e-2"])
def test_one_criterion_has_one_form(text: str) -> None:
    assert str(parse_criterion(text)) == "accuracy > 0.94"


def test_a_bound_is_kept_or_not() -> None:
    signs = {">": False, ">=": True, "<": False, "<=": True}
    assert {sign: passes(f"accuracy {sign} 0.94", METRICS) for sign in signs} == signs
    assert not passes("auroc_macro >= 0", METRICS)


@pytest.mark.parametrize("text", ["accuracy", "accuracy = 1", "accuracy > nan", "accuracy > a", "0.9 < accuracy", ""])
def test_another_form_is_told(text: str) -> None:
    with pytest.raises(InputError, match="allowed: METRIC > NUMBER"):
        parse_criterion(text)


def test_a_metric_that_the_task_lacks_is_told() -> None:
    with pytest.raises(InputError, match=r"names 'acuracy', which is no metric here.*did you mean 'accuracy'"):
        parse_criterion("acuracy > 0.9")
    with pytest.raises(InputError, match="allowed: loss, mae, rmse, r2"):
        parse_criterion("accuracy > 0.9", "regression")
