"""Weight averaging: the run's model is a mean of weights. Every option is called `averaging()` and gives a callback.

While an average is kept, val metrics are those of the averaged weights, the best checkpoint is chosen by them, and a
checkpoint's `state_dict` holds them; the weights that the optimizer moves lie beside it and are what a resumed run
goes on from. Before the average begins it is the model itself.

Lightning's own `StochasticWeightAveraging` never validates its average, and brings a schedule of its own: here the rate
is the schedule's business (`schedule=constant` or `cosine_restarts` go well with SWA).
"""

from holdfast.averaging.ema import ema
from holdfast.averaging.swa import swa

__all__ = [
    "ema",
    "swa",
]
