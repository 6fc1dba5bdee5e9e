"""Stages: what a command line does. Every option is called `stage(config, record, datamodule)`."""

from holdfast.training.fit import fit

__all__ = ["fit"]
