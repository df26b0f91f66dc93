"""NearestExplainer: the nearest allowed training row of the target class, refined."""

from numbers import Integral, Real

from skcf._compat import Interval, StrOptions
from skcf._search import LocalSearch
from skcf.base import BaseCounterfactual
from skcf.space._cost import METRICS

__all__ = ["NearestExplainer"]

MODES = {True: "thorough", "quick": "quick", False: "nearest"}


class NearestExplainer(BaseCounterfactual):
    """Counterfactuals that change as little as can be, from the nearest real rows.

    For each row, the nearest training row that the classifier itself puts in the target
    class and that the constraints allow is found, exactly. Then, unless `refine` is False, it is
    refined: the changes that are not needed are undone, and the others shortened to just inside
    the decision boundary; changes of single features are tried, put together where they are
    cheaper, and exchanged. It is quick, needs nothing of the classifier but its labels, comes near
    the proven optimum, and is the baseline that other explainers have to beat.

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
    refine : bool or "quick", default=True
        Whether to make changes smaller. ``"quick"``: only undo and shorten those of the nearest
        rows, which asks the classifier a third as often, and is dearer by half or more. If False,
        counterfactuals are real rows, except where no real one is allowed (see Notes).
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
    ExactExplainer : Proves that there is nothing cheaper, for the models that it knows.
    FeatureSpace : Says what may change, and what it costs.

    Notes
    -----
    Where the constraints allow no training row of the target class (few people share all
    immutable values, say), the nearest ones are tried with the constraints imposed on them.
    A row is ``infeasible`` only if that fails too, and what comes next.

    What is dear to change by a neighbour's example may be cheap otherwise. So each row is also
    asked about with each feature set to each of its categories, or to values some quantiles away
    (some 600 numbers, two a feature at least). If what such changes add to the margin adds up,
    the cheapest set of them that suffices is a knapsack, which is solved for all rows at once by
    dynamic programming, for some demands around what is missing. Those sets that are valid are
    refined like the nearest rows. From the best result the same is done once more: changes are
    exchanged for others.

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
        "refine": ["boolean", StrOptions({"quick"})],
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
        """Keep the rows to start from, and the changes to try."""
        self._local_search = LocalSearch(
            Z,
            labels,
            oracle,
            self._targets,
            metric=self.metric,
            min_margin=self.min_margin,
            mode=MODES[self.refine],
        )

    def _search(self, Z, own, rows, oracle):
        """Find the cheapest counterfactual of each row that a local search can."""
        best, _ = self._local_search.find(
            Z,
            own,
            rows,
            oracle,
            self._target_code,
            k=self.n_neighbors,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        return best, {}

    def _search_several(self, Z, own, rows, oracle, n_counterfactuals):
        """Find counterfactuals that change different features; Z has each row so many times."""
        k = n_counterfactuals
        found = self._local_search.find_several(
            Z[::k],
            own[::k],
            rows[::k],
            oracle,
            self._target_code,
            k,
            k=self.n_neighbors,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        return found.reshape(Z.shape), {}
