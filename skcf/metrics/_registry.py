"""Metrics by name: which there are, which way is better, and what each must be given."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

from skcf.metrics._explained_groups import share_of_groups

__all__ = ["METRICS", "Metric", "metric_of", "read_metrics"]

BETTER_IF_GREATER = {
    "validity": True,
    "coverage": True,
    "margin": True,
    "proximity": False,
    "mad_distance": False,
    "gower_distance": False,
    "sparsity": False,
    "redundancy": False,
    "constraint_violations": False,
    "knn_distance": False,
    "neighbour_share": True,
    "local_outlier_factor": False,
    "isolation_score": False,
    "density_quantile": True,
    "mmd2": False,
    "energy_distance": False,
    "sliced_wasserstein": False,
    "pairwise_diversity": True,
    "dpp_diversity": True,
    "transport_cost": False,
    "crowding_divergence": False,
    "effective_targets": True,
    "busiest_share": False,
    "congestion_utility": True,
    "im1": False,
    "im2": False,
    "reconstruction_error": False,
    "robustness": True,
    "group_correctness": True,
    "group_coverage": True,
}
"""Functions of `skcf.metrics` that are about the counterfactuals of one explainer."""

NEED_MORE = ("im1", "im2", "reconstruction_error", "robustness")
"""Those that must be given more than counterfactuals, a classifier and real rows."""

VARIANTS = {
    "proximity_l2": ("proximity", {"norm": "l2"}),
    "proximity_linf": ("proximity", {"norm": "linf"}),
    "sparsity_share": ("sparsity", {"share": True}),
}
"""Names of functions with an option set."""

METRICS = (*(name for name in BETTER_IF_GREATER if name not in NEED_MORE), *VARIANTS)
"""Names that stand for a metric with nothing to be set."""

OF_SEVERAL = ("pairwise_diversity", "dpp_diversity")
OF_GROUPS = ("group_correctness", "group_coverage")
"""Those of the translations of groups, which only group explainers have."""

INPUTS = ("estimator", "target_class", "reference", "y_reference", "feature_space")


@dataclass(frozen=True)
class Metric:
    """A metric that can be measured of any explainer's result.

    Attributes
    ----------
    name : str
        What it is called.
    function : callable
        Takes a `CounterfactualResult`, and what `inputs` names.
    greater_is_better : bool
        Its direction.
    inputs : tuple of str
        The keywords that it is given, of `INPUTS`.
    compares : bool
        Whether it tells counterfactuals from real rows, so that those have a value too.
    needs_several : bool
        Whether it is about several counterfactuals of one row.
    of_groups : bool
        Whether it is about translations between groups, and takes rows in groups.
    """

    name: str
    function: Any
    greater_is_better: bool = True
    inputs: tuple[str, ...] = ()
    compares: bool = False
    needs_several: bool = False
    of_groups: bool = False

    @property
    def key(self):
        """The name under which the greater score is the better one."""
        return self.name if self.greater_is_better else f"neg_{self.name}"

    def value(self, explained):
        """Measure it, as it is: not negated.

        Parameters
        ----------
        explained : Explained
            Where the inputs come from.

        Returns
        -------
        float

        Raises
        ------
        TypeError
            If it gives no number.
        """
        if self.of_groups:
            return share_of_groups(self.function, explained)
        given = {name: getattr(explained, name) for name in self.inputs}
        value = self.function(explained.result, **given)
        if isinstance(value, dict):
            value = value.get("any", value)  # constraint_violations tells the kinds apart
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"The metric {self.name} must give one number for all rows, got {value!r}."
            ) from error


def metric_of(metric, name=None):
    """Read one metric.

    Parameters
    ----------
    metric : str or callable
        A name of `METRICS`, with or without "neg_" before it; a function of `skcf.metrics`, or a
        `functools.partial` of one; or any function that takes a `CounterfactualResult` and gives a
        number, the greater the better.
    name : str, default=None
        What to call it; None: its own name.

    Returns
    -------
    Metric

    Raises
    ------
    ValueError
        If there is no metric of that name.
    TypeError
        If it is neither a name nor a function, or needs what it is not given.
    """
    if isinstance(metric, str):
        return _by_name(metric, name)
    if not callable(metric):
        raise TypeError(f"A metric must be a name or a function, got {metric!r}.")
    function = metric.func if isinstance(metric, partial) else metric
    own_name = getattr(function, "__name__", type(function).__name__)
    if not (getattr(function, "__module__", None) or "").startswith("skcf.metrics."):
        return Metric(name or own_name, metric)
    name = (name or own_name).removeprefix("neg_")
    return _of_ours(metric, name, BETTER_IF_GREATER.get(own_name))


def _by_name(metric, name):
    """Look a metric up."""
    plain = metric.removeprefix("neg_")
    of, options = VARIANTS.get(plain, (plain, {}))
    if of not in BETTER_IF_GREATER or (metric != plain and BETTER_IF_GREATER[of]):
        raise ValueError(f"metric must be a function or one of {sorted(METRICS)}, got {metric!r}.")
    function = getattr(import_module("skcf.metrics"), of)
    function = partial(function, **options) if options else function
    name = (name or plain).removeprefix("neg_")
    return _of_ours(function, name, BETTER_IF_GREATER[of])


def _of_ours(function, name, greater_is_better):
    """A function of `skcf.metrics`, with the inputs that are not set yet."""
    if greater_is_better is None:
        raise TypeError(
            f"{name} is no metric of the counterfactuals of one explainer: it cannot be scored."
        )
    if getattr(function, "func", function).__name__ in OF_GROUPS:
        return Metric(name, function, of_groups=True)
    free = signature(function).parameters
    bound = function.keywords if isinstance(function, partial) else {}
    if bound.get("average", "mean") is None:
        raise TypeError(f"{name} with average=None is one value a row: a score is one number.")
    required = [
        key
        for key, parameter in free.items()
        if parameter.default is Parameter.empty and key not in (*INPUTS, *bound, "X")
    ]
    if required:
        raise TypeError(
            f"{name} needs {required}: set them, as in functools.partial({name}, "
            f"{required[0]}=...)."
        )
    inputs = [key for key in INPUTS if key in free and key not in bound]
    if "estimator" in inputs and free["estimator"].default is not Parameter.empty:
        # the explainer has asked the classifier: its word is taken
        inputs = [key for key in inputs if key not in ("estimator", "target_class")]
    several = getattr(function, "func", function).__name__ in OF_SEVERAL
    compares = not {"y_reference", "autoencoders"}.isdisjoint(free)
    return Metric(name, function, greater_is_better, tuple(inputs), compares, several)


def read_metrics(metrics):
    """Read metrics that are given as a name, a function, a list or a dict of these.

    Parameters
    ----------
    metrics : str, callable, list or dict
        In a dict, the keys are their names.

    Returns
    -------
    list of Metric

    Raises
    ------
    ValueError
        If there are none, or two have one name.
    TypeError
        If they are neither of these.
    """
    if isinstance(metrics, str) or callable(metrics):
        metrics = [metrics]
    if not isinstance(metrics, Iterable):
        raise TypeError(
            f"metrics must be a name, a function, or a list or dict of these, got {metrics!r}."
        )
    pairs = metrics.items() if isinstance(metrics, dict) else ((None, one) for one in metrics)
    read = [metric_of(metric, name) for name, metric in pairs]
    # a name and a key: a metric of one's own may bring its "neg_"
    names = [metric.key.removeprefix("neg_") for metric in read]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Two metrics are called {twice}: give a dict, {{name: metric}}.")
    if not read:
        raise ValueError("metrics is empty: name at least one.")
    return read
