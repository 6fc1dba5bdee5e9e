"""A run that is repeated from its record, or a recipe from what was measured of it: what differs, and the result.

What runs is the config of the record, or the recipe as it is today. The result is compared bit for bit where processor,
versions, device and threads are the same and the device is the CPU: the metrics of every epoch and the weights of the
best checkpoint. Elsewhere the metrics of the best epoch are compared within a tolerance.

`recipes/locks/NAME.json` is what was measured of a recipe: the part of a record that says what it depends on and what
came out.
"""

from __future__ import annotations

import copy
import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from holdfast.config.groups import RECIPES
from holdfast.core.advice import setting
from holdfast.core.errors import HoldfastError, InputError, Interrupted, did_you_mean
from holdfast.core.files import write_atomic
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.core.sweep_folder import is_sweep, runs_of
from holdfast.experiment.check import averages_runs
from holdfast.experiment.compose import compose_run
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.parts import put_parts
from holdfast.experiment.resume import note_other_folder, refuse_untrusted
from holdfast.experiment.run import Run
from holdfast.reporting.diff import KINDS, Difference, differences
from holdfast.training.metric_names import mode_of
from holdfast.training.reporter import Stop

MAY_CHANGE = ("data.path", "threads")
LOCKS = Path("recipes", "locks")
# Measured on digits, breast_cancer and diabetes (one and two threads, three instruction sets) and MNIST (threads).
SCORE_TOLERANCE = 0.01  # of metrics from 0 to 1: 0.0009 was the most
RELATIVE_TOLERANCE = 0.05  # of losses and errors: 0.015 was the most
MEASURED = (
    *("kind", "overrides", "choices", "config", "seed", "monitor", "mode", "versions", "cpu", "device", "precision"),
    *("threads", "parameters", "status", "stop_reason", "pretrained"),
)
DATA = ("name", "train_rows", "val_rows", "val_sha256", "content_sha256", "columns", "view")


@dataclass(frozen=True)
class Reproduction:
    """A run that was repeated."""

    source: str  # what was repeated: the folder of a run, or the name of a recipe
    run: Run  # the new run
    differences: list[Difference]  # between the two
    is_exact: bool  # whether the results were compared bit for bit, or else within the tolerance
    notes: list[str]  # what one must know to read the comparison

    @property
    def is_reproduced(self) -> bool:
        """Tell whether the result is the same."""
        return not any(item.kind == "result" for item in self.differences)

    @property
    def conclusion(self) -> str:
        """A sentence that says whether the result is the same, and what else differs."""
        kinds = [kind for kind in KINDS if kind != "result" and any(item.kind == kind for item in self.differences)]
        others = " and ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
        manner = (
            "bit for bit"
            if self.is_exact
            else f"within {RELATIVE_TOLERANCE:.0%} of a loss and {SCORE_TOLERANCE} of a score"
        )
        if self.is_reproduced:
            return f"The result is the same, {manner}" + (f", although {others} changed." if others else ".")
        if others:
            return f"The result is not the same ({manner}): {others} changed."
        return f"The result is not the same ({manner}), and nothing else that a record tells has changed."

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "source": self.source,
            "run": str(self.run.folder),
            "is_reproduced": self.is_reproduced,
            "compared": "bit for bit" if self.is_exact else "within the tolerance",
            "tolerance": None if self.is_exact else {"relative": RELATIVE_TOLERANCE, "score": SCORE_TOLERANCE},
            "differences": [asdict(item) for item in self.differences],
            "notes": self.notes,
            "conclusion": self.conclusion,
        }


def repeat(
    source: Path | str, overrides: Sequence[str] = (), rows_in_memory: tuple[Path, str] | None = None
) -> Reproduction:
    """Run a run or a recipe again, in a folder below `outputs/reproduced`, and compare the two.

    Args:
        source: The folder of a run, or the name of a recipe that has a lock.
        overrides: `data.path=...` where the rows lie elsewhere today, `threads=...`.
        rows_in_memory: The file with the rows that the run was given in memory, and the digest of their content.

    Raises:
        InputError: There is no such run or recipe; it cannot be repeated; or a part of it cannot be built any more.
        VaultRefused: The data or the vault is not what it was.
        Interrupted: A signal asked to stop.
    """
    for word in overrides:
        if word.partition("=")[0] not in MAY_CHANGE:
            raise InputError(word, "would be another experiment", ", ".join(f"{key}=..." for key in MAY_CHANGE))
    folder = Path(source)
    if is_sweep(folder):
        jobs = ", ".join(str(job) for job in runs_of(folder)[:3])
        raise InputError("reproduce", f"{folder} is a sweep", "one of its runs", f"holdfast reproduce {jobs} ...")
    if folder.is_dir():
        return _repeat_run(folder, overrides, rows_in_memory, _new_folder(folder.resolve().name))
    if rows_in_memory is not None:
        raise InputError("data", "is given, and a recipe names its rows itself", next="leave it out")
    return _repeat_recipe(str(source), overrides)


def write_lock(reproduction: Reproduction, path: Path) -> None:
    """Write what was measured of a run that was repeated with the same result.

    Raises:
        InputError: The result was not the same, bit for bit, or the file is no JSON.
    """
    if path.suffix != ".json":
        raise InputError("--lock", f"{path} is no lock", "a file that ends with .json", f"{LOCKS}/NAME.json")
    if not (reproduction.is_reproduced and reproduction.is_exact):
        raise InputError("--lock", f"{reproduction.conclusion} Nothing was written", "a result that is the same")
    measured = _measured(reproduction.run.folder)
    lock = {name: measured[name] for name in MEASURED}
    place = measured["config"]["data"].get("path")
    lock["overrides"] = [word for word in lock["overrides"] if word.partition("=")[0] not in MAY_CHANGE]
    lock["config"] = lock["config"] | {"data": _replaced(measured["config"]["data"], place, "DIR")}
    lock["data"] = {name: measured["data"][name] for name in DATA}
    lock["checks"] = [{name: check[name] for name in ("name", "verdict")} for check in measured["checks"]]
    history = [json.dumps({k: v for k, v in entry.items() if k != "seconds"}) for entry in measured["history"]]
    ends = {"best": measured["best"], "weights": measured["weights"]}
    lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in (lock | ends).items()]
    epochs = ",\n  ".join(history)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, "\n".join(["{", *lines, f' "history": [\n  {epochs}\n ]', "}"]) + "\n")


def lock_names() -> list[str]:
    """The recipes that have a lock, the user's own included."""
    return sorted({path.stem for folder in (LOCKS, RECIPES / "locks") for path in folder.glob("*.json")})


def _repeat_run(folder: Path, overrides: Sequence[str], rows: tuple[Path, str] | None, place: Path) -> Reproduction:
    record = read_run(folder)
    _check_repeatable(folder, record, has_rows=rows is not None)
    refuse_untrusted("reproduce", folder, record["config"].get("trusted_modules") or ())
    note_other_folder(record)
    config = OmegaConf.create(_today(record, overrides, rows))
    assert isinstance(config, DictConfig)
    notes = list(_notes(record))
    if averages_runs(config):
        members = [
            _repeat_run(Path(run), overrides, rows, place / "members" / str(n))
            for n, run in enumerate(config.ensemble.runs)
        ]
        config.ensemble.runs = [str(member.run.folder) for member in members]
        notes.append(
            f"{sum(member.is_reproduced for member in members)} of {len(members)} members have the same result."
        )
    experiment = Experiment(config, place, overrides=record["overrides"], choices=record["choices"])
    experiment.parts = record.get("parts", {})
    experiment.rows_in_memory = None if rows is None else rows[0]
    first = _measured(folder)
    second = _run(experiment, str(folder), first)
    if averages_runs(config):
        second["config"]["ensemble"] = first["config"]["ensemble"]  # the members lie elsewhere
    changed, note = _changed_options(record, config)
    notes += [note] if note else []
    return _compared(str(folder), first, second, notes, changed)


def _repeat_recipe(name: str, overrides: Sequence[str]) -> Reproduction:
    lock = next(
        (folder / f"{name}.json" for folder in (LOCKS, RECIPES / "locks") if (folder / f"{name}.json").is_file()), None
    )
    if lock is None or "/" in name:
        known = lock_names()
        hint = did_you_mean(name, known) or "train it, then `holdfast reproduce RUN --lock recipes/locks/NAME.json`"
        raise InputError("reproduce", f"there is no folder and no lock of a recipe {name}", ", ".join(known), hint)
    first = json.loads(lock.read_text())
    threads = [f"threads={first['threads']}"] if first["threads"] else []
    experiment = Experiment.compose([*first["overrides"], *threads, *overrides, "logger=none"])
    place = _new_folder(name)
    experiment.folder = place
    second = _run(experiment, name, first)
    # A lock says neither which source of Holdfast it was measured with nor where the working folder stood.
    second |= {"git": None, "code": None}
    return _compared(name, first, second, [], [])


def _run(experiment: Experiment, source: str, first: Mapping[str, Any]) -> dict[str, Any]:
    """Run, as far as the first run came, and measure; a run that fails is a result too."""
    experiment.fields = {"reproduces": source}
    experiment.check()
    try:
        experiment.run(_StopAfter(first))
    except Interrupted:
        raise
    except HoldfastError:
        if not (experiment.folder / FILE_NAME).is_file():
            raise
    return _measured(experiment.folder)


class _StopAfter:
    """Ends a run after the epochs of another one, which was ended from outside."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._is_cut = record["status"] in ("pruned", "interrupted")
        self._num_epochs, self._reason = len(record["history"]), record["stop_reason"]

    def epoch(self, number: int, metrics: Mapping[str, float]) -> Stop | None:
        """Stop where the other one was stopped."""
        del metrics
        return Stop(self._reason, is_pruned=True) if self._is_cut and number >= self._num_epochs else None


def _check_repeatable(folder: Path, record: Mapping[str, Any], *, has_rows: bool) -> None:
    if record["status"] == "running":
        raise InputError(str(folder), "is still running", next="wait for its end")
    if record["status"] in ("pruned", "interrupted") and not record["history"]:
        problem = f"is {record['status']} before the end of its first epoch: there is nothing to compare"
        raise InputError(str(folder), problem, next=f"python train.py {setting('resume', folder)}")
    if record["config"].get("lr") == "auto":
        raise InputError(str(folder), "has ended before it found its learning rate", next="train it again")
    is_memory = "content" in record["config"]["data"]
    if is_memory and not has_rows:
        problem = "was trained on rows in memory, which no file holds"
        raise InputError(str(folder), problem, next=f'in Python: holdfast.reproduce("{folder}", data=frame)')
    if has_rows and not is_memory:
        raise InputError("data", f"is given, and {folder} reads its rows from files", next="leave it out")


def _today(record: Mapping[str, Any], overrides: Sequence[str], rows: tuple[Path, str] | None) -> dict[str, Any]:
    """The config of the record, with the places of today and as many threads as the run had."""
    config = copy.deepcopy(dict(record["config"]))
    config |= {"resume": None, "logger": {}}
    if record.get("threads"):
        config["threads"] = record["threads"]
    for word in overrides:
        key, _, value = word.partition("=")
        if key == "threads":
            config["threads"] = OmegaConf.from_dotlist([word]).threads
        else:
            config["data"] = _replaced(config["data"], config["data"].get("path"), value)
    if rows is not None:
        config["data"] = _replaced(config["data"], config["data"]["content"], rows[1])
    return config


def _replaced(node: Any, old: Any, new: Any) -> Any:
    """The node with a value in place of another one, wherever that stands."""
    if isinstance(node, dict):
        return {key: _replaced(value, old, new) for key, value in node.items()}
    return new if old is not None and node == old else node


def _notes(record: Mapping[str, Any]) -> Iterator[str]:
    if record["resumes"]:
        epochs = ", ".join(str(resume["epoch"]) for resume in record["resumes"])
        yield f"The first run went on after interruptions (after epoch {epochs}); it is compared with one in one go."
    if record["status"] in ("pruned", "interrupted"):
        yield f"The first run is {record['status']}: its {len(record['history'])} epochs are compared."


def _changed_options(record: Mapping[str, Any], config: DictConfig) -> tuple[list[Difference], str]:
    """Keys that the options of today give another value than they had, and a sentence about them."""
    words = [word for word in record["overrides"] if word.lstrip("+").partition("=")[0] != "lr"]
    try:
        composed = compose_run([*words, f"lr={record['config']['lr']}"])
        put_parts(composed, record.get("parts", {}))
        today = Experiment.of(composed)
    except HoldfastError as error:
        return [], f"The options of today do not compose what was typed ({error}); the config of the record was run."
    without = ("data", "split", "vault") if averages_runs(config) else ()  # an ensemble has those of its members

    def composed_of(entries: Mapping[str, Any], choices: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in entries.items() if key not in without}
        return {"config": kept, "choices": {key: value for key, value in choices.items() if key not in without}}

    plain: Any = OmegaConf.to_container(today.config, resolve=True)
    recorded = composed_of(record["config"], record["choices"])
    rows = differences(recorded, composed_of(plain, today.choices))
    changed = [row for row in rows if row.kind == "config"]
    return changed, "Options have changed since; the config of the record was run." if changed else ""


def _compared(
    source: str,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    notes: Sequence[str],
    changed_options: Sequence[Difference],
) -> Reproduction:
    rows = [*changed_options, *(row for row in differences(first, second) if row.kind != "result")]
    has_same_environment = all(row.kind != "environment" or row.name == "platform" for row in rows)
    is_exact = has_same_environment and (first["device"] in (None, "cpu") or bool(first["config"]["deterministic"]))
    rows = sorted(rows, key=lambda row: KINDS.index(row.kind)) + list(_results(first, second, is_exact=is_exact))
    return Reproduction(source, Run(Path(second["folder"])), rows, is_exact, list(notes))


def _results(first: Mapping[str, Any], second: Mapping[str, Any], *, is_exact: bool) -> Iterator[Difference]:
    """The results that came out differently; within the tolerance nothing did."""
    left_out = [] if is_exact else ["epoch", "stop reason"]
    if first["status"] in ("pruned", "interrupted"):
        left_out += ["status", "stop reason"]
    for row in differences(first, second):
        if row.kind == "result" and row.name not in left_out and (is_exact or not _is_near(row)):
            yield row
    if is_exact:
        yield from _first_other_epoch(first["history"], second["history"])
        for name in first["weights"].keys() & second["weights"].keys():
            if first["weights"][name] != second["weights"][name]:
                yield Difference("result", name, first["weights"][name], second["weights"][name])
    if first["kind"] == "check":
        verdicts = [{check["name"]: check["verdict"] for check in each["checks"]} for each in (first, second)]
        for name in verdicts[0].keys() - {"timing"}:
            if verdicts[0][name] != verdicts[1].get(name):
                yield Difference("result", name, verdicts[0][name], verdicts[1].get(name))


def _first_other_epoch(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """The first epoch whose metrics differ, and another number of epochs."""
    for entries in zip(first, second, strict=False):
        for name, value in entries[0].items():
            if name != "seconds" and value != entries[1].get(name):
                yield Difference("result", f"epoch {entries[0]['epoch']}, {name}", value, entries[1].get(name))
                return
    if len(first) != len(second):
        yield Difference("result", "epochs", len(first), len(second))


def _is_near(row: Difference) -> bool:
    values = row.first, row.second
    if not all(isinstance(value, float) for value in values):
        return False
    size = max(abs(value) for value in values)
    tolerance = SCORE_TOLERANCE if mode_of(row.name) == "max" else RELATIVE_TOLERANCE * size
    return bool(abs(row.first - row.second) <= tolerance)


def _measured(folder: Path) -> dict[str, Any]:
    """The record of a run, with the digests of the weights that its best checkpoint holds, or its members' do."""
    record = read_run(folder)
    files = {"weights": (folder, record["best"] or {})}
    if record["ensemble"]:
        files = {f"weights of member {n}": (folder / m["run"], m) for n, m in enumerate(record["ensemble"]["members"])}
    digests = {}
    for name, (place, entry) in files.items():
        if entry.get("checkpoint") and (place / entry["checkpoint"]).is_file():
            digests[name] = _weights_sha256(place / entry["checkpoint"])
    return record | {"folder": str(folder), "weights": digests}


def _weights_sha256(checkpoint: Path) -> str:
    """One digest over names, shapes, types and bytes of the tensors of a model; the file holds times too."""
    import torch

    from holdfast.training.checkpoints import read_checkpoint

    digest = hashlib.sha256()
    for name, tensor in sorted(read_checkpoint(checkpoint)["state_dict"].items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _new_folder(name: str) -> Path:
    return Path("outputs", "reproduced", f"{name}-{secrets.token_hex(3)}")
