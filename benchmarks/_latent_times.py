"""One row alone: what the search takes, and what the classifier's container does."""

import time
from itertools import pairwise

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
    free = FeatureSpace(onehot_groups=groups_of(problem.columns))
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
        told[f"the classifier, one row, {name}"] = {"ms": asking(model, given, 1)}
        told[f"the classifier, a row of {len(X)}, {name}"] = {"ms": asking(model, given, len(X))}
    return told


def groups_of(columns):
    """Positions of the columns of each category, which come after the numbers."""
    (_, _, numbers), (_, onehot, _) = columns.transformers_[:2]
    ends = len(numbers) + np.cumsum([0, *map(len, onehot.categories_)])
    return [list(range(first, end)) for first, end in pairwise(ends)]


def asking(model, X, n):
    """CPU milliseconds of a row asked about, with others: the quickest of some questions."""
    taken = []
    for i in range(N_ALONE):
        start = time.process_time()
        model.predict(X[i : i + n] if n == 1 else X)
        taken.append(time.process_time() - start)
    return 1e3 * min(taken) / n
