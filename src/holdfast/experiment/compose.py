"""From overrides to a config: the loader of a process, and the checked config of a verb that trains nothing."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Sequence
from pathlib import Path

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from holdfast.config import search_path as sources
from holdfast.config.groups import CONF, PRIMARY
from holdfast.config.overrides import command_line_problems, with_open_key
from holdfast.core.errors import InputError, raise_problems

VERSION_BASE = "1.3"
_RUN_ID = secrets.token_hex(3)


class OptionsLoader(ConfigLoaderImpl):
    """Hydra's loader, which composes each set of options once and sets values on a copy of it.

    Composing reads and merges some ninety files. The check of a command line, the run itself and most jobs of a sweep
    have the same options and differ in values such as `lr=0.1`.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._composed: dict[tuple[object, ...], DictConfig] = {}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose, as Hydra does.

        Raises:
            HydraException: An override cannot be read or applied.
        """
        parsed = OverridesParser.create().parse_overrides(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        values = [override for override in parsed if self._is_value(override)]
        if any(override.key_or_group == "hydra.searchpath" for override in parsed):
            values = []  # groups may lie there that are not known yet
        others = [override for override in parsed if override not in values and not override.is_sweep_override()]
        words = [str(override.input_line) for override in others]
        key = (config_name, *words)
        if key not in self._composed:
            self._composed[key] = super().load_configuration(
                config_name, words, run_mode, from_shell, validate_sweep_overrides=False
            )
        config = copy.deepcopy(self._composed[key])
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
    """The loader that knows our options, the user's `./conf` and `./recipes`, and Hydra's own.

    Args:
        more_options: Another folder of options, which is looked at before ours.

    Raises:
        InputError: There is no such folder.
    """
    set_up_hydra()
    sources.register(Path.cwd())
    search_path = create_config_search_path(str(CONF))
    if more_options is not None:
        if not Path(more_options).is_dir():
            raise InputError("--config-dir", f"there is no folder {more_options}")
        search_path.prepend("command-line", f"file://{Path(more_options).absolute()}", SearchPathQuery("schema"))
    return OptionsLoader(search_path)


def set_up_hydra() -> None:
    """Tell Hydra what it must know in every process that composes or runs.

    `${run_id:}` is six hex digits of this process, so that two runs of one second have folders of their own.
    """
    version.setbase(VERSION_BASE)
    setup_globals()
    OmegaConf.register_new_resolver("run_id", lambda: _RUN_ID, replace=True)


def compose(overrides: Sequence[str], *, reads_rows: bool = False) -> DictConfig:
    """Compose and check.

    Args:
        overrides: As typed.
        reads_rows: Whether the source will be read: it is looked at first, which takes a moment.

    Raises:
        InputError: Every mistake at once.
    """
    from holdfast.config.check import check_config
    from holdfast.experiment.experiment import check_rows, without_hydra

    overrides = [with_open_key(word) for word in overrides]
    loader = options_loader()
    raise_problems(command_line_problems(overrides, loader, is_sweep=False))
    config = without_hydra(loader.load_configuration(PRIMARY, overrides, RunMode.RUN))
    if reads_rows:
        check_rows(config)
    check_config(config)
    return config
