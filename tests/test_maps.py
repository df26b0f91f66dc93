"""Representations: what they give, and how they change, whatever they are."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.preprocessing import KBinsDiscretizer

from skcf import FeatureSpace
from skcf._dense_map import DenseMap
from skcf._maps import AffineMap, AskedMap, FilledMap, TorchMap
from skcf._representations import (
    STEP,
    WIDE_STEP,
    ScaledMap,
    SimultaneousMap,
    front_of,
    in_units,
    read_representation,
    resolution_of,
)


def rows(n=60, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)) * np.arange(1, d + 1)


def read(given, X, **options):
    return read_representation(given, X, FeatureSpace().fit(X), **options)


def curved(Z):
    return np.stack([np.sin(Z[:, 0]) + Z[:, 1] ** 2, Z[:, 2] * Z[:, 3]], axis=1)


def slope_by_differences(found, Z, V, step=1e-5):
    return np.transpose(
        [
            ((found.values(Z + step * e) - found.values(Z - step * e)) * V).sum(axis=1) / (2 * step)
            for e in np.eye(Z.shape[1])
        ]
    )


def net(sizes, dtype=None):
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [
            part for m, n in pairwise(sizes) for part in (torch.nn.Linear(m, n), torch.nn.ELU())
        ]
    return torch.nn.Sequential(*layers[:-1]).to(dtype or torch.float64)


def watched(module):
    """A net that is left to torch."""
    module[0].register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize("kind", ["none", "pca", "function", "torch"])
def test_values_and_gradients(kind):
    X = rows()
    given = {"none": None, "pca": PCA(2).fit(X), "function": curved}
    found, values = read(net([4, 3, 2]) if kind == "torch" else given[kind], X)
    assert_allclose(found.values(X), values)
    V = np.random.default_rng(1).normal(size=values.shape)
    assert_allclose(found.pullback(X, V), slope_by_differences(found, X, V), rtol=1e-4, atol=1e-5)


def test_what_is_read_is_the_right_kind():
    X = rows()
    assert isinstance(read(None, X)[0], ScaledMap)
    assert isinstance(read(PCA(2).fit(X), X)[0], AffineMap)
    found = read(curved, X)[0]
    assert type(found) is AskedMap
    assert found.step == STEP
    assert isinstance(read(net([4, 2]), X)[0], AffineMap)
    assert isinstance(read(net([4, 3, 2]), X)[0], DenseMap)
    assert isinstance(read(watched(net([4, 3, 2])), X)[0], TorchMap)


@pytest.mark.parametrize("kind", ["forest", "bins"])
def test_piecewise_constant_maps_are_asked_with_wide_steps(kind):
    X = rows(200)
    if kind == "forest":
        given = RandomForestRegressor(5, max_depth=4, random_state=0).fit(X, X[:, :2]).predict
    else:
        given = KBinsDiscretizer(5, encode="ordinal", quantile_method="averaged_inverted_cdf")
        given = given.fit(X)
    found, values = read(given, X)
    assert found.step == WIDE_STEP
    slope = found.pullback(X, np.ones(values.shape))
    # both rise with the first feature, on the whole
    assert slope[:, 0].mean() > 0.1
    assert read(given, X, step=0.25)[0].step == 0.25


def test_many_features_are_moved_together():
    d = 300
    rng = np.random.default_rng(0)
    X, A = rng.normal(size=(20, d)), rng.normal(size=(d, 2)) / np.sqrt(d)

    def given(Z):
        return np.tanh(Z @ A)

    found, values = read(given, X, n_directions=4000, random_state=0)
    assert isinstance(found, SimultaneousMap)
    assert_array_equal(values, given(X))
    V = np.ones((3, 2))
    exact = ((1 - values[:3] ** 2) * V) @ A.T
    estimate = found.pullback(X[:3], V)
    # unbiased, with a relative error of sqrt((d - 1) / n_directions)
    for a, b in zip(estimate, exact, strict=True):
        assert np.linalg.norm(a - b) < 1.3 * np.sqrt(d / 4000) * np.linalg.norm(b)
    again = read(given, X, n_directions=4000, random_state=0)[0]
    assert_array_equal(again.pullback(X[:3], V), estimate)


def test_wide_affine_maps_are_found_out_in_blocks(monkeypatch):
    d = 300
    X = np.random.default_rng(0).normal(size=(40, d))
    monkeypatch.setattr("skcf._maps.BLOCK_ELEMENTS", 7 * d)
    pca = PCA(2).fit(X)
    found, _ = read(pca, X)
    assert isinstance(found, AffineMap)
    assert_allclose(found.slope, pca.components_.T, atol=1e-9)


@pytest.mark.parametrize("kind", ["affine", "net"])
def test_first_layer_and_rest_are_the_map(kind):
    X = rows(20, 6)
    given = PCA(2).fit(X) if kind == "affine" else net([6, 4, 3])
    found, values = read(given, X)
    slope, intercept, rest = front_of(found)
    assert slope.shape == (6, 2 if kind == "affine" else 4)
    assert_allclose(rest.values(X @ slope + intercept), values, rtol=1e-9, atol=1e-12)


def test_no_first_layer_where_it_would_not_help():
    X = rows(20)
    wide = read(net([4, 8, 2]), X)[0]
    assert front_of(wide) == (None, None, wide)
    found = read(watched(net([4, 2, 2])), X)[0]
    assert front_of(found) == (None, None, found)


def test_resolution_is_that_of_what_is_computed_with():
    torch = pytest.importorskip("torch")
    X = rows()
    given = net([4, 3, 2], torch.float32)
    assert resolution_of(read(given, X)[0]) == np.finfo(float).eps
    assert resolution_of(read(watched(given), X)[0]) == np.finfo(np.float32).eps
    assert resolution_of(read(None, X)[0]) == np.finfo(float).eps


def test_rows_of_float32_stay_that():
    seen = []

    def given(Z):
        seen.append(Z.dtype)
        return Z[:, :2] ** 2

    X = rows().astype(np.float32)
    read_representation(given, X, FeatureSpace().fit(X))
    assert seen[0] == np.float32


@pytest.mark.parametrize(
    "given, message",
    [
        (lambda Z: Z[:, 0], "representation must give a 2-D array"),
        (lambda Z: Z[1:, :2], "representation must give one row a row; got 59 rows for 60"),
        (lambda Z: np.full((len(Z), 2), np.nan), "representation gives values that are not finite"),
    ],
)
def test_what_a_distance_cannot_be_taken_of(given, message):
    with pytest.raises(ValueError, match=message):
        read(given, rows())


def test_categories_are_refused():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "job": ["x", "y", "x"]})
    space = FeatureSpace().fit(X)
    with pytest.raises(ValueError, match=r"representation takes rows of numbers.*encode them"):
        read_representation(lambda Z: Z, np.zeros((3, 2)), space)


def test_without_a_representation_categories_are_left_out():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"job": ["x", "y", "x"], "a": [1.0, 2.0, 5.0]})
    space = FeatureSpace().fit(X)
    Z = np.array([[0.0, 1.0], [1.0, 2.0], [0.0, 5.0]])
    found, values = read_representation(None, Z, space)
    assert_allclose(values, Z[:, 1:] / 4)
    assert_allclose(found.pullback(Z, np.ones((3, 1))), [[0.0, 0.25]] * 3)


def test_a_transformer_that_encodes_categories_is_asked_about_rows_as_they_came():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"job": ["x", "y", "x"], "n": [1, 2, 5]})

    class Encoder:
        feature_names_in_ = np.array(["job", "n"], dtype=object)

        def transform(self, rows):
            assert list(rows) == ["job", "n"]
            return np.column_stack([rows["job"] == "y", rows["n"] ** 2.0])

    space = FeatureSpace().fit(X)
    Z = space.transform(X)
    found, values = read_representation(Encoder(), Z, space)
    assert_allclose(values, [[0, 1], [1, 4], [0, 25]])
    halves = Z + [0, 0.5]  # whole numbers are not cut
    assert_allclose(found.values(halves)[:, 1], [2.25, 6.25, 30.25])
    assert_allclose(found.pullback(Z, np.ones((3, 2))), [[0, 2], [0, 4], [0, 10]], atol=1e-6)


def test_maps_in_other_units():
    X = rows()
    scale = np.array([2.0, 0.5, 3.0, 1.0])[: X.shape[1]]
    found, _ = read(lambda Z: np.tanh(Z[:, :2]), X)
    other = in_units(found, scale)
    V = np.ones((len(X), 2))
    assert_allclose(other.values(X / scale), found.values(X))
    assert_allclose(other.pullback(X / scale, V), found.pullback(X, V) * scale)
    straight, _ = read(lambda Z: Z[:, :2] - Z[:, 1:3], X)
    affine = in_units(straight, scale)
    assert type(affine) is type(straight)
    assert_allclose(affine.values(X / scale), straight.values(X), atol=1e-9)
    assert in_units(found, np.ones(len(scale))) is found


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="representation must be a torch module, a function"):
        read(3, rows())


def test_resolution_is_that_of_the_map_behind_units_and_filled_gaps():
    torch = pytest.importorskip("torch")
    wrapped = TorchMap(torch.nn.Linear(4, 2))
    single = np.finfo(np.float32).eps
    assert resolution_of(wrapped) == single
    filled = FilledMap(wrapped, np.zeros(4))
    assert resolution_of(filled) == single
    assert resolution_of(in_units(filled, np.full(4, 2.0))) == single
