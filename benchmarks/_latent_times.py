"""One row alone: what the search takes, and what the classifier's container does."""

import time

import numpy as np
from _latent_measures import explained

from skcf import FeatureSpace, GMMLatentExplainer

__all__ = ["times_alone"]

N_ROWS, N_ALONE, N_PASSES = 500, 50, 5


def times_alone(problem):
    """CPU milliseconds on one-hot rows with the network, and with the Pipeline on a DataFrame.

    What the net has learned does not matter here: it is trained for one epoch.
    """
    X_train, X = problem.columns.transform(problem.X_train), problem.queries(N_ROWS)
    onehot = problem.columns.transform(X)
    n = len(problem.columns.transformers_[0][2])
    free = FeatureSpace(onehot_groups=[list(range(n, onehot.shape[1]))])
    network = problem.model[-1]
    told = {}
    for name, model, rows, given, space in (
        ("arrays and the network", network, X_train, onehot, free),
        ("DataFrame and Pipeline", problem.model, problem.X_train, X, problem.space),
    ):
        common = {"target_class": problem.target, "feature_space": space}
        explainer = GMMLatentExplainer(model, max_epochs=1, random_state=0, **common)
        explainer.fit(rows, model.predict(rows))
        _, together, alone = explained(explainer, given, N_ALONE, N_PASSES)
        told[f"one row alone, {name}"] = {"ms": alone}
        told[f"a row of {len(X)}, {name}"] = {"ms": together}
        told[f"one question to the classifier, {name}"] = {"ms": asking(model, given)}
    return told


def asking(model, X):
    """CPU milliseconds of one row asked about."""
    taken = []
    for i in range(N_ALONE):
        start = time.process_time()
        model.predict(X[i : i + 1])
        taken.append(time.process_time() - start)
    return 1e3 * float(np.median(taken))
