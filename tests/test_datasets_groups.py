"""Groups whose causes, or whose differences, are known."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from skcf.datasets import make_causal_groups, make_modified_group

N = 20_000
RARE = 1e-4
"""Two dozen tests of what is drawn: one in four hundred seeds fails some."""

DATA = Path(os.environ.get("SKCF_DATA", "nowhere"))


@pytest.fixture(scope="module")
def causal():
    return make_causal_groups(N, random_state=0)


def test_x4_is_x1_and_a_little_noise(causal):
    X, _ = causal
    model = LinearRegression().fit(X[["x1", "x2", "x3"]], X["x4"])
    error = 0.05 / np.sqrt(N * X["x1"].var())
    assert abs(model.coef_[0] - 1) < 4 * error
    assert np.abs(model.coef_[1:]).max() < 0.01
    residual = X["x4"] - X["x1"]
    assert residual.std() == pytest.approx(0.05, rel=0.03)
    assert abs(residual.mean()) < 4 * 0.05 / np.sqrt(N)


def test_given_x1_the_groups_tell_nothing_of_x4(causal):
    X, groups = causal
    residual = X["x4"] - X["x1"]
    by_group = [residual[groups == group] for group in range(4)]
    assert stats.kruskal(*by_group).pvalue > RARE


def test_x3_is_unrelated_to_everything(causal):
    X, groups = causal
    assert stats.kstest(X["x3"], stats.norm(0, 0.5).cdf).pvalue > RARE
    others = X[["x1", "x2", "x4"]].corrwith(X["x3"])
    assert np.abs(others).max() < 4 / np.sqrt(N)
    assert stats.kruskal(*(X["x3"][groups == g] for g in range(4))).pvalue > RARE


@pytest.mark.parametrize("group", range(4))
def test_causes_are_normal_around_the_centre_of_a_group(causal, group):
    X, groups = causal
    for name, centre in zip(["x1", "x2"], divmod(group, 2), strict=True):
        values = X[name][groups == group]
        assert stats.kstest(values, stats.norm(centre, 0.2).cdf).pvalue > RARE


def test_groups_are_a_quarter_each(causal):
    _, groups = causal
    assert stats.chisquare(np.bincount(groups, minlength=4)).pvalue > RARE
    assert groups.name == "group"


def test_translations_are_those_of_the_causes(causal):
    X, groups = causal
    X_again, groups_again, translations = make_causal_groups(
        N, return_translations=True, random_state=0
    )
    pd.testing.assert_frame_equal(X_again, X)
    pd.testing.assert_series_equal(groups_again, groups)
    means = X.groupby(groups).mean().to_numpy()
    assert np.abs((means - means[0])[:, :2] - translations[:, :2]).max() < 0.02
    assert not translations[:, 2:].any()
    # the difference between means takes the effect for a cause
    assert (means - means[0])[2, 3] == pytest.approx(1, abs=0.02)


def test_causal_groups_are_reproducible_to_the_bit_and_leave_the_global_seed_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (make_causal_groups(50, random_state=3)[0] for _ in range(2))
    other = make_causal_groups(50)[0]
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("wrong", [{"n_samples": 0}, {"n_samples": 2.5}, {"random_state": "a"}])
def test_causal_groups_refuse_what_is_no_setting(wrong):
    with pytest.raises(ValueError, match="must be"):
        make_causal_groups(**wrong)


@pytest.mark.skipif(not (DATA / "tgt_synthetic.npz").exists(), reason="SKCF_DATA is not set")
def test_the_redraw_has_these_moments():
    with np.load(DATA / "tgt_synthetic.npz") as saved:
        X, group = saved["X"], saved["group"]
    n = len(X)
    drawn = np.column_stack([group // 2, group % 2])
    residual = X[:, 3] - X[:, 0]
    for values, spread in ((X[:, 2], 0.5), (residual, 0.05)):
        assert stats.kstest(values, stats.norm(0, spread).cdf).pvalue > RARE
        assert abs(values.mean()) < 3 * spread / np.sqrt(n)
    for j in range(2):
        # its causes are exactly 0 where nothing was drawn: the noise is that of the others
        assert not X[drawn[:, j] == 0, j].any()
        assert stats.kstest(X[drawn[:, j] == 1, j], stats.norm(1, 0.2).cdf).pvalue > RARE
    assert stats.chisquare(np.bincount(group, minlength=4)).pvalue > RARE


def rows(kind, n=30):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"a": rng.uniform(size=n), "b": rng.integers(0, 9, n), "c": rng.choice(["u", "v"], n)}
    )
    if kind == "array":
        return X[["a", "b"]].to_numpy()
    return pl.from_pandas(X) if kind == "polars" else X.set_index(np.arange(n) + 100)


def numbers(X):
    """The columns a and b as floats."""
    return np.asarray(X if isinstance(X, np.ndarray) else X[["a", "b"]], dtype=float)


@pytest.mark.parametrize("kind", ["array", "pandas", "polars"])
@pytest.mark.parametrize("noise", [0, 0.1])
def test_what_is_planted_is_what_is_told(kind, noise):
    X, groups = rows(kind), np.arange(30) % 3
    names = {"a": -0.4, "b": 2} if kind != "array" else {0: -0.4, 1: 2}
    modified = make_modified_group(
        X, groups, group=1, translation=names, noise=noise, random_state=0
    )
    assert type(modified.X) is type(X)
    after, copied = numbers(modified.X), np.flatnonzero(groups == 1)
    np.testing.assert_array_equal(modified.copied, copied)
    np.testing.assert_array_equal(after[:30], numbers(X))
    np.testing.assert_array_equal(after[30:], numbers(X)[copied] + modified.changes[:, :2])
    np.testing.assert_array_equal(modified.translation[:2], [-0.4, 2])
    assert np.abs(modified.changes - modified.translation).max() <= noise
    assert bool(noise) == (np.ptp(modified.changes[:, 0]) > 0)
    np.testing.assert_array_equal(modified.y, np.append(groups, np.full(10, 3)))
    assert modified.label == 3


@pytest.mark.parametrize("kind", ["array", "pandas", "polars"])
def test_the_rest_of_the_copies_is_that_of_their_rows(kind):
    X, groups = rows(kind), np.repeat([0, 1], 15)
    before = X.copy() if kind != "polars" else X.clone()
    position = 0 if kind == "array" else "a"
    modified = make_modified_group(X, groups, group=0, translation={position: 1}, random_state=0)
    np.testing.assert_array_equal(np.asarray(X), np.asarray(before))
    np.testing.assert_array_equal(numbers(modified.X)[30:, 1], numbers(X)[:15, 1])
    if kind != "array":
        assert list(modified.X["c"])[30:] == list(X["c"])[:15]
        assert modified.X["b"].dtype == X["b"].dtype
        assert not modified.changes[:, 1:].any()


def test_deviations_are_uniform():
    X, groups = np.zeros((5000, 2)), np.zeros(5000, dtype=int)
    modified = make_modified_group(X, groups, group=0, translation={1: 0.5}, random_state=0)
    uniform = stats.uniform(0.4, 0.2).cdf
    assert stats.kstest(modified.X[5000:, 1], uniform).pvalue > RARE
    assert not modified.X[:, 0].any()


def test_copies_are_reproducible_to_the_bit_and_leave_the_global_seed_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    args = {"groups": np.arange(30) % 2, "group": 0, "translation": {"a": 1}}
    seeds = (3, 3, 4, None)
    first, second, *others = (
        make_modified_group(rows("pandas"), **args, random_state=seed).changes for seed in seeds
    )
    np.testing.assert_array_equal(first, second)
    assert all(not np.array_equal(first, other) for other in others)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_text_groups_have_text_labels():
    groups = np.repeat(["u", "v"], 15)
    modified = make_modified_group(rows("array"), groups, group="v", translation={0: 1})
    assert modified.label == "v modified"
    assert modified.y.tolist() == ["u"] * 15 + ["v"] * 15 + ["v modified"] * 15
    modified = make_modified_group(
        rows("array"), groups, group="v", translation={0: 1}, label="new"
    )
    assert set(modified.y[30:]) == {"new"}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"group": 7}, r"group=7 has no rows; groups are \[0, 1\]"),
        ({"label": 1}, "label=1 is a group already"),
        ({"groups": np.arange(30) % 2 + 0.5, "group": 0.5}, "label must be given"),
        ({"translation": {"z": 1}}, r"names 'z', but the columns are \['a', 'b', 'c'\]"),
        ({"translation": {-1: 1}}, "names -1, but the columns are"),
        ({"translation": {"c": 1}}, "names 'c', which holds no numbers"),
        ({"translation": {"a": 1, 0: 1}}, "names 0 twice"),
        ({"translation": {"a": np.inf}}, r"translation\['a'\] must be a finite number, got inf"),
        ({"translation": {"a": True}}, "must be a finite number, got True"),
        ({"translation": [1.0]}, "must be an instance of"),
        ({"noise": -1}, "'noise' parameter"),
        ({"groups": [0, 1]}, "inconsistent numbers of samples"),
    ],
)
def test_modified_groups_refuse_what_makes_none(wrong, message):
    args = {"groups": np.arange(30) % 2, "group": 0, "translation": {"a": 1.0}} | wrong
    with pytest.raises(ValueError, match=message):
        make_modified_group(rows("pandas"), **args)
