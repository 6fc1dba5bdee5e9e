"""Sources of rows: what `data.source` may name. Every option is called `source()` and gives `holdfast.data.rows.Rows`.

A function of your own may give more than that: `holdfast.data.sources.call.as_rows` lists it all.
"""

from holdfast.data.sources.arrays import load as arrays
from holdfast.data.sources.breast_cancer import load as breast_cancer
from holdfast.data.sources.custom import load as custom
from holdfast.data.sources.diabetes import load as diabetes
from holdfast.data.sources.digits import load as digits
from holdfast.data.sources.hub import load as hub
from holdfast.data.sources.image_folder import load as image_folder
from holdfast.data.sources.memory import load_arrays as memory_arrays
from holdfast.data.sources.memory import load_table as memory
from holdfast.data.sources.mnist import load as mnist
from holdfast.data.sources.table import load as table

__all__ = [
    "arrays",
    "breast_cancer",
    "custom",
    "diabetes",
    "digits",
    "hub",
    "image_folder",
    "memory",
    "memory_arrays",
    "mnist",
    "table",
]
