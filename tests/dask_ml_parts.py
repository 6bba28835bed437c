"""All use of dask-ml, in one place: it moves slowly, and some of it fails with newer Dask.

The package itself does not import it. What docs/howto/on-a-cluster.md says of it is tested in
test_dask_ml.py.
"""

from dask_ml.model_selection import GridSearchCV, train_test_split
from dask_ml.preprocessing import MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler
from dask_ml.wrappers import Incremental, ParallelPostFit

__all__ = [
    "GridSearchCV",
    "Incremental",
    "MinMaxScaler",
    "ParallelPostFit",
    "QuantileTransformer",
    "RobustScaler",
    "StandardScaler",
    "train_test_split",
]
