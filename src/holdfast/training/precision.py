"""Number formats (`trainer.precision`): what a device has, and what keeps all its digits in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from holdfast.core.errors import InputError
from holdfast.core.tasks import task_of

HALF = (torch.float16, torch.bfloat16)
# other names of Lightning's for the same
SHORT = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
HAS = {
    "cpu": ("32-true", "64-true", "bf16-mixed", "bf16-true"),
    "mps": ("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true"),
}


def check_precision(trainer: Mapping[str, Any]) -> None:
    """Refuse a precision that the device lacks.

    Raises:
        InputError: With those that it has.
    """
    device, precision = device_of(str(trainer.get("accelerator") or "auto")), precision_of(trainer)
    is_known = precision in {name for names in HAS.values() for name in names}  # others are judged by Lightning
    if device in HAS and is_known and precision not in HAS[device]:
        problem = f"is '{precision}', which {'a CPU' if device == 'cpu' else 'an Apple GPU'} lacks"
        raise InputError("trainer.precision", problem, ", ".join(HAS[device]))
    if device == "cuda" and precision.startswith("bf16") and not torch.cuda.is_bf16_supported():
        problem = f"is '{precision}', which {torch.cuda.get_device_name()} lacks"
        raise InputError("trainer.precision", problem, "32-true, 64-true, 16-mixed, 16-true")


def check_half_rows(trainer: Mapping[str, Any], kind: str, task: str) -> None:
    """Refuse half-precision weights where rows or targets are numbers that half precision would round.

    Raises:
        InputError: With the precision to take instead.
    """
    precision = precision_of(trainer)
    if precision in ("16-true", "bf16-true") and (kind != "image" or task_of(task).is_values):
        problem = f"is '{precision}', which rounds {'targets' if kind == 'image' else 'the rows'} to three digits"
        raise InputError("trainer.precision", problem, next=f"trainer.precision={precision.replace('true', 'mixed')}")


def precision_of(trainer: Mapping[str, Any]) -> str:
    """The precision of a trainer option, by Lightning's long name."""
    given = str(trainer.get("precision") or "32-true")
    return SHORT.get(given, given)


def device_of(accelerator: str) -> str:
    """The kind of device that an accelerator's name comes to here: cpu, cuda, mps, or the name itself."""
    if accelerator not in ("auto", "gpu"):
        return accelerator
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
