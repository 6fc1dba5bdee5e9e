"""Run the pre-flight checks of the group `check`, and train nothing."""

from __future__ import annotations

from holdfast.checks.run import print_table, raise_failed, run_checks
from holdfast.core.run_record import RunRecord
from holdfast.experiment.experiment import Experiment


def check(*, experiment: Experiment, record: RunRecord) -> str:
    """Check, write the verdicts into the record, and print them.

    Raises:
        RunFailed: A check fails.
    """
    datamodule = experiment.build().datamodule
    record.update(data=datamodule.describe())
    verdicts = run_checks(experiment)
    record.update(stop_reason="all checks were made", checks=[verdict.as_dict() for verdict in verdicts])
    print_table(verdicts)
    raise_failed(verdicts)
    return "completed"
