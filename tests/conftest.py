"""Data that many tests use: a mixed-type population, and Adult where it is at hand."""

import os

# set before scikit-learn is loaded: several workers with threads of their own spin idly
os.environ.setdefault("OMP_NUM_THREADS", "1")

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from joblib.externals.loky import reusable_executor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from skcf import (
    CCEExplainer,
    ExactExplainer,
    GMMLatentExplainer,
    NearestExplainer,
    PrototypeExplainer,
    TGTExplainer,
)

pd = pytest.importorskip("pandas")


class TinyLatentExplainer(GMMLatentExplainer):
    """As it comes, but for a net that is trained in a moment: some 150 batches."""

    def __init__(self, estimator=None, *, target_class=None, feature_space=None, random_state=0):
        super().__init__(
            estimator,
            target_class=target_class,
            feature_space=feature_space,
            random_state=random_state,
            batch_size=64,
            lr=0.01,
        )

    def _n_epochs(self, n_rows):
        return int(np.clip(150 * 64 // n_rows, 3, 60))


# A new explainer is covered by scikit-learn's checks and by our contract by one line here.
EXPLAINERS = {
    "nearest": NearestExplainer,
    "collective": CCEExplainer,
    "exact": ExactExplainer,
    "prototype": PrototypeExplainer,
    "tgt": TGTExplainer,
    "latent": TinyLatentExplainer,
}


def boosted_pipeline(X, y, categories, random_state=0):
    """A whole Pipeline on raw DataFrames, which takes missing values."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, categories), remainder="passthrough")
    boosting = HistGradientBoostingClassifier(max_iter=30, random_state=random_state)
    return make_pipeline(columns, boosting).fit(X, y)


def mixed_population(n=400, seed=0, missing=True):
    """People with text, integers, floats, booleans and gaps; a noisy score decides."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": rng.gamma(4.0, 500.0, n).round(2),
            "hours": rng.integers(10, 60, n),
            "job": rng.choice(["clerk", "cook", "nurse", "pilot"], n, p=[0.4, 0.3, 0.2, 0.1]),
            "sex": rng.choice(["f", "m"], n),
            "owner": rng.random(n) < 0.4,
        },
        index=[f"person-{i}" for i in range(n)],
    )
    score = X["income"] / 1000 + X["hours"] / 30 + X["owner"] + (X["job"] == "pilot")
    y = np.where(score + rng.normal(0, 0.3, n) > 4.0, "yes", "no")
    if missing:
        X["income"] = X["income"].mask(rng.random(n) < 0.1)
        X["job"] = X["job"].mask(rng.random(n) < 0.1)
    return X, y


@cache
def people(n=400):
    """Rows, labels, and a fitted Pipeline."""
    X, y = mixed_population(n)
    return X, y, boosted_pipeline(X, y, ["job", "sex"])


@pytest.fixture(scope="session")
def population():
    """Rows, labels, and a fitted Pipeline."""
    return people()


@pytest.fixture(scope="session")
def adult():
    """Adult, raw: (X_train, X_queries, feature_space, a fitted Pipeline)."""
    folder = os.environ.get("SKCF_DATA")
    if folder is None or not (Path(folder) / "adult.csv.gz").exists():
        pytest.skip("SKCF_DATA names no folder with adult.csv.gz")
    from skcf.datasets import fetch_adult

    X, y, space = fetch_adult()
    X, y, queries = X.iloc[:6000], y.iloc[:6000], X.iloc[40_000:40_400]
    text = [name for name in X if X[name].dtype.kind not in "if"]
    return X, queries, space, boosted_pipeline(X, y, text)


def workers_for(Explainer):
    """Start worker processes anew for an explainer that takes torch with it.

    In one that was at work before, importing torch looks like a leak of memory to joblib: it starts
    it anew itself, and where two do so at once may wait for ever.
    """
    running = reusable_executor._executor
    latent = any(base.__module__.startswith("skcf.latent") for base in Explainer.__mro__)
    if running is not None and latent:
        running.shutdown(wait=True)
