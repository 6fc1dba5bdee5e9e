"""One experiment: a composed config and the folder of its run. It is checked, built once, and run.

Command line, notebook, jobs of a sweep and the processes of several devices all train through `Experiment`.
"""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from holdfast.config.check import check_config
from holdfast.config.provenance import by_file, user_modules
from holdfast.config.resolve import build_option
from holdfast.config.trust import remember_trusted
from holdfast.core.errors import HoldfastError, InputError, Interrupted
from holdfast.core.run_record import FILE_NAME, RunRecord, environment, now, read_run
from holdfast.core.seeding import one_at_a_time
from holdfast.data.first_look import Header
from holdfast.experiment.check import averages_runs, check_free, check_settings
from holdfast.experiment.compose import compose_run, enter_job, finds_lr, typed_overrides, without_hydra, write_composed
from holdfast.experiment.parts import NOTEBOOK, notebook_parts, option_of, put_parts
from holdfast.experiment.resume import check_same_config, resume_overrides
from holdfast.experiment.run import Run
from holdfast.reporting.run_page import write_run_page
from holdfast.training.metric_names import mode_of
from holdfast.vault.ledger.ledger import code_sha256

if TYPE_CHECKING:
    from holdfast.data.loading.datamodule import DataModule
    from holdfast.data.store.store import Prepared
    from holdfast.ensembles.make import Ensemble
    from holdfast.training.fit import Built
    from holdfast.training.reporter import Reporter


class Experiment:
    """An experiment and what has been made of it so far.

    Two experiments in one process do not disturb each other: each builds and trains from its own seed, one at a time,
    and leaves the random state of the process as it found it.
    """

    def __init__(
        self,
        config: DictConfig,
        folder: Path | str,
        *,
        overrides: Sequence[str] = (),
        choices: Mapping[str, str] | None = None,
        started: float | None = None,
    ) -> None:
        self.config = config  # the resolved config, without Hydra's part
        self.folder = Path(folder)  # where its run is written
        self.overrides = list(overrides)  # what was typed, for the record
        self.choices = dict(choices or {})  # group -> chosen option, for the record
        self.reporter: Reporter | None = None  # is told the metrics of every epoch, and may end the run
        self.rows_in_memory: Path | None = None  # the file with the rows that the caller holds in memory, if any
        # group -> entry of the config, of the caller's own parts; they stand in no option
        self.parts: dict[str, dict[str, Any]] = {}
        self.title = ""  # how the console calls it among others, such as "trial 12: lr=0.01"
        self.fields: dict[str, Any] = {}  # more fields of the record
        self.finds_lr = False  # whether `lr=auto` is still to find a learning rate; until then it is one to start from
        # `time.perf_counter()` when work on it began
        self.started = time.perf_counter() if started is None else started
        self._composed = config  # with Hydra's part, where it was composed with one
        self._header: Header | None = None  # what the source told of its rows when the config was checked
        self._prepared: Prepared | None = None
        self._datamodule: DataModule | None = None
        self._built: Built | None = None

    @classmethod
    def compose(cls, overrides: Sequence[str] = (), parts: Mapping[str, Any] | None = None) -> Experiment:
        """Compose an experiment from overrides as they are typed behind `python train.py`, `resume=RUN` included.

        `parts` are classes or functions in place of options, by group.

        Raises:
            InputError: Every mistake in the overrides at once; or the run cannot go on.
        """
        config = compose_run(resume_overrides(overrides))
        nodes = {group: option_of(group, part) for group, part in (parts or {}).items()}
        if config.resume is not None:
            nodes = read_run(Path(config.resume)).get("parts", {}) | nodes
        put_parts(config, nodes)
        experiment = cls.of(config)
        experiment.parts = nodes
        return experiment

    @classmethod
    def of(cls, composed: DictConfig, *, started: float | None = None) -> Experiment:
        """Make an experiment of a composed config whose folder is fixed, Hydra's part included."""
        parts = composed.hydra.runtime.choices
        experiment = cls(
            without_hydra(composed),
            Path(composed.hydra.runtime.output_dir),
            overrides=typed_overrides(composed),
            choices={key: value for key, value in parts.items() if not key.startswith("hydra/")},
            started=started,
        )
        experiment._composed = composed
        experiment.finds_lr = finds_lr(composed)
        return experiment

    def as_bytes(self) -> bytes:
        """Pickle an experiment, without what has been made of it, for a child process of this one."""
        alone = copy.copy(self)
        alone.reporter = alone._prepared = alone._datamodule = alone._built = None
        return pickle.dumps(alone)

    @classmethod
    def from_bytes(cls, content: bytes) -> Experiment:
        """Read what `as_bytes` gave; the process becomes that of a job where the experiment is one of Hydra's."""
        started = time.perf_counter()
        experiment = pickle.loads(content)
        assert isinstance(experiment, cls)
        experiment.started = started
        if "hydra" in experiment._composed:
            enter_job(experiment._composed)
        return experiment

    def check(self) -> None:
        """Check all that can be checked before anything is written but rows: the config, the folder, and every part.

        Raises:
            InputError: Something is wrong; all mistakes of one kind at once.
        """
        if self.config.resume is not None:
            check_same_config(self.config, self.folder)
        else:
            check_free(self.folder, "hydra.run.dir")
        self.check_parts(check_settings(self.config))

    def check_parts(self, header: Header | None) -> None:
        """Refuse what cannot be known of a config without its data: accelerator, rows, and parts that do not fit.

        `header` is what the source tells of its rows before they are read (`experiment.check.check_rows`).
        """
        self._header = header
        if self.config.ensemble:
            self._ensemble().check(self)
        if not averages_runs(self.config):
            self.build()

    def prepare(self, before: Callable[[], None] = lambda: None) -> DataModule:
        """Prepare the train and val rows; the test rows are sealed first where they are new.

        `before` is called where rows are not prepared yet.
        """
        if self._datamodule is None:
            from holdfast.data.loading.datamodule import DataModule

            config = self.config
            self._datamodule = DataModule(
                self._prepared or self._prepared_rows(before),
                build_option(config.split)(),
                batch_size=config.batch_size,
                seed=config.seed,
                resident=config.data.resident,
                num_workers=config.data.num_workers,
                subset=config.data.get("subset"),
                sampling=config.data.get("sampling"),
            )
        return self._datamodule

    def _prepared_rows(self, before: Callable[[], None]) -> Prepared:
        from holdfast.data.store.store import is_from_memory, open_prepared, prepare

        config = self.config
        if config.resume is not None and is_from_memory(config.data) and self.rows_in_memory is None:
            return open_prepared(read_run(self.folder)["data"]["rows"])
        return prepare(config.data, config.split, config.vault, Path.cwd(), self.rows_in_memory, before=before)

    def _check_ahead(self) -> None:
        """Refuse a model whose outputs do not fit what is known of the rows before they are read."""
        from holdfast.training.build import check_outputs_ahead

        if self._header is not None:
            with one_at_a_time():
                check_outputs_ahead(self.config, self._header)

    def build(self) -> Built:
        """Build everything that trains, once: network, loss, optimizer, schedule and Trainer.

        Raises:
            InputError: Parts do not fit each other, the machine or the data.
        """
        if self._built is None:
            from holdfast.training.devices import check_accelerator, num_devices
            from holdfast.training.fit import build
            from holdfast.training.trainer import build_trainer

            check_accelerator(self.config.trainer)
            if num_devices(self.config.trainer) > 1 and (own := list(notebook_parts(self.config))):
                problem = f"{own[0][1]} is not in a file, and other processes cannot import it"
                raise InputError(own[0][0], problem, next="move it into a module, or take trainer.devices=1")
            trainer = build_trainer(self.config, self.folder)  # before rows are prepared, which takes longer
            datamodule = self.prepare(self._check_ahead)
            with one_at_a_time():
                self._built = build(self.config, datamodule, trainer)
        return self._built

    def member(self, folder: Path, changes: Mapping[str, Any]) -> Experiment:
        """The same experiment as a member of this ensemble; it goes on where its run has begun.

        The ensemble prepares rows and makes checks. `changes` are values by their keys, as in {"split.fold": 2}.
        """
        groups, keys = ("ensemble", "check"), ("lr", *changes)
        words = []
        for word in self.overrides:
            key = word.lstrip("+~").partition("=")[0]
            if key not in keys and key.split(".")[0] not in groups:
                words.append(word)
        changes = {"lr": self.config.lr, **changes}
        words += [*(f"{key}={value}" for key, value in changes.items()), "ensemble=none", "check=none"]
        config = pickle.loads(pickle.dumps(self._composed))  # in less than half the time of `copy.deepcopy`
        with open_dict(config):
            config.update(ensemble={}, check={})
            for key, value in changes.items():
                OmegaConf.update(config, key, value)
            config.resume = str(folder) if (folder / FILE_NAME).exists() else None
            if "hydra" in config:
                OmegaConf.set_readonly(config.hydra, False)  # Hydra does not let its part be changed once a job runs
                OmegaConf.set_readonly(config.hydra.runtime, False)
                config.hydra.runtime.output_dir = config.hydra.run.dir = str(folder)
                config.hydra.overrides.task = words
        choices = {**self.choices, "ensemble": "none", "check": "none"}
        member = Experiment(without_hydra(config), folder, overrides=words, choices=choices)
        member.parts, member.rows_in_memory = self.parts, self.rows_in_memory
        member._composed = config
        member._prepared = self.prepare().prepared
        return member

    def _ensemble(self) -> Ensemble:
        ensemble: Ensemble = build_option(self.config.ensemble)()
        return ensemble

    def make_ensemble(self, record: RunRecord) -> str:
        """Make the ensemble of the config; gives the status of its run."""
        from holdfast.ensembles.make import make

        make(self._ensemble(), self, record)
        return "completed"

    def set_lr(self, lr: float, record: RunRecord) -> None:
        """Take the learning rate that was found, wherever the config names it; what was built is built anew."""
        self._composed.lr = lr
        self.config = without_hydra(self._composed)
        self.finds_lr = False
        self._built = None
        record.update(config=self._recorded_config())

    def _recorded_config(self) -> dict[str, Any]:
        config: Any = OmegaConf.to_container(self.config, resolve=True)
        return {**config, "lr": "auto"} if self.finds_lr else dict(config)

    def run(self, reporter: Reporter | None = None) -> Run:
        """Train, or do what the stage says, and write the record; whatever ends the run stands there.

        A reporter is told the metrics of every epoch, and may end the run.

        Raises:
            InputError: The config or the data are wrong.
            RunFailed: Training failed.
            Interrupted: A signal asked to stop; the run can be resumed.
        """
        created = now()
        check_config(self.config)  # a launcher or sweeper of another's may have come around `check`
        if self.config.resume is None:
            remember_trusted([module for module in self.config.trusted_modules if module != NOTEBOOK])
        self.reporter = reporter
        with one_at_a_time():
            record = self.open_record(created)
            try:
                outcome = self._carry_out(record)
            except BaseException as error:
                self.end(record, error)
                raise
            else:
                self.end(record, outcome)
            finally:
                with suppress(OSError):  # the run is whole without its page
                    write_run_page(record.folder, record.fields)
        return self.result()

    def result(self) -> Run:
        """The run in the folder."""
        return Run(self.folder)

    def open_record(self, created: str | None = None) -> RunRecord:
        """Begin the record of the run, which has begun at a time (now), or go on with it, in its folder."""
        if self.config.resume is not None:
            record = RunRecord.reopen(self.folder)
            record.update(**self.fields)
            return record
        recorded = self._recorded_config()
        if "hydra" in self._composed and not (self.folder / ".hydra").exists():
            write_composed(self._composed, {**recorded, "lr": self.config.lr}, self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        config, stage = self.config, str(self.config.stage._target_).rpartition(".")[2]
        return RunRecord.create(
            self.folder,
            created=created or now(),
            kind="ensemble" if config.ensemble and (stage == "fit" or averages_runs(config)) else stage,
            overrides=self.overrides,
            choices=self.choices,
            config=recorded,
            seed=config.seed,
            monitor=config.monitor,
            mode=mode_of(config.monitor, config.mode, config.get("metrics")),
            **({"parts": self.parts} if self.parts else {}),
            **self.fields,
            **environment(),
            code={"holdfast": code_sha256(), **by_file(user_modules([recorded]))},
        )

    def end(self, record: RunRecord, outcome: str | BaseException) -> None:
        """Write the last word into the record, the status or what has ended the run, and let go of what was built."""
        self._built = self._datamodule = None
        timings = {**record.fields["timings"], "total": time.perf_counter() - self.started}
        if isinstance(outcome, str):
            record.finish(outcome, record.fields["stop_reason"], timings=timings)
        elif isinstance(outcome, Interrupted | KeyboardInterrupt):
            reason = str(outcome) if isinstance(outcome, Interrupted) else "interrupted by the keyboard"
            record.finish("interrupted", reason, error=None, timings=timings)
        elif isinstance(outcome, HoldfastError):
            record.finish("failed", str(outcome), error=outcome.as_dict(), timings=timings)
        else:
            message = f"{type(outcome).__name__}: {outcome}"
            error = {"code": "failed", "where": "run", "what": message, "allowed": "", "next": ""}
            record.finish("failed", message, error=error, timings=timings)

    def _carry_out(self, record: RunRecord) -> str:
        if averages_runs(self.config):
            return self.make_ensemble(record)
        status: str = build_option(self.config.stage)(experiment=self, record=record)
        return status
