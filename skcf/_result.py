"""CounterfactualResult: what ``explain`` returns."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcf._values import differing, objects_of
from skcf.space._containers import Table, backend_of

__all__ = ["CounterfactualResult"]

STATUSES = ("already_target", "found", "not_found", "infeasible", "no_group")


@dataclass(frozen=True, repr=False, eq=False)
class CounterfactualResult:
    """Counterfactuals of a batch of rows, with what is known of each.

    A notebook shows it as a table of before and after.

    Attributes
    ----------
    X : ndarray or DataFrame of shape (n_samples, n_columns)
        The rows that were explained.
    X_cf : ndarray or DataFrame of shape (n_samples, n_columns)
        One counterfactual a row, with the columns and index of X, and the dtypes seen in fit.
        Where none was found, the best attempt; where none was needed, the row itself.
    y : ndarray of shape (n_samples,)
        What the classifier predicts for X.
    y_cf : ndarray of shape (n_samples,)
        What it predicts for X_cf.
    status : ndarray of str, shape (n_samples,)
        ``"already_target"``: the row is predicted as the target, and returned as it is.
        ``"found"``: X_cf is valid. ``"not_found"``: the search failed. ``"infeasible"``: the
        constraints allow no training row of the target class, and no other row was found.
        ``"no_group"``: the row belongs to no group (group explainers).
    cost : ndarray of float64, shape (n_samples,)
        Cost of the move in the explainer's metric; 0 for rows already in the target, NaN
        where no counterfactual was found.
    n_changes : ndarray of int, shape (n_samples,)
        Number of features that differ between X and X_cf.
    n_queries : ndarray of int, shape (n_samples,)
        Number of rows that the classifier was asked for, for each row.
    n_calls : int
        Number of times that it was called, for all of them together.
    row, rank : ndarray of int, shape (n_samples,)
        Where there are several counterfactuals for each row: the position of the row that was
        explained, and the place of the counterfactual among its own, from 0.
    """

    X: Any
    X_cf: Any
    y: np.ndarray
    y_cf: np.ndarray
    status: np.ndarray
    cost: np.ndarray
    n_changes: np.ndarray
    n_queries: np.ndarray
    row: np.ndarray | None = None
    rank: np.ndarray | None = None
    n_calls: int = 0

    def __post_init__(self):
        """One counterfactual a row, where nothing else is said."""
        n_rows = len(self.status)
        if self.row is None:
            object.__setattr__(self, "row", np.arange(n_rows))
        if self.rank is None:
            object.__setattr__(self, "rank", np.zeros(n_rows, dtype=np.intp))

    def changes(self) -> Any:
        """List the changes of the counterfactuals that were found.

        Returns
        -------
        DataFrame
            With columns ``row`` (the index label of X where it has one, else the position),
            ``feature`` (the column), ``before`` and ``after``: as they stand in X and X_cf, so
            integers stay integers. A polars frame for polars rows, else a pandas one.

        Examples
        --------
        >>> import pandas as pd
        >>> from skcf import NearestExplainer
        >>> X = pd.DataFrame(
        ...     {"hours": [20, 36, 38, 42], "job": ["cook", "cook", "nurse", "nurse"]},
        ...     index=["Ann", "Bob", "Cem", "Eva"],
        ... )
        >>> def accepts(X):
        ...     return X["hours"] + 10 * (X["job"] == "nurse") > 45
        >>> explainer = NearestExplainer(accepts, target_class=True).fit(X)
        >>> explainer.explain(X).changes()
           row feature before  after
        0  Ann   hours     20     36
        1  Ann     job   cook  nurse
        2  Bob     job   cook  nurse
        """
        before, after = Table.of(self.X), Table.of(self.X_cf)
        values, values_cf = objects_of(before), objects_of(after)
        changed = differing(before, after) & (self.status == "found")[:, None]
        places = np.argwhere(changed).tolist()  # row by row
        labels = self._row_labels()
        names = list(range(len(before.columns))) if before.names is None else list(before.names)
        return _frame(
            backend_of(self.X),
            {
                "row": [labels[i] for i, _ in places],
                "feature": [names[j] for _, j in places],
                "before": [values[j][i] for i, j in places],
                "after": [values_cf[j][i] for i, j in places],
            },
        )

    def _row_labels(self):
        index = getattr(self.X, "index", None)
        return range(len(self.status)) if index is None else list(index)

    def summary(self) -> dict[str, float]:
        """Sum the result up in a few numbers.

        Returns
        -------
        dict
            ``n_rows``, the number of rows of each status that occurs, ``validity`` (share of
            the rows that needed a counterfactual that got one; 1.0 if none did), and over the
            rows that got one: ``mean_cost``, ``median_cost``, ``mean_n_changes`` (NaN if none
            did); ``queries_per_row`` over all rows that needed one.
        """
        found = self.status == "found"
        needed = self.status != "already_target"
        counts = {name: int(np.sum(self.status == name)) for name in STATUSES}
        return {
            "n_rows": len(self.status),
            **{name: count for name, count in counts.items() if count},
            "validity": float(found.sum() / needed.sum()) if needed.any() else 1.0,
            "mean_cost": _mean(self.cost[found]),
            "median_cost": float(np.median(self.cost[found])) if found.any() else float("nan"),
            "mean_n_changes": _mean(self.n_changes[found]),
            "queries_per_row": _mean(self.n_queries[needed]),
        }

    def _measures(self):
        """What the HTML table shows of each row beside its values, as {heading: numbers}."""
        return {"cost": self.cost, "changes": self.n_changes}

    def _repr_html_(self):
        """A table of before and after, in notebooks."""
        from skcf._result_html import result_as_html

        return result_as_html(self)

    def __repr__(self):
        """One line: how many rows, and what became of them."""
        summary = self.summary()
        parts = [f"{summary[name]} {name}" for name in STATUSES if name in summary]
        return f"<{type(self).__name__} of {summary['n_rows']} rows: {', '.join(parts)}>"


def _mean(values):
    return float(np.mean(values)) if len(values) else float("nan")


def _frame(backend, columns):
    """A frame of object columns: in the library of the rows, or in pandas."""
    if backend.name == "polars":
        import polars as pl

        dtypes = {"row": pl.Int64, "feature": pl.String}
        labels = {n: pl.Series(n, columns[n], dtype=dtype) for n, dtype in dtypes.items()}
        values = {n: pl.Series(n, columns[n], dtype=pl.Object) for n in ("before", "after")}
        return pl.DataFrame({**labels, **values})
    import pandas as pd

    values = {n: pd.Series(columns[n], dtype=object) for n in ("before", "after")}
    return pd.DataFrame({"row": columns["row"], "feature": columns["feature"], **values})
