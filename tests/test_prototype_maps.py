"""Encoders and autoencoders that were fitted on named columns get named columns."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import FeatureSpace
from skcf._maps import AffineMap, AskedMap, read_map

X = load_iris().data
NAMES = ["a", "b", "c", "d"]


def frame(library, names=NAMES):
    library = pytest.importorskip(library)
    return library.DataFrame(dict(zip(names, X.T, strict=True)))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_transformer_fitted_on_a_frame_is_asked_with_its_names(library):
    rows = frame(library)
    space = FeatureSpace().fit(rows)
    named = make_pipeline(StandardScaler(), PCA(2)).fit(rows)
    encoder = read_map(named, "encoder", X, space)
    autoencoder = read_map(named, "autoencoder", X, space, n_outputs=4)
    assert isinstance(encoder.inner, AffineMap)
    assert isinstance(autoencoder.inner, AffineMap)
    by_hand = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    np.testing.assert_allclose(encoder.values(X), by_hand.transform(X), atol=1e-9)
    back = by_hand.inverse_transform(by_hand.transform(X))
    np.testing.assert_allclose(autoencoder.values(X), back, atol=1e-9)


def test_an_estimator_that_is_asked_gets_its_names_each_time():
    rows = frame("pandas")
    net = MLPRegressor(
        hidden_layer_sizes=[3], activation="tanh", solver="lbfgs", random_state=0, tol=1
    )
    net.fit(rows, X)
    found = read_map(net, "autoencoder", X, FeatureSpace().fit(rows), n_outputs=4)
    assert isinstance(found.inner, AskedMap)
    np.testing.assert_array_equal(found.values(X[:5]), net.predict(rows[:5]))
    V = np.ones((5, 4))
    step = 1e-5
    slope = [
        (found.values(X[:5] + step * e) - found.values(X[:5] - step * e)).sum(axis=1) / (2 * step)
        for e in np.eye(4)
    ]
    np.testing.assert_allclose(found.pullback(X[:5], V), np.transpose(slope), atol=1e-6)


def test_columns_in_another_order_are_refused():
    encoder = PCA(2).fit(frame("pandas", NAMES[::-1]))
    with pytest.raises(ValueError, match="feature names should match"):
        read_map(encoder, "encoder", X, FeatureSpace().fit(frame("pandas")))


def test_rows_without_names_are_passed_as_they_are():
    encoder = PCA(2).fit(X)
    found = read_map(encoder, "encoder", X, FeatureSpace().fit(frame("pandas")))
    np.testing.assert_allclose(found.values(X), encoder.transform(X), atol=1e-9)
