from __future__ import annotations

import io
import random

import numpy as np
import torch

from holdfast.core.seeding import random_states, restore_random_states, seed_everything


def draws() -> list[float]:
    """One number from each global generator, and of each kind that keeps a state beside it."""
    numpy = [np.random.random(), np.random.normal()]  # noqa: NPY002
    return [random.random(), random.gauss(0, 1), *map(float, numpy), torch.rand(1).item()]


def test_the_same_seed_draws_the_same() -> None:
    seed_everything(3)
    first = draws()
    seed_everything(3)
    assert draws() == first
    seed_everything(4)
    assert draws() != first


def test_states_survive_a_file_of_plain_values() -> None:
    draws()
    file = io.BytesIO()
    torch.save(random_states(), file)
    first = draws()
    file.seek(0)
    restore_random_states(torch.load(file, weights_only=True))
    assert draws() == first
