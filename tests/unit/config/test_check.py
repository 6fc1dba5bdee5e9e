"""The pass over a composed config: trust, arguments and types, all mistakes at once."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from holdfast.config.check import check_recorded
from holdfast.config.resolve import resolve_target
from holdfast.config.trust import remember_trusted, trusted_here
from holdfast.core.errors import InputError

MLP: dict[str, Any] = {"_target_": "holdfast.models.mlp"}


def message_of(node: dict[str, Any], group: str = "model", **more: Any) -> str:
    try:
        check_recorded({group: node, **more}, [group])
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.utils.collect_env.run",
        "torch.nn.modules.module.torch.utils.collect_env.run",
        "holdfast.models.layers.nn.modules.module.functools.partial",
        "holdfast.models.layers.activation_of",
        "holdfast.models.head.weight_layers",
        "holdfast.losses.focal",
        "holdfast.vault.opening.open_x",
        "holdfast.evaluation.opening.final.open_vault",
        "builtins.eval",
        "pathlib.Path.unlink",
    ],
)
def test_a_target_outside_the_group_is_refused(home: Path, target: str) -> None:
    assert "is not trusted" in message_of({"_target_": target})
    assert "is not trusted" in message_of({"_target_": target}, trusted_modules=[target.split(".", maxsplit=1)[0]])


@pytest.mark.parametrize(
    "target",
    [
        "pytorch_lightning.LightningModule.load_from_checkpoint",
        "pytorch_lightning.Trainer.save_checkpoint",
        "torch.load",
    ],
)
def test_a_method_or_a_neighbour_of_what_is_trusted_is_refused(home: Path, target: str) -> None:
    node = {"_target_": "pytorch_lightning.Trainer", "strategy": {"_target_": target}}
    assert re.search(
        "trainer.strategy._target_: '.*' is (not trusted|neither a class nor)", message_of(node, "trainer")
    )


def test_a_users_module_that_does_not_load_is_told_in_one_line(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "half_written.py").write_text("def load(:\n")
    (tmp_path / "fails_at_once.py").write_text("1 / 0\n")
    remember_trusted(["half_written", "fails_at_once"])
    half = message_of({"_target_": "half_written.load"}, trusted_modules=["half_written"])
    assert "'half_written.load' cannot be imported (SyntaxError: invalid syntax (half_written.py, line 1))" in half
    fails = message_of({"_target_": "fails_at_once.load"}, trusted_modules=["fails_at_once"])
    assert "cannot be imported (ZeroDivisionError: division by zero)" in fails


def test_a_model_need_not_name_the_shapes(home: Path) -> None:
    assert message_of({"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2}) == ""
    assert "model.out_features: is missing" in message_of({"_target_": "torch.nn.Linear", "in_features": 3})


def test_what_the_vault_has_is_refused_even_when_trusted(home: Path) -> None:
    remember_trusted(["holdfast"])
    node = {"_target_": "holdfast.vault.opening.open_x"}
    assert "is not trusted" in message_of(node, trusted_modules=["holdfast"])


def test_a_target_in_a_list_or_below_is_seen(home: Path) -> None:
    assert "model.hidden[1]._target_" in message_of({**MLP, "hidden": [1, {"_target_": "os.system"}]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hiden": [3]}, "model.hiden: holdfast.models.mlp has no such argument"),
        ({"hiden": [3]}, "did you mean 'hidden'?"),
        ({"dropout": "much"}, "model.dropout: is 'much'; allowed: a number"),
        ({"input_shape": [3]}, "model.input_shape: holdfast.models.mlp has no such argument"),
        ({"_target_": "holdfast.models.mlpp"}, "did you mean 'mlp'?"),
        ({"_target_": "holdfast.models.nonsuch.mlp"}, "cannot be found"),
        ({"_target_": "holdfast.models.mlp.__doc__"}, "is not trusted"),
        ({"_target_": 5}, "5 is not trusted"),
        (
            {"_convert_": "all"},
            "model._convert_: is not read; allowed: _target_, _partial_, _args_; next: leave it out",
        ),
        ({"hidden": [{**MLP, "_recursive_": False}]}, "model.hidden[0]._recursive_: is not read"),
    ],
)
def test_arguments_are_bound_to_the_signature(home: Path, change: dict[str, Any], words: str) -> None:
    assert words in message_of({**MLP, **change})


def test_all_mistakes_come_at_once(home: Path) -> None:
    lines = message_of({**MLP, "hiden": [3], "dropout": "much"}).splitlines()
    assert len(lines) == 2


def test_a_users_module_is_believed_once_it_was_trusted_here(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_nets.py").write_text("def net(*, input_shape, num_outputs, width: int = 3):\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    node = {"_target_": "my_nets.net", "width": 4}
    assert "is not trusted" in message_of(node, trusted_modules=["my_nets"])
    assert "my_nets" not in sys.modules, "nothing of an untrusted module may run"
    remember_trusted(["my_nets"])
    assert trusted_here() == {"my_nets"}
    assert message_of(node, trusted_modules=["my_nets"]) == ""
    assert "is not trusted" in message_of(node), "the record must name it too"
    assert "model.width: is 'x'; allowed: a whole number" in message_of(
        {**node, "width": "x"}, trusted_modules=["my_nets"]
    )


@pytest.mark.parametrize(
    ("key", "value", "fits"),
    [
        ("lr", 1e-3, True),
        ("lr", 1, True),
        ("lr", "abc", False),
        ("lr", True, False),
        ("betas", [0.9, 0.99], True),
        ("betas", [0.9], False),
        ("betas", 0.9, False),
        ("foreach", None, True),
        ("foreach", "yes", False),
    ],
)
def test_values_fit_annotations_of_torch(home: Path, key: str, value: Any, fits: bool) -> None:
    node = {"_target_": "torch.optim.Adam", key: value}
    assert (message_of(node, "optimizer") == "") is fits


def test_a_dotted_path_is_resolved_through_modules_not_yet_imported() -> None:
    assert resolve_target("holdfast.schedules.cosine").__name__ == "cosine"
    with pytest.raises(AttributeError):
        resolve_target("holdfast.schedules.nonsuch")


def test_a_source_that_is_misspelled_gets_a_hint(home: Path) -> None:
    assert "did you mean 'digits'?" in message_of({"source": {"_target_": "holdfast.sources.digit"}}, "data")


def test_config_containers_are_checked_as_plain_values(home: Path) -> None:
    assert message_of(OmegaConf.to_container(OmegaConf.create({**MLP, "hidden": [4]}))) == ""  # type: ignore[arg-type]
