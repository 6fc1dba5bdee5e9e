"""Stages: what a run does. Every option is called `stage(experiment, record)` and returns the status of the run."""

from __future__ import annotations

from contextlib import nullcontext

from holdfast.checks.kinds import verdicts_on
from holdfast.checks.look_back import compare_with_baseline
from holdfast.checks.lr_range import find_lr
from holdfast.checks.run import print_table, raise_failed, run_checks, tell
from holdfast.checks.verdict import Verdict, checked_sweep
from holdfast.core.run_record import RunRecord
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.ranks import other_ranks, train_on

__all__ = ["check", "fit"]


def check(*, experiment: Experiment, record: RunRecord) -> str:
    """Make the pre-flight checks of the group `check` and print the verdicts; nothing is trained.

    Raises:
        RunFailed: A check fails.
    """
    datamodule = experiment.build().datamodule
    record.fields["data"] = datamodule.describe()
    verdicts = run_checks(experiment)
    _keep(record, verdicts)
    record.fields["stop_reason"] = "all checks were made"
    print_table(verdicts)
    raise_failed(verdicts)
    return "completed"


def fit(*, experiment: Experiment, record: RunRecord) -> str:
    """Check, where that was not done, and find the rate of `lr=auto`; train and validate, on the devices of the config.

    Raises:
        RunFailed: A check fails, and `check.on_fail` is "stop"; or no rate is found.
    """
    if experiment.config.resume is None:
        _keep(record, verdicts_on(experiment))
    if experiment.finds_lr:
        others = [verdict for verdict in _verdicts_of(record) if verdict.name != "lr_range"]
        _keep(record, [*others, find_lr(experiment, record)])
    # the members of an ensemble have processes of their own
    with nullcontext() if experiment.config.ensemble else other_ranks(experiment.config, record.folder):
        status = train_on(experiment, record)
    if experiment.config.check:
        before = _verdicts_of(record)
        is_alone = checked_sweep(record.folder) is None
        later = compare_with_baseline(experiment, before, record.fields["best"]["metrics"], seeks_leaks=is_alone)
        _keep(record, later)
        if is_alone:
            tell([verdict for verdict in later if verdict not in before])
    return status


def _verdicts_of(record: RunRecord) -> list[Verdict]:
    return [Verdict.of(plain) for plain in record.fields["checks"]]


def _keep(record: RunRecord, verdicts: list[Verdict]) -> None:
    record.fields["checks"] = [verdict.as_dict() for verdict in verdicts]  # written with what comes next
