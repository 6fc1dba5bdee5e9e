from __future__ import annotations

import optuna
import pytest

from holdfast.core.errors import InputError
from holdfast.search.samplers import named_sampler


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("TPE", {}, "hydra.sweeper.sampler: is 'TPE'; allowed: quasi_random, BruteForceSampler"),
        ("TPESamper", {}, "next: did you mean 'TPESampler'?"),
        ("TPESampler", {"startup": 3}, "hydra.sweeper.arguments: TPESampler: "),
        ("GridSampler", {}, "hydra.sweeper.arguments: GridSampler: "),
        ("quasi_random", {"x": 3}, "hydra.sweeper.arguments: quasi_random takes none, not x"),
    ],
)
def test_a_sampler_that_is_none(name: str, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        named_sampler(name, arguments, 0, ["x"])
    assert message in str(caught.value)


def best_of(name: str, num_trials: int) -> float:
    study = optuna.create_study(sampler=named_sampler(name, {}, 0, ["x", "y"]))
    study.optimize(
        lambda trial: (trial.suggest_float("x", -1, 1) - 0.3) ** 2 + trial.suggest_float("y", -1, 1) ** 2, num_trials
    )
    return study.best_value


def test_bayes_learns_from_the_trials_before() -> None:
    assert best_of("TPESampler", 60) < 0.2 * best_of("quasi_random", 60)


def test_two_workers_draw_different_points_and_a_trial_its_own_again() -> None:
    def first_points(skipped: int) -> list[float]:
        study = optuna.create_study(sampler=named_sampler("TPESampler", {}, 0, ["x"]))
        for _ in range(skipped):
            study.add_trial(optuna.trial.create_trial(value=1.0))
        return [study.ask().suggest_float("x", 0, 1) for _ in range(3)]

    assert first_points(0)[1:] == first_points(1)[:2]
    assert len(set(first_points(0))) == 3
