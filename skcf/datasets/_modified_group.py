"""A group that is another one, moved by what is known."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_consistent_length, check_random_state, column_or_1d

from skcf._compat import Interval, validate_params
from skcf.space._containers import CONTINUOUS, INTEGER, Table, checked_container

__all__ = ["make_modified_group"]


@validate_params(
    {
        "X": "no_validation",
        "groups": ["array-like"],
        "group": "no_validation",
        "translation": [Mapping],
        "noise": [Interval(Real, 0, None, closed="left")],
        "label": "no_validation",
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_modified_group(X, groups, *, group, translation, noise=0.1, label=None, random_state=None):
    """Add a copy of a group to the data, moved by a known translation.

    As in [1]_, section 4.4 and appendix A.6: each row of the copy is
    ``x' = x + c + u``, with c the translation and ``u ~ Uniform(-noise, noise)`` for each row and
    each feature of the translation. An explanation from the group to its copy should come to c,
    and those between the other groups should stay as they were.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_columns)
        Rows.
    groups : array-like of shape (n_samples,)
        The group of each row.
    group : object
        Which group is copied.
    translation : dict of {str or int: float}
        By how much features change, by name or position.
    noise : float, default=0.1
        Largest deviation of a row from the translation; 0 for none.
    label : object, default=None
        What the new group is called. None: one more than the largest, where groups are whole
        numbers; the group's name and " modified", where they are text.
    random_state : int, RandomState instance or None, default=None
        Draws the deviations. Pass an int for the same ones in every call. None draws new ones,
        and leaves numpy's global generator alone.

    Returns
    -------
    modified : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        X : ndarray or DataFrame of shape (n_samples + n_copied, n_columns)
            The rows of X, and then the copies. The columns that are changed hold floats. Rows of
            a pandas DataFrame are numbered anew.
        y : ndarray of shape (n_samples + n_copied,)
            The group of each row.
        label : object
            The new group.
        copied : ndarray of int, shape (n_copied,)
            Which row of X each copy is of.
        changes : ndarray of float64, shape (n_copied, n_columns)
            What was added to each row, the deviation included.
        translation : ndarray of float64, shape (n_columns,)
            What was added to all of them, c.

    Raises
    ------
    ValueError
        If the group has no rows, if the label is taken or none can be made up, if a feature is not
        there or named twice, or if it holds no numbers, or a change is no finite number.

    See Also
    --------
    make_causal_groups : Groups whose causes are known.

    Notes
    -----
    The translations of [1]_, Table 4, for features that are scaled to [0, 1]:

    =============  =====  =====================================
    data           group  translation
    =============  =====  =====================================
    Iris           0      ``{"Sepal Width": -0.4}``
    Housing        1      ``{"ZN": 0.9, "TAX": -0.5}``
    Heart disease  1      ``{"restecg": -0.9, "exang": 0.6}``
    =============  =====  =====================================

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skcf.datasets import make_modified_group
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> modified = make_modified_group(
    ...     X, y, group=0, translation={"sepal width (cm)": -1.0}, random_state=0
    ... )
    >>> modified.label, modified.X.shape
    (3, (200, 4))
    >>> modified.translation
    array([ 0., -1.,  0.,  0.])
    """
    table = Table.of(checked_container(X))
    groups = column_or_1d(groups)
    check_consistent_length(X, groups)
    amount = _amounts(translation, table)
    copied = np.flatnonzero(groups == group)
    if not len(copied):
        raise ValueError(f"group={group!r} has no rows; groups are {_listed(groups)}.")
    label = _checked_label(label, group, groups)
    # sklearn's None is the global generator, which must stay as it is
    rng = np.random.RandomState() if random_state is None else check_random_state(random_state)
    changes = np.zeros((len(copied), len(table.columns)))
    changed = sorted(amount)
    planted = np.array([amount[j] for j in changed])
    changes[:, changed] = planted + rng.uniform(-noise, noise, (len(copied), len(changed)))
    return Bunch(
        X=_with_copies(table, copied, changes, changed),
        y=np.append(groups, np.full(len(copied), label, dtype=np.array([label]).dtype)),
        label=label,
        copied=copied,
        changes=changes,
        translation=np.array([amount.get(j, 0.0) for j in range(len(table.columns))]),
    )


def _with_copies(table, copied, changes, changed):
    """The rows of a table, and then the changed copies of some."""
    backend = table.backend
    rows = np.append(np.arange(table.n_rows), copied)
    columns = [backend.take(column, rows) for column in table.columns]
    for j in changed:
        values = np.array(backend.to_float(columns[j]))  # may be read-only
        values[table.n_rows :] += changes[:, j]
        columns[j] = backend.from_objects(values, None)
    return replace(table, columns=columns, index=None).container()


def _amounts(translation, table):
    """By how much each column changes, by position."""
    amounts = {}
    for feature, amount in translation.items():
        j = _position(feature, table)
        is_number = isinstance(amount, Real) and not isinstance(amount, bool)
        if not is_number or not np.isfinite(amount):
            raise ValueError(f"translation[{feature!r}] must be a finite number, got {amount!r}.")
        if table.backend.kind(table.columns[j]) not in (INTEGER, CONTINUOUS):
            raise ValueError(f"translation names {feature!r}, which holds no numbers.")
        if j in amounts:
            raise ValueError(f"translation names {feature!r} twice, by name and by position.")
        amounts[j] = float(amount)
    return amounts


def _position(feature, table):
    """Position of a column, by name or position."""
    names = range(len(table.columns)) if table.names is None else list(table.names)
    if feature in names:
        return list(names).index(feature)
    is_number = isinstance(feature, Integral) and not isinstance(feature, bool)
    if is_number and 0 <= feature < len(names):
        return int(feature)
    raise ValueError(f"translation names {feature!r}, but the columns are {list(names)}.")


def _checked_label(label, group, groups):
    """What the new group is called."""
    if label is None:
        if groups.dtype.kind in "iu":
            return int(groups.max()) + 1
        if not isinstance(group, str):
            raise ValueError(f"label must be given where groups are {groups.dtype} values.")
        label = f"{group} modified"
    if label in groups.tolist():
        raise ValueError(f"label={label!r} is a group already; groups are {_listed(groups)}.")
    return label


def _listed(groups):
    return list(dict.fromkeys(groups.tolist()))
