"""The places of options and recipes: the user's `./conf` and `./recipes` first, then ours.

They are registered for this process only; a global plugin would leak our groups into other Hydra apps.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from yaml import YAMLError

from holdfast.config.groups import CONF, GROUPS, PRIMARY, RECIPES
from holdfast.core.errors import InputError

GROUP = "recipes"
_ALLOWED_HYDRA_KEYS = {"sweeper", "mode"}


def _read(source: FileConfigSource, config_path: str) -> ConfigResult:
    """Load a file that somebody else wrote; what is no YAML, or cannot be read, is refused."""
    try:
        return FileConfigSource.load_config(source, config_path)
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        path = Path(source.path) / f"{config_path}.yaml"
        raise InputError(str(path), f"cannot be read ({' '.join(str(error).split())[:200]})") from None


class UserOptions(FileConfigSource):
    """A user's `./conf`: options of groups, never the primary config."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Read an option."""
        return _read(self, config_path)

    @staticmethod
    def scheme() -> str:
        """The scheme of the search path entry."""
        return "user"

    def is_config(self, config_path: str) -> bool:
        """Tell whether there is such an option; files beside the groups are not looked at."""
        return "/" in config_path and super().is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names in a group."""
        if config_path in ("", "/") and results_filter == ObjectType.CONFIG:
            return []
        return super().list(config_path, results_filter) if self.is_group(config_path) else []


class Recipes(FileConfigSource):
    """The folder `recipes` within the path, as a group; a recipe sets values from the root of the config."""

    contents: ClassVar[dict[str, Any]] = {}  # the recipes that were read, by name

    @staticmethod
    def scheme() -> str:
        """The scheme of the search path entry."""
        return "recipes"

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a recipe and refuse what a stranger's recipe must not say."""
        result = _read(self, config_path)
        result.header["package"] = result.header.get("package") or "_global_"
        name = config_path.removeprefix(f"{GROUP}/")
        _refuse_what_runs_code(name, result)
        self.contents[name] = OmegaConf.to_container(result.config)
        return result

    def is_group(self, config_path: str) -> bool:
        """Tell whether it is the group itself or a folder in it."""
        return config_path == "" or (_is_recipe(config_path) and super().is_group(config_path))

    def is_config(self, config_path: str) -> bool:
        """Tell whether there is such a recipe."""
        return _is_recipe(config_path) and super().is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The recipes, or the one group at the root."""
        if config_path in ("", "/"):
            return [] if results_filter == ObjectType.CONFIG else [GROUP]
        return super().list(config_path, results_filter) if self.is_group(config_path) else []


class SearchPath(SearchPathPlugin):
    """Puts the folders in order: the user's before ours."""

    user_folder: ClassVar[Path] = Path()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add our sources to Hydra's search path."""
        for ours in (CONF, RECIPES):
            user = (self.user_folder / ours.name).absolute()
            if user.is_dir() and not (ours.is_dir() and user.samefile(ours)):
                place = f"user://{user}" if ours is CONF else f"recipes://{user.parent}"
                search_path.prepend(f"user's ./{ours.name}", place, SearchPathQuery(provider="main"))
        if RECIPES.is_dir():
            search_path.append("recipes", f"recipes://{RECIPES.parent}")


def register(user_folder: Path) -> None:
    """Make the sources known to Hydra in this process; `user_folder` holds `./conf` and `./recipes`."""
    SearchPath.user_folder = user_folder
    for plugin in (UserOptions, Recipes, SearchPath):
        Plugins.instance().register(plugin)


def leaks(recipe: str, swapped: Set[str]) -> list[str]:
    """One warning a group: of values that a recipe sets for an option which it did not choose, or which was swapped.

    `swapped` are the groups whose option stands on the command line.
    """
    content = Recipes.contents.get(recipe) or {}
    keys = [str(key) for entry in content.get("defaults", []) if isinstance(entry, dict) for key in entry]
    chosen = {key.removeprefix("override").strip().strip("/").partition("@")[0] for key in keys}
    warnings = []
    for group in sorted(GROUPS.keys() & content.keys()):
        node = content[group] if isinstance(content[group], dict) else {}  # `check_config` tells of other nodes
        values = ", ".join(f"{group}.{key}={value}" for key, value in node.items())
        if group in swapped:
            warnings.append(f"recipe {recipe} sets {values}, which stays although you chose another {group}")
        elif group not in chosen:
            warnings.append(f"recipe {recipe} sets {values} without choosing the {group} that it is meant for")
    return warnings


def shadowed(user_folder: Path) -> list[str]:
    """Our options and recipes that a file of the user's replaces, as `group/option`."""
    replaced = []
    for ours, prefix in ((CONF, ""), (RECIPES, "recipes/")):
        user = user_folder / ours.name
        if user.is_dir() and ours.is_dir() and not user.samefile(ours):
            names = [path.relative_to(user) for path in sorted(user.rglob("*.yaml")) if path.stem != PRIMARY]
            replaced += [f"{prefix}{name.with_suffix('')}" for name in names if (ours / name).is_file()]
    return replaced


def _is_recipe(config_path: str) -> bool:
    return config_path == GROUP or config_path.startswith(f"{GROUP}/")


def _refuse_what_runs_code(name: str, result: ConfigResult) -> None:
    """A recipe may come from a stranger: it chooses among trusted code, it does not bring or trust any."""
    content: Any = result.config
    keys = set(content) if hasattr(content, "keys") else set()
    where = f"recipe {name}"
    if "trusted_modules" in keys:
        raise InputError(where, "a recipe cannot trust modules", next="give trusted_modules on the command line")
    if result.header["package"] != "_global_":
        raise InputError(where, f"has package {result.header['package']!r}", allowed="# @package _global_")
    hydra_keys = set(content.hydra) if "hydra" in keys else set()
    entries = [str(entry) for entry in content.get("defaults", [])] if keys else []
    if (
        hydra_keys - _ALLOWED_HYDRA_KEYS
        or any("@" in entry for entry in entries)
        or any("." in str(k) and str(k).startswith("hydra") for k in keys)
    ):
        raise InputError(where, "sets keys of Hydra itself or moves packages", allowed="hydra.sweeper, hydra.mode")
    if "hydra" in keys and "_target_" in OmegaConf.to_yaml(content.hydra):
        raise InputError(where, "names code that Hydra would run", next="choose by `override /hydra/sweeper: random`")
