"""Ensembles: one model of several. Every option is called `ensemble(config=config, record=record)`."""

from holdfast.ensembles.members import members

__all__ = ["members"]
