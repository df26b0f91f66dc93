"""CCEExplainer: one transport plan for everybody, read off one row at a time."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcf._classifiers import codes_of
from skcf._compat import Interval, StrOptions, checked_sample_weight, fit_context
from skcf._fitting import unchanged_on_failure
from skcf._imposing import impose_on_targets
from skcf._oracle import Oracle
from skcf._refine import refine
from skcf._result import CounterfactualResult
from skcf._targets import OTHER, reached
from skcf.base import BaseCounterfactual, warn_of_failures
from skcf.collective._allocation import allocate
from skcf.collective._frontier import CrowdingFrontier, frontier_of
from skcf.collective._paths import PathsMixin
from skcf.collective._plans import distinct_people, expanded, population_of
from skcf.collective._posted import PostedPrices
from skcf.collective._read_outs import uniforms
from skcf.collective._result import CollectiveResult
from skcf.space._constraints import same
from skcf.space._containers import checked_container
from skcf.space._cost import METRICS
from skcf.transport import SOLVERS, crowding_path, mean_cost, solve_transport
from skcf.transport._divergences import SOURCES, TARGETS

__all__ = ["CCEExplainer"]

REFINED_MARGIN = 1e-4  # on the logit scale, that refined counterfactuals keep
BISECTIONS = 10


class CCEExplainer(PathsMixin, BaseCounterfactual):
    """Collective counterfactuals: advice that stays good when everybody follows it.

    Where each person is sent to the nearest place that is accepted, all crowd into the same
    few places. Here one transport plan is made for all rejected people of the training
    rows at once: it weighs the effort of the moves against the crowding at their targets,
    which are real accepted rows ([1]_; relaxed to unbalanced optimal transport). The plan posts a
    price of crowding at each target, and every row, old or new, then goes where effort plus
    price is least: one solve explains any number of people.

    Parameters
    ----------
    estimator : object, default=None
        The classifier to explain, fitted: a scikit-learn classifier or Pipeline, a torch
        module that returns logits for encoded rows, a skorch net, or a function of rows that
        returns labels or scores of shape (n_samples, n_classes). None: a gradient-boosting
        surrogate is trained on what ``fit`` is given.
    target_class : object, default=None
        The class that rows are moved to. ``"other"``: each row leaves its own class, and there is
        one plan for each class. None: ``classes_[1]`` of two classes, ``"other"`` with more.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost. None: everything, with kinds read off the data.
    crowding_penalty : float, default=1.0
        Weight of the divergence of the targets' occupation from the accepted population, in
        mean costs. The smaller, the more individual the advice: towards 0 everybody goes to
        the nearest target; towards infinity the accepted population's distribution is kept
        (balanced transport). In the poster's notation it is ``eta * lambda**2``, or ``lambda`` in
        its first display.
    source : {"hard", "kl", "chi2"}, default="hard"
        Whether everybody is served ("hard", the poster's Step 1), or some may be left out at
        a penalty (Step 2, "kl"). Left out or not, everybody is advised at the prices;
        `served_fraction_` tells what the plan did.
    source_penalty : float, default=1.0
        Weight of the divergence of those served from all people, in mean costs.
    divergence : {"chi2", "kl"}, default="chi2"
        The divergence that measures crowding.
    cost : {"sqeuclidean", "euclidean", "cityblock"}, default="sqeuclidean"
        How the scaled differences of the features add up to the effort; see
        `FeatureSpace.cost`.
    cost_power : float, default=1
        The poster's q: the power that the effort is raised to, the mean's root being taken.
        Beyond 1 the plan is stationary, not proven optimal.
    read_out : {"argmin", "sample", "barycentric"}, default="argmin"
        How a row's target is found. "argmin": the cheapest at the posted prices, a real row.
        "sample": drawn from the softened row, by a hash of the row, its index label
        where it has one, and the seed, so that people who share a row are split up. "barycentric":
        the softened row's mean in the numeric features, pulled towards the argmin target until
        the classifier accepts it.
    refine : bool, default=False
        Whether to undo and shorten changes afterwards, as `NearestExplainer` does. It saves effort
        and moves people off the plan: ``explainer.crowding(explainer.explain(X))`` tells what
        that costs.
    solver : {"auto", "newton", "projected_gradient", "sinkhorn"}, default="auto"
        See `skcf.transport.solve_transport`.
    reg : float, default=None
        Weight of an entropy in the plan, in mean costs, which makes the plan soft and with it
        "sample" and "barycentric"; for solver "sinkhorn", which "auto" then stands for. None: no
        entropy; rows are as soft as the solver left them, which is next to nothing.
    tol : float, default=1e-4
        Relative duality gap of the plan.
    max_passes : int, default=None
        Limit of the passes over all pairs; see `skcf.transport.solve_transport`.
    n_jobs : int, default=None
        Number of workers for the passes over all pairs; as in joblib.
    verbose : int, default=0
        Whether to show progress.
    random_state : int, RandomState instance or None, default=None
        Draws the solver's samples, the seed of ``read_out="sample"`` and that of the surrogate.

    Attributes
    ----------
    plan_ : csr_array of shape (n_sources, n_targets)
        Mass that moves from each person to each target. All masses sum to 1, unless a
        soft source leaves some out; under ``"other"``, each class has its share.
    prices_ : ndarray of float64, shape (n_targets,) or (n_classes, n_targets)
        Price of crowding at each target, in mean costs; under ``"other"`` for the people of each
        class, infinite at targets that are not for them.
    targets_ : ndarray or DataFrame of shape (n_targets, n_columns)
        The distinct accepted rows.
    source_indices_ : ndarray of int, shape (n_sources,)
        Which of the training rows are the people to be moved.
    source_marginal_ : ndarray of float64, shape (n_sources,)
        Mass that the plan moves of each person.
    served_fraction_ : ndarray of float64, shape (n_sources,)
        Mass that the plan moves of each person over the person's own: 1 with a hard source, 0 where
        infeasible. A soft source may also move more than there is.
    target_marginal_ : ndarray of float64, shape (n_targets,)
        Mass that the plan moves to each target.
    target_mass_ : ndarray of float64, shape (n_targets,) or (n_classes, n_targets)
        Mass of the accepted population at each target, which crowding is measured against.
    transport_cost_ : float
        Effort of the plan, in mean costs.
    crowding_ : float
        Divergence of the targets' occupation from the accepted population, without its penalty.
    objective_, dual_objective_ : float
        What the plan pays in all, and the lower bound that the prices prove.
    gap_ : float
        Relative duality gap; the largest, where there are several plans.
    n_passes_ : int
        Passes over all pairs.
    cost_scale_ : float
        The mean cost, in units of the feature space: what counts as 1.
    infeasible_ : ndarray of bool, shape (n_sources,)
        People whom the constraints allow no target.
    allocation_ : ndarray of int, shape (n_samples,)
        One target for each training row, rounded from the plan; -1 for rows that need none or have
        none. See `explain_population`.
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
    NearestExplainer : Individual counterfactuals: the nearest row, whoever else goes there.
    skcf.transport.solve_transport : The solvers, on arrays.

    Notes
    -----
    The plan P minimises ``<C, P> + D1(p | a) + crowding_penalty * D2(q | b)``, where p and q are
    its marginals, a the people to be moved, b the accepted ones and C the cost over its mean. At
    the optimum (a Wardrop equilibrium) nobody could do better by another target at the prices
    ``g_j = 2 crowding_penalty (q_j / b_j - 1)``.

    A row that may become none of the targets (few people share all immutable values, say) is
    outside the plan: it gets the cheapest target on which its constraints can be imposed and
    that stays accepted, with a `target_index` of -1, or else is ``infeasible``.

    Where many people share one row (integer columns), no rule of the row alone can split them
    up; the plan does, and `allocation_` is its advice for the people it was made for.

    References
    ----------
    .. [1] A.-R. Ehyaei, A. Shirali, S. Samadi. "Collective Counterfactual Explanations:
       Balancing Individual Goals and Collective Dynamics" (poster, 2025).

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.svm import SVC
    >>> from skcf import CCEExplainer
    >>> X, y = make_moons(400, noise=0.1, random_state=0)
    >>> model = SVC().fit(X, y)
    >>> explainer = CCEExplainer(model, random_state=0).fit(X, model.predict(X))
    >>> result = explainer.explain(X[model.predict(X) == 0])
    >>> result.summary()["validity"]
    1.0
    >>> bool(explainer.gap_ <= 1e-4)
    True
    """

    _parameter_constraints: dict = {
        **BaseCounterfactual._parameter_constraints,
        "crowding_penalty": [Interval(Real, 0, None, closed="neither")],
        "source": [StrOptions(set(SOURCES))],
        "source_penalty": [Interval(Real, 0, None, closed="neither")],
        "divergence": [StrOptions(set(TARGETS))],
        "cost": [StrOptions(set(METRICS))],
        "cost_power": [Interval(Real, 1, None, closed="left")],
        "read_out": [StrOptions({"argmin", "sample", "barycentric"})],
        "refine": ["boolean"],
        "solver": [StrOptions(set(SOLVERS))],
        "reg": [Interval(Real, 0, None, closed="neither"), None],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_passes": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _result_type = CollectiveResult

    def __init__(
        self,
        estimator=None,
        *,
        target_class=None,
        feature_space=None,
        crowding_penalty=1.0,
        source="hard",
        source_penalty=1.0,
        divergence="chi2",
        cost="sqeuclidean",
        cost_power=1,
        read_out="argmin",
        refine=False,
        solver="auto",
        reg=None,
        tol=1e-4,
        max_passes=None,
        n_jobs=None,
        verbose=0,
        random_state=None,
    ):
        super().__init__(estimator, target_class=target_class, feature_space=feature_space)
        self.crowding_penalty = crowding_penalty
        self.source = source
        self.source_penalty = source_penalty
        self.divergence = divergence
        self.cost = cost
        self.cost_power = cost_power
        self.read_out = read_out
        self.refine = refine
        self.solver = solver
        self.reg = reg
        self.tol = tol
        self.max_passes = max_passes
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def _cost_metric(self):
        return self.cost

    @fit_context
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Make the plan for the people of X who are not predicted as the target class.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.
        y : array-like of shape (n_samples,), default=None
            What the classifier predicts for X (y_pred). None: it is asked.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts, in the feature space's scales, in the surrogate and in the
            masses: a row of weight 3 is three equal people, one of weight 0 nobody.

        Returns
        -------
        self : object
            Unchanged if the fit fails or is interrupted.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError
            If X, y or the weights cannot be used, or if no row is predicted as the target class,
            or all are. (If the constraints forbid every move, the plan is empty: all people are
            ``infeasible_``.)

        Warns
        -----
        ConvergenceWarning
            If the duality gap stays above `tol`.
        """
        with unchanged_on_failure(self):
            self._fit(X, y, sample_weight)
            if sample_weight is not None:
                self._report_for_all(checked_sample_weight(sample_weight, checked_container(X)))
        return self

    def _report_for_all(self, sample_weight):
        """Speak of all rows of X, not only of those of positive weight."""
        kept = np.flatnonzero(sample_weight)
        self.allocation_ = np.full(len(sample_weight), -1)
        self.allocation_[kept] = self._allocated
        self.source_indices_ = kept[self.source_indices_]

    def _learn(self, Z, labels, oracle, sample_weight):
        """Solve the plans and keep what explaining needs of them."""
        rng = check_random_state(self.random_state)
        self._seed = int(rng.randint(np.iinfo(np.int32).max))
        weight = np.ones(len(Z)) if sample_weight is None else sample_weight
        target = self._target_code
        self._check_anybody(labels)
        population = population_of(
            distinct_people(Z, labels, weight), target, self.feature_space_, self.cost
        )
        self.cost_scale_ = 1.0
        if population.movers:  # otherwise the constraints forbid every move
            self.cost_scale_ = sum(
                group.share * mean_cost(group.cost, rng, group.a, group.b)
                for group in population.movers
            )
        results = [self._solve(group, rng) for group in population.movers]
        self._index = oracle.origin.index
        self._keep(population, results)
        self._report(population, results, labels, weight)

    def crowding_path(self, penalties: Any) -> CrowdingFrontier:
        """Solve the plan of the fitted population for many crowding penalties.

        Each is solved from the prices of the one before, so a path costs little more than a
        plan. The explainer itself stays as it is.

        Parameters
        ----------
        penalties : array-like of float, shape (n_penalties,)
            Crowding penalties, in mean costs.

        Returns
        -------
        CrowdingFrontier
            Effort against crowding: what advice for all costs, and what it saves.

        Raises
        ------
        ValueError
            If a penalty is not positive and finite.
        """
        check_is_fitted(self)
        penalties = np.asarray(penalties, dtype=float)
        if penalties.ndim != 1 or not len(penalties) or not np.all(penalties > 0):
            raise ValueError(f"penalties must be a list of positive numbers, got {penalties}.")
        groups = self._population.movers
        rng = np.random.RandomState(self._seed)
        paths = [
            crowding_path(
                group.cost.times(1 / self.cost_scale_),
                group.a,
                group.b,
                penalties=penalties,
                **self._options(rng),
            )
            for group in groups
        ]
        return frontier_of(penalties, paths, [group.share for group in groups])

    def crowding(self, result: CounterfactualResult) -> float:
        """Divergence of where people end up from the accepted population, without its penalty.

        Parameters
        ----------
        result : CounterfactualResult
            Of this explainer, or of any other on the same columns: then each counterfactual
            counts for the target that it stands nearest to.

        Returns
        -------
        float
            0 if those who move spread as the accepted ones do; comparable with `crowding_` for
            equal numbers of people. NaN if nobody moved.
        """
        check_is_fitted(self)
        own = codes_of(result.y, self.classes_)
        found = np.flatnonzero(result.status == "found")
        index = getattr(result, "occupied_index", None)
        if index is None:
            table = self.feature_space_._tabulate(checked_container(result.X_cf)).take(found)
            index = np.full(len(own), -1)
            index[found] = self._posted.nearest(self.feature_space_._encode(table), own[found])
        found = found[index[found] >= 0]
        if not len(found):
            return float("nan")
        return self._posted.divergence(index[found], own[found], TARGETS[self.divergence])

    def explain_population(self) -> CollectiveResult:
        """Give the people that the plan was made for exactly its advice.

        Each training row gets one target, by `allocation_`: the plan rounded so that each target
        keeps its mass. Where many people share one row, only this splits them up.

        Returns
        -------
        CollectiveResult
            Of the training rows (those of positive weight).
        """
        check_is_fitted(self)
        distinct = self._population.distinct
        Z, own = distinct.Z[distinct.of_row], distinct.labels[distinct.of_row]
        space = self.feature_space_
        origin = replace(space.encoding_.decoder()(Z), index=self._index)
        oracle = Oracle(self._reader, space, origin)
        details, Z_cf = self._details_of_the_rest(len(Z)), Z.copy()
        rows = np.flatnonzero(self._is_needed(own))
        target = self._allocated[rows]
        Z_cf[rows], known = self._finished(
            Z[rows], self._led(Z[rows], target), own[rows], rows, oracle, target
        )
        for name, values in known.items():
            details[name][rows] = values
        X = space._restore(origin, origin.container())
        result = self._judged(X, Z, Z_cf, own, oracle, details)
        warn_of_failures(result, stacklevel=3)
        return result

    def _check_anybody(self, labels):
        """Refuse to fit where there is nobody to move."""
        if self._target_code != OTHER and np.all(labels == self._target_code):
            raise ValueError(
                "The classifier puts all rows of X in the target class "
                f"{self.classes_.tolist()[self._target_code]!r}: there is nobody to move."
            )

    def _solve(self, group, rng):
        """Solve the plan of some of the people."""
        return solve_transport(
            group.cost.times(1 / self.cost_scale_),
            group.a,
            group.b,
            target_penalty=self.crowding_penalty,
            **self._options(rng),
        )

    def _options(self, rng):
        """How the plan is to be solved."""
        return {
            "source": self.source,
            "source_penalty": self.source_penalty,
            "target": self.divergence,
            "cost_power": self.cost_power,
            "solver": self.solver,
            "reg": self.reg,
            "tol": self.tol,
            "max_passes": self.max_passes,
            "n_jobs": self.n_jobs,
            "verbose": self.verbose,
            "random_state": rng,
        }

    def _keep(self, population, results):
        """What explaining needs, and what the paths and the frontier go back to."""
        several = self._target_code == OTHER
        self._population = population
        self._posted = PostedPrices(
            self.feature_space_,
            population,
            results,
            range(len(self.classes_)) if several else [OTHER],
            metric=self.cost,
            power=self.cost_power,
            scale=self.cost_scale_,
            by_mass=self.solver == "sinkhorn" or self.reg is not None,
        )
        posted = self._posted
        self.targets_ = self.feature_space_.encoding_.decoder()(posted.Z).container()
        prices, masses = np.vstack(list(posted.prices.values())), list(posted.masses.values())
        self.prices_ = prices if several else prices[0]
        self.target_mass_ = np.vstack(masses) if several else masses[0]

    def _report(self, population, results, labels, weight):
        """Set the public attributes that tell of the plan."""
        moved = labels >= 0 if self._target_code == OTHER else labels != self._target_code
        people = np.flatnonzero(moved)
        spread = expanded(population, results, people, weight[people])
        shares = [group.share for group in population.movers]
        self.source_indices_ = people
        self.plan_ = spread.plan
        self.source_marginal_ = np.asarray(spread.plan.sum(axis=1)).ravel()
        self.target_marginal_ = np.asarray(spread.plan.sum(axis=0)).ravel()
        mass = np.where(spread.infeasible, 1.0, spread.mass)
        self.served_fraction_ = np.where(spread.infeasible, 0.0, self.source_marginal_ / mass)
        self.infeasible_ = spread.infeasible
        self._allocated = np.full(len(labels), -1)
        self._allocated[people] = allocate(spread.plan)
        self.allocation_ = self._allocated
        self.transport_cost_ = _weighted(shares, [r.transport_cost for r in results])
        penalties = _weighted(shares, [r.target_divergence for r in results])
        self.crowding_ = penalties / self.crowding_penalty
        self.objective_ = _weighted(shares, [r.primal for r in results])
        self.dual_objective_ = _weighted(shares, [r.dual for r in results])
        self.gap_ = max((r.gap for r in results), default=0.0)
        self.n_passes_ = sum(r.n_passes for r in results)

    def _details_of_the_rest(self, n_rows):
        nowhere = np.full(n_rows, -1)
        return {
            "effort": np.full(n_rows, np.nan),
            "price": np.full(n_rows, np.nan),
            "target_index": nowhere,
            "occupied_index": nowhere.copy(),
        }

    def _search(self, Z, own, rows, oracle):
        """Send each row to its target at the posted prices."""
        posted = self._posted
        if self.read_out == "sample":
            index = oracle.origin.index
            u = uniforms(Z, None if index is None else index[rows], self._seed)
            target = posted.drawn(Z, own, u)
        else:
            target = posted.cheapest(Z, own, n_jobs=self.n_jobs, verbose=self.verbose)[:, 0]
        Z_cf = self._led(Z, target)
        if self.read_out == "barycentric":
            led = np.flatnonzero(target >= 0)
            middle = posted.barycentres(Z[led], own[led], Z_cf[led])
            Z_cf[led] = self._accepted(middle, Z_cf[led], Z[led], own[led], rows[led], oracle)
        return self._finished(Z, Z_cf, own, rows, oracle, target)

    def _search_several(self, Z, own, rows, oracle, n_counterfactuals):
        """The cheapest targets of each row at the posted prices."""
        k = n_counterfactuals
        target = self._posted.cheapest(Z[::k], own[::k], k, n_jobs=self.n_jobs).ravel()
        none = np.repeat((target.reshape(-1, k) < 0).all(axis=1), k)
        none[np.arange(len(none)) % k > 0] = False  # the others of a row would be the same
        return self._finished(Z, self._led(Z, target), own, rows, oracle, target, stranded=none)

    def _led(self, Z, target):
        """The targets of rows; the rows themselves where there is none."""
        return np.where((target >= 0)[:, None], self._posted.Z[target], Z)

    def _finished(self, Z, Z_cf, own, rows, oracle, target, stranded=None):
        """Refine if asked, help those without a target, and say what each move is like."""
        led = np.flatnonzero(target >= 0)
        if self.refine and len(led):
            Z_cf[led] = refine(
                Z[led],
                Z_cf[led],
                rows[led],
                self._posted.labels[target[led]],
                oracle,
                metric=self.cost,
                min_margin=REFINED_MARGIN,
                verbose=self.verbose,
            )
        stranded = np.flatnonzero(target < 0 if stranded is None else stranded)
        if len(stranded):
            place, moved, _ = impose_on_targets(
                self._targets,
                self.feature_space_,
                Z[stranded],
                own[stranded],
                rows[stranded],
                oracle,
                self._target_code,
                metric=self.cost,
            )
            Z_cf[stranded[place]] = moved
        return Z_cf, self._details(Z, Z_cf, own, target)

    def _details(self, Z, Z_cf, own, target):
        """Effort, price and place of each counterfactual."""
        details = self._details_of_the_rest(len(Z))
        details["target_index"], details["occupied_index"] = target, target.copy()
        moved = np.flatnonzero((target >= 0) | ~same(Z, Z_cf).all(axis=1))
        as_posted = not self.refine and self.read_out != "barycentric"
        away = moved[target[moved] < 0] if as_posted else moved
        details["occupied_index"][away] = self._posted.nearest(
            Z_cf[away], own[away], n_jobs=self.n_jobs
        )
        details["effort"][moved], details["price"][moved] = self._posted.charges(
            Z[moved], Z_cf[moved], own[moved], target[moved]
        )
        return details

    def _accepted(self, middle, ends, Z, own, rows, oracle):
        """The first accepted point on the way from a barycentre to its target, by bisection."""
        project = self.feature_space_.constraints_.project
        best = project(middle, Z)
        valid = reached(oracle.labels(best, rows), own, self._target_code)
        rest = np.flatnonzero(~valid)
        best[rest] = ends[rest]
        near, far = np.zeros(len(rest)), np.ones(len(rest))
        for _ in range(BISECTIONS if len(rest) else 0):
            t = (near + far) / 2
            trial = (1 - t[:, None]) * middle[rest] + t[:, None] * ends[rest]
            trial = project(np.where(same(middle[rest], ends[rest]), ends[rest], trial), Z[rest])
            valid = reached(oracle.labels(trial, rows[rest]), own[rest], self._target_code)
            best[rest[valid]] = trial[valid]
            near, far = np.where(valid, near, t), np.where(valid, t, far)
        return best


def _weighted(shares, values):
    """Mean of values over people."""
    return float(np.dot(shares, values))
