"""The best point of a sweep as a recipe: a file of `recipes/` that trains that point again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from holdfast.config.groups import GROUPS, PRIMARY
from holdfast.config.overrides import is_choice
from holdfast.config.search_path import GROUP, Recipes
from holdfast.core.advice import setting
from holdfast.core.errors import InputError
from holdfast.core.figures import figure
from holdfast.core.files import write_atomic
from holdfast.core.run_record import read_run
from holdfast.core.yaml_text import as_yaml
from holdfast.experiment.compose import OptionsLoader, options_loader
from holdfast.search.leaderboard import Leaderboard, Row, duration

HEADER = """\
# Claim:    the best of {trials} trials of a sweep by {monitor}.
# Source:   trial {number} of {folder}; {space}.
# Cost:     {cost} of training, {epochs} epochs.
# Command:
#   python train.py recipes={name}{more}
# Expected: {monitor} {value}.
"""


def save_best(board: Leaderboard, path: Path, *, overwrite: bool) -> None:
    """Write the best point of a sweep as a recipe; below `recipes`, `recipes=NAME` finds it.

    Raises:
        InputError: No trial has completed, the file exists or has another suffix, or a recipe cannot say an override.
    """
    if path.suffix != ".yaml":
        raise InputError("--save", f"{path} is no recipe", "a file that ends with .yaml", "--save recipes/best.yaml")
    if path.exists() and not overwrite:
        raise InputError("--save", f"{path} exists", next="name another file, or add --overwrite")
    if board.best is None:
        hint = f"-m {setting('resume', board.folder)} goes on with it"
        raise InputError(str(board.folder), "has no completed trial", next=hint)
    if not board.best.runs:
        problem = "is the run of the best trial, and cannot be read"
        raise InputError(str(board.folder / str(board.best.number)), problem, next="restore the folder from a copy")
    words = [*board.record.overrides, *board.best.overrides]
    trusted = [word for word in words if word.startswith("trusted_modules=")]  # a recipe cannot trust modules
    content = recipe_of(words, read_run(board.best.runs[0])["choices"], options_loader(board.record.config_dir))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, _header(board, board.best, path, trusted) + as_yaml(content))


def recipe_of(words: Sequence[str], choices: dict[str, str], loader: OptionsLoader) -> dict[str, Any]:
    """Turn overrides of one run into the content of a recipe.

    Args:
        words: The overrides; one may choose a recipe, whose content is kept without its space.
        choices: Group -> option of the run; each group that the recipe sets a value of is chosen in it too.
        loader: Knows the options.

    Raises:
        InputError: An override deletes something, which no recipe can say.
    """
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
    chosen: dict[str, Any] = {}
    values = OmegaConf.create({})
    for override in parsed:
        key = override.key_or_group
        if override.is_delete():
            raise InputError(
                str(override.input_line), "deletes, which no recipe can say", next="write the recipe by hand"
            )
        if key == GROUP:
            loader.load_configuration(PRIMARY, [str(override.input_line)], RunMode.RUN)  # reads it
            content = copy.deepcopy(Recipes.contents[str(override.value())])
            chosen |= _entries(content.pop("defaults", []))
            content.pop("hydra", None)
            values.merge_with(content)
        elif key == "trusted_modules":
            continue
        elif is_choice(override, loader):
            chosen[f"override /{key}"] = override.value()
        else:
            OmegaConf.update(values, key, override.value(), force_add=True)
    plain: Any = OmegaConf.to_container(values)
    for group in sorted(GROUPS.keys() & plain.keys()):
        chosen.setdefault(f"override /{group}", choices[group])
    defaults = [{name: option} if option is not None else name for name, option in chosen.items()]
    return {**({"defaults": defaults} if defaults else {}), **plain}


def _entries(defaults: Sequence[Any]) -> dict[str, Any]:
    """The entries of a recipe's defaults list by name, those of Hydra left out; other recipes have no option."""
    entries: dict[str, Any] = {}
    for entry in defaults:
        named = dict(entry) if isinstance(entry, dict) else {str(entry): None}
        entries |= {name: option for name, option in named.items() if "/hydra/" not in name}
    return entries


def _header(board: Leaderboard, best: Row, path: Path, trusted: Sequence[str]) -> str:
    spread = f" ± {figure(best.spread)} over {len(best.runs)} runs" if best.spread is not None else ""
    inside = path.parts[path.parts.index(GROUP) + 1 :] if GROUP in path.parts else (path.name,)
    assert best.value is not None
    return HEADER.format(
        trials=sum(board.counts.values()),
        monitor=board.record.monitor,
        number=best.number,
        folder=board.folder,
        space=" ".join(f"{dimension.key}={dimension}" for dimension in board.record.space.dimensions) or "one point",
        cost=duration(best.seconds),
        epochs=best.epochs,
        name="/".join(inside).removesuffix(".yaml"),
        more=" ".join(["", *trusted]),
        value=f"{figure(best.value)}{spread}",
    )
