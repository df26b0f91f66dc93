"""How the margin changes with each feature, by asking: for any classifier."""

from functools import partial

import numpy as np

__all__ = ["category_differences", "central_differences"]

BLOCK_ELEMENTS = 2**24
"""Values of all the rows that are made up at a time: 128 MiB."""


def central_differences(oracle, Z, rows, target, step, probabilities=False):
    """Gradients of the margin; see `Oracle.central_differences`."""
    grad = np.zeros(Z.shape)
    for part in _blocks(Z, 2 * Z.shape[1]):
        low, high = _both_sides(oracle.space, Z[part], step)
        of, feature = np.nonzero(high > low)
        low, high = low[of, feature], high[of, feature]
        of = of + part.start
        ask = partial(oracle.margin, probabilities=probabilities)
        below, above = _margins_with(ask, Z, rows, target, of, feature, [low, high])
        grad[of, feature] = (above - below) / (high - low)
    return grad


def category_differences(oracle, Z, rows, target, probabilities=False):
    """Changes of the margin with each category; see `Oracle.category_differences`."""
    ask = partial(oracle.margin, probabilities=probabilities)
    constraints, margin = oracle.space.constraints_, ask(Z, rows, target)
    differences = {}
    for j in constraints.categorical:
        n_categories = len(constraints.permitted[j])
        differences[j] = np.zeros((len(Z), n_categories))
        if constraints.frozen[j] or not n_categories:
            continue
        for part in _blocks(Z, n_categories):
            of = np.arange(part.start, part.stop)
            codes = [np.full(len(of), float(code)) for code in range(n_categories)]
            asked = _margins_with(ask, Z, rows, target, of, np.full(len(of), j), codes)
            differences[j][of] = asked.T - margin[of, None]
    return differences


def _both_sides(space, Z, step):
    """Values a step below and above each number that may change; NaN for the others."""
    low, high = np.full((2, *Z.shape), np.nan)
    for j in space.constraints_.numeric:
        if space.constraints_.frozen[j]:
            continue
        feature, z = space.encoding_.features[j], Z[:, j]
        width = step * space.scale_[j]
        width = max(1.0, np.rint(width)) if feature.integer else width
        # where numbers are large, the next ones are further away than a step
        width = np.maximum(width, 2 * np.abs(z) * float(np.finfo(feature.float_type).eps))
        for end, values in ((low, z - width), (high, z + width)):
            end[:, j] = feature.snap(np.clip(values, *feature.dtype_limits()))
    return low, high


def _margins_with(ask, Z, rows, target, of, feature, values):
    """Margins of rows with one feature changed, a line for each of several values of it."""
    n_values, n_rows = len(values), len(of)
    candidates = np.tile(Z[of], (n_values, 1))
    candidates[np.arange(len(candidates)), np.tile(feature, n_values)] = np.concatenate(values)
    of = np.tile(of, n_values)
    return ask(candidates, rows[of], target[of]).reshape(n_values, n_rows)


def _blocks(Z, n_candidates):
    """Rows of which all candidates fit into memory, running."""
    size = max(1, BLOCK_ELEMENTS // max(1, n_candidates * Z.shape[1]))
    return [slice(i, min(i + size, len(Z))) for i in range(0, len(Z), size)]
