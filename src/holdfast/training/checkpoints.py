"""Checkpoint files: whole or absent, last and best, loaded without running code from them. Imports no Lightning."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import torch

from holdfast.core.errors import InputError, VaultRefused
from holdfast.core.files import sha256_hex, write_atomic

FOLDER = "checkpoints"
LAST = "last.ckpt"
STATE = "holdfast"
IDENTITY = ("name", "vault", "rows", "val_sha256")  # of a record's `data`: which rows a checkpoint comes from


def best_name(epoch: int, monitor: str, value: float) -> str:
    """The file name of the best checkpoint, such as best-epoch03-val_accuracy0.9731.ckpt."""
    metric = re.sub(r"\W+", "_", monitor)[:40]  # a target may be called anything
    return f"best-epoch{epoch:02d}-{metric}{value:.4f}.ckpt"


def place_copy(source: Path, target: Path, *, is_durable: bool = True) -> None:
    """Copy a checkpoint, whole or not at all; no hard link, so that damage to one file leaves the other."""
    write_atomic(target, source.read_bytes(), is_durable=is_durable)


def remove_other_bests(folder: Path, keep: str | None) -> None:
    """Remove best checkpoints that are no longer the best, and what a killed writer left behind."""
    for path in [*folder.glob("best-*.ckpt"), *folder.glob(".*.tmp")]:
        if path.name != keep:
            path.unlink(missing_ok=True)


def read_checkpoint(path: Path, sha256: str | None = None) -> dict[str, Any]:
    """Load a checkpoint of ours on the CPU, tensors and plain values only; `sha256` is that of the very bytes.

    Raises:
        InputError: The file is missing, damaged, not ours, or holds more than tensors and plain values.
        VaultRefused: Its content is another one.
    """
    try:
        source = path if sha256 is None else io.BytesIO(_bytes_of(path, sha256))
        content = torch.load(source, map_location="cpu", weights_only=True)
    except VaultRefused:
        raise
    except FileNotFoundError:
        hint = "restore it, or train the run again"
        raise InputError(str(path), "there is no such checkpoint", next=hint) from None
    except Exception as error:  # torch raises whatever its readers do
        problem = f"is damaged, or holds more than tensors and plain values ({type(error).__name__})"
        raise InputError(str(path), problem, next="take another checkpoint, or train the run again") from None
    if not isinstance(content, dict) or STATE not in content:
        raise InputError(str(path), "is no checkpoint of a Holdfast run")
    return content


def _bytes_of(path: Path, sha256: str) -> bytes:
    content = path.read_bytes()
    if sha256_hex(content) != sha256:
        raise VaultRefused(str(path), "was changed since the freeze")
    return content


def newest_readable(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The checkpoint to go on from: the last one, or the best where the last cannot be read.

    Raises:
        InputError: There is none that can be read; told for the last one.
    """
    reasons: list[InputError] = []
    for path in [folder / LAST, *sorted(folder.glob("best-*.ckpt"), reverse=True)]:
        try:
            return path, read_checkpoint(path)
        except InputError as error:
            reasons.append(error)
    raise reasons[0]
