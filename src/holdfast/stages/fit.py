"""Train and validate: the stage of every run that is not told to do something else."""

from __future__ import annotations

from holdfast.checks.look_back import compare_with_baseline
from holdfast.checks.run import raise_failed, run_checks, tell
from holdfast.checks.verdict import Verdict
from holdfast.core.run_record import RunRecord
from holdfast.experiment.experiment import Experiment, train_on
from holdfast.experiment.ranks import other_ranks


def fit(*, experiment: Experiment, record: RunRecord) -> str:
    """Check, where that was not done; train and validate, on as many devices as the config says.

    Raises:
        RunFailed: A check fails, and `check.on_fail` is "stop".
    """
    verdicts: list[Verdict] = []
    if experiment.config.resume is None and not experiment.is_checked:
        verdicts = run_checks(experiment)
        record.update(checks=[verdict.as_dict() for verdict in verdicts])
        tell(verdicts)
        if experiment.config.check.get("on_fail") == "stop":
            raise_failed(verdicts)
    with other_ranks(experiment.config, record.folder):
        status = train_on(experiment, record)
    if experiment.config.check and not experiment.is_checked:
        later = compare_with_baseline(experiment, verdicts, record.fields["best"]["metrics"])
        record.update(checks=[verdict.as_dict() for verdict in later])
        tell([verdict for verdict in later if verdict not in verdicts])
    return status
