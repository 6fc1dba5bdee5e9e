"""One run: check everything, prepare the rows, call the stage, write the record, say what to do next."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from holdfast.config.check import check_config
from holdfast.config.trust import remember_trusted
from holdfast.core.errors import HoldfastError, InputError, Interrupted
from holdfast.core.exits import program
from holdfast.core.figures import figure
from holdfast.core.run_record import FILE_NAME, RunRecord, environment
from holdfast.data.first_look import first_look
from holdfast.data.targets import as_plain, call_target
from holdfast.experiment.resume import check_same_config
from holdfast.reporting.run_page import write_run_page
from holdfast.training.names import check_monitor, mode_of

if TYPE_CHECKING:
    from holdfast.data.loading.datamodule import DataModule


def check_folder(config: DictConfig) -> None:
    """Refuse a folder that holds a run, or a resume whose options have changed.

    Args:
        config: The composed config, Hydra's part included.

    Raises:
        InputError: The folder is taken, cannot be written to, or holds a run of other options.
    """
    folder = Path(config.hydra.run.dir)
    if config.resume is not None:
        check_same_config(without_hydra(config), Path(config.resume))
    else:
        if not config.hydra.run.dir:
            raise InputError("hydra.run.dir", "is empty", next="name a folder, or leave it out")
        check_free(folder, "hydra.run.dir")


def check_free(folder: Path, where: str) -> None:
    """Refuse a folder that holds a run already, or that cannot be made.

    Raises:
        InputError: Blaming the key `where`.
    """
    if (folder / FILE_NAME).exists() or (folder / ".hydra").exists():
        raise InputError(where, f"{folder} holds a run already", next="choose another folder")
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        os.rmdir(tempfile.mkdtemp(dir=there))
    except OSError as error:
        raise InputError(where, f"{folder} cannot be made ({error.strerror})", next="choose another folder") from None


def without_hydra(config: DictConfig) -> DictConfig:
    """The part of a composed config that is the experiment."""
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    assert isinstance(plain, DictConfig)
    return plain


def check_settings(config: DictConfig) -> None:
    """What can be known of a config without its data.

    Raises:
        InputError: All mistakes at once, but a split's own, which comes when there are no others.
    """
    check_rows(config)
    check_monitor(config.monitor)
    check_config(config)


def check_rows(config: DictConfig) -> None:
    """Look at split and source for a moment, before torch is imported.

    Raises:
        InputError: A number of the split is out of its range; there is no such file, or no such column.
    """
    if config.ensemble:
        return
    try:
        check_config(config, ("data", "split"))
    except InputError:  # is told with all other mistakes of the config
        return
    call_target(as_plain(config.split), "split")
    first_look(as_plain(config.data.source))


def check_parts_and_rows(config: DictConfig) -> None:
    """Check what cannot be known of a config without its data: accelerator, rows, and whether the parts fit them.

    Raises:
        InputError: Something does not fit.
    """
    if config.ensemble:
        from holdfast.ensembles.members import check_members

        check_members(config)
        return
    from holdfast.training.devices import check_accelerator
    from holdfast.training.fit import build_trainer, check_parts, quiet_lightning

    quiet_lightning()
    check_accelerator(config.trainer)  # before the rows are prepared, which takes longer
    build_trainer(config, Path.cwd())
    check_parts(config, data_module(config))


def run(config: DictConfig, started: float | None = None) -> None:
    """Carry out one composed config in the folder that Hydra has made.

    Args:
        config: Without Hydra's part.
        started: `time.perf_counter()` at the start of the process; None: now.

    Raises:
        InputError: The config or the data are wrong.
        RunFailed: Training failed; the record says why.
        Interrupted: A signal asked to stop; the run can go on with `resume=`.
    """
    started = time.perf_counter() if started is None else started
    check_config(config)  # a launcher or sweeper of another's may have come around the gate; `fit` checks the rest
    if config.resume is None:
        remember_trusted(config.trusted_modules)
    folder = Path(HydraConfig.get().runtime.output_dir)
    record = RunRecord.reopen(folder) if config.resume else RunRecord.create(folder, **_first_fields(config))
    with _recorded(record, started):
        if config.ensemble:
            instantiate(config.ensemble)(config=config, record=record)
        else:
            _train(config, record, started)
    record.finish("completed", record.fields["stop_reason"])
    with suppress(OSError):  # the run is whole without its page
        write_run_page(folder, record.fields)
    _say_what_next(record)


def _train(config: DictConfig, record: RunRecord, started: float) -> None:
    from holdfast.experiment.ranks import other_ranks

    with other_ranks(config, record.folder):
        train_on(config, record, started)


def train_on(config: DictConfig, record: RunRecord, started: float | None = None) -> None:
    """Train as one of the processes of a run, which is most often the only one."""
    from holdfast.training.row_guard import guarded

    datamodule = data_module(config)
    start_up = time.perf_counter() - started if started is not None else 0.0
    record.update(data=datamodule.describe(), timings={"start_up": start_up})
    sealed = datamodule.prepared.folder / "sealed.fingerprints"
    with guarded(datamodule.row_form(), record.folder.name, sealed):
        instantiate(config.stage)(config=config, record=record, datamodule=datamodule)


def data_module(config: DictConfig) -> DataModule:
    """The prepared rows of a config, sealed first where they are new."""
    from holdfast.data.loading.datamodule import DataModule
    from holdfast.data.store.store import prepare

    return DataModule(
        prepare(config.data, config.split, config.vault, Path.cwd()),
        instantiate(config.split)(),
        batch_size=config.batch_size,
        seed=config.seed,
        resident=config.data.resident,
        num_workers=config.data.num_workers,
        subset=config.data.get("subset"),
        sampling=config.data.get("sampling"),
    )


def _first_fields(config: DictConfig) -> dict[str, Any]:
    hydra_config = HydraConfig.get()
    return {
        "kind": "ensemble" if config.ensemble else "fit",
        "overrides": list(hydra_config.overrides.task),
        "choices": {k: v for k, v in hydra_config.runtime.choices.items() if not k.startswith("hydra/")},
        "config": OmegaConf.to_container(config, resolve=True),
        "seed": config.seed,
        "monitor": config.monitor,
        "mode": mode_of(config.monitor, config.mode),
        **environment(),
    }


@contextmanager
def _recorded(record: RunRecord, started: float) -> Iterator[None]:
    """Whatever ends the run stands in its record."""

    def finish(status: str, reason: str, error: dict[str, object] | None) -> None:
        total = time.perf_counter() - started
        record.finish(status, reason, error=error, timings={**record.fields["timings"], "total": total})

    try:
        yield
    except Interrupted as error:
        finish("interrupted", str(error), None)
        print(f"interrupted; go on with: {program()} resume={shlex.quote(str(record.folder))}", flush=True)
        raise
    except KeyboardInterrupt:
        finish("interrupted", "interrupted by the keyboard", None)
        raise
    except HoldfastError as error:
        finish("failed", str(error), error.as_dict())
        raise
    except BaseException as error:
        what = f"{type(error).__name__}: {error}"
        finish("failed", what, {"code": "failed", "where": "run", "what": what, "allowed": "", "next": ""})
        raise
    record.update(timings={**record.fields["timings"], "total": time.perf_counter() - started})


def _say_what_next(record: RunRecord) -> None:
    best = record.fields["best"]
    scores = [f"{name} {figure(value)}" for name, value in best["metrics"].items() if name != best["monitor"]]
    epoch = f" (epoch {best['epoch']})" if best["epoch"] else ""
    folder = shlex.quote(str(_relative(record.folder)))
    print(f"\nrun    {folder}")
    told = [f"{best['monitor']} {figure(best['value'])}{epoch}", *([", ".join(scores)] if scores else [])]
    print(f"best   {'; '.join(told)}", flush=True)
    if record.fields["config"].get("debug"):
        print("next   train it whole, without debug=...: a trial cannot be frozen", flush=True)
    elif record.fields["config"]["loss"]["_target_"].endswith(".reconstruction"):
        print(f"next   {program()} model=autoencoder model.pretrained={folder}", flush=True)
    elif record.fields["config"]["vault"]["policy"] == "none":
        print(f"next   holdfast predict {folder} ...   (no test rows were sealed: it cannot be frozen)", flush=True)
    elif HydraConfig.get().mode != RunMode.MULTIRUN:  # a sweep says it once, of its best job
        print(f"next   holdfast freeze {folder}   (chooses this run for the final evaluation)", flush=True)


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
