"""Points of a space: in the order of Hydra's own sweeper, with keys only where they exist, and what lies at an end."""

from __future__ import annotations

import json

import optuna
import pytest

from holdfast.search.samplers import named_sampler
from holdfast.search.space import Dimension, Space

RATE = Dimension("lr", low=1e-5, high=1e-1, is_log=True)
DROPOUT = Dimension("model.dropout", low=0.0, high=0.6)
DEPTH = Dimension("model.depth", low=1, high=4, is_whole=True)
OPTIMIZER = Dimension("optimizer", ("adam", "momentum"))
MOMENTUM = Dimension("optimizer.momentum", ("0.8", "0.9"), only_with={"optimizer": ("momentum",)})


def suggested(space: Space, name: str, count: int, seed: int = 0) -> list[list[str]]:
    """The points of the first trials of a study, whose values are not told."""
    study = optuna.create_study(sampler=named_sampler(name, {}, seed, space.axis_names))
    return [space.suggest(study.ask()) for _ in range(count)]


def values_of(points: list[list[str]], key: str) -> list[str]:
    return [value for point in points for name, _, value in (word.partition("=") for word in point) if name == key]


def test_points_with_a_key_of_one_option_only() -> None:
    space = Space((MOMENTUM, OPTIMIZER, Dimension("lr", ("0.1", "0.2"))))
    assert len(space.points) == 6
    assert space.points == [
        ["optimizer=adam", "lr=0.1"],
        ["optimizer=adam", "lr=0.2"],
        *(["optimizer=momentum", f"lr={lr}", f"optimizer.momentum={m}"] for lr in (0.1, 0.2) for m in (0.8, 0.9)),
    ]
    assert space.point(5) == ["optimizer=momentum", "lr=0.2", "optimizer.momentum=0.9"]
    for point in suggested(space, "TPESampler", 30):
        assert ("optimizer=momentum" in point) == any(word.startswith("optimizer.momentum=") for word in point)


def test_lists_that_go_together() -> None:
    zipped = [Dimension(key, values, zipped="zip") for key, values in (("lr", ("1", "2")), ("batch_size", ("3", "4")))]
    space = Space((zipped[0], Dimension("seed", ("0", "1")), zipped[1]))
    expected = [["lr=1", "batch_size=3", "seed=0"], ["lr=1", "batch_size=3", "seed=1"]]
    assert space.points == expected + [["lr=2", "batch_size=4", "seed=0"], ["lr=2", "batch_size=4", "seed=1"]]
    points = suggested(space, "quasi_random", 16)
    assert {tuple(point[:2]) for point in points} == {("lr=1", "batch_size=3"), ("lr=2", "batch_size=4")}


def test_points_of_intervals_are_countless_and_those_of_nothing_one() -> None:
    assert Space((RATE, OPTIMIZER)).has_interval
    assert Space().points == [[]]
    assert Space().samples() == [[]]


def test_quasi_random_points_fill_the_ranges_evenly() -> None:
    points = suggested(Space((RATE, DROPOUT, DEPTH, OPTIMIZER)), "quasi_random", 64)
    rates = [float(value) for value in values_of(points, "lr")]
    for decade in (1e-5, 1e-4, 1e-3, 1e-2):
        assert sum(decade <= rate < 10 * decade for rate in rates) == 16, "a Sobol sequence has an equal number in each"
    dropouts = [float(value) for value in values_of(points, "model.dropout")]
    assert sum(value < 0.15 for value in dropouts) == 16
    assert {depth: values_of(points, "model.depth").count(depth) for depth in "1234"} == dict.fromkeys("1234", 16)
    assert values_of(points, "optimizer").count("adam") == 32


def test_quasi_random_points_depend_on_seed_and_number_alone() -> None:
    space = Space((RATE, OPTIMIZER, MOMENTUM))
    points = suggested(space, "quasi_random", 8)
    assert points == suggested(space, "quasi_random", 8)
    assert points != suggested(space, "quasi_random", 8, seed=1)
    study = optuna.create_study(sampler=named_sampler("quasi_random", {}, 0, space.axis_names))
    for _ in range(5):
        study.add_trial(optuna.trial.create_trial(value=1.0))
    assert space.suggest(study.ask()) == points[5]


def test_a_log_scale_of_whole_numbers() -> None:
    points = suggested(
        Space((Dimension("batch_size", low=1, high=1000, is_log=True, is_whole=True),)), "quasi_random", 64
    )
    sizes = [int(value) for value in values_of(points, "batch_size")]
    assert 1 <= min(sizes) <= max(sizes) <= 1000
    assert sum(size <= 31 for size in sizes) in range(28, 37), "half of the scale"


@pytest.mark.parametrize(("value", "text"), [(0.012345678, "0.01235"), (1e-5, "1e-05"), (0.1, "0.1")])
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert RATE.number(value) == text


def test_a_number_is_not_rounded_out_of_its_interval() -> None:
    narrow = Dimension("x", low=0.123456, high=0.123461)
    assert narrow.low <= float(narrow.number(0.1234565)) <= narrow.high


@pytest.mark.parametrize(
    ("dimension", "value", "end"),
    [
        (RATE, "0.09", "0.1"),
        (RATE, "0.05", None),  # 0.075 of the log scale from the end
        (RATE, "1.5e-05", "1e-05"),
        (DROPOUT, "0.58", "0.6"),
        (DROPOUT, "0.01", None),  # nothing is below 0
        (DROPOUT, "0.3", None),
        (DEPTH, "4", "4"),
        (DEPTH, "1", None),
        (DEPTH, "3", None),
        (Dimension("lr", ("0.01", "0.1", "0.001")), "0.1", "0.1"),
        (Dimension("lr", ("0.01", "0.1", "0.001")), "0.01", None),
        (Dimension("lr", ("0.01", "0.1")), "0.1", None),  # two values have no inside
        (OPTIMIZER, "adam", None),
        (Dimension("model.hidden", ("[64]", "[128]", "[256]")), "[256]", None),
    ],
)
def test_near_an_end_is_within_five_per_cent(dimension: Dimension, value: str, end: str | None) -> None:
    assert dimension.near_end(value) == end


def test_samples_have_every_value_and_both_ends() -> None:
    space = Space((RATE, OPTIMIZER, MOMENTUM))
    words = {word for point in space.samples() for word in point}
    assert {"lr=1e-05", "lr=0.1", "optimizer=adam", "optimizer=momentum"} < words
    assert {"optimizer.momentum=0.8", "optimizer.momentum=0.9"} < words
    assert len(space.samples()) == 4


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        (("0.01", "1", "1e-4"), ("1e-4", "1")),
        (("0.01", "0.1"), ("0.01", "0.1")),
        (("2", "3", "4"), ("2", "3", "4")),  # heads may have to divide a width
        (("0.01", "auto", "0.1"), ("0.01", "auto", "0.1")),
        (("0.01", "nan", "0.1"), ("0.01", "nan", "0.1")),
        (("[0.1]", "[0.2]", "[0.3]"), ("[0.1]", "[0.2]", "[0.3]")),
    ],
)
def test_the_ends_of_a_list_of_fractions_stand_for_all(values: tuple[str, ...], ends: tuple[str, ...]) -> None:
    assert Space((Dimension("lr", values), OPTIMIZER)).ends().dimensions == (Dimension("lr", ends), OPTIMIZER)


def test_a_space_is_the_same_after_json() -> None:
    space = Space((RATE, DEPTH, OPTIMIZER, MOMENTUM, Dimension("seed", ("0", "1"), zipped="zip")))
    assert Space.from_dict(json.loads(json.dumps(space.as_dict()))) == space
