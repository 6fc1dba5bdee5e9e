"""A sweep from its command line to its record: composed, and checked before its first trial."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast.config.groups import PRIMARY
from holdfast.config.overrides import command_line_problems, composition_problem, groups_of_key, keys_of
from holdfast.core.advice import setting
from holdfast.core.errors import InputError, Problem, raise_problems
from holdfast.core.sweep_folder import is_sweep, runs_of
from holdfast.experiment.check import check_free, check_rows, check_settings
from holdfast.experiment.compose import OptionsLoader, fix_folder, typed_overrides, without_hydra
from holdfast.experiment.experiment import Experiment
from holdfast.search.grammar import read_space
from holdfast.search.hydra_jobs import LAUNCHER
from holdfast.search.record import GRID, SweepRecord, read_sweep
from holdfast.search.space import Space
from holdfast.training.metric_names import check_monitor, mode_of

SWEEPER = "hydra_plugins.holdfast.study_sweeper.StudySweeper"
DEFAULT_TRIALS = 20
MOST_CHECKED = 200  # points of a grid; of a larger one, points that have every value
REPEATED = {"seed": "sweep.seeds=5 ranks by the mean over five seeds", "split.fold": "split=kfold trains every fold"}
OF_ONE_COMMAND = ("resume", "sweep.add", "sweep.dry_run", "hydra.sweep.dir", "hydra.mode")


def compose_sweep(overrides: Sequence[str], loader: OptionsLoader) -> DictConfig:
    """Compose the config that the trials of a sweep start from.

    Raises:
        InputError: Every mistake in the overrides at once, and in the space that a recipe brings.
    """
    if "hydra.mode" not in keys_of(overrides):
        overrides = [*overrides, "hydra.mode=MULTIRUN"]
    raise_problems(command_line_problems(overrides, loader, is_sweep=True))
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    # keys of swept options may be no keys of those that the config is composed with here
    words = [str(override.input_line) for override in parsed if not swept.intersection(_groups_above(override))]
    try:
        config = loader.load_configuration(PRIMARY, words, RunMode.MULTIRUN)
        if config.hydra.runtime.choices["hydra/sweeper"] == "basic" and "hydra/sweeper" not in keys_of(overrides):
            # no default of the primary config, which would win over what a recipe chooses
            config = loader.load_configuration(PRIMARY, [*words, "hydra/sweeper=grid"], RunMode.MULTIRUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise_problems([composition_problem(error, is_sweep=True)])
        raise
    config.hydra.overrides.task = [word.input_line for word in parsed if not word.is_hydra_override()]
    fix_folder(config, "sweep")
    workers = config.hydra.launcher.get("workers", 1)
    if not isinstance(workers, int) or workers < 1:
        raise InputError("hydra.launcher.workers", f"is {workers!r}", allowed="a whole number from 1")
    if config.hydra.sweeper._target_ == SWEEPER:
        if config.hydra.sweeper.params:  # those that a recipe brings
            raise_problems(command_line_problems(_words(config), loader, is_sweep=True))
    elif typed := [word for word in overrides if word.startswith("sweep.")]:
        problem = f"is not read by {config.hydra.sweeper._target_}"
        raise InputError(typed[0], problem, "hydra/sweeper=grid, random, bayes", "leave it out")
    return config


def plan_sweep(config: DictConfig, loader: OptionsLoader) -> SweepRecord | None:
    """Plan a sweep, or what a sweep that goes on is now, from the config and the loader of `compose_sweep`.

    Returns:
        None where a sweeper of another's decides as it goes.

    Raises:
        InputError: The space or the budget is wrong, or the sweep that should go on was another one.
    """
    if config.hydra.sweeper._target_ != SWEEPER:
        return None
    shared, space = read_space(_words(config), loader)
    check_monitor(config.monitor, own=config.get("metrics"))
    sweeper, settings = config.hydra.sweeper, config.sweep
    raise_problems(list(_space_problems(space, sweeper.sampler, settings)))
    typed: list[str] = [*config.hydra.overrides.hydra, *typed_overrides(config)]
    record = SweepRecord(
        typed=[word for word in typed if word.partition("=")[0] not in OF_ONE_COMMAND],
        config_dir=loader.more_options,
        cwd=str(Path.cwd()),
        hydra=list(config.hydra.overrides.hydra),
        overrides=shared,
        space=space,
        sampler=sweeper.sampler,
        arguments=OmegaConf.to_container(sweeper.arguments, resolve=True),  # type: ignore[arg-type]
        seed=sweeper.seed,
        repeats=_repeats(config, space, typed),
        trials=_num_trials(space, sweeper.sampler, settings.trials),
        on_failure=settings.on_failure,
        storage=settings.storage,
        monitor=config.monitor,
        mode=mode_of(config.monitor, config.mode, config.get("metrics")),
        workers=config.hydra.launcher.get("workers", 1),
    )
    if record.sampler != GRID:
        from holdfast.search.samplers import sampler_of

        sampler_of(record)  # it must not fail in the first worker
    return record if config.resume is None else _resumed(record, Path(config.resume), settings.add)


def write_plan(config: DictConfig, loader: ConfigLoader) -> None:
    """Write the record of a sweep into its folder, or its new budget where it goes on.

    Raises:
        InputError: The folder holds another sweep by now, or cannot be written.
    """
    assert isinstance(loader, OptionsLoader)
    record, folder = plan_sweep(config, loader), Path(config.hydra.sweep.dir)
    assert record is not None
    if config.resume is None:
        record.create(folder)
    else:
        record.rewrite(folder)


def has_workers(config: DictConfig) -> bool:
    """Tell whether workers ask for the trials of a sweep; else its sweeper launches batches of jobs."""
    return bool(config.hydra.sweeper._target_ == SWEEPER and config.hydra.launcher._target_ == LAUNCHER)


def check_sweep(config: DictConfig, loader: OptionsLoader) -> list[DictConfig]:
    """Check a sweep before its first trial: every point of a small grid, or points that together have every value.

    Of a list of rates or shares, the least and the greatest stand for all.

    Returns:
        The configs of the checked runs, one of all that differ in nothing but the seed.

    Raises:
        InputError: Every mistake of any of them at once.
    """
    folder = Path(config.hydra.sweep.dir)
    if config.resume is None:
        _check_free(folder)
    if config.sweep.storage is not None:
        from holdfast.search.storage import lock_of, open_storage

        open_storage(folder, config.sweep.storage, lock_of(folder))
    if config.hydra.sweeper._target_ == SWEEPER and not has_workers(config):
        problem = f"{config.hydra.launcher._target_} starts no workers"
        raise InputError("hydra/launcher", problem, "processes", "hydra/sweeper=basic runs a grid through it")
    runs = runs_to_check(config, loader)
    if runs:
        with suppress(HydraException, OmegaConfBaseException):  # told below, with those of the other runs
            check_rows(without_hydra(loader.load_sweep_config(config, runs[0])))
    problems: dict[Problem, None] = {}
    configs = []
    for words in runs:
        try:
            configs.append(without_hydra(loader.load_sweep_config(config, words)))
            check_settings(configs[-1])
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
        except (HydraException, OmegaConfBaseException) as error:
            mistakes = command_line_problems(words, loader, is_sweep=False) or [composition_problem(error)]
            problems |= dict.fromkeys(mistakes)
    raise_problems(list(problems))  # of any run, before rows are prepared for the first
    kinds = unlike(configs)
    for run_config in kinds:
        try:
            Experiment(run_config, folder).check_parts(check_rows(run_config))
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
    raise_problems(list(problems))
    return kinds


def runs_to_check(config: DictConfig, loader: OptionsLoader) -> list[list[str]]:
    """List the overrides of runs that are checked; none where a sweeper of another's decides as it goes."""
    record = plan_sweep(config, loader)
    if record is not None:
        space = record.space.ends()
        is_small = record.sampler == GRID and len(space.points) <= MOST_CHECKED
        points = space.points if is_small else space.samples()
        return [[*record.overrides, *point, *record.repeats[0]] for point in points]
    if config.hydra.sweeper._target_ != f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}":
        return []
    words = [*(f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items())]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides([*words, *typed_overrides(config)])
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    return jobs


def unlike(configs: Sequence[DictConfig]) -> list[DictConfig]:
    """Choose one of all configs that differ in nothing but the seed, which nothing can be wrong with."""
    kinds: dict[str, DictConfig] = {}
    for config in configs:
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)
        kinds.setdefault(json.dumps({**values, "seed": None}, sort_keys=True, default=str), config)
    return list(kinds.values())


def _groups_above(override: Override) -> tuple[str, ...]:
    """The groups whose options decide whether there is the key of a value; none for one that chooses an option."""
    key = override.key_or_group
    return tuple(group for group in groups_of_key(key) if group != key and not override.is_hydra_override())


def _words(config: DictConfig) -> list[str]:
    """The overrides of a sweep, with the space of a recipe where the command line says nothing of a key."""
    typed: list[str] = [*config.hydra.overrides.hydra, *typed_overrides(config)]
    params = [f"{key}={value}" for key, value in dict(config.hydra.sweeper.params or {}).items()]
    return [*typed, *(word for word in params if not keys_of([word]) & keys_of(typed))]


def _space_problems(space: Space, sampler: str, settings: DictConfig) -> Iterator[Problem]:
    """Say what of the space does not go with the sweeper and the settings of the sweep."""
    for dimension in space.dimensions:
        if sampler == GRID and not dimension.values:
            hint = f"hydra/sweeper=random, or a list such as {dimension.key}={','.join(dimension.extremes)}"
            yield Problem(dimension.key, f"{dimension} has no grid", "lists of values", hint)
        if sampler != GRID and dimension.key in REPEATED and len(dimension.values) > 1:
            problem = "is swept: the search would choose the luckiest one"
            yield Problem(dimension.key, problem, next=REPEATED[dimension.key])
        if dimension.key == "seed" and settings.seeds > 1:
            yield Problem("sweep.seeds", f"is {settings.seeds}, and seed is swept", next="leave out one of them")
    if sampler != GRID and not space.dimensions:
        yield Problem("sweep", "searches nothing: no key has several values", next="'lr=tag(log,interval(1e-4,1e-1))'")


def _repeats(config: DictConfig, space: Space, typed: Sequence[str]) -> list[list[str]]:
    """The overrides of each run of a trial: all folds of a cross-validation whose fold was not chosen, all seeds."""
    seeds: list[list[str]] = [[]]
    folds: list[list[str]] = [[]]
    if config.sweep.seeds > 1:
        seeds = [[f"seed={config.seed + number}"] for number in range(config.sweep.seeds)]
    swept = {dimension.key for dimension in space.dimensions}
    is_chosen = "split.fold" in keys_of(typed) | swept or "split.num_folds" in swept
    if "fold" in config.split and not is_chosen:
        folds = [[f"split.fold={number}"] for number in range(config.split.num_folds)]
    return [[*fold, *seed] for fold in folds for seed in seeds]


def _num_trials(space: Space, sampler: str, wanted: int | None) -> int:
    """The budget of a sweep, which is no larger than its space."""
    if space.has_interval:
        return wanted or DEFAULT_TRIALS
    limit = wanted or (len(space.points) if sampler == GRID else DEFAULT_TRIALS)
    available = len(list(space.first_points(limit + 1)))
    if wanted is not None and available < wanted:
        problem = f"is {wanted}, and the space has {available} points"
        raise InputError("sweep.trials", problem, f"up to {available}", "hydra/sweeper=grid trains each of them once")
    return min(limit, available)


def _resumed(now: SweepRecord, folder: Path, more: int) -> SweepRecord:
    """The record of a sweep that goes on, with its budget of before or a larger one."""
    before = read_sweep(folder)
    raise_problems(list(before.problems_of_resuming(now)))
    trials = max(before.trials, now.trials) + more
    if now.sampler == GRID and trials > len(now.space.points):
        problem = (
            f"is {more}, and {before.trials} of the {len(now.space.points)} points of the grid are planned already"
        )
        raise InputError("sweep.add", problem, f"up to {len(now.space.points) - before.trials}")
    return replace(now, trials=trials, commands=before.commands + 1)


def _check_free(folder: Path) -> None:
    """Refuse a sweep into the folder of another sweep, or of runs."""
    if is_sweep(folder):
        hint = f"-m {setting('resume', folder)} goes on with it; or choose another folder"
        raise InputError("hydra.sweep.dir", f"{folder} holds a sweep already", next=hint)
    check_free(next(iter(runs_of(folder)), folder), "hydra.sweep.dir")
