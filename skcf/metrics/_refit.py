"""Which candidate a search takes: values for scikit-learn's `refit`."""

from numbers import Real
from typing import Any

import numpy as np

__all__ = ["refit_best", "refit_pareto"]


def refit_best(metric: str = "score") -> Any:
    """Make a `refit` that takes the best candidate of one score, and never one that is NaN.

    What ``refit="metric"`` does, but for a search in which no candidate has a score:
    scikit-learn takes the first then.

    Parameters
    ----------
    metric : str, default="score"
        Key of the scorer, "neg_proximity" say; "score" where it returns a float.

    Returns
    -------
    callable
        ``refit(cv_results) -> int``; it pickles.

    Examples
    --------
    >>> from skcf.metrics import refit_best
    >>> refit_best("validity")({"mean_test_validity": [float("nan"), 0.5, 0.8]})
    2
    """
    return Choice(metric, 0.0, None)


def refit_pareto(
    primary: str = "validity", tolerance: float = 0.01, *, secondary: str = "neg_proximity"
) -> Any:
    """Make a `refit` that takes the cheapest of the candidates that are nearly the most valid.

    Among the candidates whose mean primary score is within `tolerance` of the best, the one
    with the greatest mean secondary score; the first of equals. Candidates of which either score
    is NaN are never taken.

    Parameters
    ----------
    primary : str, default="validity"
        Key of the score that comes first.
    tolerance : float, default=0.01
        How much of it may be given up, in its own unit.
    secondary : str, default="neg_proximity"
        Key of the score that decides among the rest.

    Returns
    -------
    callable
        ``refit(cv_results) -> int``, for `GridSearchCV(..., refit=...)`; it pickles. It
        raises ValueError where no candidate has both scores, or a score is not there.

    Raises
    ------
    ValueError
        If the tolerance is negative.

    Examples
    --------
    >>> from skcf.metrics import refit_pareto
    >>> results = {
    ...     "mean_test_validity": [1.0, 0.995, 0.7],
    ...     "mean_test_neg_proximity": [-3.0, -2.0, -1.0],
    ... }
    >>> refit_pareto("validity", 0.01)(results), refit_pareto("validity", 0)(results)
    (1, 0)
    """
    if not isinstance(tolerance, Real) or not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance must be a number, zero or more, got {tolerance!r}.")
    return Choice(primary, tolerance, secondary)


class Choice:
    """Chooses a candidate by its scores; see `refit_pareto`."""

    def __init__(self, primary, tolerance, secondary):
        self.primary = primary
        self.tolerance = tolerance
        self.secondary = secondary

    def __call__(self, cv_results):
        """Position of the candidate to take."""
        first = _scores(cv_results, self.primary)
        second = first if self.secondary is None else _scores(cv_results, self.secondary)
        defined = ~(np.isnan(first) | np.isnan(second))
        if not defined.any():
            raise _no_score(*(name for name in (self.primary, self.secondary) if name is not None))
        # a mean of scores that are one number may differ from it by a rounding
        least = first[defined].max() - self.tolerance - 1e-12
        eligible = np.flatnonzero(defined & (first >= least))
        return int(eligible[np.argmax(second[eligible])])

    def __repr__(self):
        """As it was made."""
        if self.secondary is None:
            return f"refit_best({self.primary!r})"
        return f"refit_pareto({self.primary!r}, {self.tolerance!r}, secondary={self.secondary!r})"


def _scores(cv_results, metric):
    """Mean scores of all candidates."""
    key = f"mean_test_{metric}"
    if key not in cv_results:
        alone = cv_results.get("mean_test_score")
        if alone is not None and np.isnan(alone).all():
            raise _no_score(metric)  # scikit-learn drops the names where all scores failed
        known = [name[10:] for name in cv_results if name.startswith("mean_test_")]
        raise ValueError(f"The search has no score {metric!r}: it has {known}.")
    return np.asarray(cv_results[key], dtype=np.float64)


def _no_score(*metrics):
    """What to raise where all candidates are NaN."""
    return ValueError(
        f"No candidate has a score: {' and '.join(metrics)} "
        f"{'is' if len(metrics) == 1 else 'are'} NaN for all of them. Score them on rows that get "
        "counterfactuals, or pass error_score='raise' to see why."
    )
