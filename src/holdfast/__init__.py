"""Holdfast: declarative experiments whose test rows stay locked until the one final evaluation."""

__version__ = "0.1.0"
