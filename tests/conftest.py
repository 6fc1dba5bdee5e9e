"""Every test has a home of its own; what a test leaves behind in the process fails it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.cores import set_spin_count

os.environ.pop("HOLDFAST_HOME", None)  # the user's
set_spin_count()  # before torch is imported: tests run side by side

# set by torch and Lightning when they are imported, and by pytest
SET_BY_LIBRARIES = {
    *("PYTEST_CURRENT_TEST", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"),
    *("PYTORCH_NVML_BASED_CUDA_CHECK", "TORCHINDUCTOR_CACHE_DIR", "_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR"),
}
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOLDFAST_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HOLDFAST_HOME", str(folder))
    monkeypatch.delenv("HOLDFAST_KEYS", raising=False)
    return folder


@pytest.fixture(autouse=True)
def _no_home_of_the_user(
    _leaves_nothing_behind: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that forgets `home` must not write into the user's."""
    if "HOLDFAST_HOME" not in os.environ:
        monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path_factory.getbasetemp() / "forgotten-home"))


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    environment, threads, folder = dict(os.environ), set(threading.enumerate()), Path.cwd()
    lock = _content_of(ROOT / "holdfast.lock")
    yield
    changed = {k for k in environment.keys() | os.environ.keys() if environment.get(k) != os.environ.get(k)}
    left = [t.name for t in set(threading.enumerate()) - threads if t.is_alive() and t.name.startswith("holdfast")]
    assert not changed - SET_BY_LIBRARIES, f"environment: {changed}"
    assert not left, f"threads that still run: {left}"
    assert Path.cwd() == folder
    assert _content_of(ROOT / "holdfast.lock") == lock, "holdfast.lock in the root: work in a folder of your own"


def _content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images, where they are: `HOLDFAST_TEST_DATA` or `../shared/data`."""
    folder = Path(os.environ.get("HOLDFAST_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no MNIST below {folder}; set HOLDFAST_TEST_DATA")
    return folder
