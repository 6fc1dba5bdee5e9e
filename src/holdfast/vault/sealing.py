"""Sealing: the test rows go into a vault, and are known there from then on.

A vault exists from the moment its folder has its name: it is built as `vaults/.sealing-<vault>`, synced and renamed.
What a crash leaves before that is swept at the next sealing; what it leaves undone after (the registry's copies, the
keys of a vault that was replaced) is done then. No plain test row is ever written.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import holdfast
from holdfast.core import places
from holdfast.core.errors import InputError
from holdfast.core.files import canonical_json, new_file, sha256_file, sha256_hex, sync_folder, write_atomic
from holdfast.core.run_record import now
from holdfast.vault import known_rows, lifecycle, manifest, policies, registry, sealed_files
from holdfast.vault.keys import key_files, keyring
from holdfast.vault.ledger import ledger
from holdfast.vault.rows.cell_hashes import hashes_of
from holdfast.vault.rows.digest_sets import (
    ascending,
    content_id,
    equal_to_marked,
    fingerprints_of,
    keys_of,
    num_distinct,
    sketch_of,
    write_records,
)
from holdfast.vault.rows.identity import target_words, targeted_digests

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SealRequest:
    """The rows to be sealed, with all that is recorded of them."""

    source: dict[str, Any]  # JSON: the data set's name, the target that loads it and its arguments
    test_rule: dict[str, Any]  # JSON: what chose the test rows
    task: str  # "multiclass", "binary", "multilabel" or "regression"
    kind: str  # "image", "table" or "array"
    target: str  # what is predicted
    layout: dict[str, Any]  # what a sealed piece of raw rows is
    # given an order, the raw rows in it: some of their numbers, and these rows as they are sealed
    pieces: Callable[[NDArray[np.int64]], Iterable[tuple[NDArray[np.int64], bytes]]]
    forms: known_rows.RowForms  # all rows, in the forms in which they are known, with their targets
    test: Mask  # (n,) which of them are test rows
    development: Mask  # (n,) which of them may be trained on; the others are left out
    is_common: Mask  # (n,) rows that prove nothing when they turn up in other data
    settings: Mapping[str, Any]  # of the group `vault`; a missing one is the default
    counts: dict[str, Any]  # JSON: leaks across the split, as counts
    strata: list[dict[str, Any]] = field(default_factory=list)  # [{"stratum", "test", "cut"}] where the rule keeps cuts
    groups: NDArray[np.int64] | None = None  # (n,) number of the group of each row; None: no groups were declared
    first_time: float | None = None  # of the test rows, where the rule is by time
    replaces: tuple[str, ...] = ()  # vaults whose rows these are, none of them frozen
    shares: tuple[str, ...] = ()  # vaults over the same test rows with another target


def seal(request: SealRequest) -> str:
    """Seal the test rows; the id of their vault. The caller holds the registry.

    Raises:
        InputError: The request is impossible: an empty part, equal rows on both sides, an unknown policy.
        VaultRefused: A key is missing, or the disk is full.
    """
    settings = policies.checked_settings(request.settings)
    public = keyring.public_key_of(settings)
    _check(request)
    with registry.on_disk(places.vaults(), "the test rows could not be sealed"):
        vaults = [record["vault"] for record in registry.records()]
        own = [vault for vault in vaults if not key_files.key_path(vault, "fingerprint").exists()]
        key = key_files.fingerprint_key(may_create=not own)
        fields = _fields(request, secrets.token_hex(16))
        fields |= {"policy": policies.policy_of(settings), "public_key": public}
        _seal(request, fields, key, public)
        lifecycle.recover()
    return str(fields["vault"])


def _check(request: SealRequest) -> None:
    if {len(request.forms), len(request.development)} != {len(request.test)}:
        raise ValueError(f"{len(request.test)} rows to decide about, {len(request.forms)} that are known")
    for part, rows in (("test", request.test), ("development", request.development)):
        if not rows.any():
            hint = "choose other split.fractions"
            raise InputError("split", f"the {part} part is empty: {request.test_rule}", next=hint)
    shared = int((equal_to_marked(request.forms.digests, request.test) & request.development).sum())
    if shared:
        problem = f"{shared} development rows equal rows of the test part"
        raise InputError("split", problem, next="equal rows must stay on one side")


def _fields(request: SealRequest, vault: str) -> dict[str, Any]:
    y, in_use = request.forms.y, request.test | request.development
    same = ("source", "kind", "task", "target", "test_rule", "strata", "first_time", "counts")
    return {name: getattr(request, name) for name in same} | {
        "version": manifest.VERSION,
        "vault": vault,
        "created": now(),
        "name": str(request.source.get("name", "data")),
        "class_names": list(request.forms.class_names),
        "content": content_id(request.forms.digests, y),
        "columns": list(request.forms.columns),
        "cell_columns": list(_cell_columns(request.forms)),
        "sketch": sketch_of(request.forms.digests, in_use & ~request.is_common),
        "num_test": int(request.test.sum()),
        "num_development": int(request.development.sum()),
        "parts": {
            "x": {**request.layout, "rows": int(request.test.sum())},
            "y": sealed_files.layout_of(y[np.flatnonzero(request.test)]),
        },
        "replaces": list(request.replaces),
        "shares": list(request.shares),
        "lineage": known_rows.ended_vaults(request.forms, in_use),
        "framework": {"version": holdfast.__version__, "code_sha256": ledger.code_sha256()},
    }


def _seal(request: SealRequest, fields: dict[str, Any], key: bytes, public: str | None) -> None:
    """Build the vault's folder and give it its name."""
    vault, mode = fields["vault"], fields["policy"]["key_mode"]
    staging = places.vaults() / f"{lifecycle.STAGING}{vault}"
    staging.mkdir(mode=0o700)
    try:
        (staging / "ledger").mkdir()
        (staging / "selections").mkdir()
        secret, wrapped = keyring.draw_keys(vault, mode, public)
        if wrapped:
            write_atomic(staging / keyring.WRAPPED, canonical_json(wrapped))
        check = {part: key_files.check_value(secret[part], vault, part) for part in key_files.PARTS}
        fields["keys"] = {"mode": mode, "check": check}
        fields["fingerprints"], order = _write_fingerprints(request, staging, key)
        fields["fingerprints"]["check"] = key_files.check_value(key, vault, "fingerprint")
        _write_development(request, staging / manifest.DEVELOPMENT_FILE)
        _write_cells(request, staging / "cells.bin", vault, order)
        if request.groups is not None:
            numbers = np.unique(request.groups[order], return_inverse=True)[1]
            write_atomic(staging / manifest.GROUPS_FILE, numbers.astype("<i8").tobytes())
        files = {path.name: sha256_file(path) for path in staging.iterdir() if path.is_file()}
        content = canonical_json(fields)
        write_atomic(staging / manifest.FILE_NAME, content)
        sealed, root = sealed_files.write_parts(
            staging,
            vault,
            request.pieces(order),
            digests=request.forms.digests,
            y=request.forms.y,
            order=order,
            secret=secret,
            manifest_sha256=sha256_hex(content),
        )
        body = {"manifest": sha256_hex(content), "rows": root, "files": files | sealed}
        ledger.append(staging / "ledger", "seal", body, vault=vault, expected_head="")
        sync_folder(staging)
        # The ends of others come first: a crash in between leaves rows that are to be sealed, never rows sealed twice.
        for former in request.replaces:
            registry.append(former, "supersede", {"by": vault, "reason": "sealed anew before the first freeze"})
        os.rename(staging, manifest.folder_of(vault))
        sync_folder(places.vaults())
    except BaseException:
        if staging.exists():
            key_files.remove_keys(vault)
            shutil.rmtree(staging)
        raise


def _write_cells(request: SealRequest, path: Path, vault: str, order: NDArray[np.int64]) -> None:
    """Hashes of the cells of the rows `order` of a table, the target last (`vault.rows.cell_hashes`).

    Single cells can be guessed by who has their key: it is the vault's own, goes with no export, and where the keys of
    the rows are not kept here either, nothing is written.
    """
    forms, columns = request.forms, _cell_columns(request.forms)
    path.touch()
    if forms.cells is None or request.settings.get("key_mode", "local") != "local":
        return
    key = key_files.store_key(key_files.key_path(vault, key_files.CELLS), vault, key_files.CELLS)
    hashes = np.memmap(path, "<u4", "w+", shape=(len(order), len(columns) + 1))
    place_of = np.empty(len(order), np.int64)
    place_of[np.searchsorted(np.flatnonzero(request.test), order)] = np.arange(len(order))
    done = 0
    for words in forms.cells.blocks(columns, request.test):
        hashes[place_of[done : done + len(words)], :-1] = hashes_of(words, key)
        done += len(words)
    hashes[:, -1] = hashes_of(target_words(forms.y[order], forms.class_names), key)
    hashes.flush()


def _cell_columns(forms: known_rows.RowForms) -> tuple[str, ...]:
    """The columns whose cells are hashed; those of an array without names are called by their places."""
    return forms.columns or (forms.cells.names if forms.cells is not None else ())


def _write_development(request: SealRequest, path: Path) -> None:
    """The keys of all train and val rows, ascending: rows that come later are told from them."""
    keys = keys_of(request.forms.digests)[request.development]
    keys.sort()
    with new_file(path) as file:
        keys.astype("<u8", copy=False).tofile(file)


def _write_fingerprints(request: SealRequest, staging: Path, key: bytes) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Both files of fingerprints: what the manifest says of them, and the order in which the test rows are sealed.

    They lie in the order of their fingerprints, so that their place says nothing.
    """
    forms, test = request.forms, np.flatnonzero(request.test)
    prints = [fingerprints_of(form[test], key) for form in (forms.digests, *forms.others)]
    distinct, ambiguous = write_records(staging / "fingerprints.bin", prints, request.is_common[test])
    counts = {"contents": num_distinct(prints[0]), "distinct": distinct, "ambiguous": ambiguous}
    order = test[ascending(prints[0])]
    del prints  # of very many rows there is no room for these and the next
    targeted = fingerprints_of(targeted_digests(forms.digests[test], forms.y[test], forms.class_names), key)
    write_records(staging / "targets.bin", [targeted], np.zeros(len(test), bool))
    return counts, order
