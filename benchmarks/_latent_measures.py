"""What bench_gmm_latent.py measures of counterfactuals: one dict of numbers an explainer."""

import time
import warnings

import numpy as np
from _latent_explainers import codes_of
from bench_nearest import count_violations

from skcf import InvalidCounterfactualWarning
from skcf.metrics import mmd2, reconstruction_error, robustness

__all__ = ["explained", "measured", "refit_shares"]


def explained(explainer, X, n_alone, n_passes=1):
    """Explain rows, and take the time.

    Returns
    -------
    result : CounterfactualResult
    together, alone : float
        CPU milliseconds of a row of all, and of a row by itself: of the quickest of some passes,
        since others use the machine.
    """
    together, alone = np.inf, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        explainer.explain(X[:2])  # what is made ready on the first call
        for _ in range(n_passes):
            result, seconds = timed(explainer, X)
            together = min(together, seconds / len(X))
            rows = [X[i : i + 1] for i in range(min(n_alone, len(X)))]
            alone = min(alone, float(np.mean([timed(explainer, row)[1] for row in rows])))
    return result, 1e3 * together, 1e3 * alone


def timed(explainer, X):
    """A result, and CPU seconds."""
    start = time.process_time()
    result = explainer.explain(X)
    return result, time.process_time() - start


def measured(problem, X, X_cf, autoencoders=None, own=None):
    """Measures of counterfactuals that need no time and no refits.

    Parameters
    ----------
    problem : Problem
        Where they are from.
    X, X_cf : DataFrame or ndarray
        Rows, and what came back.
    autoencoders : Autoencoders, default=None
        Trained apart.
    own : explainer, default=None
        Its net says how well it reconstructs them.

    Returns
    -------
    dict of float
    """
    valid = problem.model.predict(X_cf) == problem.target
    moved = problem.scaled(X_cf) - problem.scaled(X)
    l1, squares = np.abs(moved).sum(axis=1), np.square(moved).sum(axis=1)
    told = {
        "valid": valid.mean(),
        "L1": l1[valid].mean(),
        "L2": np.sqrt(squares[valid]).mean(),
        "L1 a column": l1[valid].mean() / moved.shape[1],
        "L2 squared a column": squares[valid].mean() / moved.shape[1],
        "violations": violations(problem, X, X_cf),
        "changes": changed(X, X_cf)[valid].mean(),
        "MMD2": mmd2(
            X[valid], X_cf[valid], reference=problem.real, feature_space=problem.measured_in
        ),
    }
    if own is not None:
        columns, reconstruction = codes_of(own, X_cf[valid])
        squares = np.square(columns - reconstruction)
        told |= {"own": squares.sum(axis=1).mean(), "own a column": squares.mean()}
    if autoencoders is not None:
        told["apart"] = reconstruction_error(X[valid], X_cf[valid], autoencoders=autoencoders)
    return {name: float(value) for name, value in told.items()}


def changed(X, X_cf):
    """How many values of each row differ."""
    old, new = np.asarray(X, dtype=object), np.asarray(X_cf, dtype=object)
    missing = (old != old) & (new != new)
    return ((old != new) & ~missing).sum(axis=1)


def violations(problem, X, X_cf):
    """Rows that break a rule, by the raw values."""
    if isinstance(X, np.ndarray):
        return int(((X_cf < 0) | (X_cf > 1)).any(axis=1).sum())
    return count_violations(X, X_cf, problem.space, problem.X_train)


def refit_shares(problem, answers, n_refits):
    """Share of refitted classifiers that agree, a mean over the rows of each answer.

    All rows are asked about together, so that the classifiers are fitted once.
    """
    import pandas as pd

    join = np.vstack if isinstance(problem.X_train, np.ndarray) else pd.concat
    X, X_cf = (join([pair[side] for pair in answers.values()]) for side in (0, 1))
    shares = robustness(
        X,
        X_cf,
        estimator=problem.model,
        X_train=problem.X_train,
        y_train=problem.y_train,
        n_refits=n_refits,
        target_class=problem.target,
        random_state=problem.seed,
        average=None,
    )
    ends = np.cumsum([len(pair[0]) for pair in answers.values()])
    parts = np.split(shares, ends[:-1])
    return {name: float(np.nanmean(part)) for name, part in zip(answers, parts, strict=True)}
