"""The Gaussian mixture of the latent space, and where walks lead, against other libraries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import sqrtm
from scipy.stats import multivariate_normal

from skcf.latent._endpoints import ENDPOINTS, Mixture
from skcf.latent._gaussians import log_densities, posterior, transport_map

torch = pytest.importorskip("torch")
ot = pytest.importorskip("ot")

from skcf.latent._mixture import GaussianMixture  # noqa: E402

TYPES = ["diag", "full"]


def drawn(covariance_type, seed=0, n_classes=3, d=4):
    """Means, covariances, priors, and codes."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_classes, d))
    if covariance_type == "diag":
        covariances = rng.uniform(0.2, 3.0, (n_classes, d))
    else:
        factors = rng.normal(size=(n_classes, d, d))
        covariances = factors @ factors.transpose(0, 2, 1) + 0.3 * np.eye(d)
    weights = rng.dirichlet(np.ones(n_classes))
    return means, covariances, weights, 2 * rng.normal(size=(20, d))


def whole(covariance):
    return np.diag(covariance) if covariance.ndim == 1 else covariance


@pytest.mark.parametrize("covariance_type", TYPES)
def test_densities_are_those_of_scipy(covariance_type):
    means, covariances, _, z = drawn(covariance_type)
    expected = [
        multivariate_normal(m, whole(c)).logpdf(z) for m, c in zip(means, covariances, strict=True)
    ]
    assert_allclose(log_densities(z, means, covariances), np.transpose(expected), rtol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_posterior_has_the_prior_in_both_places(covariance_type):
    means, covariances, weights, z = drawn(covariance_type)
    joint = np.transpose(
        [
            w * multivariate_normal(m, whole(c)).pdf(z)
            for w, m, c in zip(weights, means, covariances, strict=True)
        ]
    )
    found = posterior(z, means, covariances, weights)
    assert_allclose(found, joint / joint.sum(axis=1, keepdims=True), rtol=1e-9)
    assert_allclose(found.sum(axis=1), 1.0)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_module_and_its_arrays_agree(covariance_type):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mixture = GaussianMixture([0.2, 0.5, 0.3], 4, covariance_type, sigma_min=0.05).double()
        with torch.no_grad():
            for parameter in mixture.parameters():
                parameter.add_(torch.randn_like(parameter))
        z = torch.randn(9, 4, dtype=torch.float64)
    means, covariances, weights = mixture.arrays()
    expected = log_densities(z.numpy(), means, covariances)
    assert_allclose(mixture.log_density(z).detach().numpy(), expected, rtol=1e-9)
    assert_allclose(weights, [0.2, 0.5, 0.3], rtol=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_draws_have_the_moments_of_their_component(covariance_type):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mixture = GaussianMixture([0.5, 0.5], 2, covariance_type).double()
        with torch.no_grad():
            for parameter in mixture.parameters():
                parameter.add_(torch.randn_like(parameter))
            z = mixture.draw(torch.ones(200_000, dtype=torch.int64)).numpy()
    means, covariances, _ = mixture.arrays()
    assert_allclose(z.mean(axis=0), means[1], atol=0.02)
    assert_allclose(np.cov(z.T), whole(covariances[1]), atol=0.05)


@settings(max_examples=50, deadline=None)
@given(raw=st.floats(-1e3, 1e3), least=st.floats(1e-3, 2.0))
def test_no_component_shrinks_below_the_least_deviation(raw, least):
    mixture = GaussianMixture([0.5, 0.5], 1, sigma_min=least)
    with torch.no_grad():
        mixture.raw_sigma.fill_(raw)
    sigma = mixture.sigma.detach().numpy()
    assert (sigma >= np.float32(least)).all()
    bound = -np.log(least) - 0.5 * np.log(2 * np.pi)
    density = mixture.log_density(mixture.means.detach()).detach().numpy()
    assert density.max() <= bound + 1e-5


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_transport_takes_one_gaussian_to_the_other_at_the_cost_of_bures(covariance_type, seed):
    means, covariances, _, _ = drawn(covariance_type, seed)
    source, target = whole(covariances[0]), whole(covariances[1])
    A = transport_map(covariances[0], covariances[1])
    assert_allclose(A @ source @ A.T, target, atol=1e-8)
    assert_allclose(A, A.T)
    assert np.linalg.eigvalsh(A).min() > 0
    root = np.real(sqrtm(source))
    bures = np.trace(source + target - 2 * np.real(sqrtm(root @ target @ root)))
    cost = np.trace((A - np.eye(4)) @ source @ (A - np.eye(4)).T)
    assert_allclose(cost, bures, atol=1e-8)
    theirs, _ = ot.gaussian.bures_wasserstein_mapping(means[0], means[1], source, target)
    assert_allclose(A, theirs, atol=1e-6)


def mixture_of(covariance_type):
    means, covariances, weights, z = drawn(covariance_type)
    labels = np.arange(len(z)) % 2
    return Mixture(means, covariances, weights, z, labels), z, labels


@pytest.mark.parametrize("covariance_type", TYPES)
def test_endpoints(covariance_type):
    mixture, z, labels = mixture_of(covariance_type)
    own, target = labels, 1 - labels
    assert_allclose(ENDPOINTS["centroid"](z, own, target, mixture), mixture.means[target])
    moved = ENDPOINTS["shift"](z, own, target, mixture) - z
    assert_allclose(moved, mixture.means[target] - mixture.means[own])
    expected = [
        mixture.means[t]
        + transport_map(mixture.covariances[s], mixture.covariances[t]) @ (x - mixture.means[s])
        for x, s, t in zip(z, own, target, strict=True)
    ]
    assert_allclose(ENDPOINTS["transport"](z, own, target, mixture), expected)


def test_the_nearest_endpoint_is_the_nearest_code_of_the_class():
    mixture, z, labels = mixture_of("diag")
    found = ENDPOINTS["nearest"](z, labels, 1 - labels, mixture)
    for x, y, end in zip(z, labels, found, strict=True):
        others = z[labels != y]
        assert_allclose(end, others[np.square(others - x).sum(axis=1).argmin()])


def test_a_class_without_safe_codes_has_its_centre_as_the_nearest():
    mixture, z, labels = mixture_of("diag")
    found = ENDPOINTS["nearest"](z, labels, np.full(len(z), 2), mixture)
    assert_allclose(found, mixture.means[np.full(len(z), 2)])
