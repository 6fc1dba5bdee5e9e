from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from holdfast.search.leases import Leases


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    return tmp_path / "leases"


def grow_old(folder: Path, number: int, seconds: float) -> None:
    path = folder / str(number)
    before = path.stat().st_mtime - seconds
    os.utime(path, (before, before))


def test_a_lease_is_over_when_nobody_touches_it(leases: Path) -> None:
    mine, theirs = Leases(leases, "a", 60.0), Leases(leases, "b", 60.0)
    mine.take(3)
    mine.take(12)
    assert theirs.held() == {3, 12}
    grow_old(leases, 3, 61.0)
    grow_old(leases, 12, 50.0)
    assert theirs.held() == {12}
    assert mine.is_mine(3)
    theirs.take(3)
    assert not mine.is_mine(3)
    assert theirs.held() == {3, 12}
    mine.release(3)
    assert theirs.is_mine(3), "only who has a lease gives it back"
    theirs.release(3)
    assert theirs.held() == {12}


def test_the_leases_of_a_dead_worker_end_at_once(leases: Path) -> None:
    dead, other = Leases(leases, "dead", 60.0), Leases(leases, "other", 60.0)
    dead.take(0)
    dead.take(1)
    other.take(2)
    other.end("dead")
    assert other.held() == {2}
    assert [path.name for path in leases.iterdir()] == ["2"]


def test_leases_are_kept_while_a_worker_works(leases: Path) -> None:
    mine = Leases(leases, "a", 0.2)
    mine.take(0)
    with mine.kept():
        mine.take(1)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            time.sleep(0.02)
        grow_old(leases, 0, 0.0)
        assert Leases(leases, "b", 10.0).held() == {0, 1}
    ages = [time.time() - (leases / name).stat().st_mtime for name in ("0", "1")]
    assert max(ages) < 0.9, "both were touched after they were taken"
    assert {path.name for path in leases.iterdir()} == {"0", "1"}
    assert {path.name for path in leases.parent.iterdir()} == {"leases", "now"}


def test_a_lease_that_another_has_taken_is_not_touched(leases: Path) -> None:
    mine, theirs = Leases(leases, "a", 0.1), Leases(leases, "b", 0.1)
    mine.take(0)
    theirs.take(0)
    grow_old(leases, 0, 100.0)
    with mine.kept():
        time.sleep(0.3)
    assert theirs.held() == set()
