"""Options that do not go together, or that go together and may not be meant."""

from __future__ import annotations

from holdfast.training.combinations import cautions


def test_what_may_not_be_meant_is_told() -> None:
    config = {"batch_size": 64, "data": {"sampling": "balanced"}, "loss": {"class_weights": "balanced"}}
    config["optimizer"] = {"_target_": "torch.optim.LBFGS"}
    assert [caution.partition(":")[0] for caution in cautions(config, 30)] == [
        "batch_size is 64, and there are 30 train rows",
        "batch_size is 64, and lbfgs learns the curvature of one loss",
        "data.sampling and loss.class_weights are both balanced",
    ]
    for other in ({"batch_size": "full"}, {"batch_size": 30, "optimizer": {"_target_": "torch.optim.SGD"}}):
        changed = {**config, **other, "loss": {"class_weights": None}}
        assert list(cautions(changed, 30)) == []
