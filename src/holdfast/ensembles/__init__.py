"""Ensembles: one model of several. Every option is an `ensembles.make.Ensemble`, which says more."""

from holdfast.ensembles.folds import Folds
from holdfast.ensembles.seeds import Seeds
from holdfast.ensembles.snapshots import Snapshots
from holdfast.ensembles.top_k import TopK

__all__ = ["Folds", "Seeds", "Snapshots", "TopK"]
