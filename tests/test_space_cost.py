"""FeatureSpace's cost: Gower's distance, other metrics, and what makes them distances."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from skcf import FeatureSpace

pd = pytest.importorskip("pandas")

METRICS = ["cityblock", "euclidean", "sqeuclidean"]
SCALES = ["range", "std", "mad"]
SIZES = ["S", "M", "L", "XL"]
MANY = settings(deadline=None, derandomize=True, max_examples=80)

QUARTERS = st.integers(-40, 40).map(lambda n: n / 4)  # sums and differences are exact


def matrices(n_rows, n_columns=3, elements=QUARTERS):
    return arrays(np.float64, (n_rows, n_columns), elements=elements)


# ---------------------------------------------------------------- against other definitions


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 3.0, 0.0]])
def test_numeric_costs_are_those_of_scipy(metric, scale, weights):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 4)) * [1, 10, 0.1, 5], rng.normal(size=(20, 4))
    spread = {
        "range": np.ptp(X, axis=0),
        "std": X.std(axis=0),
        "mad": np.median(np.abs(X - np.median(X, axis=0)), axis=0),
    }[scale]
    space = FeatureSpace(scale=scale, feature_weights=weights).fit(X)
    expected = cdist(X / spread, Y / spread, metric, w=[1.0] * 4 if weights is None else weights)
    np.testing.assert_allclose(space.pairwise_cost(X, Y, metric=metric), expected, rtol=1e-12)
    by_row = space.cost(X[:20], Y, metric=metric)
    np.testing.assert_allclose(by_row, np.diag(expected[:20]), rtol=1e-12)


def mixed(n_rows, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, n_rows),
            "pay": np.where(rng.random(n_rows) < 0.2, np.nan, rng.normal(size=n_rows)),
            "job": rng.choice(np.array(["a", "b", "c", None], dtype=object), n_rows),
            "size": rng.choice(np.array([*SIZES, None], dtype=object), n_rows),
            "flag": rng.random(n_rows) < 0.5,
            "hue_r": (hue := rng.integers(0, 3, n_rows)) == 0,
            "hue_g": hue == 1,
        }
    )


def gower(X, Y, ranges, weights):
    """Gower's sum of dissimilarities, value by value; a gap costs 1 to fill, and none opens."""
    total = np.zeros((len(X), len(Y)))
    for i, (_, x) in enumerate(X.iterrows()):
        for k, (_, y) in enumerate(Y.iterrows()):
            for name in ["age", "pay", "size", "job", "flag"]:
                gaps = pd.isna(x[name]), pd.isna(y[name])
                if all(gaps):
                    continue
                if any(gaps):
                    difference = np.inf if gaps[1] else 1.0
                elif name in ("age", "pay"):
                    difference = abs(x[name] - y[name]) / ranges[name]
                elif name == "size":
                    difference = abs(SIZES.index(x[name]) - SIZES.index(y[name])) / 3
                else:
                    difference = float(x[name] != y[name])
                total[i, k] += weights.get(name, 1.0) * difference
            same_hue = x["hue_r"] == y["hue_r"] and x["hue_g"] == y["hue_g"]
            total[i, k] += weights.get("hue_g", 1.0) * (not same_hue)
    return total


@pytest.mark.parametrize("weights", [{}, {"age": 2.0, "job": 0.5, "size": 3.0, "hue_g": 4.0}])
def test_the_default_cost_is_gowers_sum(weights):
    X, Y = mixed(25, 0), mixed(20, 1)
    space = FeatureSpace(
        ordinal_features={"size": SIZES},
        onehot_groups=[["hue_r", "hue_g"]],
        feature_weights=weights,
    ).fit(X)
    ranges = {name: X[name].max() - X[name].min() for name in ("age", "pay")}
    np.testing.assert_allclose(
        space.pairwise_cost(X, Y), gower(X, Y, ranges, weights), rtol=1e-12, atol=1e-12
    )


def test_costs_by_hand():
    X = pd.DataFrame({"n": [0.0, 8.0], "job": ["a", "b"], "size": ["S", "L"]})
    space = FeatureSpace(ordinal_features={"size": SIZES}, feature_weights={"n": 4.0}).fit(X)
    x, y = X.iloc[[0]], pd.DataFrame({"n": [4.0], "job": ["b"], "size": ["M"]})
    assert space.cost(x, y) == pytest.approx(4 * 0.5 + 1 + 1 / 3)
    assert space.cost(x, y, metric="sqeuclidean") == pytest.approx(4 * 0.25 + 1 + 1 / 9)
    assert space.cost(x, y, metric="euclidean") == pytest.approx(np.sqrt(4 * 0.25 + 1 + 1 / 9))
    assert space.cost(x, y, exponent=2) == pytest.approx((4 * 0.5 + 1 + 1 / 3) ** 2)


def test_filling_a_gap_and_leaving_an_unseen_category_cost_one():
    seen = pd.DataFrame({"n": [0.0, 8.0], "job": ["a", "b"], "size": ["S", "L"]})
    space = FeatureSpace(ordinal_features={"size": SIZES}).fit(seen)
    x = pd.DataFrame({"n": [np.nan], "job": ["new"], "size": ["XXL"]})
    for name in x.columns:
        y = x.assign(**{name: seen[name].iloc[0]})
        assert space.cost(x, y).tolist() == [1.0]
        assert space.pairwise_cost(x, y).tolist() == [[1.0]]
    assert space.cost(x, x).tolist() == [0.0]


# ---------------------------------------------------------------- what a cost must be

POSITIVE = st.sampled_from([0.25, 1.0, 3.0])
FEATURES = st.tuples(
    QUARTERS, QUARTERS | st.just(np.nan), st.sampled_from("ab"), st.sampled_from(SIZES)
)
TABLE = pd.DataFrame(
    {"n": [0.0, 2.0, 5.0], "gaps": [1.0, np.nan, 4.0], "job": list("aba"), "size": SIZES[:3]}
)


def table(rows):
    return pd.DataFrame(rows, columns=TABLE.columns).astype(TABLE.dtypes.to_dict())


def fitted(**parameters):
    return FeatureSpace(ordinal_features={"size": SIZES}, **parameters).fit(TABLE)


@MANY
@given(
    st.lists(FEATURES, min_size=3, max_size=6),
    st.sampled_from(METRICS),
    st.sampled_from(SCALES),
    st.tuples(*[POSITIVE] * 4),
)
def test_costs_are_distances(rows, metric, scale, weights):
    """Of gaps only one thing can be asked: nothing moves into them."""
    X = table(rows)
    space = fitted(scale=scale, feature_weights=list(weights))
    D = space.pairwise_cost(X, X, metric=metric)
    assert not np.isnan(D).any()
    assert (D >= 0).all()
    gaps = X["gaps"].isna().to_numpy()
    opens = ~gaps[:, None] & gaps[None, :]
    np.testing.assert_array_equal(np.isinf(D), opens)
    finite = ~opens & ~opens.T
    np.testing.assert_allclose(D[finite], D.T[finite], rtol=1e-12)
    equal = [[X.iloc[[i]].equals(X.iloc[[k]].set_axis([i])) for k in X.index] for i in X.index]
    np.testing.assert_array_equal(D == 0, equal)
    if metric != "sqeuclidean":
        through = (D[:, :, None] + D[None, :, :]).min(axis=1)
        assert (through >= D - 1e-9 * (1 + D.max(initial=0, where=~opens))).all()


@MANY
@given(
    matrices(5),
    matrices(3),
    st.sampled_from(SCALES),
    st.sampled_from(METRICS),
    st.lists(st.sampled_from([-3.0, -0.5, 1.0, 1000.0]), min_size=3, max_size=3),
    st.lists(st.sampled_from([-7.0, 0.0, 100.0]), min_size=3, max_size=3),
)
def test_costs_do_not_depend_on_units(X, Y, scale, metric, factor, shift):
    assume((np.ptp(X, axis=0) > 0).all())  # a constant column has no unit but its own
    costs = FeatureSpace(scale=scale).fit(X).pairwise_cost(X, Y, metric=metric)
    X, Y = X * factor + shift, Y * factor + shift
    rescaled = FeatureSpace(scale=scale).fit(X).pairwise_cost(X, Y, metric=metric)
    np.testing.assert_allclose(rescaled, costs, rtol=1e-9, atol=1e-9)


@MANY
@given(
    st.lists(FEATURES, min_size=2, max_size=4),
    st.sampled_from(["cityblock", "sqeuclidean"]),
    *[st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=4, max_size=4)] * 2,
)
def test_costs_are_linear_in_the_weights(rows, metric, first, second):
    X = table(rows)
    weights = [np.array(first), np.array(second), 2 * np.array(first) + 3 * np.array(second)]
    a, b, both = (
        fitted(feature_weights=w).pairwise_cost(X, X, metric=metric).ravel() for w in weights
    )
    finite = np.isfinite(both)
    np.testing.assert_array_equal(np.isfinite(a), finite)
    np.testing.assert_allclose(both[finite], 2 * a[finite] + 3 * b[finite], rtol=1e-12)


@MANY
@given(matrices(3), matrices(3), st.sampled_from(METRICS), st.sampled_from([0.5, 2, 3.0]))
def test_the_exponent_is_a_power_of_the_whole(X, Y, metric, exponent):
    space = FeatureSpace().fit(X)
    plain = space.cost(X, Y, metric=metric)
    powered = space.cost(X, Y, metric=metric, exponent=exponent)
    np.testing.assert_allclose(powered, plain**exponent, rtol=1e-12)


@MANY
@given(matrices(3), matrices(3))
def test_the_metrics_agree_with_each_other(X, Y):
    space = FeatureSpace().fit(X)
    euclidean = space.cost(X, Y, metric="euclidean")
    np.testing.assert_allclose(
        space.cost(X, Y, metric="sqeuclidean"), euclidean**2, rtol=1e-9, atol=1e-300
    )
    np.testing.assert_allclose(
        space.cost(X, Y, metric="euclidean", exponent=2), euclidean**2, rtol=1e-9, atol=1e-300
    )
    city = space.cost(X, Y)
    slack = 1e-12 * city
    assert np.all(euclidean <= city + slack)
    assert np.all(city <= np.sqrt(3) * euclidean + slack)


@MANY
@given(st.lists(FEATURES, min_size=2, max_size=5), st.sampled_from(METRICS))
def test_the_features_shares_add_up_to_the_cost(rows, metric):
    X = table(rows)
    Y = X.iloc[::-1].reset_index(drop=True)
    space = fitted(feature_weights={"n": 2.0})
    shares = space.costs_.shares(space.transform(Y), space.transform(X), metric)
    total = np.sqrt(shares.sum(axis=1)) if metric == "euclidean" else shares.sum(axis=1)
    costs = space.cost(X, Y, metric=metric)
    finite = np.isfinite(costs)
    np.testing.assert_allclose(total[finite], costs[finite], rtol=1e-12)
    changed = X.ne(Y) & ~(X.isna() & Y.isna())
    np.testing.assert_array_equal(shares > 0, changed)


def test_a_weight_of_zero_makes_a_feature_free_not_allowed():
    X = np.array([[0.0, 0], [4, 4]])
    space = FeatureSpace(feature_weights=[0, 1], immutable_features=[0]).fit(X)
    assert space.cost(X, X[::-1]).tolist() == [np.inf, np.inf]
    assert space.cost(X, [[0, 4], [4, 4]]).tolist() == [1.0, 0.0]
    free = FeatureSpace(feature_weights=[0, 1]).fit(X)
    assert free.pairwise_cost(X, [[4, 0]]).ravel().tolist() == [0.0, 1.0]


def test_columns_that_are_the_same_everywhere_cost_nothing_but_are_checked():
    X = np.array([[7.0, 1], [7.0, 2]])
    space = FeatureSpace(permitted_range={0: (0, 5)}).fit(X)
    assert np.isinf(space.pairwise_cost(X, X)).all()
    assert np.isfinite(space.pairwise_cost(X, X - [[3, 0]])).all()
    missing = np.array([[np.nan, 1.0], [np.nan, 2.0]])
    space = FeatureSpace().fit(missing)
    assert space.pairwise_cost(missing, missing).tolist() == [[0, 1], [1, 0]]


def test_costs_do_not_depend_on_the_other_rows():
    """Constant columns are skipped, and which are constant depends on the batch."""
    X = mixed(12, 0)
    space = FeatureSpace(change_direction={"age": 1}, immutable_features=["flag"]).fit(X)
    whole = space.pairwise_cost(X, X)
    for i in range(len(X)):
        for k in range(len(X)):
            single = space.pairwise_cost(X.iloc[[i]], X.iloc[[k]])
            np.testing.assert_allclose(single, whole[i : i + 1, k : k + 1], rtol=1e-12)


def test_costs_of_lists_are_those_of_arrays():
    X = [[0.0, 1.0], [2.0, 5.0]]
    space = FeatureSpace().fit(X)
    assert space.pairwise_cost(X, X[:1]).tolist() == [[0.0], [2.0]]
    assert space.cost(X, X).tolist() == [0.0, 0.0]
