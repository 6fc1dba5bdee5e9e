from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.core import cores


@pytest.mark.parametrize(
    ("given", "threads"), [(None, 4), ("", 4), ("1", 1), ("3", 3), ("16", 4), ("0", 1), ("2,2", 4), ("many", 4)]
)
def test_threads_are_as_many_as_the_user_allows(
    given: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "num_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert cores.threads_allowed() == threads


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("", 8)])
def test_a_containers_quota_counts(quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores.num_cores() == expected


@pytest.mark.parametrize(
    ("given", "kept"), [({}, "30000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "passive"}, None)]
)
def test_the_users_way_of_waiting_stays(
    given: dict[str, str], kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores.os, "environ", dict(given))
    cores.set_spin_count()
    assert cores.os.environ.get("GOMP_SPINCOUNT") == kept
