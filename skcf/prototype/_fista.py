"""FISTA as paper 5 publishes it, in lock-step over all rows."""

import numpy as np

from skcf._progress import progress

__all__ = ["minimise", "search_weight"]

LARGEST_FACTOR = 10.0
"""What the weight of the prediction loss is multiplied by as long as nothing is found."""

LARGEST_GRADIENT = 1000.0
"""Gradients are clipped to it, as the authors' implementation documents: with a large theta the
first steps overshoot, and would go ever further."""

PATIENCE = 10
"""Steps in a row that must be shorter than the tolerance for a row to stop."""


def search_weight(pairs, losses_of, c, c_steps, options, verbose=0):
    """Minimise for several weights of the prediction loss, by bracketing and bisection.

    Where a counterfactual is found the weight is lowered to half the way to the greatest that
    failed, where not it is raised: tenfold, or half the way to the smallest that did ([1]_,
    section 3.1, says only that the search for a range takes time). The cheapest counterfactual
    of all weights is kept.

    Parameters
    ----------
    pairs : Pairs
        What is to be solved.
    losses_of : callable
        Takes some of the pairs and their weights to the smooth terms.
    c : float
        The first weight.
    c_steps : int
        How many weights are tried.
    options : dict
        What else `minimise` takes.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    found : ndarray of float64, shape (n_pairs, n_features)
        Encoded counterfactuals; the rows themselves where there is none.
    is_valid : ndarray of bool, shape (n_pairs,)
        Where there is one.
    weight : ndarray of float64, shape (n_pairs,)
        The weight that gave it.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """
    found, least = pairs.Z.copy(), np.full(len(pairs), np.inf)
    weight = np.full(len(pairs), float(c))
    kept, low, high = weight.copy(), np.zeros(len(pairs)), np.full(len(pairs), np.inf)
    with progress(None, verbose, c_steps * options["max_steps"], "FISTA") as bar:
        for _ in range(c_steps):
            best, cost = minimise(pairs, losses_of, weight, bar=bar, **options)
            better = cost < least
            found[better], least[better], kept[better] = best[better], cost[better], weight[better]
            reached = np.isfinite(cost)
            high = np.where(reached, weight, high)
            low = np.where(reached, low, weight)
            open_ended = np.isinf(high)
            weight = np.where(open_ended, LARGEST_FACTOR * weight, (low + high) / 2)
    return found, np.isfinite(least), kept


def minimise(pairs, losses_of, c, *, max_steps, learning_rate, momentum, tol, bar=None):
    """Follow the loss downhill, and keep the cheapest valid iterate ([1]_, section 3.6).

    A gradient step of the smooth terms from the extrapolated point, whose length falls as
    ``learning_rate * sqrt(1 - t / max_steps)``; then changes smaller than beta are set to 0 and
    others shrunk by it, and the result is clipped to what is permitted; then the next point is
    extrapolated by ``(t + 1) / (t + 4)``. A row stops where it can no longer leave its start, or
    after ten steps shorter than `tol`.

    Parameters
    ----------
    pairs : Pairs
        What is to be solved.
    losses_of : callable
        Takes some of the pairs and their weights to the smooth terms.
    c : ndarray of float64, shape (n_pairs,)
        Weights of the prediction loss.
    max_steps : int
        Number of steps.
    learning_rate : float
        Length of the first one.
    momentum : bool
        Whether points are extrapolated; without, this is ISTA.
    tol : float
        In coordinates.
    bar : tqdm.tqdm, default=None
        Updated once a step.

    Returns
    -------
    best : ndarray of float64, shape (n_pairs, n_features)
        Encoded rows.
    cost : ndarray of float64, shape (n_pairs,)
        Their elastic net; infinite where no iterate is valid.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """
    best, cost = pairs.Z.copy(), np.full(len(pairs), np.inf)
    state = _State(pairs, losses_of, c)
    for t in range(max_steps):
        if not len(state.at):
            break
        inertia = (t + 1) / (t + 4) if momentum else 0.0
        moved = state.step(learning_rate * np.sqrt(1 - t / max_steps), inertia)
        Z = state.rows()
        value = np.where(state.pairs.valid(Z), state.pairs.elastic_net(Z), np.inf)
        better = value < cost[state.at]
        best[state.at[better]], cost[state.at[better]] = Z[better], value[better]
        state.drop_those_at_rest(moved, tol)
        if bar is not None:
            bar.update()
    return best, cost


class _State:
    """The iterates of the rows that still move."""

    def __init__(self, pairs, losses_of, c):
        self.pairs, self.losses_of, self.c = pairs, losses_of, c
        self.at = np.arange(len(pairs))
        self.start = pairs.start
        self.U, self.Y = self.start.copy(), self.start.copy()
        self.quiet = np.zeros(len(pairs), dtype=int)
        self.low, self.high = bounds(pairs, self.start)
        self.losses = losses_of(pairs, c)

    def step(self, rate, inertia):
        """One step of all rows; says how far each of them went."""
        weight = self.pairs.space.weight_
        grad = 2 * weight * (self.Y - self.start)
        Z = self._hardened(self.Y) if self.losses and self.losses[0].asks else None
        for loss in self.losses:
            grad = grad + loss.grad(self.Y, Z)
        grad = np.clip(np.nan_to_num(grad), -LARGEST_GRADIENT, LARGEST_GRADIENT)
        change = self.Y - rate * grad - self.start
        threshold = self.pairs.beta * weight
        change = np.sign(change) * np.maximum(np.abs(change) - threshold, 0)
        new = np.clip(self.start + change, self.low, self.high)
        moved = np.nanmax(np.abs(new - self.U), axis=1, initial=0.0)
        self.Y = new + inertia * (new - self.U)
        self.U = new
        return moved

    def rows(self):
        """What the iterates stand for."""
        return self._hardened(self.U)

    def _hardened(self, U):
        return self.pairs.hardened(U, self.start)

    def drop_those_at_rest(self, moved, tol):
        """Leave out rows that will not move again."""
        # shorter steps from the same place are shrunk to nothing, too
        stuck = (moved == 0) & (np.nan_to_num(self.U - self.start) == 0).all(axis=1)
        self.quiet = np.where(moved <= tol, self.quiet + 1, 0) if tol else self.quiet
        going = np.flatnonzero(~stuck & (self.quiet < PATIENCE))
        if len(going) == len(self.at):
            return
        self.pairs = self.pairs.take(going)
        for name in ("c", "at", "start", "U", "Y", "quiet", "low", "high"):
            setattr(self, name, getattr(self, name)[going])
        self.losses = self.losses_of(self.pairs, self.c)


def bounds(pairs, start):
    """Coordinates that the rows may have, shape (n_pairs, n_features) each; NaN binds nothing."""
    space = pairs.space
    constraints = space.constraints_
    low, high = (values / space.scale_ for values in constraints.intervals(pairs.Z))
    for j in constraints.categorical:
        position = pairs.axes.axis(j)
        can = constraints.reachable(j, pairs.Z[:, j])
        if len(position):
            low[:, j] = np.where(can, position, np.inf).min(axis=1)
            high[:, j] = np.where(can, position, -np.inf).max(axis=1)
    free = ~constraints.frozen & (low <= start) & (start <= high)
    # a value that is out of its range comes into it, others that may not move stay
    outside = ~constraints.frozen & ((start < low) | (start > high)) & (low <= high)
    return np.where(free | outside, low, start), np.where(free | outside, high, start)
