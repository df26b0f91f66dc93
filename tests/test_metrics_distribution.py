"""MMD, energy distance and sliced Wasserstein distance."""

import numpy as np
import pytest
from scipy.stats import binom, kstest, wasserstein_distance
from scipy.stats import energy_distance as scipy_energy

from skcf import FeatureSpace
from skcf.metrics import energy_distance, mmd2, mmd_test, sliced_wasserstein

ot = pytest.importorskip("ot")

DISTANCES = [mmd2, energy_distance, sliced_wasserstein]
UNIT = FeatureSpace().fit([[0.0, 0.0], [1.0, 1.0]])  # scales of 1
LINE = FeatureSpace().fit([[0.0], [1.0]])


def samples(n=12, m=15, shift=0.5, seed=0, d=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + shift, rng.normal(size=(m, d))


def brute_force_mmd2(points, real, k):
    def mean(first, second, itself):
        pairs = [(i, j) for i in range(len(first)) for j in range(len(second)) if itself or i != j]
        return np.mean([k(np.linalg.norm(first[i] - second[j])) for i, j in pairs])

    return mean(points, points, False) + mean(real, real, False) - 2 * mean(points, real, True)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
@pytest.mark.parametrize("bandwidth", [0.7, None])
def test_mmd2_against_a_double_loop(kernel, bandwidth):
    points, real = samples()
    pooled = np.concatenate([points, real])
    i, j = np.triu_indices(len(pooled), 1)
    median = np.median(np.linalg.norm(pooled[i] - pooled[j], axis=1))
    h = bandwidth or median

    def k(d):
        return np.exp(-(d**2) / (2 * h**2)) if kernel == "rbf" else (1 + d**2 / h**2) ** -0.5

    value = mmd2(
        points, points, reference=real, kernel=kernel, bandwidth=bandwidth, feature_space=UNIT
    )
    assert value == pytest.approx(brute_force_mmd2(points, real, k), abs=1e-12)


def test_mmd2_by_hand():
    # within the counterfactuals k(1), within the real rows k(1), between k(0), k(1), k(1), k(0)
    k = np.exp(-0.5)
    value = mmd2([[0.0], [1.0]], [[0.0], [1.0]], reference=[[0.0], [1.0]], bandwidth=1.0)
    assert value == pytest.approx(2 * k - (1 + k))


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_mmd2_is_zero_on_average_where_both_are_drawn_alike(kernel):
    values = []
    for seed in range(300):
        points, real = samples(shift=0.0, seed=seed)
        values.append(mmd2(points, points, reference=real, kernel=kernel, bandwidth=1.0))
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)
    assert min(values) < 0 < max(values)


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_symmetric_and_do_not_see_the_order(distance):
    points, real = samples(shift=2.0)
    space = {"feature_space": UNIT}
    value = distance(points, points, reference=real, **space)
    assert value > 0
    assert distance(real, real, reference=points, **space) == pytest.approx(value)
    again = distance(points[::-1].copy(), points[::-1].copy(), reference=real[::-1].copy(), **space)
    assert again == pytest.approx(value)
    copies = {"status": [True] * 12 + [False]}
    more = np.concatenate([points, [[99.0, np.nan]]])
    assert distance(more, more, reference=real, **copies, **space) == pytest.approx(value)


@pytest.mark.parametrize("distance", [energy_distance, sliced_wasserstein])
def test_equal_sets_are_at_distance_zero_and_units_have_no_say(distance):
    points, real = samples()
    assert distance(real, real[::-1].copy(), reference=real) == pytest.approx(0, abs=1e-6)
    value = distance(points, points, reference=real)
    factor = [8.0, 0.25]
    again = distance(points * factor, points * factor, reference=real * factor)
    assert again == pytest.approx(value)


def test_energy_distance_in_chunks(monkeypatch):
    points, real = samples()
    value = energy_distance(points, points, reference=real)
    monkeypatch.setattr("skcf.metrics._distribution.CHUNK_PAIRS", 40)
    assert energy_distance(points, points, reference=real) == pytest.approx(value)


@pytest.mark.parametrize("n, m", [(12, 15), (1, 4), (7, 1)])
def test_energy_distance_is_that_of_scipy_on_a_line(n, m):
    points, real = samples(n, m, d=1)
    value = energy_distance(points, points, reference=real, feature_space=LINE)
    assert value == pytest.approx(scipy_energy(points.ravel(), real.ravel()))


def test_energy_distance_against_a_double_loop():
    points, real = samples()

    def mean(first, second):
        return np.mean([[np.linalg.norm(x - y) for y in second] for x in first])

    expected = np.sqrt(2 * mean(points, real) - mean(points, points) - mean(real, real))
    value = energy_distance(points, points, reference=real, feature_space=UNIT)
    assert value == pytest.approx(expected)


def test_sliced_wasserstein_is_the_transport_cost_on_a_line():
    points, real = samples(d=1)
    value = sliced_wasserstein(points, points, reference=real, p=1, feature_space=LINE)
    assert value == pytest.approx(wasserstein_distance(points.ravel(), real.ravel()))


def test_sliced_wasserstein_is_that_of_pot_and_of_a_shift():
    points, real = samples()
    asked = {"reference": real, "feature_space": UNIT, "n_projections": 30, "random_state": 5}
    expected = ot.sliced_wasserstein_distance(points, real, n_projections=30, seed=5)
    assert sliced_wasserstein(points, points, **asked) == pytest.approx(expected)
    # E (theta' v)**2 = |v|**2 / d
    shift = np.array([3.0, 4.0])
    asked |= {"n_projections": 20_000}
    value = sliced_wasserstein(real, real + shift, **asked)
    assert value == pytest.approx(5 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_p_values_are_uniform_where_both_are_drawn_alike(kernel):
    values = []
    for seed in range(200):
        points, real = samples(shift=0.0, seed=seed)
        asked = {"kernel": kernel, "n_permutations": 99, "random_state": seed}
        values.append(mmd_test(points, points, reference=real, **asked).pvalue)
    assert kstest(values, "uniform").pvalue > 0.01
    low, high = binom.interval(0.999, 200, 0.05)
    assert low <= np.sum(np.array(values) <= 0.05) <= high
    assert min(values) >= 1 / 100


def test_the_test_finds_differences():
    points, real = samples(30, 40, shift=2.0)
    found = mmd_test(points, points, reference=real, n_permutations=99)
    assert found.pvalue == 1 / 100
    assert found.statistic == pytest.approx(mmd2(points, points, reference=real))
    again = mmd_test(points, points, reference=real, n_permutations=99)
    assert again == found  # seeded


def test_the_p_value_of_rows_that_are_all_alike_is_one():
    same = np.ones((6, 2))
    found = mmd_test(same, same, reference=same, feature_space=UNIT)
    assert found.pvalue == 1
    assert found.statistic == pytest.approx(0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_several_targets_are_averaged_by_their_rows(distance):
    points, real = samples(12, 40)
    labels, target = np.arange(40) % 2, np.repeat([0, 1], [4, 8])
    asked = {"reference": real, "y_reference": labels, "feature_space": UNIT}
    parts = [
        distance(points[target == c], points[target == c], target=c, **asked) for c in range(2)
    ]
    value = distance(points, points, target=target, **asked)
    assert value == pytest.approx((4 * parts[0] + 8 * parts[1]) / 12)


def test_samples_are_drawn_down():
    points, real = samples(50, 300)
    asked = {"reference": real, "feature_space": UNIT}
    drawn = [mmd2(points, points, max_samples=20, random_state=s, **asked) for s in range(200)]
    whole = mmd2(points, points, max_samples=None, bandwidth=1.5, **asked)
    assert len(set(drawn)) == 200
    assert whole == mmd2(points, points, max_samples=300, bandwidth=1.5, **asked)
    assert np.mean(drawn) == pytest.approx(mmd2(points, points, **asked), abs=0.02)


@pytest.mark.parametrize("distance", DISTANCES)
def test_nobody_is_nan(distance):
    points, real = samples()
    nobody = np.zeros(12, dtype=bool)
    assert np.isnan(distance(points, points, reference=real, status=nobody))


def test_too_few_and_bad_input():
    points, real = samples()
    assert np.isnan(mmd2(points[:1], points[:1], reference=real))
    assert np.isnan(mmd_test(points[:1], points[:1], reference=real)).all()
    with pytest.raises(ValueError, match="at least two are needed"):
        mmd2(points, points, reference=real[:1])
    with pytest.raises(ValueError, match="kernel must be one of"):
        mmd2(points, points, reference=real, kernel="linear")
    for bandwidth in (0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="bandwidth must be"):
            mmd2(points, points, reference=real, bandwidth=bandwidth)
    with pytest.raises(ValueError, match="max_samples must be"):
        mmd2(points, points, reference=real, max_samples=0)
    with pytest.raises(ValueError, match="n_permutations must be"):
        mmd_test(points, points, reference=real, n_permutations=0)
    with pytest.raises(ValueError, match="p must be at least 1"):
        sliced_wasserstein(points, points, reference=real, p=0.5)
    with pytest.raises(ValueError, match="No reference row has the target label"):
        mmd2(points, points, reference=real, y_reference=["a"] * 15, target="b")
