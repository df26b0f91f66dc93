"""PathResult: what ``CCEExplainer.interpolate`` returns."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcf.collective._result import CollectiveResult
from skcf.space._containers import BACKENDS, Table

__all__ = ["PathResult"]

ROW, TIME = "row", "time"


@dataclass(frozen=True, repr=False, eq=False)
class PathResult:
    """Routes of a batch of rows to their counterfactuals, and what they are like.

    Attributes
    ----------
    times : ndarray of float64, shape (n_times,)
        From 0, the rows as they are, to 1, their counterfactuals.
    states : tuple of DataFrame, or ndarray of shape (n_times, n_samples, n_columns)
        All rows at each of the times, each like ``X_cf``: see `at`.
    result : CollectiveResult
        What the routes lead to, as `CCEExplainer.explain` returns it.
    route : ndarray of str, shape (n_samples,)
        The route that each row takes: the one asked for; ``"displacement"`` where there is
        none of that kind; ``"none"`` for rows that stay where they are, since they need no
        counterfactual or got none.
    speed_deviation : ndarray of float64, shape (n_samples,)
        Standard deviation of the cost of the steps (`FeatureSpace.cost` with its default metric,
        over the time of the step) divided by its mean: 0 at constant speed. NaN for rows that
        stay.
    in_distribution : ndarray of float64, shape (n_samples,)
        Share of the states after time 0 that look like a real person: no further (by the
        ``"euclidean"`` cost) from the nearest training row than 95 % of the distinct training
        rows (of 2,000 of them, where there are more) are from their own nearest neighbour. NaN
        for rows that stay.
    margin : ndarray of float64, shape (n_times, n_samples)
        The classifier's score of the target class less that of the best other class, on the logit
        scale (under ``"other"``: of the best other class than the row's own, less that of its
        own); +1 or -1 where it gives no scores.
    crowding : ndarray of float64, shape (n_times,)
        How the rows that move crowd: each counts for the training row that it is nearest to
        (by the ``"euclidean"`` cost, the first distinct one in a tie), and the shares q that these
        have of the rows that move are set against the shares b that they have of all training
        rows, as ``sum((q - b)**2 / b)``. To be compared with other routes of as many rows: few
        rows cannot be spread over many.
    """

    times: np.ndarray
    states: Any
    result: CollectiveResult
    route: np.ndarray
    speed_deviation: np.ndarray
    in_distribution: np.ndarray
    margin: np.ndarray
    crowding: np.ndarray

    def at(self, t_index: int) -> Any:
        """All rows at one of the times.

        Parameters
        ----------
        t_index : int
            Position in `times`; negative ones count from the end.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_columns)
            With the columns and index of X, and the dtypes seen in fit.

        Raises
        ------
        IndexError
            If there are fewer times.
        """
        n_times = len(self.times)
        if not -n_times <= t_index < n_times:
            raise IndexError(f"t_index={t_index} is out of bounds: there are {n_times} times.")
        return self.states[t_index]

    def long(self) -> Any:
        """All states as one frame, the times of each row running.

        Returns
        -------
        DataFrame
            With columns ``row`` (the index label of X where it has one, else the position),
            ``time``, and those of X; a polars frame for polars rows, else a pandas one.

        Raises
        ------
        ValueError
            If X has a column ``row`` or ``time``.
        """
        tables = [Table.of(state) for state in self.states]
        names = self._names(tables[0])
        taken = [name for name in (ROW, TIME) if name in names]
        if taken:
            raise ValueError(
                f"long() names two columns 'row' and 'time', but X has {taken} too: rename, or use "
                "at(t_index)."
            )
        n_times, n_rows = len(tables), tables[0].n_rows
        order = np.arange(n_times * n_rows).reshape(n_times, n_rows).T.ravel()
        backend = tables[0].backend
        columns = [
            backend.take(_stacked(backend, [table.columns[j] for table in tables]), order)
            for j in range(len(names))
        ]
        index = tables[0].index
        labels = np.arange(n_rows) if index is None else index
        keys = [labels[np.repeat(np.arange(n_rows), n_times)], np.tile(self.times, n_rows)]
        return _frame(backend, keys, columns, names)

    def _names(self, table):
        if table.names is None:
            return [f"x{j}" for j in range(len(table.columns))]
        return list(table.names)

    def summary(self) -> dict[str, float]:
        """Sum the routes up in a few numbers.

        Returns
        -------
        dict
            ``n_rows``; the number of rows of each route that occurs; over the rows that move the
            mean of ``speed_deviation`` and of ``in_distribution`` (NaN if none do); and
            ``highest_crowding`` over the times after 0.
        """
        moving = self.route != "none"
        names, counts = np.unique(self.route, return_counts=True)
        later = self.crowding[self.times > 0]
        return {
            "n_rows": len(self.route),
            **{str(name): int(count) for name, count in zip(names, counts, strict=True)},
            "speed_deviation": _mean(self.speed_deviation[moving]),
            "in_distribution": _mean(self.in_distribution[moving]),
            "highest_crowding": float(np.max(later)) if len(later) else float("nan"),
        }

    def __repr__(self):
        """One line: how many rows, by which routes."""
        names, counts = np.unique(self.route, return_counts=True)
        parts = [f"{count} {name}" for name, count in zip(names, counts, strict=True)]
        return (
            f"<PathResult of {len(self.route)} rows at {len(self.times)} times: {', '.join(parts)}>"
        )


def _mean(values):
    return float(np.mean(values)) if len(values) else float("nan")


def _stacked(backend, columns):
    """Native columns one after the other, joined two by two."""
    while len(columns) > 1:
        pairs = zip(columns[::2], columns[1::2], strict=False)
        columns = [backend.concat(*pair) for pair in pairs] + columns[len(columns) // 2 * 2 :]
    return columns[0]


def _frame(backend, keys, columns, names):
    """A frame with the row and the time of each state: in the library of the rows, or in pandas."""
    names = [ROW, TIME, *names]
    if backend.name == "polars":
        import polars as pl

        return backend.assemble([*map(pl.Series, keys), *columns], names, None)
    import pandas as pd

    columns = [pd.Series(column).reset_index(drop=True) for column in (*keys, *columns)]
    return BACKENDS["pandas"].assemble(columns, names, None)
