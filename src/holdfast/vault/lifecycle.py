"""The life of a vault after it was sealed: entered, replaced, superseded or destroyed.

The end of a vault is an entry of its own ledger (`registry.status_of`). A vault that is no longer in force keeps its
manifest and its ledger; its rows can never be read again. A vault that holds rows of one that was superseded after a
freeze, or destroyed, names it in its `lineage`, for ever.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import Any

from holdfast.core import places
from holdfast.core.errors import HoldfastError, VaultRefused
from holdfast.core.files import sync_folder
from holdfast.vault import manifest, policies, registry, sealed_files
from holdfast.vault.keys import key_files, keyring
from holdfast.vault.ledger import ledger

STAGING = ".sealing-"
VAULT_NAME = re.compile("[0-9a-f]{32}")
SECRET_FILES = (*sealed_files.FILES.values(), keyring.WRAPPED)


def recover() -> None:
    """Finish or sweep what a crash left; the caller holds the registry."""
    places.vaults().mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in places.keys().glob(".*.key.*.tmp"):
        path.unlink()
    for staging in places.vaults().glob(f"{STAGING}*"):
        key_files.remove_keys(staging.name.removeprefix(STAGING))
        shutil.rmtree(staging)
    for folder in unregistered():
        adopt(folder)
    for record in registry.records():
        if record["status"] != registry.SEALED:
            shred(record["vault"])


def unregistered() -> list[Path]:
    """The folders of vaults that the registry does not know: just imported, or their record was lost."""
    folders = sorted(places.vaults().iterdir()) if places.vaults().is_dir() else []
    known = {path.stem for path in places.registry().glob("*.json")}
    return [folder for folder in folders if VAULT_NAME.fullmatch(folder.name) and folder.name not in known]


def adopt(folder: Path) -> None:
    """Enter a vault in the registry: one just sealed or imported, or one whose record was lost."""
    last = ledger.read(folder / "ledger")[-1]
    for name, file_name in registry.COPIED.items():
        shutil.copyfile(folder / file_name, registry.copy_of(folder.name, name))
    registry.write_head(folder.name, last)


def end(vault: str, how: str, reason: str) -> ledger.Entry:
    """Put a vault out of force for ever: its rows cannot be read again, its manifest and ledger stay.

    Args:
        how: "supersede": its rows may be sealed anew, with this vault in the lineage; "destroy": the same, without
            the wish to seal them anew.

    Raises:
        InputError: There is no such vault, or no reason.
        VaultRefused: It is out of force already, or its ledger is not whole.
    """
    policies.check_reason(reason)
    with registry.on_disk(manifest.folder_of(vault), f"{how} could not be recorded"), registry.locked():
        recover()
        record = registry.record_of(vault)
        if record["status"] != registry.SEALED:
            raise VaultRefused(f"vault {vault[:8]}", f"is {record['status']} already")
        registry.read_ledger(vault)
        entry = registry.append(vault, how, {"reason": reason})
        shred(vault)
        return entry


def former_openings(vault: str) -> list[dict[str, Any]]:
    """{"vault", "openings"} of every vault that had rows of this one and was put out of force.

    How often one was opened is null where its ledger is not here any more.
    """
    formers: dict[str, int | None] = dict.fromkeys(manifest.read_manifest(vault)["lineage"])
    for former in formers:
        with contextlib.suppress(HoldfastError):
            formers[former] = sum(entry.type == "open.intent" for entry in registry.read_ledger(former))
    return [{"vault": former, "openings": openings} for former, openings in formers.items()]


def family_of(vault: str) -> list[str]:
    """A vault and all vaults over the same test rows, the oldest first: another target adds one."""
    mine = (vault, *registry.record_of(vault)["shares"])
    return [record["vault"] for record in registry.records() if record["vault"] in mine or vault in record["shares"]]


def shred(vault: str) -> None:
    """Remove keys and sealed parts of a vault whose ledger says that it has ended. Safe to repeat."""
    key_files.remove_keys(vault)
    folder = manifest.folder_of(vault)
    key_files.overwrite(folder / keyring.WRAPPED)
    for name in SECRET_FILES:
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)
