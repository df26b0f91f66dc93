"""CounterfactualDisplay: what changes for a few rows, before and after."""

from numbers import Integral

import numpy as np

from skcf._compat import Interval, validate_params
from skcf._values import differing, shortened
from skcf.inspection._panels import draw_panels, new_axes, split_axes
from skcf.inspection._places import categorical_columns
from skcf.inspection._rows import checked_rows
from skcf.inspection._values import changes_of_rows, numbers_of
from skcf.space._containers import Table, checked_container

__all__ = ["CounterfactualDisplay"]

N_ROWS = 3
"""Rows that are shown where none are chosen."""

EQUAL = "the counterfactual is the row itself"

REASONS = {
    "already_target": "no change needed: the row is in the target class",
    "not_found": "no counterfactual was found",
    "infeasible": "no counterfactual: the constraints allow none",
    "no_group": "no counterfactual: the row belongs to no group",
}


class CounterfactualDisplay:
    """Changes of a few rows, before and after, in the data's own units.

    One panel a row, one line for each column that changes. A number moves along the
    range of its column, so that columns of different units share an axis; its values are
    written beside the dots. Everything else is written as "before → after".

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one. What they are given
    is stored as attributes.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_rows, n_columns)
        The rows that are shown.
    X_cf : ndarray or DataFrame of shape (n_rows, n_columns)
        Their counterfactuals.
    labels : list, default=None
        What the rows are called. None: their positions.
    value_range : array-like of float, shape (n_columns, 2), default=None
        Lowest and highest value of each column: the ends of its axis. NaN for columns whose
        values are written as text. None: as in X and X_cf.
    y : array-like of shape (n_rows,), default=None
        What the classifier predicts for X.
    y_cf : array-like of shape (n_rows,), default=None
        What it predicts for X_cf.
    status : array-like of str, shape (n_rows,), default=None
        What became of each row, as in `CounterfactualResult`. Where it is given, changes
        are shown only of rows whose counterfactual was found.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_rows,)
        The panels.
    figure_ : matplotlib Figure
        The figure that they are in.

    See Also
    --------
    skcf.CounterfactualResult.changes : The same as a table.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcf import NearestExplainer
    >>> from skcf.inspection import CounterfactualDisplay
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> explainer = NearestExplainer(model).fit(X, model.predict(X))
    >>> display = CounterfactualDisplay.from_estimator(explainer, X, rows=[0, 4])
    >>> display.axes_.shape
    (2,)
    """

    def __init__(self, *, X, X_cf, labels=None, value_range=None, y=None, y_cf=None, status=None):
        self.X = X
        self.X_cf = X_cf
        self.labels = labels
        self.value_range = value_range
        self.y = y
        self.y_cf = y_cf
        self.status = status

    @classmethod
    def from_estimator(cls, explainer, X, *, rows=None, ax=None, max_features=10):
        """Explain rows, and draw what changes.

        Parameters
        ----------
        explainer : explainer
            Fitted. Of a Pipeline, its last step, with X as that step takes it.
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the explainer takes them. The columns' ranges are taken from all of them.
        rows : int or array-like of int, default=None
            Positions of the rows to show; only these are explained. None: all are explained,
            and the first three that change are shown.
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, see `plot`.
        max_features : int, default=10
            Number of changes that are drawn of a row, the largest ones; the others are
            counted in a note.

        Returns
        -------
        CounterfactualDisplay

        Raises
        ------
        TypeError
            If explainer is none.
        ValueError
            If rows are not there.

        Warns
        -----
        InvalidCounterfactualWarning
            If rows are left without a valid counterfactual.
        """
        if not callable(getattr(explainer, "explain", None)):
            raise TypeError(
                "CounterfactualDisplay.from_estimator takes a fitted explainer, which has a method "
                f"explain; got {type(explainer).__name__}. Of a Pipeline, give its last step, and "
                "X as that step takes it."
            )
        table = Table.of(checked_container(X))
        chosen = None if rows is None else checked_rows(rows, table.n_rows)
        result = explainer.explain(X if chosen is None else table.take(chosen).container())
        display = cls(
            X=result.X,
            X_cf=result.X_cf,
            labels=_labels(table, chosen),
            value_range=_value_range(
                table,
                Table.of(result.X_cf),
                set(categorical_columns(getattr(explainer, "feature_space_", None))),
            ),
            y=result.y,
            y_cf=result.y_cf,
            status=result.status,
        )
        shown = display if chosen is not None else display._of_rows(display._first_rows())
        return shown.plot(ax=ax, max_features=max_features)

    @classmethod
    def from_predictions(
        cls,
        X,
        X_cf,
        *,
        rows=None,
        y=None,
        y_cf=None,
        status=None,
        feature_space=None,
        ax=None,
        max_features=10,
    ):
        """Draw what changes between rows and their counterfactuals.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows.
        X_cf : array-like or DataFrame of shape (n_samples, n_columns)
            Their counterfactuals, from whatever method.
        rows : int or array-like of int, default=None
            Positions of the rows to show. None: the first three that change.
        y : array-like of shape (n_samples,), default=None
            What the classifier predicts for X; shown in the titles.
        y_cf : array-like of shape (n_samples,), default=None
            What it predicts for X_cf; shown in the titles.
        status : array-like of str, shape (n_samples,), default=None
            What became of each row, as in `CounterfactualResult`. Where it is given,
            changes are shown only of rows whose counterfactual was found.
        feature_space : FeatureSpace, default=None
            Fitted; says which columns hold categories. None: their dtypes do.
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, see `plot`.
        max_features : int, default=10
            Number of changes that are drawn of a row, the largest ones; the others are
            counted in a note.

        Returns
        -------
        CounterfactualDisplay

        Raises
        ------
        ValueError
            If X and X_cf do not go together, or rows are not there.

        Examples
        --------
        >>> import pandas as pd
        >>> from skcf.inspection import CounterfactualDisplay
        >>> X = pd.DataFrame({"age": [31, 52], "job": ["cook", "clerk"]}, index=["Ann", "Bob"])
        >>> X_cf = X.assign(age=[33, 52], job=["clerk", "clerk"])
        >>> display = CounterfactualDisplay.from_predictions(X, X_cf)
        >>> [ax.get_title(loc="left") for ax in display.axes_]
        ['row Ann: 2 changes']
        """
        X, X_cf = checked_container(X), checked_container(X_cf, name="X_cf")
        before, after = Table.of(X), Table.of(X_cf)
        _check_together(before, after)
        chosen = None if rows is None else checked_rows(rows, before.n_rows)
        display = cls(
            X=X,
            X_cf=X_cf,
            labels=_labels(before, None),
            value_range=_value_range(before, after, set(categorical_columns(feature_space))),
            y=_checked_length(y, "y", before),
            y_cf=_checked_length(y_cf, "y_cf", before),
            status=_checked_length(status, "status", before),
        )
        shown = display._of_rows(display._first_rows() if chosen is None else chosen)
        return shown.plot(ax=ax, max_features=max_features)

    @validate_params(
        {"max_features": [Interval(Integral, 1, None, closed="left")]},
        prefer_skip_nested_validation=True,
    )
    def plot(self, *, ax=None, max_features=10):
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            An Axes for each row; or one for all, which is divided. None: a new figure.
        max_features : int, default=10
            Number of changes that are drawn of a row, the largest ones; the others are
            counted in a note.

        Returns
        -------
        CounterfactualDisplay
            Itself.

        Raises
        ------
        ValueError
            If there are not as many Axes as rows.
        """
        changes = self._changes()
        panels = [self._panel(i, row, max_features) for i, row in enumerate(changes)]
        self.axes_ = _axes_for(panels, ax)
        self.figure_ = self.axes_[0].figure
        draw_panels(self.axes_, panels)
        return self

    def _changes(self):
        """Changes of each row; none where no counterfactual was found."""
        before, after = self._tables()
        ranges = self.value_range
        ranges = _value_range(before, after, set()) if ranges is None else np.asarray(ranges)
        changes = changes_of_rows(before, after, _column_names(before, after), ranges)
        return [found if self._is_found(i) else [] for i, found in enumerate(changes)]

    def _tables(self):
        return Table.of(checked_container(self.X)), Table.of(checked_container(self.X_cf, "X_cf"))

    def _is_found(self, i):
        return self.status is None or self.status[i] == "found"

    def _first_rows(self):
        """Positions of the first rows that change; of the first ones where none does."""
        changed = differing(*self._tables()).any(axis=1)
        rows = [i for i in np.flatnonzero(changed) if self._is_found(i)]
        return np.array(rows[:N_ROWS] or range(min(N_ROWS, len(changed))))

    def _of_rows(self, rows):
        """The display of some of the rows."""

        def pick(values):
            return None if values is None else [values[i] for i in rows]

        return type(self)(
            X=Table.of(self.X).take(rows).container(),
            X_cf=Table.of(self.X_cf).take(rows).container(),
            labels=pick(self.labels),
            value_range=self.value_range,
            y=pick(self.y),
            y_cf=pick(self.y_cf),
            status=pick(self.status),
        )

    def _panel(self, i, changes, max_features):
        """What is drawn for a row: a title, the largest of its changes, and a remark."""
        n_more = len(changes) - max_features
        count = {0: "no change", 1: "1 change"}.get(len(changes), f"{len(changes)} changes")
        remark = ""
        if not changes:
            remark = REASONS.get("" if self.status is None else self.status[i], EQUAL)
        elif n_more > 0:
            largest = np.argsort([-change.size for change in changes], kind="stable")
            changes = [changes[k] for k in sorted(largest[:max_features])]
            remark = f"and {n_more} more change{'s' if n_more > 1 else ''}"
        return {"title": f"{self._called(i)}: {count}", "changes": changes, "remark": remark}

    def _called(self, i):
        """A row's label, and what it is predicted as."""
        label = f"row {shortened(i if self.labels is None else self.labels[i], 24)}"
        if self.y is None:
            return label
        predicted = shortened(self.y[i], 20)
        if self.y_cf is not None and self.y_cf[i] != self.y[i] and self._is_found(i):
            predicted += f" → {shortened(self.y_cf[i], 20)}"
        return f"{label} ({predicted})"


def _checked_length(values, name, table):
    """Values as an array, one a row."""
    if values is None:
        return None
    values = np.asarray(values)
    if values.shape != (table.n_rows,):
        raise ValueError(
            f"{name} must have one value for each of the {table.n_rows} rows of X; got shape "
            f"{values.shape}."
        )
    return values


def _check_together(before, after):
    """Refuse rows and counterfactuals of different shapes or columns."""
    shapes = [(table.n_rows, len(table.columns)) for table in (before, after)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"X and X_cf must have the same shape; got {shapes[0]} and {shapes[1]}.")
    names = [table.names for table in (before, after)]
    if any(labels is None for labels in names):
        return
    lists = [list(labels) for labels in names]
    if lists[0] != lists[1]:
        raise ValueError(f"X and X_cf must have the same columns; got {lists[0]} and {lists[1]}.")


def _labels(table, rows):
    """Index labels of rows where the container has them, else their positions."""
    rows = range(table.n_rows) if rows is None else rows
    return [int(i) if table.index is None else table.index[i] for i in rows]


def _column_names(before, after):
    names = before.names if before.names is not None else after.names
    if names is None:
        return [f"x{j}" for j in range(len(before.columns))]
    return [str(name) for name in names]


def _value_range(before, after, categorical):
    """Ends of the columns' axes: the range in `before`, wider where `after` goes beyond.

    NaN for columns that do not hold numbers, and for those named as categorical.
    """
    ranges = np.full((len(before.columns), 2), np.nan)
    for j in set(range(len(before.columns))) - categorical:
        numbers = numbers_of(before, j), numbers_of(after, j)
        if any(column is None for column in numbers):
            continue
        finite = np.concatenate(numbers)
        finite = finite[np.isfinite(finite)]
        if len(finite):
            ranges[j] = finite.min(), finite.max()
    return ranges


def _axes_for(panels, ax):
    """Axes for the panels: new ones, those given, or the parts of the one given."""
    if ax is None:
        return new_axes(panels)
    axes = np.asarray(ax, dtype=object).ravel()
    if len(axes) == len(panels):
        return axes
    if len(axes) == 1:
        return split_axes(axes[0], panels)
    raise ValueError(f"ax has {len(axes)} Axes, but there are {len(panels)} rows to show.")
