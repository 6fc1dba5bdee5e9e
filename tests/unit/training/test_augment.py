from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from holdfast.core.errors import InputError
from holdfast.training.augment import Augmentation, build_augmentation
from small_runs import CONF, make_config, make_data

STEPS = sorted(path.stem for path in (CONF / "augment").glob("*.yaml") if "_target_" in path.read_text())
IMAGES = torch.randint(0, 256, (64, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def build(name: str, **values: object) -> Augmentation:
    (step,) = OmegaConf.to_container(OmegaConf.load(CONF / "augment" / f"{name}.yaml")).items()
    built = build_augmentation({step[0]: step[1] | values}, (3, 32, 32))
    assert built is not None
    return built


@pytest.mark.parametrize("name", STEPS)
def test_a_step_keeps_layout_and_scale_and_is_repeatable(name: str) -> None:
    augmentation = build(name, p=1.0)
    torch.manual_seed(1)
    first = augmentation(IMAGES)
    torch.manual_seed(1)
    assert torch.equal(first, augmentation(IMAGES))
    assert first.shape == IMAGES.shape
    assert first.dtype == torch.float32
    assert 0.0 <= float(first.min()) <= float(first.max()) <= 255.001
    assert float((first - IMAGES.float()).abs().mean()) > 1.0


def test_mirror_and_crop_move_whole_pixels() -> None:
    torch.testing.assert_close(build("mirror", p=1.0)(IMAGES), IMAGES.flip(2).float())
    torch.manual_seed(0)
    cropped = build("crop", padding=2)(IMAGES)
    padded = torch.nn.functional.pad(IMAGES.float(), (0, 0, 2, 2, 2, 2))
    seen = set()
    for image, whole in zip(cropped, padded, strict=True):
        places = [(i, j) for i in range(5) for j in range(5) if (whole[i : i + 32, j : j + 32] - image).abs().max() < 1]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 15


def test_erasing_paints_a_rectangle() -> None:
    erased = build("erasing", p=1.0, value=1.0)(IMAGES // 2)
    shares = (erased > 250).all(dim=3).float().mean(dim=(1, 2))
    assert float(shares.min()) > 0.0
    assert float(shares.max()) < 0.22


def test_autocast_does_not_reach_it() -> None:
    rotation = build("rotation")
    torch.manual_seed(0)
    plain = rotation(IMAGES)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain, rotation(IMAGES))


def picture_of(facts: dict[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(facts["picture"]))) as picture:
        return np.asarray(picture)


def test_only_train_rows_and_a_picture(run, tmp_path: Path) -> None:
    data = make_data("multiclass", image=True)
    # a rate too small to move a weight: the losses differ by what is done to the rows alone
    values = {"max_epochs": 1, "lr": 1e-30}
    plain = run(make_config("model=cnn", "model.norm=none", **values), data, "plain").fields["history"][0]
    config = make_config("model=cnn", "model.norm=none", "augment=[affine,erasing]", **values)
    augmented = run(config, data, "augmented").fields["history"][0]
    assert augmented["val/loss"] == plain["val/loss"]
    assert augmented["train/loss"] != plain["train/loss"]
    for name, num_versions in (("plain", 1), ("augmented", 3)):
        picture = picture_of(json.loads((tmp_path / name / "batch.json").read_text()))
        assert picture.shape == ((1 + num_versions) * 12 * 6, 8 * 12 * 6, 3)
        original = picture[12 : 12 + 48 : 6, 12 : 12 + 48 : 6, 0]
        first = data.first_train_rows(8).float()
        np.testing.assert_allclose(original, (first[0, :, :, 0] * 255 / first.max()).numpy(), atol=1)


def test_a_function_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"_target_": "torch.nn.functional.relu"}
    augmentation = build_augmentation({"mine": node}, (3, 32, 32))
    assert augmentation is not None
    torch.testing.assert_close(augmentation(IMAGES), IMAGES.float())


@pytest.mark.parametrize(
    ("overrides", "image", "words"),
    [
        (["augment=mirror"], False, r"augment: takes images, and a row of this data is a table row; next: augment=no"),
        (
            ["model=cnn", "augment=crop", "augment.crop.padding=-1"],
            True,
            r"augment\.crop\.padding: is -1; allowed: numb",
        ),
        (["model=cnn", "augment=color"], True, r"augment\.color: does not take images of 1 x 8 x 8 \(.*3, H, W"),
        (["model=cnn", "augment=rotation", "augment.rotation.degrees=-5"], True, r"augment\.rotation: .*-5"),
        (["model=cnn", "augment=crop", "augment.crop.padding_mode=x"], True, r"augment\.crop: .*x"),
    ],
)
def test_what_cannot_be_augmented(run, overrides: list[str], image: bool, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(make_config(*overrides), make_data("multiclass", image=image))


def test_a_step_that_changes_the_shape() -> None:
    node = {"_target_": "torch.nn.AvgPool2d", "kernel_size": 2}
    with pytest.raises(InputError, match=r"augment\.pool: makes \(2, 3, 16, 16\) of images \(2, 3, 32, 32\)"):
        build_augmentation({"pool": node}, (3, 32, 32))
