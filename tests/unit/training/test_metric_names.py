from __future__ import annotations

import subprocess
import sys

import pytest

from holdfast.core.errors import InputError
from holdfast.training.metric_names import asked_for, check_monitor, is_better, metric_and_target, mode_of


def test_known_without_torch() -> None:
    code = "import sys, holdfast.training.metric_names; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_monitor_lists_those_there_are() -> None:
    with pytest.raises(InputError) as caught:
        check_monitor("val/acuracy", "multiclass")
    message = str(caught.value)
    assert "val/acuracy" in message
    assert "val/accuracy, val/balanced_accuracy, val/precision_macro" in message
    assert message.endswith("next: did you mean 'val/accuracy'?")


def test_nothing_is_chosen_by_test_rows() -> None:
    with pytest.raises(InputError, match="sealed"):
        check_monitor("test/accuracy", "multiclass")


@pytest.mark.parametrize(
    ("monitor", "mode"), [("val/loss", "min"), ("val/rmse", "min"), ("train/mae", "min"), ("val/r2", "max")]
)
def test_auto_mode(monitor: str, mode: str) -> None:
    assert mode_of(monitor) == mode


def test_given_mode() -> None:
    assert mode_of("val/loss", "max") == "max"
    with pytest.raises(InputError, match="allowed: auto, min, max; next: did you mean 'min'"):
        mode_of("val/loss", "mini")


def test_better() -> None:
    assert is_better(1.0, None, "min")
    assert is_better(0.5, 1.0, "min")
    assert is_better(1.5, 1.0, "max")
    assert not is_better(1.0, 1.0, "max")
    assert not is_better(float("nan"), None, "max")


def test_a_metric_that_is_monitored_is_computed() -> None:
    assert asked_for({"monitor": "val/mcc"}) == {"mcc": {}}
    assert asked_for({"monitor": "val/accuracy", "metrics": {"log_loss": {}}}) == {"log_loss": {}}


def test_direction_of_a_metric_of_the_users_own() -> None:
    own = {"kappa": {"_target_": "torchmetrics.classification.MulticlassCohenKappa"}}
    check_monitor("val/kappa", "multiclass", own)
    assert mode_of("val/kappa", "auto", own) == "max"
    assert mode_of("val/kappa", "auto", {"kappa": {**own["kappa"], "mode": "min"}}) == "min"
    with pytest.raises(InputError, match=r"^mode: is auto, and the class of the metric does not say"):
        mode_of("val/mean", "auto", {"mean": {"_target_": "torchmetrics.MeanMetric"}})


def test_a_metric_of_one_target_may_be_monitored() -> None:
    assert metric_and_target("val/rmse/price/m²") == ("rmse", "price/m²")
    assert metric_and_target("val/rmse") == ("rmse", None)
    assert mode_of("val/r2/price") == "max"
    assert asked_for({"monitor": "val/mape/price"}) == {"mape": {}}
    check_monitor("val/rmse/price")
    check_monitor("val/rmse/price", targets=["price", "rent"])
    check_monitor("val/rmse/rent", "multitarget", targets=["price", "rent"])
    check_monitor("val/own/rent", "multitarget", {"own": {}}, ["price", "rent"])


@pytest.mark.parametrize(
    ("monitor", "task", "targets", "allowed"),
    [
        ("val/rmse/prise", None, ["price", "rent"], "allowed: val/rmse/price, val/rmse/rent; next: did you mean"),
        ("val/rsme/price", None, ["price", "rent"], "next: did you mean 'val/rmse'"),
        ("val/loss/price", "multitarget", ["price", "rent"], "allowed: val/loss, val/mae"),
        ("val/rmse/price", "regression", ["price"], "for a regression task; allowed: val/loss, val/mae"),
        ("val/accuracy/cat", "multilabel", ["cat", "dog"], "for a multilabel task; allowed: val/loss, val/accuracy"),
    ],
)
def test_a_metric_of_a_target_that_there_is_not(
    monitor: str, task: str | None, targets: list[str], allowed: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_monitor(monitor, task, targets=targets)
    assert allowed in str(caught.value)
