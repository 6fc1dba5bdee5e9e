"""Examples of images as strips of thumbnails: PNG bytes by Pillow."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.core.tasks import task_of
from holdfast.data.loading.train_val import RunRows
from holdfast.reporting.dataset import spread_over

CELL = 60
GAP = 4
A_STRIP = 12
MAX_STRIPS = 20


def example_strips(rows: RunRows) -> list[tuple[str, bytes]]:
    """Train images as (what they are, PNG): a strip a class, or one strip where there are no classes."""
    prepared = rows.prepared
    if prepared.kind != "image" or not len(rows.train):
        return []
    rows_of = {"train images": rows.train}
    if task_of(prepared.task).is_classes:
        y = np.asarray(prepared.y[rows.train])
        rows_of = {name: rows.train[y == index] for index, name in enumerate(prepared.class_names[:MAX_STRIPS])}
    shown = {name: spread_over(indices, A_STRIP) for name, indices in rows_of.items() if len(indices)}
    return [(name, strip(np.asarray(prepared.x[indices]))) for name, indices in shown.items()]


def strip(images: NDArray[np.uint8]) -> bytes:
    """(n, H, W, C) images side by side; small ones are enlarged without smoothing."""
    from PIL import Image

    height, width = images.shape[1:3]
    scale = CELL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.new("RGBA", ((size[0] + GAP) * len(images) - GAP, size[1]))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    for index, pixels in enumerate(images):
        picture.paste(_as_image(pixels).resize(size, how), (index * (size[0] + GAP), 0))
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=3)
    return content.getvalue()


def _as_image(pixels: NDArray[np.uint8]) -> Any:
    """One channel is grey, three are colours, four have transparency; of others the first is shown.

    Grey images of few levels, such as 0 to 16, are stretched to be seen.
    """
    from PIL import Image

    if pixels.shape[2] in (3, 4):
        return Image.fromarray(pixels).convert("RGBA")
    grey = pixels[..., 0]
    most = int(grey.max())
    if 0 < most < 64:
        grey = (grey.astype(np.uint16) * 255 // most).astype(np.uint8)
    return Image.fromarray(grey).convert("RGBA")
