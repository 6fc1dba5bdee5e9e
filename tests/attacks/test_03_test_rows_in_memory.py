"""Attack 3 by other means: is a test row anywhere in the memory of a training process, or of its record of memory?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from .conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs /proc")]
BLOCK_BYTES = 2**25


def _train(dump: Path, project: Path, environment: dict[str, str], *overrides: str) -> None:
    script = str(Path(__file__).with_name("dump_memory.py"))
    command = [sys.executable, script, str(dump), str(ROOT / "train.py"), "max_epochs=1", "trainer=cpu", *overrides]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _search(dump: Path, rows: NDArray[np.uint8]) -> set[int]:
    """Numbers of the (n, bytes) rows that stand in a file: looked for by three rare bytes of each, then as a whole."""
    width = rows.shape[1]
    counts = np.bincount(rows.ravel(), minlength=256)
    rarity = (1.0 / (1 + counts))[rows]
    place = np.argmax(rarity[:, :-2] + rarity[:, 1:-1] + rarity[:, 2:], axis=1)
    index = np.arange(len(rows))
    words = _words(rows.reshape(-1))[index * width + place]
    wanted = np.zeros(2**24, bool)
    wanted[words] = True
    by_word: dict[int, list[int]] = {}
    for row, word in enumerate(words.tolist()):
        by_word.setdefault(word, []).append(row)
    matches: set[int] = set()
    content = np.memmap(dump, np.uint8, "r")
    for start in range(0, len(content), BLOCK_BYTES):
        block = np.array(content[start : start + BLOCK_BYTES + 2 * width])
        seen = _words(block)
        for hit in np.flatnonzero(wanted[seen]):
            for row in by_word[int(seen[hit])]:
                begin = hit - place[row]
                if begin >= 0 and np.array_equal(block[begin : begin + width], rows[row]):
                    matches.add(row)
    return matches


def _words(content: NDArray[np.uint8]) -> NDArray[np.uint32]:
    wide = content.astype(np.uint32)
    return wide[:-2] << 16 | wide[1:-1] << 8 | wide[2:]


def _bytes(rows: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.unique(np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1), axis=0)


def _without(rows: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.uint8]:
    inside = {row.tobytes() for row in known}
    return np.array([row for row in rows if row.tobytes() not in inside])


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_no_test_row_is_in_memory_after_a_run(
    project: Path, environment: dict[str, str], shared_data: Path, tmp_path: Path, name: str
) -> None:
    if name == "digits":
        from holdfast.data.sources.embedded import digits as load

        overrides, rows = [], load()
    else:
        from holdfast.data.sources.mnist import load as load_mnist

        overrides = ["data=mnist", f"data.path={shared_data / 'mnist'}", "model=linear"]
        rows = load_mnist(path=str(shared_data / "mnist"))
    _train(tmp_path / "dump", project, environment, *overrides)  # seals, in a process of its own, and trains
    (store,) = (tmp_path / "home" / "store" / "rows").glob("*/views/*/x.npy")
    development = _bytes(np.load(store))
    test = _without(_bytes(np.asarray(rows.x)), development)
    assert len(test) == {"digits": 359, "mnist": 10_000}[name]
    assert len(_search(tmp_path / "dump", development[:200])) == 200, "the search finds rows that are there"
    assert _search(tmp_path / "dump", test) == set()
