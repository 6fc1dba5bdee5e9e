"""All rows of a data set, read once and divided: which are test rows, which may be trained on, which are left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from holdfast.data.columns import Column
from holdfast.data.loading.subset import check_count
from holdfast.data.rows import TEST, Rows, check_rows, stratum_of
from holdfast.data.sources.call import rows_of
from holdfast.data.splits import SplitFacts
from holdfast.data.store import overlaps, store
from holdfast.data.store.row_keys import RowIdentity, identity_of, with_stored
from holdfast.data.tables.categories import reduced
from holdfast.data.targets import call_target
from holdfast.vault import policies
from holdfast.vault.rows.arrays import Chosen, RowArray
from holdfast.vault.rows.digest_sets import content_id, equal_to_marked
from holdfast.vault.sealing import SealRequest

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Division:
    """All rows, and which of them are which.

    Attributes:
        rows: As the source gave them.
        x: As they are stored: with the categories that development rows have.
        columns: What the columns of `x` are.
        identity: What the rows are known by.
        test: (n,) Rows to be sealed; with vault=none, rows of a test part that others keep.
        development: (n,) Rows for train and val.
        counts: What was found across the split.
        content: Identity of all rows with their targets.
        strata: Where the split has cut each stratum.
    """

    rows: Rows
    x: RowArray
    columns: tuple[Column, ...]
    identity: RowIdentity
    test: Mask
    development: Mask
    counts: dict[str, int]
    content: str
    strata: list[dict[str, Any]]

    @property
    def forms(self) -> dict[str, RowArray]:
        """Digests of all rows beside those of what the source holds."""
        return with_stored(self.identity, self.rows, self.x)


def divide(request: Mapping[str, Any]) -> Division:
    """Read the source and decide about every row.

    Raises:
        InputError: The rows cannot be used, or not split in this way.
    """
    rows = rows_of(request["source"])
    check_rows(rows)
    identity = identity_of(rows)
    cuts: list[dict[str, Any]] = []
    if request["vault"]["policy"] == policies.NONE:
        test = _declared_test(rows)
    else:
        split, facts = call_target(request["split"], "split"), _facts_of(rows, identity.units)
        test = split.test_rows(facts)
        cuts = split.test_cuts(facts, test) if hasattr(split, "test_cuts") else []
        del facts
    # Rows that equal a test row, or are of its group, must not be trained on.
    development = ~test & ~equal_to_marked(identity.units, test)
    check_count(request.get("subset"), int(development.sum()))
    if request["vault"]["policy"] == policies.NONE:
        counts = {"test": 0, "development": int(development.sum()), "left_out": int((~development).sum())}
    else:
        counts = _count(rows, identity, test, development, with_looks=request["vault"]["near_duplicates"])
    x, columns = reduced(rows.x, rows.columns, development)
    content = content_id(identity.digests, rows.y)
    return Division(rows, x, columns, identity, test, development, counts, content, cuts)


def _placed(key: str, value: Any) -> Any:
    """A path as it can be found from any folder: the report says whether the source still lies there."""
    is_path = "path" in key and isinstance(value, str) and value and Path(value).exists()
    return str(Path(value).absolute()) if is_path else value


def seal_request(request: Mapping[str, Any], division: Division) -> SealRequest:
    """What is to be sealed of a division."""
    rows, test = division.rows, np.flatnonzero(division.test)
    return SealRequest(
        source={"name": request["name"], **{key: _placed(key, value) for key, value in request["source"].items()}},
        content=division.content,
        test_rule=request["test_rule"],
        task=rows.task,
        class_names=rows.class_names,
        kind=rows.kind,
        x=Chosen(division.x, test),
        y=rows.y[test],
        digests=division.identity.digests,
        test=division.test,
        development=division.development,
        forms=division.forms,
        columns=division.identity.columns,
        by_columns=division.identity.by_columns,
        policy=request["vault"],
        counts=division.counts,
        strata=division.strata,
        groups=rows.groups[test] if rows.groups is not None else None,
        locked=request.get("locked", ()),
    )


def _declared_test(rows: Rows) -> Mask:
    if rows.official_test is not None:
        return rows.official_test
    return rows.parts == TEST if rows.parts is not None else np.zeros(len(rows.x), bool)


def _facts_of(rows: Rows, units: RowArray) -> SplitFacts:
    return SplitFacts(
        cast(NDArray[np.uint8], units),  # a spool becomes an array where a split needs it whole
        strata=stratum_of(rows.y, rows.task),
        official=rows.official_test,
        groups=rows.groups,
        times=rows.times,
        parts=rows.parts,
        targets=rows.y if rows.task == "regression" else None,
    )


def _count(rows: Rows, identity: RowIdentity, test: Mask, development: Mask, *, with_looks: bool) -> dict[str, int]:
    """What was found across the split, as counts; rows that are equal to a test row are left out before training."""
    is_left_out = ~test & ~development
    is_linked = identity.units is not identity.digests
    equal = equal_to_marked(identity.digests, test) if is_linked else is_left_out
    counts = {
        "test": int(test.sum()),
        "development": int(development.sum()),
        "left_out": int(is_left_out.sum()),
        "exact_duplicates": int(equal.sum()),
        "seen_open": _count_seen_open(identity.digests, test),
    }
    if rows.groups is not None:
        counts["groups"] = len(np.intersect1d(rows.groups[test], rows.groups[~test]))
    if rows.times is not None:
        counts["time_overlap"] = overlaps.count_time_overlap(rows.times, test, development)
    if with_looks and overlaps.has_thumbnails(rows.x):
        counts["near_duplicates"] = overlaps.count_near_duplicates(rows.x, test, development)
    return counts


def _count_seen_open(digests: RowArray, test: Mask) -> int:
    """How many of the rows that will be sealed could be trained on before, under vault=none."""
    folders = store.open_folders()
    if not folders:
        return 0
    sealed = digests[np.flatnonzero(test)]
    found = np.zeros(len(sealed), bool)
    for path in folders:
        found |= overlaps.is_among(sealed, np.load(path / "digests.npy", mmap_mode="r"))
    return int(found.sum())
