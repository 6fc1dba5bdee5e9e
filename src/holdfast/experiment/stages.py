"""What a run does, chosen by `stage=`: each stage is handed the experiment and its record, and returns a status."""

from __future__ import annotations

from holdfast.core.run_record import RunRecord
from holdfast.experiment.experiment import Experiment, train_on
from holdfast.experiment.ranks import other_ranks


def fit(*, experiment: Experiment, record: RunRecord) -> str:
    """Train and validate, on as many devices as the config says."""
    with other_ranks(experiment.config, record.folder):
        return train_on(experiment, record)
