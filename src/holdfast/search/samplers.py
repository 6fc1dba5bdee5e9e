"""The samplers of a search: quasi-random, or any of Optuna's by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from holdfast.core.errors import InputError, did_you_mean
from holdfast.search.record import GRID, SweepRecord

QUASI_RANDOM = "quasi_random"


def sampler_of(record: SweepRecord) -> BaseSampler:
    """Make the sampler of a sweep; that of a grid is never asked.

    Raises:
        InputError: There is no such sampler, or it has no such arguments.
    """
    if record.sampler == GRID:
        return optuna.samplers.RandomSampler()
    return named_sampler(record.sampler, record.arguments, record.seed, record.space.axis_names)


def named_sampler(name: str, arguments: Mapping[str, Any], seed: int, axes: Sequence[str]) -> BaseSampler:
    """Make a sampler: "quasi_random", or a class of `optuna.samplers` such as "TPESampler".

    The seed fixes all draws, together with the number of the trial; `axes` are the parameters that trials may have.

    Raises:
        InputError: There is no such sampler, or it has no such arguments.
    """
    if name == QUASI_RANDOM:
        if arguments:
            raise InputError("hydra.sweeper.arguments", f"quasi_random takes none, not {', '.join(arguments)}")
        return QuasiRandom(axes, seed)
    names = [each for each in optuna.samplers.__all__ if each.endswith("Sampler") and not each.startswith("Base")]
    if name not in names:
        allowed = ", ".join([QUASI_RANDOM, *names])
        raise InputError("hydra.sweeper.sampler", f"is {name!r}", allowed, did_you_mean(name, [QUASI_RANDOM, *names]))
    kind = getattr(optuna.samplers, name)
    has_seed = "seed" in inspect.signature(kind).parameters

    def make(trial_seed: int) -> BaseSampler:
        sampler: BaseSampler = kind(**arguments, **({"seed": trial_seed} if has_seed else {}))
        return sampler

    try:
        make(0)
    except (TypeError, ValueError, ImportError) as error:
        raise InputError("hydra.sweeper.arguments", f"{name}: {error}") from None
    return SeededByTrial(make, seed)


class QuasiRandom(BaseSampler):
    """A scrambled Sobol sequence: trial n is its point n, whoever asks, and a key that is not active leaves no hole.

    Bergstra and Bengio (2012), Random Search for Hyper-Parameter Optimization, section 4, compare such sequences.
    """

    def __init__(self, axes: Sequence[str], seed: int) -> None:
        self._columns = {axis: column for column, axis in enumerate(axes)}
        self._seed = seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Sample every parameter on its own."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample nothing: there is no relative search space."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Find the point of the trial."""
        from scipy.stats.qmc import Sobol  # takes a while to import

        sequence = Sobol(max(1, len(self._columns)), rng=self._seed)
        if trial.number:
            sequence.fast_forward(trial.number)
        self._point = sequence.random(1)[0]

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Give the value at the share of the range that the point has on this axis."""
        share = float(self._point[self._columns[param_name]])  # from 0 to below 1
        if isinstance(param_distribution, CategoricalDistribution):
            return param_distribution.choices[int(share * len(param_distribution.choices))]
        assert isinstance(param_distribution, FloatDistribution | IntDistribution)
        whole = isinstance(param_distribution, IntDistribution)
        low = param_distribution.low - (0.5 if whole else 0.0)  # every whole number has an equal part of the range
        high = param_distribution.high + (0.5 if whole else 0.0)
        value = low * (high / low) ** share if param_distribution.log else low + (high - low) * share
        if whole:
            return min(max(round(value), param_distribution.low), param_distribution.high)
        return value


class SeededByTrial(BaseSampler):
    """A sampler of Optuna's, made anew for each trial with a seed of its own.

    With one seed for all, workers would draw the same points side by side; with none, nothing could be repeated.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._sampler = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the sampler of this trial."""
        trial_seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
        self._sampler = self._make(trial_seed)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the sampler does."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler does."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler does."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As the sampler does."""
        self._sampler.after_trial(study, trial, state, values)
