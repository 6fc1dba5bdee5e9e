"""With a stand-in for timm: the library needs a torchvision of the same release as torch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from holdfast.core.errors import InputError
from holdfast.models import timm

IMAGE = {"input_shape": (3, 32, 32), "num_outputs": 5}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    module, seen = ModuleType("timm"), []

    def create_model(name: str, **arguments: Any) -> nn.Module:
        if "img_size" in arguments:
            raise TypeError("ResNet.__init__() got an unexpected keyword argument 'img_size'")
        seen.append({"name": name, **arguments})
        return nn.Linear(1, 1)

    vars(module).update(
        create_model=create_model, is_model=lambda name: name == "resnet18", list_models=lambda: ["resnet18"]
    )
    monkeypatch.setitem(sys.modules, "timm", module)
    return seen


def test_what_timm_is_asked_for(calls: list[dict[str, Any]]) -> None:
    timm(name="resnet18", dropout=0.1, arguments={"global_pool": "max"}, **IMAGE)
    expected = {"name": "resnet18", "pretrained": False, "num_classes": 5, "in_chans": 3, "drop_rate": 0.1}
    assert calls == [{**expected, "global_pool": "max"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet81"}, "model.name: timm has no 'resnet81'; next: did you mean 'resnet18'?"),
        (
            {"name": "resnet18", "arguments": {"img_size": 32}},
            "model=timm: resnet18 cannot be built (ResNet.__init__() got an unexpected keyword argument 'img_size')",
        ),
    ],
)
def test_refusals(calls: list[dict[str, Any]], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        timm(**arguments, **IMAGE)
    assert str(caught.value) == message


def test_a_missing_timm_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        InputError, match=r"^model=timm: needs the package timm \(.*\); next: pip install 'holdfast\[timm"
    ):
        timm(name="resnet18", **IMAGE)


def test_a_torchvision_of_another_torch_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"^model=timm: needs the package timm \(operator torchvision::nms"):
        timm(name="resnet18", **IMAGE)
