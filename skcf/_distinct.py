"""Distinct rows: several ways often lead to the same one, which need be asked about only once."""

import numpy as np

__all__ = ["distinct_rows"]


def distinct_rows(*columns):
    """Find the distinct ones of some rows.

    Parameters
    ----------
    *columns : ndarray, shape (n_rows,) or (n_rows, n_columns)
        Parts of the rows, without infinite values. Missing ones are equal.

    Returns
    -------
    first : ndarray of int, shape (n_distinct,)
        Position of the first of each; sorted by the rows, whatever order they came in.
    twin_of : ndarray of int, shape (n_rows,)
        For each row, the place of its like in `first`.
    """
    rows = np.column_stack(columns)
    keys = np.where(np.isnan(rows), np.inf, rows)  # NaN would equal nothing
    _, first, twin_of = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first, twin_of.ravel()
