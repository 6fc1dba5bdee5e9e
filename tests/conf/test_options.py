"""Every option composes, resolves and binds; every command line in the README and in a recipe's header composes."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from holdfast.config import search_path as sources
from holdfast.config.check import check_config
from holdfast.config.groups import CONF, GROUPS, PRIMARY, RECIPES
from holdfast.config.resolve import resolve_target
from holdfast.config.targets import handed_over, targets_below
from holdfast.core.errors import InputError
from holdfast.experiment.compose import VERSION_BASE, set_up_hydra

OPTIONS = sorted(
    path.relative_to(CONF).with_suffix("") for path in CONF.glob("*/*.yaml") if path.parent.name != "hydra"
)
RECIPE_NAMES = sorted(str(path.relative_to(RECIPES).with_suffix("")) for path in RECIPES.rglob("*.yaml"))
README = CONF.parent / "README.md"
MAX_OPTION_LINES = 15
MAX_RECIPE_LINES = 40


@pytest.fixture(autouse=True)
def _hydra(tmp_path: Path) -> Iterator[None]:
    set_up_hydra()
    sources.register(tmp_path)
    with initialize_config_dir(str(CONF), version_base=VERSION_BASE):
        yield
    GlobalHydra.instance().clear()


def composed(*overrides: str) -> DictConfig:
    return compose(PRIMARY, list(overrides), return_hydra_config=False)


def test_the_walk_finds_the_options() -> None:
    assert len(OPTIONS) > 30
    assert {option.parent.name for option in OPTIONS} == set(GROUPS)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_composes_resolves_and_binds(option: Path) -> None:
    needed = ["ensemble.runs=[a,b]"] if option.parent.name == "ensemble" and option.name == "members" else []
    check_config(composed(f"{option.parent}={option.name}", *needed))


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_option_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text().splitlines()
    if path.stem != PRIMARY:
        assert len(lines) <= MAX_OPTION_LINES
    assert lines[0].startswith("#"), "the first line says what the option is"


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_option_names_every_argument_of_its_target(option: Path) -> None:
    """A key that is named can be set without a `+`, and is known to did-you-mean."""
    node = OmegaConf.load(CONF / f"{option}.yaml")
    named = [name for name in node if option.parent.name == "augment" and name != "defaults"]
    nodes = [node[name] for name in named] or [node]
    if option.parent.name in ("trainer", "stage") or not all("_target_" in each for each in nodes):
        pytest.skip("a preset, or no target")
    for each in nodes:
        names = [
            p.name
            for p in inspect.signature(resolve_target(each._target_)).parameters.values()
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]
        symbol, group = resolve_target(each._target_), option.parent.name
        missing = {name for name in names if name not in each} - handed_over(
            group, symbol, OmegaConf.to_container(each)
        )
        newer_torch = {"decoupled_weight_decay"} if each._target_ == "torch.optim.AdamW" else set()
        assert not missing - newer_torch


def own_symbols() -> dict[Path, str]:
    """The options whose code is ours, with their targets."""
    targets = {}
    for option in OPTIONS:
        node = OmegaConf.to_container(OmegaConf.load(CONF / f"{option}.yaml"))
        for path, entry in targets_below(str(option), node):
            if path in (str(option), f"{option}.source") and entry["_target_"].startswith("holdfast."):
                targets[option] = entry["_target_"]
    return targets


OWN_SYMBOLS = own_symbols()


def spelled(name: str) -> str:
    """A name without what differs between a class, a function and a file."""
    return name.replace("_", "").lower()


@pytest.mark.parametrize(("option", "target"), OWN_SYMBOLS.items(), ids=str)
def test_option_file_and_symbol_have_one_name(option: Path, target: str) -> None:
    package, _, name = target.rpartition(".")
    symbol = resolve_target(target)
    module = import_module(symbol.__module__)
    assert resolve_target(target) is symbol, "a symbol is never its module, whatever was imported"
    targets = [other for place, other in OWN_SYMBOLS.items() if place.parent == option.parent]
    is_preset = option.name == "none" or targets.count(target) > 1  # several options, one symbol
    if not is_preset:
        assert spelled(name) == spelled(option.name)
    if symbol.__module__.startswith(package):
        assert spelled(module.__name__) in (spelled(target), spelled(package))


@pytest.mark.parametrize("package", sorted({target.rpartition(".")[0] for target in OWN_SYMBOLS.values()}))
def test_every_public_name_is_an_option(package: str) -> None:
    named = {target.rpartition(".")[2] for target in OWN_SYMBOLS.values() if target.rpartition(".")[0] == package}
    assert named == set(import_module(package).__all__)


def test_the_walk_finds_our_own_symbols() -> None:
    assert len(OWN_SYMBOLS) > 50


def test_the_walk_finds_the_recipes() -> None:
    assert RECIPE_NAMES


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_recipe_composes_and_binds(name: str) -> None:
    check_config(composed(f"recipes={name}"))
    assert len((RECIPES / f"{name}.yaml").read_text().splitlines()) <= MAX_RECIPE_LINES


def command_lines() -> list[tuple[str, str]]:
    """`python train.py ...` and `holdfast train ...` in the README, in the pages and in headers of recipes."""
    commands = []
    pages = sorted((CONF.parent / "docs").rglob("*.md"))
    for path in [README, *pages, *(RECIPES / f"{name}.yaml" for name in RECIPE_NAMES)]:
        for line in re.findall(
            r"^(?:# *)?(?:command: *)?((?:python train\.py|holdfast train).*)$", path.read_text(), re.M
        ):
            commands.append((path.name, line.partition("  #")[0].strip().rstrip("`")))
    # Those with modules of a user's own are run with their files, by the test of their page.
    return [(name, line) for name, line in commands if "trusted_modules=" not in line]


def test_the_readme_has_commands() -> None:
    assert len([name for name, _ in command_lines() if name == "README.md"]) >= 5


@pytest.mark.parametrize(("where", "line"), command_lines())
def test_every_command_line_composes(where: str, line: str) -> None:
    from holdfast.config.overrides import command_line_problems, with_open_key

    words = shlex.split(line.replace("DIR", "some/folder").replace("[A,B]", "[a,b]"))
    words = words[2:]
    overrides = [with_open_key(word) for word in words if "=" in word and not word.startswith("resume=")]
    is_sweep = "-m" in words
    loader = GlobalHydra.instance().config_loader()
    assert command_line_problems(overrides, loader, is_sweep=is_sweep) == []
    if not is_sweep:
        check_config(composed(*overrides))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "data.subset=0",
            "data.subset: is 0; allowed: a share of the train rows, above 0 and up to 1, as in 0.1, or a count",
        ),
        ("data.subset=-1", "data.subset: is -1; allowed: a share"),
        ("data.subset=1.5", "data.subset: is 1.5; allowed: a share"),
        (
            "data.sampling=balance",
            "data.sampling: is 'balance'; allowed: balanced, null; next: did you mean 'balanced'?",
        ),
        ("data.resident=atuo", "data.resident: is 'atuo'; allowed: auto, true, false; next: did you mean 'auto'?"),
        ("data.num_workers=-1", "data.num_workers: is -1; allowed: a whole number, 0 or more"),
    ],
)
def test_how_rows_are_used_is_checked_before_they_are_prepared(override: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_config(composed(override))
    assert str(caught.value).startswith(words)


def test_a_debug_preset_wins_over_a_recipe() -> None:
    recipe = composed("recipes=mnist_augmented")
    assert recipe.augment.affine.translate == [0.07, 0.07]
    limited = composed("recipes=mnist_augmented", "debug=limit")
    assert (limited.max_epochs, limited.trainer.limit_train_batches, limited.debug.preset) == (2, 3, "limit")
    assert composed("recipes=mnist_augmented", "debug=limit", "max_epochs=5").max_epochs == 5
    assert composed("debug=overfit", "schedule=cosine").data.subset == 20


def test_options_of_named_entries_add_up() -> None:
    assert list(composed("augment=[mirror,crop]").augment) == ["mirror", "crop"]
    assert list(composed("augment=cifar").augment) == ["crop", "mirror", "erasing"]
    assert set(composed("logger=[tensorboard,mlflow]").logger) == {"tensorboard", "mlflow"}
