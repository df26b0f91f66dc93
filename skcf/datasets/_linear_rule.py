"""A decision rule that is known, as a classifier."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["LinearRule"]


class LinearRule(ClassifierMixin, BaseEstimator):
    """Accept whoever has as many points as the threshold of the group asks for.

    Nothing is learned: the rule is what the parameters say.

    Parameters
    ----------
    weights : dict of {str: float}
        Points for each unit of a column.
    levels : dict of {str: list of str}
        Categories of text columns, from low to high; a level counts as its position.
    group : str
        The column that says which threshold holds.
    thresholds : dict of {str: float}
        Threshold of each group.

    Attributes
    ----------
    classes_ : ndarray of str, shape (2,)
        "rejected" and "accepted", in this order: a positive score speaks for the second.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcf.datasets._linear_rule import LinearRule
    >>> X = pd.DataFrame({"income": [20.0, 40.0], "region": ["north", "south"]})
    >>> rule = LinearRule(
    ...     {"income": 0.1}, levels={}, group="region", thresholds={"north": 3.0, "south": 4.0}
    ... ).fit(X)
    >>> rule.decision_function(X)
    array([-1.,  0.])
    >>> rule.predict(X).tolist()
    ['rejected', 'accepted']
    """

    def __init__(self, weights, *, levels, group, thresholds):
        self.weights = weights
        self.levels = levels
        self.group = group
        self.thresholds = thresholds

    def fit(self, X, y=None):
        """Take note of the columns.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Rows.
        y : None
            Ignored.

        Returns
        -------
        self : LinearRule

        Raises
        ------
        ValueError
            If X lacks a column that the rule needs.
        """
        columns = list(getattr(X, "columns", []))
        absent = [name for name in [*self.weights, self.group] if name not in columns]
        if absent:
            raise ValueError(
                f"X must be a DataFrame with the columns {[*self.weights, self.group]}; it lacks "
                f"{absent}."
            )
        validate_data(self, X, skip_check_array=True)
        self.classes_ = np.array(["rejected", "accepted"])
        return self

    def decision_function(self, X):
        """Points above the threshold.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Rows with the columns seen in fit.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            A row's score does not depend on the other rows, to the bit. Rows are accepted
            from 0 on.

        Raises
        ------
        ValueError
            If a value is missing, or a category is none of those that the rule names.
        """
        check_is_fitted(self)
        validate_data(self, X, reset=False, skip_check_array=True)
        score = -_lookup(X[self.group], self.thresholds)
        for name, weight in self.weights.items():
            score += weight * self._numbers(X[name])  # no matrix product: see Returns
        if np.isnan(score).any():
            raise ValueError("Input X contains NaN: LinearRule takes no missing values.")
        return score

    def predict(self, X):
        """Tell who is accepted.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_columns)
            Rows with the columns seen in fit.

        Returns
        -------
        ndarray of str, shape (n_samples,)
        """
        accepted = self.decision_function(X) >= 0
        return self.classes_[accepted.astype(np.intp)]

    def _numbers(self, column):
        levels = self.levels.get(column.name)
        if levels is None:
            return np.asarray(column, dtype=np.float64)
        return _lookup(column, {level: place for place, level in enumerate(levels)})

    def __sklearn_tags__(self):
        """Say that text is taken, and DataFrames alone."""
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.no_validation = True
        return tags


def _lookup(column, table):
    """Numbers that a table gives for the values of a column."""
    import pandas as pd

    codes, values = pd.factorize(column, use_na_sentinel=False)
    unknown = sorted(set(values) - set(table), key=str)
    if unknown:
        raise ValueError(f"{column.name} must hold {list(table)} and nothing else; got {unknown}.")
    return np.array([table[value] for value in values], dtype=np.float64)[codes]
