"""Sweeps from their command lines: what is searched, and the words of every mistake, before the first trial."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from holdfast.core.errors import InputError
from holdfast.experiment.compose import OptionsLoader, options_loader
from holdfast.search.compose import check_sweep, compose_sweep, runs_to_check, unlike
from holdfast.search.record import read_sweep

from .conftest import BAYES, GRID, RANDOM, RATE, plan


@pytest.mark.parametrize(
    "words",
    [
        ["lr=1e-2,1e-3", "seed=0,1", "max_epochs=2"],
        ["model=glob(*,exclude=[a*,t*])", "seed=range(1,4)"],
        ["model.hidden=[8],[8,4]", "lr=sort(3e-2,1e-2)", "optimizer=adam,sgd"],
        ["max_epochs=2"],
    ],
    ids=" ".join,
)
def test_a_grid_has_the_points_of_hydras_own_sweeper(words: list[str], loader: OptionsLoader) -> None:
    record = plan(loader, GRID, *words)
    ((*jobs,),) = BasicSweeper.split_arguments(
        OverridesParser.create(config_loader=loader).parse_overrides(words), None
    )
    assert [sorted([*record.overrides, *point]) for point in record.space.points] == [sorted(job) for job in jobs]
    assert record.trials == len(jobs)


def test_what_all_trials_share_and_what_only_some_have(loader: OptionsLoader) -> None:
    words = ["optimizer=adam,momentum", "optimizer.momentum=0.8", "max_epochs=2", "sweep.seeds=2", "seed=7"]
    record = plan(loader, GRID, *words)
    assert record.overrides == ["max_epochs=2", "seed=7"]
    assert record.space.points == [["optimizer=adam"], ["optimizer=momentum", "optimizer.momentum=0.8"]]
    assert record.repeats == [["seed=7"], ["seed=8"]]
    assert runs_to_check(compose_sweep([GRID, *words], loader), loader) == [
        ["max_epochs=2", "seed=7", *point, "seed=7"] for point in record.space.points
    ]


@pytest.mark.parametrize(
    ("words", "repeats"),
    [
        (["split=kfold", "split.num_folds=3"], [["split.fold=0"], ["split.fold=1"], ["split.fold=2"]]),
        (["split=kfold"], [[f"split.fold={fold}"] for fold in range(5)]),
        (["split=kfold", "split.fold=2"], [[]]),
        (["split=kfold", "split.fold=0,1"], [[]]),
        (["split=kfold", "sweep.seeds=2"], [[f"split.fold={n}", f"seed={seed}"] for n in range(5) for seed in (0, 1)]),
        ([], [[]]),
    ],
)
def test_folds_and_seeds_are_runs_of_one_trial(
    words: list[str], repeats: list[list[str]], loader: OptionsLoader
) -> None:
    assert plan(loader, GRID, "lr=0.1,0.2", *words).repeats == repeats


def write_recipe(text: str) -> None:
    Path("recipes").mkdir(exist_ok=True)
    Path("recipes/my_space.yaml").write_text(text)


SPACE_RECIPE = """\
defaults:
  - override /hydra/sweeper: random
  - override /optimizer: momentum
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      lr: tag(log,interval(1e-5,1e-1))
      optimizer.momentum: interval(0.5,0.99)
max_epochs: 2
"""


def test_a_recipe_brings_a_space_and_the_command_line_wins_key_by_key(loader: OptionsLoader) -> None:
    write_recipe(SPACE_RECIPE)
    record = plan(options_loader(), "recipes=my_space", "lr=0.1,0.2", "sweep.trials=8")
    assert {dimension.key: str(dimension) for dimension in record.space.dimensions} == {
        "lr": "0.1,0.2",
        "optimizer.momentum": "interval(0.5,0.99)",
    }
    assert (record.overrides, record.sampler, record.trials) == (["recipes=my_space"], "quasi_random", 8)
    assert plan(options_loader(), "recipes=my_space", "lr=0.1").overrides == ["recipes=my_space", "lr=0.1"]
    assert plan(options_loader(), "recipes=my_space", BAYES).sampler == "TPESampler"


def test_the_space_of_a_recipe_is_checked_as_what_is_typed(loader: OptionsLoader) -> None:
    write_recipe(SPACE_RECIPE.replace("1e-1))", "1e-1),") + "seed: 3\n")
    with pytest.raises(InputError, match=r"^lr=tag\(log,interval\(1e-5,1e-1\),: cannot be read"):
        plan(options_loader(), "recipes=my_space")
    write_recipe(SPACE_RECIPE.replace("      lr: ", "      rate: "))
    with pytest.raises(InputError, match=r"^rate: is neither a group nor a key of the config"):
        plan(options_loader(), "recipes=my_space")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr=interval(0.1,0.1)"], "lr: interval(0.1,0.1) is empty; next: write lr=0.1, or two ends"),
        (["lr=interval(1,0.1)"], "lr: interval(1,0.1) ends before it starts; next: write interval(0.1,1)"),
        (
            ["optimizer.weight_decay=tag(log,interval(0,1))"],
            "optimizer.weight_decay: interval(0,1) has no log scale: it starts at 0; allowed: an interval above 0",
        ),
        (["lr=tag(log,interval(0,1))"], "lr: is 0.0; allowed: a positive number"),
        (["rate=0.1,0.2"], "rate: is neither a group nor a key of the config"),
        (
            ["optimizer=adam,adamw", "optimizer.momentum=0.8,0.9"],
            "next: optimizer=momentum and optimizer=muon and optimizer=nesterov and optimizer=rmsprop and optimizer=",
        ),
        (["optimizer=momentum,sgd", "optimizer.momentum=a,0.9"], "optimizer.momentum: is 'a'; allowed: a number"),
        (["batch_size=interval(16,64)"], "batch_size: is 16.0; allowed: a whole number, 1 or more, or full; "),
        (["batch_size=interval(16,64)"], "next: write 'batch_size=int(interval(LEAST,MOST))' for whole numbers"),
        ([RATE, "monitor=val/nonsuch"], "monitor: is 'val/nonsuch', which no metric produces; allowed: val/loss, "),
        ([RATE, "monitor=test/accuracy"], "monitor: is 'test/accuracy': the test rows are sealed, nothing can be "),
        (["monitor=val/loss,val/accuracy"], "monitor: is the same in all trials of a sweep; next: give monitor one"),
        ([RATE, "sweep.trials=1,2"], "sweep.trials: is the same in all trials of a sweep"),
        ([RATE, "sweep.trials=0"], "sweep.trials: is 0; allowed: a whole number, 1 or more"),
        ([RATE, "sweep.storage=study.db"], "sweep.storage: is 'study.db'; allowed: null, or the URL of a database"),
        ([RATE, "lr=auto"], f"lr: is swept and given once more ({RATE}, lr=auto); next: leave out one of them"),
        (["lr=auto,0.1"], "lr: is swept over, and auto is no rate; allowed: numbers"),
        (["lr=tag(lin,interval(1,2))"], "lr: has the tag 'lin'; allowed: log"),
        (["lr=tag(log,choice(1,2))"], "lr: has the tag 'log'; allowed: zip, or zip and more letters"),
        (["lr=tag(zip,choice(1,2))"], "lr: is alone in tag(zip,...); next: give another list the tag zip"),
        (
            ["lr=tag(zip,choice(1,2))", "batch_size=tag(zip,choice(3,4,5))"],
            "lr, batch_size: go together and have 2, 3 values; allowed: lists of one length",
        ),
        (["seed=0,1"], "seed: is swept: the search would choose the luckiest one; next: sweep.seeds=5"),
        (["lr=0.1,0.2", "sweep.trials=3"], "sweep.trials: is 3, and the space has 2 points; allowed: up to 2; next: "),
        ([], "sweep: searches nothing: no key has several values"),
        ([GRID, RATE], "lr: tag(log,interval(1e-05,0.1)) has no grid; allowed: lists of values; next: hydra/sweeper"),
        ([GRID, "seed=0,1", "sweep.seeds=2"], "sweep.seeds: is 2, and seed is swept; next: leave out one of them"),
        (["hydra/sweeper=basic", "lr=1,2", "sweep.trials=1"], "sweep.trials=1: is not read by hydra._internal."),
        (
            ["hydra/sweeper=bayse", "lr=1,2"],
            "hydra/sweeper: has no option 'bayse'; allowed: basic, bayes, grid, random; next: did you mean 'bayes'?",
        ),
        ([RATE, "hydra.sweeper.sampler=TPE"], "hydra.sweeper.sampler: is 'TPE'; allowed: quasi_random, Brute"),
    ],
)
def test_a_mistake_is_told_before_the_first_trial(words: list[str], message: str, loader: OptionsLoader) -> None:
    with pytest.raises(InputError) as caught:
        plan(loader, *([] if words and words[0].startswith("hydra/") else [RANDOM]), *words)
    assert message in str(caught.value)


def test_a_metric_of_another_task_is_told_before_the_first_trial(loader: OptionsLoader) -> None:
    config = compose_sweep([RANDOM, RATE, "monitor=val/r2"], loader)
    with pytest.raises(InputError, match="monitor: is 'val/r2', which no metric produces for a multiclass task"):
        check_sweep(config, loader)


def test_a_launcher_that_starts_no_workers_needs_hydras_own_sweeper(loader: OptionsLoader) -> None:
    config = compose_sweep([RANDOM, RATE, "hydra/launcher=basic"], loader)
    with pytest.raises(
        InputError, match=r"BasicLauncher starts no workers; allowed: processes; next: hydra/sweeper=ba"
    ):
        check_sweep(config, loader)
    check_sweep(compose_sweep(["hydra/sweeper=basic", "lr=1,2", "hydra/launcher=basic"], loader), loader)


def test_storage_that_cannot_be_written_is_told_before_the_first_trial(loader: OptionsLoader) -> None:
    config = compose_sweep([RANDOM, RATE, "sweep.storage=sqlite:////nonexistent/study.db"], loader)
    with pytest.raises(InputError, match=r"^sweep.storage: sqlite:////nonexistent/study.db cannot be read or written"):
        check_sweep(config, loader)
    assert not Path(config.hydra.sweep.dir).exists()


def test_every_option_and_both_ends_are_checked(loader: OptionsLoader) -> None:
    config = compose_sweep([RANDOM, RATE, "model=mlp,linear", "optimizer=adam,momentum"], loader)
    configs = check_sweep(config, loader)
    assert [config.lr for config in configs] == [1e-5, 0.1, 1e-5, 1e-5]
    assert {config.optimizer._target_.rpartition(".")[2] for config in configs} == {"Adam", "SGD"}
    assert all("sweep" not in config for config in configs)


def test_a_folder_with_a_sweep_or_with_runs_is_refused(loader: OptionsLoader) -> None:
    words = [RANDOM, RATE, "hydra.sweep.dir=mine"]
    record = plan(loader, *words)
    record.create(Path("mine"))
    with pytest.raises(InputError, match=r"^hydra.sweep.dir: mine holds a sweep already; next: -m resume=mine goes on"):
        check_sweep(compose_sweep(words, loader), loader)
    with pytest.raises(InputError, match=r"^hydra.sweep.dir: mine holds a sweep already"):
        record.create(Path("mine"))
    Path("mine/sweep.json").unlink()
    Path("mine/3").mkdir()
    Path("mine/3/run.json").touch()
    with pytest.raises(InputError, match=r"^hydra.sweep.dir: mine/3 holds a run already"):
        check_sweep(compose_sweep(words, loader), loader)


def test_a_sweep_that_goes_on(loader: OptionsLoader) -> None:
    words = [RANDOM, RATE, "optimizer=shuffle(adam,sgd)", "sweep.trials=8", "max_epochs=2"]
    record = plan(loader, *words)
    record.create(Path("mine"))
    assert read_sweep(Path("mine")) == record
    assert plan(loader, *words, "resume=mine").trials == 8
    assert plan(loader, *words, "resume=mine", "sweep.add=4").trials == 12
    assert plan(loader, *words, "resume=mine", "hydra.launcher.workers=2").workers == 2
    assert plan(loader, *words, "resume=mine", "trainer.precision=bf16-mixed", "logger=none").trials == 8


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            "lr=interval(0.1,1)",
            "lr: is interval(0.1,1) now and was tag(log,interval(1e-05,0.1)); next: undo the change",
        ),
        ("model.dropout=0.1,0.2", "model.dropout: is 0.1,0.2 now and was no dimension"),
        ("max_epochs=3", "overrides of all trials: is ['max_epochs=3'] now and was ['max_epochs=2']"),
        ("hydra.sweeper.seed=1", "hydra.sweeper.seed: is 1 now and was 0"),
        ("hydra/sweeper=bayes", "hydra.sweeper.sampler: is TPESampler now and was quasi_random"),
        ("sweep.seeds=2", "sweep.seeds and split: is [['seed=0'], ['seed=1']] now and was [[]]"),
        ("monitor=val/accuracy", "monitor: is val/accuracy now and was val/loss"),
    ],
)
def test_another_sweep_does_not_go_on(changed: str, message: str, loader: OptionsLoader) -> None:
    words = [RANDOM, RATE, "max_epochs=2"]
    plan(loader, *words).create(Path("mine"))
    key = changed.partition("=")[0]
    kept = [word for word in words if word.partition("=")[0] != key]
    with pytest.raises(InputError) as caught:
        plan(loader, *kept, changed, "resume=mine")
    assert message in str(caught.value)


def test_a_grid_has_no_more_points_than_it_has(loader: OptionsLoader) -> None:
    words = [GRID, "lr=0.1,0.2,0.3", "sweep.trials=2"]
    plan(loader, *words).create(Path("mine"))
    assert plan(loader, *words, "resume=mine", "sweep.add=1").trials == 3
    with pytest.raises(InputError, match=r"^sweep.add: is 2, and 2 of the 3 points of the grid are planned already; "):
        plan(loader, *words, "resume=mine", "sweep.add=2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read (JSONDecodeError"),
        ('{"schema": 7}', "cannot be read (ValueError: another schema)"),
        ('{"schema": 1}', "cannot be read (KeyError: 'space')"),
        ("[]", "cannot be read (TypeError"),
    ],
)
def test_a_record_that_is_none(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(InputError) as caught:
        read_sweep(tmp_path)
    assert message in str(caught.value)


def test_jobs_that_differ_in_the_seed_alone_are_one() -> None:
    configs = [
        OmegaConf.create({"seed": seed, "lr": lr, "model": {"seed": model_seed}, "path": "${lr}"})
        for seed, lr, model_seed in ((0, 0.1, 0), (1, 0.1, 0), (0, 0.2, 0), (2, 0.2, 0), (0, 0.1, 1))
    ]
    assert unlike(configs) == [configs[0], configs[2], configs[4]]
