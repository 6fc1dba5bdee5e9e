"""SIGINT and SIGTERM as a flag that is read between steps, so that a run ends with a whole record."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from holdfast.core.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class SignalFlag:
    """The first signal that came, or 0; and who heeds signals."""

    number: int = 0
    handlers: dict[int, Any] = field(default_factory=lambda: {number: signal.getsignal(number) for number in SIGNALS})

    def take_over(self) -> None:
        """Set the handlers anew: on several devices Lightning's own waits for the others, which wait for this one."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.handlers.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """End the run when a signal has come."""
        if self.number:
            raise Interrupted(self.number)


@contextmanager
def caught_signals() -> Iterator[SignalFlag]:
    """Set a flag on SIGINT or SIGTERM instead of dying; the second signal kills at once.

    Outside of the main thread, where Python allows no handlers, the flag stays 0.
    """
    flag = SignalFlag()

    def handle(number: int, frame: FrameType | None) -> None:
        if flag.number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        flag.number = number

    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before, flag.handlers = flag.handlers, dict.fromkeys(SIGNALS, handle)
    flag.take_over()
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
