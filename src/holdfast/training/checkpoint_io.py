"""Checkpoints that Lightning writes without leaving half a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from holdfast.core.files import write_atomic


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's file format, written so that a crash leaves the old file or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path`, durably."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(Path(path), content.getvalue())
