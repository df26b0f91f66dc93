"""FeatureSpace: rows come back from their encoding exactly as they went in."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcf import FeatureSpace

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


def assert_same_cells(first, second):
    """Cells of one type and value: None is not NaN, 1 is not 1.0."""
    for a, b in zip(first, second, strict=True):
        assert type(a) is type(b), (a, b)
        assert a is b or a == b or (a != a and b != b), (a, b)


def assert_same_frame(X, back):
    assert type(back) is type(X)
    if isinstance(X, pl.DataFrame):
        assert back.schema == X.schema
        for name in X.columns:
            assert_same_cells(X[name].to_list(), back[name].to_list())
        return
    pd.testing.assert_frame_equal(X, back, check_exact=True, check_column_type="exact")
    for j in range(X.shape[1]):
        assert_same_cells(X.iloc[:, j].astype(object), back.iloc[:, j].astype(object))


def assert_round_trip(X, index_kept=False, **parameters):
    """With a reference, without one, and from a DataFrame of codes."""
    space = FeatureSpace(**parameters).fit(X)
    Z = space.transform(X)
    assert Z.dtype == np.float64
    assert_same_frame(X, space.inverse_transform(Z, reference=X))
    if isinstance(X, pd.DataFrame):
        coded = pd.DataFrame(Z, index=X.index)
        assert_same_frame(X, space.inverse_transform(coded))
        assert_same_frame(X.reset_index(drop=True), space.inverse_transform(Z))
    else:
        assert_same_frame(X, space.inverse_transform(Z))
    return space


# ---------------------------------------------------------------- pandas, dtype by dtype

NUMPY_NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NULLABLE_INTEGERS = ["Int8", "Int16", "Int32", "Int64", "UInt8", "UInt64"]
ARROW_INTEGERS = ["int64[pyarrow]", "int8[pyarrow]", "uint8[pyarrow]"]
FLOATS = ["float16", "float32", "float64", "Float32", "Float64"]
ARROW_FLOATS = ["double[pyarrow]", "float[pyarrow]"]
TEXTS = ["object", "str", "string", "string[python]", "string[pyarrow]", "category"]
UNORDERED = pd.CategoricalDtype(["z", "b", "a", "unused"])
ORDERED = pd.CategoricalDtype(["z", "b", "a", "unused"], ordered=True)


def one_column(values, dtype):
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)}).set_axis([7, 3, 7, 5])


@pytest.mark.parametrize("dtype", NUMPY_NUMBERS + NULLABLE_INTEGERS + ARROW_INTEGERS)
def test_pandas_integers_come_back(dtype):
    space = assert_round_trip(one_column([3, 0, 100, 3], dtype))
    assert space.feature_kinds_ == {"a": "integer"}


@pytest.mark.parametrize("dtype", NULLABLE_INTEGERS + ARROW_INTEGERS)
def test_pandas_integers_with_missing_values_come_back(dtype):
    space = assert_round_trip(one_column([3, None, 100, None], dtype))
    assert space.feature_kinds_ == {"a": "integer"}


@pytest.mark.parametrize("dtype", ["int8", "int64", "Int64", "int64[pyarrow]"])
def test_pandas_extreme_integers_come_back(dtype):
    largest = 127 if dtype == "int8" else 2**53 - 1
    assert_round_trip(one_column([-largest, largest, 0, 1 - largest], dtype))


@pytest.mark.parametrize("dtype", FLOATS + ARROW_FLOATS)
@pytest.mark.parametrize("last", [-0.5, None])
def test_pandas_floats_come_back(dtype, last):
    values = np.array([0.1, 1 / 3, 1e-3, np.nan if last is None else last], dtype="float64")
    numpy_dtype = {"float16": "float16", "float[pyarrow]": "float32"}.get(dtype, dtype.lower())
    if "pyarrow" not in dtype:
        values = values.astype(numpy_dtype)
    space = assert_round_trip(one_column(values, dtype))
    assert space.feature_kinds_ == {"a": "continuous"}


@pytest.mark.parametrize("dtype", [*TEXTS, UNORDERED, ORDERED], ids=str)
@pytest.mark.parametrize("gap", ["b", None])
def test_pandas_text_and_categories_come_back(dtype, gap):
    space = assert_round_trip(one_column(["b", "a", gap, "a"], dtype))
    assert space.feature_kinds_ == {"a": "ordinal" if dtype is ORDERED else "category"}


@pytest.mark.parametrize("dtype", ["bool", "boolean", "bool[pyarrow]", "object"])
@pytest.mark.parametrize("gap", [True, None])
def test_pandas_booleans_come_back(dtype, gap):
    if dtype == "bool" and gap is None:
        pytest.skip("numpy's bool has no missing value")
    space = assert_round_trip(one_column([True, False, gap, False], dtype))
    assert space.feature_kinds_ == {"a": "category"}
    assert space.categories_ == {"a": [False, True]}


def test_integer_categories_of_a_pandas_categorical_come_back():
    space = assert_round_trip(one_column([30, 10, 20, 10], "category"))
    assert space.feature_kinds_ == {"a": "category"}
    assert space.categories_ == {"a": [10, 20, 30]}


def test_interval_categories_come_back():
    X = pd.DataFrame({"a": pd.cut([1.0, 5.0, 9.0, 5.5], 3)})
    assert assert_round_trip(X).feature_kinds_ == {"a": "ordinal"}


def test_dates_come_back_as_categories_where_they_are_named():
    X = pd.DataFrame({"a": pd.to_datetime(["2020-01-01", "2021-05-01", None])})
    assert_round_trip(X, categorical_features=["a"])


@pytest.mark.parametrize("markers", [(None, np.nan), (np.nan, pd.NA), (pd.NA, None)], ids=str)
def test_missing_value_markers_of_an_object_column_come_back_from_the_reference(markers):
    for values in (["x", *markers, "y"], [1, *markers, 2], [1.5, *markers, 2.5]):
        X = pd.DataFrame({"a": pd.Series(values, dtype=object)})
        space = FeatureSpace().fit(X)
        assert_same_frame(X, space.inverse_transform(space.transform(X), reference=X))


@pytest.mark.parametrize("marker", [None, np.nan, pd.NA], ids=str)
def test_the_missing_value_marker_seen_in_fit_is_the_default(marker):
    for values in (["x", marker, "y"], [1, marker, 2], [1.5, marker, 2.5]):
        assert_round_trip(pd.DataFrame({"a": pd.Series(values, dtype=object)}))


def test_whole_numbers_of_an_object_column_stay_integers():
    space = assert_round_trip(pd.DataFrame({"a": pd.Series([1, 5, None], dtype=object)}))
    assert space.feature_kinds_ == {"a": "integer"}


@pytest.mark.parametrize("gap", [None, np.nan])
def test_columns_that_are_missing_throughout_come_back(gap):
    X = pd.DataFrame({"a": [1.0, 2.0], "b": pd.Series([gap, gap], dtype=object), "c": [np.nan] * 2})
    assert_round_trip(X)


# ---------------------------------------------------------------- pandas, labels

INDEXES = {
    "text": ["q", "r", "p", "q"],
    "dates": pd.date_range("2024-01-31", periods=4, freq="D", name="day"),
    "multi": pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 0), ("a", 2)], names=["k", "n"]),
    "range": pd.RangeIndex(10, 2, -2, name="r"),
    "categories": pd.CategoricalIndex(["u", "v", "u", "u"]),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_any_index_is_kept(index):
    X = pd.DataFrame({"a": [1, 2, 3, 4], "b": ["x", None, "y", "x"]}, index=index)
    assert_round_trip(X)
    space = FeatureSpace().fit(X)
    assert_same_frame(X, space.project_rows(X, X))


COLUMNS = {
    "integers": [10, 20],
    "tuples": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]),
    "named": pd.Index(["p", "q"], name="variable"),
    "dates": pd.date_range("2024-01-01", periods=2),
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
def test_any_column_labels_are_kept(columns):
    X = pd.DataFrame([[1.5, True], [2.5, False]], columns=columns)
    assert_round_trip(X)


def test_column_order_is_kept_around_a_onehot_group():
    X = pd.DataFrame({"hue_r": [1, 0, 0], "age": [3.5, 4.5, 5.5], "hue_g": [0, 1, 0]})
    space = assert_round_trip(X, onehot_groups=[["hue_g", "hue_r"]])
    assert list(space.feature_kinds_) == ["hue", "age"]


def test_encoding_writes_into_neither_rows_nor_codes():
    X = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", "y"], "c": [1, 2]})
    before = X.copy(deep=True)
    space = FeatureSpace(permitted_range={"a": (5, 6)}).fit(X)
    Z = space.transform(X)
    kept = Z.copy()
    rows = space.inverse_transform(Z)
    rows.iloc[:, 0] = -1.0
    projected = space.project(Z, Z)
    projected[:] = -1
    np.testing.assert_array_equal(Z, kept)
    Z[:] = -1
    assert_same_frame(before, X)


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame])
def test_decoded_rows_do_not_follow_their_codes(container):
    """A frame that shared the memory of the codes would change with them."""
    X = container({"a": [1.0, 2.0]})
    space = FeatureSpace().fit(X)
    Z = np.asfortranarray(space.transform(X))
    rows = space.inverse_transform(Z)
    Z[:] = 9
    assert_same_frame(X, rows)


# ---------------------------------------------------------------- polars

POLARS_INTEGERS = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]
ENUM = pl.Enum(["z", "b", "a", "unused"])


@pytest.mark.parametrize("dtype", POLARS_INTEGERS, ids=str)
@pytest.mark.parametrize("gap", [4, None])
def test_polars_integers_come_back(dtype, gap):
    space = assert_round_trip(pl.DataFrame({"a": pl.Series([3, gap, 100], dtype=dtype)}))
    assert space.feature_kinds_ == {"a": "integer"}


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64], ids=str)
@pytest.mark.parametrize("gap", [4.5, None, np.nan])
def test_polars_floats_come_back(dtype, gap):
    space = assert_round_trip(pl.DataFrame({"a": pl.Series([0.1, gap, 1 / 3], dtype=dtype)}))
    assert space.feature_kinds_ == {"a": "continuous"}


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64], ids=str)
def test_polars_null_and_nan_in_one_column_come_back_from_the_reference(dtype):
    X = pl.DataFrame({"a": pl.Series([0.1, None, np.nan, 2.0, None], dtype=dtype)})
    space = FeatureSpace().fit(X)
    assert_same_frame(X, space.inverse_transform(space.transform(X), reference=X))


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, ENUM], ids=str)
@pytest.mark.parametrize("gap", ["b", None])
def test_polars_text_and_categories_come_back(dtype, gap):
    space = assert_round_trip(pl.DataFrame({"a": pl.Series(["b", gap, "a"], dtype=dtype)}))
    assert space.feature_kinds_ == {"a": "category"}


@pytest.mark.parametrize("gap", [True, None])
def test_polars_booleans_come_back(gap):
    space = assert_round_trip(pl.DataFrame({"a": [True, gap, False]}))
    assert space.feature_kinds_ == {"a": "category"}


def test_polars_onehot_groups_come_back_with_their_dtypes():
    X = pl.DataFrame(
        {
            "hue_r": pl.Series([1, 0, 0], dtype=pl.UInt8),
            "age": [3.5, 4.5, 5.5],
            "hue_g": [False, True, False],
        }
    )
    assert_round_trip(X, onehot_groups=[["hue_r", "hue_g"]])


# ---------------------------------------------------------------- numpy

ARRAYS = ["float16", "float32", "float64", "int8", "int64", "uint8", "bool", "U5", "S5"]


@pytest.mark.parametrize("dtype", ARRAYS)
def test_arrays_come_back(dtype):
    X = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype)
    space = FeatureSpace().fit(X)
    for reference in (None, X):
        back = space.inverse_transform(space.transform(X), reference=reference)
        assert back.dtype == X.dtype
        np.testing.assert_array_equal(back, X)


def test_object_arrays_come_back():
    X = np.array([[1.5, "a", None], [np.nan, None, 3], [2.0, "b", 4]], dtype=object)
    space = FeatureSpace(categorical_features=[1]).fit(X)
    assert space.feature_kinds_ == {0: "continuous", 1: "category", 2: "integer"}
    for reference in (None, X):
        back = space.inverse_transform(space.transform(X), reference=reference)
        assert back.dtype == object
        for row, other in zip(X, back, strict=True):
            assert_same_cells(row, other)


def test_float_categories_of_an_array_come_back():
    X = np.array([[0.1, 5], [0.3, 6], [np.nan, 7]], dtype="float32")
    space = FeatureSpace(categorical_features=[0]).fit(X)
    back = space.inverse_transform(space.transform(X))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, X)


def test_declared_categories_longer_than_those_seen_are_not_cut_short():
    X = np.array([["low"], ["top"]])
    space = FeatureSpace(ordinal_features={0: ["low", "medium", "top"]}).fit(X)
    assert space.inverse_transform([[1.0]])[0, 0] == "medium"


def test_lists_are_taken_like_arrays():
    X = [[1.0, 2.0], [3.0, 4.0]]
    space = FeatureSpace().fit(X)
    np.testing.assert_array_equal(space.inverse_transform(space.transform(X).tolist()), X)
    mixed = FeatureSpace(categorical_features=[1]).fit([[1, "a"], [2, "b"]])
    assert mixed.inverse_transform(mixed.transform([[2, "b"]])).tolist() == [[2, "b"]]


# ---------------------------------------------------------------- hypothesis

GAPS = st.just(None)
SMALL = st.integers(0, 100)
WORDS = st.sampled_from(["", "a", "b", "ü", "nan", "None", "0"])
REALS = st.floats(allow_infinity=False, allow_nan=False, width=16)
PANDAS_COLUMNS = {
    **dict.fromkeys([*NUMPY_NUMBERS], SMALL),
    **dict.fromkeys([*NULLABLE_INTEGERS, *ARROW_INTEGERS], SMALL | GAPS),
    **dict.fromkeys([*FLOATS, *ARROW_FLOATS], REALS | GAPS),
    **dict.fromkeys(TEXTS, WORDS | GAPS),
    "bool": st.booleans(),
    "boolean": st.booleans() | GAPS,
    "object": WORDS | GAPS | st.just(np.nan),
}


@st.composite
def pandas_frames(draw):
    n_rows = draw(st.integers(1, 6))
    dtypes = draw(st.lists(st.sampled_from(sorted(PANDAS_COLUMNS)), min_size=1, max_size=4))
    rows = st.integers(n_rows, n_rows)
    columns = {}
    for j, dtype in enumerate(dtypes):
        size = draw(rows)
        values = draw(st.lists(PANDAS_COLUMNS[dtype], min_size=size, max_size=size))
        columns[f"{dtype} {j}"] = pd.Series(values, dtype=dtype)
    index = draw(st.lists(st.sampled_from("pqr"), min_size=n_rows, max_size=n_rows))
    return pd.DataFrame(columns).set_axis(index)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(pandas_frames())
def test_any_pandas_frame_comes_back(X):
    space = FeatureSpace().fit(X)
    Z = space.transform(X)
    assert_same_frame(X, space.inverse_transform(Z, reference=X))
    np.testing.assert_array_equal(
        space.transform(space.inverse_transform(pd.DataFrame(Z, index=X.index))), Z
    )


POLARS_COLUMNS = {
    pl.Int8: SMALL | GAPS,
    pl.UInt64: SMALL | GAPS,
    pl.Float32: REALS | GAPS | st.just(np.nan),
    pl.Float64: REALS | GAPS | st.just(np.nan),
    pl.String: WORDS | GAPS,
    pl.Categorical: WORDS | GAPS,
    pl.Boolean: st.booleans() | GAPS,
    ENUM: st.sampled_from(["a", "b", "z"]) | GAPS,
}


@st.composite
def polars_frames(draw):
    n_rows = draw(st.integers(1, 6))
    dtypes = draw(st.lists(st.sampled_from(list(POLARS_COLUMNS)), min_size=1, max_size=4))
    columns = []
    for j, dtype in enumerate(dtypes):
        values = draw(st.lists(POLARS_COLUMNS[dtype], min_size=n_rows, max_size=n_rows))
        columns.append(pl.Series(f"c{j}", values, dtype=dtype))
    return pl.DataFrame(columns)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(polars_frames())
def test_any_polars_frame_comes_back(X):
    space = FeatureSpace().fit(X)
    Z = space.transform(X)
    assert_same_frame(X, space.inverse_transform(Z, reference=X))
    np.testing.assert_array_equal(space.transform(space.inverse_transform(Z)), Z)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.lists(
        st.tuples(st.floats(allow_infinity=False, allow_nan=True), st.floats(-1e300, 1e300)),
        min_size=1,
        max_size=5,
    )
)
def test_any_float_array_comes_back_to_the_bit(rows):
    X = np.array(rows)
    space = FeatureSpace().fit(np.zeros((2, 2)))
    back = space.inverse_transform(space.transform(X), reference=X)
    np.testing.assert_array_equal(back, X)
    numbers = ~np.isnan(X)
    assert back[numbers].tobytes() == X[numbers].tobytes()  # -0.0 too


# ---------------------------------------------------------------- queries unlike fit

UNSEEN_CASES = {
    "object": one_column(["new", "a", None, "other"], "object"),
    "str": one_column(["new", "a", None, "other"], "str"),
    "string": one_column(["new", "a", None, "other"], "string"),
    "string[pyarrow]": one_column(["new", "a", None, "other"], "string[pyarrow]"),
    "category": one_column(["new", "a", None, "other"], "category"),
    "ordered": one_column(["unused", "a", None, "unused"], ORDERED),
}


@pytest.mark.parametrize("name", UNSEEN_CASES)
def test_unseen_pandas_categories_are_kept_from_the_reference(name):
    query = UNSEEN_CASES[name]
    dtype = query["a"].dtype if name == "ordered" else name
    seen = one_column(["b", "a", None, "b"], dtype)
    space = FeatureSpace().fit(seen)
    if name == "ordered":  # its declared categories are all known
        assert space.categories_["a"] == ["z", "b", "a", "unused"]
    else:
        np.testing.assert_array_equal(space.transform(query)[:, 0], [-1, 0, np.nan, -1])
    back = space.inverse_transform(space.transform(query), reference=query)
    assert back["a"].dropna().tolist() == query["a"].dropna().tolist()
    assert back["a"].isna().tolist() == query["a"].isna().tolist()
    if name != "category":  # a categorical has to learn the new ones
        assert back["a"].dtype == query["a"].dtype


def test_a_category_of_the_dtype_that_fit_did_not_see_is_unseen():
    X = one_column(["b", "a", "b", "a"], UNORDERED)
    space = FeatureSpace().fit(X)
    query = one_column(["unused", "a", "z", "b"], UNORDERED)
    assert space.categories_ == {"a": ["a", "b"]}
    assert space.transform(query)[:, 0].tolist() == [-1, 0, -1, 1]
    assert_same_frame(query, space.inverse_transform(space.transform(query), reference=query))


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, ENUM], ids=str)
@pytest.mark.parametrize("query_dtype", [pl.String, pl.Categorical, pl.Enum(["new", "a"])], ids=str)
def test_unseen_polars_categories_are_kept_from_the_reference(dtype, query_dtype):
    space = FeatureSpace().fit(pl.DataFrame({"a": pl.Series(["b", "a"], dtype=dtype)}))
    query = pl.DataFrame({"a": pl.Series(["new", None, "a"], dtype=query_dtype)})
    np.testing.assert_array_equal(space.transform(query)[:, 0], [-1, np.nan, 0])
    back = space.inverse_transform(space.transform(query), reference=query)
    assert back["a"].cast(pl.String).to_list() == ["new", None, "a"]
    assert type(back["a"].dtype) is type(space.inverse_transform([[0.0]])["a"].dtype)


def test_an_enum_of_fit_keeps_its_dtype_where_nothing_is_unseen():
    X = pl.DataFrame({"a": pl.Series(["b", "a"], dtype=ENUM)})
    query = X.cast(pl.Enum(["a", "b", "never"]))
    space = FeatureSpace().fit(X)
    back = space.inverse_transform(space.transform(query), reference=query)
    assert back.schema == X.schema


def test_unseen_onehot_rows_are_kept_from_the_reference():
    X = np.array([[1.0, 0, 5], [0, 1, 6]])
    space = FeatureSpace(onehot_groups=[[0, 1]]).fit(X)
    query = np.array([[0.0, 0, 5], [1, 0, 6]])
    assert space.transform(query).tolist() == [[-1, 5], [1, 6]]
    back = space.inverse_transform(space.transform(query), reference=query)
    np.testing.assert_array_equal(back, query)


MISSING_LATER = {
    "bool": (one_column([True, False, True, True], "bool"), [True, None, False, True]),
    "int64": (one_column([1, 2, 3, 4], "int64"), [1, None, 2, 3]),
    "text": (one_column(["a", "b", "a", "a"], "object"), ["b", None, "a", "a"]),
    "whole": (one_column([1, 2, 3, 4], "Int64"), [1, None, 2, 3]),
}


@pytest.mark.parametrize(("seen", "values"), MISSING_LATER.values(), ids=MISSING_LATER)
@pytest.mark.parametrize("as_categories", [False, True])
def test_missing_values_that_fit_did_not_see_are_kept(seen, values, as_categories):
    """Written in a dtype that has no missing values, None would turn into False or fail."""
    space = FeatureSpace(categorical_features=["a"] if as_categories else None).fit(seen)
    query = one_column(values, "object")
    Z = space.transform(query)
    assert np.isnan(Z[1, 0])
    assert np.isfinite(Z[[0, 2, 3], 0]).all()
    back = space.inverse_transform(Z, reference=query)
    assert back["a"].isna().tolist() == [False, True, False, False]
    assert back["a"].dropna().tolist() == query["a"].dropna().tolist()


def test_missing_values_that_an_integer_array_did_not_have_are_kept():
    space = FeatureSpace().fit(np.array([[1, 2], [3, 4]]))
    query = np.array([[1, np.nan], [3, 4]])
    np.testing.assert_array_equal(
        space.inverse_transform(space.transform(query), reference=query), query
    )


def test_unseen_integer_categories_beyond_the_dtype_of_fit_are_kept():
    space = FeatureSpace(categorical_features=["a"]).fit(one_column([1, 2, 3, 1], "int8"))
    query = one_column([1, 300, 2, 3], "int64")
    back = space.inverse_transform(space.transform(query), reference=query)
    assert back["a"].tolist() == [1, 300, 2, 3]


def test_unseen_polars_categories_beyond_the_dtype_of_fit_are_kept():
    seen = pl.DataFrame({"a": pl.Series([1, 2], dtype=pl.Int8)})
    space = FeatureSpace(categorical_features=["a"]).fit(seen)
    query = pl.DataFrame({"a": [1, 300]})
    back = space.inverse_transform(space.transform(query), reference=query)
    assert back["a"].to_list() == [1, 300]


def test_wider_dtypes_are_written_as_fit_saw_them():
    X = one_column([1, 2, 3, 4], "int8").assign(b=np.float32([0.1, 0.2, 0.3, 0.4]))
    space = FeatureSpace().fit(X)
    back = space.inverse_transform(space.transform(X.astype({"a": "int64"})), reference=X)
    assert_same_frame(X, back)
    codes = pd.DataFrame(space.transform(X.astype("float64")), index=X.index)
    assert_same_frame(X, space.inverse_transform(codes))


def test_floats_are_read_in_the_precision_of_fit():
    space = FeatureSpace(immutable_features=["a"]).fit(one_column([1, 2, 3, 4], "float32"))
    query = one_column([0.1, 0.2, 0.3, 0.7], "float64")
    Z = space.transform(query)
    np.testing.assert_array_equal(Z[:, 0], np.float32([0.1, 0.2, 0.3, 0.7]))
    assert space.feasible(query, space.inverse_transform(Z)).all()


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame])
def test_rows_say_which_reference_each_encoded_row_has(container):
    """Several candidates of one query are decoded at once."""
    space = FeatureSpace().fit(container({"n": [1, 2], "x": [0.5, 1.5], "job": ["a", "b"]}))
    X = container({"n": [5, 6], "x": [2.5, None], "job": ["new", "other"]})
    origin, rows = space._tabulate(X), np.array([1, 0, 1])
    decode = space.encoding_.decoder(origin)
    Z = space.transform(X)[rows]
    back = decode(Z, rows).container()
    assert list(back["job"]) == ["other", "new", "other"]
    assert list(back["n"]) == [6, 5, 6]
    assert [x is None or x != x for x in back["x"]] == [True, False, True]
    again = space.encoding_.encode(space._tabulate(back), origin, rows)
    np.testing.assert_array_equal(again, Z)
    astray = space.encoding_.encode(space._tabulate(back), origin, 1 - rows)
    assert astray[:, 2].tolist() == [-2, -2, -2]


# ---------------------------------------------------------------- other containers than fit


def mixed_pandas():
    return pd.DataFrame(
        {"n": [1, 2, 3], "x": [0.5, 1.5, np.nan], "t": ["u", None, "v"], "b": [True, False, True]}
    )


def mixed_polars():
    return pl.DataFrame(
        {"n": [1, 2, 3], "x": [0.5, 1.5, None], "t": ["u", None, "v"], "b": [True, False, True]}
    )


@pytest.mark.parametrize("fitted", [mixed_pandas, mixed_polars])
@pytest.mark.parametrize("asked", [mixed_pandas, mixed_polars])
def test_rows_come_back_in_the_container_that_they_came_in(fitted, asked):
    X = asked()
    space = FeatureSpace().fit(fitted())
    np.testing.assert_array_equal(space.transform(X), space.transform(fitted()))
    assert_same_frame(X, space.inverse_transform(space.transform(X), reference=X))
    assert_same_frame(X, space.project_rows(X, X))


def test_narrow_dtypes_of_the_other_container_are_kept():
    space = FeatureSpace().fit(mixed_pandas())
    X = mixed_polars().cast({"n": pl.Int8, "x": pl.Float32, "t": pl.Categorical})
    assert_same_frame(X, space.inverse_transform(space.transform(X), reference=X))


@pytest.mark.parametrize("fitted", [mixed_pandas, mixed_polars])
def test_arrays_go_through_a_space_of_frames_with_scikit_learns_warning(fitted):
    space = FeatureSpace().fit(fitted())
    X = mixed_pandas().to_numpy(dtype=object)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        Z = space.transform(X)
    np.testing.assert_array_equal(Z, space.transform(fitted()))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        back = space.inverse_transform(Z, reference=X)
    assert isinstance(back, np.ndarray)
    assert back.dtype == object
    for row, other in zip(X, back, strict=True):
        assert pd.Series(row, dtype=object).equals(pd.Series(other, dtype=object))


@pytest.mark.parametrize("fitted", [mixed_pandas, mixed_polars])
def test_unseen_categories_cross_containers(fitted):
    seen = fitted()
    if isinstance(seen, pd.DataFrame):
        seen = seen.astype({"t": "category"})
    space = FeatureSpace().fit(seen)
    for X in (mixed_pandas().assign(t="new"), mixed_polars().with_columns(t=pl.lit("new"))):
        assert space.transform(X)[:, 2].tolist() == [-1, -1, -1]
        back = space.inverse_transform(space.transform(X), reference=X)
        assert type(back) is type(X)
        assert list(back["t"]) == ["new"] * 3


def test_frames_go_through_a_space_of_arrays_as_arrays():
    space = FeatureSpace().fit(np.array([[1.0, 2.0], [3.0, 4.0]]))
    X = pd.DataFrame({"a": [5.0, 6.0], "b": [7.0, 8.0]})
    with pytest.warns(UserWarning, match="fitted without feature names"):
        Z = space.transform(X)
    with pytest.warns(UserWarning, match="fitted without feature names"):
        back = space.inverse_transform(Z, reference=X)
    np.testing.assert_array_equal(back, X.to_numpy())


# ---------------------------------------------------------------- what cannot be decoded


def test_a_reference_says_what_a_code_cannot():
    space = FeatureSpace().fit(pd.DataFrame({"a": ["x", "y"], "b": [1.0, np.nan]}))
    with pytest.raises(ValueError, match="'a' has rows with a category that was not seen in fit"):
        space.inverse_transform([[-1.0, 1.0]])
    with pytest.raises(ValueError, match="'a' has missing values, but had none in fit"):
        space.inverse_transform([[np.nan, 1.0]])


@pytest.mark.parametrize("row", [[np.nan, 1.0], [-1.0, 1.0], [0.0, np.nan]], ids=str)
def test_a_reference_must_agree_with_what_only_it_can_say(row):
    X = pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]})
    space = FeatureSpace().fit(X)
    with pytest.raises(ValueError, match="where their reference rows do not, in column"):
        space.inverse_transform([row], reference=X.iloc[[0]])


@pytest.mark.parametrize("code", [0.5, 2.0, -2.0, np.inf])
def test_what_is_no_code_is_refused(code):
    space = FeatureSpace().fit(pd.DataFrame({"a": ["x", "y"]}))
    with pytest.raises(ValueError, match="is no code of 'a', which has categories 0 to 1"):
        space.inverse_transform([[code]])


@pytest.mark.parametrize("value", [0.5, 300.0, np.inf, -np.inf])
def test_what_the_dtype_cannot_hold_is_refused(value):
    space = FeatureSpace().fit(one_column([1, 2, 3, 4], "int8"))
    with pytest.raises(ValueError, match="is no value of 'a', whose dtype is int8"):
        space.inverse_transform([[value]])


@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (2,)])
def test_codes_of_another_shape_are_refused(shape):
    space = FeatureSpace().fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="Encoded rows must have 2 columns, one a feature; got"):
        space.inverse_transform(np.zeros(shape))


def test_a_reference_of_another_length_is_refused():
    space = FeatureSpace().fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="reference has 3 rows, but there are 2 encoded ones"):
        space.inverse_transform(np.zeros((2, 2)), reference=np.zeros((3, 2)))


def test_polars_dates_are_no_numbers():
    space = FeatureSpace().fit(pl.DataFrame({"a": [1, 2]}))
    with pytest.raises(TypeError, match="'a' has dtype Date, where numbers are expected"):
        space.transform(pl.DataFrame({"a": [datetime.date(2020, 1, 1)]}))
