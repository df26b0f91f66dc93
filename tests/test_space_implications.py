"""Implications: a rise of one feature needs a rise of another, by raw values."""

import itertools
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skcf import FeatureSpace, NearestExplainer
from skcf._classifiers import read_classifier
from skcf._oracle import Oracle
from skcf._refine import INNER_STEP, refine
from skcf.collective._move_costs import MoveCosts, unconstrained

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

# the same examples in each run: a failure here is one of the change that is tested
FEW = settings(deadline=None, derandomize=True, max_examples=40)
MANY = settings(FEW, max_examples=60)

SIZES = ["S", "M", "L", "XL"]
X = pd.DataFrame(
    {
        "age": [20, 30, 41, 65],
        "degree": [0, 1, 2, 3],
        "size": ["M", "S", "XL", "L"],
        "wage": [1.5, 2.5, 2.0, 7.25],
        "job": ["a", "b", "a", "b"],
    }
)


def fitted(implications, rows=X, **parameters):
    parameters = {"ordinal_features": {"size": SIZES}, **parameters}
    return FeatureSpace(implications=implications, **parameters).fit(rows)


def moved(**values):
    """The first row, and the same with some values changed."""
    return X.iloc[[0]], X.iloc[[0]].assign(**values)


# ---------------------------------------------------------------- known answers


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"degree": 2, "age": 22}, True),
        ({"degree": 2, "age": 21}, False),
        ({"degree": 2}, False),
        ({"age": 60}, True),
        ({"age": 3}, True),
        ({"degree": 1, "age": 19}, False),
    ],
)
def test_a_rise_needs_another(changes, expected):
    assert fitted({"degree": "age"}).feasible(*moved(**changes)) == [expected]


def test_a_fall_needs_nothing():
    before, after = X.iloc[[3]], X.iloc[[3]].assign(degree=0, age=12)
    assert fitted({"degree": "age"}).feasible(before, after).all()


@pytest.mark.parametrize("spec", [("age", 2.5), [("age", 2.5)], ["wage", ("age", 2.5)]])
def test_amounts_and_lists(spec):
    space = fitted({"degree": spec})
    assert space.feasible(*moved(degree=2, age=25, wage=9.0)).all()
    assert not space.feasible(*moved(degree=2, age=24, wage=9.0)).any()
    enough = space.feasible(*moved(degree=2, age=25, wage=3.4))
    assert enough == [not isinstance(spec, list) or len(spec) == 1]


def test_ordinal_categories_count_by_steps():
    space = fitted({"size": ("age", 3)})
    assert space.feasible(*moved(size="XL", age=26)).all()
    assert not space.feasible(*moved(size="XL", age=25)).any()
    space = fitted({"age": ("size", 0.1)})
    assert space.feasible(*moved(size="L", age=30)).all()
    assert not space.feasible(*moved(size="L", age=31)).any()


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"degree": 3}, {"degree": 3, "age": 26}),
        ({"degree": 3, "age": 30}, {"degree": 3, "age": 30}),
        ({"degree": 1, "age": 10}, {"degree": 1, "age": 22}),
        ({"age": 10}, {"age": 10}),
    ],
)
def test_project_raises_the_second_as_far_as_needed(wish, expected):
    before, after = moved(**wish)
    projected = fitted({"degree": ("age", 2)}).project_rows(after, before)
    pd.testing.assert_frame_equal(projected, before.assign(**expected))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"immutable_features": ["age"]}, {}),
        ({"change_direction": {"age": -1}}, {}),
        ({"permitted_range": {"age": (0, 24)}}, {"degree": 2, "age": 24}),
        ({"permitted_range": {"age": (0, 23)}}, {"degree": 1, "age": 22}),
    ],
)
def test_project_lowers_the_first_where_the_second_cannot_rise(rule, expected):
    before, after = moved(degree=3)
    projected = fitted({"degree": ("age", 2)}, **rule).project_rows(after, before)
    pd.testing.assert_frame_equal(projected, before.assign(**expected))


def test_chains_go_through():
    before, after = moved(degree=2)
    space = fitted({"degree": ("age", 2), "age": ("wage", 0.5)})
    projected = space.project_rows(after, before)
    pd.testing.assert_frame_equal(projected, before.assign(degree=2, age=24, wage=3.5))
    space.set_params(permitted_range={"wage": (0, 3.2)}).fit(X)  # one year less: 3.4 of 4
    projected = space.project_rows(after, before)
    pd.testing.assert_frame_equal(projected, before.assign(degree=1, age=22, wage=2.5))


def test_a_linked_feature_rises_by_the_column_that_is_named():
    rows = X.assign(title=["none", "ba", "ma", "dr"], degree=[0, 3, 5, 9], left=[9, 6, 4, 0])
    groups = [["title", "degree", "left"]]
    space = fitted({"degree": "age"}, rows, linked_features=groups)
    wish = rows.iloc[[0]].assign(title="ma", degree=5, left=4)
    assert space.project_rows(wish, rows.iloc[[0]])["age"].tolist() == [25]
    by_title = fitted({"title": "age"}, rows, linked_features=groups)
    assert by_title.project_rows(wish, rows.iloc[[0]])["age"].tolist() == [22]
    # what is left falls as the degree rises
    turned = fitted({"left": "age"}, rows, linked_features=groups)
    assert turned.feasible(rows.iloc[[0]], wish).all()
    assert turned.project_rows(rows.iloc[[0]], rows.iloc[[2]])["age"].tolist() == [46]
    second = fitted({"age": "left"}, rows, linked_features=groups)
    wish = rows.iloc[[2]].assign(age=43)
    assert second.project_rows(wish, rows.iloc[[2]])["title"].tolist() == ["ba"]


def test_missing_values_neither_rise_nor_have_to():
    rows = X.astype({"degree": float, "age": float})
    rows.loc[1, "degree"] = rows.loc[2, "age"] = np.nan
    space = fitted({"degree": "age"}, rows)
    assert space.feasible(rows.iloc[[1]], rows.iloc[[1]].assign(degree=3.0)).all()
    assert space.feasible(rows.iloc[[2]], rows.iloc[[2]].assign(degree=3.0)).all()
    assert space.feasible(rows.iloc[[2]], rows.iloc[[2]].assign(degree=3.0, age=1.0)).all()


def test_linked_columns_without_a_height_stay_and_hold_others_back():
    rows = X.assign(title=["none", "ba", "ma", "dr"])
    groups = [["title", "degree"]]
    unseen = rows.iloc[[0]].assign(title="dr")
    wish = rows.iloc[[0]].assign(title="ma", degree=2, age=60)
    first = fitted({"degree": "age"}, rows, linked_features=groups)
    assert not first.feasible(unseen, wish).any()
    assert np.isinf(first.pairwise_cost(unseen, wish)).all()
    pd.testing.assert_frame_equal(first.project_rows(wish, unseen), unseen.assign(age=60))
    gone = rows.astype({"degree": float}).iloc[[0]].assign(title=None, degree=np.nan)
    free = fitted({"degree": "age"}, rows.astype({"degree": float}), linked_features=groups)
    assert free.feasible(gone, gone.assign(title="ma", degree=2.0)).all()
    second = fitted({"age": "degree"}, rows, linked_features=groups)
    assert not second.feasible(unseen, wish).any()
    assert np.isinf(second.pairwise_cost(unseen, wish)).all()
    assert second.project_rows(wish, unseen)["age"].tolist() == [20]


def test_a_rise_into_the_range_that_cannot_be_afforded_blocks_the_row():
    parameters = {"permitted_range": {"degree": (2, 3)}, "immutable_features": ["age"]}
    space = fitted({"degree": "age"}, **parameters)
    Z = space.transform(X)
    blocked = space.constraints_.blocked(Z)
    assert_array_equal(blocked[:, 1], [True, True, False, False])
    assert_array_equal(space.feasible(X, space.project_rows(X, X)), [False, False, True, True])
    pd.testing.assert_frame_equal(space.project_rows(X, X), X)
    rule = NearestExplainer(
        lambda rows: rows["wage"] > 2.2, target_class=True, feature_space=clone(space)
    )
    with pytest.warns(UserWarning, match="1 infeasible"):
        assert rule.fit(X).explain(X).status[0] == "infeasible"


def test_fractions_do_not_ask_for_more_than_they_mean():
    """0.1 * 3 is more than 0.3; 0.3 rises and integers must go together all the same."""
    space = fitted({"degree": ("wage", 0.1), "wage": ("age", 10)})
    before, after = moved(degree=3)
    projected = space.project_rows(after, before)
    assert projected["age"].tolist() == [23]
    assert projected["wage"].tolist() == pytest.approx([1.8])
    assert space.feasible(before, projected).all()


def test_narrow_floats_are_rounded_up():
    rows = X.astype({"wage": "float32"})
    space = fitted({"degree": ("wage", 0.1)}, rows)
    projected = space.project_rows(rows.assign(degree=9), rows)
    assert projected["wage"].dtype == np.float32
    rise = projected["wage"].astype(float) - rows["wage"].astype(float)
    needed = 0.1 * (projected["degree"] - rows["degree"])
    assert (rise >= needed * (1 - 1e-9)).all()
    assert (rise <= needed + 1e-6).all()
    assert space.feasible(rows, projected).all()


def test_arrays_and_polars():
    array = X[["age", "degree", "wage"]].to_numpy()
    space = FeatureSpace(integer_features=[0, 1], implications={1: (0, 2.5)}).fit(array)
    assert_array_equal(space.project_rows(array[[1]], array[[0]]), [[30, 1, 2.5]])
    assert_array_equal(space.project_rows([[20, 1, 2.5]], array[[0]]), [[23, 1, 2.5]])
    frame = pl.from_pandas(X)
    space = fitted({"degree": "age"}, frame)
    wish = frame[:1].with_columns(degree=pl.lit(3))
    projected = space.project_rows(wish, frame[:1])
    assert projected["age"].to_list() == [23]
    assert projected.schema == frame.schema


def test_clone_and_pickle():
    space = fitted({"degree": ["age", ("wage", 2.0)]})
    copy = pickle.loads(pickle.dumps(space))
    assert_array_equal(copy.pairwise_cost(X, X), space.pairwise_cost(X, X))
    assert clone(space).implications == space.implications


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("implications", "message"),
    [
        ({"degree": "nonsense"}, "'nonsense', which X does not have"),
        ({"degree": "job"}, "implications names 'job', whose categories have no order"),
        ({"job": "age"}, "implications names 'job', whose categories have no order"),
        ({"degree": "degree"}, "'degree' and 'degree', which are one feature"),
        ({"degree": "age", "age": "degree"}, "in a circle: '.*' -> '.*' -> '.*'"),
        ({"degree": "age", "age": "wage", "wage": "degree"}, "go round in a circle"),
        ({"degree": ("age", 0)}, r"amount above 0, or a list of these, got \('age', 0\)"),
        ({"degree": ("age", "2")}, "an amount above 0"),
        ({"degree": ("age", True)}, "an amount above 0"),
        ({"degree": ("age", np.nan)}, "an amount above 0"),
        ({"degree": ("age", np.inf)}, "an amount above 0"),
        ({"degree": ("age", 1, 2)}, "must be a column, a pair"),
    ],
)
def test_errors_say_what_is_wrong(implications, message):
    with pytest.raises(ValueError, match=message):
        fitted(implications)


def test_linked_columns_are_named_once():
    rows = X.assign(title=["none", "ba", "ma", "dr"])
    groups = {"linked_features": [["title", "degree"]]}
    with pytest.raises(ValueError, match="both 'degree' and 'title', which are linked"):
        fitted({"degree": "age", "wage": "title"}, rows, **groups)
    with pytest.raises(ValueError, match="which are linked"):
        fitted({"degree": "title"}, rows, **groups)
    with pytest.raises(ValueError, match="which are one feature"):
        fitted({"degree": "degree"}, rows, **groups)
    nominal = rows.assign(degree=list("abca"))
    with pytest.raises(ValueError, match=r"linked as .*whose categories have no order"):
        fitted({"title": "age"}, nominal, **groups)


def test_keys_must_be_columns():
    with pytest.raises(TypeError, match="implications takes column names or positions"):
        fitted({"degree": 1.5})


# ---------------------------------------------------------------- against the definition

SEEN = pd.DataFrame(
    {
        "whole": [0, 3, 5, 9],
        "real": [0.0, 1.5, 2.25, 4.0],
        "single": np.array([0.1, 0.3, 0.7, 1.1], dtype="float32"),
        "gaps": [1.0, np.nan, 2.0, 4.0],
        "size": ["M", "S", None, "L"],
        "rank": [1, 2, 4, 8],
        "title": ["a", "b", "c", "d"],
    }
)
LINKED = [["rank", "title"]]
FEATURES = ["whole", "real", "single", "gaps", "size", "rank"]
AMOUNTS = st.sampled_from([0.1, 0.5, 1, 1.5, 3])


@st.composite
def parameters(draw):
    """Constraints, with implications that go down a random order of the features."""
    order = draw(st.permutations(FEATURES))
    pairs = [pair for pair in itertools.combinations(order, 2) if draw(st.integers(0, 3)) == 0]
    assume(pairs)
    rules = {}
    for first, second in pairs:
        rules.setdefault(first, []).append((second, draw(AMOUNTS)))
    ranges = {"whole": (0, 7), "real": (-1, 3.1), "size": ("S", "L"), "rank": (1, 4)}
    ranges |= {"single": (0.2, 0.9), "gaps": (0, 3)}
    return {
        "implications": rules,
        "immutable_features": draw(st.lists(st.sampled_from(FEATURES), max_size=1)),
        "change_direction": {
            name: draw(st.sampled_from([1, 1, -1])) for name in FEATURES if draw(st.booleans())
        },
        "permitted_range": {
            name: spec for name, spec in ranges.items() if draw(st.integers(0, 2)) == 0
        },
    }


def spaces(given_parameters):
    """The feature space, and the same without implications."""
    both = []
    for rules in (given_parameters["implications"], None):
        space = FeatureSpace(
            integer_features=["gaps"],
            ordinal_features={"size": SIZES},
            linked_features=LINKED,
            **{**given_parameters, "implications": rules},
        )
        both.append(space.fit(SEEN))
    return both


NUMBERS = st.floats(-3, 12, allow_subnormal=False)
CODES = st.tuples(
    st.integers(-2, 12),
    NUMBERS | st.integers(-2, 6),
    st.floats(-2, 3, width=32, allow_subnormal=False),
    st.none() | st.integers(-1, 6),
    st.none() | st.integers(-1, 3),
    st.none() | st.integers(-1, 3),
)


@st.composite
def encoded(draw, n):
    rows = [draw(CODES) for _ in range(n)]
    return np.array(rows, dtype=object).astype(np.float64)


RANKS = [1, 2, 4, 8]


def height(name, code):
    """How high an encoded value stands, exactly; None where it does not."""
    if np.isnan(code) or (name in ("size", "rank") and code < 0):
        return None
    return Fraction(RANKS[int(code)] if name == "rank" else float(code))


def shortfall(z, reference, implications):
    """By how much the rises fall short of what they need, at worst; 0 for none."""
    worst = Fraction(0)
    at = dict(zip(FEATURES, zip(reference, z, strict=True), strict=True))
    for first, needs in implications.items():
        x, y = (height(first, code) for code in at[first])
        if first == "rank" and at[first][0] < 0 and y is not None:
            return Fraction(1000)
        if x is None or y is None or y <= x:
            continue
        for second, amount in needs:
            u, v = (height(second, code) for code in at[second])
            if second == "rank" and at[second][0] < 0:
                return Fraction(1000)
            if u is not None and v is not None:
                worst = max(worst, Fraction(amount) * (y - x) - (v - u))
    return worst


def shortfalls(Z, R, given_parameters):
    rules = given_parameters["implications"]
    return np.array([float(shortfall(z, r, rules)) for z, r in zip(Z, R, strict=True)])


@MANY
@given(parameters(), encoded(4), encoded(4), st.data())
def test_feasible_is_the_definition(given_parameters, R, Z, data):
    space, alone = spaces(given_parameters)
    R = alone.project(R, R)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=24, max_size=24))).reshape(4, 6)
    Z = alone.project(np.where(kept, R, Z), R)
    short = shortfalls(Z, R, given_parameters)
    clear = (short == 0) | (short > 1e-6)
    blocked = space.constraints_.blocked(R).any(axis=1)
    expected = alone.constraints_.feasible(Z, R) & (short == 0) & ~blocked
    assert_array_equal(space.constraints_.feasible(Z, R)[clear], expected[clear])


@MANY
@given(parameters(), encoded(5), encoded(5))
def test_projecting_is_idempotent_allowed_and_leaves_the_rest_alone(given_parameters, R, Z):
    space, alone = spaces(given_parameters)
    once = space.project(Z, R)
    assert_array_equal(space.project(once, R), once)
    blocked = space.constraints_.blocked(R).any(axis=1)
    assert_array_equal(space.constraints_.feasible(once, R), ~blocked)
    assert (blocked | (shortfalls(once, R, given_parameters) <= 1e-6)).all()
    # each feature is allowed by itself, and rows that lack nothing are as without implications
    own = alone.constraints_.blocked(R).any(axis=1)
    assert (alone.constraints_.feasible(once, R) | blocked).all()
    assert (blocked | ~own).all()
    before = alone.project(Z, R)
    holds = (shortfalls(before, R, given_parameters) == 0) & ~blocked
    assert_array_equal(once[holds], before[holds])


@MANY
@given(parameters(), encoded(4), encoded(6))
def test_all_pairs_are_told_as_one_by_one(given_parameters, R, Z):
    space, _ = spaces(given_parameters)
    constraints = space.constraints_
    Z[:4] = space.project(Z[:4], R)
    cost = space.costs_.pairwise(R, Z)
    rows, columns = np.indices(cost.shape).reshape(2, -1)
    assert_array_equal(np.isfinite(cost).ravel(), constraints.feasible(Z[columns], R[rows]))
    movers = R[~constraints.blocked(R).any(axis=1)]
    targets = Z[constraints.admissible(Z)]
    assume(len(movers) and len(targets))
    pairs = MoveCosts(space, movers, targets, "cityblock")
    expected = space.costs_.pairwise(movers, targets)
    rows, columns = np.indices(expected.shape).reshape(2, -1)
    np.testing.assert_allclose(pairs.pairs(rows, columns), expected.ravel())
    tile = pairs.reduced(np.zeros(len(movers)), np.zeros(len(targets)))
    np.testing.assert_allclose(tile(slice(None), slice(None)), expected)
    assert_array_equal(pairs.feasible(), np.isfinite(expected).any(axis=1))
    free = MoveCosts(unconstrained(space), movers, targets, "cityblock")
    assert np.isfinite(free.pairs(rows, columns)).all()


def test_tiles_let_linked_columns_without_a_height_stay():
    rows = X.assign(title=["none", "ba", "ma", "dr"])
    space = fitted({"degree": "age"}, rows, linked_features=[["title", "degree"]])
    Z = space.transform(rows)
    Z[1, 1] = -1
    Y = Z[[0, 2, 3]]  # all have a height
    tile = MoveCosts(space, Z, Y, "cityblock").reduced(np.zeros(4), np.zeros(3))
    expected = space.costs_.pairwise(Z, Y)
    assert np.isinf(expected[1]).all()
    np.testing.assert_allclose(tile(slice(None), slice(None)), expected)


# ---------------------------------------------------------------- refining


def refined(rule, start, implications=None, **parameters):
    """The first row after refining from a start."""
    space = fitted(implications or {"degree": ("age", 2)}, **parameters)
    before, start = X.iloc[[0]], X.iloc[[0]].assign(**start)
    table = space._tabulate(before)
    oracle = Oracle(read_classifier(rule, space, space._tabulate(X)), space, table)
    Z, start = space.transform(before), space.transform(start)
    ends = refine(Z, start, np.zeros(1, int), np.ones(1, int), oracle)
    assert space.constraints_.feasible(ends, Z).all()
    end = space.inverse_transform(ends, reference=before)
    assert rule(end).all()
    return end.iloc[0].to_dict()


def test_what_only_a_rise_needed_goes_after_it():
    end = refined(lambda rows: rows["wage"] >= 4, {"degree": 3, "age": 60, "wage": 5.0})
    assert end == X.iloc[0].to_dict() | {"wage": end["wage"]}
    assert 4 <= end["wage"] < 4.1


def test_what_a_rise_needs_is_shortened_no_further():
    end = refined(lambda rows: rows["degree"] >= 2, {"degree": 3, "age": 60, "wage": 5.0})
    assert end == X.iloc[0].to_dict() | {"degree": 2, "age": 24}
    chain = {"degree": ("age", 2), "age": ("wage", 0.5)}
    start = {"degree": 3, "age": 60, "wage": 30.0}
    end = refined(lambda rows: rows["degree"] >= 1, start, chain)
    assert (end["degree"], end["age"]) == (1, 22)
    assert 2.5 <= end["wage"] <= 2.5 + 27.5 * INNER_STEP, "a step inside, where labels are all"


# ---------------------------------------------------------------- brute force on a small grid

GRID = np.array(list(itertools.product(range(5), repeat=3)), dtype=float)


@st.composite
def grid_space(draw):
    amounts = st.sampled_from([0.5, 1, 1.5, 2])
    rules = {0: [(1, draw(amounts))]}
    if draw(st.booleans()):
        rules[1] = [(2, draw(amounts))]
    if draw(st.booleans()):
        rules[0].append((2, draw(amounts)))
    low = [draw(st.integers(0, 3)) for _ in range(3)]
    high = [draw(st.integers(at, 4)) for at in low]
    signs = {j: draw(st.sampled_from([1, -1])) for j in range(3) if draw(st.integers(0, 2)) == 0}
    bounds = {j: (low[j], high[j]) if draw(st.booleans()) else (0, 4) for j in range(3)}
    rows = GRID.astype(int)
    space = FeatureSpace(change_direction=signs, permitted_range=bounds)
    return rules, space.fit(rows), clone(space).set_params(implications=rules).fit(rows)


def keeps(rules, reference, rows):
    """Which rows of whole numbers keep the implications."""
    rise = rows - reference
    kept = np.ones(len(rows), dtype=bool)
    for first, needs in rules.items():
        for second, amount in needs:
            kept &= (rise[:, first] <= 0) | (rise[:, second] >= amount * rise[:, first])
    return kept


@MANY
@given(grid_space(), st.tuples(*[st.integers(0, 4)] * 3), st.tuples(*[st.integers(0, 4)] * 3))
def test_blocked_only_where_nothing_is_allowed_and_projected_to_the_best(made, reference, wish):
    rules, alone, space = made
    reference, wish = np.array([reference], dtype=float), np.array([wish], dtype=float)
    everyone = np.repeat(reference, len(GRID), axis=0)
    allowed = GRID[alone.constraints_.feasible(GRID, everyone) & keeps(rules, reference, GRID)]
    blocked = space.constraints_.blocked(reference).any()
    assert blocked == (len(allowed) == 0)
    if blocked:
        return
    assert_array_equal(GRID[space.constraints_.feasible(GRID, everyone)], allowed)
    # in turn: as high as is wished and can be afforded, then as low as is needed, or as wished
    goal, left = alone.project(wish, reference)[0], allowed
    for j in range(3):
        values = np.unique(left[:, j])
        lower = values[values <= goal[j]]
        left = left[left[:, j] == (lower.max() if len(lower) else values.min())]
    assert_array_equal(space.project(wish, reference)[0], left[0])
