"""Train and validate: what a run trains is built once, and trained to checkpoints and a full record."""

from __future__ import annotations

import copy
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException

from holdfast.config.resolve import build_option
from holdfast.core.errors import Diverged, InputError
from holdfast.core.files import make_durable, write_atomic
from holdfast.core.run_record import BATCH_FILE_NAME, RunRecord, now
from holdfast.core.seeding import random_states, restore_random_states, seed_everything
from holdfast.training.build import Shapes, build_trainable, goal_of, try_rows
from holdfast.training.checkpoints import FOLDER, LAST, STATE, newest_readable, place_copy
from holdfast.training.combinations import cautions, check_combinations
from holdfast.training.devices import check_shared, precision_of, set_threads
from holdfast.training.epoch_callback import EpochCallback
from holdfast.training.finite_loss import FiniteLoss
from holdfast.training.first_batch import batch_facts
from holdfast.training.interrupts import SignalFlag, caught_signals
from holdfast.training.loggers import build_loggers, check_loggers, close_failed, log_outcome
from holdfast.training.metric_names import check_monitor, mode_of
from holdfast.training.module import SupervisedModule
from holdfast.training.pretrained import describe_pretraining
from holdfast.training.progress import Progress
from holdfast.training.row_guard import look_first

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from holdfast.data.loading.datamodule import DataModule
    from holdfast.training.reporter import Reporter

SHOWN = ("train/loss", "val/loss", "val/accuracy", "val/rmse", "val/r2")


@dataclass
class Built:
    """Everything that trains, built once for one run.

    `random` are the states of the random generators (CPU) after building, with which training begins.
    """

    config: DictConfig
    datamodule: DataModule
    module: SupervisedModule
    shapes: Shapes
    trainer: pl.Trainer
    random: dict[str, Any]


def build(config: DictConfig, datamodule: DataModule, trainer: pl.Trainer) -> Built:
    """Build what will be trained, from the seed of the config; whatever does not fit the machine or the data is told.

    Raises:
        InputError: Clipping, monitor, model, loss, optimizer or schedule.
    """
    seed_everything(config.seed)
    check_combinations(config)
    goal = goal_of(config, datamodule.task)
    check_monitor(config.monitor, goal, config.get("metrics"), datamodule.class_names)
    statistics = datamodule.statistics
    shapes = Shapes(
        datamodule.task,
        statistics.kind,
        tuple(datamodule.input_shape),
        datamodule.num_outputs,
        datamodule.columns,
        statistics.dtype,
        datamodule.view,
    )
    module = build_trainable(config, shapes, statistics)
    num_steps = steps_per_epoch(config, datamodule)
    check_shared(config, datamodule.batch_size, statistics.num_rows, module.model)
    if config.batch_size == 1:
        try_rows(copy.deepcopy(module.model).train(), 1, shapes)  # batch normalisation takes no row alone
    # what optimizer and schedule refuse is told before anything is written
    optimizer = module.make_optimizer(module)
    module.make_schedule(optimizer, total_steps=config.max_epochs * num_steps, steps_per_epoch=num_steps)
    check_loggers(config.get("logger"))
    if config.get("early_stopping"):
        build_option(config.early_stopping)([], mode=mode_of(config.monitor, config.mode, config.get("metrics")))
    return Built(config, datamodule, module, shapes, trainer, random_states(with_devices=False))


def fit(built: Built, record: RunRecord, reporter: Reporter | None = None) -> str:
    """Train, and leave checkpoints and record in the run's folder.

    With `config.resume` the run goes on from its last whole checkpoint, to the bits of an uninterrupted one on a CPU.
    The record's `stop_reason` says why training ended; its `status` is the caller's to set.

    Returns:
        "completed", or "pruned" where the reporter gave the run up.

    Raises:
        InputError: A callback or a setting is refused by Lightning.
        Diverged: The loss is no longer finite.
        Interrupted: SIGINT or SIGTERM came; the checkpoint of the last whole epoch stands.
    """
    started = time.perf_counter()
    config, module, trainer = built.config, built.module, built.trainer
    seed_everything(config.seed)  # devices too
    restore_random_states(built.random)
    for caution in cautions(config, built.datamodule.statistics.num_rows) if record.writes else ():
        print(f"holdfast: {caution}", file=sys.stderr, flush=True)
    with caught_signals() if record.writes else nullcontext(SignalFlag()) as signals, settings_kept(config):
        path, resumed = _where_to_go_on(record) if config.resume else (None, None)
        progress = _build_progress(config, trainer) if record.writes else None
        epoch_callback = begin(built, record, reporter, signals=signals, resumed=resumed, progress=progress)
        trainer.callbacks[:0] = [FiniteLoss(), epoch_callback]  # type: ignore[attr-defined]
        timings = record.fields["timings"]  # with what the caller did before
        start_up = timings.get("start_up", 0.0) + time.perf_counter() - started
        record.fields["timings"] = {**timings, "start_up": start_up}
        with _closed_at_the_end(epoch_callback):
            if not (resumed and resumed["stop_reason"]):
                _run(trainer, module, built.datamodule, path, signals)
                if epoch_callback.best is not None and record.writes:
                    make_durable(record.folder / epoch_callback.best["checkpoint"])
        if epoch_callback.best is None:
            raise Diverged("monitor", f"{config.monitor} was not a number in any epoch", next="monitor another metric")
        log_outcome(epoch_callback.loggers, record)
    record.fields["stop_reason"] = epoch_callback.stop_reason
    record.fields["timings"] = {**record.fields["timings"], **epoch_callback.clock.timings()}
    return "pruned" if epoch_callback.is_pruned else "completed"


def begin(
    built: Built,
    record: RunRecord,
    reporter: Reporter | None = None,
    *,
    signals: SignalFlag,
    resumed: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> EpochCallback:
    """Bring what was built into the form that is trained, describe it in the record, and make what ends every epoch.

    `resumed` is the state of the checkpoint that the run goes on from.
    """
    config = built.config
    first_epoch = len(resumed["history"]) + 1 if resumed else 1
    record.fields.update(monitor=config.monitor, mode=mode_of(config.monitor, config.mode, config.get("metrics")))
    epoch_callback = EpochCallback(
        record,
        shapes=built.shapes.as_dict(),
        stopping=build_option(config.early_stopping) if config.get("early_stopping") else None,
        reporter=reporter,
        signals=signals,
        loggers=build_loggers(config.get("logger") if record.writes else None, record, first_epoch=first_epoch),
        resumed=resumed,
        progress=progress,
    )
    _make_ready(built, record)
    record.update(**_description(built.module, built.trainer))
    return epoch_callback


def _make_ready(built: Built, record: RunRecord) -> None:
    """Bring the module into the form that is trained, and note what it starts from."""
    config, module = built.config, built.module
    if precision_of(config.trainer) == "64-true":
        module.double()  # in front of a checkpoint's weights, which Lightning would load in single precision
    if config.get("compile"):
        module.model.compile()  # in place: names in checkpoints stay as they are
        # What torch has compiled does not go through `forward` any more.
        compiled = module.model._compiled_call_impl
        assert compiled is not None
        module.model._compiled_call_impl = look_first(compiled)
    record.fields["threads"] = _set_threads(built, record)
    if record.writes and not (record.folder / BATCH_FILE_NAME).exists():
        facts = json.dumps(batch_facts(config, built.datamodule)) + "\n"
        write_atomic(record.folder / BATCH_FILE_NAME, facts, is_durable=False)
    if module.pretrained:
        record.fields["pretrained"] = module.pretrained
        print(describe_pretraining(module.pretrained), flush=True)


@contextmanager
def _closed_at_the_end(epoch_callback: EpochCallback) -> Iterator[None]:
    """Take the progress bar away, and tell the loggers of a run that has not come to its end."""
    try:
        yield
    except BaseException:
        close_failed(epoch_callback.loggers)
        raise
    finally:
        if epoch_callback.progress is not None:
            epoch_callback.progress.stop()


@contextmanager
def settings_kept(config: DictConfig) -> Iterator[None]:
    """Set what torch keeps for the whole process as this run wants it, and set it back at the end."""
    threads, deterministic = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    wanted = config.trainer.get("deterministic") or "default"
    torch.set_deterministic_debug_mode("error" if wanted is True else wanted)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(deterministic)


def steps_per_epoch(config: DictConfig, datamodule: DataModule) -> int:
    """Steps of the optimizer in an epoch; limits that leave no batch of train or val are refused."""
    numbers = {}
    for part, loader in (("train", datamodule.train_dataloader()), ("val", datamodule.val_dataloader())):
        limit = config.trainer.get(f"limit_{part}_batches")
        numbers[part] = len(loader)
        if limit is not None:
            numbers[part] = min(len(loader), int(limit * len(loader) if isinstance(limit, float) else limit))
        if numbers[part] < 1:
            where = f"trainer.limit_{part}_batches"
            raise InputError(
                where, f"is {limit}, which leaves no batch of {len(loader)}", "a count, or a share as in 0.5"
            )
    accumulate = config.trainer.get("accumulate_grad_batches")
    if not isinstance(accumulate, int) or accumulate < 1:
        raise InputError("trainer.accumulate_grad_batches", f"is {accumulate!r}", "whole numbers from 1")
    return -(-numbers["train"] // accumulate)


def _run(
    trainer: pl.Trainer, module: pl.LightningModule, datamodule: DataModule, path: Any, signals: SignalFlag
) -> None:
    with warnings.catch_warnings():
        # a GPU that the config leaves alone is the user's choice
        warnings.filterwarnings("ignore", message=".*available but not used.*")
        # Lightning asks torch in a way that torch 2.13 deprecates
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
        try:
            trainer.fit(module, datamodule=datamodule, ckpt_path=path, weights_only=True)
        except SIGTERMException:
            signals.check()
            raise
        except MisconfigurationException as error:  # a callback or a setting that Lightning looks at late
            raise InputError("trainer", (str(error).splitlines() or [""])[0]) from None


def _where_to_go_on(record: RunRecord) -> tuple[Any, dict[str, Any] | None]:
    """The checkpoint and its state; nothing when the run was killed before it wrote the first one."""
    folder = record.folder / FOLDER
    if not (folder / LAST).exists() and not any(folder.glob("best-*.ckpt")):
        return None, None
    path, content = newest_readable(folder)
    if path.name != LAST and record.writes:
        place_copy(path, folder / LAST)
    state: dict[str, Any] = content[STATE]
    resumes = [*record.fields["resumes"], {"time": now(), "epoch": len(state["history"])}]
    record.fields.update(best=state["best"], pretrained=state["pretrained"], resumes=resumes)
    record.set_history(state["history"])
    return path, state


def _set_threads(built: Built, record: RunRecord) -> int:
    """Set the number of threads as the config says; a run that goes on has as many as before."""
    if record.fields.get("threads"):
        torch.set_num_threads(record.fields["threads"])
    elif built.trainer.strategy.root_device.type == "cpu" or built.config.threads != "auto":
        set_threads(built.config, built.module.multiply_adds, built.datamodule.batch_size)
    return torch.get_num_threads()


def _build_progress(config: DictConfig, trainer: pl.Trainer) -> Progress:
    def position() -> tuple[int, float]:
        num_batches = trainer.num_training_batches
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        share = batches / num_batches if num_batches not in (0, float("inf")) else 0.0
        epochs: Any = trainer.fit_loop.epoch_progress.current
        return epochs.processed, min(share, 1.0) % 1.0

    shown = SHOWN if config.monitor in SHOWN else (*SHOWN, config.monitor)
    return Progress(config.max_epochs, shown, position)


def _description(module: pl.LightningModule, trainer: pl.Trainer) -> dict[str, Any]:
    device = trainer.strategy.root_device
    name = f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)
    parameters = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return {"device": name, "precision": str(trainer.precision), "parameters": parameters}
