"""Whether autoencoders of the target class take the counterfactuals for its own: IM1, IM2."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from skcf.metrics._autoencoders import Autoencoders
from skcf.metrics._rows import check_average, read_pairs
from skcf.space._features import read_floats

__all__ = ["im1", "im2", "reconstruction_error"]


def im1(
    X: Any,
    X_cf: Any = None,
    *,
    autoencoders: Any,
    target: Any = None,
    origin: Any = None,
    eps: float = 1e-10,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Reconstruction error in the target class over that in the class left, IM1 ([1]_, Eq. 13).

    ``||x' - AE_t(x')||**2 / (||x' - AE_o(x')||**2 + eps)`` with the autoencoder AE_t of the target
    class and AE_o of the row's own, Euclidean on the scaled space.

    Range 0 to infinity, the less the better: below 1, the counterfactual is more like the target
    class than like the class that it left. Read it beside the value of real rows of the target
    class, and look at the median too, since a few small denominators rule the mean. The
    autoencoders must be of their own (`fit_autoencoders`): an explainer's own autoencoder
    flatters what that explainer returns. Rows without a counterfactual are left out. Cost: a pass
    through both autoencoders.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    autoencoders : Autoencoders or mapping
        What `fit_autoencoders` returned; or of each label, and of None for all rows, an autoencoder
        of your own. It takes the counterfactuals as an array of floats, with the columns of X as
        they are, and gives as many: a function, an estimator that predicts what it is given, or a
        transformer with an inverse (a PCA, say). Distances are then those of these columns.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
    origin : object, default=None
        Label of the rows themselves, one for all or one a row; a result knows it.
    eps : float, default=1e-10
        Keeps the denominator above zero; the paper names no value.
    feature_space : FeatureSpace, default=None
        Fitted: the kinds of columns that autoencoders of your own are to be given. None: read off
        X. `Autoencoders` keep to the space that they were fitted with.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If a label has no autoencoder, or is not known.

    See Also
    --------
    fit_autoencoders : Trains autoencoders.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.

    Examples
    --------
    Two classes that lie along one axis each: the projections reconstruct them.

    >>> from skcf.metrics import im1
    >>> autoencoders = {"flat": lambda X: X * [1, 0], "steep": lambda X: X * [0, 1]}
    >>> X, X_cf = [[5.0, 0.0], [3.0, 0.0]], [[1.0, 4.0], [3.0, 3.0]]
    >>> im1(X, X_cf, autoencoders=autoencoders, target="steep", origin="flat", average=None)
    array([0.0625, 1.    ])

    What real rows of the target class have:

    >>> real = [[0.0, 2.0], [0.0, 7.0]]
    >>> im1(real, real, autoencoders=autoencoders, target="steep", origin="flat")
    0.0
    """
    check_average(average)
    _check_eps(eps)
    read = _read(X, X_cf, autoencoders, feature_space, status)
    into, out_of = read.labels(target, "target"), read.labels(origin, "origin")
    values = _squared(read.points - read.reconstruct(into))
    values /= _squared(read.points - read.reconstruct(out_of)) + eps
    return read.pairs.averaged(values, average)


def im2(
    X: Any,
    X_cf: Any = None,
    *,
    autoencoders: Any,
    target: Any = None,
    eps: float = 1e-10,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """How far the autoencoders of the target class and of all rows disagree, IM2 ([1]_, Eq. 14).

    ``||AE_t(x') - AE(x')||**2 / (||x'||_1 + eps)`` with the autoencoder AE_t of the target class
    and AE of all rows, on the scaled space. The L1 norm is taken literally, from the zeros of the
    columns, which means something for pixels, and little for years: compare values of one data
    set alone.

    Range 0 to infinity, the less the better: the target class then describes the counterfactual as
    well as all classes do. Read it beside the value of real rows of the target class. The
    autoencoders must be of their own (`fit_autoencoders`): an explainer's own autoencoder
    flatters what that explainer returns. Rows without a counterfactual are left out. Cost: a pass
    through both autoencoders.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    autoencoders : Autoencoders or mapping
        As `im1` takes them: of the targets, and of None for all rows.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
    eps : float, default=1e-10
        Keeps the denominator above zero; the paper names no value.
    feature_space : FeatureSpace, default=None
        As `im1` takes it.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If a label, or None, has no autoencoder, or the target is not known.

    See Also
    --------
    fit_autoencoders : Trains autoencoders.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.

    Examples
    --------
    >>> from skcf.metrics import im2
    >>> autoencoders = {"steep": lambda X: X * [0, 1], None: lambda X: X}
    >>> X, X_cf = [[5.0, 0.0], [3.0, 0.0]], [[1.0, 4.0], [3.0, 3.0]]
    >>> im2(X, X_cf, autoencoders=autoencoders, target="steep", average=None).round(6)
    array([0.2, 1.5])
    """
    check_average(average)
    _check_eps(eps)
    read = _read(X, X_cf, autoencoders, feature_space, status)
    into = read.reconstruct(read.labels(target, "target"))
    values = _squared(into - read.reconstruct(None))
    values /= np.abs(read.points).sum(axis=1) + eps
    return read.pairs.averaged(values, average)


def reconstruction_error(
    X: Any,
    X_cf: Any = None,
    *,
    autoencoders: Any,
    joint: bool = True,
    target: Any = None,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Reconstruction error of the counterfactuals in an autoencoder of real rows ([1]_, Eq. 8).

    ``||x' - AE(x')||**2``, Euclidean on the scaled space, with the autoencoder AE of all rows, as
    in the paper (section 4.1), or of the target class.

    Range 0 to infinity, the less the better. Read it beside the value of real rows of the target
    class. The autoencoders must be of their own (`fit_autoencoders`): an explainer's own
    autoencoder flatters what that explainer returns. Rows without a counterfactual are left out.
    Cost: a pass through the autoencoder.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    autoencoders : Autoencoders or mapping
        As `im1` takes them: of None for all rows, or of the targets.
    joint : bool, default=True
        The autoencoder of all rows. False: that of the target class.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
        Only used with ``joint=False``.
    feature_space : FeatureSpace, default=None
        As `im1` takes it.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If there is no such autoencoder, or the target is needed and not known.

    See Also
    --------
    fit_autoencoders : Trains autoencoders.

    References
    ----------
    .. [1] X. Zhao, K. Broelemann, G. Kasneci. "Counterfactual explanation via search in Gaussian
       mixture distributed latent space." 2023.

    Examples
    --------
    >>> from skcf.metrics import reconstruction_error
    >>> autoencoders = {None: lambda X: X.round(0)}
    >>> reconstruction_error([[0.0], [0.0]], [[1.5], [3.0]], autoencoders=autoencoders)
    0.125
    """
    check_average(average)
    read = _read(X, X_cf, autoencoders, feature_space, status)
    labels = None if joint else read.labels(target, "target")
    return read.pairs.averaged(_squared(read.points - read.reconstruct(labels)), average)


class _Read:
    """Counterfactuals as points, and the autoencoders that take these.

    Attributes
    ----------
    pairs : Pairs
    points : ndarray of float64, shape (n_found, n_dimensions)
    """

    def __init__(self, pairs, points, reconstruct):
        self.pairs, self.points, self._reconstruct = pairs, points, reconstruct

    def labels(self, labels, name):
        """The label of each counterfactual that was found, as `target` or `origin` says."""
        result, found = self.pairs.result, self.pairs.found
        if labels is None and result is None:
            raise ValueError(f"{name} is missing: one label, or one for each row.")
        if labels is None:
            labels = result.y_cf if name == "target" else result.y
        labels = np.asarray(labels)
        if labels.shape not in ((), found.shape):
            raise ValueError(
                f"{name} must be one label, or one for each of the {len(found)} rows; got shape "
                f"{labels.shape}."
            )
        return np.broadcast_to(labels, found.shape)[self.pairs.places]

    def reconstruct(self, labels):
        """Reconstruct each point by the autoencoder of its label; None: by that of all rows."""
        if labels is None:
            return self._reconstruct(self.points, None)
        out = np.empty_like(self.points)
        for label in np.unique(labels).tolist():
            at = np.flatnonzero(labels == label)
            out[at] = self._reconstruct(self.points[at], label)
        return out


def _read(X, X_cf, autoencoders, feature_space, status):
    if isinstance(autoencoders, Autoencoders):
        pairs = read_pairs(X, X_cf, autoencoders.feature_space_, status)
        points = autoencoders._points(pairs.after.take(pairs.places))
        return _Read(pairs, points, autoencoders._reconstruct)
    if not isinstance(autoencoders, Mapping):
        raise TypeError(
            "autoencoders must be what fit_autoencoders returned, or a mapping of labels to "
            f"autoencoders; got {autoencoders!r}."
        )
    pairs = read_pairs(X, X_cf, feature_space, status)
    points = _floats(pairs.after.take(pairs.places))
    return _Read(pairs, points, lambda points, label: _by_own(autoencoders, points, label))


def _floats(table):
    """Rows as they are, for autoencoders that know nothing of a feature space."""
    points = np.column_stack([read_floats(table, j) for j in range(len(table.columns))])
    if not np.isfinite(points).all():
        raise ValueError(
            "Autoencoders of your own take finite numbers, but there are missing or infinite ones."
        )
    return points


def _by_own(autoencoders, points, label):
    """Reconstruct points by an autoencoder that the user has brought."""
    if label not in autoencoders:
        which = "all rows (None)" if label is None else f"the label {label!r}"
        raise ValueError(f"autoencoders has none of {which}: it holds {list(autoencoders)}.")
    if not len(points):
        return points
    out = np.asarray(_passed(autoencoders[label], points.copy()), dtype=float)
    if out.shape != points.shape:
        raise ValueError(
            f"The autoencoder of {label!r} must give an array of the shape that it takes, "
            f"{points.shape}; got {out.shape}."
        )
    return out


def _passed(autoencoder, points):
    if hasattr(autoencoder, "inverse_transform"):
        return autoencoder.inverse_transform(autoencoder.transform(points))
    if hasattr(autoencoder, "predict"):
        return autoencoder.predict(points)
    if callable(autoencoder):
        return autoencoder(points)
    raise TypeError(
        "An autoencoder must be a function, or have predict, or transform and inverse_transform; "
        f"got {autoencoder!r}."
    )


def _squared(differences):
    """Squared Euclidean norm of each row."""
    return np.sum(differences**2, axis=1)


def _check_eps(eps):
    if not 0 < eps < np.inf:
        raise ValueError(f"eps must be a number above zero, got {eps!r}.")
