"""What all rows of a table say together: the types of its columns, its targets, its warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError
from holdfast.data.columns import MISSING, Column
from holdfast.data.rows import TEST, TRAIN, VAL, Rows
from holdfast.data.tables.cells import are_codes, is_code, is_dressed_number, is_like_number
from holdfast.data.tables.labels import Target, target_of
from holdfast.data.tables.problems import listed
from holdfast.data.tables.recoded_view import Recoded
from holdfast.data.tables.scan import Pass, judge_texts
from holdfast.data.tables.settings import PART_WORDS

MIN_ROWS_OF_IDS = 10
# Where at least so many of a column's texts are numbers with signs, the user should know that they are categories.
LIKE_NUMBERS_SHARE = 0.8
IN_MEMORY_BYTES = 64 * 2**20
ID_WORDS = ("id", "index", "uuid", "guid", "rowid", "row")


def rows_of(found: Pass) -> tuple[Rows, str]:
    """The rows of a pass that is over, and one line about them.

    Raises:
        Conflict: Something must be read in another way.
        InputError: The table as a whole cannot be used.
    """
    if not found.parts or found.spool is None:
        what = f"{found.files[0][0].path} has a header and no rows"
        if found.left_out:
            what = f"no row of {found.files[0][0].path} is left"
        raise InputError(
            "data.path", what + "".join(f"; {n:,} left out with {reason}" for reason, n in found.left_out.items())
        )
    for name, vocabulary in found.vocabularies.items():
        if len(vocabulary) and (name in found.features or name in found.settings.target):
            judge_texts(found, name)
    target = _target(found)
    notes = [f"{count:,} rows left out with {reason}" for reason, count in found.left_out.items()]
    suspects = _suspects(found)
    kept = [name for name in found.features if not (found.settings.drops_auto and name in suspects)]
    if not kept:
        raise InputError("data.drop", "auto leaves no column: " + ", ".join(suspects), next="data.drop=[NAMES]")
    advice = "left out" if found.settings.drops_auto else "data.drop=auto leaves it out"
    notes += [f"column {name!r} {why}: {advice}" for name, why in suspects.items()]
    notes += _text_notes(found, found.features)
    columns, tables = _columns(found, kept)
    place_of = {name: index for index, name in enumerate(found.features)}
    rows = Recoded(found.spool, [place_of[name] for name in kept], {place_of[name]: t for name, t in tables.items()})
    parts = _parts(found)
    notes += _part_notes(parts)
    identity = found.identity
    assert identity is not None
    return (
        Rows(
            x=rows[:] if rows.nbytes <= IN_MEMORY_BYTES else rows,
            y=target.y,
            task=target.task,
            kind="table",
            class_names=target.class_names,
            feature_names=tuple(kept),
            official_test=parts == TEST if parts is not None and (parts == TEST).any() else None,
            target_name=", ".join(found.settings.target),
            groups=_groups(found),
            times=_times(found),
            columns=columns,
            parts=parts,
            source_digests=identity.digests.settled(),
            full_digests=identity.full_digests.settled(),
            digested_columns=identity.columns,
            digests_by_columns=identity.by_columns(),
            notes=tuple(notes),
        ),
        _words(found, columns, target),
    )


def _suspects(found: Pass) -> dict[str, str]:
    """Columns that say nothing, or who a row is."""
    num_rows = sum(map(len, found.parts))
    suspects = {}
    for index, name in enumerate(found.features):
        vocabulary = found.vocabularies[name]
        if found.ranges.is_constant(index):
            suspects[name] = "is the same in every row"
        elif num_rows < MIN_ROWS_OF_IDS:
            continue
        elif len(vocabulary) == num_rows:
            suspects[name] = "has a text of its own in every row"
        elif not len(vocabulary) and _is_named_id(name) and _is_all_distinct(found, index):
            suspects[name] = "looks like an identifier"
    return suspects


def _text_notes(found: Pass, names: Sequence[str]) -> list[str]:
    """Columns of categories that a reader would take for numbers."""
    notes = []
    for name in names:
        texts = [text for text in found.vocabularies[name].texts if text != MISSING]
        if name in found.settings.types or not texts:
            continue
        dressed = next(filter(is_dressed_number, texts), None)
        if are_codes(texts):
            advice = f"data.types={{{name}: number}} if not"
            notes.append(f"column {name!r} has leading zeros ({next(filter(is_code, texts))}): categories; {advice}")
        elif dressed and sum(map(is_like_number, texts)) >= LIKE_NUMBERS_SHARE * len(texts):
            advice = "categories, unless written as plain numbers"
            notes.append(f"column {name!r} holds texts such as {dressed!r}: {advice}")
        elif len(others := [text for text in texts if not is_like_number(text)]) == 1 < len(texts) - 1:
            advice = f"categories; data.types={{{name}: number}} data.missing=[{others[0]}] if that means missing"
            notes.append(f"column {name!r} holds numbers and {others[0]!r}: {advice}")
    return notes


def _is_all_distinct(found: Pass, index: int) -> bool:
    assert found.spool is not None
    if not found.ranges.is_whole(index):
        return False
    values = np.concatenate([block[:, index] for block in found.spool.blocks()])
    return len(np.unique(values)) == len(values)


def _columns(found: Pass, kept: Sequence[str]) -> tuple[tuple[Column, ...], dict[str, NDArray[np.int64]]]:
    columns: list[Column] = []
    tables: dict[str, NDArray[np.int64]] = {}
    for name in kept:
        vocabulary = found.vocabularies[name]
        if len(vocabulary):
            categories, tables[name] = vocabulary.ranks()
            columns.append(Column(name, "category", categories))
        else:
            columns.append(Column(name, "number"))
    return tuple(columns), tables


def _target(found: Pass) -> Target:
    values = [joined(found.taken[name]) for name in found.settings.target]
    vocabularies = [found.vocabularies[name] for name in found.settings.target]
    return target_of(found.settings.target, values, vocabularies, found.settings.task)


def _groups(found: Pass) -> NDArray[np.int64] | None:
    if found.settings.group is None:
        return None
    _, groups = np.unique(joined(found.taken[found.settings.group]), return_inverse=True)
    return groups.astype(np.int64).reshape(-1)


def _times(found: Pass) -> NDArray[np.float64] | None:
    name = found.settings.time
    if name is None:
        return None
    if len(found.vocabularies[name]):
        what = f"{name!r} holds texts ({found.vocabularies[name].texts[0]!r})"
        raise InputError("data.time", what, allowed="numbers, or dates written as 2024-12-31 or 2024-12-31 23:59:59")
    return joined(found.taken[name])


def _parts(found: Pass) -> NDArray[np.int8] | None:
    name = found.settings.split_column
    if name is not None:
        table = np.array([PART_WORDS[text.lower()] for text in found.vocabularies[name].texts], np.int8)
        parts: NDArray[np.int8] = table[joined(found.taken[name])]
        return parts
    return joined(found.parts) if any(part is not None for _, part in found.files) else None


def _words(found: Pass, columns: Sequence[Column], target: Target) -> str:
    numbers = [column.name for column in columns if column.type == "number"]
    categories = [f"{column.name} ({len(column.categories)})" for column in columns if column.type == "category"]
    kinds = [f"{len(numbers)} numbers: {listed(numbers)}"] if numbers else []
    kinds += [f"{len(categories)} categories: {listed(categories)}"] if categories else []
    return f"{sum(map(len, found.parts)):,} rows; {'; '.join(kinds)}; {target.words}"


def _part_notes(parts: NDArray[np.int8] | None) -> list[str]:
    if parts is None:
        return []
    counts = np.bincount(parts, minlength=3).tolist()
    return [
        f"the source declares {counts[TRAIN]:,} train, {counts[VAL]:,} val and {counts[TEST]:,} test rows; "
        "split=auto and predefined keep to that"
    ]


def _is_named_id(name: str) -> bool:
    folded = name.lower().replace("-", "_").replace(" ", "_")
    return (
        folded in ID_WORDS
        or folded.endswith(("_id", "_index", "_uuid"))
        or folded.startswith(("id_", "unnamed:"))
        or (name.endswith(("Id", "ID")) and not name.isupper())
    )


def joined(blocks: list[NDArray[Any]]) -> NDArray[Any]:
    """Blocks as one array; the list keeps that one, so that nothing is in memory twice."""
    whole = np.concatenate(blocks)
    blocks[:] = [whole]
    return whole
