"""Sealing: the test rows go into a vault, and are known there from then on.

A vault exists from the moment its folder has its name: it is built as `vaults/.sealing-<vault>`, synced and renamed.
What a crash leaves before that is swept at the next sealing; what it leaves undone after (the registry's record, the
removal of a vault that was replaced) is done then. No plain test row is ever written.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import holdfast
from holdfast.core import places
from holdfast.core.errors import InputError, VaultRefused, did_you_mean
from holdfast.core.files import canonical_json, sha256_file, sha256_hex, sync_folder, write_atomic
from holdfast.core.run_record import now
from holdfast.vault import commitment, fingerprints, keys, ledger, manifest, registry, stream
from holdfast.vault.identity import content_id, row_digests, rows_id

POLICIES = ("once",)
DEFAULT_POLICY = {"policy": "once", "key_mode": "local"}
STAGING = ".sealing-"
VAULT_NAME = re.compile("[0-9a-f]{32}")
BLOCK_BYTES = 2**20
SECRET_FILES = ("x.sealed", "y.sealed")


@dataclass(frozen=True)
class SealRequest:
    """What is to be sealed.

    Attributes:
        source: JSON: the data set's name, the target that loads it and its arguments.
        content: Identity of all rows with their targets (`identity.content_id`).
        test_rule: JSON: what chose the test rows.
        task: "multiclass", "binary", "multilabel" or "regression".
        class_names: Names of the classes, empty for regression.
        x: (n, ...) test rows; read in blocks.
        y: (n,) or (n, k) their targets.
        digests: (n, 32) their row digests.
        development_digests: (m, 32) row digests of all other rows.
        policy: {"policy", "key_mode"}; a missing key is the default.
        counts: JSON: leaks across the split, as counts.
        kind: "image", "table" or "array": the rows are digested again while they are sealed; "": they are not.
        feature_names: Names of a table's columns.
        strata: [{"stratum", "test", "cut"}] where the rule keeps cuts.
    """

    source: dict[str, Any]
    content: str
    test_rule: dict[str, Any]
    task: str
    class_names: tuple[str, ...]
    x: NDArray[Any]
    y: NDArray[Any]
    digests: NDArray[np.uint8]
    development_digests: NDArray[np.uint8]
    policy: Mapping[str, Any]
    counts: dict[str, Any]
    kind: str = ""
    feature_names: tuple[str, ...] = ()
    strata: list[dict[str, Any]] = field(default_factory=list)


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
        VaultRefused: The rows are sealed already, in another vault or after a freeze in another way.
    """
    policy = checked_policy(request.policy)
    _check(request)
    with registry.on_disk(places.vaults(), "the test rows could not be sealed"), registry.locked():
        recover()
        key = keys.fingerprint_key(may_create=not registry.records())
        prints = fingerprints.fingerprints_of(request.digests, key)
        rows = rows_id(np.unique(np.concatenate([request.digests, request.development_digests]), axis=0))
        claim = _claim(request, policy)
        same = _same_rows(rows, claim)
        if len(same) == 1 and same[0]["claim"] == claim:
            head = registry.read_ledger(same[0]["vault"])[-1].sha256
            return Sealed(same[0]["vault"], head, len(request.digests), is_new=False)
        _refuse_sealed_rows(request, prints, key, {record["vault"] for record in same})
        replaces = [record["vault"] for record in same]
        vault = secrets.token_hex(16)
        fields = _fields(request, vault, policy=policy, rows=rows, claim=claim, replaces=replaces)
        _seal(request, prints, fields)
        recover()
        return Sealed(vault, registry.read_ledger(vault)[-1].sha256, len(request.digests), True, tuple(replaces))


def checked_policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy with its defaults filled in.

    Raises:
        InputError: A key or value is not offered.
    """
    chosen = {**DEFAULT_POLICY, **policy}
    if unknown := sorted(set(chosen) - set(DEFAULT_POLICY)):
        raise InputError(f"vault.{unknown[0]}", "is no setting of a vault", allowed=", ".join(DEFAULT_POLICY))
    for name, allowed in (("policy", POLICIES), ("key_mode", keys.MODES)):
        if chosen[name] not in allowed:
            hint = did_you_mean(str(chosen[name]), allowed)
            raise InputError(f"vault.{name}", f"{chosen[name]!r} is not offered", allowed=", ".join(allowed), next=hint)
    return chosen


def is_frozen(vault: str) -> bool:
    """Whether a selection was ever frozen against a vault: from then on its test part is fixed."""
    return any(entry.type == "freeze" for entry in registry.read_ledger(vault))


def recover() -> None:
    """Finish or sweep what a crash left; the caller holds the registry."""
    places.vaults().mkdir(parents=True, exist_ok=True, mode=0o700)
    keys.sweep()
    for staging in places.vaults().glob(f"{STAGING}*"):
        keys.remove_keys(staging.name.removeprefix(STAGING))
        shutil.rmtree(staging)
    known = {record["vault"]: record for record in registry.records()}
    for folder in sorted(places.vaults().iterdir()):
        if VAULT_NAME.fullmatch(folder.name) and folder.name not in known:
            known[folder.name] = _adopt(folder)
    for record in known.values():
        for old in record["replaces"]:
            if old in known and known[old]["status"] != "replaced":
                _retire(known[old], record["vault"])


# --- deciding ---------------------------------------------------------------------------------------------------------


def _check(request: SealRequest) -> None:
    if len({len(request.x), len(request.y), len(request.digests)}) != 1:
        raise ValueError(f"{len(request.x)} rows, {len(request.y)} targets, {len(request.digests)} digests")
    for part, digests in (("test", request.digests), ("development", request.development_digests)):
        if not len(digests):
            hint = "choose other split.fractions"
            raise InputError("split", f"the {part} part is empty: {request.test_rule}", next=hint)
    test = {digest.tobytes() for digest in request.digests}
    shared = sum(digest.tobytes() in test for digest in request.development_digests)
    if shared:
        what = f"{shared} development rows equal rows of the test part"
        raise InputError("split", what, next="equal rows must stay on one side")


def _claim(request: SealRequest, policy: dict[str, Any]) -> str:
    what = {
        **{"content": request.content, "test": content_id(request.digests, request.y), "task": request.task},
        **{"class_names": list(request.class_names), "policy": policy},
    }
    return sha256_hex(canonical_json(what))


def _same_rows(rows: str, claim: str) -> list[dict[str, Any]]:
    """Vaults in force over the same rows: the one that fits, or those that may be replaced.

    Raises:
        VaultRefused: One is frozen in another way, or its folder is gone.
    """
    same = [record for record in registry.records() if record["status"] == "sealed" and record["rows"] == rows]
    for record in same:
        name = f"vault {record['vault'][:8]} ({record['name']})"
        if not manifest.folder_of(record["vault"]).is_dir():
            what = f"holds these rows, and its folder is gone from {places.vaults()}"
            raise VaultRefused(name, what, next="restore the folder from a copy")
        if record["claim"] == claim:
            return [record]
        if is_frozen(record["vault"]):
            what = "was frozen with another test part, target or policy of the same rows: which rows are test is fixed"
            raise VaultRefused(name, what, next="take the split, target and vault settings that it was sealed with")
    return same


def _refuse_sealed_rows(request: SealRequest, prints: NDArray[np.uint8], key: bytes, replaces: set[str]) -> None:
    """The tripwire: a row that is sealed in another vault enters neither the store nor a second vault.

    Raises:
        VaultRefused: Naming the vault that has the rows.
    """
    others = [
        record for record in registry.records() if record["status"] == "sealed" and record["vault"] not in replaces
    ]
    if not others:
        return
    development = fingerprints.fingerprints_of(request.development_digests, key)
    for record in others:
        sealed = fingerprints.read_records(registry.fingerprints_path(record["vault"]))
        in_development, _ = fingerprints.count_matches(sealed, development)
        in_test, _ = fingerprints.count_matches(sealed, prints)
        if in_development or in_test:
            name = f"vault {record['vault'][:8]} ({record['name']})"
            counts = f"{in_development} would be trained on, {in_test} would be sealed twice"
            what = f"{in_development + in_test} of these rows are sealed in {name}: {counts}"
            hint = f"train on the data as {name} has it, or leave these rows out of the source"
            raise VaultRefused(f"data {request.source.get('name', '')}".strip(), what, next=hint)


# --- writing ----------------------------------------------------------------------------------------------------------


def _fields(request: SealRequest, vault: str, **more: Any) -> dict[str, Any]:
    return {
        **{
            "version": manifest.VERSION,
            "vault": vault,
            "created": now(),
            "name": str(request.source.get("name", "data")),
        },
        **{
            "source": request.source,
            "kind": request.kind,
            "task": request.task,
            "class_names": list(request.class_names),
        },
        **{
            "content": request.content,
            "test_rule": request.test_rule,
            "strata": request.strata,
            "counts": request.counts,
        },
        **{"num_test": len(request.digests), "num_development": len(request.development_digests)},
        "parts": {part: _layout(rows) for part, rows in (("x", request.x), ("y", request.y))},
        "framework": {"version": holdfast.__version__, "code_sha256": ledger.code_sha256()},
        **more,
    }


def _layout(rows: NDArray[Any]) -> dict[str, Any]:
    return {"dtype": rows.dtype.newbyteorder("<").str, "shape": [int(size) for size in rows.shape]}


def _seal(request: SealRequest, prints: NDArray[np.uint8], fields: dict[str, Any]) -> None:
    vault = fields["vault"]
    staging = places.vaults() / f"{STAGING}{vault}"
    staging.mkdir(mode=0o700)
    try:
        (staging / "ledger").mkdir()
        (staging / "selections").mkdir()
        secret = keys.create_keys(vault)
        records = fingerprints.as_records(prints)
        write_atomic(staging / "fingerprints.bin", records.tobytes())
        fields["keys"] = {
            "mode": fields["policy"]["key_mode"],
            "check": {part: keys.check_value(secret[part], vault, part) for part in keys.PARTS},
        }
        fields["fingerprints"] = {
            **{"forms": ["features"], "distinct": len(records), "ambiguous": int(records[:, -1].sum())},
            "sha256": sha256_file(staging / "fingerprints.bin"),
        }
        content = canonical_json(fields)
        write_atomic(staging / manifest.FILE_NAME, content)
        body = _write_parts(request, staging, secret, fingerprints.order_of(prints), sha256_hex(content))
        ledger.append(staging / "ledger", "seal", body, vault=vault, expected_head="")
        sync_folder(staging)
        os.rename(staging, manifest.folder_of(vault))
        sync_folder(places.vaults())
    except BaseException:
        if staging.exists():
            keys.remove_keys(vault)
            shutil.rmtree(staging)
        raise


def _write_parts(
    request: SealRequest,
    staging: Path,
    secret: dict[str, bytes],
    order: NDArray[np.int64],
    manifest_sha256: str,
) -> dict[str, Any]:
    """Encrypt both parts row after row in `order`; the body of the ledger's first entry."""
    vault = staging.name.removeprefix(STAGING)
    tree = commitment.RowCommitment(keys.derive(secret["y"], vault, "rows"))
    blocks = {"x": _x_blocks(request, order, tree), "y": _row_bytes(request.y, order)}
    files = {
        f"{part}.sealed": stream.seal_file(
            staging / f"{part}.sealed",
            blocks[part],
            keys.derive(secret[part], vault, f"seal {part}"),
            stream.associated_data(vault, part, manifest_sha256),
        )
        for part in keys.PARTS
    }
    files["fingerprints.bin"] = sha256_file(staging / "fingerprints.bin")
    return {"manifest": manifest_sha256, "rows": tree.root(), "files": files}


def _x_blocks(request: SealRequest, order: NDArray[np.int64], tree: commitment.RowCommitment) -> Iterator[bytes]:
    """The bytes of X, block by block; every row is digested again and entered in the commitment.

    Raises:
        InputError: A row is not what it was when its digest was taken.
    """
    rows = max(1, BLOCK_BYTES // max(1, request.x[:1].nbytes))
    for start in range(0, len(order), rows):
        place = order[start : start + rows]
        block = _little_endian(request.x[place])
        if request.kind:
            again = row_digests(block, kind=request.kind, feature_names=request.feature_names)
            if not np.array_equal(again, request.digests[place]):
                hint = "try again when nothing writes to it"
                raise InputError("data", "the source changed while it was read", next=hint)
        targets = _little_endian(request.y[place])
        for row, target in zip(block, targets, strict=True):
            tree.add(row.tobytes(), target.tobytes())
        yield block.tobytes()


def _row_bytes(rows: NDArray[Any], order: NDArray[np.int64]) -> Iterator[bytes]:
    yield _little_endian(rows[order]).tobytes()


def _little_endian(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder("<"), copy=False))


# --- after the rename -------------------------------------------------------------------------------------------------


def _adopt(folder: Path) -> dict[str, Any]:
    """Enter a vault in the registry: one just sealed, or one whose record was lost."""
    fields, _ = manifest.read_manifest(folder)
    last = ledger.read(folder / "ledger")[-1]
    shutil.copyfile(folder / "fingerprints.bin", registry.fingerprints_path(fields["vault"]))
    record = {
        **{
            name: fields[name]
            for name in ("vault", "name", "content", "rows", "claim", "num_test", "policy", "replaces")
        },
        **{"status": "sealed", "sealed": fields["created"], "replaced_by": None},
        "head": {"index": last.index, "sha256": last.sha256},
    }
    registry.write_record(record)
    return record


def _retire(record: dict[str, Any], successor: str) -> None:
    """Mark a vault as replaced and make its rows unreadable; its manifest and ledger stay. Safe to repeat."""
    vault, folder = record["vault"], manifest.folder_of(record["vault"])
    if registry.read_ledger(vault)[-1].type != "supersede":
        body = {"by": successor, "reason": "sealed anew before the first freeze"}
        registry.append(vault, "supersede", body)
    keys.remove_keys(vault)
    for name in SECRET_FILES:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    registry.write_record({**registry.record_of(vault), "status": "replaced", "replaced_by": successor})
