"""Step-by-step routes to collective counterfactuals."""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from skcf._oracle import Oracle
from skcf._targets import OTHER
from skcf.base import warn_of_failures
from skcf.collective._path_displacement import Displacement
from skcf.collective._path_graph import PeopleGraph
from skcf.collective._path_grid import GridRoutes, check_free_features
from skcf.collective._path_report import Neighbourhood, speed_deviation
from skcf.collective._path_result import PathResult
from skcf.space import FeatureSpace
from skcf.space._constraints import same
from skcf.space._containers import checked_container

__all__ = ["PathsMixin"]

ROUTES = ("displacement", "graph", "back_and_forth")


class PathsMixin:
    """Adds `interpolate` to CCEExplainer."""

    feature_space_: FeatureSpace
    _explain: Callable

    def interpolate(
        self,
        X: Any,
        n_steps: int = 10,
        *,
        times: Any = None,
        route: str = "displacement",
        X_cf: Any = None,
    ) -> PathResult:
        """Return step-by-step routes from rows to their counterfactuals.

        A route starts at the row (time 0), ends at its counterfactual (time 1), and goes there at
        as constant a speed as it can ([1]_, "Path-Guided CE"). All states after time 0 are
        allowed by the constraints, for the row itself and from state to state (implications for
        the row itself: what has risen on the way before counts). Rows that need no
        counterfactual, or got none, stay where they are.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.
        n_steps : int, default=10
            Number of equal steps, where `times` are not given.
        times : array-like of shape (n_times,), default=None
            Times in [0, 1], increasing, at which the states are wanted. None: ``n_steps`` equal
            steps, from 0 to 1.
        route : {"displacement", "graph", "back_and_forth"}, default="displacement"
            How the routes go.

            "displacement": straight, ``(1 - t) x + t T(x)``. Whole numbers and ordinal
            categories step when they are due. Other categories switch once each; the switches are
            spread over the time by their shares of the cost, and ordered greedily: next is
            the one that leaves the classifier's margin highest. For the squared cost such
            routes do not cross, so that there is no crowding on the way that the ends do not have.

            "graph": from one real row to the next, along the shortest way through a graph of
            nearest neighbours, in hops that the constraints allow; the states are the stops
            nearest to where a constant speed leads. Where there is no such way: displacement.

            "back_and_forth": displacement along the optimal map from the density of the people who
            move to that of the plan's targets, on a grid of two or three numeric features that
            may change. The map guides the way; what is aimed at slides from the map's image to the
            row's own counterfactual, linearly in time. Rows with missing values there:
            displacement.
        X_cf : array-like or DataFrame of shape (n_samples, n_columns), default=None
            Counterfactuals to lead to instead, one a row: another explainer's, say, to compare
            individual with collective advice. None: those of `explain`.

        Returns
        -------
        PathResult
            The states at each time, and what the routes are like: their speed, whether they
            pass by real people, the classifier's margin, the crowding.

        Raises
        ------
        ValueError
            If the steps, times or the route are not as they should be, the features do not suit
            ``"back_and_forth"``, or the constraints do not allow X_cf.

        Warns
        -----
        InvalidCounterfactualWarning
            Once, if rows are left without a valid counterfactual.
        ConvergenceWarning
            If a map is too rough to guide.

        Notes
        -----
        A switch of a category is a jump, so the speed of a row with few of them cannot be
        constant; for numbers alone, it is.

        A row's states do not depend on which rows come with it, nor on the other times.

        The graph is made in each call, by two passes over all pairs of distinct training rows
        that share their immutable values.

        References
        ----------
        .. [1] A.-R. Ehyaei, A. Shirali, S. Samadi. "Collective Counterfactual Explanations:
           Balancing Individual Goals and Collective Dynamics" (poster, 2025).

        Examples
        --------
        >>> import numpy as np
        >>> from skcf import CCEExplainer
        >>> X = np.array([[18.0, 2.0], [20.0, 1.0], [40.0, 6.0], [44.0, 9.0]])
        >>> explainer = CCEExplainer(lambda X: X[:, 0] > 30, target_class=True).fit(X)
        >>> paths = explainer.interpolate(X[:2], n_steps=2)
        >>> paths
        <PathResult of 2 rows at 3 times: 2 displacement>
        >>> paths.long()
           row  time    x0   x1
        0    0   0.0  18.0  2.0
        1    0   0.5  31.0  5.5
        2    0   1.0  44.0  9.0
        3    1   0.0  20.0  1.0
        4    1   0.5  30.0  3.5
        5    1   1.0  40.0  6.0
        """
        check_is_fitted(self)
        times = _checked_times(n_steps, times)
        _check_route(route)
        if route == "back_and_forth":
            check_free_features(self.feature_space_)
        result = self._explain(X) if X_cf is None else self._judge_given(X, X_cf)
        warn_of_failures(result, stacklevel=3)
        return self._interpolated(result, times, route)

    def _judge_given(self, X, X_cf):
        """What `explain` says of counterfactuals, of counterfactuals that are given."""
        X = checked_container(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        space = self.feature_space_
        ends, Z, origin = space._pair(X_cf, X)
        oracle = Oracle(self._reader, space, origin)
        own = oracle.origin_labels()
        broken = ~space.constraints_.feasible(ends, Z) & ~same(ends, Z).all(axis=1)
        if broken.any():
            raise ValueError(
                f"The constraints do not allow {broken.sum()} of {len(Z)} rows of X_cf, the first "
                f"of them at position {np.argmax(broken)}: no route can keep them."
            )
        details = self._details_of_the_rest(len(Z))
        moved = self._is_needed(own) & ~same(ends, Z).all(axis=1)
        details["occupied_index"][moved] = self._posted.nearest(ends[moved], own[moved])
        return self._judged(X, Z, ends, own, oracle, details)

    def _interpolated(self, result, times, route):
        """Routes to the counterfactuals that were found, and what they are like."""
        space = self.feature_space_
        origin = space._tabulate(result.X)
        Z = space._encode(origin)
        ends = space._encode(space._tabulate(result.X_cf), origin)
        oracle = Oracle(self._reader, space, origin)
        own = oracle.origin_labels()
        rows = np.flatnonzero(result.status == "found")
        states = np.repeat(Z[None], len(times), axis=0)
        routes = np.full(len(Z), "none", dtype=f"<U{max(map(len, ROUTES))}")

        def margin(candidates, of):
            return self._margin(oracle, candidates, rows[of], own)

        if len(rows):
            states[:, rows], routes[rows] = self._routes(
                Z[rows], ends[rows], own[rows], times, route, margin
            )
        everyone = np.arange(len(Z))
        return PathResult(
            times=times,
            states=self._written(states, Z, oracle, result.X),
            result=result,
            route=routes,
            margin=np.array([self._margin(oracle, z, everyone, own) for z in states]),
            speed_deviation=speed_deviation(states, times, space.costs_),
            **self._among_people(states, rows, times),
        )

    def _routes(self, Z, ends, own, times, route, margin):
        """States of rows that move, and the route that each takes."""
        states, taken = np.empty((len(times), *Z.shape)), np.full(len(Z), "displacement")
        straight = np.arange(len(Z))
        if route != "displacement":
            guided = self._along_people if route == "graph" else self._along_maps
            states, found = guided(Z, ends, own, times)
            taken = np.where(found, route, taken)
            straight = np.flatnonzero(~found)
        if len(straight):
            lines = Displacement(
                self.feature_space_,
                Z[straight],
                ends[straight],
                lambda candidates, of: margin(candidates, straight[of]),
            )
            for state, t in zip(states, times, strict=True):
                state[straight] = lines.at(t)
        return states, taken

    def _along_people(self, Z, ends, own, times):
        """Routes along the graph of the training rows."""
        people = self._population.distinct.Z
        graph = PeopleGraph(self.feature_space_, people, n_jobs=self.n_jobs, verbose=self.verbose)
        return graph.routes(Z, ends, times)

    def _along_maps(self, Z, ends, own, times):
        """Routes along the map of each plan."""
        states, found = np.empty((len(times), *Z.shape)), np.zeros(len(Z), dtype=bool)
        distinct = self._population.distinct
        codes = distinct.labels[distinct.of_row]
        people = distinct.of_row[(codes != self._target_code) & (codes >= 0)]
        for code, rows in self._posted.by_plan(own):
            movers = (code == OTHER) | (distinct.labels[people] == code)
            plan = self.plan_[np.flatnonzero(movers)]
            moved, arrived = (np.asarray(plan.sum(axis=axis)).ravel() for axis in (1, 0))
            maps = GridRoutes(
                self.feature_space_, (distinct.Z[people[movers]], moved), (self._posted.Z, arrived)
            )
            states[:, rows], found[rows] = maps.routes(Z[rows], ends[rows], times)
        return states, found

    def _margin(self, oracle, Z, rows, own):
        """Margins of rows inside of where they are to go: the target class, or out of their own."""
        if self._target_code == OTHER:
            return -oracle.margin(Z, rows, own[rows])
        return oracle.margin(Z, rows, np.full(len(rows), self._target_code))

    def _written(self, states, Z, oracle, X):
        """States as containers like X, with the dtypes seen in fit."""
        rows = np.arange(len(Z))
        frames = []
        for state in states:
            table = oracle.written(state, rows, keep=same(state, Z).all(axis=1))
            frames.append(self.feature_space_._restore(table, X))
        arrays = all(isinstance(frame, np.ndarray) for frame in frames)
        return np.stack(frames) if arrays else tuple(frames)

    def _among_people(self, states, rows, times):
        """Whether rows that move look like real people, and how they crowd."""
        distinct = self._population.distinct
        people = Neighbourhood(
            self.feature_space_,
            distinct.Z,
            distinct.counts,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        share, crowding = np.full(states.shape[1], np.nan), np.full(len(times), np.nan)
        later = times > 0
        if len(rows):
            flat = states[:, rows].reshape(-1, states.shape[2])
            nearest, distance = (a.reshape(len(times), -1) for a in people.nearest(flat))
            crowding = np.array([people.crowding(of) for of in nearest])
            if later.any():
                share[rows] = np.mean(distance[later] <= people.radius(), axis=0)
        return {"in_distribution": share, "crowding": crowding}


def _checked_times(n_steps, times):
    """The times at which states are wanted."""
    if times is None:
        check_scalar(n_steps, "n_steps", Integral, min_val=1)
        return np.linspace(0, 1, int(n_steps) + 1)
    times = np.array(times, dtype=np.float64)
    if times.ndim != 1 or not len(times):
        raise ValueError(f"times must be 1-d, with one time or more; got shape {times.shape}.")
    if not np.all((times >= 0) & (times <= 1)):
        raise ValueError(f"times must be in [0, 1], and not NaN; got {times.tolist()}.")
    if np.any(np.diff(times) <= 0):
        raise ValueError(f"times must increase; got {times.tolist()}.")
    return times


def _check_route(route):
    if route not in ROUTES:
        raise ValueError(f"route must be one of {list(ROUTES)}, got {route!r}.")
