from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.vault import known_rows, lifecycle, registry
from holdfast.vault.rows.identity import row_digests

from .conftest import Make, seal


def test_what_a_vault_sees(home: Path, rows: Any, make_request: Make) -> None:
    x, y = rows
    vault = seal(make_request(x, y))
    order = np.random.default_rng(0).permutation(100)
    for chosen, share in ((order, 1.0), (order[:70], 0.7), (order[:10], 0.1)):
        (seen,) = known_rows.look_up(make_request(x[chosen], y[chosen]).forms)
        assert seen.record["vault"] == vault
        assert seen.rows.tolist() == seen.certain.tolist() == (chosen < 20).tolist()
        assert seen.share == share
        assert seen.holds_most, "a part of the rows goes on, too"
        assert seen.has_same_target
    (stranger,) = known_rows.look_up(make_request(x + 1, y).forms)
    assert not stranger.rows.any()
    assert (stranger.share, stranger.has_same_target) == (0.0, None)


def test_a_row_is_known_in_any_form_that_it_was_sealed_in(home: Path, rows: Any, make_request: Make) -> None:
    """Such as the bytes of an image: another decoder gives other pixels. Targets are asked of the content alone."""
    x, y = rows
    request = make_request(x, y)
    other = row_digests(np.arange(100.0)[:, None], kind="table")
    seal(replace(request, forms=replace(request.forms, others=(other,))))
    changed = x.copy()
    changed[:15] += 1
    forms = make_request(changed, y).forms
    (seen,) = known_rows.look_up(forms)
    assert seen.certain.tolist() == [15 <= row < 20 for row in range(100)]
    (seen,) = known_rows.look_up(replace(forms, others=(other,)))
    assert seen.certain.tolist() == [row < 20 for row in range(100)]
    assert seen.has_same_target
    (seen,) = known_rows.look_up(replace(make_request(x + 1, y).forms, others=(other,)))
    assert (int(seen.certain.sum()), seen.has_same_target) == (20, None)


def test_classes_are_compared_by_their_names(home: Path, rows: Any, make_request: Make) -> None:
    x, y = rows
    seal(make_request(x, y))
    forms = make_request(x, y).forms
    for classes, numbers, is_same in (
        (("yes", "no"), 1 - y, True),
        (("maybe", "no", "yes"), y + 1, True),
        (("yes", "no"), y, False),
        (("a", "b"), y, False),
        ((), y.astype(np.float32), False),
    ):
        (seen,) = known_rows.look_up(replace(forms, y=numbers, class_names=classes))
        assert seen.has_same_target == is_same, classes


def test_rows_are_counted_by_vault(home: Path, rows: Any, make_request: Make) -> None:
    first = seal(make_request(*rows))
    second = seal(make_request(rows[0] + 1, rows[1], slice(5)))
    digests = make_request(*rows).forms.digests
    assert known_rows.count_sealed([digests]) == {first: 20}
    assert known_rows.count_sealed([digests[15:]]) == {first: 5}
    assert known_rows.count_sealed([digests[20:]]) == {}
    assert known_rows.count_sealed([make_request(rows[0] + 1, rows[1]).forms.digests]) == {second: 5}


def test_only_vaults_in_force_are_asked(home: Path, rows: Any, make_request: Make) -> None:
    request = make_request(*rows)
    vault = seal(request)
    lifecycle.end(vault, "supersede", "the split was wrong")
    assert known_rows.look_up(request.forms) == []
    assert known_rows.count_sealed([request.forms.digests]) == {}
    everything, development = np.ones(100, bool), np.arange(100) >= 20
    assert known_rows.ended_vaults(request.forms, everything) == [vault]
    assert known_rows.ended_vaults(request.forms, development) == []


def test_a_vault_is_frozen_once_anything_was(home: Path, rows: Any, make_request: Make) -> None:
    vault = seal(make_request(*rows))
    assert not known_rows.is_frozen(vault)
    registry.append(vault, "freeze", {}, selection="5" * 64)
    registry.append(vault, "withdraw", {}, selection="5" * 64)
    assert known_rows.is_frozen(vault)
