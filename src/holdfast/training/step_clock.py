"""The time that a training takes for start-up, first step, waiting for data, computing."""

from __future__ import annotations

import time

import torch


class StepClock:
    """Two readings of the clock per step; a device is waited for once per epoch."""

    def __init__(self) -> None:
        self._epoch_started = self._mark = time.perf_counter()
        self._first_started = self._first_step = self._data = self._training = 0.0
        self._num_steps = 0

    def start_epoch(self) -> None:
        """Begin an epoch."""
        self._epoch_started = self._mark = time.perf_counter()

    def start_step(self) -> None:
        """A batch has come."""
        now = time.perf_counter()
        self._data += now - self._mark
        if not self._num_steps:
            self._first_started = now

    def end_step(self) -> None:
        """The step is done (on a GPU: handed over)."""
        self._mark = time.perf_counter()
        self._num_steps += 1
        if self._num_steps == 1:
            self._first_step = self._mark - self._first_started

    def end_training(self, device: torch.device) -> None:
        """The train rows of this epoch are through."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self._training += time.perf_counter() - self._epoch_started

    def epoch_seconds(self) -> float:
        """The time since the epoch began, validation included."""
        return time.perf_counter() - self._epoch_started

    def timings(self) -> dict[str, float | None]:
        """Seconds: the first step, and means per step of waiting for data and of computing."""
        if not self._num_steps or not self._training:
            return {}
        data = self._data / self._num_steps
        compute = self._training / self._num_steps - data
        return {"first_step": self._first_step, "step_data": data, "step_compute": compute}
