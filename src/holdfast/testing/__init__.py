"""Contracts: what every option of a group keeps to, to be checked in the tests of your own parts.

    from holdfast.testing import check_model
    from my_models import two_towers


    def test_two_towers() -> None:
        check_model(two_towers, input_shape=(3, 32, 32), num_outputs=10)

A check is handed an option as a config hands it to Holdfast, with its own arguments given (`functools.partial`), and
raises an AssertionError that says what the option does and what it has to do.
"""

from holdfast.testing.early_stopping import check_stopping_rule
from holdfast.testing.losses import check_loss
from holdfast.testing.metrics import check_metric
from holdfast.testing.models import check_model
from holdfast.testing.optimizers import check_optimizer
from holdfast.testing.rows import check_source, check_split
from holdfast.testing.schedules import check_schedule

__all__ = [
    "check_loss",
    "check_metric",
    "check_model",
    "check_optimizer",
    "check_schedule",
    "check_source",
    "check_split",
    "check_stopping_rule",
]
