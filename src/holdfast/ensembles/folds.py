"""`ensemble=folds`: a model for each fold of a cross-validation, and the mean of what they predict for new rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.core.errors import InputError
from holdfast.core.run_record import RunRecord
from holdfast.core.tasks import Combine
from holdfast.ensembles.make import Candidate, Temperature, Trains, check_settings
from holdfast.ensembles.trained import train_members
from holdfast.ensembles.weights import Weights


@dataclass(frozen=True)
class Folds:
    """One model for each fold of a cross-validation; each row is judged by the one that was not trained on it.

    (FAU, "Cross-validation"; Breiman 1996, "Stacked regressions", section 2, has the out-of-fold predictions.) New rows
    are predicted by the mean of all. No row is new to two members, so that nothing can tell which weights are better.
    """

    combine: Combine = "probabilities"
    weights: Weights = "equal"
    temperature: Temperature = 1.0
    out_of_fold: ClassVar[bool] = True

    def check(self, experiment: Trains) -> None:
        """Refuse a split that has no folds, weights and temperature."""
        split = experiment.config.split
        if "num_folds" not in split:
            name = str(split._target_).rpartition(".")[2]
            raise InputError("ensemble", f"is folds, and the split {name} has none", next="split=kfold")
        if self.weights == "greedy":
            problem = "is greedy, and out of fold each row has the prediction of one member: there is nothing to weigh"
            raise InputError("ensemble.weights", problem, f"equal, or {split.num_folds} numbers of 0 or more")
        check_settings(self, split.num_folds)
        check_settings(self, split.num_folds, experiment.build().datamodule.task)

    def members(self, experiment: Trains, record: RunRecord) -> list[Candidate]:
        """Train the members that are missing."""
        changes = [{"split.fold": number} for number in range(experiment.config.split.num_folds)]
        return train_members(experiment, record, changes, together=False)
