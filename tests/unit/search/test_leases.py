from __future__ import annotations

import os
import time
from pathlib import Path

from holdfast.search.leases import Leases


def grow_old(folder: Path, number: int, seconds: float) -> None:
    path = folder / str(number)
    before = path.stat().st_mtime - seconds
    os.utime(path, (before, before))


def test_a_lease_is_over_when_nobody_touches_it(tmp_path: Path) -> None:
    mine, theirs = Leases(tmp_path, "a", 60.0), Leases(tmp_path, "b", 60.0)
    mine.take(3)
    mine.take(12)
    assert theirs.held() == {3, 12}
    grow_old(tmp_path, 3, 61.0)
    grow_old(tmp_path, 12, 50.0)
    assert theirs.held() == {12}
    assert mine.is_mine(3)
    assert theirs.was_left_behind(3)
    theirs.take(3)
    assert not mine.is_mine(3)
    assert theirs.held() == {3, 12}
    mine.release(3)
    assert theirs.is_mine(3), "only who has a lease gives it back"
    theirs.release(3)
    assert theirs.held() == {12}
    assert not theirs.was_left_behind(3)


def test_the_leases_of_a_dead_worker_end_at_once(tmp_path: Path) -> None:
    dead, other = Leases(tmp_path, "dead", 60.0), Leases(tmp_path, "other", 60.0)
    dead.take(0)
    dead.take(1)
    other.take(2)
    other.end("dead")
    assert other.held() == {2}
    assert other.was_left_behind(0)


def test_leases_are_kept_while_a_worker_works(tmp_path: Path) -> None:
    leases = Leases(tmp_path, "a", 0.2)
    leases.take(0)
    with leases.kept():
        leases.take(1)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            time.sleep(0.02)
        grow_old(tmp_path, 0, 0.0)
        assert Leases(tmp_path, "b", 10.0).held() == {0, 1}
    ages = [time.time() - (tmp_path / name).stat().st_mtime for name in ("0", "1")]
    assert max(ages) < 0.9, "both were touched after they were taken"
    assert not list(tmp_path.glob(".*")), "nothing else is left"


def test_a_lease_that_another_has_taken_is_not_touched(tmp_path: Path) -> None:
    mine, theirs = Leases(tmp_path, "a", 0.1), Leases(tmp_path, "b", 0.1)
    mine.take(0)
    theirs.take(0)
    grow_old(tmp_path, 0, 100.0)
    with mine.kept():
        time.sleep(0.3)
    assert theirs.held() == set()
