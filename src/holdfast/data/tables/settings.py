"""A user's settings of a table as one object: which column is what, and what of the table a run sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.rows import TEST, TRAIN, VAL
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS

Task = Literal["auto", "classes", "regression"]
OnError = Literal["stop", "skip"]
AUTO = "auto"
DATE_TYPES = ("date", "day_first", "month_first")
TYPES = ("number", "category", *DATE_TYPES, "drop")
PART_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}


def is_part(text: str) -> bool:
    """Tell whether a text is a word for a part."""
    return text.lower() in PART_WORDS


class TableFile(Protocol):
    """A table that can be read block by block, as often as it takes."""

    @property
    def path(self) -> Any:
        """The name of the file."""

    @property
    def skipped(self) -> list[str]:
        """The reason for every row that was left out while the file was read."""

    def column_names(self) -> list[str] | None:
        """The names of the columns; None where they do not stand at the file's beginning."""

    def batches(self) -> Iterator[tuple[list[str], list[Any]]]:
        """Names and arrays of pyarrow's, some rows at a time: raw cells, read without any setting of a view."""

    def reading(self) -> dict[str, str]:
        """The marks that the file was found to have, as options for others of the kind: the marks in numbers."""

    def place_of(self, row: int) -> str:
        """The name of a row: line 17."""


@dataclass(frozen=True)
class TableSettings:
    """A user's settings of a table; every name is that of a setting `data.<name>`."""

    target: tuple[str, ...]  # one column, or several labels or values
    task: Task = "auto"  # whether the target holds classes or values; auto: it is looked at
    # by column: number, category, drop, or date; day_first and month_first are dates such as 01/02/2024
    types: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()  # columns that are left out
    drops_auto: bool = False  # whether columns that look like identifiers or are constant are left out, too
    id: tuple[str, ...] = ()  # columns that name a row: it is known by them even where its other cells have changed
    group: str | None = None  # the column whose equal values stay on one side of a split
    time: str | None = None  # the column that tells when a row was taken
    split_column: str | None = None  # the column that says train, val or test
    missing: tuple[str, ...] = MISSING_TEXTS  # texts that mean a missing cell
    skips: bool = False  # whether rows that cannot be used are left out instead of being an error

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that are no features: targets, group, time and part."""
        others = (self.group, self.time, self.split_column)
        return tuple(dict.fromkeys([*self.target, *(name for name in others if name is not None)]))

    @property
    def dropped(self) -> set[str]:
        """The columns that are left out by name."""
        return {*self.drop, *(name for name, kind in self.types.items() if kind == "drop")}


KEYS = ("target", "task", "types", "drop", "id", "group", "time", "split_column", "missing", "on_error")


def table_settings(given: Mapping[str, Any]) -> TableSettings:
    """The settings of a table as the command line has them, `KEYS` each of them or absent.

    Raises:
        InputError: One problem for each that has a value it cannot have.
    """
    unknown = [key for key in given if key not in KEYS]
    if unknown:
        raise InputError(
            f"data.{unknown[0]}", "is no setting of a table", ", ".join(KEYS), did_you_mean(unknown[0], KEYS)
        )
    settings = {key: value for key, value in given.items() if value is not None}
    task, on_error, types = settings.get("task", AUTO), settings.get("on_error", "stop"), settings.get("types", {})
    if isinstance(types, list | tuple):  # for names that Hydra has no key for
        types = {name: kind for name, _, kind in (str(entry).rpartition(": ") for entry in types)}
    if not isinstance(types, Mapping):
        allowed = "a mapping, such as {age: number, zip: category}, or a list, such as ['zip code: category']"
        raise InputError("data.types", f"is {types!r}", allowed)
    choices = [("task", task, get_args(Task)), ("on_error", on_error, get_args(OnError))]
    choices += [(f"types.{name}", kind, TYPES) for name, kind in types.items()]
    problems = [
        Problem(f"data.{key}", f"is {value!r}", ", ".join(allowed))
        for key, value, allowed in choices
        if value not in allowed
    ]
    target = as_names(settings.get("target"))
    problems += [
        Problem("data.target", f"names {name!r} twice") for name in sorted({*target}) if target.count(name) > 1
    ]
    names = {key: settings[key] for key in ("group", "time", "split_column") if key in settings}
    problems += [
        Problem(f"data.{key}", f"is {name!r}", "the name of one column")
        for key, name in names.items()
        if isinstance(name, list | tuple | Mapping)
    ]
    raise_problems(problems)
    dropped = as_names(settings.get("drop"))
    return TableSettings(
        target=tuple(target),
        task=task,
        types={str(name): str(kind) for name, kind in types.items()},
        drop=tuple(name for name in dropped if name != AUTO),
        drops_auto=AUTO in dropped,
        id=tuple(as_names(settings.get("id"))),
        missing=(*MISSING_TEXTS, *as_names(settings.get("missing"))),
        skips=on_error == "skip",
        **{key: str(name) for key, name in names.items()},
    )


def as_names(value: Any) -> list[str]:
    """One name or several, as a list."""
    if value is None:
        return []
    return [str(name) for name in value] if isinstance(value, list | tuple) else [str(value)]
