"""CounterfactualResult: the table of changes, the summary, the one line."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from skcf._result import CounterfactualResult


def result_of(X, X_cf, status=None, **fields):
    n = len(X)
    status = ["found"] * n if status is None else status
    empty = {"cost": np.ones(n), "n_changes": np.ones(n, int), "n_queries": np.ones(n, int)}
    return CounterfactualResult(
        X=X,
        X_cf=X_cf,
        y=np.repeat("no", n),
        y_cf=np.where(np.isin(status, ["found", "already_target"]), "yes", "no"),
        status=np.array(status, dtype="<U14"),
        **{**empty, **fields},
    )


def table_of(changes):
    assert list(changes.columns) == ["row", "feature", "before", "after"]
    return list(changes.itertuples(index=False, name=None))


MIXED = pd.DataFrame(
    {
        "age": np.array([30, 40, 50], dtype=np.int32),
        "pay": [1.5, np.nan, 3.0],
        "kids": pd.array([1, None, 3], dtype="Int64"),
        "job": pd.Categorical(["cook", None, "nurse"], categories=["cook", "nurse", "pilot"]),
        "owner": [True, False, True],
        "name": ["Ann", "Bob", None],
    },
    index=["x", "x", "y"],
)


def test_changes_of_a_mixed_frame():
    after = MIXED.copy()
    after["age"] = np.array([31, 40, 50], dtype=np.int32)
    after["pay"] = [1.5, 2.5, 3.0]  # a missing value was filled, in a row of a label used twice
    after["kids"] = pd.array([1, 2, 3], dtype="Int64")
    after["job"] = pd.Categorical(["pilot", "cook", "nurse"], categories=["cook", "nurse", "pilot"])
    after["owner"] = [True, True, False]
    table = table_of(result_of(MIXED, after).changes())
    assert [(row, feature, new) for row, feature, _, new in table] == [
        ("x", "age", 31),
        ("x", "job", "pilot"),
        ("x", "pay", 2.5),
        ("x", "kids", 2),
        ("x", "job", "cook"),
        ("x", "owner", True),
        ("y", "owner", False),
    ]
    before = [old for _, _, old, _ in table]
    assert before[:2] == [30, "cook"]
    assert all(pd.isna(old) for old in before[2:5])
    assert before[5:] == [False, True]
    kinds = {feature: type(new) for _, feature, _, new in table}
    assert kinds == {"age": int, "job": str, "pay": float, "kids": int, "owner": bool}


def test_missing_values_that_stay_are_no_change():
    assert len(result_of(MIXED, MIXED.copy()).changes()) == 0


def test_value_that_goes_missing_is_a_change():
    after = MIXED.assign(pay=np.nan, kids=pd.array([None] * 3, dtype="Int64"), name=None)
    changes = result_of(MIXED, after).changes()
    assert changes["feature"].tolist() == ["pay", "kids", "name", "name", "pay", "kids"]
    assert changes["after"].isna().all()


def test_only_rows_that_got_a_counterfactual_are_listed():
    X = pd.DataFrame({"a": range(5)})
    status = ["already_target", "found", "not_found", "infeasible", "no_group"]
    assert table_of(result_of(X, X + 10, status).changes()) == [(1, "a", 1, 11)]


@pytest.mark.parametrize("dtype", [np.int64, np.float32, object])
def test_changes_of_an_array_name_positions(dtype):
    X = np.array([[1, 2], [3, 4]], dtype=dtype)
    X_cf = np.array([[1, 5], [3, 4]], dtype=dtype)
    ((row, feature, old, new),) = table_of(result_of(X, X_cf).changes())
    assert (row, feature, old, new) == (0, 1, 2, 5)
    assert type(old) is type(new) is (float if dtype is np.float32 else int)


def test_changes_of_text_in_an_array():
    X = np.array([["a", 1.0, None], ["b", 2.0, "z"]], dtype=object)
    X_cf = np.array([["b", 1.0, None], ["b", 3.0, "z"]], dtype=object)
    assert table_of(result_of(X, X_cf).changes()) == [(0, 0, "a", "b"), (1, 1, 2.0, 3.0)]


def test_labels_of_a_multi_index_are_tuples():
    index = pd.MultiIndex.from_tuples([("p", 1), ("p", 2)])
    X = pd.DataFrame({"a": [1, 2]}, index=index)
    changes = result_of(X, X + 1).changes()
    assert changes["row"].tolist() == [("p", 1), ("p", 2)]


def test_changes_of_a_polars_frame_are_one():
    pl = pytest.importorskip("polars")
    X = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [1.5, None, float("nan")]})
    X_cf = pl.DataFrame({"a": [1, 5, 3], "b": ["y", "x", "z"], "c": [1.5, None, 2.5]})
    changes = result_of(X, X_cf).changes()
    assert isinstance(changes, pl.DataFrame)
    assert changes["row"].to_list() == [0, 1, 1, 2]
    assert changes["feature"].to_list() == ["b", "a", "b", "c"]
    assert changes["before"].to_list()[:3] == ["x", 2, None]
    assert changes["after"].to_list() == ["y", 5, "x", 2.5]
    none = result_of(X, X).changes()
    assert none.schema == changes.schema


def test_no_change_is_an_empty_table():
    X = pd.DataFrame({"a": [1, 2]})
    changes = result_of(X, X.copy()).changes()
    assert changes.shape == (0, 4)
    assert list(changes.columns) == ["row", "feature", "before", "after"]


def test_columns_need_not_be_named_by_text():
    X = pd.DataFrame({0: [1.0], 7: [2.0]})
    assert table_of(result_of(X, X + [0.0, 1.0]).changes()) == [(0, 7, 2.0, 3.0)]


def test_rows_are_not_written_to():
    X, X_cf = MIXED.copy(), MIXED.assign(age=1)
    result = result_of(X, X_cf)
    result.changes()
    assert_frame_equal(X, MIXED)
    assert_frame_equal(X_cf, MIXED.assign(age=1))


# ---- summary -----------------------------------------------------------------------------------


def test_summary_is_taken_over_the_rows_that_it_says():
    X = np.zeros((6, 2))
    status = ["already_target", "found", "found", "found", "not_found", "infeasible"]
    result = result_of(
        X,
        X,
        status,
        cost=np.array([0, 1.0, 2.0, 6.0, np.nan, np.nan]),
        n_changes=np.array([0, 1, 1, 2, 9, 9]),
        n_queries=np.array([1, 10, 20, 30, 40, 0]),
    )
    assert result.summary() == {
        "n_rows": 6,
        "already_target": 1,
        "found": 3,
        "not_found": 1,
        "infeasible": 1,
        "validity": 3 / 5,
        "mean_cost": 3.0,
        "median_cost": 2.0,
        "mean_n_changes": 4 / 3,
        "queries_per_row": 20.0,
    }
    assert all(type(value) in (int, float) for value in result.summary().values())
    assert repr(result) == (
        "<CounterfactualResult of 6 rows: 1 already_target, 3 found, 1 not_found, 1 infeasible>"
    )


def test_summary_where_no_row_needed_a_counterfactual():
    summary = result_of(np.zeros((2, 1)), np.zeros((2, 1)), ["already_target"] * 2).summary()
    assert summary["validity"] == 1.0
    means = ["mean_cost", "median_cost", "mean_n_changes", "queries_per_row"]
    assert np.isnan([summary[name] for name in means]).all()


def test_summary_where_none_was_found():
    result = result_of(np.zeros((2, 1)), np.zeros((2, 1)), ["infeasible", "no_group"])
    summary = result.summary()
    assert summary["validity"] == 0.0
    assert np.isnan(summary["mean_cost"])
    assert summary["queries_per_row"] == 1.0
    assert repr(result) == "<CounterfactualResult of 2 rows: 1 infeasible, 1 no_group>"


def test_result_cannot_be_changed_and_compares_by_identity():
    result = result_of(np.zeros((2, 1)), np.zeros((2, 1)))
    with pytest.raises(FrozenInstanceError):
        result.status = None
    assert result != result_of(np.zeros((2, 1)), np.zeros((2, 1)))
    assert {result} == {result}
