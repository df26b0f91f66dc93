"""Prototypes of images: networks that are followed backwards, in batches of many columns."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from skcf import FeatureSpace, PrototypeExplainer, _maps
from skcf._maps import read_map
from skcf.prototype._losses import AutoencoderLoss, EncodedPrototypeLoss

torch = pytest.importorskip("torch")
nn = torch.nn

SIDE = 8
N_PIXELS = SIDE * SIDE

SOME_FAIL = pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")
"""The networks are random: not every row gets a counterfactual."""


class Counted(nn.Module):
    """A module that writes down how many rows it was given each time."""

    def __init__(self, module):
        super().__init__()
        self.module, self.n_rows = module, []

    def forward(self, rows):
        self.n_rows.append(len(rows))
        return self.module(rows)


class SomePairs:
    """What the losses of networks ask of the pairs."""

    def __init__(self, space, prototype):
        self.space, self.prototype = space, prototype


def seeded(make):
    """A module of float64 with random weights; torch's own generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return make().double().requires_grad_(False)


def encoder():
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        *(nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 1, 3, padding=1)),
        nn.Flatten(),
    )


def autoencoder():
    decoder = (
        *(nn.Unflatten(1, (1, SIDE // 2, SIDE // 2)), nn.Upsample(scale_factor=2)),
        *(nn.Conv2d(1, 1, 3, padding=1), nn.Flatten()),
    )
    return nn.Sequential(encoder(), *decoder)


def images(n_rows=12, scale=1.0):
    """Rows of pixels, and their space, whose columns all have the scale."""
    X = np.random.default_rng(0).uniform(-scale / 2, scale / 2, (n_rows, N_PIXELS))
    X[0], X[1] = -scale / 2, scale / 2
    return X, FeatureSpace().fit(X)


@pytest.fixture
def few_at_once(monkeypatch):
    """Five images at a time."""
    monkeypatch.setattr(_maps, "BATCH_ELEMENTS", 5 * N_PIXELS + 1)


@pytest.fixture(scope="module")
def digits():
    """Digits with pixels from -0.5 to 0.5, a module that tells them apart, and its predictions."""
    X, y = load_digits(return_X_y=True)
    X = X / 16 - 0.5
    X = np.vstack([X[:600], np.full((1, N_PIXELS), 0.5), np.full((1, N_PIXELS), -0.5)])
    y = np.append(y[:600], [8, 1])
    model = LogisticRegression(C=0.1, max_iter=200).fit(X, y)
    net = nn.Linear(N_PIXELS, 10).double().requires_grad_(False)
    net.weight.copy_(torch.tensor(model.coef_))
    net.bias.copy_(torch.tensor(model.intercept_))
    return X, net, model.predict(X)


def maps(X, space):
    """A torch module, an affine map and one that is neither."""
    pca = PCA(3).fit(X)
    given = (seeded(encoder), pca, lambda Z: np.sin(Z[:, :5]))
    return [read_map(one, "encoder", X, space) for one in given]


@pytest.mark.usefixtures("few_at_once")
def test_a_map_goes_forwards_and_backwards_at_once():
    X, space = images()
    for found in maps(X, space):
        wanted = found.values(X)[::-1] + 0.1
        V, grad = found.residual_pullback(X, lambda out, b, wanted=wanted: out - wanted[b])
        assert_allclose(V, found.values(X) - wanted, rtol=0, atol=1e-12)
        assert_allclose(grad, found.pullback(X, V), rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_half_the_squared_residual():
    X, space = images(4)
    for found in maps(X, space):
        wanted = found.values(X)[::-1]
        _, grad = found.residual_pullback(X, lambda out, b, wanted=wanted: out - wanted[b])
        assert_allclose(grad, differences(lambda Z, f=found, w=wanted: half(f, Z, w), X), atol=1e-7)


def half(found, Z, wanted):
    return np.sum((found.values(Z) - wanted) ** 2, axis=1) / 2


def differences(value, U, step=1e-5):
    """Central differences of a function of rows."""
    grad = np.empty(U.shape)
    for j in range(U.shape[1]):
        change = np.zeros(U.shape[1])
        change[j] = step
        grad[:, j] = (value(U + change) - value(U - change)) / (2 * step)
    return grad


def test_a_module_is_given_some_rows_at_a_time(monkeypatch):
    X, space = images(12)
    module = Counted(seeded(autoencoder))
    found = read_map(module, "autoencoder", X, space, n_outputs=N_PIXELS)
    V = np.random.default_rng(1).normal(size=X.shape)
    at_once = found.values(X), found.pullback(X, V)
    monkeypatch.setattr(_maps, "BATCH_ELEMENTS", 5 * N_PIXELS + 1)
    module.n_rows.clear()
    assert_allclose(found.values(X), at_once[0], rtol=0, atol=1e-12)
    assert_allclose(found.pullback(X, V), at_once[1], rtol=0, atol=1e-12)
    assert module.n_rows == [5, 5, 2, 5, 5, 2]


def test_no_rows_have_no_values_and_no_gradients():
    X, space = images()
    found = read_map(seeded(encoder), "encoder", X, space)
    n_outputs = found.values(X).shape[1]
    assert found.values(X[:0]).shape == (0, n_outputs)
    assert found.pullback(X[:0], np.empty((0, n_outputs))).shape == (0, N_PIXELS)


@pytest.mark.usefixtures("few_at_once")
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_gradients_of_the_losses_are_those_of_their_values(scale):
    X, space = images(7, scale)
    assert_allclose(space.scale_, scale)
    encoding = read_map(seeded(encoder), "encoder", X, space)
    reconstruction = read_map(seeded(autoencoder), "autoencoder", X, space, n_outputs=N_PIXELS)
    pairs = SomePairs(space, encoding.values(X)[::-1])
    U = X / scale
    for loss in (
        EncodedPrototypeLoss(pairs, 3.0, encoding),
        AutoencoderLoss(pairs, 2.0, reconstruction),
    ):
        expected = differences(lambda U, loss=loss: loss.value(U, None), U)
        assert_allclose(loss.grad(U, None), expected, rtol=1e-5, atol=1e-6)


def test_a_gradient_takes_one_pass_through_the_network():
    X, space = images()
    module = Counted(seeded(autoencoder))
    found = read_map(module, "autoencoder", X, space, n_outputs=N_PIXELS)
    module.n_rows.clear()
    AutoencoderLoss(SomePairs(space, None), 1.0, found).grad(X, None)
    assert module.n_rows == [len(X)]


def literal(net, c=0.0, theta=20.0, autoencoder=None, **settings):
    """The losses of the paper on digits."""
    return PrototypeExplainer(
        net,
        target_class="other",
        feature_space=FeatureSpace(permitted_range=dict.fromkeys(range(N_PIXELS), (-0.5, 0.5))),
        encoder=seeded(encoder),
        autoencoder=autoencoder,
        **{"c": c, "theta": theta, "k": 5, "n_prototypes": 1, "max_steps": 60, **settings},
    )


@SOME_FAIL
def test_counterfactuals_are_images(digits):
    X, net, y_pred = digits
    given = {"c": 20.0, "prediction_loss": "margin", "gamma": 0.1}
    result = literal(net, autoencoder=seeded(autoencoder), **given).fit(X).explain(X[:40])
    found = result.status == "found"
    assert found.any()
    assert np.abs(result.X_cf).max() <= 0.5
    assert (result.y_cf[found] != y_pred[:40][found]).all()
    assert_array_equal(result.y_cf, net(torch.tensor(result.X_cf)).argmax(dim=1))


@SOME_FAIL
@pytest.mark.usefixtures("few_at_once")
def test_rows_are_explained_alike_alone_and_together(digits):
    X, net, _ = digits
    explainer = literal(net, c=5.0, max_steps=30).fit(X)
    together = explainer.explain(X[:12])
    assert_array_equal(explainer.explain(X[:12]).X_cf, together.X_cf)
    alone = explainer.explain(X[7:8])
    assert alone.status[0] == together.status[7]
    assert_allclose(alone.X_cf[0], together.X_cf[7], rtol=0, atol=1e-9)


@SOME_FAIL
def test_prototypes_lie_near_encodings_of_their_class(digits):
    X, net, y_pred = digits
    explainer = literal(net, theta=1e3, beta=0.0, learning_rate_init=1e-3, tol=0.0).fit(X)
    result = explainer.explain(X[:20])
    found = np.flatnonzero(result.status == "found")
    encode = read_map(seeded(encoder), "encoder", X, explainer.feature_space_).values
    codes, queries = encode(X), encode(X[:20])
    assert len(found) > 0
    for i in found:
        means = {
            c: codes[y_pred == c][
                np.argsort(np.linalg.norm(codes[y_pred == c] - queries[i], axis=1))[:5]
            ].mean(axis=0)
            for c in range(10)
            if c != y_pred[i]
        }
        nearest = min(means, key=lambda c: np.linalg.norm(means[c] - queries[i]))
        assert result.y_cf[i] == nearest
        moved = encode(result.X_cf[[i]])[0]
        before, after = (np.linalg.norm(z - means[nearest]) for z in (queries[i], moved))
        assert after < before
