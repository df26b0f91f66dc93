"""NearestExplainer: the nearest allowed training row of the target class, refined."""

from numbers import Integral, Real

import numpy as np

from skcf._assemble import Moves, assemble
from skcf._compat import Interval, StrOptions
from skcf._refine import refine
from skcf._starts import StartRows, cheapest_of_each
from skcf.base import BaseCounterfactual
from skcf.space._cost import METRICS

__all__ = ["NearestExplainer"]
ROUNDS, KEEP = 1, 1.5


class NearestExplainer(BaseCounterfactual):
    """Counterfactuals from the nearest real rows of the target class.

    For each row, the nearest training row that the classifier itself puts in the target
    class and that the constraints allow is found, exactly. Then, unless `refine` is False,
    the changes that are not needed are undone, and the others shortened to just inside the
    decision boundary. It is quick, needs nothing of the classifier but its labels, and is
    the baseline that other explainers have to beat.

    Parameters
    ----------
    estimator : object, default=None
        The classifier to explain, fitted: a scikit-learn classifier or Pipeline, a torch
        module that returns logits for encoded rows, a skorch net, or a function of rows that
        returns labels or scores of shape (n_samples, n_classes). None: a gradient-boosting
        surrogate is trained on what ``fit`` is given.
    target_class : object, default=None
        The class that rows are moved to. ``"other"``: each row leaves its own class for the
        nearest other one. None: ``classes_[1]`` of two classes, ``"other"`` with more.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost. None: everything, with kinds read off the data.
    metric : {"cityblock", "euclidean", "sqeuclidean"}, default="cityblock"
        How the scaled differences of the features add up to a cost.
    n_neighbors : int, default=3
        Number of nearest rows to start from; after refining, the cheapest is kept.
    refine : bool, default=True
        Whether to undo and shorten changes. If False, counterfactuals are real rows, except
        where no real one is allowed (see Notes).
    min_margin : float, default=1e-4
        Distance from the decision boundary, on the logit scale, that a refined
        counterfactual keeps, so that rounding cannot flip it back. Where no training row
        that far inside is allowed, one that is nearer to the boundary is taken as it is. Of
        no account where the classifier has only labels.
    n_jobs : int, default=None
        Number of threads that search for nearest rows; as in joblib.
    verbose : int, default=0
        Whether to show progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the surrogate; the search itself draws nothing.

    Attributes
    ----------
    estimator_ : object
        The classifier that is explained: the one given, or the surrogate.
    feature_space_ : FeatureSpace
        The feature space, fitted on X.
    classes_ : ndarray of shape (n_classes,)
        The classifier's classes.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns, where X has string names.

    See Also
    --------
    FeatureSpace : Says what may change, and what it costs.

    Notes
    -----
    Where the constraints allow no training row of the target class (few people share all
    immutable values, say), the nearest ones are tried with the constraints imposed on them.
    A row is ``infeasible`` only if that fails too.

    The search for the nearest row is over all distinct training rows, with equal immutable
    values; memory is bounded by scikit-learn's ``working_memory``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcf import NearestExplainer
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> explainer = NearestExplainer(model).fit(X, model.predict(X))
    >>> malignant = X[model.predict(X) == 0]
    >>> result = explainer.explain(malignant)
    >>> result
    <CounterfactualResult of 209 rows: 209 found>
    >>> bool((model.predict(result.X_cf) == 1).all())
    True
    """

    _parameter_constraints: dict = {
        **BaseCounterfactual._parameter_constraints,
        "metric": [StrOptions(set(METRICS))],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "refine": ["boolean"],
        "min_margin": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        target_class=None,
        feature_space=None,
        metric="cityblock",
        n_neighbors=3,
        refine=True,
        min_margin=1e-4,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        super().__init__(estimator, target_class=target_class, feature_space=feature_space)
        self.metric = metric
        self.n_neighbors = n_neighbors
        self.refine = refine
        self.min_margin = min_margin
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _cost_metric(self):
        return self.metric

    def _learn(self, Z, labels, oracle, sample_weight):
        """Keep the rows that are far enough inside of their class to start from."""
        margin = self.min_margin if self.refine else 0
        self._starts = StartRows(Z, labels, oracle, self._targets, self.feature_space_, margin)
        self._moves = Moves(Z, self.feature_space_)

    def _search(self, Z, own, rows, oracle):
        """Start from the nearest target rows, refine, and keep the cheapest of each row."""
        of, start, target = self._starts.nearest(
            Z,
            own,
            rows,
            oracle,
            self._target_code,
            k=self.n_neighbors,
            metric=self.metric,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        if self.refine and len(of):
            first = np.unique(of, return_index=True)[1]
            place, more = assemble(
                Z[of[first]],
                rows[of[first]],
                target[first],
                oracle,
                self._moves,
                metric=self.metric,
                min_margin=self.min_margin,
            )
            of, start, target = (
                np.concatenate([of, of[first][place]]),
                np.concatenate([start, more]),
                np.concatenate([target, target[first][place]]),
            )
            start = refine(
                Z[of],
                start,
                rows[of],
                target,
                oracle,
                metric=self.metric,
                min_margin=self.min_margin,
                verbose=self.verbose,
            )
        best, least = cheapest_of_each(self.feature_space_, Z, of, start, self.metric)
        if self.refine and ROUNDS:
            for _ in range(ROUNDS):
                code = oracle.labels(best, rows)
                ok = np.flatnonzero(np.isfinite(least) & (code != own))
                place, more = assemble(Z[ok], rows[ok], code[ok], oracle, self._moves, current=best[ok], metric=self.metric, min_margin=self.min_margin)
                place = ok[place]
                cost = self.feature_space_.costs_.between(more, Z[place], self.metric)
                keep = cost < least[place] * KEEP
                place, more = place[keep], more[keep]
                more = refine(Z[place], more, rows[place], code[place], oracle, metric=self.metric, min_margin=self.min_margin)
                best, least = cheapest_of_each(self.feature_space_, Z, np.concatenate([np.arange(len(Z)), place]), np.concatenate([best, more]), self.metric)
        return best, {}
