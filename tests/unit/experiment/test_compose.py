"""Our loader composes what Hydra's own does, and reads the options once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from holdfast.config.groups import PRIMARY
from holdfast.core.errors import InputError
from holdfast.experiment.compose import OptionsLoader, options_loader

LINES = [
    [],
    ["lr=0.1", "seed=3"],
    ["optimizer=momentum", "optimizer.momentum=0.5", "lr=0.1"],
    ["optimizer.momentum=0.5", "optimizer=momentum"],
    ["lr=0.1", "lr=0.2"],
    ["augment=[crop,mirror]"],
    ["+model.new=1", "~optimizer.eps", "++data.types.zip=category"],
    ["model.hidden=[3,4]", "optimizer.lr=${lr}", "monitor='val/f1_macro'"],
    ["recipes=diabetes_linear", "max_epochs=2", "model={}"],
    ["hydra.run.dir=x", "lr=0.1"],
    ["data=csv", "data.path=a b.csv", "data.drop=[a,b]", "data.target='x=y'"],
]


def plain(config: DictConfig) -> object:
    return OmegaConf.to_container(config, resolve=False)


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OptionsLoader:
    monkeypatch.chdir(tmp_path)
    return options_loader()


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_it_composes_as_hydra_does(words: list[str], loader: OptionsLoader) -> None:
    expected = ConfigLoaderImpl(loader.config_search_path).load_configuration(PRIMARY, words, RunMode.RUN)
    for _ in range(2):  # composed, and copied
        config = loader.load_configuration(PRIMARY, words, RunMode.RUN)
        assert plain(config) == plain(expected)
        assert OmegaConf.is_struct(config)


@pytest.mark.parametrize("words", [["lr=1,2", "optimizer=sgd,adam", "seed=range(3)"], ["max_epochs=2"]], ids=" ".join)
def test_it_composes_the_config_of_a_sweep_and_of_its_jobs(words: list[str], loader: OptionsLoader) -> None:
    own = ConfigLoaderImpl(loader.config_search_path)
    masters = [each.load_configuration(PRIMARY, words, RunMode.MULTIRUN) for each in (loader, own)]
    assert plain(masters[0]) == plain(masters[1])
    for job in (["lr=1", "optimizer=sgd"], ["lr=2", "optimizer=sgd"], ["lr=1", "optimizer=adam"]):
        jobs = [each.load_sweep_config(master, job) for each, master in zip((loader, own), masters, strict=True)]
        assert plain(jobs[0]) == plain(jobs[1])


def test_options_are_read_once_and_a_copy_is_the_callers_own(
    loader: OptionsLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = loader.load_configuration(PRIMARY, ["optimizer=adam"], RunMode.RUN)
    first.lr = 7.0
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", None)  # would be called to compose
    second = loader.load_configuration(PRIMARY, ["optimizer=adam", "seed=5"], RunMode.RUN)
    assert (second.lr, second.seed, second.optimizer._target_) == (1e-3, 5, "torch.optim.Adam")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr=1,2"], "Ambiguous value for argument 'lr=1,2'"),
        (["optimizer.lrr=1"], "Could not override 'optimizer.lrr'"),
        (["optimizer=adm"], "Could not find 'optimizer/adm'"),
        (["model@x=mlp"], "model@x"),
    ],
)
def test_what_hydra_refuses_is_refused(words: list[str], message: str, loader: OptionsLoader) -> None:
    for _ in range(2):
        with pytest.raises(HydraException, match=message):
            loader.load_configuration(PRIMARY, words, RunMode.RUN)


def test_a_group_of_a_further_search_path_is_a_group(loader: OptionsLoader, tmp_path: Path) -> None:
    (tmp_path / "more" / "extra").mkdir(parents=True)
    (tmp_path / "more" / "extra" / "mine.yaml").write_text("# mine\nx: 1\n")
    words = [f"hydra.searchpath=[file://{tmp_path}/more]", "+extra=mine", "lr=0.5"]
    config = loader.load_configuration(PRIMARY, words, RunMode.RUN)
    assert (config.extra, config.lr) == ({"x": 1}, 0.5)


def test_a_folder_of_more_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more" / "model").mkdir(parents=True)
    (tmp_path / "more" / "model" / "mine.yaml").write_text("# mine\n_target_: torch.nn.Linear\n")
    config = options_loader("more").load_configuration(PRIMARY, ["model=mine"], RunMode.RUN)
    assert config.model._target_ == "torch.nn.Linear"
    with pytest.raises(InputError, match="--config-dir: there is no folder nowhere"):
        options_loader("nowhere")
