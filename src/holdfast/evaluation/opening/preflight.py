"""Reasons against an opening that can be known without spending it; no secret is touched, no row decrypted."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import holdfast
from holdfast.config.provenance import files_of, installed_versions
from holdfast.core.errors import VaultRefused
from holdfast.core.run_record import environment
from holdfast.vault import policies, registry
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of, read_manifest

MIN_FREE_BYTES = 16 * 2**20


def allowed_opening(
    vault: str, selection: str, entries: Sequence[ledger.Entry], reason: str | None
) -> policies.Allowed:
    """Ask the policy how a selection may be opened; a refusal is noted, not too often."""
    record = registry.record_of(vault)
    if record["status"] != registry.SEALED:
        raise VaultRefused(f"vault {vault[:8]}", f"was {record['status']}", next="holdfast vault status")
    history = policies.History.of(entries)
    try:
        return policies.allowed(record["policy"], history, selection, reason=reason, where=f"vault {vault[:8]}")
    except VaultRefused as error:
        if selection in history.frozen:
            body = {"reason": error.problems[0].what, "policy": record["policy"]["policy"]}
            registry.note_refusal(vault, body, selection=selection)
        raise


def refuse_disorder(vault: str, entries: Sequence[ledger.Entry]) -> None:
    """Refuse a ledger with an act that lacks the one before it, or is against the policy: no result was of a test."""
    policy = read_manifest(vault)["policy"]
    for kind, where, problem in policies.order_problems(entries, policy):
        if kind != "mismatch":  # that is mended, and opened again
            raise VaultRefused(f"vault {vault[:8]}", f"{where} of its ledger {problem}", next="holdfast vault verify")


def refuse_multirun() -> None:
    """No job of a sweep opens a vault: the choice would be made by test rows."""
    if "hydra" not in sys.modules:
        return
    from holdfast.experiment.compose import is_job_of_sweep

    if is_job_of_sweep():
        raise VaultRefused("open", "a job of a sweep opens no vault", next="choose one run by its val score")


def refuse_training() -> None:
    """A process that trains opens no vault: what it learned could go into the run."""
    row_guard = sys.modules.get("holdfast.training.row_guard")
    if row_guard is not None and row_guard.is_active():
        raise VaultRefused("open", "a process that trains opens no vault", next="holdfast open, when the run is over")


def refuse_little_space(vault: str) -> None:
    """An opening that cannot be recorded is not begun."""
    free = shutil.disk_usage(folder_of(vault)).free
    if free < MIN_FREE_BYTES:
        problem = f"{free / 2**20:.0f} MiB are free, {MIN_FREE_BYTES // 2**20} are needed to record an opening"
        raise VaultRefused(str(folder_of(vault)), problem, next="free some space: nothing was decrypted")


def environment_changes(fields: Mapping[str, Any]) -> list[str]:
    """Things that are not as they were at the freeze: versions, code, commit."""
    now = environment()
    changes = []
    versions = {**now["versions"], **installed_versions()}
    for name in sorted(fields["versions"].keys() | versions.keys()):
        then, there = fields["versions"].get(name, "absent"), versions.get(name, "absent")
        if then != there:
            changes.append(f"{name}: {then} -> {there}")
    if fields["framework"]["code_sha256"] != ledger.code_sha256():
        changes.append(f"code of holdfast {fields['framework']['version']} -> {holdfast.__version__}")
    for model in fields["models"]:
        changed = [name for name, files in model["modules"].items() if files_of(name) != files]
        changes += [f"module {name}, or what it imports, changed" for name in changed]
    if fields["git"] != now["git"]:
        changes.append("git commit or uncommitted changes")
    return list(dict.fromkeys(changes))
