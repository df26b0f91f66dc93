"""FeatureSpace.fit with sample weights: a row of weight k is k equal rows."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skcf import FeatureSpace

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

# the same examples in each run: a failure here is one of the change that is tested
FEW = settings(deadline=None, derandomize=True, max_examples=40)
MANY = settings(FEW, max_examples=100)

SCALES = ["range", "std", "mad"]
SIZES = ["S", "M", "L", "XL"]
HUES = [(1, 0), (0, 1), (0, 0)]

# ---------------------------------------------------------------- a mixed table

ROWS = st.tuples(
    st.sampled_from([None, "cook", "clerk", "judge"]),
    st.sampled_from([None, *SIZES]),
    st.booleans(),
    st.sampled_from(HUES),
    st.integers(-3, 12),
    st.none() | st.integers(-40, 40).map(lambda x: x / 8),
    st.none() | st.sampled_from([0.1, 0.3, 0.7]),
)


@st.composite
def weighted_rows(draw, weights):
    rows = draw(st.lists(st.tuples(ROWS, weights), min_size=1, max_size=9))
    weight = np.array([w for _, w in rows])
    assume(weight.any())
    return mixed_table([row for row, _ in rows]), weight


def mixed_table(rows):
    jobs, sizes, flags, hues, whole, real, single = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "job": pd.Series(jobs, dtype=object),
            "size": pd.Series(sizes, dtype=object),
            "flag": flags,
            "hue_r": [hue[0] for hue in hues],
            "hue_g": [hue[1] for hue in hues],
            "whole": whole,
            "real": np.array(real, dtype=float),
            "single": np.array(single, dtype="float32"),
        }
    )


def mixed_space(scale):
    groups = [["hue_r", "hue_g"]]
    return FeatureSpace(scale=scale, ordinal_features={"size": SIZES}, onehot_groups=groups)


def counts(space):
    """How many rows of fit have each category, by feature."""
    features = space.encoding_.features
    return {f.name: f.counts.tolist() for f in features if f.name in space.categories_}


def assert_same_space(space, other, exact):
    """Equal to the bit, but for the scales that are not exact."""
    assert space.feature_kinds_ == other.feature_kinds_
    assert space.categories_ == other.categories_
    assert counts(space) == counts(other)
    assert space.encoding_.dtypes == other.encoding_.dtypes
    np.testing.assert_allclose(space.scale_, other.scale_, rtol=1e-12)
    np.testing.assert_array_equal(space.scale_[exact], other.scale_[exact])


# ---------------------------------------------------------------- repetition


@pytest.mark.parametrize("scale", SCALES)
@MANY
@given(weighted_rows(st.integers(0, 4)))
def test_a_weight_is_a_repetition(scale, weighted):
    X, weight = weighted
    repeated = X.iloc[np.repeat(np.arange(len(X)), weight)]
    space = mixed_space(scale).fit(X, sample_weight=weight)
    other = mixed_space(scale).fit(repeated)
    deviation = mixed_space("std").fit(repeated).scale_  # also what a MAD of zero gives way to
    exact = (other.scale_ != deviation) | (scale == "range")
    assert_same_space(space, other, exact)
    Z = space.transform(repeated)
    np.testing.assert_array_equal(Z, other.transform(repeated))
    pd.testing.assert_frame_equal(space.inverse_transform(Z), other.inverse_transform(Z))


@FEW
@given(weighted_rows(st.integers(0, 4)))
def test_a_weight_is_a_repetition_in_polars(weighted):
    X, weight = pl.from_pandas(weighted[0], nan_to_null=True), weighted[1]
    repeated = X[np.repeat(np.arange(len(X)), weight)]
    space = mixed_space("mad").fit(X, sample_weight=weight)
    assert_same_space(space, mixed_space("mad").fit(repeated), exact=[])
    assert space.inverse_transform(space.transform(repeated)).equals(repeated)


@MANY
@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(0, 7)), min_size=2, max_size=30),
)
def test_the_mad_of_whole_weights_is_numpys_of_the_repeated_values(weighted):
    values, weight = (np.array(column) for column in zip(*weighted, strict=True))
    assume(weight.any())
    repeated = np.repeat(values, weight)
    expected = np.median(np.abs(repeated - np.median(repeated)))
    assume(expected > 0)
    space = FeatureSpace(scale="mad").fit(values[:, None], sample_weight=weight)
    assert space.scale_.tolist() == [expected]


@pytest.mark.parametrize("scale", SCALES)
@FEW
@given(weighted_rows(st.just(1)))
def test_weights_of_one_are_no_weights(scale, weighted):
    X, weight = weighted
    space = mixed_space(scale).fit(X, sample_weight=weight)
    assert_same_space(
        space, mixed_space(scale).fit(X), exact=slice(None) if scale == "range" else []
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("weight", [1, 2.5, True])
def test_a_number_is_the_weight_of_every_row(scale, weight):
    X = np.array([[0.0], [1.0], [3.0], [9.0]])
    space = FeatureSpace(scale=scale).fit(X, sample_weight=weight)
    np.testing.assert_allclose(space.scale_, FeatureSpace(scale=scale).fit(X).scale_)


def test_the_weights_go_through_fit_transform():
    X = pd.DataFrame({"job": ["cook", "clerk", "judge"], "age": [20, 30, 40]})
    Z = FeatureSpace().fit_transform(X, sample_weight=[0, 1, 2])
    assert Z.tolist() == [[-1, 20], [0, 30], [1, 40]]


@pytest.mark.parametrize(
    "weight",
    [
        [1, 0, 2],
        (1.0, 0.0, 2.0),
        np.array([1, 0, 2], dtype="int8"),
        np.array([1, 0, 2], dtype="float32"),
        pd.Series([1, 0, 2], index=[7, 8, 9]),
        pl.Series([1, 0, 2]),
    ],
    ids=lambda weight: type(weight).__name__,
)
def test_weights_come_in_any_container_and_stay_as_they_are(weight):
    before = list(weight)
    space = FeatureSpace().fit(np.array([[1.0], [9.0], [2.0]]), sample_weight=weight)
    assert space.scale_.tolist() == [1.0]
    assert list(weight) == before


# ---------------------------------------------------------------- weight zero


def test_a_row_of_weight_zero_is_not_there():
    X = pd.DataFrame(
        {
            "job": ["cook", "clerk", "cook", "judge"],
            "age": [20, 30, 50, 99],
            "pay": [1.0, np.nan, 2.0, np.inf],
            "mixed": pd.Series([1, 2, 4, "text"], dtype=object),
        }
    )
    space = FeatureSpace(integer_features=["pay"]).fit(X, sample_weight=[1, 2, 1, 0])
    assert space.categories_ == {"job": ["clerk", "cook"]}
    assert space.feature_kinds_["mixed"] == "integer"
    assert space.scale_.tolist() == [1, 30, 1, 3]
    assert space.transform(X.iloc[:3])[:, 0].tolist() == [1, 0, 1]
    reference = X.iloc[:1]
    assert not space.feasible(reference, reference.assign(job="judge")).any()


def test_a_row_of_weight_zero_still_has_the_columns_dtype():
    order = pd.CategoricalDtype(["low", "high", "top"], ordered=True)
    X = pd.DataFrame({"rank": pd.Series(["low", "top"], dtype=order), "gap": [1.0, np.nan]})
    space = FeatureSpace().fit(X, sample_weight=[1, 0])
    assert space.categories_ == {"rank": ["low", "high", "top"]}  # declared by the dtype
    assert space.feature_kinds_["gap"] == "continuous"
    assert list(space.feature_names_in_) == ["rank", "gap"]
    pd.testing.assert_frame_equal(space.inverse_transform(space.transform(X), X), X)


def test_the_onehot_code_of_a_row_of_weight_zero_is_no_category():
    X = np.array([[1.0, 0], [0, 1], [0, 0]])
    space = FeatureSpace(onehot_groups=[[0, 1]]).fit(X, sample_weight=[1, 1, 0])
    assert space.categories_ == {"0|1": [(0.0, 1.0), (1.0, 0.0)]}


def test_a_column_that_is_missing_but_for_rows_of_weight_zero():
    X = pd.DataFrame({"job": pd.Series(["cook", None], dtype=object), "pay": [1.0, np.nan]})
    for scale in SCALES:
        space = FeatureSpace(scale=scale).fit(X, sample_weight=[0, 1])
        assert space.categories_ == {"job": []}
        assert space.scale_.tolist() == [1, 1]


def test_the_commonest_category_is_the_heaviest():
    X = pd.DataFrame({"job": ["cook", "cook", "clerk", "judge"]})
    ranges = {"job": ["cook", "clerk"]}
    judge = X.iloc[[3]]
    space = FeatureSpace(permitted_range=ranges)
    assert space.fit(X).project_rows(judge, judge)["job"].tolist() == ["cook"]
    space.fit(X, sample_weight=[0.5, 0.25, 0.8, 9])
    assert space.project_rows(judge, judge)["job"].tolist() == ["clerk"]


# ---------------------------------------------------------------- fractions and order


@pytest.mark.parametrize("scale", SCALES)
@FEW
@given(weighted_rows(st.floats(0, 3)), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_has_no_say(scale, weighted, random):
    X, weight = weighted
    order = random.sample(range(len(X)), len(X))
    space = mixed_space(scale).fit(X, sample_weight=weight)
    other = mixed_space(scale).fit(X.iloc[order], sample_weight=weight[order])
    assert_same_space(space, other, exact=slice(None))


@pytest.mark.parametrize("factor", [0.1, 1 / 3, 7.0, 1e-3, 1e12])
@MANY
@given(weighted_rows(st.integers(0, 4)))
def test_the_factor_of_the_weights_changes_no_mad(factor, weighted):
    """Also where half the weight ends between two values, and the fractions' sums round."""
    X, weight = weighted
    space = mixed_space("mad").fit(X, sample_weight=weight)
    deviation = mixed_space("std").fit(X, sample_weight=weight).scale_
    other = mixed_space("mad").fit(X, sample_weight=weight * factor)
    np.testing.assert_allclose(other.scale_, space.scale_, rtol=1e-12)
    exact = space.scale_ != deviation
    np.testing.assert_array_equal(other.scale_[exact], space.scale_[exact])


def test_the_mad_of_many_small_weights_finds_the_middle():
    values = np.concatenate([np.zeros(5_000), np.full(5_000, 2.0)])
    space = FeatureSpace(scale="mad").fit(values[:, None], sample_weight=0.1)
    assert space.scale_.tolist() == [1.0]  # between the two: the median is 1


def test_a_mad_of_zero_gives_way_to_the_weighted_standard_deviation():
    X = np.array([[0.0], [4.0]])
    space = FeatureSpace(scale="mad").fit(X, sample_weight=[3, 1])
    assert space.scale_[0] == pytest.approx(np.sqrt(3))


@pytest.mark.parametrize("scale", SCALES)
def test_a_column_that_is_constant_where_weights_are_has_scale_one(scale):
    X = np.array([[0.1], [0.1], [0.1], [5.0]])
    assert FeatureSpace(scale=scale).fit(X, sample_weight=[0.3, 1, 7, 0]).scale_.tolist() == [1.0]


# ---------------------------------------------------------------- errors

WRONG = {
    "too few": ([1.0, 2.0], r"sample_weight.shape == \(2,\), expected \(3,\)"),
    "two columns": (np.ones((3, 2)), "Sample weights must be 1D array or scalar"),
    "negative": ([1.0, -1.0, 1.0], "Negative values in data passed to `sample_weight`"),
    "a negative number": (-1.0, "Negative values in data passed to `sample_weight`"),
    "NaN": ([1.0, np.nan, 1.0], "Input sample_weight contains NaN"),
    "infinite": ([1.0, np.inf, 1.0], "Input sample_weight contains infinity"),
    "a number that is NaN": (np.nan, "must be finite and have a finite sum, got nan"),
    "an infinite number": (np.inf, "must be finite and have a finite sum, got inf"),
    "an infinite sum": ([1e308, 1e308, 1e308], "must be finite and have a finite sum, got inf"),
    "all zero": ([0, 0, 0], "must contain at least one non-zero number"),
    "zero": (0, "must contain at least one non-zero number"),
    "text": (["a", "b", "c"], "could not convert string to float|dtype='numeric'"),
}


@pytest.mark.parametrize(("weight", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    "X",
    [
        [[1.0], [2.0], [3.0]],
        np.ones((3, 1)),
        pd.DataFrame({"a": [1, 2, 3]}),
        pl.DataFrame({"a": ["x", "y", "z"]}),
    ],
    ids=["list", "array", "pandas", "polars"],
)
def test_wrong_weights_are_an_error_and_change_nothing(X, weight, message):
    space = FeatureSpace().fit([[0.0, 5.0], [2.0, 5.0]])
    before = dict(vars(space))
    with pytest.raises(ValueError, match=message):
        space.fit(X, sample_weight=weight)
    assert vars(space) == before


def test_wrong_weights_are_found_before_any_work():
    with pytest.raises(ValueError, match="at least one non-zero number"):
        FeatureSpace(immutable_features=["nonsense"]).fit([[1.0]], sample_weight=[0])
