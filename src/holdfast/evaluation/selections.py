"""Selections: what was frozen, by an id that is the hash of everything that decides the outcome.

vaults/<vault>/selections/<id>/selection.json             canonical JSON; the id is its SHA-256
vaults/<vault>/selections/<id>/models/0/members/0/...     run.json and checkpoint of every model, as they were

version, vault, ledger_head        3; what it is frozen against; the head before the freeze
name, task, num_outputs, class_names    of the data set
split, val_sha256, target_std      which rows are val, and the unit of a regression's loss
models                             one; under the policy batch several, the best by val first (below)
files                              {path: sha256} of every file beside selection.json
versions, git, framework           installed versions; commit; code of Holdfast
primary_metric, definitions, confidence, intervals, thresholds     how the answer is read
criterion, pretrained              such as "accuracy > 0.94", or null; []

Of a model: name; run, kind ("fit" or "ensemble"), members [{"folder", "checkpoint", "weight", "run", "seed"}], combine,
temperature, out_of_fold (as `ensembles.make` has them; a val score out of fold is that of all rows but the test rows);
config (resolved); modules {module: {file: sha256}} of the user's own; selection_rule {"monitor", "mode"}, val (its
metrics), val_predictions (a file); metrics, own_metrics (names of Holdfast's and of the user's own), has_loss (whether
the loss follows from predictions); trials (null, or the sweep it came from: runs, root of their records, seed spread).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.core import places
from holdfast.core.advice import in_shell
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json, copy_hashed, sha256_hex, sync_folder, write_atomic
from holdfast.core.run_record import FILE_NAME
from holdfast.vault import registry
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import SELECTION_FILE, selection_problems

PREFIX = re.compile(r"[0-9a-f]{8,64}")
COPIES = ".opening-files"
STAGING = ".freezing-"
ATTEMPTS = 20
STALE_S = 86_400


def add_selection(staging: Path, fields: dict[str, Any], projects: Sequence[Path] = ()) -> tuple[str, bool]:
    """Freeze what lies in the folder `staging`, which becomes the selection's; its id, and whether it is new.

    Raises:
        VaultRefused: The vault was replaced meanwhile, or its ledger cannot be written.
    """
    vault = fields["vault"]
    with registry.locked():
        _remove_leftovers(staging.parent)
        refuse_former(str(fields["models"][0]["run"]), vault)
        for _ in range(ATTEMPTS):
            entries = registry.read_ledger(vault)
            if known := _same_selection(vault, fields, entries):
                return known, False
            head = entries[-1].sha256
            content = canonical_json({**fields, "ledger_head": head})
            selection = sha256_hex(content)
            folder = selection_folder(vault, selection)
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


def refuse_former(where: str, vault: str) -> None:
    """Refuse a run whose vault is not the one in force: it is unknown here, or its rows were sealed anew."""
    try:
        record = registry.record_of(vault)
    except InputError:
        problem = f"belongs to vault {vault[:8]}, which is not in this HOLDFAST_HOME"
        hint = "set HOLDFAST_HOME to where it was trained, or train it again"
        raise VaultRefused(where, problem, next=hint) from None
    if record["status"] != registry.SEALED:
        problem = f"belongs to the former vault {vault[:8]}"
        if record["replaced_by"]:
            problem += f": its rows were sealed anew as {str(record['replaced_by'])[:8]}"
        hint = "train it again with the split and the vault settings that are in force"
        raise VaultRefused(where, problem, next=hint)


def find_selection(prefix: str) -> tuple[str, str]:
    """Vault and id of the one selection whose id starts with `prefix`.

    Raises:
        InputError: There is none, or several, or the prefix is too short.
    """
    if not PREFIX.fullmatch(prefix):
        run = prefix if (Path(prefix) / FILE_NAME).is_file() else "RUN"
        hint = f"holdfast freeze {run}"
        raise InputError("selection", f"{prefix!r} is no selection", allowed="8 to 64 hex digits", next=hint)
    pattern = f"*/selections/{prefix}*/{SELECTION_FILE}"
    matches = {path.parent.name: path.parents[2].name for path in places.vaults().glob(pattern)}
    if not matches:
        raise InputError("selection", f"{prefix} is not known", next="`holdfast vault status` lists the selections")
    if len(matches) > 1:
        raise InputError("selection", f"{prefix} fits {len(matches)} selections", allowed=", ".join(sorted(matches)))
    ((selection, vault),) = matches.items()
    return vault, selection


def selection_folder(vault: str, selection: str) -> Path:
    """The folder of a selection's files."""
    return folder_of(vault) / "selections" / selection


def read_selection(vault: str, selection: str) -> dict[str, Any]:
    """A selection, every file checked; refused where one is missing or was changed."""
    folder = selection_folder(vault, selection)
    for _, where, problem in selection_problems(folder, selection):
        raise VaultRefused(where, problem, next="freeze the run again; a changed selection is another one")
    return json.loads((folder / SELECTION_FILE).read_bytes())  # type: ignore[no-any-return]


def run_folder(run: Path) -> Path:
    """The folder of a run, or of the run that a selection has chosen, which is named by its id.

    Raises:
        InputError: The id is of no selection, or of an ensemble, whose members lie apart.
        VaultRefused: A file of the selection is missing or was changed.
    """
    if run.exists() or not PREFIX.fullmatch(str(run)):
        return run
    vault, selection = find_selection(str(run))
    chosen = read_selection(vault, selection)["models"][0]
    if len(chosen["members"]) > 1:
        hint = f"holdfast predict {in_shell(chosen['run'])} --input FILE"
        raise InputError("selection", f"{run} is an ensemble", next=hint)
    return selection_folder(vault, selection).joinpath(chosen["members"][0]["folder"])


@contextlib.contextmanager
def frozen_copy(vault: str, selection: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """A selection and a folder with its files, each hashed while it was copied there, and refused where it was changed.

    What the models are loaded from is what was hashed: a file that is exchanged after its hash was taken changes
    nothing. The caller holds the vault's opening lock, so that a folder there is one that a killed opening left.
    """
    folder, copies = selection_folder(vault, selection), folder_of(vault) / COPIES
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(mode=0o700)
    try:
        _copy_checked(folder / SELECTION_FILE, copies / SELECTION_FILE, selection)
        fields = json.loads((copies / SELECTION_FILE).read_bytes())
        for name, sha256 in sorted(fields["files"].items()):
            _copy_checked(folder / name, copies / name, sha256)
        yield fields, copies
    finally:
        shutil.rmtree(copies, ignore_errors=True)


def with_hashes(fields: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """A model whose members have the hashes of their files, which are asked for again as they are loaded."""

    def hashes(member: Mapping[str, Any]) -> dict[str, str]:
        return {name: fields["files"][f"{member['folder']}/{name}"] for name in (FILE_NAME, member["checkpoint"])}

    return {**model, "members": [{**member, "sha256": hashes(member)} for member in model["members"]]}


def _copy_checked(source: Path, target: Path, sha256: str) -> None:
    try:
        copied = copy_hashed(source, target)
    except OSError as error:
        raise VaultRefused(str(source), f"cannot be copied ({error.strerror})", next="nothing was spent") from None
    if copied != sha256:
        hint = "freeze the run again; a changed selection is another one"
        raise VaultRefused(str(source), "was changed since the freeze", next=hint)


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


def _remove_leftovers(selections: Path) -> None:
    """Remove what a freeze that was killed long ago left."""
    for path in selections.glob(f"{STAGING}*"):
        if path.stat().st_mtime < time.time() - STALE_S:
            shutil.rmtree(path, ignore_errors=True)


def _same_selection(vault: str, fields: dict[str, Any], entries: list[ledger.Entry]) -> str | None:
    """A selection that differs in nothing but the ledger's head."""
    wanted = canonical_json(fields)
    for entry in entries:
        if entry.type == "freeze":
            path = selection_folder(vault, str(entry.selection)) / SELECTION_FILE
            try:
                known = json.loads(path.read_bytes())
                known.pop("ledger_head")
            except (OSError, ValueError, KeyError):
                continue
            if canonical_json(known) == wanted:
                return entry.selection
    return None
