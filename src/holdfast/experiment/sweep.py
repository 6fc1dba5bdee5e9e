"""A sweep: every job is checked before the first one starts, and Hydra's sweeper, whichever is chosen, runs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast.config.groups import PRIMARY
from holdfast.config.overrides import command_line_problems, composition_problem
from holdfast.core.errors import InputError, Interrupted, Problem, RunFailed, raise_problems
from holdfast.experiment.check import check_rows, check_settings
from holdfast.experiment.compose import OptionsLoader, fix_folder, typed_overrides, without_hydra
from holdfast.experiment.console import run_job_of_hydra
from holdfast.experiment.experiment import Experiment
from holdfast.experiment.jobs import LAUNCHER, FinishedJob, check_job_folder, warm_up


def compose_sweep(overrides: Sequence[str], loader: OptionsLoader) -> DictConfig:
    """Compose the config that the jobs of a sweep start from, and check all of them.

    Raises:
        InputError: Every mistake of any job at once.
    """
    raise_problems(command_line_problems(overrides, loader, is_sweep=True))
    try:
        config = loader.load_configuration(PRIMARY, [*overrides, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise_problems([composition_problem(error, is_sweep=True)])
        raise
    fix_folder(config, "sweep")
    if config.resume is not None:
        raise InputError("resume", "one run goes on at a time", next="leave out -m")
    num_parallel = config.hydra.launcher.get("n_jobs", 1)
    if config.hydra.launcher._target_ == LAUNCHER and (not isinstance(num_parallel, int) or num_parallel < 1):
        raise InputError("hydra.launcher.n_jobs", f"is {num_parallel!r}", allowed="a whole number from 1")
    return config


def check_sweep(config: DictConfig, loader: OptionsLoader) -> list[DictConfig]:
    """Check every job before the first one starts.

    Returns:
        The configs of the jobs, one of all that differ in nothing but the seed.

    Raises:
        InputError: Every mistake of any job at once.
    """
    jobs = overrides_of_jobs(config, loader)
    if jobs:
        with suppress(HydraException, OmegaConfBaseException):  # told below, with those of the other jobs
            check_rows(without_hydra(loader.load_sweep_config(config, jobs[0])))
    warm_up(config)
    problems: dict[Problem, None] = {}
    configs = []
    for number, job in enumerate(jobs):
        try:
            job_config = loader.load_sweep_config(config, job)
            check_job_folder(job_config, number)
            configs.append(without_hydra(job_config))
            check_settings(configs[-1])
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
        except (HydraException, OmegaConfBaseException) as error:
            mistakes = command_line_problems(job, loader, is_sweep=False) or [composition_problem(error)]
            problems |= dict.fromkeys(mistakes)
    raise_problems(list(problems))  # of any job, before rows are prepared for the first
    kinds = unlike(configs)
    for job_config in kinds:
        try:
            Experiment(job_config, Path(config.hydra.sweep.dir)).check_parts()
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
    raise_problems(list(problems))
    return kinds


def run_sweep(config: DictConfig, loader: OptionsLoader) -> list[FinishedJob]:
    """Run the jobs of a sweep, whatever some of them fail of.

    Returns:
        The finished jobs; none where a launcher of another's ran them.

    Raises:
        Interrupted: A signal came.
    """
    callbacks = Callbacks(config)
    callbacks.on_multirun_start(config=config, config_name=PRIMARY)
    sweeper = Plugins.instance().instantiate_sweeper(
        config=config,
        hydra_context=HydraContext(config_loader=loader, callbacks=callbacks),
        task_function=run_job_of_hydra,
    )
    finished: list[FinishedJob] = getattr(getattr(sweeper, "launcher", None), "finished", [])
    try:
        sweeper.sweep(arguments=typed_overrides(config))
    except Exception as error:  # Hydra's own sweeper raises what the first failed job of a batch has failed of
        if not any(job.error is error for job in finished):
            raise
    callbacks.on_multirun_end(config=config, config_name=PRIMARY)
    return finished


def raise_failures(jobs: Sequence[FinishedJob], folder: Path) -> None:
    """Raise one error for all jobs that failed.

    Raises:
        RunFailed: Some did.
        Interrupted: They were stopped by a signal.
    """
    errors = {number: job.error for number, job in enumerate(jobs) if job.error is not None}
    if errors and all(isinstance(error, Interrupted) for error in errors.values()):
        raise next(iter(errors.values()))
    if errors:
        which = ", ".join(f"{number} (exit code {error.exit_code})" for number, error in errors.items())
        problem = f"{len(errors)} of {len(jobs)} jobs failed: {which}"
        raise RunFailed("sweep", problem, next=f"`holdfast runs {folder}`")


def overrides_of_jobs(config: DictConfig, loader: OptionsLoader) -> list[list[str]]:
    """List the overrides of every job, or of none where the sweeper decides as it goes.

    Raises:
        InputError: The sweep has no job.
    """
    if config.hydra.sweeper._target_ != f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}":
        return []
    given = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=loader)
    batches = BasicSweeper.split_arguments(parser.parse_overrides([*given, *typed_overrides(config)]), None)
    jobs: list[list[str]] = batches[0]
    if not jobs:
        raise InputError("sweep", "has no job: a value to sweep over is empty", next="check what a glob() matches")
    return jobs


def unlike(configs: Sequence[DictConfig]) -> list[DictConfig]:
    """Choose one of all configs that differ in nothing but the seed, which nothing can be wrong with."""
    kinds: dict[str, DictConfig] = {}
    for config in configs:
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        kinds.setdefault(json.dumps({**values, "seed": None}, sort_keys=True, default=str), config)
    return list(kinds.values())
