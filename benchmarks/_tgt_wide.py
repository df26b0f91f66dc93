"""25,000 rows of 13,000 features in 18 groups, with a network: the shape of paper 4's cells."""

import resource
import sys
import time
from itertools import pairwise

import numpy as np
import torch
from _tables import header, verdict
from torch import nn

from skcf import FeatureSpace, TGTExplainer
from skcf._maps import TorchMap
from skcf._representations import BATCH_ELEMENTS
from skcf.group._problem import group_problem
from skcf.group._prox import solve_prox

__all__ = ["wide"]

N_ROWS, N_FEATURES, N_GROUPS, N_CHANGED, SHIFT = 25_000, 13_000, 18, 250, 2.0
WIDTHS = (N_FEATURES, 100, 128, 64, 32, 2)
TOL = 1e-3
MOST_BYTES, MOST_SECONDS, LIMIT = 8e9, 60, 12e9
SHARE, K = 0.1, 250  # alpha, of the largest; features of an explanation


def wide():
    """Print time and peak memory of the solver alone, then of the estimator."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(LIMIT), hard))
    print(f"\n## {N_ROWS:,} rows, {N_FEATURES:,} features, {N_GROUPS} groups\n")
    header("| what | s (wall) | CPU s | peak GB | alpha | features not 0 | optimality | steps |")
    X, groups = cells()
    net = encoder()
    show("rows and network", 0.0, 0.0)
    *measured, alpha = timed("solver", lambda: solver(X, groups, net))
    judge("solver", *measured)
    *measured, _ = timed("TGTExplainer", lambda: estimator(X, groups, net, alpha))
    judge("TGTExplainer", *measured)


def cells(seed=0):
    """Rows in float32, whose groups differ in a few features each; made in place."""
    random = np.random.default_rng(seed)
    groups = np.sort(random.integers(N_GROUPS, size=N_ROWS))
    X = np.empty((N_ROWS, N_FEATURES), dtype=np.float32)
    for row in np.array_split(np.arange(N_ROWS), 50):
        X[row] = random.standard_normal((len(row), N_FEATURES), dtype=np.float32)
    for group in range(N_GROUPS):
        changed = random.choice(N_FEATURES, N_CHANGED, replace=False)
        members = np.flatnonzero(groups == group)
        X[members[0] : members[-1] + 1, changed] += np.float32(SHIFT)
    return X, groups


def encoder(seed=0):
    """A network of random weights."""
    random, layers = np.random.default_rng(seed), []
    for n_in, n_out in pairwise(WIDTHS):
        layer = nn.Linear(n_in, n_out)
        W = random.standard_normal((n_out, n_in)) * np.sqrt(2 / n_in)
        layer.weight.data = torch.tensor(W, dtype=torch.float32)
        layer.bias.data.zero_()
        layers += [layer, nn.ELU()]
    return nn.Sequential(*layers[:-1]).requires_grad_(False)


def solver(X, groups, net):
    """Of one alpha, from the usual starts."""
    represent = TorchMap(net, BATCH_ELEMENTS)
    problem = group_problem(X, groups, represent, represent.values(X))
    path = solve_prox(problem, [SHARE * problem.largest_alpha()], tol=TOL)
    T = path.translations[0]
    return path.alphas[0], (T[:1] != T).any(axis=0).sum(), path.certificates[0], path.n_iter[0]


def estimator(X, groups, net, alpha):
    """The same by the estimator, which also judges what was found."""
    space = FeatureSpace(scale="std")
    explainer = TGTExplainer(net, feature_space=space, alpha=alpha, n_features_to_change=K, tol=TOL)
    explainer.fit(X, groups)
    used = (explainer.translations_ != 0).any(axis=0).sum()
    shares = (np.nanmean(m) for m in (explainer.correctness_, explainer.coverage_))
    print("correctness and coverage, k = {}: {:.3f} / {:.3f}".format(K, *shares))
    return explainer.alpha_, used, explainer.optimality_, explainer.n_steps_


def timed(what, work):
    """Print a line; seconds and bytes."""
    start, spent = time.perf_counter(), time.process_time()
    try:
        told = work()
    except MemoryError as error:
        print(f"{what}: more than {LIMIT / 1e9:.0f} GB: {error}")
        told = (np.nan,) * 4
    seconds = time.perf_counter() - start
    show(what, seconds, time.process_time() - spent, *told)
    return seconds, peak(), told[0]


def show(what, seconds, spent, alpha=np.nan, used=0, residual=np.nan, n_steps=0):
    """A line."""
    cells = f"{alpha:.3g} | {used} | {residual:.0e} | {n_steps}"
    print(f"| {what} | {seconds:.1f} | {spent:.1f} | {peak() / 1e9:.2f} | {cells} |", flush=True)


def peak():
    """Most memory of the process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def judge(what, seconds, most):
    """Print whether time and memory are within what was asked."""
    verdict(seconds < MOST_SECONDS, f"{what}: under {MOST_SECONDS} s: {seconds:.1f}")
    verdict(most < MOST_BYTES, f"{what}: under {MOST_BYTES / 1e9:.0f} GB: {most / 1e9:.2f}")
