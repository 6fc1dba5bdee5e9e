"""The space that a sweep searches: dimensions in Hydra's grammar, and the points in it.

    lr=1e-3,1e-2                           a choice; of options as well: optimizer=adam,momentum, 'model=glob(*)'
    'batch_size=range(32,129,32)'          a choice of numbers
    'lr=tag(log,interval(1e-5,1e-1))'      any number between the ends, evenly on a log scale
    'model.dropout=interval(0,0.6)'        evenly on a plain scale
    'model.depth=int(interval(1,4))'       whole numbers, both ends included
    'lr=tag(zip,choice(1e-2,1e-3))' 'batch_size=tag(zip,choice(256,32))'      lists that go together, first with first

A key that only some options of a swept group have belongs to a point only where one of those options is chosen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import Trial

NEAR_AN_END = 0.05
NATURAL_ENDS = (0, 1)  # of a plain scale: shares and counts end there
DIGITS = 4


@dataclass(frozen=True)
class Dimension:
    """A key and the values that it may have: a list of them, or an interval."""

    key: str  # as it is typed, with a `+` in front where it adds
    values: tuple[str, ...] = ()  # as they are typed; empty for an interval
    low: float = 0.0  # the lower end of an interval
    high: float = 0.0  # the upper end, which belongs to the interval
    is_log: bool = False  # whether an interval is even on a log scale
    is_whole: bool = False  # whether an interval holds whole numbers only
    zipped: str | None = None  # the name of the lists that go together, of which this is one
    # group -> options; the key exists only where one of those is chosen
    only_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.values:
            return ",".join(self.values)
        interval = f"interval({self.number(self.low)},{self.number(self.high)})"
        whole = f"int({interval})" if self.is_whole else interval
        return f"tag(log,{whole})" if self.is_log else whole

    @property
    def extremes(self) -> tuple[str, ...]:
        """The values of a list, or both ends of an interval."""
        return self.values or (self.number(self.low), self.number(self.high))

    def ends(self) -> Dimension:
        """The dimension with the least and the greatest of its values, where these are numbers with a fraction.

        What lies between two rates or shares that can be trained can be trained too; whole numbers may have to fit
        each other.
        """
        numbers = [number for value in self.values if (number := _as_number(value)) is not None]
        has_others = len(numbers) < len(self.values) or not all(map(math.isfinite, numbers))
        if self.zipped or len(numbers) < 3 or has_others or all(map(float.is_integer, numbers)):
            return self
        return replace(self, values=(min(self.values, key=float), max(self.values, key=float)))

    def sorted(self) -> Dimension:
        """The dimension with its values in an order of their own: that of shuffle() changes."""
        return self if self.zipped else replace(self, values=tuple(sorted(self.values)))

    def is_active(self, chosen: Mapping[str, str]) -> bool:
        """Tell whether the key exists with the options that were chosen."""
        return all(chosen[group] in options for group, options in self.only_with.items())

    def number(self, value: float) -> str:
        """A number of an interval as it is typed, rounded to what a person reads."""
        if self.is_whole:
            return str(round(value))
        rounded = float(f"{value:.{DIGITS}g}")
        return f"{rounded if self.low <= rounded <= self.high else value:g}"

    def near_end(self, value: str) -> str | None:
        """Give the end of the range that a value lies within 5 % of; None where it lies inside or nothing is beyond.

        The range of a list of three numbers or more goes from its least to its greatest.
        """
        number, *ends = [_as_number(text) for text in (value, *self.extremes)]
        if number is None or None in ends or 0 < len(self.values) < 3:
            return None
        scale = math.log if self.is_log else float
        low, high = (extreme(end for end in ends if end is not None) for extreme in (min, max))
        margin = 0.0 if self.values else NEAR_AN_END * (scale(high) - scale(low))
        for end in (low, high):
            if abs(scale(number) - scale(end)) <= margin and (self.is_log or end not in NATURAL_ENDS):
                return self.extremes[ends.index(end)]
        return None


@dataclass(frozen=True)
class Space:
    """The dimensions of a sweep, those that depend on others behind them."""

    dimensions: tuple[Dimension, ...] = ()

    @cached_property
    def axes(self) -> list[list[Dimension]]:
        """The dimensions, those that are zipped as one axis."""
        axes: dict[str, list[Dimension]] = {}
        for dimension in sorted(self.dimensions, key=lambda dimension: bool(dimension.only_with)):
            axes.setdefault(_axis_name(dimension), []).append(dimension)
        return list(axes.values())

    @property
    def axis_names(self) -> list[str]:
        """The names by which a sampler knows the axes."""
        return [_axis_name(axis[0]) for axis in self.axes]

    @cached_property
    def points(self) -> list[list[str]]:
        """The points of a grid, as overrides, in the order of Hydra's own sweeper."""
        return list(self.first_points(None))

    @property
    def has_interval(self) -> bool:
        """Tell whether an interval is among the dimensions, so that the points cannot be listed."""
        return any(not dimension.values for dimension in self.dimensions)

    def first_points(self, count: int | None) -> Iterator[list[str]]:
        """List points of a space without intervals: all, or the first ones."""
        return itertools.islice(map(_as_words, _combinations(self.axes, {})), count)

    def point(self, number: int) -> list[str]:
        """Give a point of a grid, by its number."""
        return self.points[number]

    def suggest(self, trial: Trial) -> list[str]:
        """Let the sampler of a study choose a point; the trial keeps the values, those of zipped lists as one."""
        chosen: dict[str, str] = {}
        for axis in self.axes:
            active = [dimension for dimension in axis if dimension.is_active(chosen)]
            if active:
                chosen |= _suggest(trial, axis, active)
        return _as_words(chosen)

    def samples(self) -> list[list[str]]:
        """Points to check before a search: together they have every value, and both ends of every interval."""
        first = {dimension.key: dimension.extremes[0] for dimension in self.dimensions}
        points: dict[tuple[str, ...], None] = {}
        for axis in self.axes or [[]]:
            for index in range(max((len(dimension.extremes) for dimension in axis), default=1)):
                chosen = first | {dimension.key: dimension.extremes[index] for dimension in axis}
                for dimension in axis:
                    needed = {group: options[0] for group, options in dimension.only_with.items()}
                    chosen |= {} if dimension.is_active(chosen) else needed
                active = [dimension for axis in self.axes for dimension in axis if dimension.is_active(chosen)]
                points[tuple(_as_words({dimension.key: chosen[dimension.key] for dimension in active}))] = None
        return [list(point) for point in points]

    def ends(self) -> Space:
        """The space with lists of numbers with a fraction reduced to their ends: enough to find what is wrong in it."""
        return Space(tuple(dimension.ends() for dimension in self.dimensions))

    def as_dict(self) -> dict[str, Any]:
        """The space as plain values, for JSON."""
        return {"dimensions": [asdict(dimension) for dimension in self.dimensions]}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Space:
        """Make a space of what `as_dict` gave."""
        dimensions = []
        for entry in fields["dimensions"]:
            only_with = {group: tuple(options) for group, options in entry["only_with"].items()}
            dimensions.append(Dimension(**{**entry, "values": tuple(entry["values"]), "only_with": only_with}))
        return cls(tuple(dimensions))


def _axis_name(dimension: Dimension) -> str:
    return dimension.zipped or dimension.key


def _combinations(axes: Sequence[Sequence[Dimension]], chosen: dict[str, str]) -> Iterator[dict[str, str]]:
    """The combinations of the values of `axes` where others are chosen already; the last axis changes fastest."""
    if not axes:
        yield chosen
        return
    active = [dimension for dimension in axes[0] if dimension.is_active(chosen)]
    for index in range(len(active[0].values) if active else 1):
        values = {dimension.key: dimension.values[index] for dimension in active}
        yield from _combinations(axes[1:], chosen | values)


def _suggest(trial: Trial, axis: Sequence[Dimension], active: Sequence[Dimension]) -> dict[str, str]:
    """Let the sampler choose the values of an axis; a list of one value is no choice."""
    first, name = axis[0], _axis_name(axis[0])
    if first.values:
        labels = [" ".join(values) for values in zip(*(dimension.values for dimension in axis), strict=True)]
        index = labels.index(trial.suggest_categorical(name, labels)) if len(labels) > 1 else 0
        return {dimension.key: dimension.values[index] for dimension in active}
    if first.is_whole:
        return {first.key: str(trial.suggest_int(name, int(first.low), int(first.high), log=first.is_log))}
    return {first.key: first.number(trial.suggest_float(name, first.low, first.high, log=first.is_log))}


def _as_words(chosen: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in chosen.items()]


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
