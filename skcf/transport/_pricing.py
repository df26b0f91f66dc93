"""One pass over all pairs: exact least prices, and the pairs that a plan could want.

Pairs are worked on in tiles that stay in the processor's cache and are never stored. The
tiles depend on the shape alone, so the answer is the same on any number of workers.
"""

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.utils import gen_batches

from skcf._compat import get_chunk_n_rows
from skcf._progress import progress

__all__ = ["Candidates", "as_slice", "every_pair", "price", "tasks_of", "tiles_of"]

TILE_ROWS, TILE_COLUMNS = 256, 4096
CHUNK_ROWS = 4096
SCARCE_WINDOW = 0.25  # part of the window that a target looks through which nobody wants


@dataclass
class Candidates:
    """Pairs of small reduced cost, by source and then target.

    Attributes
    ----------
    rows, columns : ndarray of int, shape (n_pairs,)
        The pairs, sorted.
    cost : ndarray of float64, shape (n_pairs,)
        Their costs, exact.
    """

    rows: np.ndarray
    columns: np.ndarray
    cost: np.ndarray

    def __len__(self):
        return len(self.rows)

    def least(self, prices):
        """Least full price of each source, each of which has a pair."""
        starts = np.flatnonzero(np.diff(self.rows, prepend=-1))
        return np.minimum.reduceat(self.cost + prices[self.columns], starts)


def every_pair(cost):
    """All pairs that are allowed."""
    rows, columns = np.divmod(np.arange(cost.shape[0] * cost.shape[1]), cost.shape[1])
    exact = cost.pairs(rows, columns)
    allowed = np.isfinite(exact)
    rows, columns = rows[allowed].astype(np.int32), columns[allowed].astype(np.int32)
    return Candidates(rows, columns, exact[allowed])


def price(cost, prices, levels, window, *, most=64, for_target=None, n_jobs=None, verbose=0):
    """Find all pairs whose reduced cost is within a window of the best of their source.

    Parameters
    ----------
    cost : PairCost
        What pairs cost.
    prices : ndarray of float64, shape (n,)
        Prices g posted at the targets.
    levels : ndarray of float64, shape (m,), or None
        At least the least full price of each source, ``min_j C[i, j] + g[j]``. The tighter,
        the fewer pairs are picked. None: it is found first, in a pass of its own.
    window : float
        How far above its level a pair may be. The rounding of the search is allowed for.
    most : int, default=64
        Where the window holds many more pairs of a source than that, as many of its best are
        kept, of each tile that is looked through. All that may be its best are kept.
    for_target : ndarray of int, shape (n,), default=None
        How many of the best sources of each target are kept too, however poor for them.
    n_jobs : int, default=None
        Number of workers; joblib's backends may spread them over machines.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    Candidates
        Holds the best pair of each source that has an allowed one, so that
        ``least(prices)`` is exact.
    """
    tasks = tasks_of(cost, 32 * most)
    found = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
        delayed(_price_chunk)(
            cost.take(as_slice(rows), as_slice(columns)),
            prices[columns],
            None if levels is None else levels[rows],
            window,
            most,
            None if for_target is None else for_target[columns],
        )
        for rows, columns in tasks
    )
    parts = [
        (rows[i].astype(np.int32), columns[j].astype(np.int32), c, r)
        for (rows, columns), (i, j, c, r) in zip(
            tasks, progress(found, verbose, len(tasks), "pricing"), strict=True
        )
    ]
    return _collected(parts, window, cost.shape[1], for_target)


def tasks_of(cost, bytes_a_row):
    """Split all pairs that may be allowed into chunks of rows, each with its pool of targets."""
    tasks = []
    for rows, columns in cost.pools():
        rows, columns = _positions(rows, cost.shape[0]), _positions(columns, cost.shape[1])
        if len(rows) and len(columns):
            need = bytes_a_row + 32 * (len(columns) // TILE_ROWS)
            size = get_chunk_n_rows(need, max_n_rows=CHUNK_ROWS)
            tasks += [(rows[batch], columns) for batch in gen_batches(len(rows), size)]
    return tasks


def _positions(selection, length):
    return np.arange(length)[selection] if isinstance(selection, slice) else selection


def as_slice(positions):
    """Consecutive positions as a slice, which copies nothing."""
    first, last = int(positions[0]), int(positions[-1])
    return slice(first, last + 1) if last - first + 1 == len(positions) else positions


def _price_chunk(cost, prices, levels, window, most, for_target):
    """Price some sources against a pool of targets, tile by tile: exact pairs near the least."""
    unknown = levels is None
    if unknown:
        levels = _least(cost, prices)
    slack = 2 * cost.rounding(levels, prices)
    tile = cost.reduced(levels, prices)
    best = np.full(cost.shape[1], np.inf)  # of each target, so far
    picked = []
    for band, part in tiles_of(cost.shape):
        reduced = tile(band, part)
        limit = window + slack
        if for_target is not None:
            limit = _limit(reduced, best[part], limit)
        picked_here = _without_excess(reduced, np.flatnonzero(reduced <= limit), slack, most)
        i, j = np.divmod(picked_here, reduced.shape[1])
        picked.append((i + band.start, j + part.start))
    rows, columns = (np.concatenate(arrays) for arrays in zip(*picked, strict=True))
    exact = cost.pairs(rows, columns)
    allowed = np.isfinite(exact)
    rows, columns, exact = rows[allowed], columns[allowed], exact[allowed]
    full = exact + prices[columns]
    if unknown:  # so far they were known to rounding
        levels = np.full(cost.shape[0], np.inf)
        np.minimum.at(levels, rows, full)
    return rows, columns, exact, full - levels[rows]


def tiles_of(shape):
    """Slices of rows and columns that cover all pairs; flatter where there are few rows."""
    height = int(np.clip(shape[0] // 64, 16, TILE_ROWS))
    for band in gen_batches(shape[0], height):
        for part in gen_batches(shape[1], TILE_COLUMNS):
            yield band, part


def _least(cost, prices):
    """Least full price of each source, to rounding; 0 where nothing is allowed."""
    least = np.full(cost.shape[0], np.inf)
    tile = cost.reduced(np.zeros(cost.shape[0]), prices)
    for band, part in tiles_of(cost.shape):
        np.minimum(least[band], tile(band, part).min(axis=1), out=least[band])
    return np.where(np.isfinite(least), least, 0.0)


def _limit(reduced, best, window):
    """How far each target looks: the window, or a part of it from its own best, if further."""
    here = reduced.min(axis=0)
    np.minimum(best, here, out=best)
    part = SCARCE_WINDOW * window
    near = np.isfinite(here) & (here <= best + part)
    return np.where(near, np.maximum(best + part, window), window).astype(reduced.dtype)


def _without_excess(reduced, picked, slack, most):
    """Where a tile has too many pairs, keep the best of each source, and what may be its best."""
    height, width = reduced.shape
    if len(picked) <= most // 2 * height + width:
        return picked
    rows, values = picked // width, reduced.ravel()[picked]
    order = np.lexsort((values, rows))
    starts = np.searchsorted(rows, rows)
    tied = values[order] <= values[order][starts] + slack
    rank = np.arange(len(order)) - starts
    return np.sort(picked[order[(rank < most) | tied]])


def _collected(parts, window, n, for_target):
    """All pairs within the window and the best few of each target, sorted."""
    if not parts:
        empty = np.empty(0, dtype=np.int32)
        return Candidates(empty, empty, np.empty(0))
    rows, columns, cost, reduced = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    kept = _kept(columns, reduced, window, for_target)
    order = kept[np.argsort(rows[kept].astype(np.int64) * n + columns[kept])]
    return Candidates(rows[order], columns[order], cost[order])


def _kept(columns, reduced, window, for_target):
    """Positions of the pairs within the window, and of the best few of each target."""
    near = np.flatnonzero(reduced <= window)
    if for_target is None:
        return near
    far = np.flatnonzero((reduced > window) & np.isfinite(reduced))
    return np.concatenate([near, far[_best_of_targets(columns[far], reduced[far], for_target)]])


def _best_of_targets(columns, reduced, for_target):
    """Positions of the best few pairs of each target."""
    # one key to sort by: non-negative floats are in the order of their bits
    bits = np.maximum(reduced, 0).astype(np.float32).view(np.uint32)
    order = np.argsort((columns.astype(np.uint64) << np.uint64(32)) | bits)
    counts = np.bincount(columns, minlength=len(for_target))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[rank < np.repeat(for_target, counts)]
