"""The lines that a terminal shows at the end of a run, with what to type next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from holdfast.core.advice import in_shell, setting
from holdfast.core.errors import Interrupted
from holdfast.core.exits import program
from holdfast.core.figures import figure
from holdfast.core.metrics import is_imbalanced, with_rare_classes
from holdfast.core.run_record import FILE_NAME
from holdfast.experiment.compose import hydra_of_job
from holdfast.experiment.experiment import Experiment
from holdfast.training.reporter import Reporter


def run_on_console(experiment: Experiment, *, in_sweep: bool = False, reporter: Reporter | None = None) -> float | None:
    """Run a checked experiment and print how it ended; a sweep advises by itself, once, about its best job.

    Returns:
        The monitored value of the best epoch, which Hydra hands to a sweeper.
    """
    try:
        run = experiment.run(reporter)
    except Interrupted as error:
        place = setting("resume", _relative(experiment.folder))
        raise Interrupted(error.signal_number, f"{program()} {place}") from None
    record = run.record
    if not record["best"]:
        return None
    for line in _outcome(run.folder, record, in_sweep=in_sweep):
        print(line, flush=True)
    value: float | None = record["best"]["value"]
    return value


def run_line(title: str, record: Mapping[str, Any]) -> str:
    """One line of a run that has ended beside others: its title, its score or why it has none, and its time."""
    seconds = record["timings"].get("total")
    parts = [title, str(record["status"])]
    if record["best"] and record["status"] != "failed":
        parts.append(f"{record['best']['monitor']} {figure(record['best']['value'])}")
    if record["status"] == "failed":
        parts.append(str(record["stop_reason"]).partition("; next:")[0])
    return "  ".join([*parts, *([] if seconds is None else [f"{seconds:.1f} s"])])


def run_job_of_hydra(config: DictConfig) -> float | None:
    """Run a job for a launcher that is not ours, which has told Hydra where the run goes.

    Returns:
        The monitored value of the best epoch.
    """
    with open_dict(config):
        config.hydra = hydra_of_job()
    return run_on_console(Experiment.of(config), in_sweep=True)


def _outcome(path: Path, record: Mapping[str, Any], *, in_sweep: bool) -> Iterator[str]:
    """The lines about a run that has ended: where it lies, how good it is, and what to type next."""
    best, config = record["best"], record["config"]
    class_counts = record["data"].get("class_counts")
    metrics = with_rare_classes(best["metrics"], class_counts)
    others = {name: value for name, value in metrics.items() if name != best["monitor"]}
    epoch = f" (epoch {best['epoch']})" if best["epoch"] else ""
    folder = in_shell(_relative(path))
    yield f"\nrun    {folder}"
    yield f"best   {best['monitor']} {figure(best['value'])}{epoch}" + (f"; {_scores(others)}" if others else "")
    for target, values in best.get("by_target", {}).items():
        yield f"target {target}: {_scores(values)}"
    if class_counts and is_imbalanced(class_counts):
        rows = f"{min(class_counts):,} of {sum(class_counts):,} train rows"
        yield f"rare   the rarest class has {rows}: val/recall_macro counts every class alike"
    if ensemble := record["ensemble"]:
        mean, std = ensemble["mean"][best["monitor"]], ensemble["std"][best["monitor"]]
        num_members = len(ensemble["members"]) + len(ensemble["left_out"])
        yield f"alone  {best['monitor']} {figure(mean)} ± {figure(std)}, mean of {num_members} members"
    for check in record["checks"]:
        if scores := check["evidence"].get("scores"):
            yield f"base   {check['evidence']['metric']}: {_scores(scores)}"
    if not in_sweep:
        yield f"report {folder}/report.html"
    if config.get("debug"):
        yield "next   train it whole, without debug=...: a trial cannot be frozen"
    elif config["loss"]["_target_"].endswith(".reconstruction"):
        yield f"next   {program()} model=autoencoder {setting('model.pretrained', _relative(path))}"
    elif config["vault"]["policy"] == "none":
        yield f"next   holdfast predict {folder} --input FILE   (no test rows were sealed: it cannot be frozen)"
    elif not in_sweep:
        yield from _advice(path, Path(config["paths"]["output"]), record["data"]["vault"])


def _scores(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure(value)}" for name, value in values.items())


def _advice(run: Path, outputs: Path, vault: str) -> Iterator[str]:
    """Say how runs are compared, and how one is chosen where there are others of the same data."""
    place = outputs if run.resolve().is_relative_to(outputs.resolve()) else run.parent
    yield f"next   holdfast runs {in_shell(_relative(place))}   (compares runs by their val rows)"
    others = (file for depth in ("*", "*/*", "*/*/*") for file in place.glob(f"{depth}/{FILE_NAME}"))
    others = (file for file in others if file.parent.resolve() != run.resolve())
    if any(f'"vault": "{vault}"' in file.read_text() for file in others):
        yield f"       holdfast freeze {in_shell(_relative(run))}   (chooses this run for the final evaluation)"


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
