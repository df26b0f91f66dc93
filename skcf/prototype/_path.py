"""Without the prediction loss the minimum is known in closed form: its whole path is searched."""

import numpy as np

__all__ = ["follow_path", "minimiser"]

MOST_BREAKPOINTS = 32
"""Of one pair, that are looked at; the others lie between two of them."""

SECTIONS, ROUNDS = 15, 2
"""Points between two that are asked about at a time, once the breakpoints are known, and how often:
what lies between two breakpoints is known to 1/256 then."""

INNER = np.arange(1, SECTIONS + 1) / (SECTIONS + 1)

BLOCK_ELEMENTS = 2**24
"""Values of all candidates at a time: 128 MiB."""


def minimiser(difference, share, beta, weight):
    """Minimise the elastic net and the prototype loss ([1]_, Eq. 3 and 10).

    ``argmin sum_j w_j (beta |d_j| + d_j**2) + theta ||d - difference||**2``, feature by feature
    ``S(theta D_j, beta w_j / 2) / (w_j + theta)`` with the soft threshold S.

    Parameters
    ----------
    difference : ndarray of float64, shape (n, n_features)
        From the row to its prototype; 0 for what stays.
    share : ndarray of float64, shape (n, m) or (m,)
        ``theta / (1 + theta)``: 0 stays where it is, 1 goes all the way.
    beta : float
        Weight of the L1 norm.
    weight : ndarray of float64, shape (n_features,)
        Of the features.

    Returns
    -------
    ndarray of float64, shape (n, m, n_features)

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """
    share = np.atleast_2d(share)[..., None]
    size = np.abs(difference)[:, None]
    # both sides times 1 - share, so that it holds at 1
    moved = share * size - (1 - share) * beta * weight / 2
    whole = share + (1 - share) * weight
    steps = np.divide(np.maximum(moved, 0), whole, out=np.zeros(moved.shape), where=whole > 0)
    return np.sign(difference)[:, None] * steps


def breakpoints(difference, beta, weight):
    """Shares at which features begin to move, in order, shape (n, n_points); 1 where none does.

    ``theta_j = beta w_j / (2 |D_j|)``. The last one is 1, the prototype itself.
    """
    whole = beta * weight + 2 * np.abs(difference)
    shares = np.divide(beta * weight, whole, out=np.ones(whole.shape), where=whole > 0)
    shares = np.sort(shares, axis=1)
    shares = np.concatenate([shares, np.ones((len(shares), 1))], axis=1)
    if shares.shape[1] <= MOST_BREAKPOINTS:
        return shares
    return shares[:, np.linspace(0, shares.shape[1] - 1, MOST_BREAKPOINTS).astype(int)]


def follow_path(pairs, endpoint, rivals=None):
    """Find the first valid point of each path from a row to its prototype.

    The path is that of the minimisers for all weights theta of the prototype loss. It starts at
    the row, takes up one feature after the other, and ends at the prototype. Of its
    breakpoints, the first that is valid is found, then the first of points between that and the
    one before. A path may cross the boundary several times between two breakpoints:
    the first crossing that is seen is taken.

    Parameters
    ----------
    pairs : Pairs
        Rows and prototypes, the latter as coordinates.
    endpoint : ndarray of float64, shape (n_pairs, n_features)
        The prototypes as encoded rows, projected on the constraints: the end of each path, with
        what has no place on it.
    rivals : ndarray of int, shape (n_pairs,), optional
        Where only the cheapest of some pairs is wanted: a number that they share. Costs rise along
        a path, so one that is beaten where it was not valid yet is left as far as it is known.

    Returns
    -------
    found : ndarray of float64, shape (n_pairs, n_features)
        Encoded rows.
    is_valid : ndarray of bool, shape (n_pairs,)
        Which of them are valid.
    """
    found, is_valid = endpoint.copy(), np.zeros(len(pairs), dtype=bool)
    n_points = min(MOST_BREAKPOINTS, pairs.Z.shape[1] + 1)
    size = max(1, BLOCK_ELEMENTS // (n_points * pairs.Z.shape[1]))
    for first in range(0, len(pairs), size):
        b = np.arange(first, min(first + size, len(pairs)))
        _Path(pairs.take(b), endpoint[b], rivals if rivals is None else rivals[b]).search(
            found, is_valid, b
        )
    return found, is_valid


class _Path:
    """The paths of some pairs."""

    def __init__(self, pairs, endpoint, rivals):
        self.pairs, self.endpoint = pairs, endpoint
        self._rivals = None if rivals is None else np.unique(rivals, return_inverse=True)[1]
        self._least = np.full(len(pairs), np.inf)
        self.start = pairs.start
        end = pairs.axes.place(endpoint)
        # what has no place on one of both sides stays until the end
        self.difference = np.nan_to_num(end - self.start)

    def search(self, found, is_valid, places):
        """Write what is found."""
        pairs, weight = self.pairs, self.pairs.space.weight_
        shares = breakpoints(self.difference, pairs.beta, weight)
        everyone = np.arange(len(pairs))
        low, high, best, valid, may_win = self._first_valid(everyone, shares, with_endpoint=True)
        found[places[valid]], is_valid[places] = best[valid], valid
        looking = np.flatnonzero(valid & may_win & (high > low))
        for _ in range(ROUNDS):
            inner = low[looking, None] + (high - low)[looking, None] * INNER
            before, at, best, valid, may_win = self._first_valid(looking, inner)
            is_first = valid & (at == inner[:, 0])
            low[looking] = np.where(is_first, low[looking], np.where(valid, before, inner[:, -1]))
            high[looking[valid]] = at[valid]
            found[places[looking[valid]]] = best[valid]
            looking = looking[may_win]

    def _first_valid(self, at, shares, with_endpoint=False):
        """The first valid of some points of each path, and the one before it."""
        pairs = self.pairs.take(np.repeat(at, shares.shape[1]))
        start = self.start[at]
        U = start[:, None] + minimiser(self.difference[at], shares, pairs.beta, pairs.space.weight_)
        shape = U.shape
        Z = pairs.hardened(U.reshape(-1, shape[-1]), np.repeat(start, shape[1], axis=0))
        if with_endpoint:
            Z.reshape(shape)[:, -1] = self.endpoint[at]
        valid = pairs.valid(Z).reshape(shape[:2])
        first = np.argmax(valid, axis=1)
        Z, rows = Z.reshape(shape), np.arange(len(at))
        valid, last = valid[rows, first], np.where(valid.any(axis=1), first, shape[1]) - 1
        before = np.where(first > 0, shares[rows, first - 1], 0.0)
        may_win = self._may_win(at, Z[rows, first], valid, Z[rows, last], last >= 0)
        return before, shares[rows, first], Z[rows, first], valid, may_win

    def _may_win(self, at, found, valid, before, has_before):
        """Which paths may lead to what is cheaper than what each of their rivals has already."""
        if self._rivals is None:
            return np.ones(len(at), dtype=bool)
        pairs, rivals = self.pairs.take(at), self._rivals[at]
        np.minimum.at(self._least, rivals[valid], pairs.elastic_net(found)[valid])
        return ~has_before | (pairs.elastic_net(before) < self._least[rivals])
