"""A selection gets its name, the hash of what it says, and its place in the ledger; or it is found there."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.core.errors import VaultRefused
from holdfast.core.files import canonical_json, sha256_hex, sync_folder, write_atomic
from holdfast.evaluation.freeze.run_files import refuse_former
from holdfast.vault import registry
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import SELECTION_FILE

STAGING = ".freezing-"
ATTEMPTS = 20
STALE_S = 86_400


def enter(staging: Path, fields: dict[str, Any], projects: Sequence[Path] = ()) -> tuple[str, bool]:
    """The selection's id, and whether it is new; the folder `staging` becomes its own.

    Raises:
        VaultRefused: The vault was replaced meanwhile, or its ledger cannot be written.
    """
    vault = fields["vault"]
    with registry.locked():
        _sweep(staging.parent)
        refuse_former(str(fields["models"][0]["run"]), vault)
        for _ in range(ATTEMPTS):
            entries = registry.read_ledger(vault)
            if known := _same_selection(vault, fields, entries):
                return known, False
            head = entries[-1].sha256
            content = canonical_json({**fields, "ledger_head": head})
            selection = sha256_hex(content)
            folder = folder_of(vault) / "selections" / selection
            write_atomic(staging / SELECTION_FILE, content)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(staging, folder)
            sync_folder(folder.parent)
            try:
                registry.append(vault, "freeze", _body(fields, projects), selection=selection, expected_head=head)
            except ledger.LedgerMoved:
                os.rename(folder, staging)
                continue
            return selection, True
    raise VaultRefused(f"vault {vault[:8]}", "its ledger moved on every attempt", next="try again")


def _body(fields: dict[str, Any], projects: Sequence[Path]) -> dict[str, Any]:
    """The body of a freeze in the ledger."""
    first = fields["models"][0]
    return {
        "name": fields["name"],
        "run": first["run"],
        "val": first["val"],
        "rule": first["selection_rule"],
        "models": [model["name"] for model in fields["models"]],
        "criterion": fields["criterion"],
        "trials": first["trials"],
        "projects": [str(folder) for folder in projects],
    }


def _sweep(selections: Path) -> None:
    """Remove what a freeze that was killed long ago left."""
    for path in selections.glob(f"{STAGING}*"):
        if path.stat().st_mtime < time.time() - STALE_S:
            shutil.rmtree(path, ignore_errors=True)


def _same_selection(vault: str, fields: dict[str, Any], entries: list[ledger.Entry]) -> str | None:
    """A selection that differs in nothing but the ledger's head."""
    wanted = canonical_json(fields)
    for entry in entries:
        if entry.type == "freeze":
            path = folder_of(vault) / "selections" / str(entry.selection) / SELECTION_FILE
            try:
                known = json.loads(path.read_bytes())
                known.pop("ledger_head")
            except (OSError, ValueError, KeyError):
                continue
            if canonical_json(known) == wanted:
                return entry.selection
    return None
