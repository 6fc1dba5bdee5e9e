from __future__ import annotations

import os
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from holdfast.config.resolve import as_plain, build_option, call_target, find_module_file, is_itself, named
from holdfast.config.targets import handed_over
from holdfast.core.errors import InputError
from holdfast.data.store.source_files import source_state


def test_config_nodes_become_plain_values() -> None:
    config = OmegaConf.create({"data": {"path": "here", "source": {"path": "${data.path}", "sizes": [1, 2]}}})
    plain = as_plain(config.data)
    assert plain == {"path": "here", "source": {"path": "here", "sizes": [1, 2]}}
    assert (type(plain["source"]), type(plain["source"]["sizes"])) == (dict, list)


def test_targets_are_called_without_the_keys_of_hydra() -> None:
    assert call_target({"_target_": "builtins.dict", "a": 1}, "data.source") == {"a": 1}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            "holdfast.data.sources.digit.load",
            "cannot be imported (module 'holdfast.data",
        ),
        ("holdfast.data.sources.embedded.lode", "cannot be imported (module"),
        ("load", "cannot be imported"),
        ("sys.version", "is a str, expected a function"),
    ],
)
def test_targets_that_are_not_there(target: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        call_target({"_target_": target}, "data.source")
    assert str(caught.value).startswith("data.source._target_: ")
    assert words in str(caught.value)


def test_the_users_module_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package" / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/rows.py"):
        (tmp_path / "my_package" / name).write_text("raise RuntimeError('imported')")
    monkeypatch.chdir(tmp_path)
    assert find_module_file("my_package.inner.rows.load") == tmp_path / "my_package/inner/rows.py"
    assert find_module_file("my_package.inner.rows.Class.load") == tmp_path / "my_package/inner/rows.py"
    assert find_module_file("no_such_package.load") is None
    assert "my_package" not in sys.modules


def test_files_of_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images" / "cat").mkdir(parents=True)
    (tmp_path / "images" / "cat" / "0.png").write_bytes(b"123")
    (tmp_path / "index.csv").write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)
    source = {
        "_target_": "holdfast.data.sources.embedded.digits",
        "path": "images",
        "more": [{"index": "index.csv"}],
        "n": 3,
    }
    state = source_state(source)
    assert {path: count for path, (count, _) in state.items()} == {
        str(tmp_path / "images"): 1,
        str(tmp_path / "index.csv"): 5,
    }
    (tmp_path / "images" / "cat" / "1.png").write_bytes(b"")
    more = source_state(source)
    assert more[str(tmp_path / "images")][0] == 2
    os.utime(tmp_path / "images" / "cat" / "0.png", (1, 1))
    (tmp_path / "images" / "cat" / "1.png").rename(tmp_path / "images" / "1.png")
    assert len({str(source_state(source)), str(more), str(state)}) == 3


def test_targets_among_the_arguments_of_an_option_are_built_before_it() -> None:
    inner = {"_target_": "fractions.Fraction", "_args_": [1], "denominator": 4}
    later = {"_target_": "fractions.Fraction", "_partial_": True, "numerator": 3}
    parts = [inner, {"deep": inner}]
    option = build_option({"_target_": "builtins.dict", "_partial_": True, "parts": parts, "later": later})
    assert option.func is dict
    built = option()
    assert built["parts"] == [Fraction(1, 4), {"deep": Fraction(1, 4)}]
    assert built["later"](denominator=5) == Fraction(3, 5)


def own_loss(outputs: Any, targets: Any, gamma: float = 2.0) -> None: ...
def loss_factory(gamma: float, beta: float) -> None: ...
def keyword_factory(*, task: str, gamma: float) -> None: ...
def step(images: Any, strength: float = 0.1) -> None: ...
def step_factory(strength: float = 0.1) -> None: ...
def any_names(first: Any, **rest: Any) -> None: ...


class OwnLoss:
    def __init__(self, first: float, second: float) -> None: ...


@pytest.mark.parametrize(
    ("group", "symbol", "given", "expected"),
    [
        ("loss", own_loss, {}, True),
        ("loss", own_loss, {"gamma": 1.0}, True),
        ("loss", loss_factory, {"gamma": 1.0, "beta": 2.0}, False),
        ("loss", loss_factory, {"gamma": 1.0}, False),
        ("loss", keyword_factory, {}, False),
        ("loss", OwnLoss, {}, False),
        ("augment", step, {}, True),
        ("augment", step_factory, {}, False),
        ("model", own_loss, {}, False),
    ],
)
def test_a_function_that_needs_what_a_call_has_is_the_part(
    group: str, symbol: Callable[..., Any], given: dict[str, Any], expected: bool
) -> None:
    assert is_itself(group, symbol, given) is expected


def test_the_first_arguments_are_ours_whatever_their_names() -> None:
    assert {"outputs", "targets"} < handed_over("loss", own_loss, {})
    assert "gamma" not in handed_over("loss", loss_factory, {"beta": 1.0})
    assert {"first", "total_steps"} < handed_over("schedule", any_names, {})
    assert "strength" not in handed_over("augment", step_factory, {})


def test_a_part_is_handed_what_it_names() -> None:
    offered = {"gamma": 1, "task": "binary"}
    assert named(own_loss, offered) == {"gamma": 1}
    assert named(keyword_factory, offered) == offered
    assert named(any_names, offered) == {}
