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
MOST_BYTES, MOST_SECONDS, LIMIT = 8e9, 60, 12e9
N_ALPHAS, K = 5, 250


def wide(estimator_too=True):
    """Print time and peak memory of the solver alone, then of the estimator."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(LIMIT), hard))
    print(f"\n## {N_ROWS:,} rows, {N_FEATURES:,} features, {N_GROUPS} groups\n")
    header("| what | s (wall) | CPU s | peak memory, GB | alpha | features not 0 | optimality |")
    X, groups = cells()
    net = encoder()
    show("rows and network", 0.0, 0.0)
    alone = timed("solver", lambda: solver(X, groups, net))
    judge("solver", *alone)
    if estimator_too:
        judge("TGTExplainer", *timed("TGTExplainer", lambda: estimator(X, groups, net)))


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
    """One path of alphas, by the solver."""
    represent = TorchMap(net, BATCH_ELEMENTS)
    problem = group_problem(X, groups, represent, represent.values(X))
    alphas = problem.largest_alpha() * np.geomspace(0.3, 0.01, N_ALPHAS)
    path = solve_prox(problem, alphas, tol=1e-4)
    T = path.translations
    used = (T[:, :1] != T).any(axis=1).sum(axis=1)
    return alphas, used, path.certificates


def estimator(X, groups, net):
    """One alpha chosen of as many, by the estimator."""
    space = FeatureSpace(scale="std")
    explainer = TGTExplainer(net, feature_space=space, n_alphas=N_ALPHAS, n_features_to_change=K)
    explainer.fit(X, groups)
    used = (explainer.translations_ != 0).any(axis=0).sum()
    return [explainer.alpha_], [used], [explainer.optimality_]


def timed(what, work):
    """Print a line; seconds and bytes."""
    start, spent = time.perf_counter(), time.process_time()
    try:
        told = work()
    except MemoryError as error:
        print(f"{what}: more than {LIMIT / 1e9:.0f} GB: {error}")
        told = ((), (), ())
    seconds = time.perf_counter() - start
    show(what, seconds, time.process_time() - spent, *told)
    return seconds, peak()


def show(what, seconds, spent, alphas=(), used=(), residuals=()):
    """A line."""
    cells = (
        ", ".join(f"{a:.3g}" for a in alphas),
        ", ".join(map(str, used)),
        ", ".join(f"{r:.0e}" for r in residuals),
    )
    line = f"| {what} | {seconds:.1f} | {spent:.1f} | {peak() / 1e9:.2f} | {' | '.join(cells)} |"
    print(line, flush=True)


def peak():
    """Most memory of the process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def judge(what, seconds, most):
    """Print whether time and memory are within what was asked."""
    verdict(seconds < MOST_SECONDS, f"{what}: under {MOST_SECONDS} s: {seconds:.1f}")
    verdict(most < MOST_BYTES, f"{what}: under {MOST_BYTES / 1e9:.0f} GB: {most / 1e9:.2f}")
