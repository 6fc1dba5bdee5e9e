"""Ensembles: one model of several. Every option is called `ensemble(experiment=experiment, record=record)`."""

from holdfast.ensembles.members import members
from holdfast.ensembles.seeds import seeds

__all__ = ["members", "seeds"]
