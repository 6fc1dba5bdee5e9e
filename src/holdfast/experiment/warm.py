"""The process that a sweep's jobs are forked from: it imports all that a job needs, once for all of them.

It imports and runs nothing: a fork of a process that has computed with several threads, or has touched a GPU, can hang.
The heap is frozen at the end, so that a job's garbage collections neither look through it nor copy its pages.
"""

from __future__ import annotations

import gc
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start threads when it is imported

import torch.utils.tensorboard.writer  # noqa: F401

import holdfast.data.loading.datamodule
import holdfast.ensembles.members
import holdfast.experiment.experiment
import holdfast.training.fit  # noqa: F401

gc.collect()
gc.freeze()
