"""Constraint violations by kind."""

import numpy as np
import pytest
from conftest import mixed_population

from skcf import FeatureSpace
from skcf.metrics import constraint_violations, coverage

pd = pytest.importorskip("pandas")

KINDS = ["immutable", "direction", "range", "integer"]
KINDS += ["category", "linked", "implication", "missing"]

TRAIN = pd.DataFrame(
    {
        "sex": ["f", "m", "f", "m"],
        "age": [20, 30, 40, 50],
        "hours": [10.0, 20.0, 30.0, 40.0],
        "job": ["cook", "nurse", "cook", "nurse"],
        "degree": ["no", "ba", "ma", "ba"],
        "years": [10, 13, 15, 13],
        "level": [0, 1, 2, 1],
    }
)


@pytest.fixture(scope="module")
def space():
    return FeatureSpace(
        immutable_features=["sex"],
        change_direction={"age": +1},
        permitted_range={"hours": (5, 60)},
        linked_features=[["degree", "years"]],
        implications={"level": ("age", 2)},
    ).fit(TRAIN)


def broken_by(space, **changes):
    X = TRAIN.iloc[[1]]
    X_cf = X.assign(**{name: [value] for name, value in changes.items()})
    found = constraint_violations(X, X_cf, feature_space=space)
    assert list(found) == [*KINDS, "any"]
    assert found["any"] == float(any(found[kind] for kind in KINDS))
    return {kind for kind in KINDS if found[kind]}


@pytest.mark.parametrize(
    "changes, kinds",
    [
        ({}, set()),
        ({"age": 31, "hours": 60.0, "job": "cook", "degree": "no", "years": 10}, set()),
        ({"sex": "f"}, {"immutable"}),
        ({"age": 29}, {"direction"}),
        ({"hours": 61.0}, {"range"}),
        ({"hours": 4.0}, {"range"}),
        ({"age": 30.5}, {"integer"}),
        ({"job": "pilot"}, {"category"}),
        ({"degree": "ma"}, {"linked"}),
        ({"degree": None}, {"linked"}),
        ({"level": 2, "age": 31}, {"implication"}),
        ({"level": 2, "age": 32}, set()),
        ({"hours": np.nan}, {"missing"}),
        ({"job": None}, {"missing"}),
        ({"age": 28.5, "sex": "f"}, {"direction", "integer", "immutable"}),
    ],
)
def test_kinds_one_by_one(space, changes, kinds):
    assert broken_by(space, **changes) == kinds


def test_permitted_categories_are_a_range_and_unseen_ones_may_be_kept():
    space = FeatureSpace(permitted_range={"job": ["cook"]}).fit(TRAIN)
    assert broken_by(space, job="nurse") == {"range"}
    X = TRAIN.iloc[[0]].assign(job="pilot")
    free = FeatureSpace().fit(TRAIN)
    assert constraint_violations(X, X, feature_space=free)["any"] == 0
    assert constraint_violations(X, X, feature_space=space)["range"] == 1


def test_shares_and_rows():
    space = FeatureSpace(change_direction={0: +1}).fit([[0.0], [9.0]])
    X, X_cf = [[1.0], [2.0], [3.0]], [[0.0], [3.0], [np.inf]]
    status = ["found", "found", "not_found"]
    found = constraint_violations(X, X_cf, feature_space=space, status=status)
    assert found["direction"] == found["any"] == 0.5
    rows = constraint_violations(X, X_cf, feature_space=space, status=status, average=None)
    np.testing.assert_array_equal(rows["direction"], [1, 0, np.nan])
    nobody = constraint_violations(X, X_cf, feature_space=space, status=["infeasible"] * 3)
    assert np.isnan(nobody["any"])


@pytest.mark.parametrize("seed", range(3))
def test_any_is_what_the_feature_space_does_not_allow(seed):
    rows, _ = mixed_population(300, seed=seed)
    rng = np.random.default_rng(seed)
    rows = rows.assign(grade=rng.choice(["low", "mid", "top"], 300))
    space = FeatureSpace(
        immutable_features=["sex"],
        change_direction={"age": +1, "grade": +1},
        permitted_range={"hours": (15, 55), "job": ["clerk", "cook", "nurse"]},
        ordinal_features={"grade": ["low", "mid", "top"]},
        implications={"grade": ("age", 3)},
    ).fit(rows)
    order = rng.permutation(300)
    mixed = rows.copy()
    for name in rows.columns:  # single columns taken from other rows
        swapped = rng.random(300) < 0.25
        mixed[name] = rows[name].where(~swapped, rows[name].iloc[order].to_numpy())
    broken = constraint_violations(rows, mixed, feature_space=space, average=None)["any"]
    np.testing.assert_array_equal(broken == 0, space.feasible(rows, mixed))
    assert 0 < broken.mean() < 1
    assert coverage(rows, mixed, feature_space=space) == pytest.approx(1 - broken.mean())
