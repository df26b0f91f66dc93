"""The only place that imports scikit-learn's underscore names."""

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._chunking import get_chunk_n_rows
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils._set_output import _get_output_config as get_output_config
from sklearn.utils.validation import _check_sample_weight
from sklearn.utils.validation import _check_y as check_y

__all__ = [
    "HasMethods",
    "Interval",
    "StrOptions",
    "check_y",
    "checked_sample_weight",
    "fit_context",
    "get_chunk_n_rows",
    "get_output_config",
    "validate_params",
]


def fit_context(method):
    """Validate the parameters before ``fit`` runs; nested estimators need not be fitted."""
    return _fit_context(prefer_skip_nested_validation=False)(method)


def checked_sample_weight(sample_weight, X):
    """Check sample weights that mean repetition: one a row, none negative, not all zero.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
        The weights; a number is that of every row.
    X : array-like or DataFrame of shape (n_samples, n_columns)
        The rows.

    Returns
    -------
    ndarray of float64, shape (n_samples,), or None
        None where none are given.

    Raises
    ------
    ValueError
        In scikit-learn's words.
    """
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():  # scikit-learn has the check since 1.9; these are its words
        raise ValueError("Sample weights must contain at least one non-zero number.")
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):  # it lets a number pass that is not finite
        raise ValueError(f"Sample weights must be finite and have a finite sum, got {total}.")
    return weights
