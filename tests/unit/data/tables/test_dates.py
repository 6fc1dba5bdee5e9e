"""Dates as people write them, against Python's own datetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from holdfast.data.tables.dates import DAY_FIRST, MONTH_FIRST, PARTS, YEAR_FIRST, days_in, part_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "order", "moment"),
    [
        ("2024-02-29", YEAR_FIRST, datetime(2024, 2, 29)),
        ("2024/1/3 9:05", YEAR_FIRST, datetime(2024, 1, 3, 9, 5)),
        ("2024-01-31T10:00:00.25+02:00", YEAR_FIRST, datetime(2024, 1, 31, 8, 0, 0, 250_000)),
        ("2024-01-31 10:00Z", YEAR_FIRST, datetime(2024, 1, 31, 10)),
        ("2024-01-31T00:30-0530", YEAR_FIRST, datetime(2024, 1, 31, 6)),
        ("3 Jan 2024", YEAR_FIRST, datetime(2024, 1, 3)),
        ("3. Januar 2024 10:30", YEAR_FIRST, datetime(2024, 1, 3, 10, 30)),
        ("1er février 2024", YEAR_FIRST, datetime(2024, 2, 1)),
        ("31-Dec-2023", YEAR_FIRST, datetime(2023, 12, 31)),
        ("March 1st, 2024", YEAR_FIRST, datetime(2024, 3, 1)),
        ("01.02.2024", DAY_FIRST, datetime(2024, 2, 1)),
        ("1.2.24, 23:59:59", DAY_FIRST, datetime(2024, 2, 1, 23, 59, 59)),
        ("31-12-69", DAY_FIRST, datetime(1969, 12, 31)),
        ("1/31/2024 12:05 AM", MONTH_FIRST, datetime(2024, 1, 31, 0, 5)),
        ("1/31/2024 1:05:00 PM", MONTH_FIRST, datetime(2024, 1, 31, 13, 5)),
    ],
)
def test_dates_are_read(text: str, order: str, moment: datetime) -> None:
    expected = (moment.replace(tzinfo=UTC) - EPOCH) / timedelta(days=1)
    assert days_in(pa.array([text, None, "x"]), order)[0] == expected


@pytest.mark.parametrize(
    ("text", "order"),
    [("2023-02-29", YEAR_FIRST), ("2024-13-01", YEAR_FIRST), ("2024-01-01 24:00", YEAR_FIRST), ("1.2.2024", YEAR_FIRST)]
    + [("31/1/2024", MONTH_FIRST), ("1/31/2024", DAY_FIRST), ("1.31.2024", MONTH_FIRST), ("1.2.2024 x", DAY_FIRST)],
)
def test_what_is_no_date_is_none(text: str, order: str) -> None:
    assert np.isnan(days_in(pa.array([text, None]), order)).all()


def test_parts_of_days() -> None:
    moments = [EPOCH + timedelta(days=int(day), minutes=int(day) % 1440) for day in range(-800, 30_000, 37)]
    days = np.array([*((moment - EPOCH) / timedelta(days=1) for moment in moments), np.nan])
    expected = [(m.year, m.month, m.weekday(), m.timetuple().tm_yday, m.hour + m.minute / 60) for m in moments]
    parts = np.column_stack([part_of(days, part) for part in PARTS])
    np.testing.assert_allclose(parts[:-1, 1:], expected, rtol=0, atol=1e-9)
    assert np.isnan(parts[-1]).all()
