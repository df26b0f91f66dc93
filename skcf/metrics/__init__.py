"""Metrics of counterfactuals: plain functions of arrays or DataFrames.

All of them are called alike::

    metric(X, X_cf, *, feature_space=None, status=None, average="mean", ...)

X, X_cf
    The rows that were explained, and one counterfactual for each, in the same order and with the
    same columns (numpy, pandas or polars). Or a `CounterfactualResult` in the place of X, which
    brings X_cf and the status with it: ``proximity(explainer.explain(X))``.
feature_space
    A fitted `FeatureSpace`: kinds, scales, weights, constraints. An explainer has one in
    ``feature_space_``. None: kinds and scales are read off the reference rows where the metric
    takes some, else off X; scales of a few rows say little, so give one.
status
    What became of each row: as in `CounterfactualResult`, or a mask, True where there is a
    counterfactual. None: every row has one.
average
    "mean" or "median" over the rows that have a counterfactual, NaN if none has; None gives one
    value a row, NaN for a row that has none. Metrics of the whole batch (validity, coverage, the
    distances between distributions) do without.

Only rows whose status is "found" count. Rows "already_target" needed nothing; all others needed a
counterfactual and have none, which lowers validity and coverage and leaves the other metrics as
they are: read them together.

Metrics that compare with real rows take, beside these:

reference, y_reference, target
    Real rows; their labels, as the classifier predicts them; and the label that the
    counterfactuals are to have, one for all or one a row (a `CounterfactualResult` knows it).
    Where y_reference is None, all reference rows are of the target class.

Metrics of groups take rows, their groups and translations instead: see `group_correctness`.

Metrics that ask the classifier take it as ``estimator``: anything that an explainer takes.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skcf.metrics._autoencoders import Autoencoders, fit_autoencoders
    from skcf.metrics._collective import (
        busiest_share,
        congestion_utility,
        crowding_divergence,
        effective_targets,
        transport_cost,
    )
    from skcf.metrics._compare import compare_explainers
    from skcf.metrics._consistency import (
        group_similarity,
        symmetry_violation,
        transitivity_violation,
    )
    from skcf.metrics._constraints import constraint_violations
    from skcf.metrics._distribution import (
        MMDTest,
        energy_distance,
        mmd2,
        mmd_test,
        sliced_wasserstein,
    )
    from skcf.metrics._diversity import dpp_diversity, pairwise_diversity
    from skcf.metrics._groups import calibrate_epsilon, group_correctness, group_coverage
    from skcf.metrics._interpretability import im1, im2, reconstruction_error
    from skcf.metrics._model_comparison import ModelComparisonTest, model_comparison_test
    from skcf.metrics._plausibility import (
        density_quantile,
        isolation_score,
        knn_distance,
        local_outlier_factor,
        neighbour_share,
    )
    from skcf.metrics._proximity import (
        gower_distance,
        mad_distance,
        proximity,
        redundancy,
        sparsity,
    )
    from skcf.metrics._refit import refit_best, refit_pareto
    from skcf.metrics._robustness import robustness
    from skcf.metrics._scorer import get_scorer, get_scorer_names, make_counterfactual_scorer
    from skcf.metrics._stability import stability
    from skcf.metrics._validity import coverage, margin, validity

_HOME = {
    "_autoencoders": ("Autoencoders", "fit_autoencoders"),
    "_collective": (
        "busiest_share",
        "congestion_utility",
        "crowding_divergence",
        "effective_targets",
        "transport_cost",
    ),
    "_compare": ("compare_explainers",),
    "_consistency": ("group_similarity", "symmetry_violation", "transitivity_violation"),
    "_constraints": ("constraint_violations",),
    "_distribution": ("MMDTest", "energy_distance", "mmd2", "mmd_test", "sliced_wasserstein"),
    "_diversity": ("dpp_diversity", "pairwise_diversity"),
    "_groups": ("calibrate_epsilon", "group_correctness", "group_coverage"),
    "_interpretability": ("im1", "im2", "reconstruction_error"),
    "_model_comparison": ("ModelComparisonTest", "model_comparison_test"),
    "_plausibility": (
        "density_quantile",
        "isolation_score",
        "knn_distance",
        "local_outlier_factor",
        "neighbour_share",
    ),
    "_proximity": ("gower_distance", "mad_distance", "proximity", "redundancy", "sparsity"),
    "_refit": ("refit_best", "refit_pareto"),
    "_robustness": ("robustness",),
    "_scorer": ("get_scorer", "get_scorer_names", "make_counterfactual_scorer"),
    "_stability": ("stability",),
    "_validity": ("coverage", "margin", "validity"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Autoencoders",
    "MMDTest",
    "ModelComparisonTest",
    "busiest_share",
    "calibrate_epsilon",
    "compare_explainers",
    "congestion_utility",
    "constraint_violations",
    "coverage",
    "crowding_divergence",
    "density_quantile",
    "dpp_diversity",
    "effective_targets",
    "energy_distance",
    "fit_autoencoders",
    "get_scorer",
    "get_scorer_names",
    "gower_distance",
    "group_correctness",
    "group_coverage",
    "group_similarity",
    "im1",
    "im2",
    "isolation_score",
    "knn_distance",
    "local_outlier_factor",
    "mad_distance",
    "make_counterfactual_scorer",
    "margin",
    "mmd2",
    "mmd_test",
    "model_comparison_test",
    "neighbour_share",
    "pairwise_diversity",
    "proximity",
    "reconstruction_error",
    "redundancy",
    "refit_best",
    "refit_pareto",
    "robustness",
    "sliced_wasserstein",
    "sparsity",
    "stability",
    "symmetry_violation",
    "transitivity_violation",
    "transport_cost",
    "validity",
]


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return getattr(import_module(f"skcf.metrics.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'skcf.metrics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
