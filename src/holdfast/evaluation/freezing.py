"""Freezing: a run is chosen by its val score. Its files are copied; everything that decides the outcome is hashed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import holdfast
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import canonical_json, sha256_file, sha256_hex, sync_folder, write_atomic
from holdfast.core.run_record import FILE_NAME, environment, read_run
from holdfast.data.targets import find_module_file
from holdfast.evaluation import processes
from holdfast.evaluation.statistics import CONFIDENCE
from holdfast.evaluation.validation import (
    columns_of,
    has_standard_loss,
    predict_val,
    refuse_other_scores,
    tolerance_of,
    val_rows,
    val_targets,
)
from holdfast.vault import ledger, registry
from holdfast.vault.manifest import folder_of
from holdfast.vault.verify import SELECTION_FILE

VERSION = 1
STAGING = ".freezing-"
VAL_PREDICTIONS = "val_predictions.npy"
LIBRARIES = ("holdfast", "torch", "pytorch_lightning", "torchmetrics", "kornia")
ATTEMPTS = 20
STALE_S = 86_400


@dataclass(frozen=True)
class Frozen:
    """A selection: its id, its vault, the val metrics it was chosen by, and whether it was frozen before."""

    selection: str
    vault: str
    val: dict[str, float]
    is_new: bool


@dataclass(frozen=True)
class Model:
    """One model of a run or an ensemble: its folder and record, its weights, and their hash where one was noted."""

    folder: Path
    record: Mapping[str, Any]
    checkpoint: str
    weight: float
    sha256: str | None


def freeze_run(run: Path) -> Frozen:
    """Freeze a completed run or ensemble against the vault of its data.

    Raises:
        InputError: It is no completed run.
        VaultRefused: It belongs to a former vault, a file is missing, changed or outside, or the val score of the
            record is not that of the files.
    """
    record = read_run(run)
    _refuse_unfinished(run, record)
    vault = str(record["data"]["vault"])
    _refuse_former(run, vault)
    selections = folder_of(vault) / "selections"
    staging = selections / f"{STAGING}{secrets.token_hex(8)}"
    try:
        staging.mkdir(parents=True)
        members = [_copy_member(staging / "members" / str(i), source) for i, source in enumerate(_models(run, record))]
        fields = _describe(record, vault, members)
        fields.update(_validate(record, fields, staging))
        fields["files"] = {name: sha256_file(staging / name) for name in sorted(_files(staging))}
        return _enter(staging, fields)
    except OSError as error:
        where, what = str(error.filename or selections), f"cannot be frozen ({error.strerror})"
        raise VaultRefused(where, what, next="free some space or mend the disk, then try again") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


# --- what may be frozen -----------------------------------------------------------------------------------------------


def _refuse_unfinished(run: Path, record: Mapping[str, Any]) -> None:
    if record["status"] != "completed":
        hint = f"python train.py resume={run}" if record["status"] == "interrupted" else "choose another run"
        raise InputError(str(run), f"is {record['status']}", allowed="completed", next=hint)
    if not record["best"] or not record["data"]:
        raise InputError(str(run), "has no val score", next="choose another run")


def _refuse_former(run: Path, vault: str) -> None:
    try:
        record = registry.record_of(vault)
    except InputError:
        what = f"belongs to vault {vault[:8]}, which is not in this HOLDFAST_HOME"
        raise VaultRefused(
            str(run), what, next="set HOLDFAST_HOME to where it was trained, or train it again"
        ) from None
    if record["status"] != "sealed":
        what = f"belongs to the former vault {vault[:8]}: its rows were sealed anew as {str(record['replaced_by'])[:8]}"
        raise VaultRefused(str(run), what, next="train it again with the split that is in force")


def _models(run: Path, record: Mapping[str, Any]) -> list[Model]:
    if record["kind"] != "ensemble":
        return [Model(run, record, str(record["best"]["checkpoint"]), 1.0, None)]
    found: list[Model] = []
    for member in record["ensemble"]["members"]:
        folder = run / member["run"]
        one = read_run(folder)
        for name in ("vault", "val_sha256"):
            if one["data"][name] != record["data"][name]:
                raise VaultRefused(str(folder), f"has another {name} than the ensemble")
        found.append(Model(folder, one, str(member["checkpoint"]), float(member["weight"]), str(member["sha256"])))
    return found


def _copy_member(target: Path, model: Model) -> dict[str, Any]:
    for name in (FILE_NAME, model.checkpoint):
        source = _inside(model.folder, name)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)
        descriptor = os.open(target / name, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    if model.sha256 is not None and sha256_file(target / model.checkpoint) != model.sha256:
        where = str(model.folder / model.checkpoint)
        raise VaultRefused(where, "was changed since the ensemble was made", next="make the ensemble again")
    place = {"folder": f"members/{target.name}", "checkpoint": model.checkpoint, "weight": model.weight}
    return {**place, "run": model.record["id"], "seed": model.record["seed"]}


def _inside(folder: Path, name: str) -> Path:
    """A file of a run, which must lie in the run's folder itself."""
    path = folder / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        raise VaultRefused(str(path), "leaves the run's folder", next="freeze a run whose files are its own")
    if not path.is_file():
        raise VaultRefused(str(path), "is missing", next="train the run again")
    return path


# --- what is frozen ---------------------------------------------------------------------------------------------------


def _describe(record: Mapping[str, Any], vault: str, members: list[dict[str, Any]]) -> dict[str, Any]:
    data, now = record["data"], environment()
    return {
        **{"version": VERSION, "vault": vault, "name": data["name"], "run": record["id"], "kind": record["kind"]},
        **{"task": data["task"], "num_outputs": data["num_outputs"], "members": members, "config": record["config"]},
        **{
            "versions": {**now["versions"], **installed_versions()},
            "git": now["git"],
            "modules": user_modules(record["config"]),
        },
        "framework": {"version": holdfast.__version__, "code_sha256": ledger.code_sha256()},
        **{"primary_metric": str(record["best"]["monitor"]).removeprefix("val/"), "confidence": CONFIDENCE},
        **{"intervals": {"accuracy": "wilson"}, "thresholds": {"binary": 0.5, "multilabel": 0.5}},
        "selection_rule": {"monitor": record["best"]["monitor"], "mode": record["best"]["mode"]},
        **{"val": record["best"]["metrics"], "val_sha256": data["val_sha256"]},
        **{"trials": None, "pretrained": [], "criterion": None},
    }


def _validate(record: Mapping[str, Any], fields: Mapping[str, Any], staging: Path) -> dict[str, Any]:
    """Reproduce the val score from the copies; keep the predictions, to compare with when the vault is opened."""
    runs = [json.loads((staging / member["folder"] / FILE_NAME).read_bytes()) for member in fields["members"]]
    split = runs[0]["config"]["split"]
    val = val_rows(fields["vault"], split, fields["val_sha256"])
    tolerance = max(map(tolerance_of, runs))
    # An ensemble states its loss in the same way whatever its members minimised.
    has_loss = record["kind"] == "ensemble" or has_standard_loss(record["config"])
    with processes.Predictor(fields["members"], staging) as predictor:
        predictions = predict_val(predictor, val, columns_of(fields["task"], fields["num_outputs"]))
    scored = processes.score(
        predictions,
        val_targets(val),
        task=fields["task"],
        num_outputs=fields["num_outputs"],
        target_std=val.target_std,
        has_loss=has_loss,
        tolerance=tolerance,
        use_intervals=False,
    )
    refuse_other_scores(fields["val"], scored, tolerance)
    with (staging / VAL_PREDICTIONS).open("xb") as file:
        np.save(file, predictions, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return {"metrics": list(scored["metrics"]), "has_loss": has_loss, "target_std": val.target_std, "split": split}


def installed_versions() -> dict[str, str]:
    """Every installed distribution with its version."""
    found = {str(dist.metadata["Name"]): str(dist.version) for dist in importlib.metadata.distributions()}
    return dict(sorted(found.items()))


def user_modules(config: Mapping[str, Any]) -> dict[str, str]:
    """The source of every module that the config names and that is neither ours nor installed."""
    found: dict[str, str] = {}
    for target in sorted(set(_targets(config))):
        path = None if target.split(".")[0] in LIBRARIES else find_module_file(target)
        if path is None or {"site-packages", "dist-packages"} & set(path.parts):
            continue
        package = path.parent if (path.parent / "__init__.py").exists() else None
        for file in sorted(package.rglob("*.py")) if package else [path]:
            found[f"{target.rpartition('.')[0]}:{file.relative_to(path.parent).as_posix()}"] = sha256_file(file)
    return found


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _targets(item)


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- entering ---------------------------------------------------------------------------------------------------------


def _enter(staging: Path, fields: dict[str, Any]) -> Frozen:
    """Give the selection its name and its place in the ledger, or find it there."""
    vault = fields["vault"]
    with registry.locked():
        _sweep(staging.parent)
        _refuse_former(Path(fields["run"]), vault)
        for _ in range(ATTEMPTS):
            entries = registry.read_ledger(vault)
            if known := _same_selection(vault, fields, entries):
                return Frozen(known, vault, fields["val"], is_new=False)
            content = canonical_json({**fields, "ledger_head": entries[-1].sha256})
            selection = sha256_hex(content)
            folder = folder_of(vault) / "selections" / selection
            write_atomic(staging / SELECTION_FILE, content)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(staging, folder)
            sync_folder(folder.parent)
            body = {
                "name": fields["name"],
                "run": fields["run"],
                "val": fields["val"],
                "rule": fields["selection_rule"],
            }
            try:
                registry.append(vault, "freeze", body, selection=selection, expected_head=entries[-1].sha256)
            except ledger.LedgerMoved:
                os.rename(folder, staging)
                continue
            return Frozen(selection, vault, fields["val"], is_new=True)
    raise VaultRefused(f"vault {vault[:8]}", "its ledger moved on every attempt", next="try again")


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
