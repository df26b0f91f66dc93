"""The only place that imports scikit-learn's underscore names."""

from sklearn.base import _fit_context
from sklearn.utils._chunking import get_chunk_n_rows
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils._set_output import _get_output_config as get_output_config
from sklearn.utils.validation import _check_y as check_y

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_y",
    "fit_context",
    "get_chunk_n_rows",
    "get_output_config",
    "validate_params",
]


def fit_context(method):
    """Validate the parameters before ``fit`` runs; nested estimators need not be fitted."""
    return _fit_context(prefer_skip_nested_validation=False)(method)
