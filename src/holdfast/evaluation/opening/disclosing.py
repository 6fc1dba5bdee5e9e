"""Show the user what an opening has kept of each row: an act of its own in the ledger, that counts its bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from holdfast.core.child import forbid_core_dumps
from holdfast.core.errors import InputError, VaultRefused
from holdfast.evaluation import processes
from holdfast.evaluation.opening.result import find_entry
from holdfast.evaluation.selections import find_selection, frozen_copy, read_selection
from holdfast.vault import opening, policies, registry
from holdfast.vault.ledger import leaked_bits
from holdfast.vault.manifest import folder_of

MAX_CLASSES = 100


def disclose(prefix: str, *, reason: str, key_file: Path | None = None) -> dict[str, Any]:
    """Per-class results and outcomes of single rows of an opened selection: an act of its own in the ledger.

    Returns:
        {"selection", "head", "details", "outcomes", "targets"}, the rows in the order of the vault.

    Raises:
        InputError: No such selection, or no reason.
        VaultRefused: It was not opened in full, or a file or key is not right.
    """
    forbid_core_dumps()
    if not reason.strip():
        raise InputError("--reason", "is empty", next="say in a sentence why; it stays in the ledger")
    vault, selection = find_selection(prefix)
    with registry.on_disk(folder_of(vault), "nothing was disclosed"), FileLock(folder_of(vault) / ".opening.lock"):
        entries = registry.read_ledger(vault)
        result = find_entry(entries, "open.result", selection)
        predicted = find_entry(entries, "open.predicted", selection)
        if result is None or predicted is None or result.body["level"] != policies.FULL:
            problem = "was not opened in full: there is nothing to disclose"
            raise VaultRefused(f"selection {selection[:8]}", problem, next="holdfast vault status")
        ring = opening.check_sealed(vault, key_file)
        fields = read_selection(vault, selection)
        bits = leaked_bits.row_bits(int(result.body["n"]), fields["task"], fields["num_outputs"])
        is_known = find_entry(entries, "disclose", selection) is not None
        options = {"selection": selection, "opening": result.fields["opening"], "bits": 0.0 if is_known else bits}
        # Like an opening: the act is in the ledger before anything is decrypted, what it tells before it is told.
        registry.append(vault, "disclose", {"reason": reason}, **options)
        with frozen_copy(vault, selection) as (fields, _):
            predictions = opening.kept(vault, predicted, "predictions", ring)
            y = opening.open_y(vault, predicted, ring)
            groups, confidence = opening.group_numbers(vault), float(result.body["confidence"])
            details = processes.score(fields, list(predictions), y, confidence=confidence, groups=groups).details
        outcomes = opening.kept(vault, result, "outcomes", ring)
        body = {"reason": reason, "details": _short(details)}
        entry = registry.append(vault, "disclose", body, **(options | {"bits": 0.0}))
    return {
        "selection": selection,
        "head": entry.sha256,
        "details": details,
        "outcomes": outcomes.tolist(),
        "targets": y.tolist(),
    }


def _short(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The details that an entry of the ledger can hold: no confusion matrix of very many classes."""
    return [detail if len(detail["per_class"]) <= MAX_CLASSES else detail | {"confusion": None} for detail in details]
