"""Rows that are chosen to be shown."""

import numpy as np

__all__ = ["checked_rows"]


def checked_rows(rows, n_rows):
    """Positions of rows, all of them there, counted from the start.

    Raises
    ------
    ValueError
        If they are no positions, or not there.
    """
    positions = np.atleast_1d(np.asarray(rows))
    if positions.ndim != 1 or positions.dtype.kind not in "iu" or not len(positions):
        raise ValueError(
            f"rows must be the position of a row, or a list of such positions; got {rows!r}."
        )
    beyond = positions[(positions < -n_rows) | (positions >= n_rows)]
    if len(beyond):
        raise ValueError(f"rows names row {beyond[0]}, but X has {n_rows} rows.")
    return positions % n_rows
