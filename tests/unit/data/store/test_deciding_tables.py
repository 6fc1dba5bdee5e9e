"""A table is known again by the columns that its vault knows it by, whatever else has become of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.errors import VaultRefused
from holdfast.data.store import store, worker
from holdfast.data.store.store import Prepared
from holdfast.vault import registry

Table = dict[str, list[Any]]
Prepare = Callable[..., Prepared]
NUM_ROWS = 100


def table(seed: int = 0, num_rows: int = NUM_ROWS) -> Table:
    """Rows with a number of their own; `mark` is a feature that says which row it is."""
    random = np.random.default_rng(seed)
    return {
        "number": list(range(num_rows)),
        "mark": [round(value, 9) for value in random.normal(size=num_rows).tolist()],
        "size": [round(value, 3) for value in random.normal(size=num_rows).tolist()],
        "town": ["Bonn", "Rome", "Oslo", "Lima"] * (num_rows // 4),
        "answer": ["no", "yes"] * (num_rows // 2),
    }


def marks_of(prepared: Prepared) -> set[float]:
    """The marks of the rows for train and val."""
    return {round(float(value), 6) for value in prepared.x[:, prepared.feature_names.index("mark")]}


def marks_in(content: Table) -> set[float]:
    return {round(float(np.float32(value)), 6) for value in content["mark"]}


@pytest.fixture
def prepare(home: Path, tmp_path: Path) -> Prepare:
    """Prepare a table that is written to a file of another name each time."""
    folder = tmp_path / "tables"
    folder.mkdir()

    def call(content: Table, policy: str = "once", again: str = "", **settings: Any) -> Prepared:
        path = folder / (again or f"table{len(list(folder.iterdir()))}.csv")
        lines = [",".join(content), *(",".join(map(str, row)) for row in zip(*content.values(), strict=True))]
        if not again:
            path.write_text("\n".join(lines) + "\n")
        source = {"_target_": "holdfast.data.sources.table.load", "path": str(path), "format": "csv"}
        source["settings"] = {"target": "answer", **settings}
        split = {"_target_": "holdfast.data.splits.Holdout"}
        request = store.make_request({"name": path.name, "source": source}, split, {"policy": policy})
        worker.answer_request(request)
        prepared = store.find_prepared(request)
        assert prepared is not None
        return prepared

    return call


CHANGES: dict[str, Callable[[Table], Table]] = {
    "renumbered": lambda rows: rows | {"number": [7000 + 3 * row for row in rows["number"]]},
    "without numbers": lambda rows: {name: cells for name, cells in rows.items() if name != "number"},
    "a column more": lambda rows: rows | {"new": [row % 13 for row in range(NUM_ROWS)]},
    "columns in another order": lambda rows: dict(reversed(rows.items())),
    "rows in another order": lambda rows: {name: cells[::-1] for name, cells in rows.items()},
}


@pytest.mark.parametrize("policy", ["once", "none"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_table_goes_on(prepare: Prepare, change: str, policy: str) -> None:
    first = prepare(table())
    assert len(marks_of(first)) == 80
    prepared = prepare(CHANGES[change](table()), policy)
    assert marks_of(prepared) == marks_of(first)
    assert store.is_open(prepared.vault) if policy == "none" else prepared.vault == first.vault


@pytest.mark.parametrize(
    "settings",
    [{"drop": ["size"]}, {"types": {"size": "category"}}, {"missing": ["Bonn"]}, {"drop": ["town", "number"]}],
)
def test_another_view_is_made_of_the_same_rows(prepare: Prepare, settings: dict[str, Any]) -> None:
    first = prepare(table())
    assert registry.append(first.vault, "freeze", {}, selection="5" * 64).index == 1
    prepared = prepare(table(), again="table0.csv", **settings)
    assert (prepared.vault, prepared.num_test) == (first.vault, 20)
    assert prepared.view != first.view
    assert prepared.folder.parent == first.folder.parent
    assert marks_of(prepared) == marks_of(first)
    assert np.array_equal(prepare(table(), again="table0.csv").x, first.x), "the former view is still there"


def test_cells_that_no_row_is_known_by_are_those_of_the_source(prepare: Prepare) -> None:
    """A column that came later is in no identity: its cells may change, and the rows stay the same."""
    first = prepare(table())
    for factor in (1, 2):
        content = table() | {"new": [factor * (row % 13) for row in range(NUM_ROWS)]}
        prepared = prepare(content)
        assert prepared.vault == first.vault
        assert prepared.x[:, prepared.feature_names.index("new")].max() == 12 * factor


def test_another_target_shares_the_test_rows(prepare: Prepare) -> None:
    first = prepare(table())
    second = prepare(table(), target="town")
    assert registry.record_of(second.vault)["shares"] == [first.vault]
    assert marks_of(second) == marks_of(first)
    assert marks_of(prepare(table(), "none", target="town")) == marks_of(first)
    for target, vault in (("answer", first.vault), ("town", second.vault)):
        assert prepare(CHANGES["renumbered"](table()), target=target).vault == vault


def test_a_row_is_known_by_the_columns_that_name_it(prepare: Prepare) -> None:
    """Its other cells may have been changed by hand."""
    rows = table()
    first = prepare(rows, id="number")
    changed = rows | {"mark": [*rows["mark"][:60], *(value + 5 for value in rows["mark"][60:])]}
    prepared = prepare(changed, id="number")
    assert prepared.vault == first.vault
    index = {round(float(np.float32(mark)), 6): row for row, mark in enumerate(changed["mark"])}
    kept = {index[mark] for mark in marks_of(prepared)}
    index = {round(float(np.float32(mark)), 6): row for row, mark in enumerate(rows["mark"])}
    assert kept == {index[mark] for mark in marks_of(first)}


@pytest.mark.parametrize("policy", ["once", "none"])
def test_sealed_rows_among_those_of_a_stranger(prepare: Prepare, policy: str) -> None:
    first = prepare(table())
    rows, more = CHANGES["renumbered"](table()), table(seed=1, num_rows=300)
    prepared = prepare({name: [*more[name], *rows[name][:40]] for name in more}, policy)
    sealed = marks_in(rows) - marks_of(first)
    assert len(sealed) == 20
    assert marks_of(prepared).isdisjoint(sealed)
    assert prepared.vault != first.vault
    assert prepared.num_left_out == len(marks_in({"mark": rows["mark"][:40]}) & sealed)


def test_a_vault_whose_folder_is_gone_is_missed(prepare: Prepare, home: Path) -> None:
    """Also by a source that was decided before."""
    first = prepare(table())
    shutil.rmtree(home / "vaults" / first.vault)
    for settings in ({}, {"drop": ["size"]}):
        with pytest.raises(VaultRefused, match="holds these rows, and its folder is gone"):
            prepare(table(), again="table0.csv", **settings)


@pytest.mark.parametrize("policy", ["once", "none"])
def test_a_stranger_is_prepared_where_the_folder_of_another_vault_is_gone(
    prepare: Prepare, home: Path, policy: str
) -> None:
    """The registry still knows its rows."""
    first = prepare(table())
    sealed = marks_in(table()) - marks_of(first)
    shutil.rmtree(home / "vaults" / first.vault)
    rows, more = table(), table(seed=1, num_rows=300)
    prepared = prepare({name: [*more[name], *rows[name][:40]] for name in more}, policy)
    assert marks_of(prepared).isdisjoint(sealed)
    assert prepared.num_left_out == len(marks_in({"mark": rows["mark"][:40]}) & sealed)


def answers(seed: int) -> Table:
    """Yes-or-no answers: strangers give the same ones."""
    drawn = np.random.default_rng(seed).integers(0, 2, (200, 9))
    return {**{f"q{number}": drawn[:, number].tolist() for number in range(8)}, "answer": ["no", "yes"] * 100}


def test_a_table_of_few_values_is_no_near_copy_of_another(prepare: Prepare) -> None:
    first, stranger = prepare(answers(0)), prepare(answers(1))
    assert stranger.vault != first.vault
    assert registry.record_of(stranger.vault)["shares"] == []
    assert len(stranger.x) + stranger.num_test + stranger.num_left_out == 200
    assert prepare(answers(0)).vault == first.vault
    assert prepare(answers(1)).vault == stranger.vault
