"""The progress of a training: a bar with the time left on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from holdfast.core.figures import figure

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

REFRESHES_PER_S = 4


class Progress:
    """The display of one training; it looks at `position` by itself, so a step does nothing for it."""

    def __init__(self, num_epochs: int, shown: Sequence[str], position: Callable[[], tuple[int, float]]) -> None:
        """Prepare the display of metrics `shown`; `position` gives (epochs done, share of the current one)."""
        self._num_epochs = num_epochs
        self._shown = shown
        self._position = position
        self._live: Live | None = None
        self._started = time.monotonic()
        self._first_done = 0.0

    def start(self) -> None:
        """Begin; the time left is estimated from here."""
        self._started = time.monotonic()
        done, share = self._position()
        self._first_done = done + share
        if is_terminal():
            from rich.live import Live

            self._live = Live(get_renderable=self._bar, refresh_per_second=REFRESHES_PER_S, transient=True)
            self._live.start()

    def show_epoch(self, entry: Mapping[str, Any], *, is_best: bool) -> None:
        """Write the line of an epoch that ended."""
        line = epoch_line(entry, self._shown, self._num_epochs, is_best=is_best)
        if self._live is None:
            print(line, flush=True)
        else:
            self._live.console.print(line, markup=False, highlight=False)

    def stop(self) -> None:
        """Take the bar away; the lines stay."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _bar(self) -> RenderableType:
        from rich.columns import Columns
        from rich.progress_bar import ProgressBar

        done, share = self._position()
        total = min(done + share, float(self._num_epochs))
        elapsed = time.monotonic() - self._started
        fresh = total - self._first_done
        seconds = round(elapsed / fresh * (self._num_epochs - total)) if fresh > 0 else None
        left = "starting" if seconds is None else f"{timedelta(seconds=seconds)} left"
        bar = ProgressBar(total=self._num_epochs, completed=total, width=40)
        epoch = min(done + 1, self._num_epochs)
        return Columns([f"epoch {epoch}/{self._num_epochs}", bar, f"{share:4.0%}", left])


def is_terminal() -> bool:
    """Tell whether standard output is a terminal that can redraw a line."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def epoch_line(entry: Mapping[str, Any], shown: Sequence[str], num_epochs: int, *, is_best: bool) -> str:
    """One epoch in one line, such as "epoch  3/30  train/loss 0.0871  val/accuracy 0.9781  1.2 s  best"."""
    width = len(str(num_epochs))
    parts = [f"epoch {entry['epoch']:>{width}}/{num_epochs}"]
    parts += [f"{name} {figure(entry[name])}" for name in shown if name in entry]
    parts.append(f"{entry['seconds']:.1f} s")
    return "  ".join([*parts, *(["best"] if is_best else [])])
