"""Attack 19: the disk is full at each step.

Nothing is decrypted without a durable intent, nothing printed without a durable result, and the reason is said.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import strike

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A tmpfs of 32 MiB and how to fill it; where nothing can be mounted, a limit on what may be written."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    is_mounted = shutil.which("mount") and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield ("fill" if is_mounted else "limit"), folder
    if is_mounted:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder / "home")
        subprocess.run(["umount", str(folder)], check=True)


def test_sealing(small_disk: tuple[str, Path], environment: dict[str, str]) -> None:
    how, disk = small_disk
    assert strike(how, "seal", disk / "home", environment=environment) > 50


@pytest.mark.parametrize("how", ["fill", "limit"])
def test_preparing(small_disk: tuple[str, Path], environment: dict[str, str], how: str) -> None:
    possible, disk = small_disk
    if how == "fill" and possible != "fill":
        pytest.skip("nothing can be mounted here")
    assert strike(how, "prepare", disk / "home", environment=environment) > 80


@pytest.mark.parametrize("how", ["fill", "limit"])
def test_opening(
    small_disk: tuple[str, Path], trained: None, project: Path, environment: dict[str, str], how: str
) -> None:
    possible, disk = small_disk
    if how == "fill" and possible != "fill":
        pytest.skip("nothing can be mounted here")
    shutil.copytree(project.parent / "home", disk / "home")
    assert strike(how, "open", disk / "home", project / "run0", project / "run1", environment=environment) > 30
