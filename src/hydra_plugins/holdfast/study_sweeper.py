"""Hydra's door to `holdfast.search`. Every Hydra app in the environment loads this file: keep it light."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """Makes a study of a sweep, whose trials workers train as they come to them."""

    def __init__(
        self, sampler: str, arguments: Mapping[str, Any], seed: int = 0, params: Mapping[str, str] | None = None
    ) -> None:
        """Take the options of `conf/hydra/sweeper`, which `holdfast.search` reads from the config itself."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over, and make the launcher."""
        self.loader = hydra_context.config_loader
        self.composed = config
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep, or what is missing of it; returns how it ended."""
        from holdfast.search.compose import write_plan
        from holdfast.search.sweep import run_study

        write_plan(self.composed, self.loader)
        return run_study(Path(self.composed.hydra.sweep.dir), self.launcher)
