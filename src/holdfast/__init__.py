"""Holdfast: declarative experiments whose test rows stay locked until the one final evaluation."""

from holdfast.core.deferred_imports import defer_imports

__version__ = "0.1.0"

defer_imports()  # before anything of ours imports torch
