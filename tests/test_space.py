"""FeatureSpace: kinds, parameters, errors, and scikit-learn's own checks."""

import datetime
import decimal
import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcf import FeatureSpace

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


@parametrize_with_checks([FeatureSpace()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def people():
    return pd.DataFrame(
        {
            "age": [25, 40, 61, 33],
            "pay": [1.5, 2.5, np.nan, 4.0],
            "job": ["cook", "clerk", None, "cook"],
            "size": ["M", "S", "L", "M"],
            "member": [True, False, True, True],
        }
    )


SIZES = ["S", "M", "L", "XL"]


# ---------------------------------------------------------------- kinds


def test_kinds_are_read_off_pandas_dtypes():
    X = people().assign(
        grade=pd.Categorical(["b", "a", "b", "b"], categories=["b", "a", "c"], ordered=True),
        color=pd.Categorical(["b", "a", "b", "b"], categories=["b", "a", "c"]),
        count=pd.array([1, None, 3, 4], dtype="Int64"),
        whole_floats=[1.0, 2.0, 3.0, 4.0],
    )
    space = FeatureSpace().fit(X)
    assert space.feature_kinds_ == {
        "age": "integer",
        "pay": "continuous",
        "job": "category",
        "size": "category",
        "member": "category",
        "grade": "ordinal",
        "color": "category",
        "count": "integer",
        "whole_floats": "continuous",
    }
    assert space.categories_ == {
        "job": ["clerk", "cook"],
        "size": ["L", "M", "S"],
        "member": [False, True],
        "grade": ["b", "a", "c"],  # declared by the dtype
        "color": ["a", "b"],  # seen
    }


def test_kinds_are_read_off_polars_dtypes():
    X = pl.DataFrame(
        {
            "i": [1, 2],
            "f": [1.0, None],
            "s": ["a", None],
            "c": pl.Series(["a", "b"], dtype=pl.Categorical),
            "e": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a"])),
            "b": [True, False],
        }
    )
    kinds = FeatureSpace().fit(X).feature_kinds_
    assert list(kinds.values()) == ["integer", "continuous", *["category"] * 4]


def test_kinds_of_object_columns_follow_their_values():
    X = pd.DataFrame(
        {
            "text": pd.Series(["a", None], dtype=object),
            "mixed": pd.Series([True, "a"], dtype=object),
            "whole": pd.Series([1, None], dtype=object),
            "real": pd.Series([1, 2.5], dtype=object),
            "gone": pd.Series([None, None], dtype=object),
        }
    )
    kinds = FeatureSpace().fit(X).feature_kinds_
    assert list(kinds.values()) == ["category", "category", "integer", "continuous", "category"]


@pytest.mark.parametrize("dtype", ["int32", "float32", "bool", "U1"])
def test_kinds_are_read_off_the_dtype_of_an_array(dtype):
    expected = {"i": "integer", "f": "continuous", "b": "category", "U": "category"}
    space = FeatureSpace().fit(np.array([[0], [1]]).astype(dtype))
    assert space.feature_kinds_ == {0: expected[np.dtype(dtype).kind]}


def test_encoding_is_the_value_or_the_position_among_the_categories():
    space = FeatureSpace(ordinal_features={"size": SIZES}).fit(people())
    np.testing.assert_array_equal(
        space.transform(people()),
        [
            [25, 1.5, 1, 1, 1],
            [40, 2.5, 0, 0, 0],
            [61, np.nan, np.nan, 2, 1],
            [33, 4.0, 1, 1, 1],
        ],
    )
    assert space.categories_["size"] == SIZES


SPELLINGS = {
    "names": ["age", "member"],
    "positions": [0, -1],
    "numpy positions": np.array([0, 4]),
    "mask": [True, False, False, False, True],
    "numpy mask": np.array([True, False, False, False, True]),
    "index": pd.Index(["age", "member"]),
    "tuple": ("member", 0),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_columns_are_named_by_mask_name_or_position(spelling):
    space = FeatureSpace(categorical_features=spelling, immutable_features=spelling).fit(people())
    assert space.categories_["age"] == [25, 33, 40, 61]
    assert space.feature_kinds_["pay"] == "continuous"
    moved = people().assign(age=61, member=False, pay=0.0)
    back = space.project_rows(moved, people())
    assert back["age"].tolist() == people()["age"].tolist()
    assert back["member"].tolist() == people()["member"].tolist()
    assert back["pay"].tolist() == [0.0] * 4


@pytest.mark.parametrize("spec", [None, [], "from_dtype", [False] * 5])
def test_dtypes_that_are_categorical_stay_so_whatever_is_named(spec):
    assert FeatureSpace(categorical_features=spec).fit(people()).feature_kinds_ == {
        "age": "integer",
        "pay": "continuous",
        "job": "category",
        "size": "category",
        "member": "category",
    }


def test_a_float_column_with_missing_values_holds_whole_numbers_where_named():
    X = pd.DataFrame({"n": [1.0, np.nan, 3.0]})
    assert FeatureSpace().fit(X).feature_kinds_ == {"n": "continuous"}
    space = FeatureSpace(integer_features=["n"]).fit(X)
    assert space.feature_kinds_ == {"n": "integer"}
    assert space.project([[2.4]], [[1.0]]).tolist() == [[2.0]]


def test_ordinal_features_may_list_categories_that_the_data_do_not_hold():
    space = FeatureSpace(ordinal_features={"size": SIZES}).fit(people())
    assert space.feature_kinds_["size"] == "ordinal"
    R = space.transform(people())
    Z = R.copy()
    Z[:, 3] = 3
    assert space.inverse_transform(space.project(Z, R), people())["size"].tolist() == ["XL"] * 4


def test_ordinal_numbers_follow_the_order_that_is_given():
    X = np.array([[10.0], [30.0], [20.0]])
    space = FeatureSpace(ordinal_features={0: [30, 10, 20]}, change_direction={0: +1}).fit(X)
    assert space.transform(X).ravel().tolist() == [1, 0, 2]
    assert space.feasible(X, X[[2, 2, 1]]).tolist() == [True, True, False]


def test_declared_categories_of_an_ordered_dtype_can_be_proposed():
    order = pd.CategoricalDtype(["c", "a", "b"], ordered=True)
    X = pd.DataFrame({"g": pd.Series(["c", "b"], dtype=order)})
    space = FeatureSpace().fit(X)
    assert space.feasible(X, pd.DataFrame({"g": pd.Series(["a", "a"], dtype=order)})).all()


# ---------------------------------------------------------------- one-hot groups

HUES = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])


def hued(hues=HUES, dtype=float):
    ages = pd.DataFrame({"age": [20, 30, 40, 50]})
    columns = [f"hue_{c}" for c in "rgb"[: hues.shape[1]]]
    return ages.join(pd.DataFrame(hues.astype(dtype), columns=columns))


@pytest.mark.parametrize("dtype", ["float64", "int8", "bool", "float32"])
def test_a_onehot_group_is_one_feature(dtype):
    X = hued(dtype=dtype)
    space = FeatureSpace(onehot_groups=[["hue_r", "hue_g", "hue_b"]]).fit(X)
    assert space.feature_kinds_ == {"age": "integer", "hue": "category"}
    assert space.transform(X)[:, 1].tolist() == [2, 1, 0, 2]
    assert list(space.get_feature_names_out()) == ["age", "hue"]
    pd.testing.assert_frame_equal(space.inverse_transform(space.transform(X)), X)


def test_a_onehot_group_of_an_array_is_one_feature():
    space = FeatureSpace(onehot_groups=[[0, 1, 2]]).fit(HUES)
    assert space.transform(HUES).shape == (4, 1)
    assert list(space.feature_kinds_) == ["0|1|2"]
    assert space.cost(HUES[[0]], HUES[[1]]).tolist() == [1.0]  # not 2


def test_a_dropped_category_is_the_one_that_is_zero_throughout():
    space = FeatureSpace(onehot_groups=[["hue_r", "hue_g"]]).fit(hued(HUES[:, :2]))
    assert space.categories_["hue"] == [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)]


def test_scaled_onehot_columns_stay_a_group():
    X = StandardScaler().fit_transform(HUES)
    space = FeatureSpace(onehot_groups=[[0, 1, 2]]).fit(X)
    assert len(space.categories_["0|1|2"]) == 3
    np.testing.assert_array_equal(space.inverse_transform(space.transform(X)), X)


def test_a_group_that_a_one_hot_encoder_made_projects_to_real_categories():
    colors = np.array([["r"], ["g"], ["b"], ["g"]])
    X = OneHotEncoder(sparse_output=False).fit_transform(colors)
    space = FeatureSpace(onehot_groups=[[0, 1, 2]]).fit(X)
    projected = space.project(np.array([[0.4], [1.6], [7.0], [np.nan]]), space.transform(X))
    rows = space.inverse_transform(projected)
    assert rows.sum(axis=1).tolist() == [1, 1, 1, 1]
    np.testing.assert_array_equal(rows[3], X[3])


@pytest.mark.parametrize("spec", [(0, 0), (0, 0.5)])
def test_a_range_of_a_group_member_rules_its_category_out(spec):
    X = hued()
    groups = [["hue_r", "hue_g", "hue_b"]]
    space = FeatureSpace(onehot_groups=groups, permitted_range={"hue_g": spec}).fit(X)
    rows = space.project_rows(X.assign(hue_r=0.0, hue_g=1.0, hue_b=0.0), X)
    assert rows["hue_g"].tolist() == [0.0] * 4
    assert space.feasible(X, X).tolist() == [True, False, True, True]


def test_ranges_of_two_group_members_both_hold():
    X = hued()
    groups = [["hue_r", "hue_g", "hue_b"]]
    ranges = {"hue_g": (0, 0), "hue_r": (0, 0)}
    space = FeatureSpace(onehot_groups=groups, permitted_range=ranges).fit(X)
    assert space.project_rows(X, X)["hue_b"].tolist() == [1.0] * 4


def test_an_immutable_group_member_fixes_the_group():
    X = hued()
    groups = [["hue_r", "hue_g", "hue_b"]]
    space = FeatureSpace(onehot_groups=groups, immutable_features=["hue_b"]).fit(X)
    assert space.feasible(X, X.assign(age=1)).all()
    assert not space.feasible(X.iloc[[0]], X.iloc[[1]])[0]


def test_groups_of_the_same_beginning_have_names_of_their_own():
    X = np.hstack([HUES, HUES[:, ::-1], np.arange(4.0)[:, None]])
    columns = ["hue_r", "hue_g", "hue_b", "hue_top", "hue_mid", "hue_low", "hue"]
    X = pd.DataFrame(X, columns=columns)
    space = FeatureSpace(onehot_groups=[columns[:3], columns[3:6]]).fit(X)
    names = ["hue_r|hue_g|hue_b", "hue_top|hue_mid|hue_low", "hue"]
    assert list(space.feature_kinds_) == names
    assert list(space.get_feature_names_out()) == names


# ---------------------------------------------------------------- weights and scales


def test_weights_by_name_and_by_array_are_the_same():
    named = FeatureSpace(feature_weights={"age": 2.0, "member": 0}).fit(people())
    listed = FeatureSpace(feature_weights=[2.0, 1, 1, 1, 0]).fit(people())
    np.testing.assert_array_equal(named.weight_, [2, 1, 1, 1, 0])
    np.testing.assert_array_equal(listed.weight_, named.weight_)


def test_the_weight_of_a_group_is_that_of_its_members():
    groups = [["hue_r", "hue_g", "hue_b"]]
    space = FeatureSpace(onehot_groups=groups, feature_weights={"hue_g": 3.0}).fit(hued())
    assert space.weight_.tolist() == [1, 3]
    space = FeatureSpace(onehot_groups=groups, feature_weights=[1, 2, 2, 2]).fit(hued())
    assert space.weight_.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("scale", "expected"), [("range", 9.0), ("std", np.std([0, 0, 1, 9])), ("mad", 0.5)]
)
def test_scales_are_the_statistics_that_they_are_called(scale, expected):
    X = np.array([[0.0], [0.0], [1.0], [9.0], [np.nan]])
    assert FeatureSpace(scale=scale).fit(X).scale_.tolist() == [expected]


@pytest.mark.parametrize("scale", ["range", "std", "mad"])
@pytest.mark.parametrize("value", [0.1, 0.0, 1e300, np.nan])
def test_a_constant_column_has_scale_one(scale, value):
    """The standard deviation of a constant is often a rounding error, not zero."""
    X = np.full((7, 1), value)
    assert FeatureSpace(scale=scale).fit(X).scale_.tolist() == [1.0]


def test_a_mad_of_zero_gives_way_to_the_standard_deviation():
    X = np.array([[0.0], [0.0], [0.0], [4.0]])
    assert FeatureSpace(scale="mad").fit(X).scale_[0] == pytest.approx(np.sqrt(3))


def test_ordinal_scales_are_the_number_of_steps():
    space = FeatureSpace(ordinal_features={"size": SIZES}).fit(people())
    assert space.scale_[3] == 3
    assert space.scale_[2] == 1


# ---------------------------------------------------------------- errors: rows


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame])
def test_missing_extra_and_reordered_columns_are_named(container):
    X = container({"a": [1, 2], "b": [3, 4]})
    space = FeatureSpace().fit(X)
    with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- b"):
        space.transform(container({"a": [1, 2]}))
    with pytest.raises(ValueError, match="unseen at fit time:\n- c"):
        space.transform(container({"a": [1, 2], "b": [3, 4], "c": [5, 6]}))
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        space.transform(container({"b": [3, 4], "a": [1, 2]}))


@pytest.mark.parametrize("width", [1, 3])
def test_arrays_of_another_width_are_refused(width):
    space = FeatureSpace().fit(np.zeros((3, 2)))
    with pytest.raises(
        ValueError, match=f"X has {width} features, but FeatureSpace is expecting 2"
    ):
        space.transform(np.zeros((3, width)))


def test_wrong_columns_are_refused_in_each_argument_of_the_pairwise_methods():
    space = FeatureSpace().fit(np.zeros((3, 2)))
    good, bad = np.zeros((3, 2)), np.zeros((3, 1))
    for method in (space.cost, space.pairwise_cost, space.feasible, space.project_rows):
        for arguments in ((good, bad), (bad, good)):
            with pytest.raises(ValueError, match="X has 1 features"):
                method(*arguments)


@pytest.mark.parametrize("method", ["cost", "feasible", "project_rows"])
def test_rows_without_a_partner_are_refused(method):
    space = FeatureSpace().fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="Each row needs its reference row: got"):
        getattr(space, method)(np.zeros((2, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize("shapes", [((3, 1), (3, 2)), ((2, 2), (3, 2)), ((3,), (3, 2))], ids=str)
def test_project_says_what_shapes_it_takes(shapes):
    space = FeatureSpace().fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"encoded rows of shape \(n_samples, 2\).*got shapes"):
        space.project(np.zeros(shapes[0]), np.zeros(shapes[1]))


def infinite(container):
    return container({"a": [1.0, 2.0], "b": [0.5, np.inf]})


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("integer", [None, ["b"]])
def test_infinite_values_name_their_column(container, integer):
    space = FeatureSpace(integer_features=integer)
    message = r"contains infinity or a value too large .* in column\(s\) \['b'\]"
    if integer is None:
        with pytest.raises(ValueError, match=message):
            space.fit(infinite(container))
    space.fit(container({"a": [1.0, 2.0], "b": [1.0, 2.0]}))
    with pytest.raises(ValueError, match=message):
        space.transform(infinite(container))


def test_infinite_values_of_arrays_name_their_column():
    X = np.array([[1.0, 2.0], [3.0, -np.inf]])
    with pytest.raises(ValueError, match=r"infinity .* in column\(s\) \[1\]"):
        FeatureSpace().fit(X)
    with pytest.raises(ValueError, match=r"infinity .* in column\(s\) \[1\]"):
        FeatureSpace().fit(np.zeros((2, 2))).transform(X)


def test_values_too_large_for_the_float_type_of_fit_name_their_column():
    space = FeatureSpace().fit(np.zeros((2, 1), dtype="float32"))
    with pytest.raises(ValueError, match=r"a value too large .* in column\(s\) \[0\]"):
        space.transform([[1e39]])


@pytest.mark.parametrize("text", ["a", "5"])
def test_text_in_an_object_array_asks_for_categorical_features(text):
    X = np.array([[1.0, text], [2.0, None]], dtype=object)
    with pytest.raises(
        ValueError, match=rf"Column 1 holds text \('{text}'\).*categorical_features"
    ):
        FeatureSpace().fit(X)
    assert FeatureSpace(categorical_features=[1]).fit(X).categories_ == {1: [text]}


@pytest.mark.parametrize("text", ["a", "5"])
@pytest.mark.parametrize("dtype", ["object", "str", "string[pyarrow]", "category"])
def test_text_in_a_numeric_pandas_column_is_refused(text, dtype):
    space = FeatureSpace().fit(pd.DataFrame({"n": [1, 2]}))
    X = pd.DataFrame({"n": pd.Series([text, text], dtype=dtype)})
    with pytest.raises(ValueError, match=rf"Column 'n' holds text \('{text}'\), where numbers are"):
        space.transform(X)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical], ids=str)
def test_text_in_a_numeric_polars_column_is_refused(dtype):
    space = FeatureSpace().fit(pl.DataFrame({"n": [1.5, 2]}))
    with pytest.raises(ValueError, match=r"Column 'n' holds text \('5'\), where numbers are"):
        space.transform(pl.DataFrame({"n": pl.Series(["5"], dtype=dtype)}))


def test_text_in_a_numeric_array_is_refused():
    space = FeatureSpace().fit(np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"Column 0 holds text \('5'\), where numbers are"):
        space.transform(np.array([["5"]]))


def test_text_beside_numbers_in_an_object_column_of_a_frame_is_refused():
    X = pd.DataFrame({"n": pd.Series([1, "b"], dtype=object)})
    with pytest.raises(ValueError, match=r"Column 'n' holds text \('b'\), where numbers are"):
        FeatureSpace().fit(X)


def test_numbers_in_a_text_column_are_refused():
    space = FeatureSpace().fit(pd.DataFrame({"job": ["cook", "clerk"]}))
    with pytest.raises(ValueError, match="'job' held categories like 'clerk' in fit, but holds 3"):
        space.transform(pd.DataFrame({"job": [3, 4]}))


def test_text_in_a_column_of_numeric_categories_is_refused():
    space = FeatureSpace(categorical_features=["n"]).fit(pd.DataFrame({"n": [1, 2]}))
    with pytest.raises(ValueError, match="like 1 in fit, but holds 'a' now: expected no text"):
        space.transform(pd.DataFrame({"n": ["a", "a"]}))


@pytest.mark.parametrize("value", [2**53, 2**53 + 1, -(2**53) - 1, 2**62])
def test_integers_that_floats_cannot_carry_are_refused(value):
    message = r"Column 'id' holds integers beyond 2\*\*53"
    for dtype in ("int64", "Int64", "int64[pyarrow]"):
        with pytest.raises(ValueError, match=message):
            FeatureSpace().fit(pd.DataFrame({"id": pd.Series([1, value], dtype=dtype)}))
    with pytest.raises(ValueError, match=message):
        FeatureSpace().fit(pl.DataFrame({"id": [1, value]}))
    space = FeatureSpace().fit(pd.DataFrame({"id": [1, 2]}))
    with pytest.raises(ValueError, match=message):
        space.transform(pd.DataFrame({"id": [1, value]}))
    named = FeatureSpace(categorical_features=["id"])
    assert named.fit(pd.DataFrame({"id": [1, value]})).categories_["id"] == sorted([1, value])


@pytest.mark.parametrize("value", [2**53 + 1, 10**400, decimal.Decimal("0.1")], ids=type)
def test_objects_that_floats_cannot_carry_are_refused(value):
    X = pd.DataFrame({"n": pd.Series([1, value], dtype=object)})
    with pytest.raises(ValueError, match=r"Column 'n' holds .* which floats cannot carry exactly"):
        FeatureSpace().fit(X)


@pytest.mark.parametrize("value", [300, -129, 1.5])
@pytest.mark.parametrize("dtype", ["int8", "Int8", "int8[pyarrow]"])
def test_numbers_that_the_integer_dtype_of_fit_cannot_hold_are_refused(value, dtype):
    """Written in that dtype they would come back as other numbers."""
    space = FeatureSpace().fit(pd.DataFrame({"n": pd.Series([1, 2], dtype=dtype)}))
    message = rf"'n' had dtype .*8.* in fit, which cannot hold {value}"
    with pytest.raises(ValueError, match=message):
        space.transform(pd.DataFrame({"n": [1, value]}))


DATES = [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]
UNSUPPORTED = {
    "datetime64": pd.DataFrame({"d": pd.to_datetime(DATES)}),
    "timedelta": pd.DataFrame({"d": pd.to_timedelta([1, 2])}),
    "period": pd.DataFrame({"d": pd.period_range("2020", periods=2, freq="D")}),
    "complex": pd.DataFrame({"d": [1j, 2.0]}),
    "arrow timestamp": pd.DataFrame({"d": pd.Series(DATES, dtype="timestamp[ns][pyarrow]")}),
    "arrow date": pd.DataFrame({"d": pd.Series(DATES, dtype=pd.ArrowDtype(pa.date32()))}),
    "polars date": pl.DataFrame({"d": DATES}),
    "polars duration": pl.DataFrame({"d": [datetime.timedelta(1), datetime.timedelta(2)]}),
    "polars list": pl.DataFrame({"d": [[1], [2]]}),
    "polars null": pl.DataFrame({"d": [None, None]}),
    "polars object": pl.DataFrame({"d": pl.Series([1, 2], dtype=pl.Object)}),
}


@pytest.mark.parametrize("X", UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_dtypes_that_are_neither_numbers_nor_categories_are_refused(X):
    with pytest.raises(
        TypeError, match=r"Column 'd' has dtype .*, which is neither a number nor a"
    ):
        FeatureSpace().fit(X)
    container = type(X)
    space = FeatureSpace().fit(container({"d": [1.5, 2.5]}))
    with pytest.raises(TypeError, match=r"Column 'd' has dtype .*, where numbers are expected"):
        space.transform(X)


def test_dates_in_an_array_are_refused():
    X = np.array([["2020-01-01"], ["2021-01-01"]], dtype="datetime64[D]")
    with pytest.raises(TypeError, match="Column 0 has dtype datetime64"):
        FeatureSpace().fit(X)
    with pytest.raises(TypeError, match="Column 0 has dtype datetime64"):
        FeatureSpace().fit(np.zeros((2, 1))).transform(X)


@pytest.mark.parametrize("value", [DATES[0], {"a": 1}, [1, 2], 1j], ids=type)
def test_objects_that_are_no_numbers_are_refused(value):
    X = pd.DataFrame({"n": pd.Series([1, value], dtype=object)})
    with pytest.raises((TypeError, ValueError), match="Column 'n' holds"):
        FeatureSpace().fit(X)
    with pytest.raises((TypeError, ValueError), match="Column 'n' holds"):
        FeatureSpace().fit(pd.DataFrame({"n": [1, 2]})).transform(X)


def test_unhashable_categories_are_refused():
    X = pd.DataFrame({"c": pd.Series(["a", {"a": 1}], dtype=object)})
    message = "Column 'c' holds a value that is neither text nor a number"
    with pytest.raises(TypeError, match=message):
        FeatureSpace(categorical_features=["c"]).fit(X)
    with pytest.raises(TypeError, match=message):
        FeatureSpace().fit(pd.DataFrame({"c": ["a", "b"]})).transform(X)


@pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_sparse_input_is_refused(make):
    with pytest.raises(TypeError, match="Sparse data was passed"):
        FeatureSpace().fit(make(np.eye(3)))


@pytest.mark.parametrize("X", [np.zeros(3), [1, 2, 3], pl.Series([1, 2])], ids=type)
def test_one_dimensional_input_is_refused(X):
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        FeatureSpace().fit(X)


def test_a_pandas_series_is_refused():
    with pytest.raises(ValueError, match=r"Expected (a 2-dimensional container|2D array)"):
        FeatureSpace().fit(pd.Series([1, 2]))


def test_three_dimensional_input_is_refused():
    with pytest.raises(ValueError, match="Found array with dim 3"):
        FeatureSpace().fit(np.zeros((2, 2, 2)))


@pytest.mark.parametrize("container", [np.zeros, None])
def test_empty_input_is_refused(container):
    frames = [pd.DataFrame, pl.DataFrame] if container is None else [lambda X: X]
    for make in frames:
        with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
            FeatureSpace().fit(make(np.zeros((0, 2))))
    for X in (np.zeros((2, 0)), pd.DataFrame(index=[0, 1]), pl.DataFrame()):
        with pytest.raises(ValueError, match=r"Found array with 0 feature\(s\)"):
            FeatureSpace().fit(X)


def test_complex_input_is_refused():
    with pytest.raises(ValueError, match="Complex data not supported"):
        FeatureSpace().fit(np.array([[1j, 2]]))


@pytest.mark.parametrize("columns", [["a", "b", "a"], [1, 2, 1]], ids=str)
def test_columns_of_the_same_name_are_refused(columns):
    X = pd.DataFrame(np.zeros((2, 3)), columns=columns)
    with pytest.raises(ValueError, match=rf"several columns of the same name: \['{columns[0]}'\]"):
        FeatureSpace().fit(X)


def test_names_that_mix_text_and_numbers_are_refused():
    with pytest.raises(TypeError, match="only supported if all input features have string names"):
        FeatureSpace().fit(pd.DataFrame(np.zeros((2, 2)), columns=["a", 1]))


# ---------------------------------------------------------------- errors: parameters

LISTS = ["categorical_features", "integer_features", "immutable_features"]
DICTS = {
    "ordinal_features": SIZES,
    "change_direction": 1,
    "permitted_range": (0, 1),
    "feature_weights": 1.0,
}


@pytest.mark.parametrize("parameter", [*LISTS, *DICTS, "onehot_groups"])
def test_unknown_names_are_refused_with_those_that_there_are(parameter):
    value = {"wage": DICTS.get(parameter)} if parameter in DICTS else ["wage"]
    value = [value] if parameter == "onehot_groups" else value
    message = rf"{parameter} names the column 'wage', which X does not have. X has \['age', 'pay'"
    with pytest.raises(ValueError, match=message):
        FeatureSpace(**{parameter: value}).fit(people())


@pytest.mark.parametrize("parameter", [*LISTS, *DICTS, "onehot_groups"])
@pytest.mark.parametrize("labels", [None, [10, 20]])
def test_names_on_unnamed_columns_are_refused_with_a_hint(parameter, labels):
    value = {"age": DICTS.get(parameter)} if parameter in DICTS else ["age"]
    value = [value] if parameter == "onehot_groups" else value
    X = np.zeros((3, 2)) if labels is None else pd.DataFrame(np.zeros((3, 2)), columns=labels)
    message = rf"{parameter} names the column 'age', but X has no column names: fit on a DataFrame"
    with pytest.raises(ValueError, match=message):
        FeatureSpace(**{parameter: value}).fit(X)


@pytest.mark.parametrize("parameter", [*LISTS, *DICTS, "onehot_groups"])
@pytest.mark.parametrize("position", [5, -6])
def test_positions_out_of_range_are_refused(parameter, position):
    value = {position: DICTS.get(parameter)} if parameter in DICTS else [position]
    value = [value] if parameter == "onehot_groups" else value
    with pytest.raises(ValueError, match=f"names column {position}, but X has 5 columns"):
        FeatureSpace(**{parameter: value}).fit(people())


@pytest.mark.parametrize("key", [1.5, ("a", "b"), None, True])
def test_what_is_neither_name_nor_position_is_refused(key):
    with pytest.raises(TypeError, match="change_direction takes column names or positions, got"):
        FeatureSpace(change_direction={key: 1}).fit(people())


@pytest.mark.parametrize("parameter", LISTS)
def test_masks_of_another_length_are_refused(parameter):
    with pytest.raises(ValueError, match=f"{parameter} is a mask of 2 columns, but X has 5"):
        FeatureSpace(**{parameter: [True, False]}).fit(people())


def test_groups_that_are_no_lists_are_refused():
    with pytest.raises(TypeError, match="onehot_groups takes a list of columns, got the text 'ag"):
        FeatureSpace(onehot_groups=["age", "pay"]).fit(people())


def test_a_column_called_by_name_and_position_is_refused():
    with pytest.raises(ValueError, match="permitted_range gives the same column twice"):
        FeatureSpace(permitted_range={"age": (0, 1), 0: (0, 1)}).fit(people())


def test_groups_that_share_a_column_are_refused():
    with pytest.raises(ValueError, match="onehot_groups names a column twice"):
        FeatureSpace(onehot_groups=[[0, 1], [1, 2]]).fit(HUES)


@pytest.mark.parametrize(
    "X", [[[1, 1], [0, 1]], [[1, 0], [0.5, 0.5]], [[2, 0], [1, 0], [0, 0]], [[0, 0], [1, 1]]]
)
def test_groups_that_are_not_one_hot_are_refused(X):
    X = [*X, [0, 0]]
    with pytest.raises(ValueError, match=r"names \['h_a', 'h_b'\], but they are not one-hot"):
        FeatureSpace(onehot_groups=[[0, 1]]).fit(pd.DataFrame(X, columns=["h_a", "h_b"]))


def test_groups_of_text_are_refused():
    with pytest.raises(ValueError, match=r"Column 'job' holds text \('cook'\), where numbers are"):
        FeatureSpace(onehot_groups=[["member", "job"]]).fit(people())


CLASHES = {
    "integer and categorical": {"integer_features": ["age"], "categorical_features": ["age"]},
    "integer and ordinal": {"integer_features": ["age"], "ordinal_features": {"age": [25, 33]}},
    "integer and group": {"integer_features": ["member"], "onehot_groups": [["member"]]},
    "ordinal and group": {"ordinal_features": {"member": [0, 1]}, "onehot_groups": [["member"]]},
    "integer and text": {"integer_features": ["job"]},
    "integer and bool": {"integer_features": ["member"]},
}


@pytest.mark.parametrize("parameters", CLASHES.values(), ids=CLASHES)
def test_kinds_that_contradict_each_other_are_refused(parameters):
    with pytest.raises(ValueError, match=r"names \['\w+'\], which are categorical already"):
        FeatureSpace(**parameters).fit(people())


@pytest.mark.parametrize("dtype", ["category", "string", "boolean"])
def test_integer_features_of_a_categorical_dtype_are_refused(dtype):
    """Their columns could not hold the numbers that lie between the categories."""
    X = pd.DataFrame({"n": pd.Series([True, False]).astype(dtype)})
    with pytest.raises(ValueError, match=r"integer_features names \['n'\], which are categorical"):
        FeatureSpace(integer_features=["n"]).fit(X)


def test_integer_features_that_hold_fractions_are_refused():
    with pytest.raises(ValueError, match=r"integer_features names 'pay', but it holds 1\.5"):
        FeatureSpace(integer_features=["pay"]).fit(people())


def test_ordinal_features_must_list_what_the_column_holds():
    message = r"ordinal_features\['size'\] lists \['S', 'M'\], but the column also holds \['L'\]"
    with pytest.raises(ValueError, match=message):
        FeatureSpace(ordinal_features={"size": ["S", "M"]}).fit(people())


def test_ordinal_features_that_list_a_category_twice_are_refused():
    message = r"ordinal_features\['size'\] lists a category twice"
    with pytest.raises(ValueError, match=message):
        FeatureSpace(ordinal_features={"size": ["S", "M", "L", "S"]}).fit(people())


@pytest.mark.parametrize("spec", ["SML", 3])
def test_ordinal_features_that_are_no_list_are_refused(spec):
    with pytest.raises(ValueError, match=r"ordinal_features\['size'\] must be a list of categ"):
        FeatureSpace(ordinal_features={"size": spec}).fit(people())


@pytest.mark.parametrize(
    "make", [pd.Categorical, lambda v: pl.Series(v, dtype=pl.Enum(["S", "M"]))]
)
def test_ordinal_features_that_the_dtype_cannot_hold_are_refused(make):
    """A categorical column would turn them into missing values."""
    container = pd.DataFrame if make is pd.Categorical else pl.DataFrame
    X = container({"size": make(["S", "M", "S"])})
    with pytest.raises(ValueError, match=r"which the column's dtype, .*, cannot hold"):
        FeatureSpace(ordinal_features={"size": ["S", "M", "XL"]}).fit(X)


def test_ordinal_numbers_that_the_dtype_would_cut_off_are_refused():
    with pytest.raises(ValueError, match=r"which the column's dtype, dtype.'int64'., cannot hold"):
        FeatureSpace(ordinal_features={0: [1, 1.5, 2]}).fit(np.array([[1], [2]]))


@pytest.mark.parametrize("sign", [0, 2, "up", None, True, np.True_])
def test_directions_other_than_one_and_minus_one_are_refused(sign):
    with pytest.raises(
        ValueError, match=r"change_direction\['age'\] must be \+1 \(may only rise\)"
    ):
        FeatureSpace(change_direction={"age": sign}).fit(people())


@pytest.mark.parametrize("name", ["job", "member"])
def test_directions_of_nominal_categories_are_refused(name):
    message = f"change_direction names '{name}', whose categories have no order: declare it in ord"
    with pytest.raises(ValueError, match=message):
        FeatureSpace(change_direction={name: 1}).fit(people())


def test_directions_of_a_group_are_refused():
    space = FeatureSpace(onehot_groups=[[0, 1, 2]], change_direction={0: 1})
    with pytest.raises(ValueError, match="whose categories have no order"):
        space.fit(HUES)


@pytest.mark.parametrize("spec", [(3, 1), (np.nan, 1), (0, np.nan)])
def test_ranges_with_low_above_high_are_refused(spec):
    with pytest.raises(
        ValueError, match=r"permitted_range\['age'\] must have low <= high, got low"
    ):
        FeatureSpace(permitted_range={"age": spec}).fit(people())


@pytest.mark.parametrize("spec", [3, (1,), (1, 2, 3), ("a", "b"), (None, 3), None])
def test_ranges_that_are_no_pair_of_numbers_are_refused(spec):
    with pytest.raises(ValueError, match=r"permitted_range\['age'\] must be \(low, high\), got"):
        FeatureSpace(permitted_range={"age": spec}).fit(people())


@pytest.mark.parametrize(
    ("dtype", "spec"),
    [("int64", (1.2, 1.8)), ("uint8", (-5, -1)), ("int8", (200, 300)), ("float32", (0.1, 0.1))],
)
def test_ranges_that_hold_no_value_of_the_column_are_refused(dtype, spec):
    X = pd.DataFrame({"a": np.array([0, 1], dtype=dtype)})
    with pytest.raises(ValueError, match=r"permitted_range\['a'\] = .* holds no (whole )?number"):
        FeatureSpace(permitted_range={"a": spec}).fit(X)


def test_ranges_that_name_unknown_categories_are_refused():
    message = r"permitted_range\['job'\] names \['chef'\], which fit did not see. Its categories"
    with pytest.raises(ValueError, match=message):
        FeatureSpace(permitted_range={"job": ["cook", "chef"]}).fit(people())


@pytest.mark.parametrize("spec", ["cook", 3])
def test_category_ranges_that_are_no_list_are_refused(spec):
    with pytest.raises(ValueError, match=r"permitted_range\['job'\] must be a list of categories"):
        FeatureSpace(permitted_range={"job": spec}).fit(people())


def test_ordinal_ranges_with_low_above_high_are_refused():
    space = FeatureSpace(ordinal_features={"size": SIZES}, permitted_range={"size": ("L", "S")})
    with pytest.raises(ValueError, match=r"permitted_range\['size'\] must have low <= high in the"):
        space.fit(people())


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"permitted_range": {"job": []}}, "job"),
        ({"permitted_range": {"hue_r": (5, 6)}, "onehot_groups": [["hue_r", "hue_g"]]}, "hue"),
    ],
)
def test_ranges_that_leave_no_category_are_refused(parameters, name):
    X = people().join(hued(HUES[:, :2]).drop(columns="age"))
    with pytest.raises(ValueError, match=f"permitted_range leaves no category of '{name}'"):
        FeatureSpace(**parameters).fit(X)


def test_ranges_of_group_members_are_pairs():
    space = FeatureSpace(onehot_groups=[[0, 1, 2]], permitted_range={0: [0]})
    with pytest.raises(ValueError, match=r"must be \(low, high\), got \[0\]"):
        space.fit(HUES)


def test_weights_of_another_length_are_refused():
    with pytest.raises(ValueError, match="feature_weights has 2 weights, but X has 5 columns"):
        FeatureSpace(feature_weights=[1, 2]).fit(people())


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf])
def test_weights_that_are_negative_or_not_finite_are_refused(weight):
    with pytest.raises(ValueError, match=r"feature_weights\['pay'\] must be finite and at least 0"):
        FeatureSpace(feature_weights={"pay": weight}).fit(people())


@pytest.mark.parametrize("weights", [{"pay": "much"}, ["a"] * 5, {"pay": None}, [[1, 2]] * 5])
def test_weights_that_are_no_numbers_are_refused(weights):
    with pytest.raises(ValueError, match="feature_weights must be numbers, one a column, got"):
        FeatureSpace(feature_weights=weights).fit(people())


def test_members_of_a_group_with_different_weights_are_refused():
    space = FeatureSpace(onehot_groups=[[0, 1, 2]], feature_weights=[1, 2, 1])
    with pytest.raises(ValueError, match=r"group '0\|1\|2' different weights: \[1\.0, 2\.0\]"):
        space.fit(HUES)


@pytest.mark.parametrize(
    "parameters",
    [
        {"scale": "variance"},
        {"categorical_features": "auto"},
        {"integer_features": "age"},
        {"immutable_features": "age"},
        {"change_direction": ["age"]},
        {"permitted_range": ["age"]},
        {"ordinal_features": ["age"]},
        {"feature_weights": 1.0},
        {"onehot_groups": "age"},
    ],
    ids=str,
)
def test_parameters_of_another_type_are_refused(parameters):
    with pytest.raises(InvalidParameterError, match=f"The '{next(iter(parameters))}' parameter of"):
        FeatureSpace(**parameters).fit(people())


@pytest.mark.parametrize("method", ["cost", "pairwise_cost"])
def test_unknown_metrics_and_exponents_are_refused(method):
    space = FeatureSpace().fit(people())
    with pytest.raises(ValueError, match=r"metric must be one of \('cityblock', .* got 'cosine'"):
        getattr(space, method)(people(), people(), metric="cosine")
    for exponent in (0, -1, np.nan, "2", None):
        with pytest.raises(ValueError, match="exponent must be a positive number, got"):
            getattr(space, method)(people(), people(), exponent=exponent)


UNFITTED = {
    "transform": 1,
    "inverse_transform": 1,
    "project": 2,
    "project_rows": 2,
    "feasible": 2,
    "cost": 2,
    "pairwise_cost": 2,
}


@pytest.mark.parametrize("method", UNFITTED)
def test_a_space_that_is_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match="This FeatureSpace instance is not fitted yet"):
        getattr(FeatureSpace(), method)(*[np.zeros((2, 2))] * UNFITTED[method])
    with pytest.raises(NotFittedError, match="This FeatureSpace instance is not fitted yet"):
        FeatureSpace().get_feature_names_out()


# ---------------------------------------------------------------- as an estimator

RICH = {
    "ordinal_features": {"size": SIZES},
    "immutable_features": ["member"],
    "change_direction": {"age": +1},
    "permitted_range": {"job": ["cook"], "pay": (1, 3)},
    "feature_weights": {"age": 2.0},
}


def test_a_pickled_space_works_like_the_original():
    space = FeatureSpace(**RICH).fit(people())
    copy = pickle.loads(pickle.dumps(space))
    X = people().assign(job="new", age=[26, 39, 62, 33])
    np.testing.assert_array_equal(copy.transform(X), space.transform(X))
    np.testing.assert_array_equal(copy.cost(people(), X), space.cost(people(), X))
    pd.testing.assert_frame_equal(copy.project_rows(X, people()), space.project_rows(X, people()))


@pytest.mark.parametrize("container", [pl.DataFrame, np.array])
def test_a_pickled_space_of_any_container_works(container):
    X = pl.DataFrame({"a": ["x", "y"]}) if container is pl.DataFrame else np.array([["x"], ["y"]])
    copy = pickle.loads(pickle.dumps(FeatureSpace().fit(X)))
    assert type(copy.inverse_transform(copy.transform(X))) is type(X)


def test_a_clone_has_the_parameters_and_no_fit():
    space = FeatureSpace(**RICH).fit(people())
    copy = clone(space)
    assert copy.get_params() == space.get_params()
    assert not hasattr(copy, "encoding_")


def test_fit_changes_no_parameter():
    space = FeatureSpace(**RICH)
    before = pickle.dumps(space.get_params())
    space.fit(people())
    assert pickle.dumps(space.get_params()) == before


def test_refitting_forgets_the_earlier_fit():
    space = FeatureSpace().fit(people()).fit(np.zeros((2, 1)))
    assert space.n_features_in_ == 1
    assert not hasattr(space, "feature_names_in_")
    assert space.feature_kinds_ == {0: "continuous"}


def test_feature_names_out_are_those_of_the_columns():
    space = FeatureSpace().fit(people())
    names = space.get_feature_names_out()
    assert names.dtype == object
    assert list(names) == list(people().columns)
    assert list(space.get_feature_names_out(people().columns)) == list(names)
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        space.get_feature_names_out(["a", "b", "c", "d", "e"])


def test_feature_names_out_of_an_array_are_made_up_or_given():
    space = FeatureSpace().fit(np.zeros((2, 2)))
    assert list(space.get_feature_names_out()) == ["x0", "x1"]
    assert list(space.get_feature_names_out(["a", "b"])) == ["a", "b"]
    with pytest.raises(ValueError, match=r"length equal to number of features \(2\), got 1"):
        space.get_feature_names_out(["a"])


@pytest.mark.parametrize("fitted", [pd.DataFrame, pl.DataFrame])
def test_set_output_gives_frames(fitted):
    X = people().drop(columns="job") if fitted is pd.DataFrame else pl.DataFrame({"a": [1, 2]})
    if fitted is pd.DataFrame:
        X.index = list("wxyz")
    space = FeatureSpace().set_output(transform="pandas").fit(X)
    Z = space.transform(X)
    assert isinstance(Z, pd.DataFrame)
    assert list(Z.columns) == list(X.columns)
    if fitted is pd.DataFrame:
        assert list(Z.index) == list("wxyz")
        pd.testing.assert_frame_equal(space.inverse_transform(Z), X)
    else:
        assert space.inverse_transform(Z).equals(X)
    Z = space.set_output(transform="polars").transform(X)
    assert isinstance(Z, pl.DataFrame)
    assert Z.columns == list(X.columns)
    assert space.inverse_transform(Z).shape == X.shape


def test_a_space_works_in_a_pipeline():
    pipeline = make_pipeline(FeatureSpace(ordinal_features={"size": SIZES}), StandardScaler())
    assert pipeline.fit_transform(people()).shape == (4, 5)
    assert list(pipeline.get_feature_names_out()) == list(people().columns)


def test_failed_refit_leaves_the_old_fit():
    X = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]})
    space = FeatureSpace(immutable_features=["a"]).fit(X)
    attributes = dict(vars(space))
    with pytest.raises(ValueError, match="which X does not have"):
        space.fit(X.rename(columns={"a": "c"}))
    assert vars(space) == attributes
    pd.testing.assert_frame_equal(space.inverse_transform(space.transform(X)), X)
