"""How a counterfactual is read off the posted prices."""

from hashlib import blake2b

import numpy as np

from skcf.transport import cheapest
from skcf.transport._pricing import price

__all__ = ["barycentres", "draw", "soft_choices", "uniforms"]

REACH = 30.0  # in units of the smoothing: what is further from the best has weight exp(-30)


def soft_choices(cost, prices, softness, weight):
    """The softened row of each query: targets with the probabilities of a softmax.

    ``R_ij`` is proportional to ``w_j exp(-(C_ij + g_j) / softness)``: for rows of the population,
    the rows of the plan.

    Parameters
    ----------
    cost : PairCost
        What pairs cost.
    prices : ndarray of float64, shape (n,)
        Prices posted; infinite where nothing is offered.
    softness : ndarray of float64, shape (n,)
        Smoothing, by the target that is best for a row (see `TransportResult`).
    weight : ndarray of float64, shape (n,)
        The weights w: those that the solver's entropy is relative to.

    Returns
    -------
    rows, columns : ndarray of int, shape (n_pairs,)
        The pairs, by query and then target.
    probability : ndarray of float64, shape (n_pairs,)
        Sums to 1 over each query that has an allowed target.
    """
    offered = np.flatnonzero(np.isfinite(prices))
    here = cost.take(np.arange(cost.shape[0]), offered)
    first, best = (answer[:, 0] for answer in cheapest(here, prices[offered]))
    known = np.isfinite(best)
    levels = np.where(known, best, 0.0)
    soft = np.maximum(softness[offered][first], np.finfo(float).tiny)  # where known
    window = max(REACH * softness.max(initial=0.0), 1e-9)
    pairs = price(here, prices[offered], levels, window, most=len(offered))
    above = pairs.cost + prices[offered][pairs.columns] - levels[pairs.rows]
    columns = offered[pairs.columns]
    share = np.exp(-np.maximum(above, 0) / soft[pairs.rows]) * known[pairs.rows]
    share *= weight[columns]
    total = np.bincount(pairs.rows, share, cost.shape[0])
    return pairs.rows, columns, share / np.where(total > 0, total, 1)[pairs.rows]


def draw(rows, columns, probability, u):
    """One target for each query: where its cumulated probabilities pass u; -1 for none."""
    chosen = np.full(len(u), -1)
    if not len(rows):
        return chosen
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    counts = np.diff(starts, append=len(rows))
    cumulated = np.cumsum(probability)
    cumulated -= np.repeat(cumulated[starts] - probability[starts], counts)
    passed = cumulated >= np.repeat(u[rows[starts]], counts) - 1e-12
    first = np.minimum.reduceat(np.where(passed, np.arange(len(rows)), len(rows)), starts)
    last = starts + counts - 1
    chosen[rows[starts]] = columns[np.minimum(first, last)]
    return chosen


def uniforms(Z, index, seed):
    """A number in [0, 1) for each row: a hash of its values, its label and the seed.

    So a draw depends on the row alone, is the same each time, and yet differs between people
    who share a row, where they have labels.

    Parameters
    ----------
    Z : ndarray of float64, shape (n, n_features)
        Encoded rows.
    index : sequence or None
        Their labels.
    seed : int
        Drawn in fit.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    key = int(seed).to_bytes(8, "little")
    values = np.ascontiguousarray(np.where(np.isnan(Z), np.nan, Z + 0.0))
    labels = [b""] * len(Z) if index is None else [str(label).encode() for label in index]
    numbers = [
        int.from_bytes(blake2b(row.tobytes() + label, digest_size=8, key=key).digest(), "little")
        for row, label in zip(values, labels, strict=True)
    ]
    return np.array(numbers, dtype=np.float64) / 2.0**64


def barycentres(rows, columns, probability, targets, base, numeric):
    """Mean of the softened row's targets in the numeric features; the rest as in base.

    Parameters
    ----------
    rows, columns, probability : ndarrays, shape (n_pairs,)
        From `soft_choices`.
    targets : ndarray of float64, shape (n_targets, n_features)
        Encoded targets.
    base : ndarray of float64, shape (n, n_features)
        Encoded rows that the other features are taken from.
    numeric : ndarray of int
        The numeric features.

    Returns
    -------
    ndarray of float64, shape (n, n_features)
    """
    Z = base.copy()
    for j in numeric:
        values = targets[columns, j]
        placed = ~np.isnan(values)
        weight = np.where(placed, probability, 0)
        total = np.bincount(rows, weight, len(Z))
        mean = np.bincount(rows, weight * np.where(placed, values, 0), len(Z))
        some = (total > 0) & ~np.isnan(base[:, j])
        Z[some, j] = mean[some] / total[some]
    return Z
