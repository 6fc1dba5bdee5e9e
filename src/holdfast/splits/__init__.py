"""Splits: which rows are test and which are val. Every option is a `holdfast.data.splits.Split`, which says more."""

from holdfast.data.splits import Auto, Group, Holdout, KFold, Predefined, Time

__all__ = ["Auto", "Group", "Holdout", "KFold", "Predefined", "Time"]
