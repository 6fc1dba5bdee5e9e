"""The checked config of a command line, for verbs that take the same overrides as `train.py` and train nothing."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from holdfast.core.errors import raise_problems


def compose(overrides: list[str]) -> DictConfig:
    """Compose and check.

    Raises:
        InputError: Every mistake at once.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    from holdfast.cli import sources, train
    from holdfast.cli.overrides import command_line_problems, with_open_key
    from holdfast.core.config import check_config
    from holdfast.core.groups import CONF, PRIMARY

    overrides = [with_open_key(word) for word in overrides]
    train.register_resolvers()
    sources.register(Path.cwd())
    with hydra.initialize_config_dir(str(CONF), version_base=train.VERSION_BASE):
        loader = GlobalHydra.instance().config_loader()
        raise_problems(command_line_problems(overrides, loader, is_sweep=False))
        config = hydra.compose(PRIMARY, overrides)
    check_config(config)
    return config
