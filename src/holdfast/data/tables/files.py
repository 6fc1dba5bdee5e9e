"""What the sources of tables have in common: settings as they are typed, and files of parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.data.formats.files import files_of
from holdfast.data.rows import TEST, TRAIN, VAL, Rows
from holdfast.data.tables.cells import MISSING_TEXTS
from holdfast.data.tables.load import load_table
from holdfast.data.tables.settings import TableFile, TableSettings

Task = Literal["auto", "classes", "regression"]
OnError = Literal["stop", "skip"]
AUTO = "auto"


def as_settings(
    target: Any,
    *,
    task: str = "auto",
    types: Mapping[str, str] | None = None,
    drop: str | Sequence[str] | None = None,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    missing: Sequence[Any] = (),
    on_error: str = "stop",
) -> TableSettings:
    """Settings as the command line has them.

    Raises:
        InputError: One of them has a value that it cannot have.
    """
    problems = []
    for where, value, allowed in (
        ("data.task", task, ("auto", "classes", "regression")),
        ("data.on_error", on_error, ("stop", "skip")),
    ):
        if value not in allowed:
            problems.append(Problem(where, f"is {value!r}", ", ".join(allowed)))
    if types is not None and not isinstance(types, Mapping):
        problems.append(Problem("data.types", f"is {types!r}", "a mapping, such as {age: number, zip: category}"))
    raise_problems(problems)
    dropped = as_names(drop)
    return TableSettings(
        target=tuple(as_names(target)),
        task=task,  # type: ignore[arg-type]
        types={str(name): str(kind) for name, kind in (types or {}).items()},
        drop=tuple(name for name in dropped if name != AUTO),
        drops_auto=AUTO in dropped,
        group=None if group is None else str(group),
        time=None if time is None else str(time),
        split_column=None if split_column is None else str(split_column),
        missing=(*MISSING_TEXTS, *(str(text) for text in as_names(missing))),
        skips=on_error == "skip",
    )


def as_names(value: Any) -> list[str]:
    """One name or several, as a list."""
    if value is None:
        return []
    return [str(name) for name in value] if isinstance(value, list | tuple) else [str(value)]


def load_files(
    open_file: Callable[[Path], TableFile],
    settings: TableSettings,
    *,
    path: Any,
    val_path: Any,
    test_path: Any,
    suffixes: Sequence[str],
) -> Rows:
    """The rows of all files; those of `val_path` and `test_path` are declared val and test.

    Raises:
        InputError: A file cannot be read, or the table cannot be used.
    """
    has_parts = val_path is not None or test_path is not None
    files: list[tuple[TableFile, int | None]] = []
    seen: dict[Path, str] = {}
    for where, given, part in (
        ("data.path", path, TRAIN),
        ("data.val_path", val_path, VAL),
        ("data.test_path", test_path, TEST),
    ):
        if given is None and part != TRAIN:
            continue
        for file in files_of(given, where, suffixes):
            if file.resolve() in seen:
                raise InputError(where, f"{file} is read twice", next=f"it belongs to {seen[file.resolve()]}")
            seen[file.resolve()] = where
            files.append((open_file(file), part if has_parts else None))
    if settings.split_column is not None and has_parts:
        raise InputError("data.split_column", "is given beside data.val_path or data.test_path", next="leave one out")
    return load_table(files, settings, Path(str(path)).name if len(files) == 1 else f"{len(files)} files")
