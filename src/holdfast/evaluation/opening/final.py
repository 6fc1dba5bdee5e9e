"""The one final evaluation: the test rows, once, in an order that a crash cannot turn round.

preflight (costs nothing) -> `open.intent` -> X to the predictors -> `open.predicted` -> y to the scorer ->
`open.result` -> the answer. With a result in the ledger the answer is read from there, and nothing is decrypted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from holdfast.core.child import forbid_core_dumps
from holdfast.core.errors import HoldfastError, InputError, RunFailed, VaultRefused
from holdfast.core.files import sha256_hex
from holdfast.core.messages import ArrayBlocks
from holdfast.core.tasks import task_of
from holdfast.data.raw import read_piece
from holdfast.data.views import View, view_from_dict
from holdfast.evaluation import processes
from holdfast.evaluation.freeze.validation import load_val, refuse_other_predictions
from holdfast.evaluation.opening import preflight
from holdfast.evaluation.opening.result import Opened, answer_of, find_entry, select_result
from holdfast.evaluation.selections import find_selections, frozen_copy, hashed_members, read_selection, sweep_copies
from holdfast.vault import lifecycle, opening, policies, project_lock, refusals, registry
from holdfast.vault.keys.keyring import Ring
from holdfast.vault.ledger import leaked_bits, ledger
from holdfast.vault.manifest import folder_of, read_manifest

RECORDED = "the opening could not be recorded; its result is printed when it is"

__all__ = ["Opened", "open_together", "open_vault"]


@dataclass(frozen=True)
class _Act:
    """One selection on its way: what was frozen, how it may be opened, and the processes that predict with it."""

    selection: str
    allowed: policies.Allowed
    fields: dict[str, Any]
    predictors: list[processes.Predictor]


@dataclass(frozen=True, eq=False)
class _Predicted:
    """The predictions of a selection, (models, n, ...), with the entry that states their hash."""

    entry: ledger.Entry
    predictions: NDArray[np.float32]


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
    forbid_core_dumps()
    vault, selections = find_selections(prefixes)
    # The ledger decides; the lock only makes a second process on this machine wait for the answer.
    with registry.on_disk(folder_of(vault), RECORDED), FileLock(folder_of(vault) / ".opening.lock"):
        entries = registry.read_ledger(vault)
        preflight.refuse_disorder(vault, entries)
        preflight.refuse_other_lock(vault, Path.cwd())
        results = {selection: find_entry(entries, "open.result", selection) for selection in selections}
        waiting = [selection for selection, result in results.items() if result is None]
        if waiting:
            allowed = preflight.allowed_openings(vault, waiting, entries, reason)
            preflight.refuse_multirun()
            preflight.refuse_training()
            preflight.refuse_little_space(vault)
            results |= _open(vault, allowed, entries, opening.check_sealed(vault, key_file))
            with contextlib.suppress(VaultRefused):  # the result is recorded, and is told whatever becomes of the lock
                project_lock.note_here(vault, "open")
        answers = []
        for selection, result in results.items():
            assert result is not None
            is_replayed = selection not in waiting
            answers.append((answer_of(result, is_replayed=is_replayed), [] if is_replayed else result.body["changes"]))
        return answers


# --- the opening ------------------------------------------------------------------------------------------------------


def _open(
    vault: str, allowed: Mapping[str, policies.Allowed], entries: Sequence[ledger.Entry], ring: Ring
) -> dict[str, ledger.Entry]:
    """All intents before any row, all predictions before any target; the results by selection."""
    sweep_copies(vault)
    if len(allowed) > 1:
        _refuse_other_classes(vault, list(allowed))
    with contextlib.ExitStack() as stack:
        acts = [_prepare(stack, vault, *chosen) for chosen in allowed.items()]
        intents: list[ledger.Entry] = []
        for act in acts:
            intents.append(_intend(vault, act, [*entries, *intents]))
        predicted = [_predict(act, intent, ring) for act, intent in zip(acts, intents, strict=True)]
    return {act.selection: _conclude(index, acts, predicted, ring) for index, act in enumerate(acts)}


def _refuse_other_classes(vault: str, selections: Sequence[str]) -> None:
    """Models of other classes or another task cannot be compared row by row.

    Raises:
        InputError: Some of the selections cannot be opened together; nothing was spent.
    """
    kinds = {}
    for selection in selections:
        fields = read_selection(vault, selection)
        kinds[selection] = (fields["task"], fields["num_outputs"])
    first = selections[0]
    for selection, kind in kinds.items():
        if kind != kinds[first]:
            problem = f"{selection[:8]} has another task or other classes than {first[:8]}"
            raise InputError("open", problem, next="open them one after the other")


def _prepare(stack: contextlib.ExitStack, vault: str, selection: str, allowed: policies.Allowed) -> _Act:
    """Load the models of a selection and have them predict the val rows as they did at the freeze."""
    fields, folder = stack.enter_context(frozen_copy(vault, selection))
    predictors = [
        stack.enter_context(processes.Predictor(hashed_members(fields, model), folder)) for model in fields["models"]
    ]
    for predictor, model in zip(predictors, fields["models"], strict=True):
        refuse_other_predictions(predictor, fields, model, folder, load_val(fields, model))
    return _Act(selection, allowed, fields, predictors)


def _intend(vault: str, act: _Act, entries: Sequence[ledger.Entry]) -> ledger.Entry:
    """The durable intent of a selection: a new one at the head that was checked, or the one a crash left."""
    selection, allowed = act.selection, act.allowed
    if intent := find_entry(entries, "open.intent", selection):
        return intent
    body = {"level": allowed.level, "reason": allowed.reason}
    head = max(entries, key=lambda entry: entry.index).sha256
    try:
        return registry.append(
            vault, "open.intent", body, selection=selection, opening=allowed.number, expected_head=head
        )
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
        refusals.note_refusal(str(intent.fields["vault"]), body, selection=intent.selection)
        raise


def _predict(act: _Act, intent: ledger.Entry, ring: Ring) -> _Predicted:
    """Predictions that are made now, or were kept by an opening that was interrupted."""
    fields, vault = act.fields, act.fields["vault"]
    with _mismatches_noted(intent), _failures_noted(intent):
        if entry := find_entry(registry.read_ledger(vault), "open.predicted", act.selection):
            predictions = opening.kept(vault, entry, "predictions", ring)
            sha256, stated = sha256_hex(predictions.tobytes()), entry.body["predictions"]
            if sha256 != stated:
                raise opening.Mismatch("predictions", stated=stated, found=sha256)
            return _Predicted(entry, predictions)
        sealed = read_manifest(folder_of(vault))[0]["parts"]["x"]
        columns = task_of(fields["task"]).row_shape(fields["num_outputs"])
        of_models: list[NDArray[np.float32]] = []
        cells: list[dict[str, int]] = []
        for predictor, model in zip(act.predictors, fields["models"], strict=True):
            rows = SealedRows(view_from_dict(model["view"]), sealed)
            blocks = rows.blocks(opening.open_x(vault, intent, ring))
            of_models.append(predictor.predict(blocks, columns, is_sealed=True))
            cells.append({"unreadable": rows.unreadable, "unknown": rows.unknown})
        predictions = np.stack(of_models)
        body = opening.keep(vault, intent, "predictions", predictions, ring)
        body |= {"predictions": sha256_hex(predictions.tobytes()), "cells": cells}
        return _Predicted(_append(intent, "open.predicted", body), predictions)


class SealedRows:
    """Sealed rows through the view of a model; cells that it cannot read are counted.

    Attributes:
        unreadable: Cells that count as missing.
        unknown: Cells that are texts which no category of the view stands for.
    """

    def __init__(self, view: View, sealed: Mapping[str, Any]) -> None:
        self._view, self._sealed = view, dict(sealed)
        self.unreadable = self.unknown = 0

    def blocks(self, pieces: Iterator[bytes]) -> ArrayBlocks:
        """The rows as the model takes them."""
        shape = (self._sealed["rows"], *self._view.shape)
        return ArrayBlocks(np.dtype(self._view.dtype), shape, self._viewed(pieces))

    def _viewed(self, pieces: Iterator[bytes]) -> Iterator[NDArray[Any]]:
        for piece in pieces:
            viewed = self._view.rows(read_piece(self._sealed, piece))
            self.unreadable += 0 if viewed.is_unreadable is None else int(viewed.is_unreadable.sum())
            self.unknown += int(viewed.unknown.sum())
            yield viewed.x


def _conclude(index: int, acts: Sequence[_Act], predicted: Sequence[_Predicted], ring: Ring) -> ledger.Entry:
    """Score, and record what the level of the opening lets out; the first act compares the models of all."""
    fields, allowed, entry = acts[index].fields, acts[index].allowed, predicted[index].entry
    vault = fields["vault"]
    with _mismatches_noted(entry):
        y = opening.open_y(vault, entry, ring)
    policy = read_manifest(folder_of(vault))[0]["policy"]
    confidence = 1 - (1 - float(fields["confidence"])) / (policy["k"] or 1)  # alpha / K under the policy batch
    score = functools.partial(processes.score, y=y, confidence=confidence, groups=opening.group_numbers(vault))
    scored = score(fields, [*predicted[index].predictions])
    if len(acts) > 1 and allowed.level == policies.FULL:
        everything = [predictions for made in predicted for predictions in made.predictions]
        scored = replace(scored, comparisons=[] if index else score(_joined(acts), everything).comparisons)
    before = sum(_total_bits(relative) for relative in lifecycle.family_of(vault))
    body, bits = select_result(fields, allowed.level, scored, len(y))
    body |= {
        "n": len(y),
        "level": allowed.level,
        "reason": allowed.reason,
        "cells": entry.body["cells"],
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


def _joined(acts: Sequence[_Act]) -> dict[str, Any]:
    """The first selection with the models of all; equal names are told apart by their selection."""
    pairs = [(act.selection, model) for act in acts for model in act.fields["models"]]
    names = [model["name"] for _, model in pairs]
    models = [
        {**model, "name": name if names.count(name) == 1 else f"{name} ({selection[:8]})"}
        for (selection, model), name in zip(pairs, names, strict=True)
    ]
    return {**acts[0].fields, "models": models}


def _append(before: ledger.Entry, type: str, body: dict[str, Any], *, bits: float = 0.0) -> ledger.Entry:
    vault, number = str(before.fields["vault"]), before.fields["opening"]
    return registry.append(vault, type, body, selection=before.selection, opening=number, bits=bits)
