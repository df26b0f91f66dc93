"""The cheapest targets of each source at posted prices: how a plan is extended to new rows."""

import numpy as np
from joblib import Parallel, delayed

from skcf._progress import progress
from skcf.transport._pricing import as_slice, tasks_of, tiles_of

__all__ = ["cheapest"]


def cheapest(cost, prices, k=1, *, n_jobs=None, verbose=0):
    """Find the targets of least full price, ``C[i, j] + prices[j]``, exactly.

    Parameters
    ----------
    cost : PairCost
        What pairs cost.
    prices : ndarray of float64, shape (n,)
        Prices posted at the targets; infinite where none is offered.
    k : int, default=1
        Number of targets for each source.
    n_jobs : int, default=None
        Number of workers; as in joblib.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    index : ndarray of int, shape (m, k)
        Targets, cheapest first, the first one in a tie; -1 where there are no more. A row of it
        depends on that source alone, not on the others.
    full : ndarray of float64, shape (m, k)
        Their full prices; infinite where there are no more.
    """
    index = np.full((cost.shape[0], k), -1)
    full = np.full((cost.shape[0], k), np.inf)
    offered = np.flatnonzero(np.isfinite(prices))
    everything = len(offered) == len(prices)
    here = cost if everything else cost.take(slice(0, cost.shape[0]), offered)
    own_prices = prices if everything else prices[offered]
    tasks = tasks_of(here, 32 * k)
    found = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(_cheapest_chunk)(
            here.take(as_slice(rows), as_slice(columns)), own_prices[columns], min(k, len(columns))
        )
        for rows, columns in tasks
    )
    shown = progress(found, verbose, len(tasks), "reading off")
    for (rows, columns), (best, value) in zip(tasks, shown, strict=True):
        best = np.where(best >= 0, offered[columns[np.maximum(best, 0)]], -1)
        index[rows, : best.shape[1]], full[rows, : best.shape[1]] = best, value
    return index, full


def _cheapest_chunk(cost, prices, k):
    """The same for some sources and a pool of targets."""
    m = cost.shape[0]
    nothing = np.zeros(m)
    slack = 2 * cost.rounding(nothing, prices)
    tile = cost.reduced(nothing, prices)
    limit = np.full(m, np.inf)
    picked = []
    for band, part in tiles_of(cost.shape):
        full = tile(band, part)
        np.minimum(limit[band], _kth(full, k) + slack, out=limit[band])
        finite = np.minimum(limit[band, None], np.finfo(full.dtype).max)  # never what is forbidden
        i, j = np.divmod(np.flatnonzero(full <= finite), full.shape[1])
        picked.append((i + band.start, j + part.start))
    rows, columns = (np.concatenate(arrays) for arrays in zip(*picked, strict=True))
    value = cost.pairs(rows, columns) + prices[columns]
    kept = np.isfinite(value)
    return _ranked(rows[kept], columns[kept], value[kept], m, k)


def _kth(full, k):
    """The k-th smallest value of each row; infinite where a tile has fewer."""
    if k == 1:
        return full.min(axis=1)
    if k > full.shape[1]:
        return np.full(len(full), np.inf)
    return np.partition(full, k - 1, axis=1)[:, k - 1]


def _ranked(rows, columns, value, m, k):
    """The k best of each row as arrays."""
    best, least = np.full((m, k), -1), np.full((m, k), np.inf)
    order = np.lexsort((columns, value, rows))
    rows, columns, value = rows[order], columns[order], value[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    first = rank < k
    best[rows[first], rank[first]] = columns[first]
    least[rows[first], rank[first]] = value[first]
    return best, least
