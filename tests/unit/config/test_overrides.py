"""Mistakes on the command line: the words that a user reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from holdfast.config import search_path as sources
from holdfast.config.groups import CONF
from holdfast.config.overrides import command_line_problems, with_open_key
from holdfast.experiment.compose import VERSION_BASE, compose, set_up_hydra


@pytest.fixture(autouse=True)
def _hydra(tmp_path: Path) -> Iterator[None]:
    set_up_hydra()
    sources.register(tmp_path)
    with initialize_config_dir(str(CONF), version_base=VERSION_BASE):
        yield
    GlobalHydra.instance().clear()


def lines_of(*arguments: str, is_sweep: bool = False) -> list[str]:
    return [str(p) for p in command_line_problems(arguments, GlobalHydra.instance().config_loader(), is_sweep=is_sweep)]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("optimizer=adm", "optimizer: has no option 'adm'; allowed: adadelta, adagrad, adam, adamw"),
        ("optimizer=adm", "did you mean 'adam'?"),
        ("optimzer=adam", "optimzer: is neither a group nor a key of the config; next: did you mean 'optimizer'?"),
        ("modle.width=3", "modle.width: is neither a group nor a key of the config; next: did you mean 'model'?"),
        ("optimizer.lrr=1", "optimizer.lrr: is no key of the config; allowed: optimizer.lr, "),
        ("optimizer.lrr=1", "did you mean 'optimizer.lr'?"),
        ("model.depth=18", "next: model=resnet has it"),
        ("data.path=houses.csv", "next: data=arrays and data=csv and "),
        ("data.target=price", "next: data=csv and "),
        ("early_stopping.patience=3", "early_stopping.patience: is no key of the config"),
        ("lr=abc", "lr: is 'abc'; allowed: a positive number"),
        ("lr=-1", "lr: is -1; allowed: a positive number"),
        ("lr=nan", "lr: is nan; allowed: a positive number"),
        ("batch_size=0", "batch_size: is 0; allowed: a whole number, 1 or more"),
        ("batch_size=1.5", "batch_size: is 1.5; allowed: a whole number, 1 or more"),
        ("seed=true", "seed: is True; allowed: a whole number from 0"),
        ("model.dropout=x", "model.dropout: is 'x'; allowed: a number"),
        ("optimizer.amsgrad=5", "optimizer.amsgrad: is 5; allowed: true, false"),
        ("split.fractions=3", "split.fractions: is 3; allowed: a list"),
        ("+recipe=x", "recipe: is neither a group nor a key of the config; next: did you mean 'recipes'?"),
        ("recipes=nonsuch", "recipes: has no option 'nonsuch'"),
        ("+lr=3", "+lr: adds nothing that is read"),
        ("foo", "foo: is no override; allowed: key=value"),
        ("lr=1,2", "lr: has several values (1,2) and this is one run; next: add -m"),
        ("sweep.trials=3", "sweep.trials: belongs to a sweep and this is one run; next: add -m"),
        ("lr=(", "lr=(: cannot be read"),
        ("data.path=[a, größe]", """next: quote the values: 'data.path=[a,"größe"]'"""),
    ],
)
def test_one_mistake_is_one_line(argument: str, words: str) -> None:
    lines = lines_of(argument)
    assert len(lines) == 1
    assert words in lines[0]
    assert "\n" not in lines[0]


def test_all_mistakes_are_told_at_once() -> None:
    lines = lines_of("lr=abc", "modl=cnn", "optimizer.betas=3", "data=nonsuch", "data.path=x")
    assert [line.split(":")[0] for line in lines] == ["data", "lr", "modl", "optimizer.betas"]


@pytest.mark.parametrize(("typed", "meant"), [("sweep.trails", "sweep.trials"), ("sweep.foo", "sweep.add")])
def test_a_key_is_not_taken_for_the_one_that_it_lies_under(typed: str, meant: str) -> None:
    (line,) = lines_of("lr=1,2", f"{typed}=3", is_sweep=True)
    assert line.endswith(f"did you mean '{meant}'?")


def test_every_value_of_a_sweep_is_checked() -> None:
    lines = lines_of("lr=1e-3,abc", "optimizer=adam,foo", "seed=range(3)", is_sweep=True)
    assert lines[0].startswith("optimizer: has no option 'foo'")
    assert lines[1].startswith("lr: is 'abc'")
    assert len(lines) == 2
    assert lines_of("lr=auto,0.1", is_sweep=True)[0].startswith("lr: is swept over, and auto is no rate")
    assert lines_of("lr=auto", "seed=0,1", is_sweep=True) == []


@pytest.mark.parametrize(
    "word", ["lr=0.5,tag(log,interval(1e-4,1e-1))", "optimizer=choice(adam,sgd),adamw", "model.hidden=[interval(1,8)]"]
)
def test_an_interval_or_a_choice_among_other_values_is_refused(word: str) -> None:
    problem = f"{word} has an interval, a range or a choice among other values"
    expected = f"{word.partition('=')[0]}: {problem}; allowed: one of these alone, or a list of values"
    assert lines_of(word, is_sweep=True) == [expected]


@pytest.mark.parametrize(
    "argument",
    [
        "lr=3e-4",
        "lr=1",
        "lr=auto",
        "model=cnn",
        "data.name=digits_again",
        "split.fractions=[0.8,0.1,0.1]",
        "data.resident=true",
    ]
    + ["trainer.devices=auto", "trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1", "monitor=val/accuracy"]
    + ["lr=auto", "+model.new=1", "hydra.run.dir=x", "optimizer.lr=${lr}"],
)
def test_what_is_right_passes(argument: str) -> None:
    assert lines_of(argument) == []


def test_a_key_of_another_option_is_known_with_that_option() -> None:
    assert lines_of("optimizer=momentum", "optimizer.momentum=0.8") == []
    assert "optimizer.momentum: is no key" in lines_of("optimizer=adam", "optimizer.momentum=0.8")[0]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("data.types.zip=category", "++data.types.zip=category"),
        ("data.types={zip: category}", "++data.types={zip: category}"),
        ("hydra.sweeper.arguments={n_startup_trials: 3}", "++hydra.sweeper.arguments={n_startup_trials: 3}"),
        ("hydra.sweeper.arguments.n_startup_trials=3", "++hydra.sweeper.arguments.n_startup_trials=3"),
        ("data.task=auto", "data.task=auto"),
    ],
)
def test_columns_of_a_table_and_arguments_of_a_sampler_need_no_plus(word: str, expected: str) -> None:
    assert with_open_key(word) == expected


def test_verbs_that_train_nothing_take_the_type_of_a_column(home: Path) -> None:
    GlobalHydra.instance().clear()
    options = ["data=csv", "data.path=houses.csv", "data.target=price"]
    assert compose([*options, "data.types.zip=category"]).data.types == {"zip": "category"}
