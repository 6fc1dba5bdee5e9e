"""The rate of each part of a network as a share of the optimizer's; a schedule scales all of them alike.

Every option is called `rates(model)` and gives the share of each parameter by name; those it leaves out have 1.
"""

from holdfast.rates.body_and_head import body_and_head
from holdfast.rates.layerwise import layerwise
from holdfast.rates.uniform import uniform

__all__ = [
    "body_and_head",
    "layerwise",
    "uniform",
]
