from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from holdfast.core.errors import InputError
from holdfast.training.fit import build
from holdfast.training.restore import load_model
from holdfast.tta import build_views, mirror, mirror_shift, shift
from small_runs import make_config, make_data

IMAGE = torch.arange(9.0).reshape(1, 1, 3, 3)


def rows(view: Tensor) -> list[list[float]]:
    return view[0, 0].tolist()


def test_mirror() -> None:
    plain, mirrored = mirror(IMAGE)
    assert rows(plain) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert rows(mirrored) == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]


def test_shifts_repeat_the_border() -> None:
    views = shift(IMAGE)
    assert rows(views[1]) == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert rows(views[2]) == [[3, 4, 5], [6, 7, 8], [6, 7, 8]]
    assert rows(views[3]) == [[0, 0, 1], [3, 3, 4], [6, 6, 7]]
    assert rows(views[4]) == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


def test_shifts_and_their_mirror_images() -> None:
    shifts, views = shift(IMAGE, pixels=2), mirror_shift(IMAGE, pixels=2)
    assert [rows(view) for view in views] == [rows(view) for view in [*shifts, *(mirror(view)[1] for view in shifts)]]


@pytest.mark.parametrize("option", [shift, mirror_shift])
@pytest.mark.parametrize("pixels", [0, 3])
def test_a_shift_out_of_the_image(option: Any, pixels: int) -> None:
    with pytest.raises(InputError, match=rf"tta\.pixels: is {pixels}; allowed: 1 to 2$"):
        option(IMAGE, pixels=pixels)


def test_val_metrics_and_predictions_average_over_the_views(run, tmp_path: Path) -> None:
    data = make_data("multiclass", image=True)
    record = run(make_config("model=cnn", "tta=mirror_shift", max_epochs=2), data)
    module = load_model(tmp_path / "run").module
    assert not module.training
    logits = [module.model(view) for view in mirror_shift(module.transform(data.val_x), pixels=1)]
    mean = torch.stack(logits).mean(dim=0)
    loss = torch.nn.functional.cross_entropy(mean, data.val_y)
    assert float(loss) == pytest.approx(record.fields["best"]["value"], rel=1e-5)
    predicted = load_model(tmp_path / "run").predict(data.val_x.numpy())
    np.testing.assert_allclose(predicted, mean.softmax(dim=1).numpy(), atol=1e-6)


def test_views_are_tried_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tta\.pixels: is 8; allowed: 1 to 7"):
        build(make_config("model=cnn", "tta=shift", "tta.pixels=8"), make_data("multiclass", image=True), trainer=None)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (lambda x: [x[:, :, 1:]], r"^tta: gives views of \[\(2, 1, 2, 3\)\] of images \(2, 1, 3, 3\)"),
        (lambda x: 1 / 0, r"^tta: cannot be built \(ZeroDivisionError: division by zero\)"),
        (lambda x: [], r"^tta: gives views of \[\]"),
    ],
)
def test_views_of_ones_own_that_do_not_fit(monkeypatch: pytest.MonkeyPatch, option: Any, words: str) -> None:
    monkeypatch.setattr("holdfast.tta.build_option", lambda node: option)
    with pytest.raises(InputError, match=words):
        build_views({"_target_": "mine.views"}, (1, 3, 3))


def test_a_table_has_no_views(run) -> None:
    with pytest.raises(InputError, match=r"tta: takes images.*next: tta=none"):
        run(make_config("tta=mirror"), make_data("multiclass"))
