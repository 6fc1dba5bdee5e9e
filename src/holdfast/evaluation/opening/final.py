"""The one final evaluation: the test rows, once, in an order that a crash cannot turn round.

preflight (costs nothing) -> `open.intent` -> X to the predictors -> `open.predicted` -> y to the scorer ->
`open.result` -> the answer. With a result in the ledger the answer is read from there, and nothing is decrypted.
What an opening has kept of each row is shown by `disclose`, an act of its own in the ledger that counts its bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from holdfast.core.child import forbid_core_dumps
from holdfast.core.errors import HoldfastError, RunFailed, VaultRefused
from holdfast.core.files import canonical_json, sha256_hex
from holdfast.core.messages import ArrayBlocks
from holdfast.core.tasks import task_of
from holdfast.data.loading.train_val import rows_of_run
from holdfast.data.rows import read_piece
from holdfast.data.views import View, view_from_dict
from holdfast.evaluation import processes
from holdfast.evaluation.freeze.validation import refuse_other_predictions
from holdfast.evaluation.opening import preflight
from holdfast.evaluation.opening.result import Opened, answer_of, find_entry, select_result
from holdfast.evaluation.selections import find_selection, frozen_copy, read_selection, with_hashes
from holdfast.vault import lifecycle, opening, policies, project_lock, registry
from holdfast.vault.keys.keyring import Ring
from holdfast.vault.ledger import leaked_bits, ledger
from holdfast.vault.manifest import folder_of, read_manifest

MAX_CLASSES = 100
RECORDED = "the opening could not be recorded; its result is printed when it is"

Predictors = list[tuple[list[int], processes.Predictor]]  # the numbers of the models that share a view, and theirs


def open_vault(prefix: str, *, reason: str | None = None, key_file: Path | None = None) -> tuple[Opened, list[str]]:
    """Evaluate a frozen selection on the sealed rows, or repeat the answer it has.

    With a reason a vault that was opened is opened again, at the level of the primary metric: not a clean test.

    Returns:
        The answer, and what has changed in the environment since the freeze.

    Raises:
        InputError: No such selection.
        VaultRefused: The policy, the ledger, a file, a key or the val score is against it; nothing was spent.
        RunFailed: The models failed on the test rows; the same selection can be opened again.
    """
    forbid_core_dumps()
    vault, selection = find_selection(prefix)
    # The ledger decides; the lock only makes a second process on this machine wait for the answer.
    with registry.on_disk(folder_of(vault), RECORDED), FileLock(folder_of(vault) / ".opening.lock"):
        entries = registry.read_ledger(vault)
        preflight.refuse_disorder(vault, entries)
        project_lock.refuse_other_ledger(vault, Path.cwd())
        if result := find_entry(entries, "open.result", selection):
            return answer_of(result, is_replayed=True), []
        allowed = preflight.allowed_opening(vault, selection, entries, reason)
        preflight.refuse_multirun()
        preflight.refuse_training()
        preflight.refuse_little_space(vault)
        result = _open(vault, selection, allowed, entries, opening.check_sealed(vault, key_file))
        with contextlib.suppress(VaultRefused):  # the result is recorded, and is told whatever becomes of the lock
            project_lock.note_heads(project_lock.projects_of(vault, Path.cwd()), vault, "open")
        return answer_of(result, is_replayed=False), result.body["changes"]


def disclose(prefix: str, *, reason: str, key_file: Path | None = None) -> dict[str, Any]:
    """Per-class results and outcomes of single rows of an opened selection: an act of its own in the ledger.

    Returns:
        {"selection", "head", "details", "outcomes", "targets"}, the rows in the order of the vault.

    Raises:
        InputError: No such selection, or no reason.
        VaultRefused: It was not opened in full, or a file or key is not right.
    """
    forbid_core_dumps()
    policies.check_reason(reason)
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


def _open(
    vault: str, selection: str, allowed: policies.Allowed, entries: Sequence[ledger.Entry], ring: Ring
) -> ledger.Entry:
    """The intent before any row, all predictions before any target; the result."""
    with frozen_copy(vault, selection) as (fields, folder), contextlib.ExitStack() as stack:
        predictors: Predictors = []
        for numbers in _by_view(fields["models"]):
            models = [with_hashes(fields, fields["models"][number]) for number in numbers]
            predictor = stack.enter_context(processes.Predictor(models, folder))
            predictors.append((numbers, predictor))
            chosen = [fields["models"][number] for number in numbers]
            val = rows_of_run(fields["split"], {**fields, "rows": chosen[0]["rows"]}, anew=True)
            refuse_other_predictions(predictor, fields, chosen, folder, val)
        intent = _intend(vault, selection, allowed, entries)
        predicted, predictions = _predict(fields, predictors, intent, ring)
    return _conclude(fields, allowed, predicted, predictions, ring)


def _by_view(models: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """The numbers of the models, those together that see the rows in one way: the rows are decrypted once for these."""
    numbers: dict[bytes, list[int]] = {}
    for number, model in enumerate(models):
        numbers.setdefault(canonical_json([model["view"], model["rows"]]), []).append(number)
    return list(numbers.values())


def _intend(vault: str, selection: str, allowed: policies.Allowed, entries: Sequence[ledger.Entry]) -> ledger.Entry:
    """The durable intent of a selection: a new one at the head that was checked, or the one a crash left."""
    if intent := find_entry(entries, "open.intent", selection):
        return intent
    body = {"level": allowed.level, "reason": allowed.reason}
    options = {"selection": selection, "opening": allowed.number, "expected_head": entries[-1].sha256}
    try:
        return registry.append(vault, "open.intent", body, **options)
    except ledger.LedgerMoved:
        hint = "look at `holdfast vault status`, then try again"
        problem = "another process wrote to its ledger; nothing was decrypted"
        raise VaultRefused(f"vault {vault[:8]}", problem, next=hint) from None


@contextlib.contextmanager
def _mismatches_noted(step: ledger.Entry) -> Iterator[None]:
    """Note in the ledger, once in a row, that rows or predictions are not what it states."""
    try:
        yield
    except opening.Mismatch as error:
        last = registry.read_ledger(str(step.fields["vault"]))[-1]
        if (last.type, last.selection, last.body) != ("open.mismatch", step.selection, error.body):
            _append(step, "open.mismatch", error.body)
        raise


@contextlib.contextmanager
def _failures_noted(intent: ledger.Entry) -> Iterator[None]:
    """Note in the ledger, not too often, that models failed on the test rows: a failure can be an answer."""
    try:
        yield
    except RunFailed as error:
        body = {"reason": error.problems[0].what, "opening": intent.fields["opening"]}
        registry.note_refusal(str(intent.fields["vault"]), body, selection=intent.selection)
        raise


def _predict(
    fields: Mapping[str, Any], predictors: Predictors, intent: ledger.Entry, ring: Ring
) -> tuple[ledger.Entry, NDArray[np.float32]]:
    """(models, n, ...) predictions that are made now, or were kept by an opening that was interrupted.

    The entry beside them states their hash.
    """
    vault = fields["vault"]
    with _mismatches_noted(intent), _failures_noted(intent):
        if entry := find_entry(registry.read_ledger(vault), "open.predicted", str(intent.selection)):
            predictions = opening.kept(vault, entry, "predictions", ring)
            sha256, stated = sha256_hex(predictions.tobytes()), entry.body["predictions"]
            if sha256 != stated:
                raise opening.Mismatch("predictions", stated=stated, found=sha256)
            return entry, predictions
        sealed = read_manifest(vault)["parts"]["x"]
        columns = task_of(fields["task"]).row_shape(fields["num_outputs"])
        predictions = np.empty((len(fields["models"]), sealed["rows"], *columns), np.float32)
        cells: list[dict[str, int]] = [{}] * len(fields["models"])
        for numbers, predictor in predictors:
            of_view = {"unreadable": 0, "unknown": 0}
            view, pieces = view_from_dict(fields["models"][numbers[0]]["view"]), opening.open_x(vault, intent, ring)
            rows = _through_view(view, sealed, pieces, of_view)
            predictions[numbers] = predictor.predict(rows, columns, is_sealed=True)
            for number in numbers:
                cells[number] = of_view
        body = opening.keep(vault, intent, "predictions", predictions, ring)
        not_confined = sorted({words for _, predictor in predictors for words in predictor.not_confined})
        body |= {"predictions": sha256_hex(predictions.tobytes()), "cells": cells, "not_confined": not_confined}
        return _append(intent, "open.predicted", body), predictions


def _through_view(view: View, sealed: Mapping[str, Any], pieces: Iterator[bytes], cells: dict[str, int]) -> ArrayBlocks:
    """Sealed rows as a model takes them; `cells` counts those that its view cannot read, or does not know."""

    def blocks() -> Iterator[NDArray[Any]]:
        for piece in pieces:
            viewed = view.rows(read_piece(dict(sealed), piece))
            cells["unreadable"] += 0 if viewed.is_unreadable is None else int(viewed.is_unreadable.sum())
            cells["unknown"] += int(viewed.unknown.sum())
            yield viewed.x

    return ArrayBlocks(np.dtype(view.dtype), (sealed["rows"], *view.shape), blocks())


def _conclude(
    fields: Mapping[str, Any],
    allowed: policies.Allowed,
    entry: ledger.Entry,
    predictions: NDArray[np.float32],
    ring: Ring,
) -> ledger.Entry:
    """Score, and record what the level of the opening lets out."""
    vault = fields["vault"]
    with _mismatches_noted(entry):
        y = opening.open_y(vault, entry, ring)
    confidence = policies.confidence(read_manifest(vault)["policy"], float(fields["confidence"]))
    groups = opening.group_numbers(vault)
    scored = processes.score(fields, [*predictions], y, confidence=confidence, groups=groups)
    before = sum(_total_bits(relative) for relative in lifecycle.family_of(vault))
    body, bits = select_result(fields, allowed.level, scored, len(y))
    body |= {
        "n": len(y),
        "level": allowed.level,
        "reason": allowed.reason,
        "cells": entry.body["cells"],
        "not_confined": sorted({*entry.body["not_confined"], *scored.not_confined}),
        "former": lifecycle.former_openings(vault),
        "confidence": confidence,
        "changes": preflight.environment_changes(fields),
        "wear": {
            "bits_before": before,
            "delta": leaked_bits.DELTA,
            "half_width": leaked_bits.half_width(before, len(y)),
            "n_eff": leaked_bits.effective_rows(before, len(y)),
        },
    }
    if allowed.level == policies.FULL:
        body["outcomes"] = opening.keep(vault, entry, "outcomes", scored.outcomes, ring)
    return _append(entry, "open.result", body, bits=bits)


def _total_bits(vault: str) -> float:
    """Bits of the test rows that a vault has let out; 0 where its ledger is not here any more."""
    try:
        return float(registry.read_ledger(vault)[-1].fields["total_bits"])
    except HoldfastError:
        return 0.0


def _append(before: ledger.Entry, type: str, body: dict[str, Any], *, bits: float = 0.0) -> ledger.Entry:
    vault, number = str(before.fields["vault"]), before.fields["opening"]
    return registry.append(vault, type, body, selection=before.selection, opening=number, bits=bits)


def _short(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The details that an entry of the ledger can hold: no confusion matrix of very many classes."""
    return [detail if len(detail["per_class"]) <= MAX_CLASSES else detail | {"confusion": None} for detail in details]
