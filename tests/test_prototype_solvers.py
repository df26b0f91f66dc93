"""What PrototypeExplainer is made of: against finite differences, brute force and by hand."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize, minimize_scalar
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from skcf import FeatureSpace
from skcf._classifiers import read_classifier
from skcf._maps import AffineMap, AskedMap, TorchMap, read_map
from skcf._oracle import Oracle
from skcf._targets import OTHER
from skcf.prototype import _fista
from skcf.prototype._axes import CategoricalAxes
from skcf.prototype._fista import bounds, minimise, search_weight
from skcf.prototype._losses import (
    AutoencoderLoss,
    EncodedPrototypeLoss,
    PredictionLoss,
    PrototypeLoss,
    slope_along,
)
from skcf.prototype._path import breakpoints, follow_path, minimiser
from skcf.prototype._problem import Pairs, elastic_net
from skcf.prototype._prototypes import KDTrees, MeanEncodings
from skcf.prototype._select import choose

pd = pytest.importorskip("pandas")

seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=40, deadline=None, derandomize=True)


@cache
def iris():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3)).fit(X, y)
    return X, y, model


def problem(model, X, n=12, *, code=None, beta=0.1, weights=None, white_box=False, **space):
    """The first rows of X, each with the prototype that comes n rows later."""
    space = FeatureSpace(scale="std", feature_weights=weights, **space).fit(X)
    Z, origin = space.transform(X), space._tabulate(X)
    reader = read_classifier(model, space, origin)
    oracle = Oracle(reader, space, origin)
    labels = oracle.origin_labels()
    if white_box:
        assert oracle.learn_gradients()
    axes = CategoricalAxes(space, Z, labels)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(Z))[: 2 * n]
    code = labels[rows[n:]] if code is None else np.full(n, code)
    place = axes.place(Z[rows[n:]])
    pairs = Pairs(axes, oracle, Z[rows[:n]], rows[:n], code, place, 1e-4, beta)
    oracle.n_calls, oracle.n_queries[:] = 0, 0
    return pairs


def slope_of(value, U, step=1e-5):
    """Central differences of a function of rows of coordinates."""
    grad = np.empty(U.shape)
    for j in range(U.shape[1]):
        e = step * np.eye(U.shape[1])[j]
        grad[:, j] = (value(U + e) - value(U - e)) / (2 * step)
    return grad


def tiny_torch(sizes, seed=0, dtype="float64"):
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = []
        for i, o in pairwise(sizes):
            layers += [torch.nn.Linear(i, o), torch.nn.Tanh()]
        return torch.nn.Sequential(*layers[:-1]).to(getattr(torch, dtype))


# --------------------------------------------------------------------------------- smooth terms


@pytest.mark.parametrize("probabilities", [True, False])
@pytest.mark.parametrize("white_box", [True, False])
def test_gradient_of_the_prediction_loss(probabilities, white_box):
    X, _, model = iris()
    asked = model if white_box else model.predict_proba
    pairs = problem(asked, X, white_box=white_box)
    c = np.linspace(0.5, 3, len(pairs))
    loss = PredictionLoss(pairs, c, 0.2, probabilities)
    U = pairs.start + np.random.default_rng(1).normal(0, 0.3, pairs.start.shape)
    scale = pairs.space.scale_

    def value(U):
        return loss.value(U, U * scale)

    grad = loss.grad(U, U * scale)
    assert_allclose(grad, slope_of(value, U), atol=2e-6)
    reached = value(U) == -0.2 * c
    assert 0 < reached.sum() < len(pairs)
    assert_array_equal(grad[reached], 0)
    assert np.all(np.abs(grad[~reached]).max(axis=1) > 1e-3)


def test_prediction_loss_by_hand():
    """Eq. 2 times c: probabilities of the target less the greatest other, up to kappa."""
    X, _, model = iris()
    pairs = problem(model, X, code=1)
    loss = PredictionLoss(pairs, np.full(len(pairs), 2.0), 0.5, True)
    p = model.predict_proba(pairs.Z)
    lead = p[:, 1] - np.maximum(p[:, 0], p[:, 2])
    assert_allclose(loss.value(pairs.start, pairs.Z), 2 * np.maximum(-lead, -0.5))


def test_prediction_loss_of_the_margin_does_not_saturate():
    """Far away the slope of probabilities vanishes, that of the log-odds is constant."""
    X = np.linspace(-1, 1, 40)[:, None]
    model = LogisticRegression(C=1e6).fit(X, X[:, 0] > 0)
    pairs = problem(model, X, code=1, white_box=True)
    far = np.full((len(pairs), 1), -50.0)
    flat = PredictionLoss(pairs, np.ones(len(pairs)), 0.0, True)
    steep = PredictionLoss(pairs, np.ones(len(pairs)), 0.0, False)
    scale = pairs.space.scale_
    assert_allclose(flat.grad(far, far * scale), 0, atol=1e-12)
    assert_allclose(steep.grad(far, far * scale), -model.coef_ * scale + np.zeros((len(far), 1)))


def test_gradient_of_the_prototype_loss():
    X, _, model = iris()
    pairs = problem(model, X)
    loss = PrototypeLoss(pairs, 7.0)
    U = np.random.default_rng(0).normal(size=pairs.start.shape)
    assert_allclose(loss.value(U, None), 7 * np.sum((U - pairs.prototype) ** 2, axis=1))
    assert_allclose(loss.grad(U, None), slope_of(lambda U: loss.value(U, None), U), rtol=1e-6)


def test_prototype_loss_leaves_out_what_has_no_place():
    X, _, model = iris()
    pairs = problem(model, X)
    pairs.prototype[:, 1] = np.nan
    loss = PrototypeLoss(pairs, 1.0)
    U = pairs.start.copy()
    U[:, 2] = np.nan
    assert_array_equal(loss.grad(U, None)[:, 1:3], 0)
    gap = (U - pairs.prototype)[:, [0, 3]]
    assert_allclose(loss.value(U, None), np.sum(gap**2, axis=1))


def bowl(Z):
    """A map that is not affine."""
    return np.column_stack([Z[:, 0] * Z[:, 1], np.sin(Z).sum(axis=1), Z[:, 2] ** 2])


@pytest.mark.parametrize("kind", ["torch", "affine", "asked"])
def test_gradient_of_the_encoded_prototype_loss(kind):
    X, _, model = iris()
    given = {"torch": lambda: tiny_torch([4, 5, 2]), "affine": lambda: PCA(2).fit(X)}
    given = given.get(kind, lambda: bowl)()
    pairs = problem(model, X)
    encoder = read_map(given, "encoder", pairs.Z, pairs.space)
    assert {"torch": TorchMap, "affine": AffineMap, "asked": AskedMap}[kind] is type(encoder.inner)
    prototype = encoder.values(X[: len(pairs)])
    loss = EncodedPrototypeLoss(replace(pairs, prototype=prototype), 3.0, encoder)
    U = pairs.start + np.random.default_rng(1).normal(0, 0.2, pairs.start.shape)
    encoded = encoder.values(U * pairs.space.scale_)
    assert_allclose(loss.value(U, None), 3 * np.sum((encoded - prototype) ** 2, axis=1))
    expected = slope_of(lambda U: loss.value(U, None), U)
    assert_allclose(loss.grad(U, None), expected, rtol=1e-5, atol=1e-5)


def self_taught(X):
    """A net that predicts what it is given."""
    net = MLPRegressor(hidden_layer_sizes=3, activation="tanh", max_iter=5000, random_state=0)
    return net.fit(X, X)


@pytest.mark.parametrize("kind", ["torch", "affine", "asked", "predicts"])
def test_gradient_of_the_autoencoder_loss(kind):
    X, _, model = iris()
    given = {
        "torch": lambda: tiny_torch([4, 2, 4]),
        "affine": lambda: PCA(2).fit(X),
        "asked": lambda: lambda Z: np.sin(Z) + Z[:, ::-1],
        "predicts": lambda: self_taught(X),
    }[kind]()
    pairs = problem(model, X)
    autoencoder = read_map(given, "autoencoder", pairs.Z, pairs.space, n_outputs=4)
    loss = AutoencoderLoss(pairs, 2.0, autoencoder)
    U = pairs.start + np.random.default_rng(1).normal(0, 0.2, pairs.start.shape)
    scale = pairs.space.scale_
    residual = U - autoencoder.values(U * scale) / scale
    assert_allclose(loss.value(U, None), 2 * np.sum(residual**2, axis=1))
    expected = slope_of(lambda U: loss.value(U, None), U)
    assert_allclose(loss.grad(U, None), expected, rtol=1e-5, atol=1e-5)


def test_slope_along_an_axis_by_hand():
    """Categories at 0, 1, 0.4; the ends look to one side, the middle to both."""
    position = np.array([0.0, 1.0, 0.4])
    change = np.array([[0.0, 3.0, 1.0]] * 3 + [[9.0, 9.0, 9.0]])
    slope = slope_along(position, change, np.array([0.0, 1.0, 2.0, np.nan]))
    assert_allclose(slope, [1 / 0.4, 2 / 0.6, 3.0, 0.0])
    assert_array_equal(slope_along(position[:1], change[:, :1], np.zeros(4)), 0)


@pytest.mark.parametrize("white_box", [True, False])
def test_prediction_loss_along_categories(white_box):
    """A linear model: the slope is that between the neighbours on the axis, by hand."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": rng.normal(size=90), "kind": rng.choice([*"abcd"], 90)})
    effect = X["kind"].map({"a": 0.0, "b": 2.0, "c": -1.0, "d": 0.5})
    columns = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(X, X["size"] + effect > 0.3)
    asked = model if white_box else lambda X: model.predict_proba(X)
    pairs = problem(asked, X, code=1, white_box=white_box, n=20)
    loss = PredictionLoss(pairs, np.full(20, 1.5), 1e3, False)
    grad = loss.grad(pairs.start, pairs.Z)
    names, scale = [*"abcd"], pairs.space.scale_
    coef = dict(zip([*names, "size"], model[-1].coef_[0], strict=True))
    assert_allclose(grad[:, 0], -1.5 * coef["size"] * scale[0], rtol=1e-6)
    position = pairs.axes.axis(1)
    order = np.argsort(position)
    for code, slope in zip(pairs.Z[:, 1].astype(int), grad[:, 1], strict=True):
        at = int(np.flatnonzero(order == code)[0])
        low, high = order[max(at - 1, 0)], order[min(at + 1, 3)]
        rise = coef[names[high]] - coef[names[low]]
        assert_allclose(slope, -1.5 * rise / (position[high] - position[low]), rtol=1e-6)


# ------------------------------------------------------------------------------------------ maps


def test_pullback_of_an_asked_map_is_the_transposed_jacobian():
    rng = np.random.default_rng(0)
    Z, V = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
    asked = AskedMap(bowl, np.ones(4))
    zero = np.zeros(6)
    jacobian = np.array(
        [[Z[:, 1], Z[:, 0], zero, zero], np.cos(Z).T, [zero, zero, 2 * Z[:, 2], zero]]
    )
    assert_allclose(asked.pullback(Z, V), np.einsum("kjn,nk->nj", jacobian, V), atol=1e-6)


def test_asked_map_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    Z, V = rng.normal(size=(7, 4)), rng.normal(size=(7, 3))
    expected = AskedMap(bowl, np.ones(4)).pullback(Z, V)
    monkeypatch.setattr("skcf._maps.BLOCK_ELEMENTS", 2 * 16 * 3)
    assert_allclose(AskedMap(bowl, np.ones(4)).pullback(Z, V), expected, rtol=1e-12)


def test_affine_maps_are_found_out():
    X, _, _ = iris()
    space = FeatureSpace().fit(X)
    pca = PCA(3, whiten=True).fit(X)
    found = read_map(pca, "encoder", X, space)
    assert type(found.inner) is AffineMap
    assert_allclose(found.values(X), pca.transform(X), atol=1e-9)
    there_and_back = read_map(pca, "autoencoder", X, space, n_outputs=4)
    assert type(there_and_back.inner) is AffineMap
    assert_allclose(there_and_back.values(X), pca.inverse_transform(pca.transform(X)), atol=1e-9)
    constant = read_map(lambda Z: np.ones((len(Z), 2)), "encoder", X, space)
    assert_array_equal(constant.pullback(X, np.ones((len(X), 2))), 0)
    curved = make_pipeline(PolynomialFeatures(2)).fit(X)
    assert type(read_map(curved, "encoder", X, space).inner) is AskedMap


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_torch_map_in_the_dtype_of_its_parameters(dtype):
    torch = pytest.importorskip("torch")
    module = tiny_torch([4, 3, 2], dtype=dtype).train()
    found = TorchMap(module)
    Z = np.random.default_rng(0).normal(size=(5, 4))
    with torch.no_grad():
        expected = module(torch.tensor(Z, dtype=getattr(torch, dtype))).double().numpy()
    values = found.values(Z)
    assert values.dtype == np.float64
    assert_array_equal(values, expected)
    assert module.training
    assert all(p.grad is None for p in module.parameters())
    tolerance = 1e-7 if dtype == "float64" else 2e-2
    asked = AskedMap(found.values, np.ones(4)).pullback(Z, np.ones((5, 2)))
    assert_allclose(found.pullback(Z, np.ones((5, 2))), asked, atol=tolerance)


def test_first_of_several_outputs_of_a_module_counts():
    torch = pytest.importorskip("torch")

    class Twice(torch.nn.Module):
        def forward(self, x):
            return 2 * x, x

    Z = np.arange(6.0).reshape(2, 3)
    found = TorchMap(Twice())
    assert_array_equal(found.values(Z), 2 * Z)
    assert_array_equal(found.pullback(Z, Z), 2 * Z)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_maps_that_know_names_are_given_frames(container):
    """Warnings of scikit-learn that names are missing are errors here."""
    X = pd.DataFrame(iris()[0], columns=[*"abcd"])
    X = X if container == "pandas" else pytest.importorskip("polars").from_pandas(X)
    Z = np.asarray(X)
    space, pca = FeatureSpace().fit(X), PCA(2).fit(X)
    encoder = read_map(pca, "encoder", Z, space)
    assert_allclose(encoder.values(Z), pca.transform(X), atol=1e-9)
    curved = make_pipeline(PolynomialFeatures(2, include_bias=False), PCA(2)).fit(X)
    asked = read_map(curved, "encoder", Z, space)
    assert type(asked.inner) is AskedMap
    assert_allclose(asked.values(Z), curved.transform(X))
    plain = PCA(2).fit(Z)
    assert_allclose(read_map(plain, "encoder", Z, space).values(Z), plain.transform(Z), atol=1e-9)


@pytest.mark.parametrize("kind", ["torch", "affine", "asked"])
def test_missing_values_enter_maps_as_medians(kind):
    X, _, _ = iris()
    given = {"torch": lambda: tiny_torch([4, 3, 4]), "affine": lambda: PCA(2).fit(X)}
    given = given.get(kind, lambda: bowl)()
    Z = X.copy()
    Z[::7, 1] = np.nan
    Z[1::11, 3] = np.nan
    filled = np.where(np.isnan(Z), np.nanmedian(Z, axis=0), Z)
    found = read_map(given, "encoder", Z, FeatureSpace().fit(X))
    assert_array_equal(found.values(Z), found.values(filled))
    V = np.ones(found.values(Z).shape)
    grad, expected = found.pullback(Z, V), found.pullback(filled, V)
    assert_array_equal(grad, np.where(np.isnan(Z), 0, expected))


def test_missing_values_are_as_good_as_reconstructed():
    X, _, model = iris()
    pairs = problem(model, X)
    autoencoder = read_map(PCA(2).fit(X), "autoencoder", X, pairs.space, n_outputs=4)
    loss = AutoencoderLoss(pairs, 2.0, autoencoder)
    U = pairs.start.copy()
    U[:, 1] = np.nan
    U[0, :] = np.nan
    scale = pairs.space.scale_
    residual = U - autoencoder.values(U * scale) / scale
    assert_allclose(loss.value(U, None), 2 * np.nansum(residual**2, axis=1))
    grad, expected = loss.grad(U, None), slope_of(lambda U: loss.value(U, None), U)
    there = ~np.isnan(U)
    assert_allclose(grad[there], expected[there], rtol=1e-5, atol=1e-6)
    assert np.isfinite(grad).all()


def test_torch_map_in_batches(monkeypatch):
    found = TorchMap(tiny_torch([4, 3, 2]))
    Z, V = iris()[0], np.random.default_rng(0).normal(size=(150, 2))
    expected = found.values(Z), found.pullback(Z, V)
    monkeypatch.setattr("skcf._maps.BATCH_ELEMENTS", 4 * 7)
    assert_allclose(found.values(Z), expected[0], rtol=1e-12)
    assert_allclose(found.pullback(Z, V), expected[1], rtol=1e-12)
    assert found.values(Z[:0]).shape == (0, 2)
    assert found.pullback(Z[:0], V[:0]).shape == (0, 4)


# ----------------------------------------------------------------------- the minimum, closed form


def objective(d, D, theta, beta, weight):
    return np.sum(weight * (beta * np.abs(d) + d**2) + theta * (d - D) ** 2, axis=-1)


problems = st.tuples(
    st.lists(st.sampled_from([-3.0, -0.7, -0.01, 0.0, 0.02, 0.5, 2.0]), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.1, 1.5]),
    seeds,
)


def drawn(problem):
    D, beta, seed = problem
    rng = np.random.default_rng(seed)
    weight = rng.choice([0.0, 0.3, 1.0, 4.0], len(D))
    return np.array(D), beta, weight, rng


@quick
@given(problems, st.floats(1e-3, 1 - 1e-3))
def test_minimiser_meets_the_conditions_of_optimality(problem, share):
    """0 lies in the subdifferential of every feature."""
    D, beta, weight, _ = drawn(problem)
    theta = share / (1 - share)
    d = minimiser(D[None], np.array([share]), beta, weight)[0, 0]
    smooth = 2 * weight * d + 2 * theta * (d - D)
    moves = d != 0
    assert_allclose(smooth[moves], -(weight * beta * np.sign(d))[moves], atol=1e-9 * (1 + theta))
    assert np.all(np.abs(smooth[~moves]) <= (weight * beta)[~moves] + 1e-12)
    assert np.all(np.sign(d) * np.sign(D) >= 0)
    assert np.all(np.abs(d) <= np.abs(D) + 1e-12)


@quick
@given(problems, st.floats(0.01, 0.99))
def test_minimiser_against_one_dimensional_search(problem, share):
    D, beta, weight, rng = drawn(problem)
    theta = share / (1 - share)
    d = minimiser(D[None], np.array([share]), beta, weight)[0, 0]
    for j in range(len(D)):
        one = lambda x, j=j: objective(np.array([x]), D[j], theta, beta, weight[j])  # noqa: E731
        best = minimize_scalar(one, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9})
        assert one(d[j]) <= best.fun + 1e-10
        assert_allclose(d[j], best.x, atol=1e-3)
    others = d + rng.normal(0, 0.1, (20, len(D)))
    least = objective(d, D, theta, beta, weight)
    assert np.all(objective(others, D, theta, beta, weight) >= least - 1e-12)


@quick
@given(problems)
def test_ends_of_the_path(problem):
    """Share 0 stays, share 1 is the prototype; without beta, shares are ridge weights."""
    D, beta, weight, _ = drawn(problem)
    ends = minimiser(D[None], np.array([0.0, 1.0]), beta, weight)[0]
    assert_array_equal(ends[0], 0)
    assert_allclose(ends[1], D, rtol=1e-12)
    ridge = minimiser(D[None], np.array([0.25]), 0.0, np.ones(len(D)))[0, 0]
    assert_allclose(ridge, D * 0.25)


@quick
@given(problems)
def test_breakpoints_are_where_features_begin_to_move(problem):
    D, beta, weight, _ = drawn(problem)
    shares = breakpoints(D[None], beta, weight)[0]
    assert len(shares) == len(D) + 1
    assert shares[-1] == 1
    assert np.all(np.diff(shares) >= 0)
    count = np.count_nonzero(minimiser(D[None], shares, beta, weight)[0], axis=1)
    for share, moved in zip(shares[:-1], count, strict=False):
        if not 1e-9 < share < 1:
            continue
        just_before, just_after = minimiser(
            D[None], np.array([share - 1e-9, share + 1e-9]), beta, weight
        )[0]
        starts_here = np.count_nonzero(np.isclose(shares[:-1], share, rtol=1e-7))
        assert np.count_nonzero(just_after) - np.count_nonzero(just_before) == starts_here
        assert moved <= np.count_nonzero(just_after)


@quick
@given(problems)
def test_elastic_net_grows_with_the_share(problem):
    D, beta, weight, rng = drawn(problem)
    shares = np.sort(rng.random(50))
    U = minimiser(D[None], shares, beta, weight)[0]
    cost = elastic_net(U, np.zeros(len(D)), beta, weight)
    assert np.all(np.diff(cost) >= -1e-12)
    gap = np.sum((U - D) ** 2, axis=1)
    assert np.all(np.diff(gap) <= 1e-12)


def test_many_breakpoints_are_thinned_out():
    D = np.random.default_rng(0).normal(size=(3, 100))
    few = breakpoints(D, 0.1, np.ones(100))
    assert few.shape == (3, 32)
    every = np.sort(0.1 / (0.1 + 2 * np.abs(D)), axis=1)
    assert_array_equal(few[:, 0], every[:, 0])
    assert_array_equal(few[:, -1], 1)
    assert np.all(np.isin(few[:, :-1], every))


def test_elastic_net_by_hand():
    """2 (0.1 0.5 + 0.25) + 1 (0.1 + 1): a step that has no length counts as 1."""
    U, start = np.array([[0.5, 3.0, np.nan, np.nan]]), np.array([[0.0, np.nan, np.nan, 2.0]])
    assert_allclose(elastic_net(U, start, 0.1, np.array([2.0, 1.0, 1.0, 3.0])), 0.6 + 1.1 + 3.3)


# -------------------------------------------------------------------------------------- the path


def first_on_a_grid(pairs, endpoint, n=20_001):
    """Share of the first valid point of each path, of very many."""
    shares, first = np.linspace(0, 1, n), np.full(len(pairs), np.nan)
    for i in range(len(pairs)):
        one = pairs.take(np.full(n, i))
        D = pairs.axes.place(endpoint[i : i + 1]) - pairs.start[i]
        U = one.start + minimiser(D, shares, pairs.beta, pairs.space.weight_)[0]
        valid = one.valid(one.hardened(U, one.start))
        first[i] = shares[np.argmax(valid)] if valid.any() else np.nan
    return first


@pytest.mark.parametrize("weights", [None, {0: 3.0, 1: 0.2}])
@pytest.mark.parametrize("beta", [0.0, 0.1, 1.0])
def test_path_against_all_thresholds(beta, weights):
    """A linear classifier of two classes: one crossing, found as closely as promised."""
    X, y, _ = iris()
    X, y = X[50:], y[50:]
    model = LogisticRegression().fit(X, y)
    pairs = problem(model, X, n=25, code=1, beta=beta, weights=weights)
    endpoint = pairs.space.constraints_.project(pairs.prototype * pairs.space.scale_, pairs.Z)
    found, is_valid = follow_path(pairs, endpoint)
    assert_array_equal(is_valid, pairs.valid(endpoint) | is_valid)
    first = first_on_a_grid(pairs, endpoint)
    assert_array_equal(is_valid, np.isfinite(first))
    assert is_valid.sum() > 5
    some = pairs.take(np.flatnonzero(is_valid))
    found, first = found[is_valid], first[is_valid]
    assert some.valid(found).all()
    D = (some.prototype - some.start)[:, None, :]
    at = [
        minimiser(D[i], np.array([first[i]]), beta, pairs.space.weight_)[0, 0]
        for i in range(len(some))
    ]
    least = elastic_net(some.start + np.array(at), some.start, beta, pairs.space.weight_)
    cost = some.elastic_net(found)
    assert np.all(cost >= least - 1e-3 * np.maximum(least, 0.1))
    assert np.all(cost <= least * 1.02 + 1e-3)


def test_path_in_blocks_and_alone_is_the_same(monkeypatch):
    X, _, model = iris()
    pairs = problem(model, X, n=20)
    endpoint = pairs.prototype * pairs.space.scale_
    found, is_valid = follow_path(pairs, endpoint)
    monkeypatch.setattr("skcf.prototype._path.BLOCK_ELEMENTS", 1)
    alone, also = follow_path(pairs, endpoint)
    assert_allclose(alone, found, rtol=1e-12)
    assert_array_equal(also, is_valid)


def test_path_ends_at_the_endpoint_with_what_has_no_place():
    """Valid only where a value is filled in, which happens at the end alone."""
    X = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])

    def filled_in(Z):
        return np.where(np.isnan(Z[:, :1]), [[0.9, 0.1]], [[0.1, 0.9]])

    pairs = problem(filled_in, X, n=2, code=1)
    pairs.Z[:, 0] = np.nan
    endpoint = np.array([[1.0, 1.0], [3.0, 1.0]])
    found, is_valid = follow_path(pairs, endpoint)
    assert is_valid.all()
    assert_array_equal(found, endpoint)


def test_path_without_any_valid_point():
    X, _, _ = iris()
    pairs = problem(lambda Z: np.tile([0.9, 0.1], (len(Z), 1)), X, code=1)
    _, is_valid = follow_path(pairs, pairs.prototype * pairs.space.scale_)
    assert not is_valid.any()


# ----------------------------------------------------------------------------------------- FISTA

OPTIONS = {"max_steps": 200, "learning_rate": 0.01, "momentum": True, "tol": 0.0}


def no_losses(pairs, c):
    return []


def prototype_loss(theta):
    return lambda pairs, c: [PrototypeLoss(pairs, theta)]


def prediction_loss(pairs, c):
    return [PredictionLoss(pairs, c, 1.0, False)]


def steps_of(pairs, losses_of, c, rates, momentum=True):
    """FISTA without any stopping; the last iterate."""
    state = _fista._State(pairs, losses_of, np.broadcast_to(c, len(pairs)).copy())
    for t, rate in enumerate(rates):
        state.step(rate, (t + 1) / (t + 4) if momentum else 0.0)
    return state.U


@pytest.mark.parametrize("momentum", [True, False])
@pytest.mark.parametrize("beta", [0.0, 0.02])
def test_fista_ends_at_the_minimum_of_the_prototype_loss(momentum, beta):
    """At a constant rate, which the L1 norm is over: its threshold is not times the rate."""
    X, _, model = iris()
    weights = {0: 2.0, 2: 0.5}
    pairs = problem(model, X, beta=beta, weights=weights)
    U = steps_of(pairs, prototype_loss(3.0), 0.0, np.full(800, 0.05), momentum)
    D, weight = pairs.prototype - pairs.start, pairs.space.weight_
    low, high = bounds(pairs, pairs.start)
    assert np.isinf(low).all()
    assert np.isinf(high).all()
    least = minimiser(D, np.array([0.75]), beta / 0.05, weight)[:, 0]
    assert_allclose(U - pairs.start, least, atol=1e-7)


@pytest.mark.parametrize("beta", [0.0, 0.005])
def test_fista_against_scipy_on_a_convex_problem(beta):
    """Elastic net, prototype and reconstruction by PCA, the last with a matrix of its own."""
    X, _, model = iris()
    pairs = problem(model, X, n=6, beta=beta)
    autoencoder = read_map(PCA(2).fit(X), "autoencoder", pairs.Z, pairs.space)
    rate, scale, weight = 0.05, pairs.space.scale_, pairs.space.weight_

    def losses_of(pairs, c):
        return [AutoencoderLoss(pairs, 2.0, autoencoder), PrototypeLoss(pairs, 0.5)]

    U = steps_of(pairs, losses_of, 0.0, np.full(600, rate))
    for i in range(6):
        one = pairs.take([i])

        def whole(split, one=one):
            """Changes as what is added less what is taken off: smooth, with bounds."""
            u = one.start + split[:4] - split[4:]
            smooth = sum(loss.value(u, u * scale) for loss in losses_of(one, None))
            change = u - one.start
            return (smooth + change**2 @ weight)[0] + beta / rate * split.sum()

        best = minimize(whole, np.full(8, 0.1), bounds=[(0, None)] * 8, options={"ftol": 1e-14})
        change = (U - pairs.start)[i]
        ours = whole(np.concatenate([np.maximum(change, 0), np.maximum(-change, 0)]))
        assert ours <= best.fun + 1e-9
        assert_allclose(ours, best.fun, rtol=1e-5)


def test_one_step_of_fista_by_hand():
    """Changes smaller than beta are set to 0, others shrunk by it; then extrapolated."""
    X, _, model = iris()
    pairs = problem(model, X, beta=0.1)
    D = pairs.prototype - pairs.start
    state = _fista._State(pairs, prototype_loss(10.0), np.zeros(len(pairs)))
    first = np.sign(D) * np.maximum(0.2 * np.abs(D) - 0.1, 0)
    assert_allclose(state.step(0.01, 0.25), np.abs(first).max(axis=1))
    assert_allclose(state.U - pairs.start, first, atol=1e-12)
    y = first * 1.25
    assert_allclose(state.Y - pairs.start, y, atol=1e-12)
    change = y - 0.02 * (2 * y + 20 * (y - D))
    second = np.sign(change) * np.maximum(np.abs(change) - 0.1, 0)
    state.step(0.02, 0.4)
    assert_allclose(state.U - pairs.start, second, atol=1e-12)
    assert_allclose(state.Y - pairs.start, second + 0.4 * (second - first), atol=1e-12)


def test_gradients_are_clipped():
    X, _, model = iris()
    pairs = problem(model, X, beta=0.0)
    U = steps_of(pairs, prototype_loss(1e9), 0.0, [0.01])
    assert_allclose(np.abs(U - pairs.start)[pairs.prototype != pairs.start], 10.0)


def test_schedule_momentum_and_the_best_iterate(monkeypatch):
    """The rates fall as published, and n* is the cheapest valid iterate."""
    X, _, model = iris()
    pairs = problem(model, X, beta=0.05)
    seen, iterates = [], []
    original = _fista._State.step

    def spy(self, rate, inertia):
        seen.append((rate, inertia))
        moved = original(self, rate, inertia)
        iterates.append((self.at.copy(), self.rows()))
        return moved

    monkeypatch.setattr(_fista._State, "step", spy)
    options = {**OPTIONS, "max_steps": 50}
    best, cost = minimise(pairs, prototype_loss(5.0), np.zeros(len(pairs)), **options)
    t = np.arange(len(seen))
    assert_allclose([rate for rate, _ in seen], 0.01 * np.sqrt(1 - t / 50))
    assert_allclose([inertia for _, inertia in seen], (t + 1) / (t + 4))
    least, where = np.full(len(pairs), np.inf), pairs.Z.copy()
    for at, Z in iterates:
        for i, z in zip(at, Z, strict=True):
            one = pairs.take([i])
            if one.valid(z[None])[0] and one.elastic_net(z[None])[0] < least[i]:
                least[i], where[i] = one.elastic_net(z[None])[0], z
    assert_allclose(cost, least)
    assert_allclose(best, where)
    assert np.isfinite(cost).sum() > len(cost) / 2
    seen.clear()
    minimise(pairs, prototype_loss(5.0), np.zeros(len(pairs)), **options | {"momentum": False})
    assert {inertia for _, inertia in seen} == {0.0}


def test_large_theta_ends_at_the_prototype():
    """With an encoder that is the identity; the step is the inverse of the curvature."""
    X, _, model = iris()
    pairs = problem(model, X, beta=0.05)
    encoder = read_map(lambda Z: Z, "encoder", pairs.Z, pairs.space)
    scale = pairs.space.scale_
    encoded = replace(pairs, prototype=pairs.prototype * scale)
    gaps = []
    for theta in (1.0, 10.0, 100.0, 1000.0):
        rate = 0.5 / (1 + theta * np.max(scale**2))
        beta = 0.05 * rate
        U = steps_of(
            replace(encoded, beta=beta),
            lambda pairs, c, theta=theta: [EncodedPrototypeLoss(pairs, theta, encoder)],
            0.0, np.full(500, rate), momentum=True,
        )  # fmt: skip
        gaps.append(np.abs(U - pairs.prototype).max())
    assert np.all(np.diff(gaps) < 0)
    assert gaps[0] > 0.3
    assert gaps[-1] < 0.02


def test_fewer_changes_as_beta_grows():
    X, _, model = iris()
    counts = []
    for beta in (0.0, 0.001, 0.01, 0.05, 0.3):
        pairs = problem(model, X, n=30, beta=beta)
        U = steps_of(pairs, prototype_loss(5.0), 0.0, np.full(300, 0.02))
        counts.append(np.count_nonzero(pairs.start != U))
    assert counts[0] == np.count_nonzero(pairs.prototype != pairs.start)
    assert np.all(np.diff(counts) <= 0)
    assert counts[-1] < counts[0] / 2


def test_without_prediction_loss_the_classifier_is_asked_once_per_update():
    """Section 3.5: once a step for all rows together, to see whether the class has changed."""
    X, _, model = iris()
    pairs = problem(model.predict_proba, X, beta=0.0)
    minimise(pairs, prototype_loss(1.0), np.zeros(len(pairs)), **OPTIONS)
    assert pairs.oracle.n_calls == 200
    assert_array_equal(pairs.oracle.n_queries[pairs.rows], 200)


def test_with_prediction_loss_a_black_box_is_asked_twice_per_feature():
    """Section 3.5: on both sides of each of the 4 features; and for the margin, and validity."""
    X, _, model = iris()
    pairs = problem(model.predict_proba, X, code=1, beta=0.0)
    pairs = pairs.take(np.flatnonzero(pairs.oracle.labels(pairs.Z, pairs.rows) != 1))
    pairs.oracle.n_queries[:] = pairs.oracle.n_calls = 0
    minimise(pairs, prediction_loss, np.ones(len(pairs)), **OPTIONS)
    assert_array_equal(pairs.oracle.n_queries[pairs.rows], 200 * (2 * 4 + 2))
    assert pairs.oracle.n_calls == 200 * 3
    white = problem(model, X, code=1, beta=0.0, white_box=True)
    white = white.take(np.flatnonzero(white.oracle.labels(white.Z, white.rows) != 1))
    white.oracle.n_queries[:] = white.oracle.n_calls = 0
    minimise(white, prediction_loss, np.ones(len(white)), **OPTIONS)
    assert white.oracle.n_calls == 200 * 2


@pytest.mark.parametrize("losses_of", [prototype_loss(4.0), prediction_loss])
def test_lock_step_is_row_by_row(losses_of):
    X, _, model = iris()
    pairs = problem(model.predict_proba, X, beta=0.01)
    c = np.linspace(0.2, 5, len(pairs))
    options = {**OPTIONS, "max_steps": 100, "tol": 1e-4, "learning_rate": 0.03}
    best, cost = minimise(pairs, losses_of, c, **options)
    for i in range(len(pairs)):
        alone, its_cost = minimise(pairs.take([i]), losses_of, c[[i]], **options)
        assert_allclose(alone[0], best[i], rtol=1e-9)
        assert_allclose(its_cost[0], cost[i], rtol=1e-9)


def test_rows_at_rest_are_left_out_and_nothing_changes(monkeypatch):
    """Rows that cannot leave their start are asked about once; the others are not touched."""
    X, _, model = iris()
    pairs = problem(model.predict_proba, X, beta=0.3, n=30)
    options = {**OPTIONS, "learning_rate": 0.02}
    dropped = minimise(pairs, prototype_loss(5.0), np.zeros(30), **options)
    asked = pairs.oracle.n_queries[pairs.rows]
    stuck = np.abs(pairs.prototype - pairs.start).max(axis=1) * 2 * 5 * 0.02 <= 0.3
    assert 5 < stuck.sum() < 25
    assert_array_equal(asked[stuck], 1)
    monkeypatch.setattr(_fista._State, "drop_those_at_rest", lambda *_: None)
    every = minimise(pairs, prototype_loss(5.0), np.zeros(30), **options)
    assert_array_equal(dropped[0], every[0])
    assert_array_equal(dropped[1], every[1])


def test_rows_stop_after_ten_short_steps():
    X, _, model = iris()
    pairs = problem(model.predict_proba, X, beta=0.0)
    options = {**OPTIONS, "learning_rate": 0.05, "tol": 1e-3, "momentum": False}
    _, cost = minimise(pairs, prototype_loss(5.0), np.zeros(len(pairs)), **options)
    asked = pairs.oracle.n_queries[pairs.rows].copy()
    assert np.all((asked >= 10) & (asked < 60))
    options["tol"] = 1e3  # every step is short
    pairs.oracle.n_queries[:] = 0
    minimise(pairs, prototype_loss(5.0), np.zeros(len(pairs)), **options)
    assert_array_equal(pairs.oracle.n_queries[pairs.rows], 10)
    assert np.isfinite(cost).any()


def test_bounds_of_numbers():
    """Direction, range, frozen; what is out of its range comes into it."""
    X = np.array([[0.0, 0, 0], [2, 2, 2], [4, 4, 4], [6, 6, 6]])
    pairs = problem(
        lambda Z: np.column_stack([Z[:, 0] < 3, Z[:, 0] >= 3]).astype(float), X, n=2,
        change_direction={0: 1}, permitted_range={1: (1, 5)}, immutable_features=[2],
    )  # fmt: skip
    low, high = bounds(pairs, pairs.start)
    scale = pairs.space.scale_
    assert_array_equal(low[:, 0], pairs.start[:, 0])
    assert_array_equal(high[:, 0], np.inf)
    assert_allclose(low[:, 1] * scale[1], 1)
    assert_allclose(high[:, 1] * scale[1], 5)
    assert_array_equal(low[:, 2], pairs.start[:, 2])
    assert_array_equal(high[:, 2], pairs.start[:, 2])


def test_weight_is_bracketed_and_bisected(monkeypatch):
    """Tenfold until something is found, then half the way between what failed and what did."""
    X, _, model = iris()
    pairs = problem(model, X, n=3)
    needed = np.array([30.0, 0.2, 1e9])
    asked = []

    def pretend(pairs, losses_of, c, **options):
        asked.append(c.copy())
        cost = np.where(c >= needed, c, np.inf)
        return pairs.Z + c[:, None], cost

    monkeypatch.setattr(_fista, "minimise", pretend)
    found, is_valid, weight = search_weight(pairs, None, 1.0, 6, OPTIONS)
    assert_allclose(np.array(asked)[:, 0], [1, 10, 100, 55, 32.5, 21.25])
    assert_allclose(np.array(asked)[:, 1], [1, 0.5, 0.25, 0.125, 0.1875, 0.21875])
    assert_allclose(np.array(asked)[:, 2], [1, 10, 100, 1e3, 1e4, 1e5])
    assert_array_equal(is_valid, [True, True, False])
    assert_allclose(weight[:2], [32.5, 0.21875])
    assert_allclose(found, pairs.Z + np.array([32.5, 0.21875, 0])[:, None])


def test_smaller_weights_give_cheaper_counterfactuals():
    X, _, model = iris()
    pairs = problem(model, X, code=1, beta=0.001, white_box=True)
    options = {**OPTIONS, "max_steps": 100, "learning_rate": 0.03}
    once = search_weight(pairs, prediction_loss, 5.0, 1, options)
    several = search_weight(pairs, prediction_loss, 5.0, 5, options)
    assert np.all(several[1] >= once[1])
    both = once[1]
    assert both.sum() > 3
    cost = [pairs.elastic_net(found)[both] for found, _, _ in (once, several)]
    assert np.all(cost[1] <= cost[0])
    assert cost[1].sum() < 0.9 * cost[0].sum()


# ------------------------------------------------------------------------------------ prototypes


def points_of_classes(seed, n=60, n_classes=3, lattice=False):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 4, (n, 3)).astype(float) if lattice else rng.normal(size=(n, 3))
    labels = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    return points, labels, rng


def by_brute_force(points, labels, query, own, target, k, n):
    """The k-th nearest of each class that may be gone to, and those after it, nearest first."""
    found = []
    for code in np.unique(labels):
        if (target == OTHER and code != own) or code == target:
            rows = np.flatnonzero(labels == code)
            distance = np.linalg.norm(points[rows] - query, axis=1)
            found += sorted(zip(distance, rows.tolist(), strict=True))[k - 1 : k + n - 1]
    return sorted(found)[:n]


@quick
@given(seed=seeds, k=st.integers(1, 5), n=st.integers(1, 4), target=st.sampled_from([OTHER, 0, 2]))
def test_kd_trees_against_brute_force(seed, k, n, target):
    points, labels, rng = points_of_classes(seed)
    assume(np.bincount(labels).min() >= k + n)
    queries, own = rng.normal(size=(7, 3)), rng.integers(0, 3, 7)
    of, place, code, index = KDTrees(points, labels).find(queries, own, target, k, n)
    assert_array_equal(of, np.repeat(np.arange(7), n))
    assert_array_equal(place, points[index])
    assert_array_equal(code, labels[index])
    for i in range(7):
        expected = by_brute_force(points, labels, queries[i], own[i], target, k, n)
        assert index[of == i].tolist() == [row for _, row in expected]


@quick
@given(seed=seeds, k=st.integers(1, 3))
def test_ties_among_prototypes_are_at_the_same_distance(seed, k):
    points, labels, rng = points_of_classes(seed, lattice=True)
    assume(np.bincount(labels).min() >= k + 3)
    queries, own = rng.integers(0, 4, (5, 3)).astype(float), rng.integers(0, 3, 5)
    of, place, _, index = KDTrees(points, labels).find(queries, own, OTHER, k, 3)
    for i in range(5):
        expected = by_brute_force(points, labels, queries[i], own[i], OTHER, k, 3)
        distance = np.linalg.norm(place[of == i] - queries[i], axis=1)
        assert_allclose(distance, [d for d, _ in expected])
        assert len(set(index[of == i])) == 3


def test_other_takes_the_class_whose_kth_row_is_nearest():
    """Class 1 has the nearest row, class 2 the nearest second one."""
    points = np.array([[0.0], [1.0], [9.0], [2.0], [3.0]])
    trees = KDTrees(points, np.array([0, 1, 1, 2, 2]))
    query, own = np.zeros((1, 1)), np.array([0])
    assert [a.tolist() for a in trees.find(query, own, OTHER, 1, 1)][2:] == [[1], [1]]
    assert [a.tolist() for a in trees.find(query, own, OTHER, 2, 1)][2:] == [[2], [4]]
    assert trees.sizes == {0: 1, 1: 2, 2: 2}


def test_fewer_prototypes_than_asked_for():
    points = np.array([[0.0], [1.0], [2.0]])
    of, _, _, index = KDTrees(points, np.array([0, 1, 1])).find(
        np.zeros((2, 1)), np.zeros(2, int), 1, 2, 5
    )
    assert of.tolist() == [0, 1]
    assert index.tolist() == [2, 2]


def test_means_of_encodings_by_hand():
    """Eq. 7: the mean of the K nearest; Eq. 8: of the class whose mean is nearest."""
    points = np.array([[0.0, 0], [3, 0], [5, 0], [8, 0], [0, 2], [0, 8], [0, 40]])
    labels = np.array([0, 1, 1, 1, 2, 2, 2])
    means = MeanEncodings(points, labels)
    query, own = np.zeros((1, 2)), np.array([0])
    of, place, code, index = means.find(query, own, OTHER, 2, 1)
    assert_array_equal(place, [[4.0, 0]])
    assert (of.tolist(), code.tolist(), index.tolist()) == ([0], [1], [-1])
    _, place, code, _ = means.find(query, own, OTHER, 1, 3)
    assert_array_equal(place, [[0, 2], [3, 0], [5, 0]])
    assert code.tolist() == [2, 1, 1]
    _, place, code, _ = means.find(query, own, 2, 3, 4)
    assert_allclose(place, [[0, 50 / 3]])
    _, place, _, _ = means.find(query, own, 1, 1, 3)
    assert_array_equal(place, [[3, 0], [5, 0], [8, 0]])


# ------------------------------------------------------------------------------------- selection


def test_choice_by_hand():
    of = np.array([2, 0, 0, 0, 2])
    cost, remoteness = np.array([5.0, 1.0, 2.0, 1.9, 4.0]), np.array([1.0, 3.0, 1.0, 1.2, 1.0])
    picked = {
        select: choose(of, cost, remoteness, select, 4).tolist()
        for select in ("cheapest", "plausible", "balanced")
    }
    assert picked["cheapest"] == [1, -1, 4, -1]
    assert picked["plausible"] == [2, -1, 0, -1]
    assert picked["balanced"] == [2, -1, 4, -1]  # 1 + 3, 2 + 1, 1.9 + 1.2; 1.25 + 1, 1 + 1


def test_choice_where_the_least_is_nothing():
    """What is a real row five times is infinitely better than others, and ties are settled."""
    of, cost = np.zeros(3, int), np.array([1.0, 3.0, 2.0])
    assert choose(of, cost, np.array([0.5, 0.0, 0.0]), "balanced", 1).tolist() == [2]
    assert choose(of, cost, np.zeros(3), "balanced", 1).tolist() == [0]
    assert choose(of, np.ones(3), np.ones(3), "cheapest", 1).tolist() == [0]


def test_nothing_to_choose_from():
    nothing = np.empty(0)
    assert choose(nothing.astype(int), nothing, nothing, "balanced", 3).tolist() == [-1] * 3


@quick
@given(seed=seeds)
def test_choice_does_not_depend_on_the_order_of_candidates(seed):
    rng = np.random.default_rng(seed)
    of, cost, remoteness = rng.integers(0, 4, 20), rng.random(20), rng.random(20)
    order = rng.permutation(20)
    for select in ("cheapest", "plausible", "balanced"):
        first = choose(of, cost, remoteness, select, 5)
        second = choose(of[order], cost[order], remoteness[order], select, 5)
        assert_array_equal(np.where(second >= 0, order[second], -1), first)


@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_paths_that_a_rival_has_beaten_are_left_without_losing_the_cheapest(beta):
    X, y, model = iris()
    rows = np.repeat(np.flatnonzero(y == 0)[:20], 12)
    endpoint = X[np.tile(np.flatnonzero(y == 2)[:12], 20)]
    some = problem(model, X)
    place, code = some.axes.place(endpoint), np.full(len(rows), 2)
    pairs = Pairs(some.axes, some.oracle, X[rows], rows, code, place, 1e-4, beta)
    rivals = np.repeat(np.arange(20), 12)
    whole, valid = follow_path(pairs, endpoint)
    n_whole = pairs.oracle.n_rows
    left, also = follow_path(pairs, endpoint, rivals)
    assert pairs.oracle.n_rows - n_whole < 0.8 * n_whole
    assert_array_equal(also, valid)
    assert valid.reshape(20, 12).any(axis=1).all()
    cost_whole, cost_left = (
        np.where(valid, pairs.elastic_net(found), np.inf).reshape(20, 12) for found in (whole, left)
    )
    assert np.all(cost_left >= cost_whole - 1e-12)
    assert_allclose(cost_left.min(axis=1), cost_whole.min(axis=1), rtol=1e-12)
    best = cost_whole.argmin(axis=1) + 12 * np.arange(20)
    assert_allclose(left[best], whole[best], rtol=1e-12)
