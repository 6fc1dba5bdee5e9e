"""A user's settings of a table: which column is what, and the problems of tables that do not fit them, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, get_args

from holdfast.core.errors import InputError, Problem, did_you_mean, raise_problems
from holdfast.data.rows import TEST, TRAIN, VAL
from holdfast.vault.rows.canonical_cells import MISSING_TEXTS

Task = Literal["auto", "classes", "regression"]
OnError = Literal["stop", "skip"]
AUTO = "auto"
MAX_LISTED = 12
DATE_TYPES = ("date", "day_first", "month_first")
TYPES = ("number", "category", *DATE_TYPES, "drop")
PART_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
STRAY = "a text among the numbers"
INFINITE = "an infinite value"
ABSENT = "no value"
NO_PART = "neither train, val nor test"


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
    """The settings of a table as the command line has them, `KEYS` each of them or absent; all mistakes at once."""
    if unknown := [key for key in given if key not in KEYS]:
        near = did_you_mean(unknown[0], KEYS)
        raise InputError(f"data.{unknown[0]}", "is no setting of a table", ", ".join(KEYS), near)
    settings = {key: value for key, value in given.items() if value is not None}
    task, on_error, types = settings.get("task", AUTO), settings.get("on_error", "stop"), settings.get("types", {})
    if isinstance(types, list | tuple):  # for names that Hydra has no key for
        types = {name: kind for name, _, kind in (str(entry).rpartition(": ") for entry in types)}
    if not isinstance(types, Mapping):
        allowed = "a mapping, such as {age: number, zip: category}, or a list, such as ['zip code: category']"
        raise InputError("data.types", f"is {types!r}", allowed)
    choices = [("task", task, get_args(Task)), ("on_error", on_error, get_args(OnError))]
    choices += [(f"types.{name}", kind, TYPES) for name, kind in types.items()]
    wrong = [(key, value, ", ".join(allowed)) for key, value, allowed in choices if value not in allowed]
    names = {key: settings[key] for key in ("group", "time", "split_column") if key in settings}
    several = [(key, name) for key, name in names.items() if isinstance(name, list | tuple | Mapping)]
    wrong += [(key, name, "the name of one column") for key, name in several]
    problems = [Problem(f"data.{key}", f"is {value!r}", allowed) for key, value, allowed in wrong]
    target = as_names(settings.get("target"))
    twice = sorted({name for name in target if target.count(name) > 1})
    raise_problems([*problems, *(Problem("data.target", f"names {name!r} twice") for name in twice)])
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
    names = value if isinstance(value, list | tuple) else [value]
    return [str(name) for name in names if name is not None]


def check_names(settings: TableSettings, names: Sequence[str]) -> None:
    """Refuse a table without the columns that the settings name, each with the near name."""
    if not settings.target:
        advice = "data.target=COLUMN names what is predicted"
        raise InputError("data.target", "is not given", f"the columns are {listed(names)}", advice)
    asked = [(key, name) for key in ("target", "id", "types", "drop") for name in getattr(settings, key)]
    asked += [(key, getattr(settings, key)) for key in ("group", "time", "split_column")]
    allowed, folded = f"the columns are {listed(names)}", {name.lower(): name for name in names}
    problems = []
    for key, name in asked:
        if name is not None and name not in names:
            near = did_you_mean(folded.get(name.lower(), name), names)
            problems.append(Problem(f"data.{key}", f"there is no column {name!r}", allowed, near))
    if len(names) == 1 and problems:
        advice = "is data.delimiter right? does the file have a first line of names?"
        problems = [replace(problem, next=problem.next or advice) for problem in problems]
    raise_problems(problems)


def check_same_names(file: TableFile, names: Sequence[str], former: Sequence[str]) -> None:
    """Refuse a file that has other columns than the files before it, with those that it lacks or has in addition."""
    lacking, extra = sorted(set(former) - set(names)), sorted(set(names) - set(former))
    words = [f"has no {', no '.join(lacking)}"] if lacking else []
    words += [f"has {', '.join(extra)}"] if extra else []
    if words:
        raise InputError("data.path", f"{file.path} {' and '.join(words)}, unlike the files before it")


def listed(names: Sequence[str]) -> str:
    """The first names, and how many there are."""
    words = ", ".join(name if name.isprintable() else repr(name) for name in names[:MAX_LISTED])
    return words if len(names) <= MAX_LISTED else f"{words}, ... ({len(names)} in all)"
