"""`ensemble=seeds`: models that differ in nothing but the seed, and the mean of what they predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.core.errors import InputError
from holdfast.core.run_record import RunRecord
from holdfast.core.tasks import Combine
from holdfast.ensembles.make import Candidate, Temperature, Trains, check_settings
from holdfast.ensembles.trained import train_members
from holdfast.ensembles.weights import Weights

MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Seeds:
    """Models that differ in nothing but the seed (CS231n, "Model ensembles"; Lakshminarayanan et al. 2017).

    Attributes:
        size: Members; the first has the seed of the experiment, the next one that plus 1.
        stack: Whether they are trained together where that is possible and faster.
        combine, weights, temperature: As of `make.Ensemble`.
    """

    size: int = 5
    stack: bool = True
    combine: Combine = "probabilities"
    weights: Weights = "equal"
    temperature: Temperature = 1.0
    out_of_fold: ClassVar[bool] = False

    def check(self, experiment: Trains) -> None:
        """Refuse members that would have no seed, weights and temperature."""
        last = experiment.config.seed + self.size - 1
        if last > MOST_SEED:
            raise InputError("ensemble.size", f"is {self.size}: the last seed would be {last}", f"up to {MOST_SEED}")
        check_settings(self, self.size)
        check_settings(self, self.size, experiment.build().datamodule.task)

    def members(self, experiment: Trains, record: RunRecord) -> list[Candidate]:
        """Train the members that are missing."""
        changes = [{"seed": experiment.config.seed + number} for number in range(self.size)]
        return train_members(experiment, record, changes, together=self.stack)
