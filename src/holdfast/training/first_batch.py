"""A batch as the model gets it, after augmentation, transform and mixing, for the eye."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from holdfast.config.resolve import build_option
from holdfast.core.seeding import kept_random_state, seed_everything
from holdfast.data.statistics import input_names
from holdfast.mixing import build_mixing
from holdfast.training.augment import build_augmentation, check_images_only
from holdfast.training.row_guard import look_first

if TYPE_CHECKING:
    from holdfast.data.loading.datamodule import DataModule

NUM_ROWS = 8
NUM_VERSIONS = 3
MAX_COLUMNS = 60
LEAST_SIDE, LARGEST_SIDE = 64, 96
GAP = 2


def batch_facts(config: Mapping[str, Any], datamodule: DataModule) -> dict[str, Any]:
    """Facts about the first train rows as the model gets them, as JSON has them; the random state stays as it is.

    Returns:
        "kind", "shape" of a row, "rows", how many numbers are "not_finite", and "least", "mean", "std" and "largest" of
        the others. Of images a "picture", a PNG in base64: train images, and below each what becomes of it. Of a table
        its "columns", {"name", "values"}; of many the first.

    Raises:
        InputError: A transform, augmentation or mixing does not fit the rows.
    """
    statistics, shape = datamodule.statistics, datamodule.input_shape
    check_images_only(config, statistics.kind)
    with kept_random_state():
        seed_everything(config["seed"])
        augmentation = build_augmentation(config.get("augment"), shape)
        mixing = build_mixing(config.get("mixing"), datamodule.task, shape)
        transform = build_option(config["transform"])(statistics)
        x = datamodule.first_train_rows(NUM_ROWS)

        @look_first  # these are rows of the run: nobody need look at what becomes of them
        def as_model_gets(rows: Tensor) -> Tensor:
            inputs: Tensor = transform(rows if augmentation is None else augmentation(rows))
            mixed = None if mixing is None else mixing(inputs)
            return inputs if mixed is None else mixed.x

        versions = [as_model_gets(x) for _ in range(NUM_VERSIONS if augmentation or mixing else 1)]
    inputs = versions[0].double()
    numbers = inputs[inputs.isfinite()] if bool(inputs.isfinite().any()) else torch.zeros(1, dtype=torch.float64)
    facts: dict[str, Any] = {
        "kind": statistics.kind,
        "rows": len(inputs),
        "shape": list(inputs.shape[1:]),
        "not_finite": int((~inputs.isfinite()).sum()),
        "least": float(numbers.min()),
        "mean": float(numbers.mean()),
        "std": float(numbers.std(correction=0)),
        "largest": float(numbers.max()),
    }
    if statistics.kind == "image":
        facts["picture"] = base64.b64encode(_picture(x, versions)).decode()
    elif datamodule.columns:
        named = zip(input_names(datamodule.columns), inputs.nan_to_num().T.tolist(), strict=True)
        facts["columns"] = [{"name": name, "values": values} for name, values in named][:MAX_COLUMNS]
    return facts


def _picture(images: Tensor, versions: list[Tensor]) -> bytes:
    """A PNG: (n, H, W, C) stored images in a row, and below them versions (n, C, H, W), each stretched to be seen."""
    from PIL import Image

    rows = [_stretched(images.permute(0, 3, 1, 2).float())]
    low, high = min(float(v.min()) for v in versions), max(float(v.max()) for v in versions)
    rows += [_stretched(version.float(), low, high) for version in versions]
    tiles = torch.stack(rows)
    tiles = tiles[:, :, :3] if tiles.shape[2] >= 3 else tiles[:, :, :1].expand(-1, -1, 3, -1, -1)
    tiles = functional.pad(tiles, (GAP, GAP, GAP, GAP), value=1.0)
    num_rows, count, _, height, width = tiles.shape
    sheet = tiles.permute(0, 3, 1, 4, 2).reshape(num_rows * height, count * width, 3)
    picture = Image.fromarray((sheet * 255).round().to(torch.uint8).numpy())
    side = max(height, width)
    scale = -(-LEAST_SIDE // side) if side < LEAST_SIDE else min(1.0, LARGEST_SIDE / side)
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), how)
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=3)
    return content.getvalue()


def _stretched(x: Tensor, low: float = 0.0, high: float | None = None) -> Tensor:
    """Numbers from low to high as 0 to 1; digits of 16 grey levels would be black."""
    most = float(x.max()) if high is None else high
    return ((x - low) / max(most - low, 1e-12)).clamp(0, 1)
