"""Categories on an axis: distances by hand, scaling by brute force, snapping by brute force."""

import itertools
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import mixed_population
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.manifold import smacof

from skcf import FeatureSpace
from skcf.datasets import fetch_adult
from skcf.prototype import _scaling
from skcf.prototype._axes import CategoricalAxes
from skcf.prototype._distances import abdm, mvdm
from skcf.prototype._scaling import embed_by_norm, embed_on_line, rank_correlation, stress

pd = pytest.importorskip("pandas")

seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=30, deadline=None, derandomize=True)


def random_table(seed, n_rows=60):
    """Three categorical features with gaps, one number with gaps; labels of three classes."""
    rng = np.random.default_rng(seed)
    n_categories = np.array([5, 3, 0, 4])
    Z = np.column_stack(
        [rng.integers(0, k, n_rows) if k else rng.normal(size=n_rows) for k in n_categories]
    )
    Z[rng.random(Z.shape) < 0.1] = np.nan
    Z[rng.random(n_rows) < 0.05, 0] = -3.0
    return Z, rng.integers(0, 3, n_rows), n_categories


def random_distances(seed, n, kind):
    rng = np.random.default_rng(seed)
    if kind == "noise":
        D = rng.random((n, n))
    elif kind == "space":
        points = rng.normal(size=(n, 3))
        D = np.linalg.norm(points[:, None] - points, axis=2)
    else:
        places = rng.normal(size=n)
        D = np.abs(places[:, None] - places) * np.exp(0.4 * rng.normal(size=(n, n)))
    D = np.triu(D, 1)
    return D + D.T


kinds = st.sampled_from(["noise", "space", "line"])


def on_line(places):
    places = np.asarray(places, dtype=float)
    return np.abs(places[:, None] - places)


def squares(D, x):
    """Raw stress: the sum of squares that scaling makes least."""
    return np.square(D - on_line(x)).sum() / 2


def assert_is_distance(D, n):
    assert D.shape == (n, n)
    assert np.isfinite(D).all()
    assert (D >= 0).all()
    np.testing.assert_array_equal(D, D.T)
    np.testing.assert_array_equal(np.diag(D), 0.0)


# ----------------------------------------------------------------------------------------- MVDM


def test_mvdm_by_hand():
    """Shares of class 0, 1, 2: (1/2, 1/2, 0), (0, 1/4, 3/4), (1, 0, 0)."""
    codes = np.array([0, 0, 1, 1, 1, 1, 2], dtype=float)
    labels = np.array([0, 1, 1, 2, 2, 2, 0])
    expected = np.array([[0, 1.5, 1.0], [1.5, 0, 2.0], [1.0, 2.0, 0]])
    np.testing.assert_allclose(mvdm(codes, labels, 3, 3), expected)
    squared = np.array([[0, 0.875, 0.5], [0.875, 0, 1.625], [0.5, 1.625, 0]])
    np.testing.assert_allclose(mvdm(codes, labels, 3, 3, alpha=2.0), squared)


def test_mvdm_leaves_out_codes_that_are_no_category():
    codes = np.array([0, np.nan, 1, -1, -3, 1, 0], dtype=float)
    labels = np.array([0, 1, 1, 1, 0, 0, 0])
    kept = codes >= 0
    expected = mvdm(codes[kept], labels[kept], 2, 2)
    np.testing.assert_array_equal(mvdm(codes, labels, 2, 2), expected)
    np.testing.assert_allclose(expected[0, 1], 1.0)  # |1 - 1/2| + |0 - 1/2|


def test_mvdm_puts_a_category_without_rows_in_the_middle():
    """Shares of class 1: 0 of 3, 1 of 1; all rows: 1/4."""
    D = mvdm(np.array([0.0, 0, 0, 1]), np.array([0, 0, 0, 1]), 3, 2)
    np.testing.assert_allclose(D[2], [0.5, 1.5, 0.0])
    np.testing.assert_array_equal(mvdm(np.full(2, np.nan), np.array([0, 1]), 3, 2), 0.0)


@quick
@given(seed=seeds, alpha=st.sampled_from([0.5, 1.0, 2.0]))
def test_mvdm_is_a_distance_that_depends_on_shares_alone(seed, alpha):
    Z, labels, _ = random_table(seed)
    codes, rng = Z[:, 0], np.random.default_rng(seed)
    D = mvdm(codes, labels, 5, 3, alpha)
    assert_is_distance(D, 5)
    assert D.max() <= 2 * (1.5 if alpha < 1 else 1)
    rows = rng.permutation(len(codes))
    np.testing.assert_array_equal(mvdm(codes[rows], labels[rows], 5, 3, alpha), D)
    np.testing.assert_allclose(mvdm(np.tile(codes, 3), np.tile(labels, 3), 5, 3, alpha), D)
    new = rng.permutation(5)
    renamed = np.where(codes >= 0, new[np.where(codes >= 0, codes, 0).astype(int)], codes)
    np.testing.assert_array_equal(mvdm(renamed, labels, 5, 3, alpha)[np.ix_(new, new)], D)
    classes = rng.permutation(3)
    np.testing.assert_allclose(mvdm(codes, classes[labels], 5, 3, alpha), D, atol=1e-15)


@quick
@given(seed=seeds)
def test_mvdm_of_weighted_rows_is_that_of_repeated_rows(seed):
    Z, labels, _ = random_table(seed)
    times = np.random.default_rng(seed).integers(0, 4, len(Z))
    repeated = mvdm(np.repeat(Z[:, 0], times), np.repeat(labels, times), 5, 3)
    weighted = mvdm(Z[:, 0], labels, 5, 3, sample_weight=times.astype(float))
    np.testing.assert_allclose(weighted, repeated, atol=1e-14)


@pytest.mark.parametrize("alpha", [0, -1.0, np.inf, np.nan])
def test_mvdm_says_what_alpha_may_be(alpha):
    with pytest.raises(ValueError, match="alpha must be a number above 0"):
        mvdm(np.zeros(2), np.zeros(2, dtype=int), 1, 1, alpha)


# ----------------------------------------------------------------------------------------- ABDM


def test_abdm_by_hand():
    """p(x2 = 0 | v) is 3/4, 1/4 and 2/4, in 4 rows each; the mean is 1/2, as smoothing keeps it."""
    Z = np.array([[0, 0]] * 3 + [[0, 1]] + [[1, 0]] + [[1, 1]] * 3 + [[2, 0]] * 2 + [[2, 1]] * 2)
    D = abdm(Z.astype(float), [3, 2], smoothing=4.0)[0]
    p, q, r = 5 / 8, 3 / 8, 4 / 8  # (3 + 4 / 2) / (4 + 4), ...
    assert D[0, 1] == pytest.approx(2 * (p - q) * np.log(p / q))
    expected = (p - r) * np.log(p / r) + (r - p) * np.log((1 - p) / (1 - r))
    assert D[0, 2] == pytest.approx(expected)
    assert D[1, 2] == pytest.approx(expected)


def test_abdm_bins_numbers_by_quantiles_and_gives_gaps_a_bin():
    """With two bins: the median and what is below, what is above, and nothing."""
    numbers = np.array([1.0, 2, 3, 4, 5, 6, np.nan, np.nan])
    category = np.array([0.0, 1, 0, 1, 0, 1, 1, 1])
    binned = np.array([0.0, 0, 0, 1, 1, 1, 2, 2])
    by_numbers = abdm(np.column_stack([category, numbers]), [2, 0], n_bins=2)
    by_bins = abdm(np.column_stack([category, binned]), [2, 3])
    assert list(by_numbers) == [0]
    np.testing.assert_allclose(by_numbers[0], by_bins[0])
    gaps = np.where(binned == 2, np.nan, binned)
    np.testing.assert_allclose(abdm(np.column_stack([category, gaps]), [2, 2])[0], by_bins[0])
    foreign = np.where(binned == 2, -3.0, binned)
    np.testing.assert_allclose(abdm(np.column_stack([category, foreign]), [2, 2])[0], by_bins[0])


def abdm_by_loops(Z, feature, n_categories, n_bins, smoothing):
    """Equation 18 as it is written, over rows, values and both directions of the divergence."""
    k, total = n_categories[feature], 0.0
    rows = [[z for z in Z if z[feature] == v] for v in range(k)]
    for j in range(Z.shape[1]):
        if j == feature:
            continue
        known = np.sort(Z[~np.isnan(Z[:, j]), j])
        # the smallest value that at least i / n_bins of the rows do not exceed
        edges = [known[-(-i * len(known) // n_bins) - 1] for i in range(1, n_bins)]

        def value(z, j=j, edges=edges):
            if np.isnan(z[j]) or (n_categories[j] and z[j] < 0):
                return "missing"
            return z[j] if n_categories[j] else len({e for e in edges if e < z[j]})

        everyone = [value(z) for some in rows for z in some]
        levels = sorted(set(everyone), key=str)
        mean = [everyone.count(x) / len(everyone) for x in levels]
        p = np.array(
            [
                [
                    ([value(z) for z in some].count(x) + smoothing * m) / (len(some) + smoothing)
                    for x, m in zip(levels, mean, strict=True)
                ]
                for some in rows
            ]
        )
        forward = (p[:, None] * np.log(p[:, None] / p)).sum(axis=2)
        total = total + forward + forward.T
    return total


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=seeds, smoothing=st.sampled_from([0.1, 1.0, 5.0]))
def test_abdm_of_all_features_at_once_is_that_of_loops(seed, smoothing):
    Z, _, n_categories = random_table(seed)
    together = abdm(Z, n_categories, n_bins=4, smoothing=smoothing)
    assert sorted(together) == [0, 1, 3]
    for j, D in together.items():
        np.testing.assert_allclose(
            D, abdm_by_loops(Z, j, n_categories, 4, smoothing), atol=1e-12, rtol=1e-9
        )
    alone = abdm(Z, n_categories, features=[1], n_bins=4, smoothing=smoothing)
    np.testing.assert_array_equal(alone[1], together[1])


@quick
@given(seed=seeds, smoothing=st.sampled_from([1e-6, 1.0, 10.0]))
def test_abdm_is_a_distance_that_depends_on_shares_alone(seed, smoothing):
    Z, _, n_categories = random_table(seed)
    rng = np.random.default_rng(seed)
    D = abdm(Z, n_categories, smoothing=smoothing)
    for j, distances in D.items():
        assert_is_distance(distances, n_categories[j])
    shuffled = abdm(Z[rng.permutation(len(Z))], n_categories, smoothing=smoothing)
    tripled = abdm(np.tile(Z, (3, 1)), n_categories, smoothing=3 * smoothing)
    new, renamed, known = rng.permutation(5), Z.copy(), Z[:, 0] >= 0
    renamed[known, 0] = new[Z[known, 0].astype(int)]
    renamed = abdm(renamed, n_categories, smoothing=smoothing)
    renamed[0] = renamed[0][np.ix_(new, new)]
    for j in D:
        for same in (shuffled, tripled, renamed):
            np.testing.assert_allclose(same[j], D[j], rtol=1e-9, atol=1e-12)


@quick
@given(seed=seeds)
def test_abdm_of_weighted_rows_is_that_of_repeated_rows(seed):
    Z, _, n_categories = random_table(seed)
    times = np.random.default_rng(seed).integers(0, 4, len(Z))
    repeated = abdm(np.repeat(Z, times, axis=0), n_categories, n_bins=4)
    weighted = abdm(Z, n_categories, n_bins=4, sample_weight=times.astype(float))
    for j in repeated:
        np.testing.assert_allclose(weighted[j], repeated[j], rtol=1e-9, atol=1e-12)


def test_abdm_puts_a_category_without_rows_in_the_middle():
    """It has the distribution of all rows, so it is as far from both of two mirror images."""
    Z = np.array([[0, 0]] * 3 + [[0, 1]] + [[1, 0]] + [[1, 1]] * 3, dtype=float)
    D = abdm(Z, [3, 2])[0]
    assert 0 < D[2, 0] < D[0, 1]
    assert D[2, 0] == pytest.approx(D[2, 1])


def test_abdm_without_another_feature_or_value_is_zero():
    np.testing.assert_array_equal(abdm(np.array([[0.0], [1.0]]), [2])[0], 0.0)
    Z = np.array([[0.0, np.nan], [1.0, np.nan]])
    np.testing.assert_array_equal(abdm(Z, [2, 0])[0], 0.0)
    np.testing.assert_array_equal(abdm(Z[:, ::-1], [3, 2])[0], 0.0)


def test_abdm_says_what_its_parameters_may_be():
    Z = np.zeros((2, 2))
    with pytest.raises(ValueError, match="smoothing must be a number above 0"):
        abdm(Z, [1, 1], smoothing=0)
    with pytest.raises(ValueError, match="n_bins must be at least 2"):
        abdm(Z, [1, 1], n_bins=1)


# -------------------------------------------------------------------------------------- scaling


@quick
@given(seed=seeds, n=st.integers(1, 20))
def test_points_on_a_line_are_recovered(seed, n):
    places = np.random.default_rng(seed).normal(size=n)
    D = on_line(places)
    x = embed_on_line(D)
    np.testing.assert_allclose(on_line(x), D, atol=1e-12)
    assert stress(D, x) < 1e-12
    assert rank_correlation(D, x) == pytest.approx(1.0)
    by_norm = embed_by_norm(D)
    np.testing.assert_allclose(on_line(by_norm), D, atol=1e-6)
    assert by_norm.min() == 0


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=seeds, n=st.integers(2, 6), kind=kinds)
def test_no_order_of_few_categories_is_better(seed, n, kind):
    """In each order, nonnegative gaps are the solution of a nonnegative least squares problem."""
    from scipy.optimize import nnls

    D = random_distances(seed, n, kind)
    i, j = np.triu_indices(n, 1)
    between = ((i[:, None] <= np.arange(n - 1)) & (np.arange(n - 1) < j[:, None])).astype(float)
    orders = (list(order) for order in itertools.permutations(range(n)) if order[0] <= order[-1])
    best = min(nnls(between, D[np.ix_(order, order)][i, j])[1] ** 2 for order in orders)
    assert squares(D, embed_on_line(D)) == pytest.approx(best, abs=1e-12)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=seeds, n=st.sampled_from([7, 12, 18, 24]), kind=kinds)
def test_no_worse_than_scikit_learn(seed, n, kind):
    D = random_distances(seed, n, kind)
    options = {"n_init": 4, "random_state": 0, "normalized_stress": False, "metric": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        one, _ = smacof(D, n_components=1, max_iter=300, eps=1e-6, **options)
        two, _ = smacof(D, n_components=2, max_iter=300, eps=1e-6, **options)
    assert squares(D, embed_on_line(D)) <= squares(D, one[:, 0]) + 1e-9
    ours = _scaling._in_the_plane(D)
    apart = [np.linalg.norm(p[:, None] - p, axis=2) for p in (ours, two)]
    mine, theirs = (np.square(D - a).sum() for a in apart)
    assert mine <= 1.02 * theirs + 1e-9


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=seeds, kind=kinds)
def test_local_search_comes_close_to_the_best_order(seed, kind):
    D = random_distances(seed, 10, kind)
    best, found = _scaling._best_order(D), _scaling._searched_order(D)
    assert sorted(found) == list(range(10))
    value = [np.square(_scaling._pulls(D, order)).sum() for order in (best, found)]
    assert 0.99 * value[0] <= value[1] <= value[0] * (1 + 1e-12)


@quick
@given(seed=seeds, n=st.sampled_from([2, 5, 8, 18]), kind=kinds)
def test_local_search_leaves_no_move_that_helps(seed, n, kind):
    """The positions are in the order that they were made for, and no single move is better."""
    D = random_distances(seed, n, kind)
    order = list(_scaling._improved(D, np.random.default_rng(seed).permutation(n)))
    pulls = _scaling._pulls(D, np.array(order))
    assert (np.diff(pulls) >= -1e-9).all()
    for i, j in itertools.product(range(n), repeat=2):
        other = order[:i] + order[i + 1 :]
        other.insert(j, order[i])
        value = np.square(_scaling._pulls(D, np.array(other))).sum()
        assert value <= np.square(pulls).sum() + 1e-6


@quick
@given(seed=seeds, n=st.integers(2, 7))
def test_a_move_gains_what_it_is_said_to_gain(seed, n):
    D, rng = random_distances(seed, n, "noise"), np.random.default_rng(seed)
    order = rng.permutation(n)
    pulls = _scaling._pulls(D, order)
    for place in range(n):
        row = D[order[place], order]
        target, gain = _scaling._best_place(row, pulls, place)
        values = []
        for other in range(n):
            moved, updated = _scaling._moved(order, pulls, row, place, other)
            np.testing.assert_allclose(updated, _scaling._pulls(D, moved), atol=1e-12)
            values.append(np.square(updated).sum())
        assert values[target] == pytest.approx(max(values))
        assert gain == pytest.approx(max(values) - np.square(pulls).sum(), abs=1e-9)


@quick
@given(seed=seeds, n=st.sampled_from([2, 3, 6, 9, 18]), kind=kinds)
@pytest.mark.parametrize("embed", [embed_on_line, embed_by_norm])
def test_axis_does_not_depend_on_the_order_of_the_categories(embed, seed, n, kind):
    D, rng = random_distances(seed, n, kind), np.random.default_rng(seed)
    key = rng.integers(0, 3, n).astype(float)
    shuffle = rng.permutation(n)
    x, y = embed(D, (key,)), embed(D[np.ix_(shuffle, shuffle)], (key[shuffle],))
    if n == 2 and key[0] == key[1]:
        x, y = np.sort(x), np.sort(y)  # nothing tells the two apart
        shuffle = np.arange(n)
    np.testing.assert_array_equal(y, x[shuffle])


def test_the_positive_end_is_settled():
    D = on_line([0.0, 1.0, 5.0])
    np.testing.assert_allclose(embed_on_line(D), [-2, -1, 3])  # what reaches farther out
    key = np.array([2.0, 1.0, 0.0])
    np.testing.assert_allclose(embed_on_line(D, (key,)), [2, 1, -3])
    np.testing.assert_allclose(embed_on_line(D, (np.ones(3), key)), [2, 1, -3])
    even = on_line([0.0, 1.0, 2.0])
    np.testing.assert_allclose(np.sort(embed_on_line(even)), [-1, 0, 1])
    np.testing.assert_allclose(embed_on_line(even, (key,)), [1, 0, -1])


def test_norms_start_at_the_outermost_category():
    """A kite: the far tip is the origin, and positions are distances from it."""
    points = np.array([[0.0, 0.0], [4.0, 1.0], [4.0, -1.0], [5.0, 0.0]])
    D = np.linalg.norm(points[:, None] - points, axis=2)
    np.testing.assert_allclose(embed_by_norm(D), D[0], atol=1e-6)


@pytest.mark.parametrize("embed", [embed_on_line, embed_by_norm])
def test_small_and_empty_matrices(embed):
    assert embed(np.zeros((0, 0))).shape == (0,)
    np.testing.assert_array_equal(embed(np.zeros((1, 1))), [0.0])
    np.testing.assert_allclose(np.ptp(embed(on_line([0.0, 3.0]))), 3.0)
    np.testing.assert_array_equal(embed(np.zeros((4, 4))), 0.0)
    np.testing.assert_array_equal(embed(np.zeros((20, 20))), 0.0)


@pytest.mark.parametrize("embed", [embed_on_line, embed_by_norm])
def test_matrices_that_are_no_distances_are_refused(embed):
    with pytest.raises(ValueError, match="square matrix"):
        embed(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite and not negative"):
        embed(np.array([[0.0, np.nan], [np.nan, 0.0]]))
    with pytest.raises(ValueError, match="finite and not negative"):
        embed(np.array([[0.0, -1.0], [-1.0, 0.0]]))
    with pytest.raises(ValueError, match="symmetric"):
        embed(np.array([[0.0, 1.0], [2.0, 0.0]]))
    with pytest.raises(ValueError, match="diagonal of 0"):
        embed(np.ones((2, 2)))


@quick
@given(seed=seeds, n=st.integers(3, 9), kind=kinds)
def test_quality_is_that_of_the_definitions(seed, n, kind):
    D = random_distances(seed, n, kind)
    x = embed_on_line(D)
    i, j = np.triu_indices(n, 1)
    assert rank_correlation(D, x) == pytest.approx(spearmanr(D[i, j], on_line(x)[i, j])[0])
    # at the least squares solution the best factor is 1
    assert stress(D, x) == pytest.approx(np.sqrt(squares(D, x) / np.square(D[i, j]).sum()))
    assert stress(7 * D, 3 * x + 1) == pytest.approx(stress(D, x))
    factors = np.linspace(0.5, 1.5, 11)
    least = min(np.sqrt(squares(D, f * x) / np.square(D[i, j]).sum()) for f in factors)
    assert stress(D, x) <= least + 1e-12


def test_quality_where_there_is_nothing_to_rank():
    assert rank_correlation(on_line([0.0, 1.0]), np.array([0.0, 1.0])) == 1.0
    assert rank_correlation(1 - np.eye(4), np.arange(4.0)) == 0.0
    assert rank_correlation(on_line([0.0, 1.0, 3.0]), np.zeros(3)) == 0.0
    assert stress(np.zeros((3, 3)), np.arange(3.0)) == 0.0
    assert stress(on_line([0.0, 1.0, 3.0]), np.zeros(3)) == 1.0
    # three equal distances on a line: gaps of 2/3, 2/3, 4/3
    assert stress(1 - np.eye(3), np.arange(3.0)) == pytest.approx(1 / 3)


# ----------------------------------------------------------------------------------------- axes


def people(seed=0):
    """Encoded rows of a mixed population with gaps and an order, their classes, and the space."""
    X, y = mixed_population(300, seed)
    X["size"] = np.random.default_rng(seed).choice(["S", "M", "L"], len(X))
    space = FeatureSpace(ordinal_features={"size": ["S", "M", "L", "XL"]}).fit(X)
    return space.transform(X), (y == "yes").astype(int), space


@pytest.fixture(params=["mvdm", "abdm"])
def axes(request):
    Z, labels, space = people()
    return CategoricalAxes(space, Z, labels, categorical_distance=request.param)


def test_each_axis_is_as_long_as_a_change_of_category_costs(axes):
    assert axes.nominal == [3, 4, 5]
    assert sorted(axes.positions) == sorted(axes.stress) == sorted(axes.rank_correlation)
    for positions in axes.positions.values():
        assert positions.min() == 0
        assert positions.max() == 1


def test_distances_are_those_of_the_functions():
    Z, labels, space = people()
    n_categories = [0, 0, 0, 4, 2, 2, 4]
    by_labels = CategoricalAxes(space, Z, labels, alpha=0.7).distances
    np.testing.assert_array_equal(by_labels[3], mvdm(Z[:, 3], labels, 4, 2, 0.7))
    by_context = CategoricalAxes(
        space, Z, labels, categorical_distance="abdm", n_bins=4, smoothing=2.0
    ).distances
    expected = abdm(Z, n_categories, [3, 4, 5], 4, 2.0)
    for j in (3, 4, 5):
        np.testing.assert_array_equal(by_context[j], expected[j])


def test_quality_is_that_of_the_final_positions(axes):
    for j, positions in axes.positions.items():
        assert axes.stress[j] == stress(axes.distances[j], positions)
        assert axes.rank_correlation[j] == rank_correlation(axes.distances[j], positions)


@pytest.mark.parametrize("distance", ["mvdm", "abdm"])
def test_axes_point_to_the_higher_class(distance):
    Z, labels, space = people()
    axes = CategoricalAxes(space, Z, labels, categorical_distance=distance)
    for j, positions in axes.positions.items():
        rate = [labels[Z[:, j] == v].mean() for v in range(len(positions))]
        assert np.cov(rate, positions)[0, 1] > 0


def test_axes_of_weighted_rows_are_those_of_repeated_rows():
    Z, labels, space = people()
    times = np.random.default_rng(1).integers(0, 3, len(Z))
    for options in ({}, {"categorical_distance": "abdm"}, {"scaling": "standard"}):
        repeated = CategoricalAxes(
            space, np.repeat(Z, times, axis=0), np.repeat(labels, times), **options
        )
        weighted = CategoricalAxes(space, Z, labels, sample_weight=times.astype(float), **options)
        for j in repeated.positions:
            np.testing.assert_allclose(weighted.positions[j], repeated.positions[j], atol=1e-9)


@pytest.mark.parametrize("embedding", ["line", "norm"])
@pytest.mark.parametrize("distance", ["mvdm", "abdm"])
def test_axes_do_not_depend_on_the_categories_names(distance, embedding):
    rng = np.random.default_rng(0)
    job = rng.choice(list("abcdefg"), 200)
    pay = rng.normal(size=200) + 0.5 * (job > "c")
    labels = (pay + rng.normal(size=200) > 0).astype(int)
    new = dict(zip("abcdefg", "gcaebfd", strict=True))

    def positions(names):
        X = pd.DataFrame({"job": names, "pay": pay})
        space = FeatureSpace().fit(X)
        options = {"categorical_distance": distance, "embedding": embedding}
        axis = CategoricalAxes(space, space.transform(X), labels, **options).positions[0]
        return dict(zip(space.categories_["job"], axis, strict=True))

    before, after = positions(job), positions([new[name] for name in job])
    assert {new[name]: place for name, place in before.items()} == pytest.approx(after)


def test_standard_scaling_is_that_of_the_column():
    Z, labels, space = people()
    axes = CategoricalAxes(space, Z, labels, scaling="standard")
    U = axes.place(Z)
    np.testing.assert_allclose(np.nanmean(U[:, [3, 4, 5]], axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(U[:, [3, 4, 5]], axis=0), 1)


@pytest.mark.parametrize("least_gap", [0.0, 0.1, 0.5, 1.0])
def test_neighbours_are_a_least_gap_apart(least_gap):
    """Class shares 0, 0.001, 0.5, 1: the first two are nearly one."""
    job = np.repeat(np.arange(4.0), 1000)
    labels = np.concatenate([np.arange(1000) < k for k in (0, 1, 500, 1000)]).astype(int)
    axis = axis_of(job, labels, least_gap=least_gap)
    np.testing.assert_allclose(axis[[0, 3]], [0, 1])
    gaps = np.diff(axis)
    assert (gaps >= least_gap / 3 - 1e-12).all()
    if least_gap == 0:
        np.testing.assert_allclose(axis, [0, 0.001, 0.5, 1])
    elif least_gap < 1:
        assert gaps[0] == pytest.approx(least_gap / 3)
        # what is above the least gap shrinks by one factor
        excess = gaps[1:] - least_gap / 3
        before = np.array([0.499, 0.5]) - least_gap / 3
        np.testing.assert_allclose(excess / before, (excess / before)[0])
    else:
        np.testing.assert_allclose(gaps, 1 / 3)


def axis_of(codes, labels, **options):
    """The axis of one categorical column."""
    X = pd.DataFrame({"job": [f"job {int(code)}" for code in codes]})
    space = FeatureSpace().fit(X)
    return CategoricalAxes(space, space.transform(X), labels, **options).positions[0]


def test_an_axis_with_wide_gaps_is_left_as_it_is():
    codes = np.repeat(np.arange(3.0), 10)
    labels = np.concatenate([np.arange(10) < k for k in (0, 3, 10)]).astype(int)
    np.testing.assert_allclose(axis_of(codes, labels), [0, 0.3, 1])


def test_categories_that_the_distances_cannot_tell_apart_are_evenly_placed():
    """By their number, and by their code where that is equal too."""
    codes = np.repeat([0.0, 1.0, 2.0], [6, 2, 4])
    labels = np.tile([0, 1], 6)
    np.testing.assert_allclose(axis_of(codes, labels), [1, 0, 0.5])
    np.testing.assert_allclose(axis_of(np.repeat([0.0, 1.0], 4), np.tile([0, 1], 4)), [0, 1])
    np.testing.assert_array_equal(axis_of(np.zeros(3), np.array([0, 1, 1])), [0.0])


def test_place_divides_numbers_and_orders_by_their_scales(axes):
    Z, _, space = people()
    U = axes.place(Z)
    for j in (0, 1, 2, 6):
        np.testing.assert_array_equal(U[:, j], Z[:, j] / space.scale_[j])
    assert np.nanmax(U[:, 6]) == pytest.approx(2 / 3)  # S, M, L of four
    for row, u in zip(Z, U, strict=True):
        for j in (3, 4, 5):
            known = not np.isnan(row[j])
            assert u[j] == axes.positions[j][int(row[j])] if known else np.isnan(u[j])


def test_codes_that_are_no_category_have_no_place(axes):
    Z, _, _ = people()
    odd = Z[:4].copy()
    odd[:, [3, 6]] = np.array([[-1.0], [-3.0], [np.nan], [-2.0]])
    assert np.isnan(axes.place(odd)[:, [3, 6]]).all()


@pytest.mark.parametrize("embedding", ["line", "norm"])
@pytest.mark.parametrize("scaling", ["minmax", "standard"])
def test_snapping_takes_places_back_to_rows(scaling, embedding):
    Z, labels, space = people()
    axes = CategoricalAxes(space, Z, labels, scaling=scaling, embedding=embedding)
    Z[:5, 3] = [-1, -3, -4, np.nan, -2]
    Z[:2, 6] = [-1, np.nan]
    U = axes.place(Z)
    copies = Z.copy(), U.copy()
    np.testing.assert_array_equal(axes.snap(U, Z, U), Z)
    # onto other rows: the values at their places, and what has no place stays
    others = np.roll(np.arange(len(Z)), 7)
    snapped = axes.snap(U[others], Z, U)
    expected = np.where(np.isnan(U[others]), Z, Z[others])
    np.testing.assert_allclose(snapped, expected, rtol=1e-12)
    np.testing.assert_array_equal(snapped[:, 3:], expected[:, 3:])
    np.testing.assert_array_equal((Z, U), copies)  # neither is written to


@quick
@given(seed=seeds, scale=st.sampled_from([0.3, 2.0]))
def test_snapping_finds_the_nearest_by_brute_force(seed, scale):
    Z, labels, space = people()
    axes = CategoricalAxes(space, Z, labels)
    rng = np.random.default_rng(seed)
    Z = Z[rng.integers(0, len(Z), 20)]
    U0 = axes.place(Z)
    U = U0 + scale * rng.normal(size=U0.shape)
    snapped = axes.snap(U, Z, U0)
    places = {**axes.positions, 6: np.arange(4) / 3}
    for j, at in places.items():
        nearest = [np.argmin(np.abs(at - u)) if u == u else np.nan for u in U[:, j]]
        expected = np.where(np.isnan(nearest), Z[:, j], nearest)
        np.testing.assert_array_equal(snapped[:, j], expected)
    for j in (0, 1, 2):
        moved = ~np.isnan(U[:, j])
        np.testing.assert_array_equal(snapped[moved, j], U[moved, j] * space.scale_[j])


def test_snapping_takes_the_lower_code_in_a_tie():
    codes = np.repeat([0.0, 1.0, 2.0], 4)
    labels = np.concatenate([np.arange(4) < k for k in (4, 0, 2)]).astype(int)
    X = pd.DataFrame({"job": [f"job {int(c)}" for c in codes], "size": np.tile(["a", "b"], 6)})
    space = FeatureSpace(ordinal_features={"size": ["a", "b", "c"]}).fit(X)
    Z = space.transform(X)
    axes = CategoricalAxes(space, Z, labels)
    np.testing.assert_array_equal(axes.positions[0], [1, 0, 0.5])
    U = np.array([[0.25, 0.25], [0.75, 0.75], [-9.0, -9.0], [9.0, 9.0]])
    Z0 = np.full((4, 2), -1.0)
    snapped = axes.snap(U, Z0, axes.place(Z0))
    np.testing.assert_array_equal(snapped, [[1, 0], [0, 1], [1, 0], [0, 2]])


def test_equal_places_are_read_as_the_lower_code():
    codes, labels = np.repeat([0.0, 1.0, 2.0], 4), np.tile([1, 0, 0, 0], 3)
    labels[8:] = 1
    X = pd.DataFrame({"job": [f"job {int(c)}" for c in codes]})
    space = FeatureSpace().fit(X)
    Z = space.transform(X)
    axes = CategoricalAxes(space, Z, labels, least_gap=0.0)
    np.testing.assert_allclose(axes.positions[0], [0, 0, 1], atol=1e-12)
    U = np.array([[0.1], [0.9]])
    np.testing.assert_array_equal(axes.snap(U, Z[:2], axes.place(Z[:2])), [[0], [2]])


def test_a_bad_axis_is_warned_about_once():
    """Five classes, each in one category: all distances are equal, and no line shows that."""
    X = pd.DataFrame({"job": list("abcde") * 4, "city": list("vwxyz") * 4, "sex": ["f", "m"] * 10})
    labels = np.tile(np.arange(5), 4)
    space = FeatureSpace().fit(X)
    Z = space.transform(X)
    with pytest.warns(UserWarning, match=r"'job': .*'city': .*categorical_distance") as record:
        axes = CategoricalAxes(space, Z, labels)
    assert len(record) == 1
    assert "sex" not in str(record[0].message)
    assert axes.rank_correlation[0] == 0.0
    with pytest.warns(UserWarning, match='embedding="line"'):
        CategoricalAxes(space, Z, labels, embedding="norm")
    CategoricalAxes(space, Z, labels, min_rank_correlation=-1)  # no warning: it would be an error


def test_the_warning_advises_what_there_is():
    with pytest.warns(UserWarning, match="says little.$"):  # ABDM has no other feature to go by
        axis_of(np.arange(5.0), np.arange(5))


def test_three_equally_different_categories_are_no_reason_to_warn():
    axis = axis_of(np.arange(9.0) % 3, np.arange(9) % 3)
    np.testing.assert_allclose(np.sort(axis), [0, 0.5, 1])


def test_features_without_a_category_keep_what_they_have():
    X = pd.DataFrame({"job": pd.Series([None] * 3, dtype="category"), "age": [1.0, 2.0, 4.0]})
    space = FeatureSpace().fit(X)
    Z = space.transform(X)
    axes = CategoricalAxes(space, Z, np.array([0, 1, 1]))
    assert axes.positions[0].shape == (0,)
    U = axes.place(Z)
    moved = U.copy()
    moved[:, 0] = 0.5
    np.testing.assert_array_equal(axes.snap(moved, Z, U), Z)


def test_rows_without_categories_are_scaled_numbers():
    X = np.random.default_rng(0).normal(size=(10, 2))
    space = FeatureSpace().fit(X)
    axes = CategoricalAxes(space, X, np.zeros(10, dtype=int), categorical_distance="abdm")
    assert axes.positions == {}
    np.testing.assert_array_equal(axes.place(X), X / space.scale_)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"categorical_distance": "hamming"}, "categorical_distance must be one of"),
        ({"embedding": "plane"}, "embedding must be one of"),
        ({"scaling": "range"}, "scaling must be one of"),
        ({"least_gap": 1.5}, "least_gap must be from 0 to 1"),
        ({"categorical_distance": "abdm"}, "'job' is the only one"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        axis_of(np.array([0.0, 1.0]), np.array([0, 1]), **options)


@pytest.fixture(scope="module")
def census():
    """All of Adult without the column that gives education's order away; the years at school."""
    folder = os.environ.get("SKCF_DATA")
    if folder is None or not (Path(folder) / "adult.csv.gz").exists():
        pytest.skip("SKCF_DATA names no folder with adult.csv.gz")
    X, y, _ = fetch_adult()
    years = X.groupby("education")["education_num"].first()
    X = X.drop(columns="education_num")
    space = FeatureSpace().fit(X)
    return space, space.transform(X), (y == ">50K").to_numpy().astype(int), years


@pytest.mark.parametrize("embedding", ["line", "norm"])
@pytest.mark.parametrize("distance", ["mvdm", "abdm"])
def test_education_is_in_the_order_of_years_at_school(census, distance, embedding):
    space, Z, labels, years = census
    axes = CategoricalAxes(space, Z, labels, categorical_distance=distance, embedding=embedding)
    j = axes.names.index("education")
    expected = years.loc[space.categories_["education"]]
    agreement = spearmanr(axes.positions[j], expected)[0]
    assert (agreement if embedding == "line" else -agreement) > 0.93  # norms start at the doctors
    assert axes.rank_correlation[j] > 0.9
    assert axes.stress[j] < 0.2
