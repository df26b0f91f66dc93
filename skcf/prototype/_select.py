"""Which of the counterfactuals of several prototypes is kept."""

import numpy as np

__all__ = ["SELECTIONS", "choose"]

SELECTIONS = ("balanced", "cheapest", "plausible")


def choose(of, elastic_net, remoteness, select, n_rows):
    """Choose one candidate for each row.

    Parameters
    ----------
    of : ndarray of int, shape (n_found,)
        Which row each candidate is for.
    elastic_net : ndarray of float64, shape (n_found,)
        What it costs.
    remoteness : ndarray of float64, shape (n_found,)
        How far it is from real rows of its class.
    select : {"balanced", "cheapest", "plausible"}
        By the first, the second, or the sum of both as shares of the row's best.
    n_rows : int
        Number of rows.

    Returns
    -------
    ndarray of int, shape (n_rows,)
        Positions of candidates, -1 for rows that have none; the first of equals.
    """
    if np.bincount(of, minlength=n_rows).max(initial=0) <= 1:
        chosen = np.full(n_rows, -1)
        chosen[of] = np.arange(len(of))
        return chosen
    value = {"cheapest": elastic_net, "plausible": remoteness}.get(select)
    if value is None:
        value = _over_least(of, elastic_net, n_rows) + _over_least(of, remoteness, n_rows)
    order = np.lexsort((value, of))
    rows, first = np.unique(of[order], return_index=True)
    chosen = np.full(n_rows, -1)
    chosen[rows] = order[first]
    return chosen


def _over_least(of, value, n_rows):
    """Values over the least of the same row; 1 for the least, however small it is."""
    least = np.full(n_rows, np.inf)
    np.minimum.at(least, of, value)
    least = least[of]
    return np.divide(value, least, out=np.where(value > 0, np.inf, 1.0), where=least > 0)
