"""Freezing: models are chosen by their val scores. Their files are copied; all that decides the outcome is hashed."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import holdfast
from holdfast.config.provenance import installed_versions, user_modules
from holdfast.core.advice import setting
from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import new_file, sha256_file
from holdfast.core.metrics import METRICS, metrics_of
from holdfast.core.run_record import check_predicts, environment, read_run
from holdfast.core.sweep_folder import sweep_of
from holdfast.core.tasks import task_of
from holdfast.data import views
from holdfast.data.loading.train_val import RunRows, rows_of_run
from holdfast.evaluation import processes
from holdfast.evaluation.criterion import parse_criterion
from holdfast.evaluation.freeze import validation
from holdfast.evaluation.freeze.run_files import Copied, copy_run
from holdfast.evaluation.freeze.sealed_rows import pretraining_of, refuse_sealed_rows, refuse_sealed_train_rows
from holdfast.evaluation.freeze.trials import describe_trials
from holdfast.evaluation.selections import STAGING, add_selection, refuse_former
from holdfast.evaluation.statistics.intervals import INTERVALS
from holdfast.evaluation.statistics.sampling import CONFIDENCE
from holdfast.training.metric_names import metric_and_target
from holdfast.vault import known_rows, project_lock, registry
from holdfast.vault.ledger import ledger
from holdfast.vault.manifest import folder_of, read_manifest
from holdfast.vault.rows.digest_sets import Fingerprints

VERSION = 3
SHARED = {
    "vault": "another vault",
    "val_sha256": "other val rows: val scores cannot be compared",
    "task": "another task",
    "num_outputs": "another number of outputs",
    "subset": "another part of the train rows",
}


@dataclass(frozen=True)
class Frozen:
    """A selection."""

    selection: str  # its id
    vault: str  # whose test rows it may be opened on
    val: dict[str, float]  # val metrics of the first model, the one chosen
    is_new: bool  # False where the same files were frozen before
    models: tuple[dict[str, Any], ...] = ()  # {"folder", "name", "val", "trials"} of every model, the best by val first
    criterion: str | None = None  # what must hold, if anything


def freeze_runs(runs: Sequence[Path], criterion: str | None = None) -> Frozen:
    """Freeze completed runs or ensembles together against the vault of their data.

    Of several, under the policy batch, the best by val is named first and compared with the others.

    Raises:
        InputError: One is no completed run, or they are of different data.
        VaultRefused: They belong to a former vault; a file is missing, changed or outside; the val score of the record
            is not that of the files; predictions depend on the batch; statistics are not those of the train rows; a
            checkpoint holds sealed rows.
    """
    records = [_completed(run) for run in runs]
    vault = _common_vault(runs, records)
    if len(runs) > 1:
        runs, records = _best_first(runs, records)
    task = str(records[0]["data"]["task"])
    goal = None if criterion is None else str(parse_criterion(criterion, task))
    _refuse_by_policy(vault, len(runs), goal)
    project_lock.refuse_other_ledger(vault, Path.cwd(), *runs)
    projects = project_lock.projects_of(vault, Path.cwd(), *runs)
    selections = folder_of(vault) / "selections"
    staging = selections / f"{STAGING}{secrets.token_hex(8)}"
    try:
        staging.mkdir(parents=True)
        names = _names(runs, records)
        copies = [copy_run(staging, i, run, record) for i, (run, record) in enumerate(zip(runs, records, strict=True))]
        fields = _describe(records[0], vault, copies[0], goal)
        fields["pretrained"] = pretraining_of([record for copied in copies for record in copied.records], vault)
        vals = [rows_of_run(fields["split"], copied.record["data"], anew=True) for copied in copies]
        fields["models"] = []
        for name, copied, val in zip(names, copies, vals, strict=True):
            model = {"name": name, **_freeze_model(copied, val, staging)}
            fields["models"].append(model)
            targets = {name: model["config"]["metrics"][name]["_target_"] for name in model["own_metrics"]}
            fields["definitions"] |= {name: f"{target}, a class of the user's own" for name, target in targets.items()}
        fields |= {"target_std": vals[0].target_std, "intervals": INTERVALS}
        files = sorted(path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file())
        fields["files"] = {file: sha256_file(staging / file) for file in files}
        selection, is_new = add_selection(staging, fields, projects)
    except OSError as error:
        where, problem = str(error.filename or selections), f"cannot be frozen ({error.strerror})"
        raise VaultRefused(where, problem, next="free some space or mend the disk, then try again") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    project_lock.note_heads(projects, vault, "freeze")
    models = tuple(
        {"folder": str(run), **{key: model[key] for key in ("name", "val", "trials")}}
        for run, model in zip(runs, fields["models"], strict=True)
    )
    return Frozen(selection, vault, fields["models"][0]["val"], is_new, models, goal)


# --- what may be frozen -----------------------------------------------------------------------------------------------


def _completed(run: Path) -> dict[str, Any]:
    record = read_run(run)
    if record["status"] != "completed":
        is_interrupted = record["status"] == "interrupted"
        hint = f"python train.py {setting('resume', run)}" if is_interrupted else "choose another run"
        raise InputError(str(run), f"is {record['status']}", allowed="completed", next=hint)
    if not record["best"] or not record["data"]:
        raise InputError(str(run), "has no val score", next="choose another run")
    check_predicts(run, record)
    return record


def _common_vault(runs: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> str:
    """The vault of all runs."""
    if len({run.resolve() for run in runs}) < len(runs):
        raise InputError("freeze", "names a run twice", next="name each run once")
    vault = str(records[0]["data"]["vault"])
    refuse_former(str(runs[0]), vault)
    for run, record in zip(runs[1:], records[1:], strict=True):
        for name, words in SHARED.items():
            if record["data"].get(name) != records[0]["data"].get(name):
                raise InputError(str(run), f"has {words} than {runs[0]}", next="freeze them on their own")
    return vault


def _best_first(runs: Sequence[Path], records: Sequence[dict[str, Any]]) -> tuple[list[Path], list[dict[str, Any]]]:
    """Put the run with the best val score, by the monitor of the first one, before the others."""
    best = records[0]["best"]
    monitor, sign = best["monitor"], -1 if best["mode"] == "max" else 1
    values = [record["best"]["metrics"].get(monitor) for record in records]
    for run, value in zip(runs, values, strict=True):
        if value is None:
            raise InputError(str(run), f"has no {monitor}, by which {runs[0]} was chosen", next="freeze it on its own")
    order = sorted(range(len(runs)), key=lambda number: sign * values[number])
    return [runs[number] for number in order], [records[number] for number in order]


def _refuse_by_policy(vault: str, num_models: int, criterion: str | None) -> None:
    policy = read_manifest(vault)["policy"]
    where = f"vault {vault[:8]}"
    if policy["policy"] == "criterion" and criterion is None:
        hint = '--criterion "accuracy > 0.94"'
        raise InputError(where, "answers pass or fail, and there is no criterion", next=hint)
    if policy["policy"] != "batch" and num_models > 1:
        hint = f"choose one by its val score, or seal for several: vault=batch vault.k={num_models}"
        problem = f"{num_models} models, and its policy is {policy['policy']}"
        raise InputError(where, problem, allowed="one; an ensemble is one", next=hint)
    if policy["policy"] == "batch" and num_models > policy["k"]:
        raise InputError(where, f"{num_models} models", allowed=f"up to {policy['k']}, as it was sealed for")


def _names(runs: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the models: the run's id, or its place in its sweep; numbered where that is not enough."""
    names = []
    for run, record in zip(runs, records, strict=True):
        sweep = sweep_of(run)
        names.append(f"{sweep.name}/{run.resolve().relative_to(sweep)}" if sweep else str(record["id"]))
    return [name if names.count(name) == 1 else f"{name} ({index + 1})" for index, name in enumerate(names)]


# --- what is frozen ---------------------------------------------------------------------------------------------------


def _describe(record: Mapping[str, Any], vault: str, copied: Copied, criterion: str | None) -> dict[str, Any]:
    data, now = record["data"], environment()
    primary = str(record["best"]["monitor"]).removeprefix("val/")
    definitions = {name: METRICS[name].definition for name in metrics_of(data["task"])}
    metric, target = metric_and_target(primary)
    if target is not None and metric in definitions:
        definitions[primary] = f"{definitions[metric]}; of {target} alone"
    return {
        "version": VERSION,
        "vault": vault,
        "name": data["name"],
        "task": data["task"],
        "num_outputs": data["num_outputs"],
        "class_names": list(data.get("class_names") or []),
        "split": copied.records[0]["config"]["split"],
        "subset": data.get("subset"),
        "val_sha256": data["val_sha256"],
        "versions": {**now["versions"], **installed_versions()},
        "git": now["git"],
        "framework": {"version": holdfast.__version__, "code_sha256": ledger.code_sha256()},
        "primary_metric": primary,
        "definitions": definitions,
        "confidence": CONFIDENCE,
        "thresholds": {"binary": 0.5, "multilabel": 0.5},
        "criterion": criterion,
    }


def _freeze_model(copied: Copied, val: RunRows, staging: Path) -> dict[str, Any]:
    """Refuse a model that is not what its record says; what a selection says of it."""
    record = copied.record
    _refuse_other_form(val)
    model = {
        "run": record["id"],
        "kind": record["kind"],
        "members": copied.members,
        **copied.combined,
        "config": record["config"],
        "modules": user_modules([record["config"], *(member["config"] for member in copied.records)]),
        "selection_rule": {"monitor": record["best"]["monitor"], "mode": record["best"]["mode"]},
        "val": record["best"]["metrics"],
        "rows": val.prepared.id,
        "view": val.prepared.view,
        "val_predictions": f"models/{copied.index}/val_predictions.npy",
        "trials": describe_trials(copied.run, record),
    }
    return {**model, **_validate(model, copied, val, staging)}


def _refuse_other_form(val: RunRows) -> None:
    """Refuse a view that the sealed rows cannot be seen through."""
    vault = val.prepared.vault
    if words := views.mismatch(val.prepared.view, read_manifest(vault)["parts"]["x"]):
        hint = "train on the data in the form that it was sealed in; or holdfast vault supersede"
        raise VaultRefused(f"vault {vault[:8]}", f"the run {words}", next=hint)


def _validate(model: Mapping[str, Any], copied: Copied, val: RunRows, staging: Path) -> dict[str, Any]:
    """Reproduce the val score from the copies; keep the predictions, to compare with when the vault is opened."""
    record = copied.record
    task, num_outputs = str(record["data"]["task"]), int(record["data"]["num_outputs"])
    tolerance = max(map(validation.tolerance_of, copied.records))
    # An ensemble states its loss in the same way whatever its members minimised.
    is_ensemble = record["kind"] == "ensemble"
    has_loss = is_ensemble or validation.has_standard_loss(record["config"])
    columns = task_of(task).row_shape(num_outputs)
    is_out_of_fold = copied.combined["out_of_fold"]
    rows = [val] * len(copied.members)
    if is_out_of_fold:
        rows = [rows_of_run(own["config"]["split"], own["data"], anew=True) for own in copied.records]
    with processes.Predictor([model], staging) as predictor:
        predictions = validation.predict_val(predictor, val, columns)
        validation.refuse_unstable(predictor, val, predictions, tolerance)
        expected = _expected_states(predictor, rows)
        # Probabilities that round to 0 or 1 hide the loss: a single model is asked for its logits.
        loss = None
        if has_loss and not is_ensemble and not task_of(task).is_values:
            loss = validation.exact_loss(predictor, val, task, num_outputs)
    _check_checkpoints(copied.members, expected, rows, staging)
    judged, judged_rows = predictions, val
    if is_out_of_fold:
        alone = [{**copied.combined, "members": [{**member, "weight": 1.0}]} for member in copied.members]
        with processes.Predictor(alone, staging) as predictor:
            judged, judged_rows = validation.predict_out_of_fold(predictor, rows, columns)
    recorded = [name.removeprefix("val/") for name in model["val"]]
    names = {*metrics_of(task, asked_for=False), *(name for name in recorded if metric_and_target(name)[0] in METRICS)}
    options = {"names": [*names], "target_names": record["data"]["class_names"]}
    scores = validation.val_scores(judged, judged_rows, task, num_outputs, tolerance, **options)
    if not has_loss:
        del scores["loss"]
    elif loss is not None:
        scores["loss"] = (loss[0], tolerance + loss[1])
    validation.refuse_other_scores(model["val"], scores, tolerance)
    with new_file(staging / model["val_predictions"]) as file:
        np.save(file, predictions, allow_pickle=False)
    own = [name for name in recorded if name in (model["config"].get("metrics") or {}) and name not in METRICS]
    if own:
        with processes.OwnMetrics({**model, "own_metrics": own}, task, num_outputs) as metrics:
            own_scores = validation.own_val_scores(metrics, judged, judged_rows, task, tolerance)
        validation.refuse_other_scores(model["val"], own_scores, tolerance)
    of_all = [name for name in scores if metric_and_target(name)[1] is None]  # an opening gives those of each target
    return {"metrics": of_all, "own_metrics": own, "has_loss": has_loss}


def _expected_states(predictor: processes.Predictor, rows: Sequence[RunRows]) -> list[dict[str, Any]]:
    """The buffers that each member must hold by the statistics of its own train rows, asked for once where shared."""
    different = {id(own): own for own in rows}
    states = {key: predictor.statistics_state(own.statistics) for key, own in different.items()}
    expected = []
    for index, own in enumerate(rows):
        state = states[id(own)].items()
        expected.append({name.partition("/")[2]: array for name, array in state if name.startswith(f"{index}/")})
    return expected


def _check_checkpoints(
    members: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]], rows: Sequence[RunRows], staging: Path
) -> None:
    """Refuse checkpoints whose statistics are not of the train rows, or that hold sealed rows."""
    from holdfast.training.checkpoints import read_checkpoint

    prepared = rows[0].prepared
    viewed = Fingerprints(prepared.folder / "sealed.fingerprints", known_rows.fingerprint_key(prepared.vault))
    sealed = [known_rows.sealed_rows(prepared.vault), viewed]
    with _refusals_noted(prepared.vault, str(members[0]["run"])):
        refuse_sealed_train_rows(prepared, sealed)
    for member, state, own in zip(members, expected, rows, strict=True):
        name = f"{member['run']}/{member['checkpoint']}"
        record = read_run(staging / member["folder"])
        content = read_checkpoint(staging / member["folder"] / member["checkpoint"])
        validation.refuse_other_record(name, record, content)
        validation.refuse_other_statistics(name, state, content["state_dict"])
        validation.refuse_other_columns(name, own, content)
        with _refusals_noted(prepared.vault, str(member["run"])):
            refuse_sealed_rows(name, content, own.statistics, sealed)
            refuse_sealed_rows(name, record, own.statistics, sealed)


@contextlib.contextmanager
def _refusals_noted(vault: str, run: str) -> Iterator[None]:
    """Note in the ledger that sealed rows were found."""
    try:
        yield
    except VaultRefused:
        registry.note_refusal(vault, {"reason": "sealed rows were found in what was to be frozen", "run": run})
        raise
