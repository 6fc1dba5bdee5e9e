from __future__ import annotations

import re

import pytest

from holdfast.reporting import charts


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, pair.split(","))) for pair in points.split()]  # type: ignore[misc]
        for points in re.findall(r'<polyline[^>]*points="([^"]+)"', svg)
    ]


def test_curves_are_where_their_values_are() -> None:
    svg = charts.lines([("train", [(1, 4.0), (2, 2.0), (3, 0.0)]), ("val", [(1, 4.0), (3, 4.0)])], label="loss", mark=2)
    train, val = points_of(svg)
    assert train[1][1] == pytest.approx((train[0][1] + train[2][1]) / 2)
    assert train[0] == val[0]
    assert train[2][1] > train[0][1]  # down is less
    assert f'class="mark" x1="{train[1][0]:.1f}"' in svg
    assert '<span class="s1">val</span>' in svg


def test_a_logarithmic_axis() -> None:
    svg = charts.lines([("loss", [(1, 1.0), (2, 0.1), (3, 0.01), (4, 0.0), (5, float("nan"))])], label="", is_log=True)
    ((first, second, third),) = points_of(svg)
    assert second[1] - first[1] == pytest.approx(third[1] - second[1], abs=0.2)
    for tick in (">1<", ">0.1<", ">0.01<"):
        assert tick in svg


@pytest.mark.parametrize("values", [[], [float("nan")], [3.0], [3.0, 3.0], [0.0, 0.0], [-1e300, 1e300]])
def test_odd_values_are_drawn_or_left_out(values: list[float]) -> None:
    svg = charts.lines([("one", list(enumerate(values)))], label="<x>")
    assert bool(svg) == any(value == value for value in values)  # noqa: PLR0124 - NaN
    assert "nan" not in svg
    assert "<x>" not in svg


def test_histograms() -> None:
    svg = charts.histogram({"counts": [1, 0, 4], "low": -1.5, "high": 2}, label="x")
    heights = [float(number) for number in re.findall(r'height="([0-9.]+)"><title>', svg)]
    assert heights[1] == 0
    assert heights[2] == pytest.approx(4 * heights[0], rel=0.01)
    assert ">-1.5<" in svg
    assert charts.histogram(None, label="x") == ""


def test_class_bars_are_shares_of_each_part() -> None:
    classes = [{"name": "<a>", "train": 30, "val": 5}, {"name": "b", "train": 10, "val": 5}]
    svg = charts.class_bars(classes)
    wide = [float(number) for number in re.findall(r'width="([0-9.]+)" height="9"', svg)]
    assert wide[0] == pytest.approx(3 * wide[2], rel=0.01)
    assert wide[1] == wide[3]
    assert "30 / 5  (75.0 %)" in svg
    assert "&lt;a&gt;" in svg
    assert "3 more classes" in charts.class_bars(classes * 2, limit=1)


def test_right_predictions_lie_on_the_diagonal() -> None:
    svg = charts.scatter([(0, 0), (5, 5), (10, 2)], label="", names=("value", "prediction"))
    placed = [tuple(map(float, pair)) for pair in re.findall(r'cx="([0-9.]+)" cy="([0-9.]+)"', svg)]
    (x1, y1), (x2, y2), (x3, y3) = placed
    assert x2 - x1 == pytest.approx(y1 - y2, abs=0.2)
    assert y3 > y2
    assert x3 > x2


def test_ticks_have_room_beside_their_axis() -> None:
    svg = charts.lines([("a", [(1, 20000), (2, 80000)])], label="") + charts.scatter(
        [(0, 0), (4e9, 4e9)], label="", names=("value", "prediction")
    )
    ticks = re.findall(r'class="tick"[^>]*>([0-9e+.]+)<', svg)
    assert {"40000", "2e+09"} <= set(ticks)
    assert max(map(len, ticks)) <= 6


def test_ticks_close_together_are_told_apart() -> None:
    svg = charts.lines([("auroc", [(1, 0.99975), (2, 0.99982)])], label="")
    ticks = re.findall(r'class="tick"[^>]*>(0[0-9.]+)<', svg)
    assert len(ticks) > 2
    assert len(set(ticks)) == len(ticks)


@pytest.mark.parametrize(("low", "high"), [(0.937, 0.946), (0.0, 1.0), (-3.0, 250.0), (1e-6, 1.3e-6)])
def test_ticks_are_few_and_round(low: float, high: float) -> None:
    ticks = charts.ticks(low, high)
    assert 2 <= len(ticks) <= 6
    assert all(low <= tick <= high for tick in ticks)


def test_an_interval_without_width_is_drawn() -> None:
    entry = {"value": 1.0, "low": 1.0, "high": 1.0, "method": "none"}
    assert "circle" in charts.intervals([("a", entry)], is_share=False, label="x")
    assert charts.intervals([("a", {"value": None, "low": 0, "high": 1})], is_share=True, label="x") == ""


def test_what_is_written_beside_an_interval_has_room() -> None:
    entry = {"value": 12345678.0, "low": 11000000.0, "high": 14000000.0, "method": "none"}
    drawn = charts.intervals([("a", entry)], is_share=False, label="x")
    match = re.search(r'class="told" x="([0-9.]+)"[^>]*>([^<]*)<', drawn)
    assert match
    assert match[2] == "12345678 [11000000, 14000000]"
    assert float(match[1]) + 7 * len(match[2]) <= charts.WIDTH
