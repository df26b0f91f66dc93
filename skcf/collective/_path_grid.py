"""Routes along the optimal map between two densities on a grid of two or three features."""

import warnings

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.exceptions import ConvergenceWarning

from skcf.transport._back_and_forth import back_and_forth

__all__ = ["GridRoutes", "check_free_features"]

CELLS = {2: 128, 3: 32}
"""Cells along each axis, by dimension: the map takes 0.3 and 1 CPU seconds."""

MARGIN = 0.1
"""Room on each side of the people for the densities' tails, as a share of the longest axis."""

TOL = 1e-3
"""Duality gap that is asked of the map. A grid seldom resolves it, which is no matter of warnings:
it only guides; but it is of little use where the gap stays above the next one."""

LARGEST_GAP = 0.1


def check_free_features(space):
    """Find the features that span the grid: all that may change, two or three, and numbers.

    Raises
    ------
    ValueError
        If they are others.
    """
    features = space.encoding_.features
    free = np.flatnonzero(~space.constraints_.frozen)
    nominal = [features[j].name for j in free if j in space.constraints_.permitted]
    if len(free) not in CELLS or nominal:
        names = [features[j].name for j in free]
        what = f"{names}, of which {nominal} are categories" if nominal else f"{len(free)}: {names}"
        raise ValueError(
            "route='back_and_forth' works on a grid, which takes two or three features that may "
            f"change, all of them numeric; got {what}. Name others in immutable_features, or take "
            "route='displacement' or route='graph'."
        )
    return free


class GridRoutes:
    """States on the way along an optimal map T of one density onto another.

    The map guides the way, and the way ends at the row's own counterfactual y, which the
    classifier accepts and T(x) need not be: what is aimed at slides from the one to the
    other linearly in time. So the states are ``x + t (A_t - x)`` with ``A_t = (1 - t) T(x) + t y``:
    displacement along the map at first. Where T(x) is y it is that all along, at constant speed.
    In features with a direction, or in an implication, the way is bent so that each step goes in
    the direction of the whole. The map is optimal
    for the squared cost, whichever cost the plan is for.

    Parameters
    ----------
    space : FeatureSpace
        Says what is allowed, and what moves cost.
    sources, targets : tuple of (ndarray of shape (n, n_features), ndarray of shape (n,))
        Encoded rows and their masses: who moves, and where to.
    """

    def __init__(self, space, sources, targets):
        self.constraints = space.constraints_
        self.free = check_free_features(space)
        sources, targets = (_present(Z[:, self.free], mass) for Z, mass in (sources, targets))
        points = np.concatenate([sources[0], targets[0]])
        self._frame(space, points)
        self.map = None
        if self.unit.any() and len(sources[0]) and len(targets[0]):
            self.map = _quiet_map(self._density(*sources), self._density(*targets))

    def _frame(self, space, points):
        """Lay the unit cube about the points, all axes in units of one cost."""
        self.unit = np.sqrt(space.costs_.weight[self.free]) / space.costs_.scale[self.free]
        low, high = (f(points, axis=0) if len(points) else 0.0 for f in (np.min, np.max))
        self.middle = (low + high) / 2
        longest = np.max(self.unit * (high - low), initial=0.0)
        self.unit = self.unit / (longest * (1 + 2 * MARGIN)) if longest > 0 else 0 * self.unit

    def _in_cube(self, points):
        return np.clip(0.5 + (points - self.middle) * self.unit, 0, 1)

    def _density(self, points, mass):
        """A smoothed histogram, by Scott's rule."""
        dim = len(self.free)
        places = self._in_cube(points)
        histogram, _ = np.histogramdd(places, CELLS[dim], [(0, 1)] * dim, weights=mass)
        mean = np.average(places, axis=0, weights=mass)
        spread = np.sqrt(np.average((places - mean) ** 2, axis=0, weights=mass))
        effective = mass.sum() ** 2 / np.sum(mass**2)
        width = spread * effective ** (-1 / (dim + 4)) * CELLS[dim]
        density = gaussian_filter(histogram, np.maximum(width, 1.0), mode="reflect")
        return density / density.sum()

    def images(self, Z):
        """T(x) of encoded rows, in the free features; NaN where one is missing."""
        points = Z[:, self.free]
        images = np.full(points.shape, np.nan)
        known = ~np.isnan(points).any(axis=1)
        places = self._in_cube(points[known])
        moves = self.map.map_points(places) - places
        steps = np.divide(moves, self.unit, out=np.zeros_like(moves), where=self.unit > 0)
        images[known] = points[known] + steps
        return images

    def routes(self, Z, ends, times):
        """States on the way to the counterfactuals.

        Parameters
        ----------
        Z, ends : ndarray of float64, shape (n_rows, n_features)
            Encoded rows and their counterfactuals, which the constraints allow.
        times : ndarray of float64, shape (n_times,)
            Times in [0, 1].

        Returns
        -------
        states : ndarray of float64, shape (n_times, n_rows, n_features)
            Rows themselves at time 0, the counterfactuals at time 1.
        found : ndarray of bool, shape (n_rows,)
            Which rows have a route: not those with missing values.
        """
        states = np.repeat(Z[None], len(times), axis=0)
        if self.map is None:
            return states, np.zeros(len(Z), dtype=bool)
        start, end = Z[:, self.free], ends[:, self.free]
        # x + t (A_t - x) is the Bézier curve from x to y, bent towards the middle of x and T(x)
        bend = (start + self.images(Z)) / 2
        directed = self.constraints.direction[self.free] != 0
        directed |= np.isin(self.free, self.constraints.implications.order)
        low = np.where(directed, np.minimum(start, end), -np.inf)
        high = np.where(directed, np.maximum(start, end), np.inf)
        bend = np.clip(bend, low, high)
        for state, t in zip(states, times, strict=True):
            curve = start + 2 * t * (1 - t) * (bend - start) + t**2 * (end - start)
            state[:, self.free] = np.clip(curve, low, high)
            state[:] = self.constraints.project(state, Z) if 0 < t < 1 else Z if t <= 0 else ends
        return states, ~np.isnan(bend).any(axis=1)


def _present(points, mass):
    """Points without missing values that have some mass."""
    kept = ~np.isnan(points).any(axis=1) & (mass > 0)
    return points[kept], mass[kept]


def _quiet_map(source, target):
    """The map between two densities; a warning only where it would mislead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = back_and_forth(source, target, tol=TOL)
    if found.gap > LARGEST_GAP:
        warnings.warn(
            f"The map that guides route='back_and_forth' has a relative duality gap of "
            f"{found.gap:.2g}: the grid is too coarse for it (people move by a few cells only, or "
            "outliers stretch it). The ends are not concerned; route='displacement' needs no map.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return found
