"""The one final evaluation: the test rows, once, in an order that a crash cannot turn round.

preflight (costs nothing) -> `open.intent` -> X to the predictor -> `open.predicted` -> y to the scorer -> `open.result`
-> the answer. With a result in the ledger the answer is read from there, and nothing is decrypted.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

import holdfast
from holdfast.core.errors import VaultRefused
from holdfast.core.files import sha256_hex
from holdfast.core.run_record import environment
from holdfast.evaluation import processes, wire
from holdfast.evaluation.freezing import VAL_PREDICTIONS, installed_versions, user_modules
from holdfast.evaluation.selections import find_selection, frozen_copy
from holdfast.evaluation.validation import PREDICTION_ATOL, columns_of, predict_val, val_rows
from holdfast.training.names import NAMES
from holdfast.vault import ledger, opening, registry
from holdfast.vault.manifest import folder_of, read_manifest
from holdfast.vault.wear import answer_bits

MIN_FREE_BYTES = 16 * 2**20
ORDER = tuple(dict.fromkeys(name for names in NAMES.values() for name in names))


@dataclass(frozen=True)
class Opened:
    """The answer, as `holdfast open --json` gives it; `head` is that of the ledger with the result in it."""

    selection: str
    vault: str
    opening: int
    n: int
    metrics: dict[str, dict[str, Any]]
    head: str
    replayed: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def open_vault(prefix: str) -> tuple[Opened, list[str]]:
    """Evaluate a frozen selection on the sealed rows, or repeat the answer it has.

    Args:
        prefix: Eight or more digits of the selection's id.

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
    what = "the opening could not be recorded; its result is printed when it is"
    with registry.on_disk(folder_of(vault), what), FileLock(folder_of(vault) / ".opening.lock"):
        entries = registry.read_ledger(vault)
        if result := _find(entries, "open.result", selection):
            return _answer(result, is_replayed=True), []
        _refuse_by_policy(vault, selection, entries)
        _refuse_multirun()
        opening.check_sealed(vault)
        _refuse_little_space(vault)
        with frozen_copy(vault, selection) as (fields, folder):
            changes = environment_changes(fields)
            with processes.Predictor(fields["members"], folder) as predictor:
                _refuse_other_predictions(predictor, fields, np.load(folder / VAL_PREDICTIONS, allow_pickle=False))
                intent = _intend(vault, selection, entries)
                predicted, predictions = _predict(vault, fields, intent, predictor)
        return _answer(_conclude(vault, fields, predicted, predictions, changes), is_replayed=False), changes


def environment_changes(fields: Mapping[str, Any]) -> list[str]:
    """What is not as it was at the freeze: versions, code, commit."""
    now = environment()
    found = []
    versions = {**now["versions"], **installed_versions()}
    for name in sorted(fields["versions"].keys() | versions.keys()):
        then, there = fields["versions"].get(name, "absent"), versions.get(name, "absent")
        if then != there:
            found.append(f"{name}: {then} -> {there}")
    if fields["framework"]["code_sha256"] != ledger.code_sha256():
        found.append(f"code of holdfast {fields['framework']['version']} -> {holdfast.__version__}")
    modules = user_modules(fields["config"])
    found += [f"module {name} changed" for name, sha256 in fields["modules"].items() if modules.get(name) != sha256]
    if fields["git"] != now["git"]:
        found.append("git commit or uncommitted changes")
    return found


# --- preflight --------------------------------------------------------------------------------------------------------


def _refuse_by_policy(vault: str, selection: str, entries: list[ledger.Entry]) -> None:
    if not registry.is_current(vault):
        raise VaultRefused(
            f"vault {vault[:8]}", "was replaced: its rows were sealed anew", next="holdfast vault status"
        )
    if not _find(entries, "freeze", selection):
        raise VaultRefused(
            f"selection {selection[:8]}", "is not in the ledger of its vault", next="holdfast freeze RUN"
        )
    other = next((e.selection for e in entries if e.type == "open.intent" and e.selection != selection), None)
    if other is None:
        return
    if not _find(entries, "refused", selection):
        registry.append(vault, "refused", {"reason": "policy once", "opened": other}, selection=selection)
    policy = read_manifest(folder_of(vault))[0]["policy"]["policy"]
    what = f"was opened with selection {other[:8]}, and its policy is {policy}"
    raise VaultRefused(f"vault {vault[:8]}", what, next=f"holdfast open {other[:8]} repeats its result")


def _refuse_multirun() -> None:
    if "hydra" not in sys.modules:
        return
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        raise VaultRefused("open", "a job of a sweep opens no vault", next="choose one run by its val score")


def _refuse_little_space(vault: str) -> None:
    free = shutil.disk_usage(folder_of(vault)).free
    if free < MIN_FREE_BYTES:
        what = f"{free / 2**20:.0f} MiB are free, {MIN_FREE_BYTES // 2**20} are needed to record an opening"
        raise VaultRefused(str(folder_of(vault)), what, next="free some space: nothing was decrypted")


def _refuse_other_predictions(
    predictor: processes.Predictor, fields: Mapping[str, Any], frozen: NDArray[np.float32]
) -> None:
    val = val_rows(fields["vault"], fields["split"], fields["val_sha256"])
    found = predict_val(predictor, val, columns_of(fields["task"], fields["num_outputs"]))
    scale = fields["target_std"] if fields["task"] == "regression" else 1.0
    worst = float(np.abs(found - frozen).max()) / scale if len(found) == len(frozen) else np.inf
    if not worst <= PREDICTION_ATOL:
        what = f"the models predict the val rows otherwise than when they were frozen (by {worst:.3g})"
        raise VaultRefused("preflight", what, next="restore the environment of the freeze; nothing was spent")


# --- the opening ------------------------------------------------------------------------------------------------------


def _intend(vault: str, selection: str, entries: list[ledger.Entry]) -> ledger.Entry:
    """The durable intent of this selection: a new one at the head that was checked, or the one a crash left."""
    if intent := _find(entries, "open.intent", selection):
        return intent
    number = 1 + sum(entry.type == "open.intent" for entry in entries)
    try:
        return registry.append(
            vault, "open.intent", {}, selection=selection, opening=number, expected_head=entries[-1].sha256
        )
    except ledger.LedgerMoved:
        hint = "look at `holdfast vault status`, then try again"
        raise VaultRefused(
            f"vault {vault[:8]}", "another process wrote to its ledger; nothing was spent", next=hint
        ) from None


def _predict(
    vault: str, fields: Mapping[str, Any], intent: ledger.Entry, predictor: processes.Predictor
) -> tuple[ledger.Entry, NDArray[np.float32]]:
    selection = str(intent.selection)
    if predicted := _find(registry.read_ledger(vault), "open.predicted", selection):
        predictions = opening.kept_predictions(vault, predicted)
        if sha256_hex(predictions.tobytes()) != predicted.body["predictions"]:
            raise VaultRefused(f"selection {selection[:8]}", "its predictions are not those of the ledger")
        return predicted, predictions
    layout = read_manifest(folder_of(vault))[0]["parts"]["x"]
    columns = columns_of(fields["task"], fields["num_outputs"])
    predictions = predictor.predict(layout, opening.open_x(vault, intent), columns, is_sealed=True)
    body = {
        "predictions": sha256_hex(predictions.tobytes()),
        "file": opening.keep_predictions(vault, intent, predictions),
        "shape": list(predictions.shape),
    }
    return _append(vault, "open.predicted", body, intent), predictions


def _conclude(
    vault: str,
    fields: Mapping[str, Any],
    predicted: ledger.Entry,
    predictions: NDArray[np.float32],
    changes: list[str],
) -> ledger.Entry:
    y = opening.open_y(vault, predicted)
    scored = processes.score(
        predictions,
        y,
        **{"task": fields["task"], "num_outputs": fields["num_outputs"], "target_std": fields["target_std"]},
        **{"has_loss": fields["has_loss"], "tolerance": PREDICTION_ATOL},
    )
    bits = answer_bits(fields["task"], len(y), fields["num_outputs"], list(scored["metrics"]))
    body = {"n": len(y), "metrics": scored["metrics"], "changes": changes}
    return _append(vault, "open.result", body, predicted, bits=bits)


def _append(vault: str, type: str, body: dict[str, Any], before: ledger.Entry, *, bits: float = 0.0) -> ledger.Entry:
    number = before.fields["opening"]
    return registry.append(vault, type, body, selection=before.selection, opening=number, bits=bits)


def _answer(result: ledger.Entry, *, is_replayed: bool) -> Opened:
    fields, body = result.fields, result.body
    return Opened(
        selection=str(result.selection),
        vault=str(fields["vault"]),
        opening=int(fields["opening"]),
        n=int(body["n"]),
        metrics={name: body["metrics"][name] for name in ORDER if name in body["metrics"]},
        head=result.sha256,
        replayed=is_replayed,
    )


def _find(entries: list[ledger.Entry], type: str, selection: str) -> ledger.Entry | None:
    return next((entry for entry in entries if entry.type == type and entry.selection == selection), None)
