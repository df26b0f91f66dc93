"""What tells groups apart by integrated gradients: a baseline, which is no translation."""

import warnings
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.random import sample_without_replacement
from sklearn.utils.validation import check_is_fitted, validate_data

from skcf._classifiers import codes_of, unfrozen
from skcf._compat import HasMethods, Interval, StrOptions, check_y, fit_context
from skcf._fitting import unchanged_on_failure
from skcf._gradients import LinearModel, NetModel, known_model
from skcf._maps import Map, check_numbers
from skcf._representations import read_representation
from skcf.base import _is_fitted, _kept
from skcf.space import FeatureSpace
from skcf.space._containers import checked_container

__all__ = ["GroupIntegratedGradients"]

BLOCK_ELEMENTS, MOST_POINTS = 2**21, 2**14
"""Values, and points on paths, that are worked on at a time."""

INCOMPLETE = 0.05
"""Share of the largest difference that the attributions may miss without a warning."""


class GroupIntegratedGradients(BaseEstimator):
    """Attributions of what tells two groups apart, by integrated gradients (gIG).

    A baseline for translations between groups ([1]_, appendix A.1). A classifier f of groups
    stands on top of a representation r. Each pair of groups gets the mean of the integrated
    gradients [2]_ over all pairs of their rows ([1]_, Eq. 11)::

        delta_IG(A -> B) = mean_{x in X_B, a in X_A} IG(x, class=B, baseline=a)
        IG_j(x, c, a) = (x_j - a_j) * integral_0^1 d f_c(r(a + t (x - a))) / d x_j dt

    The attributions of a pair sum to the mean of ``f_B(x) - f_B(a)`` (completeness).

    They are no translations, so there is no ``transform``; and they are not consistent: the
    class differs with the target, so ``delta_IG(A -> B)`` is not ``-delta_IG(B -> A)`` (with two
    groups the two are equal), nor the sum of those by way of a third group.

    Parameters
    ----------
    representation : object, default=None
        r: a fitted transformer, a torch module or a function of rows. None: the features in units
        of their scale.
    classifier : object, default=None
        f: a `LogisticRegression` or an `MLPClassifier` of scikit-learn, alone or as the last step
        of a Pipeline of differentiable steps. A fitted one is used as it is, and must know the
        groups; another one is cloned and fitted on r(X). None: a multinomial logistic regression
        on standardised r(X).
    output : {"probability", "logit"}, default="probability"
        What is attributed: the probability of the class, or its score on the logit scale, less
        the mean of all classes' scores.
    n_steps : int, default=50
        Points on each path, those of a Gauss-Legendre rule.
    max_pairs : int or None, default=1000
        Largest number of pairs of rows for each two groups, drawn at random where there are more.
        None: all of them.
    feature_space : FeatureSpace, default=None
        Kinds and scales of the features, which must be numbers. None: read off the data.
    random_state : int, RandomState instance or None, default=None
        Draws the pairs. Pass an int for the same ones in every fit. None draws new ones, and
        leaves numpy's global generator alone.

    Attributes
    ----------
    attributions_ : ndarray of float64, shape (n_groups, n_groups, n_features)
        From group i to group j at [i, j]; 0 on the diagonal.
    classes_ : ndarray of shape (n_groups,)
        The groups.
    classifier_ : estimator
        f, fitted.
    completeness_error_ : ndarray of float64, shape (n_groups, n_groups)
        What the attributions of each pair miss of the mean of ``f_B(x) - f_B(a)``: the error of
        the rule, or of a representation that jumps.
    feature_space_ : FeatureSpace
        Fitted.
    n_features_in_ : int
        Number of columns in fit.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Their names, if all of them are text.

    See Also
    --------
    skcf.datasets.make_causal_groups : Data where it attributes to a feature that is no cause.

    Notes
    -----
    Cost: one gradient of ``f(r(.))`` for each step, each pair of rows and each ordered pair of
    groups, in blocks of bounded memory. A function or an unknown transformer is asked on both
    sides of each feature, which multiplies that by twice the number of features; a torch module or
    an affine map has gradients. The same pairs of rows serve both directions.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.
    .. [2] M. Sundararajan, A. Taly, Q. Yan. "Axiomatic attribution for deep networks." ICML 2017.

    Examples
    --------
    >>> from skcf.datasets import make_causal_groups
    >>> from skcf.group import GroupIntegratedGradients
    >>> X, groups = make_causal_groups(random_state=0)
    >>> gig = GroupIntegratedGradients(random_state=0).fit(X, groups)
    >>> gig.attribution(0, 2).round(1) + 0.0  # x1 is the cause, x4 its effect
    array([0.4, 0. , 0. , 0.5])
    """

    _parameter_constraints: dict = {
        "representation": [HasMethods(["transform"]), callable, None],
        "classifier": [HasMethods(["fit", "predict_proba"]), None],
        "output": [StrOptions({"probability", "logit"})],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "max_pairs": [Interval(Integral, 1, None, closed="left"), None],
        "feature_space": [FeatureSpace, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        representation=None,
        *,
        classifier=None,
        output="probability",
        n_steps=50,
        max_pairs=1000,
        feature_space=None,
        random_state=None,
    ):
        self.representation = representation
        self.classifier = classifier
        self.output = output
        self.n_steps = n_steps
        self.max_pairs = max_pairs
        self.feature_space = feature_space
        self.random_state = random_state

    @fit_context
    def fit(self, X: Any, y: Any) -> Self:
        """Attribute the differences between all pairs of groups.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows of numbers, none of them missing.
        y : array-like of shape (n_samples,)
            The group of each row. Each value is a group: leave out rows that belong to none.

        Returns
        -------
        self : GroupIntegratedGradients
            Unchanged if the fit fails or is interrupted.

        Raises
        ------
        ValueError
            If there is one group only, if values are missing or no numbers, if the representation
            gives what is not 2-D, not finite or not one row a row, or if the classifier does not
            know a group or has no known gradients.
        NotFittedError
            If the representation is not fitted.

        Warns
        -----
        ConvergenceWarning
            If attributions miss more than a twentieth of the largest difference.
        """
        with unchanged_on_failure(self):
            self._fit(X, y)
        return self

    def attribution(self, origin: Any, target: Any) -> np.ndarray:
        """Attributions of what tells a group from another one.

        Parameters
        ----------
        origin, target : object
            Groups, as in ``classes_``.

        Returns
        -------
        ndarray of float64, shape (n_features,)

        Raises
        ------
        ValueError
            If one of them is no group.
        """
        check_is_fitted(self)
        known = self.classes_.tolist()
        for name, group in (("origin", origin), ("target", target)):
            if group not in known:
                raise ValueError(f"{name} must be one of the groups {known}, got {group!r}.")
        return self.attributions_[known.index(origin), known.index(target)].copy()

    def _fit(self, X, y):
        """Set every fitted attribute; `fit` takes them back if this fails."""
        X = checked_container(X)
        validate_data(self, X, reset=True, skip_check_array=True)
        self.classes_, codes = _checked_groups(self, X, y)
        space = FeatureSpace() if self.feature_space is None else self.feature_space
        self.feature_space_ = clone(space).fit(X)
        check_numbers(self.feature_space_, "representation")
        Z = _without_gaps(self.feature_space_.transform(X))
        # sklearn's None is the global generator, which must stay as it is
        rng = self.random_state
        rng = np.random.RandomState() if rng is None else check_random_state(rng)
        r, represented = read_representation(
            self.representation, Z, self.feature_space_, random_state=rng
        )
        self.classifier_ = self._usable_classifier(represented, self.classes_[codes])
        positions = codes_of(self.classes_, np.asarray(self.classifier_.classes_))
        if (positions < 0).any():
            raise ValueError(
                f"The classifier knows the classes {self.classifier_.classes_.tolist()}, but the "
                f"groups are {self.classes_.tolist()}."
            )
        front, model = _read_classifier(self.classifier_, represented, rng)
        weigh = _probability if self.output == "probability" else _logit
        response = _Response(r, front, model, weigh, positions)
        self._attribute(
            response, Z, [np.flatnonzero(codes == c) for c in range(codes.max() + 1)], rng
        )

    def _usable_classifier(self, represented, groups):
        """The classifier of groups: as it is, or fitted on the represented rows."""
        if self.classifier is None:
            wanted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        elif _is_fitted(self.classifier):
            return self.classifier
        else:
            wanted = clone(self.classifier)
        return wanted.fit(represented, groups)

    def _attribute(self, response, Z, members, rng):
        """Set what is learned of all pairs of groups."""
        n = len(members)
        self.attributions_ = np.zeros((n, n, Z.shape[1]))
        self.completeness_error_ = np.zeros((n, n))
        values, largest = response.values(Z), 0.0
        for i in range(n):
            for j in range(i + 1, n):
                first, second = _row_pairs(members[i], members[j], self.max_pairs, rng)
                for a, b, origin, target in ((i, j, first, second), (j, i, second, first)):
                    found = _mean_attribution(response, Z, origin, target, b, self.n_steps)
                    difference = np.mean(values[target, b] - values[origin, b])
                    self.attributions_[a, b] = found
                    self.completeness_error_[a, b] = abs(found.sum() - difference)
                    largest = max(largest, abs(difference))
        if self.completeness_error_.max() > INCOMPLETE * largest:
            warnings.warn(
                f"Attributions miss up to {self.completeness_error_.max():.2g} of differences of "
                f"up to {largest:.2g}: raise n_steps, if the representation does not jump.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def __sklearn_clone__(self):
        """Clone the parameters, but keep what is fitted: it is what is explained."""
        params = self.get_params(deep=False)
        kept = {name: _kept(params.pop(name)) for name in ("representation", "classifier")}
        return type(self)(**kept, **{name: clone(v, safe=False) for name, v in params.items()})

    def __sklearn_tags__(self):
        """Say that groups are needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


@dataclass(frozen=True)
class _Response:
    """What a classifier of groups says of rows, through their representation.

    Parameters
    ----------
    representation : Map
        r.
    front : Map or None
        What the classifier does to represented rows before its final model.
    model : LinearModel or NetModel
        That model.
    weigh : callable
        What is made of the scores, for one class; see `LinearModel.pulled_back`.
    positions : ndarray of int, shape (n_groups,)
        Which of the classifier's classes each group is.
    """

    representation: Map
    front: Any
    model: Any
    weigh: Any
    positions: np.ndarray

    def values(self, Z):
        """Response for each group, shape (n_rows, n_groups)."""
        size = max(1, min(MOST_POINTS, BLOCK_ELEMENTS // Z.shape[1]))
        return np.concatenate([self._values(Z[i : i + size]) for i in range(0, len(Z), size)])

    def _values(self, Z):
        scores = _scores(self.front, self.model, self.representation.values(Z))
        return np.column_stack([self.weigh(scores, position)[0] for position in self.positions])

    def gradients(self, Z, group):
        """Gradients of the response for a group, shape of Z."""
        weigh = partial(self.weigh, position=self.positions[group])
        return self.representation.residual_pullback(Z, partial(self._slopes, weigh))[1]

    def _slopes(self, weigh, represented, rows):
        """Gradients by what the representation gives."""
        if self.front is None:
            return self.model.pulled_back(represented, weigh)[1]
        slopes = self.model.pulled_back(self.front.values(represented), weigh)[1]
        return self.front.pullback(represented, slopes)


def _probability(scores, position):
    """Probabilities of a class, and their derivatives by all scores."""
    shares = softmax(scores, axis=1)
    own = shares[:, position]
    return own, own[:, None] * ((np.arange(scores.shape[1]) == position) - shares)


def _logit(scores, position):
    """Scores of a class less the mean of all, and their derivatives by all scores."""
    weight = (np.arange(scores.shape[1]) == position) - 1 / scores.shape[1]
    return scores @ weight, np.tile(weight, (len(scores), 1))


def _mean_attribution(response, Z, origin, target, group, n_steps):
    """Mean integrated gradients of pairs of rows, some pairs at a time."""
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    along = ((nodes + 1) / 2)[:, None]
    total = np.zeros(Z.shape[1])
    size = max(1, min(MOST_POINTS, BLOCK_ELEMENTS // Z.shape[1]) // n_steps)
    for start in range(0, len(origin), size):
        a, x = Z[origin[start : start + size]], Z[target[start : start + size]]
        way = x - a
        points = a[:, None] + along * way[:, None]
        gradients = response.gradients(points.reshape(-1, Z.shape[1]), group)
        mean = np.einsum("s,psj->pj", weights / 2, gradients.reshape(points.shape))
        total += np.einsum("pj,pj->j", way, mean)
    return total / len(origin)


def _row_pairs(first, second, most, rng):
    """All pairs of rows of two groups, or a sample of them."""
    n = len(first) * len(second)
    if most is None or n <= most:
        drawn = np.arange(n)
    else:
        drawn = sample_without_replacement(n, most, random_state=rng)
    return first[drawn // len(second)], second[drawn % len(second)]


def _checked_groups(estimator, X, y):
    """The groups, and the position of each row's among them."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None: y is the group of each row."
        )
    y = check_y(y, estimator=estimator)
    check_consistent_length(X, y)
    check_classification_targets(y)
    groups, codes = np.unique(y, return_inverse=True)
    if len(groups) < 2:
        raise ValueError(f"There must be at least two groups, got one class, {groups[0]!r}.")
    return groups, codes


def _without_gaps(Z):
    """Refuse missing values, of which there is no path."""
    if np.isnan(Z).any():
        raise ValueError(
            "Input X contains NaN. GroupIntegratedGradients follows paths from row to row, which "
            "missing values have none of: impute them first."
        )
    return Z


def _read_classifier(classifier, represented, rng):
    """What a classifier does to rows, as a map (or None), and its final model.

    It is compared with the classifier's own probabilities.
    """
    names = getattr(classifier, "feature_names_in_", None)
    rows = represented
    if names is not None and len(names) == represented.shape[1]:
        import pandas as pd

        rows = pd.DataFrame(represented, columns=names)
    last, front = unfrozen(classifier), None
    if isinstance(last, Pipeline):
        if len(last) > 1:
            space = FeatureSpace().fit(rows)
            front = read_representation(last[:-1], represented, space, random_state=rng)[0]
        last = unfrozen(last[-1])
    model = known_model(last)
    known = isinstance(model, LinearModel | NetModel)
    if not known or not _reproduces(front, model, represented, classifier.predict_proba(rows)):
        raise ValueError(
            "The classifier must be a LogisticRegression or an MLPClassifier, alone or as the last "
            f"step of a Pipeline: the gradients of {classifier!r} are not known."
        )
    return front, model


def _reproduces(front, model, represented, probabilities):
    """Whether the probabilities of a classifier come out."""
    shares = softmax(_scores(front, model, represented), axis=1)
    return shares.shape == probabilities.shape and np.allclose(shares, probabilities, atol=1e-6)


def _scores(front, model, represented):
    """Scores of the classes, of represented rows."""
    return model.scores(represented if front is None else front.values(represented))
