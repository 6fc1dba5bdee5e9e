"""Seeds and the states of all random generators (Python, NumPy, torch on every device).

torch is imported when a function is called: composing a config stays free of it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

# Seeds, threads and the guard over rows belong to the process: one run trains at a time.
_TRAINING = threading.RLock()


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices) with one number in 0 .. 2**32 - 1."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that draw from the global state are seeded too
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # torch would keep a traceback of each call for devices that are not there
        torch.default_generator.manual_seed(seed)


@contextmanager
def kept_random_state(*, with_devices: bool = False) -> Iterator[None]:
    """Go back to the random state of the process when the body ends; arguments as of `random_states`."""
    states = random_states(with_devices=with_devices)
    try:
        yield
    finally:
        restore_random_states(states)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for other runs of this process, and leave its random state as it was."""
    with _TRAINING, kept_random_state():
        yield


def random_states(*, with_devices: bool = True) -> dict[str, Any]:
    """The states of all generators as plain numbers and tensors, so that they load with `weights_only=True`.

    Without `with_devices` CUDA is left out, which is initialised by being asked.
    """
    import torch

    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": {"version": version, "internal": torch.tensor(internal), "gauss": gauss},
        "numpy": {
            "name": str(name),
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if with_devices and torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Go back to `states` of `random_states`; CUDA states only where the number of devices is the same."""
    import torch

    python, numpy = states["python"], states["numpy"]
    random.setstate((python["version"], tuple(python["internal"].tolist()), python["gauss"]))
    keys = numpy["keys"].cpu().numpy().astype(np.uint32)
    np.random.set_state((numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"]))  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
