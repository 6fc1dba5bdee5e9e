"""One image file, decoded by Pillow: the right way up, of one mode and one size."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdfast.core.errors import InputError

Pixels = NDArray[np.uint8]
Mode = Literal["gray", "rgb", "rgba"]
Fit = Literal["stretch", "crop", "pad"]
PILLOW_MODES = {"gray": "L", "rgb": "RGB", "rgba": "RGBA"}
CHANNELS = {"gray": 1, "rgb": 3, "rgba": 4}
GRAY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2", ".avif")
# Formats that one suffix may stand for: a photo with a second frame for the depth is still a photo.
ALSO = {"JPEG": ("MPO",), "PPM": ("PGM", "PBM")}
ORIENTATION = 0x0112
MAX_SIDE = 16_384


@dataclass(frozen=True)
class ImageForm:
    """The form that every image is brought to."""

    mode: Mode  # its channels
    size: tuple[int, int] | None = None  # height and width; None: as it is
    # how another size becomes this one: stretched, cropped around the centre, or padded with black
    fit: Fit = "stretch"


def image_form(size: int | Sequence[int] | None, mode: Mode | Literal["auto"], fit: Fit) -> ImageForm:
    """The form that a user asks for; mode auto: RGB until the images were looked at."""
    sides = [size, size] if isinstance(size, int) else list(size or ())
    is_size = len(sides) == 2 and all(type(side) is int and 1 <= side <= MAX_SIDE for side in sides)
    if size is not None and not is_size:
        raise InputError("data.size", f"is {size!r}", "a number of pixels, or [height, width]")
    return ImageForm("rgb" if mode == "auto" else mode, (sides[0], sides[1]) if sides else None, fit)


def read_image(image: str | bytes, form: ImageForm) -> tuple[Pixels, Pixels, bytes] | str:
    """The pixels of an image, a file or its bytes, in a form and in its own size, and the bytes; or what is wrong."""
    if isinstance(image, bytes):
        content, suffix = image, ""
    else:
        try:
            with open(image, "rb", buffering=0) as file:
                content, suffix = file.read(), os.path.splitext(image)[1]
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        if not content:
            return "is empty"
    both = _decoded(content, form, suffix)
    return both if isinstance(both, str) else (*both, content)


def fit_pixels(pixels: Pixels, form: ImageForm) -> Pixels:
    """(H, W, C) pixels in a form."""
    from PIL import Image

    return _pixels(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), form)


def is_gray(path: str | Path) -> bool | None:
    """Tell whether an image has one channel; None where it cannot be opened."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.mode in GRAY_MODES
    except Exception:
        return None


def _decoded(content: bytes, form: ImageForm, suffix: str) -> tuple[Pixels, Pixels] | str:
    """(H, W, C) pixels in a form, and in the image's own size, gray or RGB; a suffix must name what the bytes hold."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata; what matters is raised
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                problem = _problem(image, suffix)
                return problem if problem else _both(_upright(image), form)
    except UnidentifiedImageError:
        return "is no image"
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return "has more pixels than an image should (a decompression bomb?)"
    except Exception as error:  # a decoder of Pillow's may raise anything over a damaged file
        return "is truncated" if "truncated" in str(error) else f"is damaged ({' '.join(str(error).split())[:80]})"


def _problem(image: Any, suffix: str) -> str:
    from PIL import Image

    expected = Image.registered_extensions().get(suffix.lower())
    if expected is not None and image.format != expected and image.format not in ALSO.get(expected, ()):
        return f"is named {suffix} and holds {image.format}"
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        return f"is animated ({image.n_frames} frames)"
    return ""


def _upright(image: Any) -> Any:
    """The image turned as its EXIF orientation says."""
    from PIL import ImageOps

    if image.format == "JPEG" and not {"exif", "xmp"} & image.info.keys():
        return image  # to look for it takes as long as to read a small file
    return ImageOps.exif_transpose(image) if image.getexif().get(ORIENTATION, 1) != 1 else image


def _both(image: Any, form: ImageForm) -> tuple[Pixels, Pixels]:
    pixels, own = _pixels(image, form), ImageForm("gray" if image.mode in GRAY_MODES else "rgb")
    is_own = form.mode == own.mode and pixels.shape[:2] == image.size[::-1]
    return pixels, pixels if is_own else _pixels(image, own)


def _pixels(image: Any, form: ImageForm) -> Pixels:
    if image.mode in DEEP_MODES:
        image = _eight_bits(image)
    if image.mode != PILLOW_MODES[form.mode]:
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert(PILLOW_MODES[form.mode])
    if form.size is not None and image.size != form.size[::-1]:
        image = _fitted(image, form.size, form.fit)
    pixels = np.array(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _eight_bits(image: Any) -> Any:
    """The upper eight of 16 bits."""
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(values >> 8 if values.max() > 255 else values, 0, 255).astype(np.uint8))


def _fitted(image: Any, size: Sequence[int], fit: Fit) -> Any:
    from PIL import Image, ImageOps

    width, height = size[1], size[0]
    filtering = Image.Resampling.BILINEAR
    if fit == "crop":
        return ImageOps.fit(image, (width, height), filtering)
    if fit == "pad":
        return ImageOps.pad(image, (width, height), filtering)
    return image.resize((width, height), filtering)
