"""A run that is repeated from its record, or a recipe that is run again and compared with its lock.

Of a run the config of its record is run, of a recipe what it composes today.
"""

from __future__ import annotations

import copy
import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from holdfast.core.advice import quoted, setting
from holdfast.core.errors import HoldfastError, InputError, Interrupted
from holdfast.core.run_record import FILE_NAME, read_run
from holdfast.core.sweep_folder import is_sweep, runs_of
from holdfast.experiment import locks
from holdfast.experiment.check import averages_runs
from holdfast.experiment.compose import compose_run
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.parts import put_parts
from holdfast.experiment.reproduction import Reproduction, compared
from holdfast.experiment.resume import note_other_folder, refuse_untrusted
from holdfast.reporting.diff import Difference, differences
from holdfast.training.reporter import Stop

MAY_CHANGE = ("data.path", "threads", "trusted_modules")


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
    """Write the lock of a recipe: what was measured of a run that was repeated with the same result.

    Raises:
        InputError: The result was not the same, bit for bit, or the file is no JSON.
    """
    if path.suffix != ".json":
        raise InputError("--lock", f"{path} is no lock", "a file that ends with .json", f"{locks.LOCKS}/NAME.json")
    if not (reproduction.is_reproduced and reproduction.is_exact):
        raise InputError("--lock", f"{reproduction.conclusion} Nothing was written", "a result that is the same")
    locks.write(_measured(reproduction.run.folder), path)


def _repeat_run(folder: Path, overrides: Sequence[str], rows: tuple[Path, str] | None, place: Path) -> Reproduction:
    record = read_run(folder)
    _check_repeatable(folder, record, has_rows=rows is not None)
    today = OmegaConf.from_dotlist(list(overrides))
    unknown = set(record["config"].get("trusted_modules") or ()) - set(today.get("trusted_modules", ()))
    again = f"holdfast reproduce {quoted(str(folder))}"
    refuse_untrusted("reproduce", folder, unknown, f"{again} trusted_modules=[...], if you know them")
    note_other_folder(record)
    config = OmegaConf.create(_config_of_today(record, today, rows))
    assert isinstance(config, DictConfig)
    notes = list(_notes(record))
    if averages_runs(config) and record["ensemble"]:
        members = [
            _repeat_run(folder / member["run"], overrides, rows, place / "members" / str(n))
            for n, member in enumerate(record["ensemble"]["members"])
        ]
        config.ensemble.update(runs=[str(member.run.folder) for member in members], size=len(members))
        num_same = sum(member.is_reproduced for member in members)
        notes.append(f"{num_same} of {len(members)} members have the same result.")
    experiment = Experiment(config, place, overrides=record["overrides"], choices=record["choices"])
    experiment.parts = record.get("parts", {})
    experiment.rows_in_memory = None if rows is None else rows[0]
    first = _measured(folder)
    try:
        second = _run(experiment, str(folder), first)
    except InputError as error:
        problem = error.problems[0]
        if problem.where != "data.path":
            raise
        next_step = f"{again} data.path=... where the rows lie today"
        raise InputError(problem.where, problem.what, problem.allowed, next_step) from None
    if averages_runs(config):
        second["config"]["ensemble"] = first["config"]["ensemble"]  # the members lie elsewhere
    changed, note = _changed_options(record, config)
    return compared(str(folder), first, second, [*notes, *note], changed)


def _repeat_recipe(name: str, overrides: Sequence[str]) -> Reproduction:
    first = locks.read(name)
    threads = [f"threads={first['threads']}"] if first["threads"] else []
    experiment = Experiment.compose([*first["overrides"], *threads, *overrides, "logger=none"])
    experiment.folder = _new_folder(name)
    second = _run(experiment, name, first)
    # A lock says neither which source of Holdfast it was measured with nor where the working folder stood.
    second |= {"git": None, "code": None}
    return compared(name, first, second, [], [])


def _run(experiment: Experiment, source: str, first: Mapping[str, Any]) -> dict[str, Any]:
    """Run, as far as the first run came, and measure; a run that fails is a result too."""
    experiment.fields = {"reproduces": source}
    experiment.check()
    try:
        experiment.run(_StopAfter(first))
    except HoldfastError as error:
        if isinstance(error, Interrupted) or not (experiment.folder / FILE_NAME).is_file():
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


def _config_of_today(record: Mapping[str, Any], today: DictConfig, rows: tuple[Path, str] | None) -> dict[str, Any]:
    """The config of the record, with the places of today and as many threads as the run had, or as are asked for."""
    config = copy.deepcopy(dict(record["config"]))
    threads = today.get("threads") or record.get("threads") or config["threads"]
    config |= {"resume": None, "logger": {}, "threads": threads}
    if "data" in today:
        config["data"] = locks.replaced(config["data"], config["data"].get("path"), str(today.data.path))
    if rows is not None:
        config["data"] = locks.replaced(config["data"], config["data"]["content"], rows[1])
    return config


def _notes(record: Mapping[str, Any]) -> Iterator[str]:
    if record["resumes"]:
        epochs = ", ".join(str(resume["epoch"]) for resume in record["resumes"])
        yield f"The first run went on after interruptions (after epoch {epochs}); it is compared with one in one go."
    if record["status"] in ("pruned", "interrupted"):
        yield f"The first run is {record['status']}: its {len(record['history'])} epochs are compared."


def _changed_options(record: Mapping[str, Any], config: DictConfig) -> tuple[list[Difference], list[str]]:
    """Keys that have another value than what was typed composes today, with a note about them."""
    words = [word for word in record["overrides"] if word.lstrip("+").partition("=")[0] != "lr"]
    try:
        composed = compose_run([*words, f"lr={record['config']['lr']}"])
        put_parts(composed, record.get("parts", {}))
        today = Experiment.of(composed)
    except HoldfastError as error:
        return [], [f"What was typed does not compose any more ({error}); the config of the record was run."]
    plain: Any = OmegaConf.to_container(today.config, resolve=True)
    pair = []
    for entries, choices in ((record["config"], record["choices"]), (plain, today.choices)):
        facts = {"config": dict(entries), "choices": dict(choices), "seed": entries["seed"]}
        # An ensemble of runs has their rows, whatever its own options say.
        for name in ("data", "split", "vault") if averages_runs(config) else ():
            facts["config"].pop(name, None)
            facts["choices"].pop(name, None)
        pair.append(facts)
    changed = [row for row in differences(*pair) if row.kind in ("config", "seed")]
    return changed, ["What was typed composes another config today; that of the record was run."] if changed else []


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
