"""Train and validate: the stage of every run that is not told to do something else."""

from __future__ import annotations

from holdfast.core.run_record import RunRecord
from holdfast.experiment.experiment import Experiment, train_on
from holdfast.experiment.ranks import other_ranks


def fit(*, experiment: Experiment, record: RunRecord) -> str:
    """Train and validate, on as many devices as the config says."""
    with other_ranks(experiment.config, record.folder):
        return train_on(experiment, record)
