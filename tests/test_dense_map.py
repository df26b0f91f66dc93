"""Dense nets in NumPy: they are what torch makes of them; and Newton's steps, which ask them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA

from skcf import FeatureSpace
from skcf._dense_map import DenseMap, dense_map
from skcf._maps import AffineMap, TorchMap
from skcf._representations import front_of, has_slopes, read_representation, resolution_of
from skcf.group._coordinate import solve_coordinate
from skcf.group._newton import _pooled_step, newton_step
from skcf.group._problem import group_problem
from skcf.group._prox import solve_prox

torch = pytest.importorskip("torch")
nn = torch.nn

ACTIVATIONS = {
    "relu": nn.ReLU(),
    "leaky": nn.LeakyReLU(0.2),
    "elu": nn.ELU(),
    "elu of 2": nn.ELU(2.0),
    "selu": nn.SELU(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "softplus": nn.Softplus(2.0, 3.0),
    "gelu": nn.GELU(),
    "in place": nn.ELU(inplace=True),
}


def net(*parts, dtype=torch.float64):
    """A net with weights from a seed of its own; whole numbers are layers' sizes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = [nn.Linear(*part) if isinstance(part, tuple) else part for part in parts]
        return nn.Sequential(*parts).to(dtype)


def rows(n=40, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)) * 3


def assert_same(found, module, Z, rtol=1e-11, atol=1e-12):
    """Values and gradients are those of torch."""
    other = TorchMap(module)
    values = other.values(Z)
    V = np.random.default_rng(1).normal(size=values.shape)
    assert_allclose(found.values(Z), values, rtol=rtol, atol=atol)
    assert_allclose(found.pullback(Z, V), other.pullback(Z, V), rtol=rtol, atol=atol)
    weights = [one.residual_pullback(Z, lambda values, b: values - V[b]) for one in (found, other)]
    for own, wanted in zip(*weights, strict=True):
        assert_allclose(own, wanted, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients_are_those_of_torch(name):
    module = net((4, 7), ACTIVATIONS[name], (7, 5), ACTIVATIONS[name], (5, 3))
    found = dense_map(module)
    assert type(found) is DenseMap
    Z = rows()
    assert_same(found, module, Z)
    V = np.ones((len(Z), 3))
    step = 1e-6 * np.eye(4)[:, None]
    slope = (found.values(Z + step[0]) - found.values(Z - step[0])).sum(axis=1) / 2e-6
    if name != "relu":  # kinks may lie between
        assert_allclose(found.pullback(Z, V)[:, 0], slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_at_kinks_and_far_out(name):
    module = net(nn.Sequential(ACTIVATIONS[name]), (1, 1))
    with torch.no_grad():
        module[1].weight.fill_(1.0)
        module[1].bias.fill_(0.0)
    Z = np.array([-800.0, -40.0, -1e-9, 0.0, 1e-9, 1.4999, 1.5001, 40.0, 800.0])[:, None]
    assert_same(dense_map(module), module, Z)


def test_float32_is_read_as_float64():
    module = net((4, 7), nn.ELU(), (7, 2), dtype=torch.float32)
    found = dense_map(module)
    assert_same(found, module, rows(), rtol=1e-4, atol=1e-5)
    assert resolution_of(found) == np.finfo(float).eps
    assert has_slopes(found)
    assert next(module.parameters()).dtype is torch.float32


def test_nested_nets_dropout_and_training_mode():
    inner = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 5, bias=False), nn.Identity())
    module = net((4, 6), nn.Sequential(nn.Tanh(), inner), nn.AlphaDropout(0.3), nn.GELU(), (5, 2))
    module.train()
    assert_same(dense_map(module), module, rows())
    assert all(part.training for part in module.modules())


def test_rows_in_batches_are_the_same(monkeypatch):
    module = net((4, 7), nn.ELU(), (7, 3))
    whole = dense_map(module)
    monkeypatch.setattr("skcf._dense_map.BATCH_ELEMENTS", 21)
    found = dense_map(module)
    assert found.size == 3
    seen = []
    found.residual_pullback(rows(), lambda values, b: seen.append(b) or values)
    assert seen == [slice(0, 40)]
    monkeypatch.setattr("skcf._dense_map.BLOCK_ELEMENTS", 100)
    found = dense_map(module)
    assert found.block == 6
    assert_allclose(found.values(rows()), whole.values(rows()), rtol=1e-13)
    assert_same(found, module, rows())
    assert found.values(np.empty((0, 4))).shape == (0, 3)
    assert found.pullback(np.empty((0, 4)), np.empty((0, 3))).shape == (0, 4)


def test_weights_are_read_once_and_rows_are_left():
    module = net((4, 7), nn.ReLU(), (7, 3))
    found, Z = dense_map(module), rows()
    before, kept = found.values(Z), Z.copy()
    found.pullback(Z, before)
    with torch.no_grad():
        module[0].weight.zero_()
        module[2].bias.add_(5)
    assert_array_equal(found.values(Z), before)
    assert_array_equal(Z, kept)


def hooked(module):
    module[0].register_forward_hook(lambda *_: None)


def hooked_before(module):
    module.register_forward_pre_hook(lambda *_: None)


def hooked_after(module):
    module[2].register_full_backward_hook(lambda *_: None)


def parametrized(module):
    nn.utils.parametrizations.weight_norm(module[0])


def replaced(module):
    module[0].forward = lambda Z: Z @ module[0].weight.T


def derived(module):
    module[1] = type("Other", (nn.ReLU,), {})()


def approximate(module):
    module[1] = nn.GELU(approximate="tanh")


def normed(module):
    module[1] = nn.BatchNorm1d(7)


def halved(module):
    module.to(torch.float16)


def on_meta(module):
    module.to("meta")


@pytest.mark.parametrize(
    "change",
    [
        hooked,
        hooked_before,
        hooked_after,
        parametrized,
        replaced,
        derived,
        approximate,
        normed,
        halved,
        on_meta,
    ],
)
def test_what_could_do_something_else_is_left_to_torch(change):
    module = net((4, 7), nn.ReLU(), (7, 3))
    assert dense_map(module) is not None
    change(module)
    assert dense_map(module) is None


def test_other_modules_are_left_to_torch():
    assert dense_map(nn.Sequential()) is None
    assert dense_map(nn.Sequential(nn.ReLU())) is None
    assert dense_map(type("Own", (nn.Sequential,), {})(nn.Linear(2, 2))) is None


@pytest.mark.parametrize("dtype, most", [(torch.float32, 2**16), (torch.float64, 2**18)])
def test_wide_nets_are_left_to_torch(dtype, most):
    assert dense_map(net((most // 64, 63), nn.ReLU(), (63, 2), dtype=dtype)) is not None
    assert dense_map(net((most // 64, 64), nn.ReLU(), (64, 2), dtype=dtype)) is None


def test_layers_without_activations_are_affine():
    for module in (nn.Linear(4, 2).double(), net((4, 3), nn.Dropout(), (3, 2))):
        found = dense_map(module)
        assert type(found) is AffineMap
        assert_same(found, module, rows())
    narrow = net((40, 1), (1, 40))  # one matrix of both would be greater
    found = dense_map(narrow)
    assert type(found) is DenseMap
    assert_same(found, narrow, rows(d=40))


def test_first_layer_and_rest_are_the_map():
    module = net((6, 4), nn.Tanh(), (4, 3))
    X = rows(d=6)
    found, values = read_representation(nn.Sequential(module), X, FeatureSpace().fit(X))
    slope, intercept, rest = front_of(found)
    assert slope.shape == (6, 4)
    assert_allclose(rest.values(X @ slope + intercept), values, rtol=1e-12)
    begun = dense_map(net(nn.Tanh(), (6, 4)))
    assert front_of(begun) == (None, None, begun)
    # a first layer too wide, the rest not
    wide = net((2000, 60), nn.ELU(), (60, 2), dtype=torch.float32)
    assert dense_map(wide) is None
    assert type(front_of(TorchMap(wide))[2]) is DenseMap


# ------------------------------------------------------------------------------------- Newton


def problem_of(given, target=None, signs=None, d=5, g=4):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(g), 10)
    X = rng.normal(size=(g, d))[codes] + 0.3 * rng.normal(size=(len(codes), d))
    found, values = read_representation(given(X), X, FeatureSpace().fit(X))
    return group_problem(X, codes, found, values, target=target, signs=signs)


def test_pairs_hessians_are_differences_of_the_gradient():
    problem = problem_of(lambda X: net((5, 3), nn.Tanh(), (3, 2)))
    T = np.random.default_rng(1).normal(size=(4, 5))
    features = np.array([0, 3])
    gradient, hessian = problem.datafit.hessian(T, features, 1e-6)
    gathered = problem.values_and_gradients(T[None])[1][0]
    assert_allclose(problem.pairs.gathered(gradient), gathered[:, features], atol=1e-12)
    for f, feature in enumerate(features):
        for group in range(4):
            move = np.zeros(T.shape)
            move[group, feature] = 1e-5
            both = [problem.values_and_gradients((T + m)[None])[1][0] for m in (move, -move)]
            expected = (both[0] - both[1])[:, features] / 2e-5
            deltas = problem.pairs.deltas(np.eye(4)[group][:, None])
            found = problem.pairs.gathered(hessian[:, f] * deltas)
            assert_allclose(found, expected, atol=1e-4)


def test_values_that_meet_go_on_as_one():
    # (x - 3)^2 + (y + 1)^2, x rises from 0 to y, which falls from 1: they meet at 0.8, and go
    # on to 1, the minimum where both are one
    hessian, slope = 2 * np.eye(2), np.array([2 * (0 - 3), 2 * (1 + 1.0)])
    edges = np.array([1]), np.array([0]), np.array([1.0])
    assert_allclose(_pooled_step(hessian, slope, *edges), [1.0, 0.0], atol=1e-14)
    # what is held lies between them, so that y stops there, at 0.5, and x at it
    edges = np.array([1, 2]), np.array([2, 0]), np.array([0.5, 0.5])
    assert_allclose(_pooled_step(hessian, slope, *edges), [0.5, -0.5])
    # nothing in the way
    edges = np.array([0]), np.array([2]), np.array([1.0])
    assert_allclose(_pooled_step(hessian, slope, *edges), [3.0, -2.0])


@pytest.mark.parametrize("target", [None, 1])
def test_newton_solves_a_quadratic_where_its_zeros_are_known(target):
    signs = None if target is None else np.array([0, 1, -1, 0, 1])
    problem = problem_of(lambda X: PCA(2).fit(X), target, signs)
    exact = solve_coordinate(problem, [0.3])
    # smaller translations pool and are ordered as the solution is
    T = 0.9 * (exact.translations[0] - exact.translations[0][target or 0])
    at_best = problem.values_and_gradients(exact.translations)[1][0]
    found = newton_step(problem, T, -at_best, 0.3)
    assert_allclose(found[1] + 0.3 * found[2], exact.objectives[0], rtol=1e-10)
    still = np.zeros(T.shape)
    assert newton_step(problem, still, still, 0.3) is None


@pytest.mark.parametrize("target", [None, 1])
@pytest.mark.parametrize("free", [slice(None), slice(1, 4)])
def test_newton_leads_where_proximal_steps_alone_lead(target, free, monkeypatch):
    problem = problem_of(lambda X: net((5, 3), nn.Tanh(), (3, 2)), target)
    problem.free[:] = False
    problem.free[free] = True
    path = solve_prox(problem, [0.02, 0.1], tol=1e-9)
    assert (path.certificates < 1e-7).all()  # steps that gain less than rounding are not seen
    assert (np.ptp(path.translations[:, :, ~problem.free], axis=1) == 0).all()
    monkeypatch.setattr("skcf.group._prox.can_step", lambda problem: False)
    alone = solve_prox(problem, [0.02, 0.1], max_iter=20000, tol=1e-9)
    assert (path.objectives <= alone.objectives + 1e-9).all()
    assert path.n_iter.max() < alone.n_iter.max()
