"""The parts of a source's rows: test, train and val, or left out; decided once by a split, then by what is known.

A source that holds most of the rows that a vault knew goes on with it: sealed rows stay out, rows that are gone are
gone, and new rows become train and val rows, but for those that equal a sealed row, share its group, are declared test,
or are not earlier than the first sealed row of a split by time. Otherwise a new vault is drawn from rows that are
sealed nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from holdfast.config.resolve import call_target
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.tasks import class_task, task_of
from holdfast.data.rows import TEST, Rows
from holdfast.data.splits import facts_of
from holdfast.data.splits.facts import test_cuts
from holdfast.data.store import row_keys, store
from holdfast.vault import known_rows, lifecycle, policies, registry
from holdfast.vault.keys import keyring
from holdfast.vault.known_rows import RowForms, Seen
from holdfast.vault.rows.digest_sets import DigestSet, equal_to_marked
from holdfast.vault.rows.identity import RowArray

Mask = NDArray[np.bool_]
TEST_PART = "test part"
DECLARED = ("auto", "predefined")


@dataclass(frozen=True, eq=False)
class Division:
    """The decision about all rows: which are test rows, which are for train and val, and which are left out."""

    rows: Rows  # as the source gave them; where a vault goes on, with its classes first
    # what they are known by: of a table, digests over the columns of the vault that goes on, or the source's own
    forms: RowForms
    units: RowArray  # (n, 16) one digest for all rows that stay on one side
    test: Mask  # (n,) rows to be sealed, or rows that are sealed in the vault that goes on
    development: Mask  # (n,) rows for train and val
    counts: dict[str, int]  # what was found across the split, and of rows that are left out
    strata: list[dict[str, Any]] = field(default_factory=list)  # where a split has cut each stratum
    vault: str | None = None  # the vault that goes on; None: one is to be sealed
    replaces: tuple[str, ...] = ()  # vaults, none of them frozen, whose rows are to be sealed anew
    shares: tuple[str, ...] = ()  # vaults over the same test rows with another target
    first_time: float | None = None  # of the test rows, where they were chosen by time
    num_sealed: int = 0  # rows in the vault that goes on; of a new one, those to be sealed
    is_new: Mask | None = None  # (n,) rows that the vault did not know when it was sealed; None: it knew all


@dataclass(frozen=True, eq=False)
class Evidence:
    """The request, all rows, what they are known by, and what vaults in force know of them."""

    request: Mapping[str, Any]
    rows: Rows
    forms: RowForms
    seen: Sequence[Seen]


def divide(request: Mapping[str, Any], rows: Rows, forms: RowForms) -> Division:
    """Decide about every row of a request (`store.make_request`). The caller holds the registry.

    Raises:
        VaultRefused: The rows are frozen in another way, or two vaults could go on.
    """
    evidence = Evidence(request, rows, forms, known_rows.look_up(forms))
    settings = request["vault"]
    if settings["policy"] == policies.NONE:
        return _open_division(evidence)
    own = _vaults_with_most(evidence.seen, settings.get("id"))
    mine = [candidate for candidate in own if _has_target(candidate, rows)]
    if len(mine) > 1:
        names = " and ".join(candidate.name for candidate in mine)
        problem = f"holds most of the rows of {names}"
        hint = " or ".join(f"vault.id={candidate.record['vault'][:8]}" for candidate in mine)
        raise VaultRefused(f"data {request['name']}", problem, next=f"say which goes on: {hint}")
    if not own:
        return _new_division(evidence, evidence.seen)
    first = mine[0] if mine else own[0]
    words = _changed_settings(evidence, first, own, has_target=bool(mine))
    if mine and not words:
        return _continued(evidence, own, first)
    if TEST_PART not in words:
        return _beside_others(evidence, own, replaces=(first.record["vault"],) if mine else ())
    family = lifecycle.family_of(first.record["vault"])
    in_force = {candidate.record["vault"] for candidate in evidence.seen}
    others = [candidate for candidate in evidence.seen if candidate.record["vault"] not in family]
    return _new_division(evidence, others, replaces=tuple(vault for vault in family if vault in in_force))


def _vaults_with_most(seen: Sequence[Seen], vault: str | None) -> list[Seen]:
    """Vaults most of whose rows the source holds; or the one that the user names."""
    if vault is None:
        return [candidate for candidate in seen if candidate.holds_most]
    matches = [candidate for candidate in seen if candidate.record["vault"].startswith(vault)]
    if len(matches) != 1 or len(vault) < 8:
        known = ", ".join(candidate.record["vault"][:8] for candidate in seen)
        raise InputError("vault.id", f"is {vault!r}", f"eight or more digits of a vault in force: {known or 'none'}")
    return matches


def _has_target(vault: Seen, rows: Rows) -> bool:
    """Tell whether the rows have a vault's target; where none of its rows is among them, it is known by its name."""
    return vault.record["target"] == rows.target_name if vault.has_same_target is None else vault.has_same_target


# --- a vault goes on --------------------------------------------------------------------------------------------------


def _changed_settings(evidence: Evidence, first: Seen, own: Sequence[Seen], *, has_target: bool) -> list[str]:
    """Settings of the vault that are asked for in another way; refused where a selection was frozen.

    Until then the rows may be sealed anew.
    """
    for candidate in own:
        candidate.require_folder()
    record, settings = first.record, evidence.request["vault"]
    differs = {TEST_PART: evidence.request["test_rule"] != record["test_rule"]}
    if has_target:
        policy = policies.policy_of(settings)
        differs["kind of target"] = task_of(evidence.rows.task).is_values != task_of(record["task"]).is_values
        differs["policy"] = any(policy[name] != record["policy"][name] for name in ("policy", "k"))
        differs["key"] = policy["key_mode"] != record["policy"]["key_mode"] or (
            keyring.public_key_of(settings) != record["public_key"]
        )
    words = [word for word, is_other in differs.items() if is_other]
    family = lifecycle.family_of(first.record["vault"]) if words else []
    if any(known_rows.is_frozen(vault) for vault in family if registry.is_current(vault)):
        problem = f"was frozen with another {' and '.join(words)} of the same rows: what is sealed is fixed"
        hint = "take the split and vault settings that it was sealed with; or holdfast vault supersede"
        raise VaultRefused(first.name, problem, next=hint)
    return words


def _continued(evidence: Evidence, own: Sequence[Seen], mine: Seen) -> Division:
    """A vault that goes on: sealed rows stay out, others may be trained on."""
    return replace(
        _beside_sealed(evidence, own, mine),
        rows=_with_classes(evidence.rows, tuple(mine.record["class_names"])),
        vault=mine.record["vault"],
        num_sealed=int(mine.record["num_test"]),
    )


def _beside_others(evidence: Evidence, own: Sequence[Seen], *, replaces: tuple[str, ...] = ()) -> Division:
    """A new vault over the test rows of others: for another target, or under another policy in place of one of them."""
    first = own[0]
    division = _beside_sealed(evidence, own, first)
    if not division.test.any():
        problem = f"has another target, and none of the rows of {first.name} is in it: its test rows cannot be sealed"
        raise VaultRefused(f"data {evidence.request['name']}", problem, next="prepare the target once from all rows")
    family = dict.fromkeys(vault for candidate in own for vault in lifecycle.family_of(candidate.record["vault"]))
    return replace(
        division,
        replaces=replaces,
        shares=tuple(vault for vault in family if vault not in replaces),
        first_time=first.record["first_time"],
        num_sealed=int(division.test.sum()),
        is_new=None,
    )


def _beside_sealed(evidence: Evidence, own: Sequence[Seen], first: Seen) -> Division:
    """Sealed rows, and rows that may be trained on: all others but those that are too near to a sealed one.

    `own` are the vaults most of whose rows these are, and the rules of `first` hold.
    """
    rows, forms, record = evidence.rows, evidence.forms, first.record
    columns = tuple(record["columns"]) if tuple(record["columns"]) in forms.by_columns else forms.columns
    forms = replace(forms, digests=forms.over(columns), columns=columns)
    test = _any(rows, [vault.rows for vault in own])
    declared = _declared_test(rows)
    keeps_to_parts = record["test_rule"]["split"] in DECLARED
    if keeps_to_parts and (test & declared).any():
        test &= declared  # train rows that equal a declared test row are left out, as they were
    is_new = known_rows.new_rows(record["vault"], forms.digests, test)
    if not keeps_to_parts:  # the rows that the vault knew were split in another way, and stay what they are
        declared = declared & is_new if is_new is not None else np.zeros(len(rows), bool)
    units = row_keys.units_of(forms.digests, rows.groups, is_new)
    elsewhere = _any(rows, [stranger.certain for stranger in evidence.seen if stranger not in own]) & ~test
    free = ~test & ~elsewhere
    counts = {"sealed_elsewhere": int(elsewhere.sum())} if elsewhere.any() else {}
    development = free & ~equal_to_marked(forms.digests, test)
    left_out = {"group": _of_groups(rows, record, test), "declared": declared, "late": _is_late(rows, record)}
    for reason, out in left_out.items():
        if count := int((out & development).sum()):
            counts[f"left_out_{reason}"] = count
        development &= ~out
    development &= ~equal_to_marked(units, test | (free & ~development))
    if not development.any():
        raise VaultRefused(first.name, "has sealed all rows of this source", next="train on rows that are not sealed")
    counts |= _counts(rows, forms.digests, test, development)
    return Division(rows, forms, units, test, development, counts, is_new=is_new)


def _of_groups(rows: Rows, record: Mapping[str, Any], test: Mask) -> Mask:
    if rows.groups is None:
        if record["test_rule"]["split"] == "group":
            problem = "was split by groups, and the source declares none any more"
            raise VaultRefused(f"vault {record['vault'][:8]}", problem, next="data.group=COLUMN")
        return np.zeros(len(test), bool)
    return np.isin(rows.groups, rows.groups[test])


def _is_late(rows: Rows, record: Mapping[str, Any]) -> Mask:
    """Rows that are not earlier than the first sealed one, where the split was by time."""
    if record["first_time"] is None:
        return np.zeros(len(rows), bool)
    if rows.times is None:
        problem = "was split by time, and the source does not say any more when its rows were taken"
        raise VaultRefused(f"vault {record['vault'][:8]}", problem, next="data.time=COLUMN")
    return np.asarray(~(rows.times < record["first_time"]))


def _with_classes(rows: Rows, sealed: tuple[str, ...]) -> Rows:
    """The rows with the classes that are sealed in their places, and new classes behind them."""
    if not rows.class_names or rows.class_names == sealed or rows.y.ndim == 2:
        return rows
    names = (*sealed, *(name for name in rows.class_names if name not in sealed))
    table = np.array([names.index(name) for name in rows.class_names], np.int64)
    return replace(rows, y=table[rows.y], class_names=names, task=class_task(len(names)))


# --- a new vault, and none --------------------------------------------------------------------------------------------


def _new_division(evidence: Evidence, seen: Sequence[Seen], *, replaces: tuple[str, ...] = ()) -> Division:
    """A split of the rows that none of some vaults knows; rows that were trained on stay train and val rows."""
    request, rows, forms = evidence.request, evidence.rows, evidence.forms
    units = row_keys.units_of(forms.digests, rows.groups)
    sealed = _any(rows, [vault.certain for vault in seen])
    # Rows that are equal to a sealed one, or of its group, are no more free than the row itself.
    sealed |= equal_to_marked(units, sealed)
    # A row that runs of another vault were trained on is no test row any more.
    is_used = _any(rows, [vault.development for vault in seen]) & ~sealed
    is_used |= equal_to_marked(units, is_used) & ~sealed
    free = ~sealed & ~is_used
    if not free.any():
        names = ", ".join(vault.name for vault in seen if vault.certain.any() or vault.development.any())
        problem = f"all of its rows are in {names}"
        raise VaultRefused(f"data {request['name']}", problem, next="train on the data as that vault has it")
    split = call_target(request["split"], "split")
    facts = facts_of(rows, cast(NDArray[np.uint8], units))  # a spool becomes an array where a split needs it whole
    facts = facts if free.all() else facts.of(free)
    chosen = split.test_rows(facts)
    cuts = test_cuts(request["test_rule"], facts, chosen)
    test = np.zeros(len(rows), bool)
    test[free] = chosen
    del facts
    # Rows that equal a test row, or are of its group, must not be trained on.
    development = ~test & ~sealed & ~equal_to_marked(units, test) & ~(is_used & _declared_test(rows))
    counts = _counts(rows, forms.digests, test, development, with_looks=request["vault"]["near_duplicates"])
    if sealed.any():
        counts["sealed_elsewhere"] = int(sealed.sum())
    is_timed = request["test_rule"]["split"] == "time" and rows.times is not None
    first_time = float(np.min(cast(Any, rows.times)[test])) if is_timed else None
    division = Division(rows, forms, units, test, development, counts, cuts)
    return replace(division, replaces=replaces, first_time=first_time, num_sealed=int(test.sum()))


def _open_division(evidence: Evidence) -> Division:
    """Without a vault all rows may be trained on, but those that are sealed or declared test."""
    rows, forms = evidence.rows, evidence.forms
    sealed = _any(rows, [vault.rows if vault.holds_most else vault.certain for vault in evidence.seen])
    out = sealed | _declared_test(rows)
    units = row_keys.units_of(forms.digests, rows.groups)
    development = ~out & ~equal_to_marked(units, out)
    counts = {"test": 0, "development": int(development.sum()), "left_out": int((~development).sum())}
    if sealed.any():
        counts["sealed_elsewhere"] = int(sealed.sum())
    return Division(rows, forms, units, np.zeros(len(rows), bool), development, counts)


def _any(rows: Rows, masks: Sequence[Mask]) -> Mask:
    """(n,) Rows that are in one of some masks."""
    return np.asarray(np.logical_or.reduce([np.zeros(len(rows), bool), *masks]))


def _declared_test(rows: Rows) -> Mask:
    return rows.parts == TEST if rows.parts is not None else np.zeros(len(rows), bool)


def _counts(
    rows: Rows, digests: RowArray, test: Mask, development: Mask, *, with_looks: bool = False
) -> dict[str, int]:
    """Counts of overlaps across the split; rows that are equal to a test row are left out before training."""
    counts = {
        "test": int(test.sum()),
        "development": int(development.sum()),
        "left_out": int((~test & ~development).sum()),
        "exact_duplicates": int(equal_to_marked(digests, test).sum()),
        "seen_open": _count_seen_open(digests, test),
    }
    if rows.groups is not None:
        counts["groups"] = len(np.intersect1d(rows.groups[test], rows.groups[~test]))
    if rows.times is not None:  # rows that are not older than the oldest test row: its future would be learned from
        first = rows.times[test].min() if test.any() else np.inf
        counts["time_overlap"] = int((rows.times[development] >= first).sum())
    if with_looks and rows.x is not None and row_keys.has_thumbnails(rows.x):
        counts["near_duplicates"] = row_keys.count_near_duplicates(rows.x, test, development)
    return counts


def _count_seen_open(digests: RowArray, test: Mask) -> int:
    """The number of sealed rows that could be trained on before, under vault=none."""
    sealed = digests[np.flatnonzero(test)]
    was_open = np.zeros(len(sealed), bool)
    for folder in store.rows_folders():
        if store.is_open(store.vault_of(folder)):
            was_open |= DigestSet(np.load(folder / "raw" / "digests.npy", mmap_mode="r")).has(sealed)
    return int(was_open.sum())
