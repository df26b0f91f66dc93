"""ExactExplainer: counterfactuals that are proven to be the cheapest."""

import time
import warnings
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from skcf._compat import Interval
from skcf._progress import progress
from skcf._result import CounterfactualResult
from skcf._search import LocalSearch
from skcf._targets import OTHER
from skcf.base import BaseCounterfactual
from skcf.exact._models import Model
from skcf.exact._programme import Programme
from skcf.exact._row import Row

__all__ = ["ExactExplainer", "ExactResult"]

N_STARTS = 3  # nearest rows, refined, that tell what is too dear to look at
SLACK = 1e-7  # share by which a change may be dearer than what is known: rounding
ENOUGH = 0.99  # share of the margin that an answer must have
SAFER, LEAST_STEP = 2.0, 1e-9  # how much more is demanded than rounding has eaten
ATTEMPTS = 4
TINY = 1e-12


@dataclass(frozen=True, repr=False, eq=False)
class ExactResult(CounterfactualResult):
    """Counterfactuals, and the proof of how good they are.

    Attributes
    ----------
    lower_bound : ndarray of float64, shape (n_samples,)
        No allowed row that the classifier puts in the target, by at least ``min_margin``, costs
        less. Infinite where it is proven that there is none, 0 where nothing is known.
    """

    lower_bound: np.ndarray | None = None

    @property
    def gap(self):
        """Share of each cost by which it may be above the optimum; 0 is proven to be optimal."""
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = (self.cost - self.lower_bound) / self.cost
        return np.where(self.cost == 0, 0.0, np.maximum(gap, 0.0))

    def summary(self):
        """Sum the result up in a few numbers: also the share of answers proven to be optimal."""
        found = self.status == "found"
        proven = float(np.mean(self.gap[found] <= 1e-3)) if found.any() else float("nan")
        return {**super().summary(), "proven": proven}


class ExactExplainer(BaseCounterfactual):
    """The cheapest counterfactual that the constraints allow, with a proof.

    For each row a mixed-integer linear programme is solved by HiGHS [1]_: over all values that its
    features may have, the least cost at which the classifier's score of the target class is ahead.
    Every answer comes with a lower bound. It is the yardstick for the other explainers, and for
    those who need to know that there is no cheaper way. It takes from some milliseconds a row
    (linear models) to seconds (boosted trees), and longer for large forests.

    Parameters
    ----------
    estimator : object, default=None
        The classifier to explain, fitted: a linear model, a tree, a forest or boosted trees of
        scikit-learn, bare or at the end of a Pipeline of scalers, encoders and imputers. None: a
        small gradient-boosting surrogate is trained on what ``fit`` is given.
    target_class : object, default=None
        The class that rows are moved to. ``"other"``: each row leaves its own class for the
        nearest other one. None: ``classes_[1]`` of two classes, ``"other"`` with more.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost. None: everything, with kinds read off the data.
    min_margin : float, default=1e-4
        How far the target's score has to be ahead, on the logit scale, so that rounding cannot
        flip it back. The optimum is that of all rows so far inside.
    time_limit : float, default=None
        Seconds for each row. The best counterfactual by then is returned, with its bound.
    tol : float, default=1e-4
        Relative gap at which a counterfactual counts as proven.
    n_jobs : int, default=None
        Number of workers, each with rows of its own; as in joblib.
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

    Raises
    ------
    ValueError
        By ``fit``, if the classifier is of no kind that a programme can be made of; the message
        lists those that are.

    Warns
    -----
    ConvergenceWarning
        By ``explain`` and ``transform``, if no time limit is set and a row is not proven all the
        same.

    See Also
    --------
    NearestExplainer : Nearly as cheap, and thousands of times as fast.

    Notes
    -----
    The cost is the feature space's ``"cityblock"``. How a preprocessing writes rows is found by
    asking it, so any will do that writes a row as a sum over its columns.

    A linear model's programme has two variables for each number (how far up, how far down) and one
    for each category. A tree model parts each number into cells, between which nothing changes; in
    each cell the value nearest to the row's own is as good as any. One variable says for each cell
    that the value is in it or below, and one for each leaf that a tree ends there; at each node, no
    more of the leaves below its left side can be on than the row goes left [2]_. What is dearer
    than a counterfactual that is known already (the nearest rows, refined) is left out.

    A missing number that is filled in is filled with one between the lowest and the highest in
    ``fit``, since it costs the same whatever it is.

    The time limit makes answers depend on the machine; without it they do not.

    References
    ----------
    .. [1] Q. Huangfu, J. A. J. Hall. "Parallelizing the dual revised simplex method."
       Mathematical Programming Computation 10 (2018), 119-142.
    .. [2] V. V. Misic. "Optimization of tree ensembles." Operations Research 68 (2020), 1605-1624.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcf import ExactExplainer
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> explainer = ExactExplainer(model, target_class=2).fit(X, model.predict(X))
    >>> result = explainer.explain(X[::10])
    >>> result
    <ExactResult of 15 rows: 6 already_target, 9 found>
    >>> bool((result.gap <= 1e-4).all())
    True
    """

    _parameter_constraints: dict = {
        **BaseCounterfactual._parameter_constraints,
        "min_margin": [Interval(Real, 0, None, closed="left")],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "tol": [Interval(Real, 0, 1, closed="left")],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _result_type = ExactResult
    # fewer and smaller trees than usual, that learn faster: programmes grow with them
    _surrogate_options = {"max_iter": 20, "max_leaf_nodes": 8, "learning_rate": 0.3}

    def __init__(
        self,
        estimator=None,
        *,
        target_class=None,
        feature_space=None,
        min_margin=1e-4,
        time_limit=None,
        tol=1e-4,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        super().__init__(estimator, target_class=target_class, feature_space=feature_space)
        self.min_margin = min_margin
        self.time_limit = time_limit
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _learn(self, Z, labels, oracle, sample_weight):
        """Read the model, and keep the rows that are far enough inside of their class."""
        self._model = Model(oracle, Z)
        self._local_search = LocalSearch(
            Z, labels, oracle, self._targets, min_margin=self.min_margin
        )

    def _details_of_the_rest(self, n_rows):
        return {"lower_bound": np.zeros(n_rows)}

    def _search(self, Z, own, rows, oracle):
        """Solve each row's programme, of what is no dearer than what a quick search finds."""
        known, dearest = self._known(Z, own, rows, oracle)
        kept = oracle.kept
        tasks = [
            _Task(
                self._model,
                Z[i],
                self._model.embedding(Z[[i]], kept, rows[[i]])[0],
                self._odd_effects(Z[i], kept, rows[i]),
                self._targets_of(own[i]),
                dearest[i],
                bool(kept.is_known[rows[i]]),
            )
            for i in range(len(Z))
        ]
        options = {"margin": self.min_margin, "tol": self.tol, "time_limit": self.time_limit}
        found = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(_solved)(task, **options) for task in tasks
        )
        answers = list(progress(found, self.verbose, len(tasks), "programmes"))
        return self._better(Z, known, dearest, answers, rows, own, oracle)

    def _known(self, Z, own, rows, oracle):
        """Good counterfactuals, found quickly, and what they cost."""
        return self._local_search.find(Z, own, rows, oracle, self._target_code, k=N_STARTS)

    def _targets_of(self, own):
        """Class codes that a row of some class may move to."""
        if self._target_code != OTHER:
            return [self._target_code]
        return [code for code in range(len(self.classes_)) if code != own]

    def _odd_effects(self, z, kept, row):
        odd = self._model.embedding.is_odd(z[None])[0]
        return {int(j): kept.effect(j, np.array([row]))[0] for j in np.flatnonzero(odd)}

    def _better(self, Z, known, dearest, answers, rows, own, oracle):
        """The programmes' answers where they are valid and no dearer than what was known."""
        bound = np.array([answer.bound for answer in answers])
        proposed = np.array([answer.z for answer in answers]).reshape(Z.shape)
        space = self.feature_space_
        proposed = space.constraints_.project(proposed, Z)
        cost = space.costs_.between(proposed, Z)
        code = np.array([answer.target for answer in answers])
        use = (code >= 0) & (oracle.labels(proposed, rows) == code) & (cost <= dearest)
        least = np.minimum(np.where(use, cost, np.inf), dearest)
        # rounding apart, no bound is above what was found
        bound = np.minimum(bound, least)
        if self.time_limit is None:
            self._warn_of_unproven(least, bound)
        return np.where(use[:, None], proposed, known), {"lower_bound": bound}

    def _warn_of_unproven(self, cost, bound):
        """Say where a proof was not cut short by a time limit, and failed all the same."""
        # an infinite cost is none
        allowed = np.where(np.isfinite(cost), 2 * self.tol * cost + TINY, np.inf)
        with np.errstate(invalid="ignore"):
            n_unproven = int(np.sum(cost - bound > allowed))
        if n_unproven:
            warnings.warn(
                f"{n_unproven} of {len(cost)} rows are not proven to be within tol={self.tol} of "
                "the optimum, for rounding, or since missing values enter the classifier in a way "
                "that depends on other columns; the result's gap tells which.",
                ConvergenceWarning,
                stacklevel=7,
            )


@dataclass(frozen=True, eq=False)
class _Task:
    """What a worker needs to solve the programmes of one row."""

    model: Model
    z: np.ndarray
    x: np.ndarray
    effects: dict
    targets: list
    dearest: float
    is_known: bool


@dataclass(frozen=True, eq=False)
class _Answer:
    """What a worker found: a row and the class that it is in (-1: none), and a lower bound."""

    z: np.ndarray
    target: int
    bound: float


def _solved(task, *, margin, tol, time_limit):
    """Solve the programme of one row for each class that it may move to."""
    if not task.is_known:  # how its missing values enter is not known: nothing can be proven
        return _Answer(task.z, -1, 0.0)
    end = None if time_limit is None else time.monotonic() + time_limit
    best, least, bound = _Answer(task.z, -1, np.inf), task.dearest, np.inf
    for target in task.targets:
        answer, cost = _solved_once(task, target, least, margin, tol, end)
        bound = min(bound, answer.bound)
        if answer.target >= 0 and cost <= least:
            best, least = answer, cost
    return _Answer(best.z, best.target, bound)


def _solved_once(task, target, dearest, margin, tol, end):
    """Solve one programme, with more margin where rounding leaves too little."""
    model, wanted, bound = task.model, margin, None
    limit = dearest * (1 + SLACK)
    row = Row(model.space, task.z, task.x, task.effects, model.seen, limit)
    for _ in range(ATTEMPTS):
        programme, moves = _programme(row, model.scores, model.demands(target, wanted))
        outcome = programme.solve(None if end is None else end - time.monotonic(), tol)
        bound = max(outcome.bound, 0.0) if bound is None else bound
        if outcome.x is None:
            break
        z = row.base.copy()
        for j, move in moves.items():
            z[j] = move.picked(outcome.x)
        z = model.space.constraints_.project(z[None], task.z[None])[0]
        cost = float(model.space.costs_.between(z[None], task.z[None])[0])
        reached = model.margin(row, z, target)
        if np.isfinite(cost) and reached >= max(ENOUGH * margin, TINY):
            return _Answer(z, target, bound), cost
        wanted += max(SAFER * (margin - reached), LEAST_STEP)
    return _Answer(task.z, -1, bound), np.inf


def _programme(row, scores, demands):
    """The programme of one row and one class, and the variables of the features."""
    programme = Programme(row.dearest)
    moves = scores.build(programme, row, demands)
    row.imply(programme, moves)
    return programme, moves
