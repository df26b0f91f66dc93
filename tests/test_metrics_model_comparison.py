"""RelPSI and RelMulti: their estimates, their p-values and their level."""

from itertools import permutations

import numpy as np
import pytest
from conftest import boosted_pipeline, mixed_population
from scipy.special import log_ndtr
from scipy.stats import binom, kstest, norm

from skcf import FeatureSpace, NearestExplainer
from skcf.metrics import mmd2, model_comparison_test
from skcf.metrics._model_comparison import _bounds, _differences, _estimates, _selective

pd = pytest.importorskip("pandas")

METHODS = ["relpsi", "relmulti"]
UNIT = FeatureSpace().fit([[0.0, 0.0], [1.0, 1.0]])  # scales of 1


def draws(shifts, n=60, seed=0):
    rng = np.random.default_rng(seed)
    candidates = {f"model {i}": rng.normal(size=(n, 2)) + [s, 0] for i, s in enumerate(shifts)}
    return candidates, rng.normal(size=(n, 2))


def imq(x, y, h=1.0):
    return (1 + np.sum((x - y) ** 2) / h**2) ** -0.5


def h_matrix(sample, real):
    """h((x, r), (x', r')) for all pairs, by a double loop; NaN for a row with itself."""
    n = len(real)
    h = np.full((n, n), np.nan)
    for a, b in permutations(range(n), 2):
        x, y, r, s = sample[a], sample[b], real[a], real[b]
        h[a, b] = imq(x, y) + imq(r, s) - imq(x, s) - imq(y, r)
    return h


def estimates(candidates, real, bandwidth=1.0):
    return _estimates(np.stack(list(candidates.values())), real, "imq", bandwidth)


def test_estimates_and_their_covariance_against_loops():
    n = 7
    candidates, real = draws([0.5, 2.0], n)
    first, second = (h_matrix(sample, real) for sample in candidates.values())
    values, covariance = estimates(candidates, real)
    np.testing.assert_allclose(values, [np.nanmean(first), np.nanmean(second)])

    def mean(h, g, shared):
        rows = {2: lambda a, b, c, d: (a, b, a, b), 1: lambda a, b, c, d: (a, b, a, c)}
        rows[0] = lambda a, b, c, d: (a, b, c, d)
        places = np.array([rows[shared](*p) for p in permutations(range(n), 4)])
        return np.mean(h[places[:, 0], places[:, 1]] * g[places[:, 2], places[:, 3]])

    pairs = [(first, first), (first, second), (second, second)]
    by_row, by_pair = np.zeros((2, 2)), np.zeros((2, 2))
    for (i, j), (h, g) in zip([(0, 0), (0, 1), (1, 1)], pairs, strict=True):
        by_row[i, j] = by_row[j, i] = mean(h, g, 1) - mean(h, g, 0)
        by_pair[i, j] = by_pair[j, i] = mean(h, g, 2) - np.nanmean(h) * np.nanmean(g)
    weights, vectors = np.linalg.eigh(by_row)
    by_row = vectors @ np.diag(weights.clip(0)) @ vectors.T
    expected = (4 * (n - 2) * by_row + 2 * by_pair) / (n * (n - 1))
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_the_covariance_is_that_of_repeated_draws():
    values, covariances = zip(
        *[estimates(*draws([0.7, 0.7, 1.5], 40, seed=seed)) for seed in range(600)], strict=True
    )
    observed, claimed = np.cov(np.transpose(values)), np.mean(covariances, axis=0)
    np.testing.assert_allclose(claimed, observed, rtol=0.2)


def test_estimates_in_chunks(monkeypatch):
    candidates, real = draws([0.0, 1.0])
    whole = estimates(candidates, real)
    monkeypatch.setattr("skcf.metrics._model_comparison.CHUNK_PAIRS", 500)
    for part, expected in zip(estimates(candidates, real), whole, strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-15)


def test_the_estimate_is_about_that_of_mmd2():
    """They differ in the pairs (x_i, r_i) alone, which are n of n**2."""
    candidates, real = draws([0.0, 2.0], 200)
    found = model_comparison_test(candidates, reference=real, bandwidth=1.5, feature_space=UNIT)
    for name, rows in candidates.items():
        asked = {"kernel": "imq", "bandwidth": 1.5, "feature_space": UNIT}
        expected = mmd2(rows, rows, reference=real, **asked)
        assert found.mmd2[name] == pytest.approx(expected, abs=5e-3)


def test_two_models_by_hand():
    """The choice truncates the difference of two at 0: the p-value is the two-sided one."""
    candidates, real = draws([0.7, 1.1])
    values, covariance = estimates(candidates, real)
    difference = values[1] - values[0]
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found = model_comparison_test(candidates, reference=real, bandwidth=1.0, feature_space=UNIT)
    assert found.best == "model 0"
    # the test pairs the rows anew
    assert found.difference["model 1"] == pytest.approx(difference, abs=0.02)
    z = found.difference["model 1"] / found.standard_error["model 1"]
    assert found.standard_error["model 1"] == pytest.approx(error, rel=0.25)
    assert found.pvalue["model 1"] == pytest.approx(2 * norm.sf(z))


def test_selective_p_values_against_rejection_sampling():
    """Draws of the estimates with the part held fixed that is independent of the difference."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4)) / 3
    covariance, values = root @ root.T, np.array([0.3, 0.9, 0.1, 0.4])
    best = 2
    pvalues = _selective((values, covariance), best)
    for i in (0, 1, 3):
        contrast = np.eye(4)[i] - np.eye(4)[best]
        variance = contrast @ covariance @ contrast
        slope = covariance @ contrast / variance
        rest = values - slope * (contrast @ values)
        t = rng.normal(0, np.sqrt(variance), 400_000)
        kept = t[(rest + t[:, None] * slope).argmin(axis=1) == best]
        assert len(kept) > 1000
        expected = np.mean(kept >= contrast @ values)
        assert pvalues[i] == pytest.approx(expected, abs=4 * np.sqrt(0.25 / len(kept)))
    assert pvalues[best] == 1


def test_selective_p_values_are_uniform_given_any_choice():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(3, 3))
    covariance = root @ root.T
    chosen = {0: [], 1: [], 2: []}
    for values in rng.multivariate_normal(np.zeros(3), covariance, 1500):
        best = int(values.argmin())
        chosen[best].append(_selective((values, covariance), best)[best - 1])
    for pvalues in chosen.values():
        assert len(pvalues) > 100
        assert kstest(pvalues, "uniform").pvalue > 0.01


def test_far_tails_are_numbers():
    """One difference of 100 standard errors, which another one keeps above 99."""
    covariance = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    pvalues = _selective((np.array([0.0, 100.0, 1.0]), covariance), 0)
    expected = np.exp(log_ndtr(-100.0) - log_ndtr(-99.0))
    assert pvalues[1] == pytest.approx(expected, rel=1e-9)
    for far in (1e4, 1e8):
        pvalues = _selective((np.array([0.0, far, 1.0]), covariance), 0)
        assert pvalues[1] == 0
        assert 0 < pvalues[2] <= 1


def test_bounds_by_hand():
    """The third goes from 1 at 5 down by a half of the second's way: it is 0 at 7."""
    low, high = _bounds(np.array([0.0, 5.0, 1.0]), np.array([0.0, 1.0, -0.5]), 5.0)
    assert (low, high) == (0.0, 7.0)


def test_one_sample_twice_is_no_difference():
    candidates, real = draws([1.0, 3.0])
    candidates["copy"] = candidates["model 0"].copy()
    for method in METHODS:
        found = model_comparison_test(candidates, reference=real, method=method)
        assert found.best == "model 0"
        assert found.difference["copy"] == found.standard_error["copy"] == 0
        assert found.pvalue["copy"] == 1
        assert not found.rejected["copy"]
        alone = {name: candidates[name] for name in ("model 0", "model 1")}
        without = model_comparison_test(alone, reference=real, method=method)
        factor = 1.0 if method == "relpsi" else 1.5 * 2  # of two tests, Benjamini-Yekutieli
        expected = min(1.0, factor * without.pvalue["model 1"])
        assert found.pvalue["model 1"] == pytest.approx(expected, rel=1e-6)
    _, error = _differences((np.zeros(2), np.ones((2, 2))), 0)
    assert (error == 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_test_keeps_its_level(method, alpha):
    """Two explainers equally far from the real rows, in opposite directions."""
    n_repetitions, n_rejected = 200, 0
    for seed in range(n_repetitions):
        candidates, real = draws([1.0, -1.0], 60, seed=seed)
        found = model_comparison_test(
            candidates, reference=real, method=method, alpha=alpha, random_state=seed
        )
        n_rejected += sum(found.rejected.values())
    low, high = binom.interval(0.999, n_repetitions, alpha)
    assert low <= n_rejected <= high


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shifts", [[0.0, 0.0, 0.0], [0.7, 0.7, 0.7, 0.7]])
def test_several_tests_keep_their_level(method, shifts):
    """RelPSI: each of them. RelMulti: any rejection is a false discovery. Also if all are real."""
    n_repetitions, n_rejected = 200, 0
    for seed in range(n_repetitions):
        candidates, real = draws(shifts, 50, seed=seed)
        found = model_comparison_test(candidates, reference=real, method=method, random_state=seed)
        rejected = list(found.rejected.values())
        n_rejected += rejected[0] if method == "relpsi" else any(rejected)
    assert n_rejected <= binom.interval(0.999, n_repetitions, 0.05)[1]


@pytest.mark.parametrize("method", METHODS)
def test_paired_explainers_keep_their_level(method):
    """Answers to the same queries differ by little: their covariance is what is left."""
    n_rejected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        common, real = rng.normal(size=(60, 2)) + [1, 0], rng.normal(size=(60, 2))
        candidates = {i: common + 0.3 * rng.normal(size=(60, 2)) for i in range(2)}
        found = model_comparison_test(candidates, reference=real, method=method, random_state=seed)
        n_rejected += sum(found.rejected.values())
    low, high = binom.interval(0.999, 200, 0.05)
    assert low <= n_rejected <= high


@pytest.mark.parametrize("method", METHODS)
def test_a_clearly_worse_explainer_is_rejected(method):
    for seed in range(20):
        candidates, real = draws([0.0, 2.0], 100, seed=seed)
        found = model_comparison_test(candidates, reference=real, method=method)
        assert found.best == "model 0"
        assert found.mmd2["model 0"] < found.mmd2["model 1"]
        assert found.rejected == {"model 1": True}
        assert found.pvalue["model 1"] < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_worse_explainer_is_found_among_several(method):
    """A near tie for the best costs RelPSI power: it cannot tell how the choice was made."""
    n_rejected = 0
    for seed in range(20):
        candidates, real = draws([0.2, 2.0, 0.2], 100, seed=seed)
        found = model_comparison_test(candidates, reference=real, method=method)
        assert found.best in ("model 0", "model 2")
        assert found.mmd2[found.best] == min(found.mmd2.values())
        assert set(found.pvalue) == set(candidates) - {found.best}
        n_rejected += found.rejected["model 1"]
    assert n_rejected >= 16


def test_adjusted_p_values_by_hand():
    """Benjamini and Yekutieli: n c(n) / rank times the p-value, made monotone from the largest."""
    candidates, real = draws([0.3, 0.6, 0.9, 1.2], 80)
    found = model_comparison_test(candidates, reference=real, method="relmulti")
    raw = {k: norm.sf(d / found.standard_error[k]) for k, d in found.difference.items()}
    names, largest = sorted(raw, key=raw.get), 1.0
    for rank in (3, 2, 1):
        name = names[rank - 1]
        largest = min(largest, raw[name] * 3 / rank * (1 + 1 / 2 + 1 / 3))
        assert found.pvalue[name] == pytest.approx(largest)


@pytest.mark.parametrize("method", METHODS)
def test_neither_the_order_of_explainers_nor_units_have_a_say(method):
    candidates, real = draws([0.4, 0.8, 1.2])
    candidates["model 2"] = candidates["model 2"][:45]
    found = model_comparison_test(candidates, reference=real, method=method)
    assert found.n_samples == 45
    turned = dict(reversed(list(candidates.items())))
    again = model_comparison_test(turned, reference=real, method=method)
    assert again.best == found.best
    assert again.pvalue == pytest.approx(found.pvalue, rel=1e-6)
    factor = [8.0, 0.25]
    other_units = {name: rows * factor for name, rows in candidates.items()}
    again = model_comparison_test(other_units, reference=real * factor, method=method)
    assert again.pvalue == pytest.approx(found.pvalue, rel=1e-6)
    # the median bandwidth grows with the points
    space = FeatureSpace().fit([[0.0, 0.0], [0.01, 0.01]])
    wide = model_comparison_test(candidates, reference=real, method=method, feature_space=space)
    unit = model_comparison_test(candidates, reference=real, method=method, feature_space=UNIT)
    assert wide.pvalue == pytest.approx(unit.pvalue, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_seeds(method):
    candidates, real = draws([0.4, 0.8], 100)
    asked = {"reference": real, "method": method, "max_samples": 40}
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    found = model_comparison_test(candidates, random_state=3, **asked)
    assert model_comparison_test(candidates, random_state=3, **asked) == found
    assert model_comparison_test(candidates, random_state=4, **asked) != found
    assert found.n_samples == 40
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.fixture(scope="module")
def explained():
    rows, y = mixed_population(300)
    model = boosted_pipeline(rows, y, ["job", "sex", "owner"])
    labels = model.predict(rows)
    explainer = NearestExplainer(model, target_class="other").fit(rows.iloc[:200])
    return rows, labels, explainer.explain(rows.iloc[:120])


def test_results_and_classes(explained):
    rows, labels, result = explained
    found = result.status == "found"
    asked = {"reference": rows.iloc[200:], "y_reference": labels[200:]}
    noise = rows.iloc[:120].assign(income=lambda X: X["income"] * 20)
    candidates = {"nearest": result, "noise": noise}
    with pytest.raises(ValueError, match=r"one class at a time; those of the results are \['no"):
        model_comparison_test(candidates, **asked)
    test = model_comparison_test(candidates, target="yes", **asked)
    into = found & (result.y_cf == "yes")
    of_class = rows.iloc[200:][labels[200:] == "yes"]
    assert test.n_samples == min(into.sum(), len(of_class))
    assert test.best == "nearest"
    by_hand = {"nearest": result.X_cf[into], "noise": noise}
    again = model_comparison_test(by_hand, reference=of_class)
    assert again.n_samples == test.n_samples
    assert again.best == "nearest"


def test_the_one_label_of_the_results_is_known(explained):
    rows, labels, result = explained
    one = type(result)(
        **{
            name: getattr(result, name)[result.y_cf == "yes"]
            for name in ("X", "X_cf", "y", "y_cf", "status", "cost", "n_changes", "n_queries")
        }
    )
    asked = {"reference": rows.iloc[200:], "y_reference": labels[200:]}
    candidates = {"nearest": one, "rows": rows.iloc[:120]}
    assert model_comparison_test(candidates, **asked) == model_comparison_test(
        candidates, target="yes", **asked
    )


def test_categories_that_the_space_does_not_know_are_told_apart():
    rng = np.random.default_rng(0)
    real = pd.DataFrame({"job": rng.choice(["a", "b"], 40)})
    candidates = {
        "same": pd.DataFrame({"job": rng.choice(["a", "b"], 40)}),
        "new": pd.DataFrame({"job": rng.choice(["c", "d"], 40)}),
    }
    found = model_comparison_test(candidates, reference=real)
    assert found.best == "same"
    assert found.rejected["new"]


def test_bad_input():
    candidates, real = draws([0.0, 1.0], 20)
    bad = [
        ({"kernel": "linear"}, "kernel must be one of"),
        ({"bandwidth": 0.0}, "bandwidth must be"),
        ({"method": "best"}, "method must be one of"),
        ({"alpha": 1.0}, "alpha must be between 0 and 1"),
        ({"test_size": 0.0}, "test_size must be between 0 and 1"),
        ({"max_samples": 0}, "max_samples must be"),
        ({"max_samples": 3}, "At least 4 rows"),
        ({"method": "relmulti", "test_size": 0.1}, "RelMulti needs at least 4 rows in each part"),
        ({"y_reference": [0, 1]}, "one label for each reference row"),
        ({"y_reference": np.zeros(20)}, "y_reference needs target"),
        ({"y_reference": np.zeros(20), "target": 1}, "At least 4 rows.*'reference': 0"),
    ]
    for asked, message in bad:
        with pytest.raises(ValueError, match=message):
            model_comparison_test(candidates, reference=real, **asked)
    for wrong in ({}, {"one": real}):
        with pytest.raises(ValueError, match="at least two explainers"):
            model_comparison_test(wrong, reference=real)
    with pytest.raises(TypeError, match="candidates must be a dict"):
        model_comparison_test([real, real], reference=real)
    with pytest.raises(ValueError, match="At least 4 rows"):
        model_comparison_test({"a": real, "b": real[:3]}, reference=real)
