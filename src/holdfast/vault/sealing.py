"""Sealing: the test rows go into a vault, and are known there from then on.

A vault exists from the moment its folder has its name: it is built as `vaults/.sealing-<vault>`, synced and renamed.
What a crash leaves before that is swept at the next sealing; what it leaves undone after (the registry's record, the
removal of a vault that was replaced) is done then. No plain test row is ever written.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import holdfast
from holdfast.core import places
from holdfast.core.errors import InputError
from holdfast.core.files import canonical_json, sha256_file, sha256_hex, sync_folder, write_atomic
from holdfast.core.run_record import now
from holdfast.vault import known_rows, lifecycle, manifest, policies, project_lock, registry, sealed_files
from holdfast.vault.keys import key_files, keyring, wrapping
from holdfast.vault.ledger import ledger
from holdfast.vault.rows import fingerprints
from holdfast.vault.rows.arrays import Chosen, RowArray
from holdfast.vault.rows.digest_sets import ascending, content_id, equal_to_marked, rows_id

STORED = "as stored"
TARGETED = "features and target"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SealRequest:
    """What is to be sealed.

    Attributes:
        source: JSON: the data set's name, the target that loads it and its arguments.
        content: Identity of all rows with their targets (`digest_sets.content_id`).
        test_rule: JSON: what chose the test rows.
        task: "multiclass", "binary", "multilabel" or "regression".
        class_names: Names of the classes, empty for regression.
        kind: "image", "table" or "array".
        x: (n, ...) test rows: an array, or what gathers rows as it is indexed; read in blocks.
        y: (n,) or (n, k) their targets.
        digests: (m, 16) digests of all rows: what the source holds.
        test: (m,) Which of them are test rows.
        development: (m,) Which of them may be trained on; the others are left out.
        forms: Further digests of all rows, by name: `TARGETED`, and `STORED` where the rows in `x` are not
            what the source holds.
        columns: The columns of a table that `digests` are over; empty where they have no names.
        by_columns: (m, 16) digests of all rows over other columns, by these: those of vaults in force.
        policy: Settings of the group `vault`; a missing one is the default.
        counts: JSON: leaks across the split, as counts.
        strata: [{"stratum", "test", "cut"}] where the rule keeps cuts.
        groups: (n,) number of the group of each test row; None: no groups were declared.
        locked: Entries of the project's `holdfast.lock`.
    """

    source: dict[str, Any]
    content: str
    test_rule: dict[str, Any]
    task: str
    class_names: tuple[str, ...]
    kind: str
    x: RowArray
    y: NDArray[Any]
    digests: RowArray
    test: Mask
    development: Mask
    policy: Mapping[str, Any]
    counts: dict[str, Any]
    forms: Mapping[str, RowArray] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    by_columns: Mapping[tuple[str, ...], RowArray] = field(default_factory=dict)
    strata: list[dict[str, Any]] = field(default_factory=list)
    groups: NDArray[np.int64] | None = None
    locked: Sequence[Mapping[str, Any]] = ()

    @property
    def num_test(self) -> int:
        """The number of test rows."""
        return int(self.test.sum())


@dataclass(frozen=True)
class Sealed:
    """The vault that holds the test rows: its id, its ledger's head, and which vaults it replaced just now."""

    vault: str
    head: str
    num_test: int
    is_new: bool
    replaced: tuple[str, ...] = ()


def ensure_sealed(request: SealRequest) -> Sealed:
    """Seal the test rows, or find the vault that holds exactly them.

    The same rows with another test part, targets, classes or policy are sealed anew as long as nothing was frozen.

    Raises:
        InputError: The request is impossible: an empty part, equal rows on both sides, an unknown policy.
        VaultRefused: The rows are sealed already, in another vault or after a freeze in another way; or the project's
            lock names another vault for them.
    """
    settings = policies.checked_settings(request.policy)
    public = keyring.read_public(Path(settings["public_key"])) if settings["public_key"] else None
    _check(request)
    with registry.on_disk(places.vaults(), "the test rows could not be sealed"), registry.locked():
        lifecycle.recover()
        key = key_files.fingerprint_key(
            may_create=all(
                key_files.foreign_fingerprint_path(record["vault"]).exists() for record in registry.records()
            )
        )
        in_use = request.test | request.development
        rows = rows_id(request.digests, in_use)
        # With its target a row of a table is the same whichever column is the target.
        cells = rows_id(request.forms[TARGETED], in_use) if TARGETED in request.forms else rows
        policy = policies.policy_of(settings)
        claim = _claim(request, policy, public)
        by_columns = {columns: rows_id(digests, in_use) for columns, digests in request.by_columns.items()}
        same = known_rows.same_rows(
            rows, cells, by_columns, claim, lambda sealed: _differences(request, policy, sealed)
        )
        known = same[0]["vault"] if len(same) == 1 and same[0]["claim"] == claim else None
        project_lock.refuse_other(request.locked, known, content=request.content, rows=rows)
        if known is not None:
            return Sealed(known, registry.read_ledger(known)[-1].sha256, request.num_test, is_new=False)
        replaces = tuple(record["vault"] for record in same)
        forms, name = _all_forms(request), str(request.source.get("name", ""))
        known_rows.refuse_sealed_rows(name, forms, request.development, request.test, set(replaces))
        fields = _fields(request, secrets.token_hex(16)) | {
            "policy": policy,
            "rows": rows,
            "cells": cells,
            "columns": list(request.columns),
            "claim": claim,
            "replaces": list(replaces),
            "lineage": known_rows.ended_vaults(forms, request.test | request.development),
        }
        _seal(request, fields, key, public)
        lifecycle.recover()
        vault = fields["vault"]
        return Sealed(vault, registry.read_ledger(vault)[-1].sha256, request.num_test, True, replaces)


def is_frozen(vault: str) -> bool:
    """Whether a selection was ever frozen against a vault: from then on its test part is fixed."""
    return known_rows.is_frozen(vault)


def _check(request: SealRequest) -> None:
    if {len(request.x), len(request.y)} != {request.num_test} or len(request.digests) != len(request.test):
        raise ValueError(f"{request.num_test} test rows: {len(request.x)} rows, {len(request.y)} targets")
    for part, rows in (("test", request.test), ("development", request.development)):
        if not rows.any():
            hint = "choose other split.fractions"
            raise InputError("split", f"the {part} part is empty: {request.test_rule}", next=hint)
    shared = int((equal_to_marked(request.digests, request.test) & request.development).sum())
    if shared:
        what = f"{shared} development rows equal rows of the test part"
        raise InputError("split", what, next="equal rows must stay on one side")


def _claim(request: SealRequest, policy: dict[str, Any], public: bytes | None) -> str:
    test = np.flatnonzero(request.test)
    what = {
        "content": request.content,
        "test": content_id(Chosen(request.digests, test), request.y),
        "task": request.task,
        "class_names": list(request.class_names),
        "policy": policy,
        "public": public.hex() if public else None,
    }
    if STORED in request.forms:  # the same cells, with other columns left out or types declared
        what["stored"] = content_id(Chosen(request.forms[STORED], test), request.y)
    return sha256_hex(canonical_json(what))


def _differences(request: SealRequest, policy: dict[str, Any], sealed: Mapping[str, Any]) -> list[str]:
    """What a request asks for in another way than a vault has it, by the vault's manifest."""
    test = np.flatnonzero(request.test)
    known = known_rows.count_sealed([Chosen(digests, test) for digests in _all_forms(request)])
    unknown = request.num_test - known.get(sealed["vault"], 0)
    is_same_part = request.num_test == sealed["num_test"] and unknown <= sealed["fingerprints"]["ambiguous"]
    found = {
        "test part": not is_same_part,
        "target": request.content != sealed["content"],
        "classes": (request.task, list(request.class_names)) != (sealed["task"], sealed["class_names"]),
        "policy": any(policy[name] != sealed["policy"][name] for name in ("policy", "k")),
        "key": policy["key_mode"] != sealed["policy"]["key_mode"],
    }
    words = [word for word, is_other in found.items() if is_other]
    form = {"table": "choice, order or types of columns", "image": "size or mode of images"}
    return words or [form.get(request.kind, "form")]


def _all_forms(request: SealRequest) -> list[RowArray]:
    return [request.digests, *request.forms.values(), *request.by_columns.values()]


def _fields(request: SealRequest, vault: str) -> dict[str, Any]:
    return {
        "version": manifest.VERSION,
        "vault": vault,
        "created": now(),
        "name": str(request.source.get("name", "data")),
        "source": request.source,
        "kind": request.kind,
        "task": request.task,
        "class_names": list(request.class_names),
        "content": request.content,
        "test_rule": request.test_rule,
        "strata": request.strata,
        "counts": request.counts,
        "num_test": request.num_test,
        "num_development": int(request.development.sum()),
        "parts": {part: sealed_files.layout_of(rows) for part, rows in (("x", request.x), ("y", request.y))},
        "framework": {"version": holdfast.__version__, "code_sha256": ledger.code_sha256()},
    }


def _seal(request: SealRequest, fields: dict[str, Any], key: bytes, public: bytes | None) -> None:
    """Build the vault's folder and give it its name."""
    vault, mode = fields["vault"], fields["policy"]["key_mode"]
    staging = places.vaults() / f"{lifecycle.STAGING}{vault}"
    staging.mkdir(mode=0o700)
    try:
        (staging / "ledger").mkdir()
        (staging / "selections").mkdir()
        secret, wrapped = keyring.draw_keys(vault, mode, public)
        files = {}
        if wrapped:
            write_atomic(staging / wrapping.FILE_NAME, canonical_json(wrapped))
            files[wrapping.FILE_NAME] = sha256_file(staging / wrapping.FILE_NAME)
        check = {part: key_files.check_value(secret[part], vault, part) for part in key_files.PARTS}
        fields["keys"] = {"mode": mode, "check": check}
        test = np.flatnonzero(request.test)
        fields["fingerprints"], order = _write_fingerprints(request, staging, test, key)
        fields["fingerprints"]["check"] = key_files.check_value(key, vault, "fingerprint")
        files["fingerprints.bin"] = fields["fingerprints"]["sha256"]
        content = canonical_json(fields)
        write_atomic(staging / manifest.FILE_NAME, content)
        stored = Chosen(request.forms.get(STORED, request.digests), test)
        rows = sealed_files.Rows(request.x, request.y, stored, request.kind)
        if request.groups is not None:
            numbers = np.unique(request.groups, return_inverse=True)[1][order]
            write_atomic(staging / manifest.GROUPS_FILE, numbers.astype("<i8").tobytes())
            files[manifest.GROUPS_FILE] = sha256_file(staging / manifest.GROUPS_FILE)
        sealed, root = sealed_files.write_parts(
            rows, order, staging, vault, secret=secret, manifest_sha256=sha256_hex(content)
        )
        body = {"manifest": sha256_hex(content), "rows": root, "files": files | sealed}
        ledger.append(staging / "ledger", "seal", body, vault=vault, expected_head="")
        sync_folder(staging)
        os.rename(staging, manifest.folder_of(vault))
        sync_folder(places.vaults())
    except BaseException:
        if staging.exists():
            key_files.remove_keys(vault)
            shutil.rmtree(staging)
        raise


def _write_fingerprints(
    request: SealRequest, staging: Path, test: NDArray[np.int64], key: bytes
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """`fingerprints.bin`: what the manifest says of it, and the order in which the test rows are sealed.

    They lie in the order of their fingerprints, so that their place says nothing.
    """
    forms = {"features": request.digests, **request.forms}
    prints = [fingerprints.fingerprints_of(Chosen(digests, test), key) for digests in forms.values()]
    is_common = fingerprints.is_common_row(request.x, request.kind)
    distinct, ambiguous = fingerprints.write_records(staging / "fingerprints.bin", prints, is_common)
    sha256 = sha256_file(staging / "fingerprints.bin")
    return {"forms": list(forms), "distinct": distinct, "ambiguous": ambiguous, "sha256": sha256}, ascending(prints[0])
