"""The one final evaluation: the test rows, once, in an order that a crash cannot turn round.

preflight (costs nothing) -> `open.intent` -> X to the predictors -> `open.predicted` -> y to the scorer ->
`open.result` -> the answer. With a result in the ledger the answer is read from there, and nothing is decrypted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from holdfast.core.errors import HoldfastError, InputError, RunFailed, VaultRefused
from holdfast.core.files import sha256_hex
from holdfast.data.raw import read_piece
from holdfast.data.views import View, view_from_dict
from holdfast.evaluation import preflight, processes, wire
from holdfast.evaluation.answers import Opened, answer_of, find_entry
from holdfast.evaluation.letting_out import let_out
from holdfast.evaluation.resampling import Sampling
from holdfast.evaluation.selections import find_selections, frozen_copy, hashed_members, read_selection, sweep_copies
from holdfast.evaluation.validation import PREDICTION_ATOL, columns_of, load_val, refuse_other_predictions
from holdfast.vault import lifecycle, opening, policies, project_lock, registry
from holdfast.vault.keys.keyring import Ring
from holdfast.vault.ledger import leaked_bits, ledger, refusals
from holdfast.vault.manifest import folder_of, read_manifest

RECORDED = "the opening could not be recorded; its result is printed when it is"

__all__ = ["Opened", "open_together", "open_vault", "score_rows"]


@dataclass
class _Act:
    """One selection on its way: what was frozen, how it may be opened, and what is in the ledger so far."""

    selection: str
    how: policies.Allowed
    fields: dict[str, Any]
    predictors: list[processes.Predictor]
    intent: ledger.Entry | None = None
    predicted: ledger.Entry | None = None
    predictions: NDArray[np.float32] | None = None


def open_vault(prefix: str, *, reason: str | None = None, key_file: Path | None = None) -> tuple[Opened, list[str]]:
    """Evaluate one frozen selection on the sealed rows, or repeat the answer it has; as `open_together`."""
    return open_together([prefix], reason=reason, key_file=key_file)[0]


def open_together(
    prefixes: Sequence[str], *, reason: str | None = None, key_file: Path | None = None
) -> list[tuple[Opened, list[str]]]:
    """Evaluate frozen selections on the sealed rows at once, or repeat the answers they have.

    Opened in full together, all their models are compared with the first model of the first selection.

    Args:
        prefixes: Eight or more digits of each selection's id.
        reason: Why a vault that was opened is opened again: at the level of the primary metric, not a clean test.
        key_file: The private key, where the vault was sealed for one.

    Returns:
        The answers, and what has changed in the environment since each freeze.

    Raises:
        InputError: No such selection, one is named twice, or they are of several vaults.
        VaultRefused: The policy, the ledger, a file, a key or the val score is against it; nothing was spent.
        RunFailed: The models failed on the test rows; the same selections can be opened again.
    """
    wire.forbid_core_dumps()
    vault, selections = find_selections(prefixes)
    # The ledger decides; the lock only makes a second process on this machine wait for the answer.
    with registry.on_disk(folder_of(vault), RECORDED), FileLock(folder_of(vault) / ".opening.lock"):
        entries = registry.read_ledger(vault)
        preflight.refuse_disorder(vault, entries)
        preflight.refuse_other_lock(vault, Path.cwd())
        results = {one: find_entry(entries, "open.result", one) for one in selections}
        waiting = [one for one, result in results.items() if result is None]
        if waiting:
            hows = preflight.allowed_openings(vault, waiting, entries, reason)
            preflight.refuse_multirun()
            preflight.refuse_training()
            preflight.refuse_little_space(vault)
            results |= _open(vault, hows, entries, opening.check_sealed(vault, key_file))
            with contextlib.suppress(VaultRefused):  # the result is recorded, and is told whatever becomes of the lock
                project_lock.note_here(vault, "open")
        answers = []
        for one, result in results.items():
            assert result is not None
            is_replayed = one not in waiting
            answers.append((answer_of(result, is_replayed=is_replayed), [] if is_replayed else result.body["changes"]))
        return answers


# --- the opening ------------------------------------------------------------------------------------------------------


def _open(
    vault: str, hows: Mapping[str, policies.Allowed], entries: Sequence[ledger.Entry], ring: Ring
) -> dict[str, ledger.Entry]:
    """All intents before any row, all predictions before any target; the results by selection."""
    sweep_copies(vault)
    if len(hows) > 1:
        _refuse_other_classes(vault, list(hows))
    with contextlib.ExitStack() as stack:
        acts = [_prepare(stack, vault, selection, how) for selection, how in hows.items()]
        head = entries[-1].sha256
        for act in acts:
            act.intent = _intend(vault, act, entries, head)
            head = act.intent.sha256 if act.intent.index > entries[-1].index else head
        for act in acts:
            assert act.intent is not None
            with _mismatches_noted(act.intent), _failures_noted(act.intent):
                act.predicted, act.predictions = _predict(act.fields, act.intent, act.predictors, ring)
    found: dict[str, ledger.Entry] = {}
    for act in acts:
        assert act.predicted is not None
        with _mismatches_noted(act.predicted):
            found[act.selection] = _conclude(act, acts, ring)
    return found


def _refuse_other_classes(vault: str, selections: Sequence[str]) -> None:
    """Models of other classes or another task cannot be compared row by row.

    Raises:
        InputError: Some of the selections cannot be opened together; nothing was spent.
    """
    kinds = {}
    for one in selections:
        fields = read_selection(vault, one)
        kinds[one] = (fields["task"], fields["num_outputs"])
    first = selections[0]
    for one, kind in kinds.items():
        if kind != kinds[first]:
            what = f"{one[:8]} has another task or other classes than {first[:8]}"
            raise InputError("open", what, next="open them one after the other")


def _prepare(stack: contextlib.ExitStack, vault: str, selection: str, how: policies.Allowed) -> _Act:
    """Load the models of a selection and have them predict the val rows as they did at the freeze."""
    fields, folder = stack.enter_context(frozen_copy(vault, selection))
    predictors = [
        stack.enter_context(processes.Predictor(hashed_members(fields, model), folder)) for model in fields["models"]
    ]
    for predictor, model in zip(predictors, fields["models"], strict=True):
        refuse_other_predictions(predictor, fields, model, folder, load_val(fields, model))
    return _Act(selection, how, fields, predictors)


def _intend(vault: str, act: _Act, entries: Sequence[ledger.Entry], head: str) -> ledger.Entry:
    """The durable intent of a selection: a new one at the head that was checked, or the one a crash left."""
    selection, how = act.selection, act.how
    if intent := find_entry(entries, "open.intent", selection):
        return intent
    body = {"level": how.level, "reason": how.reason}
    try:
        return registry.append(vault, "open.intent", body, selection=selection, opening=how.number, expected_head=head)
    except ledger.LedgerMoved:
        hint = "look at `holdfast vault status`, then try again"
        what = "another process wrote to its ledger; nothing was decrypted"
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


@contextlib.contextmanager
def _failures_noted(intent: ledger.Entry) -> Iterator[None]:
    """Note in the ledger, not too often, that models failed on the test rows: a failure can be an answer."""
    try:
        yield
    except RunFailed as error:
        body = {"reason": error.problems[0].what, "opening": intent.fields["opening"]}
        refusals.note_refusal(str(intent.fields["vault"]), body, selection=intent.selection)
        raise


def _predict(
    fields: Mapping[str, Any], intent: ledger.Entry, predictors: Sequence[processes.Predictor], ring: Ring
) -> tuple[ledger.Entry, NDArray[np.float32]]:
    """(models, n, ...) predictions: made now, or kept by an opening that was interrupted."""
    vault, selection = fields["vault"], str(intent.selection)
    if predicted := find_entry(registry.read_ledger(vault), "open.predicted", selection):
        predictions = opening.kept(vault, predicted, "predictions", ring)
        sha256, stated = sha256_hex(predictions.tobytes()), predicted.body["predictions"]
        if sha256 != stated:
            raise opening.Mismatch("predictions", stated=stated, found=sha256)
        return predicted, predictions
    sealed = read_manifest(folder_of(vault))[0]["parts"]["x"]
    columns = columns_of(fields["task"], fields["num_outputs"])
    found: list[NDArray[np.float32]] = []
    cells: list[dict[str, int]] = []
    for predictor, model in zip(predictors, fields["models"], strict=True):
        rows = SealedRows(view_from_dict(model["view"]), sealed)
        blocks = rows.blocks(opening.open_x(vault, intent, ring))
        found.append(predictor.predict(rows.layout, blocks, columns, is_sealed=True))
        cells.append({"unreadable": rows.unreadable, "unknown": rows.unknown})
    predictions = np.stack(found)
    body = opening.keep(vault, intent, "predictions", predictions, ring)
    body |= {"predictions": sha256_hex(predictions.tobytes()), "cells": cells}
    return _append(intent, "open.predicted", body), predictions


class SealedRows:
    """Sealed rows through the view of a model; cells that it cannot read are counted.

    Attributes:
        layout: {"dtype", "shape"} of all rows.
        unreadable: Cells that count as missing.
        unknown: Cells that are texts which no category of the view stands for.
    """

    def __init__(self, view: View, sealed: Mapping[str, Any]) -> None:
        self._view, self._sealed = view, dict(sealed)
        self.layout = {"dtype": np.dtype(view.dtype).newbyteorder("<").str, "shape": [sealed["rows"], *view.shape]}
        self.unreadable = self.unknown = 0

    def blocks(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The bytes of the rows as the model takes them."""
        for piece in pieces:
            viewed = self._view.rows(read_piece(self._sealed, piece))
            self.unreadable += 0 if viewed.is_unreadable is None else int(viewed.is_unreadable.sum())
            self.unknown += int(viewed.unknown.sum())
            yield wire.little_endian(viewed.x).tobytes()


def _conclude(act: _Act, acts: Sequence[_Act], ring: Ring) -> ledger.Entry:
    """Score, and record what the level of the opening lets out; the first act compares the models of all."""
    fields, how, predicted = act.fields, act.how, act.predicted
    assert predicted is not None
    vault = fields["vault"]
    y = opening.open_y(vault, predicted, ring)
    policy = read_manifest(folder_of(vault))[0]["policy"]
    confidence = 1 - (1 - float(fields["confidence"])) / (policy["k"] or 1)  # alpha / K under the policy batch
    scored = score_rows(fields, _predictions_of([act]), y, confidence)
    if len(acts) > 1 and how.level == policies.FULL:
        others = score_rows(_joined(acts), _predictions_of(acts), y, confidence).comparisons if act is acts[0] else []
        scored = replace(scored, comparisons=others)
    before = sum(_total_bits(one) for one in lifecycle.family_of(vault))
    body, bits = let_out(fields, how, scored, len(y))
    body |= {
        "n": len(y),
        "level": how.level,
        "reason": how.reason,
        "cells": predicted.body["cells"],
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
    if how.level == policies.FULL:
        body["outcomes"] = opening.keep(vault, predicted, "outcomes", scored.outcomes, ring)
    return _append(predicted, "open.result", body, bits=bits)


def _total_bits(vault: str) -> float:
    """Bits of the test rows that a vault has let out; 0 where its ledger is not here any more."""
    try:
        return float(registry.read_ledger(vault)[-1].fields["total_bits"])
    except HoldfastError:
        return 0.0


def _predictions_of(acts: Sequence[_Act]) -> list[NDArray[np.float32]]:
    return [one for act in acts if act.predictions is not None for one in act.predictions]


def _joined(acts: Sequence[_Act]) -> dict[str, Any]:
    """What the first selection says, with the models of all; equal names are told apart by their selection."""
    pairs = [(act.selection, model) for act in acts for model in act.fields["models"]]
    names = [model["name"] for _, model in pairs]
    models = [
        {**model, "name": name if names.count(name) == 1 else f"{name} ({selection[:8]})"}
        for (selection, model), name in zip(pairs, names, strict=True)
    ]
    return {**acts[0].fields, "models": models}


def score_rows(
    fields: Mapping[str, Any], predictions: list[NDArray[np.float32]], y: NDArray[Any], confidence: float
) -> processes.Scored:
    """Score the models of a selection on its rows, with intervals."""
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


def _append(before: ledger.Entry, type: str, body: dict[str, Any], *, bits: float = 0.0) -> ledger.Entry:
    vault, number = str(before.fields["vault"]), before.fields["opening"]
    return registry.append(vault, type, body, selection=before.selection, opening=number, bits=bits)
