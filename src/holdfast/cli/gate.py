"""The gate before a run or a sweep: everything that can be checked is, before a folder is made."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast.config.overrides import command_line_problems, composition_problem
from holdfast.config.search_path import leaks
from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.exits import ending


class Gate(Callback):
    """Hydra calls it after composing and before it writes; an exception would only be a warning there, so it exits."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check the one run."""
        _or_exit(lambda: _check_run(config))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check every job of the sweep before job 0."""
        _or_exit(lambda: _check_sweep(config))


def _or_exit(check: Callable[[], None]) -> None:
    with ending():
        try:
            check()
        except (HydraException, OmegaConfBaseException) as error:  # a job that cannot be composed
            raise_problems([composition_problem(error)])


def _check_run(config: DictConfig) -> None:
    from holdfast.experiment.experiment import check_folder, check_parts_and_rows, check_settings, without_hydra

    loader = GlobalHydra.instance().config_loader()
    words = [*config.hydra.overrides.hydra, *config.hydra.overrides.task]
    raise_problems(command_line_problems(words, loader, is_sweep=False))
    _warn_of_leaks(config)
    check_folder(config)
    plain = without_hydra(config)
    check_settings(plain)
    check_parts_and_rows(plain)


def _check_sweep(config: DictConfig) -> None:
    from holdfast.experiment.experiment import check_parts_and_rows, check_rows, check_settings, without_hydra
    from holdfast.experiment.jobs import LAUNCHER, check_job_folder, warm_up

    loader = GlobalHydra.instance().config_loader()
    overrides = list(config.hydra.overrides.task)
    raise_problems(command_line_problems([*config.hydra.overrides.hydra, *overrides], loader, is_sweep=True))
    if config.resume is not None:
        raise InputError("resume", "one run goes on at a time", next="leave out -m")
    num_parallel = config.hydra.launcher.get("n_jobs", 1)
    if config.hydra.launcher._target_ == LAUNCHER and (not isinstance(num_parallel, int) or num_parallel < 1):
        raise InputError("hydra.launcher.n_jobs", f"is {num_parallel!r}", allowed="a whole number from 1")
    _warn_of_leaks(config)
    all_jobs = jobs(config, overrides)
    if all_jobs:
        with suppress(HydraException, OmegaConfBaseException):  # told below, with those of the other jobs
            check_rows(without_hydra(loader.load_sweep_config(config, all_jobs[0])))
    warm_up(config)
    problems: dict[Problem, None] = {}
    configs = []
    for number, job in enumerate(all_jobs):
        try:
            job_config = loader.load_sweep_config(config, job)
            check_job_folder(job_config, number)
            configs.append(without_hydra(job_config))
            check_settings(configs[-1])
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
        except (HydraException, OmegaConfBaseException) as error:
            told = command_line_problems(job, loader, is_sweep=False) or [composition_problem(error)]
            problems |= dict.fromkeys(told)
    raise_problems(list(problems))  # of any job, before rows are prepared for the first
    for job_config in _unlike(configs):
        try:
            check_parts_and_rows(job_config)
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
    raise_problems(list(problems))


def _unlike(configs: list[DictConfig]) -> list[DictConfig]:
    """One of those that differ in nothing but the seed, which nothing can be wrong with."""
    kinds: dict[str, DictConfig] = {}
    for config in configs:
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        kinds.setdefault(json.dumps({**values, "seed": None}, sort_keys=True, default=str), config)
    return list(kinds.values())


def _warn_of_leaks(config: DictConfig) -> None:
    recipe = config.hydra.runtime.choices.get("recipes")
    if recipe and config.resume is None:
        typed = {word.partition("=")[0] for word in config.hydra.overrides.task}
        for warning in leaks(str(recipe), typed):
            print(f"warning: {warning}", file=sys.stderr)


def jobs(config: DictConfig, overrides: list[str]) -> list[list[str]]:
    """The overrides of every job, or of none where the sweeper decides as it goes.

    Raises:
        InputError: The sweep has no job.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    if config.hydra.sweeper._target_ != f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}":
        return []
    given = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    batches = BasicSweeper.split_arguments(parser.parse_overrides([*given, *overrides]), None)
    found: list[list[str]] = batches[0]
    if not found:
        raise InputError("sweep", "has no job: a value to sweep over is empty", next="check what a glob() matches")
    return found
