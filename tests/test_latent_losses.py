"""The terms of Eqs. 4 to 9, and the columns that they are taken of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime

from skcf import FeatureSpace
from skcf.latent._heads import Heads, Pixels
from skcf.latent._layout import Layout
from skcf.space._containers import Table

pd = pytest.importorskip("pandas")
torch = pytest.importorskip("torch")

from skcf.latent import _losses  # noqa: E402
from skcf.latent._mixture import GaussianMixture  # noqa: E402

LAYOUT = Layout(2, [3, 2], temperature=0.7)
Y = torch.tensor([0, 1, 1, 0, 2])
LOG_PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)


def one_hot_columns():
    columns = torch.zeros(5, 7, dtype=torch.float64)
    columns[:, :2] = drawn(5, 2, seed=1).detach()
    columns[range(5), [2, 3, 4, 2, 3]] = 1.0
    columns[range(5), [5, 6, 6, 5, 5]] = 1.0
    return columns


LOSSES = {
    "classification": lambda logits: _losses.classification_loss(logits, LOG_PRIOR, Y),
    "likelihood": lambda logits: _losses.likelihood_loss(logits, Y),
    "adversary": lambda logits: _losses.adversary_loss(logits, Y),
    "confusion": lambda logits: _losses.confusion_loss(logits, LOG_PRIOR),
    "swap": lambda logits: _losses.swap_loss(logits, Y),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_differences(name):
    assert torch.autograd.gradcheck(LOSSES[name], (drawn(5, 3),))


def test_gradient_of_the_reconstruction_is_a_finite_difference():
    X = one_hot_columns()
    loss = lambda raw: _losses.reconstruction_loss(raw, X, LAYOUT)  # noqa: E731
    assert torch.autograd.gradcheck(loss, (drawn(5, 7),))


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_gradients_of_the_mixture_are_finite_differences(covariance_type):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mixture = GaussianMixture([0.5, 0.3, 0.2], 2, covariance_type).double()
    names = [name for name, _ in mixture.named_parameters()]

    def loss(z, *parameters):
        given = dict(zip(names, parameters, strict=True))
        log_density = torch.func.functional_call(mixture, given, (z,))
        lik = _losses.likelihood_loss(log_density, Y)
        return _losses.classification_loss(log_density, mixture.log_prior.double(), Y) + 0.5 * lik

    mixture.forward = mixture.log_density
    start = [p.detach().clone().requires_grad_() for p in mixture.parameters()]
    assert torch.autograd.gradcheck(loss, (drawn(5, 2), *start))


def test_losses_by_hand():
    log_density = torch.log(torch.tensor([[0.2, 0.1], [0.3, 0.6]], dtype=torch.float64))
    prior = torch.log(torch.tensor([0.75, 0.25], dtype=torch.float64))
    y = torch.tensor([0, 1])
    expected = -(np.log(0.15 / 0.175) + np.log(0.15 / 0.375)) / 2
    assert float(_losses.classification_loss(log_density, prior, y)) == pytest.approx(expected)
    expected = -(np.log(0.2) + np.log(0.6)) / 2
    assert float(_losses.likelihood_loss(log_density, y)) == pytest.approx(expected)


def test_reconstruction_by_hand():
    X, raw = one_hot_columns(), drawn(5, 7, seed=3).detach()
    total = 0.0
    for x, r in zip(X.numpy(), raw.numpy(), strict=True):
        total += np.sum((x[:2] - r[:2]) ** 2)
        for part in (slice(2, 5), slice(5, 7)):
            shares = np.exp(r[part] / 0.7) / np.exp(r[part] / 0.7).sum()
            total -= np.log(shares[x[part].argmax()])
    found = float(_losses.reconstruction_loss(raw, X, LAYOUT))
    assert found == pytest.approx(total / (5 * 4))


def test_an_adversary_that_knows_nothing_confuses_nobody():
    assert float(_losses.confusion_loss(LOG_PRIOR.expand(4, 3) + 1.3, LOG_PRIOR)) == (
        pytest.approx(0.0, abs=1e-12)
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3))
def test_confusion_is_bounded_and_the_literal_loss_is_not(logits):
    logits = torch.tensor([logits], dtype=torch.float64)
    found = float(_losses.confusion_loss(logits, LOG_PRIOR))
    assert -1e-9 <= found <= -float(LOG_PRIOR.min()) + 1e-9


def test_shares_of_tensors_and_arrays_agree():
    raw = drawn(6, 7).detach()
    expected = LAYOUT.soft(raw).numpy()
    assert_allclose(LAYOUT.soft_array(raw.numpy()), expected, rtol=1e-12)
    assert_allclose(expected[:, 2:5].sum(axis=1), 1.0)
    assert_allclose(expected[:, 5:].sum(axis=1), 1.0)
    assert_array_equal(expected[:, :2], raw[:, :2].numpy())


def test_pullback_of_shares_is_a_finite_difference():
    raw, V = drawn(1, 7).detach().numpy(), drawn(1, 7, seed=5).detach().numpy()
    soft = LAYOUT.soft_array(raw)
    numeric = approx_fprime(raw[0], lambda r: float((LAYOUT.soft_array(r[None]) * V).sum()), 1e-7)
    assert_allclose(LAYOUT.soft_pullback(soft, V)[0], numeric, atol=1e-6)


def test_hardening_is_one_hot_and_keeps_the_gradient_of_the_shares():
    raw = drawn(6, 7)
    hard = LAYOUT.hardened(LAYOUT.soft(raw))
    values = hard.detach().numpy()
    assert_allclose(np.sort(values[:, 2:5]), np.tile([0, 0, 1], (6, 1)), atol=1e-12)
    assert_array_equal(values[:, 2:5].argmax(1), raw[:, 2:5].detach().numpy().argmax(1))
    weights = drawn(6, 7, seed=2).detach()
    (through,) = torch.autograd.grad((hard * weights).sum(), raw)
    (plain,) = torch.autograd.grad((LAYOUT.soft(raw) * weights).sum(), raw)
    assert_allclose(through.numpy(), plain.numpy())


def people():
    X = pd.DataFrame(
        {
            "age": [20, 30, 40, 60],
            "job": ["cook", "nurse", "nurse", "pilot"],
            "size": ["s", "m", "l", "m"],
            "pay": [1.0, np.nan, 3.0, 5.0],
        }
    )
    space = FeatureSpace(ordinal_features={"size": ["s", "m", "l"]}).fit(X)
    return space, space._encode(Table.of(X))


def test_columns_by_hand():
    space, Z = people()
    heads = Heads(space, Z)
    # numbers and places in an order first, the median where one is missing; then jobs
    expected = [
        [0, 0, 0, 1, 0, 0],
        [0.25, 0.5, 0.5, 0, 1, 0],
        [0.5, 1, 0.5, 0, 1, 0],
        [1, 0.5, 1, 0, 0, 1],
    ]
    assert_allclose(heads.columns(Z), expected)


def test_rows_of_their_own_columns_are_the_same_to_the_bit():
    space, Z = people()
    heads = Heads(space, Z)
    assert_array_equal(heads.rows(heads.columns(Z), Z), Z)


def test_what_is_missing_or_not_seen_is_kept():
    space, Z = people()
    heads = Heads(space, Z)
    odd = Z.copy()
    odd[0, 1], odd[1, 0], odd[2, 2] = -1.0, np.nan, np.nan
    other = heads.rows(heads.columns(Z[::-1]), odd)
    assert other[0, 1] == -1.0
    assert np.isnan([other[1, 0], other[2, 2], other[1, 3]]).all()


def test_numbers_stay_within_the_training_rows_or_the_own_value():
    space, Z = people()
    heads = Heads(space, Z)
    columns = np.full((4, heads.layout.n_columns), 7.0)
    Z[0, 0] = 90.0
    rows = heads.rows(columns, Z)
    assert_array_equal(rows[:, 0], [90, 60, 60, 60])


def test_a_little_of_what_few_have_is_none():
    """Most have no gain; a tenth of the others have no more than 100, half of which is 50."""
    gain = np.concatenate([np.zeros(20), [100.0, 100.0], np.full(8, 1000.0)])
    X = np.column_stack([gain, np.arange(30.0)])
    heads = Heads(FeatureSpace().fit(X), X)
    assert_allclose(heads.usual, [0.0, np.nan])
    assert_allclose(heads.least_departure, [50.0, 0.0])
    own = np.array([[0.0, 3.0], [0.0, 3.0], [100.0, 3.0]])
    decoded = np.array([[49.0, 3.1], [51.0, 3.1], [90.0, 3.1]])
    rows = heads.rows(decoded / [1000.0, 29.0], own)
    # the first is none; the second is much; the third had some before
    assert_allclose(rows[:, 0], [0.0, 51.0, 90.0])
    assert_allclose(rows[:, 1], 3.1)


def test_a_little_grey_stays_in_images():
    X = np.zeros((10, 4))
    X[0] = 200.0
    pixels = Pixels(FeatureSpace().fit(X), X)
    assert_allclose(pixels.rows(np.full((1, 4), 0.01), X[1:2]), 2.0)


def test_pixels_have_one_scale():
    X = np.array([[0.0, 10.0, 5.0], [0.0, 200.0, 5.0]])
    space = FeatureSpace().fit(X)
    assert_allclose(Pixels(space, X).columns(X), X / 200)
