"""The picture of the README: the page of a run in Chromium, without a window.

holdfast report RUN
python docs/picture.py RUN/report.html docs/report.png
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 1100, 980


def take_picture(page: Path, picture: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Write a picture (PNG) of the top of a page."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        size = [f"--window-size={width},{height}", f"--screenshot={picture.absolute()}"]
        subprocess.run(["chromium", *flags, *size, page.absolute().as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]), Path(sys.argv[2]))
