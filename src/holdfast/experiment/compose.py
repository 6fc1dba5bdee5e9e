"""Overrides composed to a config by a loader of our own: Hydra's global state, which other apps may use, stays alone.

Only this module and `holdfast.cli` know of `HydraConfig` and `GlobalHydra`.
"""

from __future__ import annotations

import os
import pickle
import secrets
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from holdfast.config import search_path
from holdfast.config.check import check_config
from holdfast.config.groups import CONF, NO_PART_OF_A_RUN, PRIMARY
from holdfast.config.overrides import command_line_problems, composition_problem, with_open_key
from holdfast.core.errors import InputError, raise_problems
from holdfast.core.yaml_text import as_yaml
from holdfast.experiment.check import averages_runs, check_rows

VERSION_BASE = "1.3"
START_LR = 1e-3  # of `lr=auto`, until a run has found its own
_RESOLVING = threading.RLock()


class OptionsLoader(ConfigLoaderImpl):
    """Hydra's loader, which parses each override and composes each set of options once, and sets values on a copy.

    Composing reads and merges some ninety files. The check of a command line, the run itself and most jobs of a sweep
    have the same options and differ in values such as `lr=0.1`.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.more_options: str | None = None  # the folder that was given as --config-dir
        # pickled, which is copied in half the time of `copy.deepcopy`
        self._composed: dict[tuple[object, ...], bytes] = {}
        self._parsed: dict[str, Override] = {}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose, as Hydra does."""
        new = [word for word in overrides if word not in self._parsed]
        self._parsed |= dict(zip(new, OverridesParser.create().parse_overrides(new), strict=True))
        parsed = [self._parsed[word] for word in overrides]
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        values = [override for override in parsed if self._is_value(override)]
        if any(override.key_or_group == "hydra.searchpath" for override in parsed):
            values = []  # groups may lie there that are not known yet
        others = [override for override in parsed if override not in values and not override.is_sweep_override()]
        others.sort(key=lambda override: self.repository.group_exists(override.key_or_group))  # as they are checked
        words = [str(override.input_line) for override in others]
        key = (config_name, *words)
        if key not in self._composed:
            composed = super().load_configuration(
                config_name, words, run_mode, from_shell, validate_sweep_overrides=False
            )
            self._composed[key] = pickle.dumps(composed)
        config: DictConfig = pickle.loads(self._composed[key])
        try:
            self._apply_overrides_to_config(values, config)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException from error
        typed = [override for override in parsed if not override.is_hydra_override()]
        config.hydra.overrides.task = [override.input_line for override in typed]
        names = config.hydra.job.config.override_dirname
        config.hydra.job.override_dirname = get_overrides_dirname(
            typed, names.exclude_keys, item_sep=names.item_sep, kv_sep=names.kv_sep
        )
        return config

    def _is_value(self, override: Override) -> bool:
        """Tell an override that leaves the options as they are."""
        if override.is_sweep_override() or override.is_hydra_override():
            return False
        return isinstance(override.value(), dict) or not self.repository.group_exists(override.key_or_group)


def options_loader(more_options: str | None = None) -> OptionsLoader:
    """Make the loader that knows our options, the user's `./conf` and `./recipes`, and Hydra's own.

    The folder `more_options` is looked at before ours.

    Raises:
        InputError: There is no such folder.
    """
    set_up_hydra()
    search_path.register(Path.cwd())
    places = create_config_search_path(str(CONF))
    if more_options is not None:
        if not Path(more_options).is_dir():
            raise InputError("--config-dir", f"there is no folder {more_options}")
        places.prepend("command-line", f"file://{Path(more_options).absolute()}", SearchPathQuery("schema"))
    loader = OptionsLoader(places)
    loader.more_options = more_options
    return loader


def set_up_hydra() -> None:
    """Register the resolvers that composing needs, with a new `${run_id:}`.

    `${run_id:}` is six hex digits, so that two runs of one second have folders of their own.
    """
    run_id = secrets.token_hex(3)
    version.setbase(VERSION_BASE)
    setup_globals()
    OmegaConf.register_new_resolver("run_id", lambda: run_id, replace=True)


def compose_run(overrides: Sequence[str], loader: OptionsLoader | None = None) -> DictConfig:
    """Compose the config of one run, Hydra's part included, after the mistakes in its overrides are told.

    Raises:
        InputError: Every mistake in the overrides at once.
    """
    words = [with_open_key(word) for word in overrides]
    loader = options_loader() if loader is None else loader
    raise_problems(command_line_problems(words, loader, is_sweep=False))
    try:
        config = loader.load_configuration(PRIMARY, words, RunMode.RUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise_problems([composition_problem(error)])
        raise
    fix_folder(config, "run")
    return config


def compose_job(overrides: Sequence[str], loader: OptionsLoader, folder: Path, number: int) -> DictConfig:
    """Compose the config of a run that is part of a sweep, of its own overrides.

    The job has this number for `${hydra:job.num}`. An error is Hydra's own, a `HydraException`.
    """
    config = loader.load_configuration(PRIMARY, [*overrides, "hydra.mode=MULTIRUN"], RunMode.RUN)
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
        config.hydra.runtime.output_dir = os.path.abspath(folder)
    return config


def compose(overrides: Sequence[str], *, reads_rows: bool = False) -> DictConfig:
    """Compose and check the config of something that trains nothing.

    A source that will be read is looked at first, which takes a moment.

    Raises:
        InputError: Every mistake at once.
    """
    config = without_hydra(compose_run(overrides))
    if reads_rows:
        check_rows(config)
    check_config(config)
    return config


def fix_folder(config: DictConfig, kind: Literal["run", "sweep"]) -> None:
    """Resolve the folder of a run or a sweep, which may hold the time, once and for all."""
    with open_dict(config):
        config.hydra[kind].dir = str(config.hydra[kind].dir)
        if kind == "run":
            config.hydra.runtime.output_dir = os.path.abspath(config.hydra.run.dir)


def without_hydra(config: DictConfig) -> DictConfig:
    """Take the experiment out of a composed config; what it says by `${hydra:...}` is resolved here.

    In place of `lr=auto` stands a rate to start from.

    Raises:
        InputError: No rate can be found for the run.
    """
    plain: DictConfig = pickle.loads(pickle.dumps(config))  # twice as fast as `OmegaConf.masked_copy`
    plain._set_flag(["readonly", "struct"], None)
    for key in NO_PART_OF_A_RUN:
        plain.pop(key, None)
    if finds_lr(plain):
        _check_finds_lr(plain)
        plain.lr = START_LR
    with _RESOLVING:
        OmegaConf.register_new_resolver("hydra", lambda path: OmegaConf.select(config.hydra, path), replace=True)
        try:
            OmegaConf.resolve(plain)
        except OmegaConfBaseException:
            pass  # `check_config` tells which key cannot be resolved
        finally:
            setup_globals()
    return plain


def finds_lr(config: DictConfig) -> bool:
    """Tell whether a run is to find its learning rate by itself."""
    return bool(config.get("lr") == "auto")


def _check_finds_lr(config: DictConfig) -> None:
    allowed = "a number here"
    if averages_runs(config):
        raise InputError("lr", "is auto, and an ensemble of runs trains nothing", next="leave lr out")
    optimizer = config.optimizer
    if str(optimizer.get("_target_")).endswith(".LBFGS"):
        raise InputError("lr", "is auto, and lbfgs searches its steps by itself", allowed, "lr=1")
    if not (optimizer.get("_target_") and "lr" in optimizer and OmegaConf.is_interpolation(optimizer, "lr")):
        problem = "is auto, and the optimizer does not take its rate from lr"
        raise InputError("lr", problem, allowed, "optimizer.lr=${lr} in the option, or no lr=auto")


def typed_overrides(config: DictConfig) -> list[str]:
    """List the overrides that a config was composed with, as they were typed."""
    words: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return list(words)


def write_composed(composed: DictConfig, config: Mapping[str, Any], folder: Path) -> None:
    """Write what a run was composed of into its folder, as Hydra does: `.hydra/{config,hydra,overrides}.yaml`.

    `config` is what `without_hydra` has taken out of it, as plain values.
    """
    place = folder / ".hydra"
    place.mkdir(parents=True, exist_ok=True)
    hydra: Any = OmegaConf.to_container(composed.hydra, resolve=False, enum_to_str=True)
    parts = {"config": config, "hydra": {"hydra": hydra}, "overrides": hydra["overrides"]["task"]}
    for name, part in parts.items():
        (place / f"{name}.yaml").write_text(as_yaml(part))


def enter_job(config: DictConfig) -> None:
    """Make this process the one of a job, by Hydra's part of its config, as Hydra does for a launcher of its own."""
    HydraConfig.instance().cfg = config  # type: ignore[assignment]  # Hydra copies its part, which takes a while
    os.environ.update(config.hydra.job.env_set or {})
    if config.hydra.job.chdir:
        Path(config.hydra.runtime.output_dir).mkdir(parents=True, exist_ok=True)
        os.chdir(config.hydra.runtime.output_dir)


def is_job_of_sweep() -> bool:
    """Tell whether this process runs a job of a sweep at the moment, whatever launched it."""
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def hydra_of_job() -> Any:
    """Give Hydra's part of the config of the job that a launcher of another's runs in this process."""
    return HydraConfig.get()
