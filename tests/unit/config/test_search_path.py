"""Recipes and a user's own options: what is found first, and what a recipe may not say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from holdfast.config import search_path as sources
from holdfast.config.groups import CONF, PRIMARY
from holdfast.core.errors import InputError
from holdfast.experiment.compose import VERSION_BASE, set_up_hydra


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "conf" / "model").mkdir(parents=True)
    set_up_hydra()
    sources.register(tmp_path)
    with initialize_config_dir(str(CONF), version_base=VERSION_BASE):
        yield tmp_path
    GlobalHydra.instance().clear()


def test_a_users_option_and_recipe_are_found_first(folder: Path) -> None:
    (folder / "conf" / "model" / "linear.yaml").write_text("# mine\n_target_: mine.Net\n")
    (folder / "recipes" / "mine.yaml").write_text("defaults:\n  - override /model: linear\nlr: 0.5\n")
    config = compose(PRIMARY, ["recipes=mine"])
    assert (config.model._target_, config.lr) == ("mine.Net", 0.5)
    assert sources.shadowed(folder) == ["model/linear"]


def test_a_recipe_wins_over_options_and_the_command_line_over_it(folder: Path) -> None:
    (folder / "recipes" / "mine.yaml").write_text("defaults:\n  - override /optimizer: sgd\nlr: 0.5\n")
    assert compose(PRIMARY, ["recipes=mine"]).optimizer._target_ == "torch.optim.SGD"
    config = compose(PRIMARY, ["recipes=mine", "optimizer=adam", "lr=2"])
    assert (config.optimizer._target_, config.lr) == ("torch.optim.Adam", 2)


def test_a_users_primary_config_is_not_looked_at(folder: Path) -> None:
    (folder / "conf" / "holdfast.yaml").write_text("lr: 7\n")
    assert compose(PRIMARY).lr == 1e-3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trusted_modules: [os]\n", "a recipe cannot trust modules"),
        ("hydra:\n  callbacks: {x: {_target_: os.system}}\n", "sets keys of Hydra itself"),
        ("hydra:\n  sweeper: {arguments: {x: {_target_: os.system}}}\n", "names code that Hydra would run"),
        ("# @package hydra.callbacks\nx: 1\n", "has package 'hydra.callbacks'"),
        ("defaults:\n  - /model@hydra.callbacks.x: mlp\n", "moves packages"),
        ("a: b: c\n", "cannot be read"),
    ],
)
def test_what_a_strangers_recipe_may_not_say(folder: Path, text: str, words: str) -> None:
    (folder / "recipes" / "strange.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        compose(PRIMARY, ["recipes=strange"])


def test_values_that_leak_from_a_recipe_are_named(folder: Path) -> None:
    (folder / "recipes" / "tuned.yaml").write_text(
        "defaults:\n  - override /optimizer: sgd\noptimizer: {weight_decay: 0.3}\nmodel: {dropout: 0.2}\n"
    )
    compose(PRIMARY, ["recipes=tuned"])
    without = "recipe tuned sets model.dropout=0.2 without choosing the model that it is meant for"
    assert sources.leaks("tuned", set()) == [without]
    stays = "recipe tuned sets optimizer.weight_decay=0.3, which stays although you chose another optimizer"
    assert sources.leaks("tuned", {"optimizer", "lr"}) == [without, stays]
