"""The one final evaluation: the test rows, once, in an order that a crash cannot turn round.

preflight (costs nothing) -> `open.intent` -> X to the predictors -> `open.predicted` -> y to the scorer ->
`open.result` -> the answer. With a result in the ledger the answer is read from there, and nothing is decrypted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import sha256_hex
from holdfast.evaluation import answers, preflight, processes, wire
from holdfast.evaluation.answers import Opened, answer_of, find_entry
from holdfast.evaluation.criterion import passes
from holdfast.evaluation.resampling import Sampling
from holdfast.evaluation.selections import find_selection, frozen_copy, hashed_members
from holdfast.evaluation.validation import PREDICTION_ATOL, columns_of, load_val, refuse_other_predictions
from holdfast.vault import ledger, opening, policies, project_lock, registry, wear
from holdfast.vault.keyring import Ring
from holdfast.vault.manifest import folder_of, read_manifest

COMPARISON_BITS = 2 * wear.FLOAT_BITS
MAX_CLASSES = 100
RECORDED = "the opening could not be recorded; its result is printed when it is"

__all__ = ["Opened", "disclose", "open_vault"]


def open_vault(prefix: str, *, reason: str | None = None, key_file: Path | None = None) -> tuple[Opened, list[str]]:
    """Evaluate a frozen selection on the sealed rows, or repeat the answer it has.

    Args:
        prefix: Eight or more digits of the selection's id.
        reason: Why a vault that was opened is opened again: at the level of the primary metric, not a clean test.
        key_file: The private key, where the vault was sealed for one.

    Returns:
        The answer, and what has changed in the environment since the freeze.

    Raises:
        InputError: No such selection.
        VaultRefused: The policy, the ledger, a file, a key or the val score is against it; nothing was spent.
        RunFailed: The models failed on the test rows; the same selection can be opened again.
    """
    wire.forbid_core_dumps()
    vault, selection = find_selection(prefix)
    # The ledger decides; the lock only makes a second process on this machine wait for the answer.
    with registry.on_disk(folder_of(vault), RECORDED), FileLock(folder_of(vault) / ".opening.lock"):
        entries = registry.read_ledger(vault)
        preflight.refuse_other_lock(vault, Path.cwd())
        if result := find_entry(entries, "open.result", selection):
            return answer_of(result, is_replayed=True), []
        how = preflight.allowed_opening(vault, selection, entries, reason)
        preflight.refuse_multirun()
        preflight.refuse_little_space(vault)
        ring = opening.check_sealed(vault, key_file)
        with frozen_copy(vault, selection) as (fields, folder), contextlib.ExitStack() as stack:
            predictors = [
                stack.enter_context(processes.Predictor(hashed_members(fields, model), folder))
                for model in fields["models"]
            ]
            val = load_val(fields)
            for predictor, model in zip(predictors, fields["models"], strict=True):
                refuse_other_predictions(predictor, fields, model, folder, val)
            intent = _intend(vault, selection, how, entries)
            with _mismatches_noted(intent):
                predicted, predictions = _predict(fields, intent, predictors, ring)
        with _mismatches_noted(predicted):
            result = _conclude(fields, how, predicted, predictions, ring)
        with contextlib.suppress(VaultRefused):  # the result is recorded, and is told whatever becomes of the lock
            project_lock.note_here(vault, "open")
        return answer_of(result, is_replayed=False), list(result.body["changes"])


def disclose(prefix: str, *, reason: str, key_file: Path | None = None) -> dict[str, Any]:
    """Per-class results and outcomes of single rows of an opened selection: an act of its own in the ledger.

    Args:
        prefix: Eight or more digits of the selection's id.
        reason: Kept in the ledger.
        key_file: The private key, where the vault was sealed for one.

    Returns:
        {"selection", "head", "details", "outcomes", "targets"}, the rows in the order of the vault.

    Raises:
        InputError: No such selection, or no reason.
        VaultRefused: It was not opened in full, or a file or key is not right.
    """
    wire.forbid_core_dumps()
    if not reason.strip():
        raise InputError("--reason", "is empty", next="say in a sentence why; it stays in the ledger")
    vault, selection = find_selection(prefix)
    with registry.on_disk(folder_of(vault), "nothing was disclosed"), FileLock(folder_of(vault) / ".opening.lock"):
        entries = registry.read_ledger(vault)
        result = find_entry(entries, "open.result", selection)
        predicted = find_entry(entries, "open.predicted", selection)
        if result is None or predicted is None or result.body["level"] != policies.FULL:
            what = "was not opened in full: there is nothing to disclose"
            raise VaultRefused(f"selection {selection[:8]}", what, next="holdfast vault status")
        ring = opening.check_sealed(vault, key_file)
        bits = wear.row_bits(int(result.body["n"])) * len(result.body["models"])
        is_known = find_entry(entries, "disclose", selection) is not None
        options = {"selection": selection, "opening": result.fields["opening"], "bits": 0.0 if is_known else bits}
        # Like an opening: the act is in the ledger before anything is decrypted, what it tells before it is told.
        registry.append(vault, "disclose", {"reason": reason}, **options)
        with frozen_copy(vault, selection) as (fields, _):
            predictions = opening.kept(vault, predicted, "predictions", ring)
            y = opening.open_y(vault, predicted, ring)
            scored = _score(fields, list(predictions), y, float(result.body["confidence"]))
        outcomes = opening.kept(vault, result, "outcomes", ring)
        body = {"reason": reason, "details": _short(scored.details)}
        entry = registry.append(vault, "disclose", body, **(options | {"bits": 0.0}))
    return {
        "selection": selection,
        "head": entry.sha256,
        "details": scored.details,
        "outcomes": outcomes.tolist(),
        "targets": y.tolist(),
    }


# --- the opening ------------------------------------------------------------------------------------------------------


def _intend(vault: str, selection: str, how: policies.Allowed, entries: Sequence[ledger.Entry]) -> ledger.Entry:
    """The durable intent of this selection: a new one at the head that was checked, or the one a crash left."""
    if intent := find_entry(entries, "open.intent", selection):
        return intent
    body = {"level": how.level, "reason": how.reason}
    head = entries[-1].sha256
    try:
        return registry.append(vault, "open.intent", body, selection=selection, opening=how.number, expected_head=head)
    except ledger.LedgerMoved:
        hint = "look at `holdfast vault status`, then try again"
        what = "another process wrote to its ledger; nothing was spent"
        raise VaultRefused(f"vault {vault[:8]}", what, next=hint) from None


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


def _predict(
    fields: Mapping[str, Any], intent: ledger.Entry, predictors: Sequence[processes.Predictor], ring: Ring
) -> tuple[ledger.Entry, NDArray[np.float32]]:
    """(models, n, ...) predictions: made now, or kept by an opening that was interrupted."""
    vault, selection = fields["vault"], str(intent.selection)
    if predicted := find_entry(registry.read_ledger(vault), "open.predicted", selection):
        predictions = opening.kept(vault, predicted, "predictions", ring)
        found, stated = sha256_hex(predictions.tobytes()), predicted.body["predictions"]
        if found != stated:
            raise opening.Mismatch("predictions", stated=stated, found=found)
        return predicted, predictions
    layout = read_manifest(folder_of(vault))[0]["parts"]["x"]
    columns = columns_of(fields["task"], fields["num_outputs"])
    predictions = np.stack(
        [one.predict(layout, opening.open_x(vault, intent, ring), columns, is_sealed=True) for one in predictors]
    )
    body = opening.keep(vault, intent, "predictions", predictions, ring)
    return _append(intent, "open.predicted", body | {"predictions": sha256_hex(predictions.tobytes())}), predictions


def _conclude(
    fields: Mapping[str, Any],
    how: policies.Allowed,
    predicted: ledger.Entry,
    predictions: NDArray[np.float32],
    ring: Ring,
) -> ledger.Entry:
    """Score, and record what the level of the opening lets out."""
    vault = fields["vault"]
    y = opening.open_y(vault, predicted, ring)
    policy = read_manifest(folder_of(vault))[0]["policy"]
    confidence = 1 - (1 - float(fields["confidence"])) / policies.share_of_alpha(policy)
    scored = _score(fields, list(predictions), y, confidence)
    before = float(registry.read_ledger(vault)[-1].fields["total_bits"])
    body, bits = _let_out(fields, how, scored, len(y))
    body |= {
        "n": len(y),
        "level": how.level,
        "reason": how.reason,
        "confidence": confidence,
        "changes": preflight.environment_changes(fields),
        "wear": {
            "bits_before": before,
            "delta": wear.DELTA,
            "half_width": wear.half_width(before, len(y)),
            "n_eff": wear.effective_rows(before, len(y)),
        },
    }
    if how.level == policies.FULL:
        body["outcomes"] = opening.keep(vault, predicted, "outcomes", scored.outcomes, ring)
    return _append(predicted, "open.result", body, bits=bits)


def _let_out(
    fields: Mapping[str, Any], how: policies.Allowed, scored: processes.Scored, num_rows: int
) -> tuple[dict[str, Any], float]:
    """What the ledger and the user are told, and how many bits that is."""
    first = scored.models[0]["metrics"]
    if how.level == policies.CRITERION:
        told = {"criterion": fields["criterion"], "passed": passes(fields["criterion"], first)}
        return {"metrics": {}, "criterion": told}, wear.PASS_BITS
    if how.level == policies.PRIMARY:
        name = fields["primary_metric"] if fields["primary_metric"] in first else next(iter(first))
        bits = wear.answer_bits(fields["task"], num_rows, fields["num_outputs"], [name])
        return {"metrics": {name: first[name]}}, bits
    models = [{"name": model["name"], "metrics": answers.in_order(model["metrics"])} for model in scored.models]
    told = {"metrics": first, "models": models, "comparisons": scored.comparisons}
    if fields["criterion"] is not None:
        told["criterion"] = {"criterion": fields["criterion"], "passed": passes(fields["criterion"], first)}
    bits = sum(
        wear.answer_bits(fields["task"], num_rows, fields["num_outputs"], list(model["metrics"])) for model in models
    )
    return told, bits + COMPARISON_BITS * len(scored.comparisons)


def _score(
    fields: Mapping[str, Any], predictions: list[NDArray[np.float32]], y: NDArray[Any], confidence: float
) -> processes.Scored:
    intervals = fields["intervals"]
    groups = opening.group_numbers(fields["vault"])
    return processes.score_models(
        predictions,
        y,
        sampling=Sampling(confidence, intervals["proportion"], groups, intervals["seed"]),
        models=[{"name": model["name"], "has_loss": model["has_loss"]} for model in fields["models"]],
        task=fields["task"],
        num_outputs=fields["num_outputs"],
        target_std=fields["target_std"],
        tolerance=PREDICTION_ATOL,
    )


def _short(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an entry of the ledger can hold: no confusion matrix of very many classes."""
    return [one if len(one["per_class"]) <= MAX_CLASSES else one | {"confusion": None} for one in details]


def _append(before: ledger.Entry, type: str, body: dict[str, Any], *, bits: float = 0.0) -> ledger.Entry:
    vault, number = str(before.fields["vault"]), before.fields["opening"]
    return registry.append(vault, type, body, selection=before.selection, opening=number, bits=bits)
