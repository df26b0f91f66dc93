"""Groups whose causes are known."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state

from skcf._compat import Interval, validate_params

__all__ = ["make_causal_groups"]

CAUSE_NOISE, UNRELATED_NOISE, EFFECT_NOISE = 0.2, 0.5, 0.05
"""Standard deviations, as in the paper."""

CAUSES = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
"""Where the centre of each group lies in x1 and x2."""


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "return_translations": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_causal_groups(n_samples=400, *, return_translations=False, random_state=None):
    """Generate four groups that two of four features cause.

    As in [1]_, section 4.2, for each row:

    - ``x1 = b1 + N(0, 0.2)`` and ``x2 = b2 + N(0, 0.2)``, with ``b1`` and ``b2`` of
      Bernoulli(0.5): the causes. The group is ``2 b1 + b2``.
    - ``x3 = N(0, 0.5)``: unrelated to the groups.
    - ``x4 = x1 + N(0, 0.05)``: correlated with the groups, since x1 causes it, but no cause of
      them.

    The second number of each normal distribution is its standard deviation. A translation between
    two groups needs x1 and x2, and neither x3 nor x4; the difference between means has x4, too.

    Parameters
    ----------
    n_samples : int, default=400
        Number of rows, at least 1. The shares of the groups are random: a quarter each on average.
    return_translations : bool, default=False
        Whether to return the translations, too.
    random_state : int, RandomState instance or None, default=None
        Determines the rows. Pass an int for the same ones in every call. None draws new ones,
        and leaves numpy's global generator alone.

    Returns
    -------
    X : DataFrame of shape (n_samples, 4)
        The rows; columns "x1" to "x4".
    groups : Series of int
        The group of each row, 0 to 3.
    translations : ndarray of float64, shape (4, 4)
        By how much the causes of each group are higher than those of group 0, on average; 0 for x3
        and x4. From group i to group j: ``translations[j] - translations[i]``. Only if
        `return_translations`.

    See Also
    --------
    make_modified_group : Add a group that differs from another one by a known translation.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from skcf.datasets import make_causal_groups
    >>> X, groups = make_causal_groups(random_state=0)
    >>> X.columns.tolist(), sorted(set(groups))
    (['x1', 'x2', 'x3', 'x4'], [0, 1, 2, 3])
    >>> round(float((X["x4"] - X["x1"]).std()), 2)
    0.05
    """
    import pandas as pd

    # sklearn's None is the global generator, which must stay as it is
    rng = np.random.RandomState() if random_state is None else check_random_state(random_state)
    causes = rng.randint(2, size=(n_samples, 2))
    x12 = causes + CAUSE_NOISE * rng.standard_normal((n_samples, 2))
    x3 = UNRELATED_NOISE * rng.standard_normal(n_samples)
    x4 = x12[:, 0] + EFFECT_NOISE * rng.standard_normal(n_samples)
    X = pd.DataFrame(np.column_stack([x12, x3, x4]), columns=["x1", "x2", "x3", "x4"])
    groups = pd.Series(causes @ [2, 1], name="group")
    if return_translations:
        return X, groups, np.column_stack([CAUSES, np.zeros((4, 2))])
    return X, groups
