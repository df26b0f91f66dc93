"""The signature that all metrics share: containers, results, status, averages, errors."""

import subprocess
import sys
from inspect import Parameter, signature

import numpy as np
import pytest
from conftest import boosted_pipeline, mixed_population
from sklearn.exceptions import NotFittedError

import skcf
from skcf import FeatureSpace, NearestExplainer, metrics
from skcf.metrics import coverage, gower_distance, margin, proximity, redundancy, sparsity, validity

pd = pytest.importorskip("pandas")

X = np.array([[0.0, 0.0], [1.0, 4.0], [2.0, 8.0]])
X_CF = np.array([[1.0, 0.0], [1.0, 8.0], [np.inf, np.nan]])
STATUS = ["found", "found", "not_found"]
ROW_METRICS = [proximity, gower_distance, sparsity]


def test_public_names_are_there_and_nothing_else():
    for name in metrics.__all__:
        assert callable(getattr(metrics, name))
    assert dir(metrics) == sorted(metrics.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        metrics.nonsense  # noqa: B018
    assert skcf.metrics is metrics


def test_importing_takes_nothing_heavy_with_it():
    names = ", ".join(metrics.__all__)
    code = f"from skcf.metrics import {names}; import sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "skorch", "ot", "matplotlib"} & set(out.stdout.split())


@pytest.mark.parametrize("metric", ROW_METRICS)
def test_rows_without_a_counterfactual_have_no_value_and_may_hold_anything(metric):
    values = metric(X, X_CF, status=STATUS, average=None)
    assert np.isfinite(values[:2]).all()
    assert np.isnan(values[2])
    assert metric(X, X_CF, status=STATUS) == pytest.approx(values[:2].mean())
    assert metric(X, X_CF, status=STATUS, average="median") == pytest.approx(np.median(values[:2]))
    np.testing.assert_array_equal(
        metric(X, X_CF, status=np.array([True, True, False]), average=None), values
    )


@pytest.mark.parametrize("metric", ROW_METRICS)
def test_no_row_has_a_counterfactual(metric):
    status = ["infeasible", "no_group", "already_target"]
    assert np.isnan(metric(X, X_CF, status=status))
    assert np.isnan(metric(X, X_CF, status=status, average=None)).all()


@pytest.mark.parametrize("metric", ROW_METRICS)
def test_a_row_counts_the_same_alone(metric):
    space = FeatureSpace().fit(X)
    values = metric(X[:2], X_CF[:2], feature_space=space, average=None)
    for i in range(2):
        alone = metric(X[[i]], X_CF[[i]], feature_space=space)
        assert alone == values[i]


@pytest.fixture(scope="module")
def explained():
    rows, y = mixed_population(200)
    model = boosted_pipeline(rows, y, ["job", "sex", "owner"])
    explainer = NearestExplainer(model, target_class="yes").fit(rows)
    return explainer, explainer.explain(rows.iloc[:40])


def test_a_result_says_what_the_explainer_said(explained):
    explainer, result = explained
    space = explainer.feature_space_
    found = result.status == "found"
    assert found.any()
    assert not found.all()
    assert validity(result) == result.summary()["validity"]
    again = validity(result, estimator=explainer.estimator_, target_class="yes")
    assert again == result.summary()["validity"]
    assert coverage(result, feature_space=space) == validity(result)
    np.testing.assert_allclose(
        proximity(result, feature_space=space, average=None)[found], result.cost[found]
    )
    np.testing.assert_array_equal(
        sparsity(result, feature_space=space, average=None)[found], result.n_changes[found]
    )
    asked = {"estimator": explainer.estimator_, "target_class": "yes", "feature_space": space}
    assert np.nanmin(margin(result, average=None, **asked)) > 0
    assert redundancy(result, **asked) == 0  # the explainer undid what it could


def test_a_result_is_its_parts(explained):
    explainer, result = explained
    space = explainer.feature_space_
    apart = proximity(
        result.X, result.X_cf, feature_space=space, status=result.status, average=None
    )
    np.testing.assert_array_equal(apart, proximity(result, feature_space=space, average=None))


@pytest.mark.parametrize("metric", ROW_METRICS)
def test_containers_agree(metric):
    pl = pytest.importorskip("polars")
    before = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"], "c": [0.5, 1.5, 2.5]})
    after = pd.DataFrame({"a": [2, 2, 1], "b": ["y", "y", "x"], "c": [0.5, 0.5, 2.0]})
    expected = metric(before, after, average=None)
    np.testing.assert_array_equal(
        metric(pl.from_pandas(before), pl.from_pandas(after), average=None), expected
    )
    space = FeatureSpace(categorical_features=[1]).fit(before.to_numpy())
    arrays = metric(before.to_numpy(), after.to_numpy(), feature_space=space, average=None)
    np.testing.assert_allclose(arrays, expected)


def test_fractions_in_a_column_of_integers_are_measured():
    before, after = pd.DataFrame({"a": [0, 4]}), pd.DataFrame({"a": [1.5, 4.0]})
    np.testing.assert_allclose(proximity(before, after, average=None), [0.375, 0])


def test_bad_input_is_refused(explained):
    _, result = explained
    with pytest.raises(TypeError, match="brings its own X_cf"):
        proximity(result, X_CF)
    with pytest.raises(TypeError, match="X_cf is missing"):
        proximity(X)
    with pytest.raises(ValueError, match="as many rows"):
        proximity(X, X_CF[:2])
    with pytest.raises(ValueError, match="status must have shape"):
        proximity(X, X_CF, status=["found"])
    with pytest.raises(ValueError, match=r"status must be a mask.*'fine'"):
        proximity(X, X_CF, status=["found", "found", "fine"])
    with pytest.raises(ValueError, match="average must be"):
        proximity(X, X_CF, status=STATUS, average="max")
    with pytest.raises(ValueError, match="infinity"):
        proximity(X, X_CF)
    with pytest.raises(TypeError, match="feature_space must be"):
        proximity(X, X_CF, feature_space="range")
    with pytest.raises(NotFittedError):
        proximity(X, X_CF, feature_space=FeatureSpace())


def test_inputs_are_not_written_to(explained):
    explainer, result = explained
    before, after = result.X.copy(), result.X_cf.copy()
    redundancy(
        result,
        estimator=explainer.estimator_,
        target_class="yes",
        feature_space=explainer.feature_space_,
    )
    pd.testing.assert_frame_equal(result.X, before)
    pd.testing.assert_frame_equal(result.X_cf, after)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_classifiers_and_real_rows_in_frames(library):
    frames = pytest.importorskip(library)
    before = frames.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]})
    after = frames.DataFrame({"a": [6, 9, 9], "b": ["y", "x", "x"]})

    def accepts(rows):
        return np.asarray(rows["a"]) > 5

    asked = {"estimator": accepts, "target_class": True}
    assert validity(before, after, **asked) == 1
    np.testing.assert_array_equal(redundancy(before, after, average=None, **asked), [1, 1, 0])
    near = {"reference": after, "n_neighbors": 1, "average": None}
    np.testing.assert_allclose(metrics.knn_distance(before, after, **near), 0)
    assert metrics.energy_distance(before, after, reference=after) == pytest.approx(0)
    assert metrics.constraint_violations(before, after)["any"] == 0


WITH_AVERAGE = [
    name for name in metrics.__all__ if "average" in signature(getattr(metrics, name)).parameters
]


@pytest.mark.parametrize("name", WITH_AVERAGE)
def test_a_bad_average_is_refused_before_any_work(name):
    """Nothing else that the metric is given has been looked at yet."""
    metric = getattr(metrics, name)
    required = [
        key
        for key, parameter in signature(metric).parameters.items()
        if parameter.default is Parameter.empty
    ]
    bad = {key: Untouchable() for key in required} | {"average": "mode"}
    if name.startswith("group_c"):  # they check the radius along with it
        bad["eps"] = 1.0
    with pytest.raises(ValueError, match=r"average must be .*got 'mode'"):
        metric(**bad)


class Untouchable:
    def __getattribute__(self, name):
        raise AssertionError(f"{name} was asked for")
