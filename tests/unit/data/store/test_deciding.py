"""Test rows are decided once: what becomes of a source whose rows a vault in force knows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from holdfast.core.errors import InputError, VaultRefused
from holdfast.data.columns import number_columns
from holdfast.data.rows import TEST, Rows
from holdfast.data.store import store, worker
from holdfast.data.store.store import Prepared
from holdfast.vault import lifecycle, registry
from holdfast.vault.keys import key_files
from holdfast.vault.manifest import read_manifest
from holdfast.vault.rows.identity import row_digests

Prepare = Callable[..., Prepared]
Told = pytest.CaptureFixture[str]
Split = dict[str, Any]
NUM_ROWS = 100
SPLITS: dict[str, Split] = {
    "another seed": {"seed": 1},
    "another fraction": {"fractions": [0.4, 0.2, 0.4]},
    "another rule": {"_target_": "holdfast.data.splits.Holdout", "num_bins": 5},
}


def numbers(num_rows: int = NUM_ROWS, seed: int = 0) -> Rows:
    """Rows that are all different; the class is that of the first number."""
    x = np.random.default_rng(seed).normal(size=(num_rows, 3)).astype(np.float32)
    return Rows(x, (x[:, 0] > 0).astype(np.int64), "binary", "table", ("no", "yes"), columns=number_columns("abc"))


EACH = ("x", "y", "groups", "times", "parts")


def part(rows: Rows, chosen: slice | NDArray[Any]) -> Rows:
    """Some of the rows, with all that is known of each."""
    each: dict[str, Any] = {name: array[chosen] for name in EACH if (array := getattr(rows, name)) is not None}
    return replace(rows, **each)


def joined(*all_rows: Rows) -> Rows:
    """Rows one after the other."""
    known = [name for name in EACH if getattr(all_rows[0], name) is not None]
    each: dict[str, Any] = {name: np.concatenate([getattr(rows, name) for rows in all_rows]) for name in known}
    return replace(all_rows[0], **each)


def keys_of(x: Any) -> set[bytes]:
    return {row.tobytes() for row in np.asarray(x)}


def sealed_in(rows: Rows, prepared: Prepared) -> NDArray[np.bool_]:
    """(n,) Which of different rows, of which no other is left out, were sealed when they were prepared first."""
    known = keys_of(prepared.x)
    sealed = np.array([row.tobytes() not in known for row in np.asarray(rows.x)])
    assert sealed.sum() == prepared.num_test
    return sealed


@pytest.fixture
def prepare(home: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Prepare rows that a source of another name returns each time."""
    asked: list[str] = []

    def call(rows: Rows, split: Split | None = None, **vault: Any) -> Prepared:
        monkeypatch.setattr(worker, "rows_of", lambda source: rows)
        asked.append(f"source{len(asked)}")
        source = {"_target_": "strange.source"}
        chosen = {"_target_": "holdfast.data.splits.Holdout", **(split or {})}
        request = {**store.make_request({"name": asked[-1], "source": source}, chosen, vault), "id": asked[-1]}
        vault_id = worker.answer_request(request)
        prepared = store.find_prepared(request)
        assert prepared is not None
        assert prepared.vault == vault_id
        return prepared

    return call


def freeze(prepared: Prepared) -> None:
    registry.append(prepared.vault, "freeze", {}, selection="5" * 64)


def in_force() -> set[str]:
    return {record["vault"] for record in registry.in_force()}


# --- a vault goes on --------------------------------------------------------------------------------------------------


def test_the_same_rows_find_their_vault(prepare: Prepare) -> None:
    rows = numbers()
    first = prepare(rows)
    order = np.random.default_rng(1).permutation(NUM_ROWS)
    for again in (rows, part(rows, order), replace(rows, x=rows.x.astype(np.float64))):  # type: ignore[union-attr]
        prepared = prepare(again)
        assert (prepared.vault, prepared.num_test, len(prepared.x)) == (first.vault, 20, 80)
        assert keys_of(prepared.x.astype(np.float32)) == keys_of(first.x)
        # Each row with its own target, in whatever order they came.
        assert np.array_equal(prepared.y, prepared.x[:, 0] > 0)
        again_digests = row_digests(np.asarray(prepared.x), kind="table", feature_names=prepared.feature_names)
        assert np.array_equal(prepared.digests, again_digests)
    assert in_force() == {first.vault}


def test_what_is_declared_later_is_known(prepare: Prepare) -> None:
    """The same rows with times, then without them: neither is taken for the other."""
    rows = numbers()
    first, second = prepare(rows), prepare(replace(rows, times=np.arange(NUM_ROWS) * 1.5))
    assert first.times is None
    assert second.times is not None
    assert (second.vault, len(second.times)) == (first.vault, 80)
    assert prepare(rows).times is None


def test_numbers_in_another_scale_are_not_taken_for_the_former_ones(prepare: Prepare) -> None:
    """Both are known as the same images; what a run sees of them is what its source gave."""
    images = np.random.default_rng(0).integers(0, 256, (NUM_ROWS, 4, 4, 1), np.uint8)
    y = np.arange(NUM_ROWS) % 2
    for x in (images / np.float32(255), images / np.float32(127.5) - 1):
        prepared = prepare(Rows(x, y, "binary", "array", ("no", "yes")))
        assert prepared.x.min() == pytest.approx(x.min(), abs=0.1)
    assert len(in_force()) == 1


def test_a_source_that_has_lost_its_sealed_rows_goes_on(prepare: Prepare, capsys: Told) -> None:
    """Then only the name says whether it has the target that was sealed."""
    rows = numbers()
    first = prepare(rows)
    left = part(rows, ~sealed_in(rows, first))
    capsys.readouterr()
    prepared = prepare(left)
    assert prepared.vault == first.vault
    assert keys_of(prepared.x) == keys_of(first.x)
    assert f"goes on with vault {first.vault[:8]}: 0 sealed rows stay out, 20 of" in capsys.readouterr().err
    other = replace(left, y=np.arange(80) % 2, target_name="other")
    with pytest.raises(VaultRefused, match="has another target, and none of the rows of vault"):
        prepare(other)
    assert in_force() == {first.vault}


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_source_with_half_of_the_rows_goes_on(prepare: Prepare, capsys: Told, is_frozen: bool) -> None:
    """Sealed rows stay out, rows that are gone are gone, and new ones are for train and val."""
    rows, more = numbers(), numbers(30, seed=1)
    first = prepare(rows)
    sealed = sealed_in(rows, first)
    if is_frozen:
        freeze(first)
    capsys.readouterr()
    prepared = prepare(joined(more, part(rows, slice(60))))
    assert (prepared.vault, prepared.num_test) == (first.vault, 20)
    assert keys_of(prepared.x) == keys_of(more.x) | keys_of(np.asarray(rows.x)[:60][~sealed[:60]])
    stay, gone = sealed[:60].sum(), sealed[60:].sum()
    words = f"goes on with vault {first.vault[:8]}: {stay} sealed rows stay out, {gone} of its rows are not in this"
    assert words in capsys.readouterr().err
    assert any(words in note for note in prepared.notes)


def test_with_fewer_rows_in_common_a_new_vault_is_drawn_from_the_others(prepare: Prepare, capsys: Told) -> None:
    rows, more = numbers(), numbers(80, seed=1)
    first = prepare(rows)
    sealed = sealed_in(rows, first)[:40]
    mixed = joined(more, part(rows, slice(40)))
    capsys.readouterr()
    prepared = prepare(mixed)
    free = keys_of(mixed.x) - keys_of(np.asarray(rows.x)[:40][sealed])
    assert prepared.vault != first.vault
    assert keys_of(prepared.x) < free
    assert len(prepared.x) + prepared.num_test == len(free)
    assert prepared.num_left_out == sealed.sum()
    assert f"{sealed.sum()} rows left out that are sealed in another vault" in capsys.readouterr().err
    assert in_force() == {first.vault, prepared.vault}
    assert registry.record_of(prepared.vault)["replaces"] == registry.record_of(prepared.vault)["shares"] == []


def test_a_new_vault_seals_no_row_that_runs_of_another_were_trained_on(prepare: Prepare) -> None:
    rows, more = numbers(), numbers(80, seed=1)
    first = prepare(rows)
    prepared = prepare(joined(more, part(rows, slice(40))))
    assert prepared.vault != first.vault
    trained = keys_of(np.asarray(rows.x)[:40]) & keys_of(first.x)
    assert trained <= keys_of(prepared.x)
    assert not (keys_of(np.asarray(rows.x)) - keys_of(first.x)) & keys_of(prepared.x)
    again = prepare(rows)
    assert (again.id, len(again.x)) == (first.id, 80), "its rows stay, and so do its runs"


def test_a_part_of_the_rows_goes_on(prepare: Prepare) -> None:
    rows = numbers()
    first = prepare(rows)
    prepared = prepare(part(rows, slice(30)))
    assert prepared.vault == first.vault
    assert keys_of(prepared.x) < keys_of(first.x)
    assert in_force() == {first.vault}


def test_one_that_the_user_names_goes_on_with_fewer_rows(prepare: Prepare) -> None:
    rows, more = numbers(), numbers(80, seed=1)
    first = prepare(rows)
    sealed = sealed_in(rows, first)
    prepared = prepare(joined(more, part(rows, slice(40))), id=first.vault[:8])
    assert prepared.vault == first.vault
    assert keys_of(prepared.x) == keys_of(more.x) | keys_of(np.asarray(rows.x)[:40][~sealed[:40]])
    for wrong in ("0123456789", first.vault[:7]):
        with pytest.raises(InputError, match=rf"vault.id: is '{wrong}'; allowed: eight or more.* {first.vault[:8]}"):
            prepare(rows, id=wrong)


def test_two_vaults_that_could_go_on_are_refused_with_both_names(prepare: Prepare) -> None:
    rows, others = numbers(), numbers(seed=1)
    first, second = prepare(rows), prepare(others)
    both = joined(rows, others)
    with pytest.raises(VaultRefused) as caught:
        prepare(both)
    assert caught.value.exit_code == 3
    for vault in (first.vault, second.vault):
        assert f"vault {vault[:8]} (source" in str(caught.value)
        assert f"vault.id={vault[:8]}" in str(caught.value)
    for mine, other in ((first, second), (second, first)):
        prepared = prepare(both, id=mine.vault[:8])
        assert prepared.vault == mine.vault
        assert keys_of(prepared.x) == keys_of(first.x) | keys_of(second.x)
        assert other.num_test == 20
    assert in_force() == {first.vault, second.vault}


def test_new_classes_come_behind_sealed_ones(prepare: Prepare) -> None:
    rows = replace(numbers(), class_names=("b", "d"))
    first = prepare(rows)
    more = numbers(30, seed=1)
    # As a source has them: all classes in the order of their names.
    y = np.concatenate([rows.y * 2 + 1, np.arange(30) % 2 * 2])
    grown = replace(joined(rows, more), y=y, class_names=("a", "b", "c", "d"), task="multiclass")
    prepared = prepare(grown)
    assert (prepared.vault, prepared.class_names, prepared.task) == (first.vault, ("b", "d", "a", "c"), "multiclass")
    names = {row.tobytes(): grown.class_names[target] for row, target in zip(np.asarray(grown.x), y, strict=True)}
    assert [prepared.class_names[target] for target in prepared.y] == [names[row.tobytes()] for row in prepared.x]
    lost = replace(rows, y=np.zeros(NUM_ROWS, np.int64), class_names=("d", "e"))
    kept = part(lost, rows.y == 1)
    assert prepare(kept, id=first.vault[:8]).class_names == ("b", "d", "e")


# --- rows that are too near to a sealed one ---------------------------------------------------------------------------


def test_new_rows_that_equal_a_sealed_one_are_left_out(prepare: Prepare) -> None:
    rows, more = numbers(), numbers(10, seed=1)
    first = prepare(rows)
    copies = part(rows, sealed_in(rows, first))
    prepared = prepare(joined(rows, more, copies, copies))
    assert prepared.vault == first.vault
    assert keys_of(prepared.x) == keys_of(first.x) | keys_of(more.x)
    assert len(prepared.x) == 90


def test_new_rows_of_the_group_of_a_sealed_one_are_left_out(prepare: Prepare, capsys: Told) -> None:
    split = {"_target_": "holdfast.data.splits.Group"}
    rows = replace(numbers(), groups=np.arange(NUM_ROWS) // 5)
    first = prepare(rows, split)
    groups_sealed = np.unique(rows.groups[sealed_in(rows, first)])  # type: ignore[index]
    of_old, of_new = np.arange(20), np.arange(100, 110)
    more = replace(numbers(30, seed=1), groups=np.concatenate([of_old, of_new]))
    capsys.readouterr()
    prepared = prepare(joined(rows, more), split)
    is_free = ~np.isin(more.groups, groups_sealed)  # type: ignore[arg-type]
    assert prepared.vault == first.vault
    assert keys_of(prepared.x) == keys_of(first.x) | keys_of(np.asarray(more.x)[is_free])
    assert f"{(~is_free).sum()} rows left out that are of the group of a sealed row" in capsys.readouterr().err
    with pytest.raises(VaultRefused, match=r"was split by groups, and the source declares none any more.*data.group"):
        prepare(numbers(), split)


def test_new_rows_that_are_declared_test_are_left_out(prepare: Prepare, capsys: Told) -> None:
    split = {"_target_": "holdfast.data.splits.Predefined"}
    rows = replace(numbers(), parts=np.where(np.arange(NUM_ROWS) < 20, TEST, 0).astype(np.int8))
    first = prepare(rows, split)
    more = replace(numbers(30, seed=1), parts=np.where(np.arange(30) < 7, TEST, 0).astype(np.int8))
    capsys.readouterr()
    prepared = prepare(joined(rows, more), split)
    assert (prepared.vault, prepared.num_test) == (first.vault, 20)
    assert keys_of(prepared.x) == keys_of(np.asarray(rows.x)[20:]) | keys_of(np.asarray(more.x)[7:])
    assert "7 rows left out that are declared test" in capsys.readouterr().err
    undeclared = replace(joined(rows, more), parts=np.zeros(130, np.int8))
    assert keys_of(prepare(undeclared, split).x) == keys_of(np.asarray(rows.x)[20:]) | keys_of(more.x)


def test_declared_parts_that_a_split_does_not_keep_to_leave_out_new_rows_alone(prepare: Prepare) -> None:
    rows = replace(numbers(), parts=np.where(np.arange(NUM_ROWS) < 20, TEST, 0).astype(np.int8))
    first, again = prepare(rows), prepare(rows)
    assert (again.vault, keys_of(again.x)) == (first.vault, keys_of(first.x))
    more = replace(numbers(30, seed=1), parts=np.where(np.arange(30) < 7, TEST, 0).astype(np.int8))
    prepared = prepare(joined(rows, more))
    assert keys_of(prepared.x) == keys_of(first.x) | keys_of(np.asarray(more.x)[7:])


def test_new_rows_that_are_not_earlier_than_a_sealed_one_are_left_out(prepare: Prepare, capsys: Told) -> None:
    split = {"_target_": "holdfast.data.splits.Time"}
    rows = replace(numbers(), times=np.arange(NUM_ROWS, dtype=np.float64))
    first = prepare(rows, split)
    assert keys_of(first.x) == keys_of(np.asarray(rows.x)[:80])
    times = np.concatenate([np.linspace(-5, 79.5, 20), [80.0, 99.0], np.linspace(200, 300, 8)])
    more = replace(numbers(30, seed=1), times=times)
    capsys.readouterr()
    prepared = prepare(joined(rows, more), split)
    assert prepared.vault == first.vault
    assert keys_of(prepared.x) == keys_of(first.x) | keys_of(np.asarray(more.x)[:20])
    assert "10 rows left out that are not earlier than the first sealed row" in capsys.readouterr().err
    with pytest.raises(VaultRefused, match=r"was split by time, and the source does not say any more.*data.time"):
        prepare(numbers(), split)


def test_rows_as_late_as_a_sealed_one_are_counted(prepare: Prepare) -> None:
    rows = replace(numbers(), times=np.arange(NUM_ROWS, dtype=np.float64) // 7)
    prepared = prepare(rows)
    sealed = sealed_in(rows, prepared)
    late = int((rows.times[~sealed] >= rows.times[sealed].min()).sum())  # type: ignore[index]
    assert read_manifest(prepared.vault)["counts"]["time_overlap"] == late > 0


def test_what_is_left_out_is_told_of_each_source(prepare: Prepare) -> None:
    """Also where the rows that may be trained on are the same, and lie in the store from another one."""
    split = {"_target_": "holdfast.data.splits.Predefined"}
    rows = replace(numbers(), parts=np.where(np.arange(NUM_ROWS) < 20, TEST, 0).astype(np.int8))
    first = prepare(rows, split)
    prepared = prepare(joined(rows, replace(numbers(7, seed=1), parts=np.full(7, TEST, np.int8))), split)
    assert prepared.folder == first.folder
    assert (first.num_left_out, prepared.num_left_out) == (0, 7)
    assert first.notes == ()
    assert any(note.startswith("7 rows left out that are declared test") for note in prepared.notes)


def test_rows_that_equal_a_published_test_row_do_not_make_another_target(prepare: Prepare) -> None:
    """They may be labelled otherwise: they were left out, and say nothing of the target that is sealed."""
    split = {"_target_": "holdfast.data.splits.Predefined"}
    rows = numbers()
    x, y = np.array(rows.x), rows.y.copy()
    x[:30], y[:30] = x[90:].repeat(3, axis=0), 1 - y[90:].repeat(3)
    rows = replace(rows, x=x, y=y, parts=np.where(np.arange(NUM_ROWS) >= 90, TEST, 0).astype(np.int8))
    first = prepare(rows, split)
    assert (first.num_test, first.num_left_out, len(first.x)) == (10, 30, 60)
    again = prepare(rows, split)
    assert (again.vault, keys_of(again.x)) == (first.vault, keys_of(first.x))


# --- another split, another policy, another target --------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_another_split_before_a_freeze_seals_anew(prepare: Prepare, split: str) -> None:
    rows = numbers()
    old = prepare(rows)
    new = prepare(rows, SPLITS[split])
    assert new.vault != old.vault
    assert in_force() == {new.vault}
    assert registry.record_of(old.vault)["replaced_by"] == new.vault
    assert registry.record_of(new.vault)["replaces"] == [old.vault]
    assert not old.folder.exists()
    back = prepare(rows)
    assert back.vault not in (old.vault, new.vault)
    assert keys_of(back.x) == keys_of(old.x)


def test_another_policy_before_a_freeze_seals_anew(prepare: Prepare) -> None:
    rows = numbers()
    old = prepare(rows)
    new = prepare(rows, policy="criterion")
    assert in_force() == {new.vault} != {old.vault}
    assert keys_of(new.x) == keys_of(old.x)


@pytest.mark.parametrize("change", [*SPLITS, "another policy"])
def test_after_a_freeze_what_is_sealed_is_fixed(prepare: Prepare, home: Path, change: str) -> None:
    rows = numbers()
    first = prepare(rows)
    freeze(first)
    word, vault = "test part", dict[str, Any]()
    if change == "another policy":
        word, vault = "policy", {"policy": "batch", "k": 3}
    before = sorted(home.rglob("*"))
    with pytest.raises(VaultRefused, match=rf"vault {first.vault[:8]} .*was frozen with another {word} of") as caught:
        prepare(rows, SPLITS.get(change), **vault)
    assert caught.value.exit_code == 3
    assert sorted(home.rglob("*")) == before
    assert prepare(rows).vault == first.vault
    assert prepare(rows, {"val_seed": 7}).vault == first.vault


def test_another_target_adds_a_vault_over_the_same_test_rows(prepare: Prepare) -> None:
    rows, more = numbers(), numbers(30, seed=1)
    other = replace(rows, y=np.arange(NUM_ROWS) % 2, target_name="other")
    first = prepare(rows)
    second = prepare(other)
    assert second.vault != first.vault
    assert in_force() == {first.vault, second.vault}
    assert keys_of(second.x) == keys_of(first.x)
    assert registry.record_of(second.vault)["shares"] == [first.vault]
    assert set(lifecycle.family_of(first.vault)) == set(lifecycle.family_of(second.vault))
    freeze(first)
    # The freeze of one fixes the rows of all; each target still finds its own.
    for asked, vault in ((rows, first.vault), (other, second.vault)):
        with pytest.raises(VaultRefused, match="was frozen with another test part"):
            prepare(asked, {"seed": 1})
        assert prepare(asked).vault == vault
    values = replace(rows, y=np.asarray(rows.x)[:, 1].copy(), task="regression", class_names=(), target_name="third")
    third = prepare(joined(values, replace(values, x=more.x, y=np.zeros(30, np.float32))))
    assert set(registry.record_of(third.vault)["shares"]) == {first.vault, second.vault}
    assert (third.num_test, keys_of(third.x)) == (20, keys_of(first.x) | keys_of(more.x))


def test_another_target_is_never_added_to_a_vault_that_is_named(prepare: Prepare) -> None:
    rows = numbers()
    first = prepare(rows)
    other = replace(rows, y=np.arange(NUM_ROWS) % 2, target_name="other")
    second = prepare(other, id=first.vault)
    assert registry.record_of(second.vault)["shares"] == [first.vault]
    assert prepare(other, id=second.vault[:12]).vault == second.vault
    assert prepare(rows).vault == first.vault


def test_a_target_that_agrees_on_nine_rows_in_ten_is_the_same(prepare: Prepare) -> None:
    rows = numbers()
    first = prepare(rows)
    sealed = np.flatnonzero(sealed_in(rows, first))
    y = rows.y.copy()
    y[sealed[:1]] = 1 - y[sealed[:1]]
    assert prepare(replace(rows, y=y)).vault == first.vault
    y[sealed[:2]] = 1 - rows.y[sealed[:2]]
    assert registry.record_of(prepare(replace(rows, y=y)).vault)["shares"] == [first.vault]


# --- strangers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["once", "none"])
def test_sealed_rows_of_a_stranger_are_left_out(prepare: Prepare, capsys: Told, policy: str) -> None:
    """Also where they are few, and lie under another name, order and target."""
    rows, more = numbers(), numbers(200, seed=1)
    first = prepare(rows)
    sealed = part(rows, sealed_in(rows, first))
    own = prepare(more)
    asked = joined(sealed, more)
    asked = replace(asked, y=more.y[:1].repeat(220)) if policy == "none" else asked
    capsys.readouterr()
    prepared = prepare(asked, policy=policy)
    assert keys_of(prepared.x) == keys_of(own.x)
    assert store.is_open(prepared.vault) if policy == "none" else prepared.vault == own.vault
    left_out = {"once": 20, "none": 20 + own.num_test}[policy]
    assert f"{left_out} rows left out that are sealed in another vault" in capsys.readouterr().err


def test_a_source_of_sealed_rows_alone_is_refused(prepare: Prepare) -> None:
    rows = numbers()
    sealed = part(rows, sealed_in(rows, prepare(rows)))
    with pytest.raises(VaultRefused, match=r"vault \w+ \(source0\): has sealed all rows of this source"):
        prepare(sealed)


def test_without_a_vault_sealed_rows_stay_out(prepare: Prepare) -> None:
    rows, more = numbers(), numbers(30, seed=1)
    first = prepare(rows)
    prepared = prepare(joined(rows, more), policy="none")
    assert store.is_open(prepared.vault)
    assert keys_of(prepared.x) == keys_of(first.x) | keys_of(more.x)
    assert (prepared.num_test, prepared.num_left_out) == (0, 20)
    assert in_force() == {first.vault}


def test_rows_that_were_open_and_are_sealed_later_are_removed(prepare: Prepare) -> None:
    rows = numbers()
    opened = prepare(rows, policy="none")
    assert len(opened.x) == NUM_ROWS
    sealed = prepare(rows)
    assert not opened.folder.exists()
    assert read_manifest(sealed.vault)["counts"]["seen_open"] == 20
    assert keys_of(prepare(rows, policy="none").x) == keys_of(sealed.x)


# --- tables of few values ---------------------------------------------------------------------------------------------


def bits(num_rows: int, seed: int = 0) -> Rows:
    """Yes-or-no answers: strangers give the same ones."""
    x = np.random.default_rng(seed).integers(0, 2, (num_rows, 8)).astype(np.float32)
    return Rows(x, np.arange(num_rows) % 2, "binary", "table", ("no", "yes"), columns=number_columns("abcdefgh"))


def test_a_table_of_few_values_is_known_by_its_whole_content_alone(prepare: Prepare) -> None:
    rows = bits(200)
    first = prepare(rows)
    order = np.random.default_rng(1).permutation(200)
    again = prepare(part(rows, order))
    assert again.vault == first.vault
    assert keys_of(again.x) == keys_of(first.x)
    stranger = prepare(bits(200, seed=1))
    assert stranger.vault != first.vault
    assert len(stranger.x) + stranger.num_test + stranger.num_left_out == 200
    assert in_force() == {first.vault, stranger.vault}
    assert prepare(rows).vault == first.vault


def test_sealed_rows_of_few_values_stay_out_of_their_own_source(prepare: Prepare) -> None:
    """One that is named goes on, whatever has been appended; there its ambiguous rows count."""
    rows = bits(200)
    first = prepare(rows)
    grown = joined(rows, bits(50, seed=1))
    prepared = prepare(grown, id=first.vault[:8])
    sealed = keys_of(rows.x) - keys_of(first.x)
    assert prepared.vault == first.vault
    assert keys_of(prepared.x) == keys_of(grown.x) - sealed
    assert keys_of(prepare(rows, policy="none").x) == keys_of(first.x)


# --- what must be there -----------------------------------------------------------------------------------------------


def test_a_vault_whose_folder_is_gone_is_missed(prepare: Prepare, home: Path) -> None:
    rows = numbers()
    first = prepare(rows)
    shutil.rmtree(home / "vaults" / first.vault)
    for split in (None, {"seed": 1}):
        with pytest.raises(VaultRefused, match="holds these rows, and its folder is gone"):
            prepare(rows, split)
    few = joined(numbers(80, seed=1), part(rows, slice(30)))
    assert keys_of(prepare(few, policy="none").x).isdisjoint(keys_of(rows.x) - keys_of(first.x))


def test_with_another_fingerprint_key_nothing_is_decided(prepare: Prepare, home: Path) -> None:
    rows = numbers()
    prepare(rows)
    path = home / "keys" / "fingerprint.key"
    path.unlink()
    for policy in ("once", "none"):
        with pytest.raises(VaultRefused, match=r"fingerprint.key: the key cannot be read"):
            prepare(part(rows, slice(90)), policy=policy)
    key_files.store_key(path, *key_files.FINGERPRINT)
    for policy in ("once", "none"):
        with pytest.raises(VaultRefused, match="is another one than the rows"):
            prepare(part(rows, slice(90)), policy=policy)
    assert len(in_force()) == 1
