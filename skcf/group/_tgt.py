"""TGTExplainer: transitive global translations."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from skcf._compat import Interval, StrOptions
from skcf._representations import is_flat
from skcf.group._base import BaseGroupExplainer
from skcf.group._coordinate import is_affine, solve_coordinate
from skcf.group._metric import MOST_ROWS, solve_metric
from skcf.group._metric_pairs import climb_each_pair
from skcf.group._problem import LOSSES
from skcf.group._prox import Path, certificates, solve_prox
from skcf.group._refit import refit_each_pair, refit_together
from skcf.group._selection import select_supports
from skcf.group._stochastic import solve_stochastic
from skcf.group._warm import SolvedPath, taken_over

__all__ = ["TGTExplainer"]

SMALLEST = 1e-3
"""The last alpha of a path, as a share of the first, which allows no change at all."""

PRECISE = 1e-4
"""By how much coordinate descent, of which steps are cheap, stops later than "prox"."""

MOST_KEPT = 2
"""Paths that are kept for the fits that follow: of all rows, and of one half of them."""

SOLVERS = ("auto", "prox", "coordinate", "stochastic", "metric")


class TGTExplainer(BaseGroupExplainer):
    """Translations between groups that are sparse, and consistent over all of them (TGT, [1]_).

    Each group has one explanation for each other one: what is to be added to its rows for them to
    be like the rows of the other, in a representation r. Translations are differences,
    ``delta_ij = t_j - t_i``, so that they are symmetric, ``delta_ij = -delta_ji``, and transitive,
    ``delta_ij + delta_jk = delta_ik``. They minimise, over all ordered pairs of groups ([1]_, Eq.
    9), the mean of ::

        ||r(xbar_i + delta_ij) - rbar_j||^2 + alpha ||delta_ij||_1

    with xbar_i the mean of the rows of group i, and rbar_j the mean of the representations of
    group j. The l1 norm makes features exactly 0 (``solver="stochastic"``, the published
    algorithm, comes near to that only).

    Parameters
    ----------
    representation : object, default=None
        r: a fitted transformer (a PCA, a Pipeline; one that encodes categories itself where there
        are any), a torch module, or a function of rows of numbers. None: the logit margins of the
        classifier; without a classifier the numbers themselves, in units of their scale.
    estimator : object, default=None
        A fitted classifier whose predictions are the groups, as in every explainer; or a fitted
        clusterer with ``predict``. None: y of ``fit`` holds the groups, and a row belongs to the
        group of the nearest training row in the representation, or to none beyond `eps`.
    target_class : object, default=None
        The group that rows are translated to. ``"other"``: each row goes to the group that is
        cheapest to get to, among those where it arrives. None: ``classes_[1]`` of two groups,
        ``"other"`` with more. With one target, only the translations to it are sought.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost. None: everything. Translations are 0 for immutable
        features and for categories. A feature that may only rise or fall has none either, since
        ``delta_ij = -delta_ji``, unless there is one target.
    alpha : float or array-like of float, default=None
        Weight of the l1 norm, in units of cost: a feature's step over its scale. Of several, one is
        chosen by `selection`. None: `n_alphas` of them, on a path from the least with which
        nothing changes.
    n_alphas : int, default=20
        Length of that path.
    loss : {"mean", "min"}, default="mean"
        What is led to what: the mean of a group to the mean of the other's representations (Eq.
        6), or each row to the nearest representation of the other group (Eq. 5).
    n_features_to_change : int, default=None
        How many features each translation may change; the others' changes are dropped, the
        smallest ones (section 3.3). None: as many as are not 0.
    support : {"pair", "shared"}, default="pair"
        Whether each pair of groups has features of its own, as published, which gives up
        transitivity (see ``transitivity_violation_``); or all pairs the same, which keeps it.
    refit : bool, default=True
        Whether, where changes were dropped, translations are tried, too, that are the best with the
        features that are left, of each pair or of all, none larger than the range of its feature
        (an improvement of ours; not for ``loss="min"``). "metric" climbs from these, too, each
        pair by itself unless features are shared. If False, as published.
    reference_group : object, default=None
        The group that ``translations_`` are told from. None: the target, or the first group.
        Without influence on what is found.
    solver : {"auto", "prox", "coordinate", "stochastic", "metric"}, default="auto"
        "prox": monotone accelerated proximal gradient steps on all pairs at once, with the exact
        proximal operator, from several starts (zero, the difference between the means, half of
        it). "coordinate": for affine representations, to high precision. "stochastic": the
        published Algorithms 1 to 3. "metric": from what these find, gradient ascent on correctness
        plus coverage themselves, smoothed, with the features chosen in each step (an improvement
        of ours). "auto": "coordinate" where it applies, else "prox".
    selection : {"train", "cv"}, default="train"
        How alpha is chosen of several: by correctness, then coverage, on the rows that translations
        were found with, as published; or on the other half of the rows, "cv".
    balance : float, default=0.5
        Share of correctness, the rest being coverage, in what "metric" climbs.
    magnitude : {"group", "row"}, default="group"
        How much of its group's translation a row gets: all; or the least part, up to twice, with
        which it is valid (an improvement of ours).
    eps : float, default=None
        Distance in the representation within which a row counts as one of a group. None: the least
        within which 95 % of the rows of each group have another one of it.
    max_steps : int, default=500
        Most steps of a solver from each start (sweeps of "coordinate"; "stochastic" takes a
        hundred times as many).
    tol : float, default=1e-4
        Size of the gradient map, as a share of that at 0, at which "prox" and "coordinate" stop.
    warm_start : bool, default=False
        Whether `fit` takes over what the fit before has found where it would find the same: for the
        same rows, representation and alphas. So a table over `n_features_to_change` solves once.
        Not for ``loss="min"`` and "stochastic".
    verbose : int, default=0
        Not used, as all groups are solved at once.
    random_state : int, RandomState instance or None, default=None
        Draws pairs ("stochastic"), samples of large groups ("metric"), the halves ("cv"), and
        directions for functions of many features.

    Attributes
    ----------
    translations_ : ndarray of float64, shape (n_groups, n_features)
        t of each group, from the reference, before any feature is dropped.
    alpha_ : float
        The weight that was chosen; NaN for "metric", and where the difference between the means was
        taken (see Notes).
    alphas_ : ndarray of float64, shape (n_alphas,)
        Those that were tried.
    objective_, optimality_ : float
        Eq. 9 at ``translations_``, and the size of the gradient map there as a share of that at 0:
        0 at a stationary point. NaN for "metric", which minimises something else.
    n_steps_ : int
        Steps that led there.
    correctness_, coverage_ : ndarray of float64, shape (n_groups, n_groups)
        Of the translations of the training rows ([1]_, Eqs. 3 and 4), from i to j at [i, j]; NaN
        where there is none.
    transitivity_violation_ : float
        Largest ``|delta_ij + delta_jk - delta_ik|`` as a share of the largest ``|delta|``, after
        features were dropped.
    eps_ : float
        The radius.
    solver_ : str
        What "auto" came down to.
    classes_ : ndarray of shape (n_groups,)
        The groups.
    estimator_ : object
        Tells the group of a row.
    feature_space_ : FeatureSpace
        Fitted on X.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Their names, where all are text.

    See Also
    --------
    DBMExplainer : The difference between the means.
    skcf.metrics.group_correctness : Eq. 3, of any translations and rows.

    Notes
    -----
    The published code minimises half the square, plus lambda times the *mean* of ``|delta|`` over
    the d features: the same translations as with ``alpha = 2 lambda / d``. It has no exact zeros.
    Its data are scaled to [0, 1]; here steps are sought, and features dropped, in units that cost 1
    each, which with the default feature space is the same: shares of the range.

    A representation that is constant in steps, as the margins of trees are, has no slopes to
    follow. A net that is fitted to its values, of rows and of mixtures of rows, is followed instead
    (``objective_`` is of the net); correctness is that of the representation itself, and where the
    difference between the means has more, it is taken.

    Missing values stay missing; medians stand for them in means and representations, commonest
    categories for categories. In the mean of a group categories are its commonest ones.

    A row counts as found if the classifier, or the nearest training row, puts it in the target
    group. Rows that the latter puts in no group, and rows labelled -1 in ``fit`` (an empty text,
    where groups are texts), have the status ``"no_group"``, and stay as they are.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skcf import TGTExplainer
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> species = load_iris().target_names[y]
    >>> explainer = TGTExplainer(PCA(2).fit(X), n_features_to_change=1).fit(X, species)
    >>> explainer.translation("setosa", "virginica").round(2)
    array([0.  , 0.  , 4.96, 0.  ])
    """

    _parameter_constraints: dict = {
        **BaseGroupExplainer._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left"), "array-like", None],
        "n_alphas": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions(set(LOSSES))],
        "refit": ["boolean"],
        "solver": [StrOptions(set(SOLVERS))],
        "selection": [StrOptions({"train", "cv"})],
        "balance": [Interval(Real, 0, 1, closed="both")],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        representation=None,
        *,
        estimator=None,
        target_class=None,
        feature_space=None,
        alpha=None,
        n_alphas=20,
        loss="mean",
        n_features_to_change=None,
        support="pair",
        refit=True,
        reference_group=None,
        solver="auto",
        selection="train",
        balance=0.5,
        magnitude="group",
        eps=None,
        max_steps=500,
        tol=1e-4,
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        super().__init__(
            representation,
            estimator=estimator,
            target_class=target_class,
            feature_space=feature_space,
            n_features_to_change=n_features_to_change,
            support=support,
            reference_group=reference_group,
            magnitude=magnitude,
            eps=eps,
        )
        self.alpha = alpha
        self.n_alphas = n_alphas
        self.loss = loss
        self.refit = refit
        self.solver = solver
        self.selection = selection
        self.balance = balance
        self.max_steps = max_steps
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    def _translate(self, task):
        """Solve for each alpha, and choose one; or go on to what is reported."""
        random = check_random_state(self.random_state)
        task = task.following(random)
        self.solver_ = self._settled_solver(task)
        self.alphas_ = self._checked_alphas(task.problem)
        if self.solver_ == "metric":
            return self._climbed(task, random)
        path = self._path(task.problem, self.alphas_, random)
        deltas = self._candidates(task, path.translations)
        a = self._chosen(task, deltas, random)
        T, deltas, a = path.translations[a % len(self.alphas_)], deltas[a], a % len(self.alphas_)
        dbm = task.problem.difference_between_means()
        means = self._kept(task.problem, dbm)
        if is_flat(task.representation) and self._is_better(task, means, deltas):
            return self._fallen_back(dbm), means
        self.alpha_, self.objective_ = float(self.alphas_[a]), float(path.objectives[a])
        self.optimality_, self.n_steps_ = float(path.certificates[a]), int(path.n_iter[a])
        if task.problem.representation.is_smooth and self.solver_ != "stochastic":
            self._warn_if_unfinished()
        return T, deltas

    def _settled_solver(self, task):
        """What "auto" comes down to; refuses what does not go together."""
        can_descend = self.loss == "mean" and is_affine(task.problem.representation)
        if self.solver == "coordinate" and not can_descend:
            raise ValueError(
                "solver='coordinate' is for affine representations and loss='mean': use 'prox' or "
                "'auto'."
            )
        if self.solver == "stochastic" and (self.loss != "mean" or task.target is not None):
            raise ValueError(
                "solver='stochastic' is for loss='mean' and target_class='other', as published: "
                "use 'prox' or 'auto'."
            )
        if self.solver == "metric" and self.selection == "cv":
            raise ValueError("selection='cv' chooses alpha, of which solver='metric' has none.")
        if self.solver != "auto":
            return self.solver
        return "coordinate" if can_descend else "prox"

    def _checked_alphas(self, problem):
        """Weights that are tried, the largest first."""
        if self.alpha is None:
            return problem.largest_alpha() * np.geomspace(1, SMALLEST, self.n_alphas)
        alphas = np.atleast_1d(np.asarray(self.alpha, dtype=np.float64))
        if alphas.ndim != 1 or not len(alphas) or not (np.isfinite(alphas) & (alphas >= 0)).all():
            raise ValueError(
                f"alpha must be a number of at least 0, or several of them; got {self.alpha!r}."
            )
        return np.sort(alphas)[::-1]

    def _path(self, problem, alphas, random):
        """Translations for each alpha, with what tells how good they are."""
        if not self.warm_start or self.loss == "min" or self.solver_ == "stochastic":
            return self._solved(problem, alphas, random)
        sources = (self.representation, self.estimator)
        options = (self.solver_, self.max_steps, self.tol, self.random_state, *self._units())
        before = getattr(self, "_solved_paths", [])
        path = taken_over(before, problem, alphas, sources, options)
        if path is None:
            path = self._solved(problem, alphas, random)
            one = SolvedPath(problem, sources, options, path)
            self._solved_paths = [*before, one][-MOST_KEPT:]
        return path

    def _solved(self, problem, alphas, random):
        """The same, found anew."""
        if self.solver_ == "stochastic":
            return self._stochastic_path(problem, alphas, random)
        options, starts = {"max_iter": self.max_steps, "tol": self.tol}, None
        can_descend = self.loss == "mean" and is_affine(problem.representation)
        if self.solver_ == "coordinate" or (self.solver_ == "metric" and can_descend):
            path = solve_coordinate(
                problem, alphas, max_iter=self.max_steps, tol=PRECISE * self.tol
            )
            if (path.certificates <= self.tol).all():
                return path
            starts = path.translations  # it came to rest on the way
        return solve_prox(problem, alphas, starts=starts, **options)

    def _stochastic_path(self, problem, alphas, random):
        """The published algorithm, once for each alpha."""
        options = {"max_iter": 100 * self.max_steps, "random_state": random}
        runs = [solve_stochastic(problem, alpha, **options) for alpha in alphas]
        T = np.stack([run.translations for run in runs])
        n_iter = np.array([run.n_iter for run in runs])
        return Path(
            alphas, T, problem.objective(T, alphas), certificates(problem, T, alphas), n_iter
        )

    def _drops(self, task):
        """Whether features are left out: where none are, translations are transitive."""
        k = self.n_features_to_change
        return k is not None and k < task.Z.shape[1]

    def _candidates(self, task, translations):
        """What is kept for each alpha, and then what becomes of that by refitting it."""
        kept = self._kept(task.problem, translations)
        if not self.refit or not self._drops(task) or self.loss != "mean":
            return kept
        reach = np.ptp(task.Z, axis=0)
        if self.support == "shared":
            refitted = refit_together(task.problem, translations, kept, reach)
        else:
            refitted = refit_each_pair(task.problem, kept, reach)
        return np.concatenate([kept, refitted])

    def _chosen(self, task, candidates, random):
        """Which of the candidates is best; the one of the largest alpha of equals."""
        if len(candidates) == 1:
            return 0
        if self.selection == "train":
            return self._best(task, candidates, random)
        learned, held_out = (task.of_rows(rows) for rows in _halves(task.labels, random))
        of_half = self._path(learned.problem, self.alphas_, random).translations
        return self._best(held_out, self._candidates(learned, of_half), random)

    def _best(self, task, candidates, random):
        """The most correctness, then coverage, of translations of all pairs."""
        told = _shares(task, candidates, random)
        if not np.any(told):
            return len(self.alphas_) - 1  # nothing arrives: what leads furthest
        return max(range(len(told)), key=lambda a: (*told[a], -a))

    def _is_better(self, task, means, found):
        """Whether the difference between the means leads more rows to where they are to be."""
        of_means, of_found = _shares(task, [means, found], check_random_state(0))
        return tuple(of_means) > tuple(of_found)

    def _fallen_back(self, dbm):
        """The difference between the means, for a map that has no slopes to follow."""
        self.alpha_ = self.objective_ = self.optimality_ = np.nan
        self.n_steps_ = 0
        return dbm

    def _climbed(self, task, random):
        """Translations of the largest correctness plus coverage, and what is kept of them."""
        problem, k = task.problem, self.n_features_to_change
        path = self._path(problem, self.alphas_, random).translations
        starts = path
        if self._drops(task):
            starts = np.concatenate([starts, select_supports(problem, k)])
        score = task.score.weighing(self.balance)
        run = solve_metric(problem, score, starts, k, support=self.support, random_state=random)
        self.alpha_ = self.objective_ = self.optimality_ = np.nan
        self.n_steps_ = run.n_iter
        T, kept = run.translations, self._kept(problem, run.translations)
        if not self.refit or not self._drops(task) or self.support == "shared":
            return T, kept
        candidates = np.concatenate([kept[None], self._candidates(task, path)])
        reach = np.ptp(task.Z, axis=0)
        return T, climb_each_pair(problem, score, candidates, reach, random_state=random)

    def _warn_if_unfinished(self):
        if self.optimality_ > max(self.tol, 1e-12):
            warnings.warn(
                f"solver={self.solver_!r} stopped at an optimality of {self.optimality_:.1e}, "
                f"above tol={self.tol}: raise max_steps={self.max_steps}, or tol.",
                ConvergenceWarning,
                stacklevel=8,
            )


def _shares(task, candidates, random):
    """Correctness and coverage of translations of all pairs, in means, shape (n, 2).

    Scores of trees are few, and eps is narrow: so the share that arrives comes before these there.
    """
    pairs, score = task.problem.pairs, task.score.sampled(MOST_ROWS, random)
    deltas = [each[pairs.source, pairs.end] for each in candidates]
    told = [score.of_each(d) @ pairs.weights for d in deltas]
    if not is_flat(task.representation):
        return told
    return [[score.arrivals(d) @ pairs.weights, *t] for d, t in zip(deltas, told, strict=True)]


def _halves(labels, random):
    """Two halves of the rows of each group."""
    halves = [], []
    for code in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == code))
        middle = len(members) // 2
        halves[0].append(members[:middle])
        halves[1].append(members[middle:])
    return tuple(np.sort(np.concatenate(half)) for half in halves)
