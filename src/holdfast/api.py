"""The Python API: what the command line does, for a notebook or a script. `import holdfast` gives all of it.

Records, vaults and files are those of the command line, so that a run of one can be resumed, frozen or reported by the
other. Nothing here ends the process: an error is an exception of `holdfast.errors`, whose text says what to do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from omegaconf import DictConfig

    from holdfast.core.child import Child
    from holdfast.evaluation.freeze.freezing import Frozen
    from holdfast.evaluation.opening.result import Opened
    from holdfast.experiment.compose import OptionsLoader
    from holdfast.experiment.reproduction import Reproduction
    from holdfast.experiment.run import Run
    from holdfast.training.reporter import Reporter

Folder = Path | str


def train(
    overrides: Sequence[str] = (),
    *,
    data: Any = None,
    target: Any = None,
    parts: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Train one run: `python train.py` with these overrides.

    Args:
        overrides: As typed, such as `["optimizer=adam", "lr=3e-4"]`; `["resume=RUN"]` goes on with a run.
        data: Rows in memory, in place of a `data` option: a DataFrame (pandas, polars) or an Arrow table, or an array
            of features (n, ...). The test rows among them are sealed like any others, but this process has them all.
        target: Of a table the column to predict, or several; of arrays the targets, (n,) or (n, labels or targets).
        parts: Group -> class or function of yours in place of an option, such as `{"model": MyNet}`; arguments by
            `functools.partial(MyNet, width=64)`.
        reporter: Is told the metrics of every epoch, and may end the run (`holdfast.Stop`).

    Returns:
        The run, `completed` or `pruned`.

    Raises:
        InputError: Overrides, data or parts are wrong; all mistakes of one kind at once. Nothing was written.
        VaultRefused: The data or the vault is not what it was.
        RunFailed: Training failed; the record says why.
        Interrupted: A signal asked to stop; `train(["resume=RUN"])` goes on.
    """
    from holdfast.data.in_memory import told_without
    from holdfast.experiment.experiment import Experiment

    _refuse_text(overrides)
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        rows, words = _rows_in_memory(data, target, Path(folder))
        if words and any(word.startswith(("data=", "resume=")) for word in overrides):
            raise InputError("data", "is given beside an override that chooses the rows", next="leave one of them out")
        experiment = Experiment.compose([*overrides, *words], parts=parts)
        experiment.rows_in_memory = rows
        with told_without(rows, "data"):
            experiment.check()
        return experiment.run(reporter)


def sweep(overrides: Sequence[str]) -> list[Run]:
    """Run a sweep, each job in a process of its own: `python train.py -m` with these overrides.

    Args:
        overrides: As typed, such as `["lr=1e-2,1e-3", "seed=0,1"]`; `["resume=SWEEP"]` goes on with a sweep.

    Returns:
        The runs, best val score first, failed ones last; none of a dry run.

    Raises:
        InputError: An override of any job is wrong. Nothing was written.
        RunFailed: Some jobs failed; the others have finished.
        Interrupted: A signal asked to stop.
    """
    from holdfast.config.overrides import with_open_key
    from holdfast.experiment.compose import options_loader
    from holdfast.experiment.run import Run
    from holdfast.reporting.leaderboard import leaderboard
    from holdfast.search.compose import compose_sweep
    from holdfast.search.resume import resumed
    from holdfast.search.worker_process import start_process

    _refuse_text(overrides)
    words = resumed(overrides)
    options = [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    with start_process() as process:
        loader = options_loader(options[0] if options else None)
        config = compose_sweep([with_open_key(word) for word in words if not word.startswith("-")], loader)
        carry_out_sweep(config, loader, process)
    if config.sweep.dry_run:
        return []
    folder = Path(config.hydra.sweep.dir)
    return [Run(folder / row.folder) for row in leaderboard(folder)]


def carry_out_sweep(config: DictConfig, loader: OptionsLoader, process: Child, *, shows_table: bool = False) -> None:
    """Check every job of a composed sweep before the first one starts, and run them; or list them, of a dry run.

    `process` (of `worker_process.start_process`) trains them, where workers ask for the trials of the sweep.

    Raises:
        InputError: A job cannot be run. Nothing was written.
        RunFailed: Some jobs failed; the others have finished.
        Interrupted: A signal asked to stop.
    """
    from holdfast.search.compose import check_sweep, has_workers

    trains = has_workers(config) and not config.sweep.dry_run
    if not trains:
        process.close()
    if config.sweep.dry_run:
        from holdfast.search.dry_run import print_plan

        print_plan(config, loader, check_sweep(config, loader)[0])
        return
    folder = Path(config.hydra.sweep.dir)
    configs = check_sweep(config, loader)  # imports no torch at first: a mistake is answered at once
    from holdfast.checks.kinds import check_kinds
    from holdfast.search.leaderboard import print_sweep
    from holdfast.search.sweep import raise_failures, run_sweep

    check_kinds(configs, folder)
    try:
        outcome = run_sweep(config, loader, process if trains else None)
    finally:
        if shows_table:
            print_sweep(folder)
    raise_failures(outcome, folder)


def load_run(folder: Folder) -> Run:
    """Open the folder of a run or an ensemble.

    Raises:
        InputError: It holds no run.
    """
    from holdfast.experiment.run import Run

    return Run(folder)


def runs(folder: Folder = "outputs") -> pd.DataFrame:
    """Tabulate all runs below a folder: `holdfast runs`.

    Returns:
        One row a run, best first within one data set: `folder`, `status`, `data`, `monitor`, `value`, `epoch`, the val
        metrics of the best epoch, `overrides`, `seconds` and `created`.

    Raises:
        InputError: There is no such folder, or no run in it.
    """
    import pandas as pd

    from holdfast.reporting.leaderboard import leaderboard

    rows = []
    for row in leaderboard(Path(folder)):
        fields = {name: getattr(row, name) for name in ("status", "data", "monitor", "value", "epoch")}
        ends = {"overrides": " ".join(row.overrides), "seconds": row.seconds, "created": row.created}
        rows.append({"folder": str(Path(folder) / row.folder), **fields, **row.metrics, **ends})
    return pd.DataFrame(rows)


def freeze(runs: Run | Folder | Sequence[Run | Folder], *, criterion: str | None = None) -> Frozen:
    """Choose for the final evaluation: `holdfast freeze`.

    Args:
        runs: A completed run or ensemble, or its folder; several under the policy batch.
        criterion: What must hold on the test rows, such as "accuracy > 0.94".

    Returns:
        What was frozen; `.selection` is its id.

    Raises:
        InputError: One is no completed run, or they cannot be compared.
        VaultRefused: One cannot be frozen as it is.
        RunFailed: Its models do not predict.
    """
    from holdfast.evaluation.freeze.freezing import freeze_runs
    from holdfast.experiment.run import Run

    given = [runs] if isinstance(runs, Run | Path | str) else list(runs)
    folders = [run.folder if isinstance(run, Run) else Path(run) for run in given]
    return freeze_runs(folders, criterion)


def open_selection(selection: Frozen | str, *, reason: str | None = None, key_file: Folder | None = None) -> Opened:
    """Evaluate a frozen selection on the sealed test rows, once: `holdfast open`.

    Args:
        selection: What `freeze` gave, or eight or more digits of its id.
        reason: Opens a vault again that was opened: one metric, not a clean test.
        key_file: The private key, where the vault was sealed for one.

    Returns:
        The answer, which is repeated from the ledger when it was given before; its report lies beside the selection.

    Raises:
        InputError: No such selection.
        VaultRefused: The vault refuses; nothing was spent.
        RunFailed: The models failed on the test rows.
    """
    from holdfast.evaluation.opening.final import open_vault
    from holdfast.evaluation.opening.report import write_report

    prefix = selection if isinstance(selection, str) else selection.selection
    opened, _ = open_vault(prefix, reason=reason, key_file=None if key_file is None else Path(key_file))
    write_report(opened.vault, opened.selection)
    return opened


def reproduce(
    run: Run | Folder, overrides: Sequence[str] = (), *, data: Any = None, target: Any = None
) -> Reproduction:
    """Run a run again and compare: `holdfast reproduce`.

    Args:
        run: A run or its folder, or the name of a recipe that has a lock.
        overrides: `["data.path=..."]` where the rows lie elsewhere today, `["threads=1"]`.
        data: The rows of a run that was given them in memory.
        target: The targets, where the rows are an array.

    Returns:
        What differs; `.is_reproduced` says whether the result is the same, `.run` is the new run.

    Raises:
        InputError: There is no such run, or it cannot be repeated.
        VaultRefused: The data or the vault is not what it was.
        Interrupted: A signal asked to stop.
    """
    from holdfast.data.in_memory import write_rows
    from holdfast.experiment.reproduce import repeat
    from holdfast.experiment.run import Run

    _refuse_text(overrides)
    source = run.folder if isinstance(run, Run) else run
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        return repeat(source, overrides, None if data is None else write_rows(data, target, Path(folder)))


def _refuse_text(overrides: Sequence[str]) -> None:
    if isinstance(overrides, str):
        raise InputError("overrides", "is one text", "a list of texts", next=f"[{overrides!r}]")


def _rows_in_memory(data: Any, target: Any, folder: Path) -> tuple[Path | None, list[str]]:
    """Write rows into a file for the process that prepares them; returns it and the overrides that name them."""
    from holdfast.core.advice import quoted
    from holdfast.data.in_memory import is_table, write_rows

    if data is None:
        if target is not None:
            advice = 'data=frame, or "data.target=..." in the overrides'
            raise InputError("target", "is given without data", next=advice)
        return None, []
    if target is None:
        raise InputError("target", "is missing", "the column of a table, or an array", 'target="price"')
    path, content = write_rows(data, target, folder)
    if not is_table(data):
        return path, ["data=memory_arrays", f"data.content={content}"]
    names = list(target) if isinstance(target, list | tuple) else [target]
    if not all(isinstance(name, str | int) for name in names):
        kind = type(target).__name__
        raise InputError("target", f"has the type {kind}, and data is a table", "a name of a column, or several")
    columns = ",".join(quoted(str(name)) for name in names)
    columns = columns if len(names) == 1 else f"[{columns}]"
    return path, ["data=memory", f"data.content={content}", f"data.target={columns}"]
