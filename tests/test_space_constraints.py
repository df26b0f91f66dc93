"""FeatureSpace's constraints against a definition written out value by value."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skcf import FeatureSpace

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

# the same examples in each run: a failure here is one of the change that is tested
FEW = settings(deadline=None, derandomize=True, max_examples=40)
MANY = settings(FEW, max_examples=80)

# ---------------------------------------------------------------- a mixed table

SIZES = ["S", "M", "L", "XL"]
GROUP = ["hue_r", "hue_g"]
SEEN = pd.DataFrame(
    {
        "hue_r": [1, 0, 1, 0, 0],
        "cont": [0.0, 1.5, 2.25, np.nan, 4.0],
        "single": np.array([0.1, 0.3, 0.7, np.nan, 1.1], dtype="float32"),
        "whole": [0, 3, 5, 9, 9],
        "gaps": [1.0, np.nan, 2.0, 4.0, 4.0],
        "job": pd.Series(["a", "b", "c", None, "b"], dtype=object),
        "size": pd.Series(["M", None, "S", "M", "L"], dtype=object),
        "flag": [True, False, True, True, True],
        "hue_g": [0, 1, 0, 1, 1],
    }
)
FEATURES = ["hue", "cont", "single", "whole", "gaps", "job", "size", "flag"]
KNOWN = {"job": "abc", "size": SIZES, "flag": [True, False], "hue": [(1, 0), (0, 1)]}
NUMBERS = ["cont", "single", "whole", "gaps"]
SINGLES = [float(x) for x in np.arange(-3, 15, dtype="float32") / np.float32(10)]
VALUES = {
    "hue": st.sampled_from([(1, 0), (0, 1), (0, 0), (1, 1)]),  # two of them unseen
    "cont": st.sampled_from([None, -1.0, 0.0, 0.3, 1.5, 2.0, 2.25, 3.0, 5.5]) | st.floats(-9, 9),
    "single": st.none() | st.sampled_from(SINGLES) | st.floats(-2, 2, width=32),
    "whole": st.integers(-3, 12),
    "gaps": st.none() | st.sampled_from([-1.0, 0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 6.0]),
    "job": st.sampled_from([None, "a", "b", "c", "new", "other"]),
    "size": st.sampled_from([None, *SIZES, "XXL", "XXS"]),
    "flag": st.booleans(),
}


@st.composite
def ranges(draw):
    low = draw(st.sampled_from([-np.inf, -1.0, 0.1, 1.0, 1.5, 2.2]))
    high = draw(st.sampled_from([1.1, 2.0, 2.25, 3.7, 5.0, np.inf]))
    assume(low <= high)
    return low, high


CHOICES = st.lists(st.sampled_from("abc"), min_size=1, unique=True)
RANGES = {
    "cont": ranges(),
    "single": st.sampled_from([(0.1, 0.7), (-0.2, 0.3), (0.3, np.inf), (0.35, 1.05)]),
    "whole": ranges().filter(lambda r: np.ceil(r[0]) <= np.floor(r[1])),
    "gaps": ranges().filter(lambda r: np.ceil(r[0]) <= np.floor(r[1])),
    "job": CHOICES,
    "size": st.lists(st.sampled_from(SIZES), min_size=1, unique=True)
    | st.sampled_from([("S", "M"), ("M", "XL"), ("L", "L")]),
    "flag": st.sampled_from([[True], [False], [True, False]]),
    "hue_r": st.sampled_from([(0, 0), (1, 1), (0, 1), (-1, 0.5)]),
}
SIGNS = st.sampled_from([-1, 1])


@st.composite
def constraints(draw):
    """Parameters of FeatureSpace that constrain moves."""
    return {
        "immutable_features": draw(
            st.lists(st.sampled_from(list(SEEN.columns)), max_size=2, unique=True)
        ),
        "change_direction": {
            name: draw(SIGNS) for name in [*NUMBERS, "size"] if draw(st.integers(0, 2)) == 0
        },
        "permitted_range": {
            name: draw(spec) for name, spec in RANGES.items() if draw(st.integers(0, 2)) == 0
        },
    }


ROW = st.tuples(*[VALUES[name] for name in FEATURES])
ROWS = st.lists(ROW, min_size=1, max_size=4)


def frame(rows):
    """Rows of Python values as a table with the dtypes of SEEN."""
    by_name = {name: [row[k] for row in rows] for k, name in enumerate(FEATURES)}
    hues = by_name.pop("hue")
    by_name |= {"hue_r": [hue[0] for hue in hues], "hue_g": [hue[1] for hue in hues]}
    X = pd.DataFrame({name: pd.Series(by_name[name], dtype=object) for name in SEEN.columns})
    return X.astype(SEEN.dtypes.to_dict())


def values_of(X):
    """A table as rows of Python values, None where one is missing; the inverse of `frame`."""
    columns = {name: X[name].astype(object).where(X[name].notna(), None) for name in X.columns}
    columns["hue"] = zip(columns["hue_r"], columns["hue_g"], strict=True)
    return list(zip(*[columns[name] for name in FEATURES], strict=True))


def fitted(parameters):
    space = FeatureSpace(
        integer_features=["gaps"],
        ordinal_features={"size": SIZES},
        onehot_groups=[GROUP],
        **parameters,
    )
    return space.fit(SEEN)


# ---------------------------------------------------------------- the definition


def is_in_range(name, value, permitted_range):
    """Whether a permitted range, if there is one, holds a known value."""
    if name == "hue":
        low, high = permitted_range.get("hue_r", (-np.inf, np.inf))
        return low <= value[0] <= high
    if name not in permitted_range:
        return True
    spec = permitted_range[name]
    if name in NUMBERS:
        return spec[0] <= value <= spec[1]
    if name == "size" and isinstance(spec, tuple):
        return SIZES.index(spec[0]) <= SIZES.index(value) <= SIZES.index(spec[1])
    return value in spec


def goes_the_right_way(name, x, y, sign):
    if x == y:
        return True
    if x is None or (name == "size" and x not in SIZES):
        return False  # nothing to rise or fall from
    rank = SIZES.index if name == "size" else float
    return (rank(y) - rank(x)) * sign > 0


def is_allowed(name, x, y, parameters):
    """Whether a feature that is x may become y."""
    columns = GROUP if name == "hue" else [name]
    if set(columns) & set(parameters["immutable_features"]) and y != x:
        return False
    if y is None:
        return x is None
    if name in KNOWN and y not in KNOWN[name]:
        restricted = set(columns) & set(parameters["permitted_range"])
        return y == x and not restricted
    if not is_in_range(name, y, parameters["permitted_range"]):
        return False
    if name == "gaps" and y != round(y) and y != x:
        return False
    if name in ("whole", "gaps") and abs(y) >= 2**53:
        return False  # floats do not tell them apart
    sign = parameters["change_direction"].get(name, 0)
    return sign == 0 or goes_the_right_way(name, x, y, sign)


def row_is_allowed(row, row_cf, parameters):
    moves = zip(FEATURES, row, row_cf, strict=True)
    return all(is_allowed(name, x, y, parameters) for name, x, y in moves)


def candidates(name, x, z):
    """Values among which the nearest allowed one to z must be, if there is any."""
    if name in KNOWN:
        return [*KNOWN[name], x]
    corners = [z, x, *SINGLES, *range(-12, 13), -1.0, 0.1, 1.5, 2.2, 1.1, 2.25, 3.7]
    corners += [edge for pair in [(0.1, 0.7), (-0.2, 0.3), (0.35, 1.05)] for edge in pair]
    corners += [1 - 2.0**53, 2.0**53 - 1]
    corners = [float(corner) for corner in corners if corner is not None]
    if name in ("whole", "gaps"):
        corners = [whole for c in corners for whole in (np.floor(c), np.ceil(c))] + [x]
    if name == "single":
        near = [np.float32(corner) for corner in corners]
        steps = [np.nextafter(c, np.float32(s * 9)) for c in near for s in (-1, 1)]
        corners = [float(value) for value in near + steps]
    return [*corners, x]


# ---------------------------------------------------------------- feasible


@MANY
@given(constraints(), ROWS, st.data())
def test_feasible_is_the_definition(parameters, rows, data):
    """Counterfactuals that change a few values, so that both answers come up."""
    changed = [
        tuple(data.draw(st.just(x) | VALUES[name]) for name, x in zip(FEATURES, row, strict=True))
        for row in rows
    ]
    expected = [row_is_allowed(x, y, parameters) for x, y in zip(rows, changed, strict=True)]
    space = fitted(parameters)
    assert space.feasible(frame(rows), frame(changed)).tolist() == expected


FEATURE_PAIRS = st.sampled_from(FEATURES).flatmap(
    lambda name: st.tuples(st.just(name), VALUES[name], VALUES[name])
)


@MANY
@given(constraints(), st.lists(FEATURE_PAIRS, min_size=1, max_size=12))
def test_feasible_is_the_definition_feature_by_feature(parameters, moves):
    """One feature moves, from a row that the constraints leave alone."""
    base = dict(zip(FEATURES, values_of(SEEN)[0], strict=True))
    others = {name for name in FEATURES if not is_allowed(name, base[name], base[name], parameters)}
    moves = [move for move in moves if others <= {move[0]}]
    assume(moves)
    rows = [tuple((base | {name: x}).values()) for name, x, _ in moves]
    changed = [tuple((base | {name: y}).values()) for name, _, y in moves]
    expected = [is_allowed(*move, parameters) for move in moves]
    assert fitted(parameters).feasible(frame(rows), frame(changed)).tolist() == expected


@pytest.mark.parametrize("name", ["job", "size", "hue_r"])
def test_a_range_of_all_categories_still_excludes_unseen_ones(name):
    spec = {"job": ["a", "b", "c"], "size": SIZES, "hue_r": (-5, 5)}[name]
    query = SEEN.iloc[[0]].assign(job="new", size="XXL", hue_r=1, hue_g=1)
    space = fitted({"permitted_range": {name: spec}})
    assert not space.feasible(query, query)[0]
    assert fitted({}).feasible(query, query)[0]
    assert space.feasible(query, space.project_rows(query, query))[0]


# ---------------------------------------------------------------- project


@MANY
@given(constraints(), ROWS, st.data())
def test_projected_rows_satisfy_every_constraint(parameters, rows, data):
    proposals = [data.draw(ROW) for _ in rows]
    space = fitted(parameters)
    projected = values_of(space.project_rows(frame(proposals), frame(rows)))
    for x_row, y_row, z_row in zip(rows, projected, proposals, strict=True):
        for name, x, y, z in zip(FEATURES, x_row, y_row, z_row, strict=True):
            possible = [is_allowed(name, x, c, parameters) for c in candidates(name, x, z)]
            if any(possible):
                assert is_allowed(name, x, y, parameters), (name, x, z, y)
            else:
                assert y == x, (name, x, z, y)


@MANY
@given(constraints(), ROWS, st.data())
def test_no_allowed_value_is_nearer_than_the_projected_one(parameters, rows, data):
    proposals = [data.draw(ROW) for _ in rows]
    space = fitted(parameters)
    projected = values_of(space.project_rows(frame(proposals), frame(rows)))
    for x_row, y_row, z_row in zip(rows, projected, proposals, strict=True):
        for name, x, y, z in zip(FEATURES, x_row, y_row, z_row, strict=True):
            z = x if z is None else z
            if z is None or (name in KNOWN and z not in KNOWN[name]) or y is None:
                continue
            allowed = [c for c in candidates(name, x, z) if is_allowed(name, x, c, parameters)]
            near = min((distance(name, z, c) for c in allowed), default=None)
            assert near is None or distance(name, z, y) <= near, (name, x, z, y)


def distance(name, z, value):
    """How far a value is from a proposal: in the order for sizes, 0 or 1 for other categories."""
    if value is None or (name in KNOWN and value not in KNOWN[name]):
        return 0.0 if value == z else np.inf
    if name == "size":
        return abs(SIZES.index(value) - SIZES.index(z))
    return float(value != z) if name in KNOWN else abs(value - z)


@MANY
@given(constraints(), ROWS, st.data())
def test_projecting_is_idempotent_and_keeps_what_is_allowed(parameters, rows, data):
    proposals = frame([data.draw(ROW) for _ in rows])
    X, space = frame(rows), fitted(parameters)
    once = space.project_rows(proposals, X)
    pd.testing.assert_frame_equal(space.project_rows(once, X), once)
    allowed = space.feasible(X, proposals)
    pd.testing.assert_frame_equal(once[allowed], proposals[allowed], check_dtype=False)
    stuck = space.constraints_.blocked(space.transform(X)).any(axis=1)
    np.testing.assert_array_equal(space.feasible(X, once), ~stuck)


ENCODED = st.lists(
    st.lists(st.none() | st.floats(-20, 20) | st.floats(-1e30, 1e30), min_size=8, max_size=8),
    min_size=3,
    max_size=3,
)


def codes(rows):
    return np.array(rows, dtype=object).astype(np.float64)


@MANY
@given(constraints(), st.lists(ROW, min_size=3, max_size=3), ENCODED)
def test_any_floats_project_to_rows_that_can_be_decoded(parameters, rows, Z):
    """A gradient step leaves the codes anywhere; what comes back is a row, and allowed."""
    Z, X, space = codes(Z), frame(rows), fitted(parameters)
    R = space.transform(X)
    projected = space.project(Z, R)
    np.testing.assert_array_equal(space.project(projected, R), projected)
    back = space.inverse_transform(projected, reference=X)
    np.testing.assert_array_equal(space.transform(back), projected)
    stuck = space.constraints_.blocked(R).any(axis=1)
    np.testing.assert_array_equal(space.feasible(X, back), ~stuck)
    single = projected[:, 2]
    np.testing.assert_array_equal(single.astype("float32").astype("float64"), single)


@MANY
@given(constraints(), st.lists(ROW, min_size=3, max_size=3), ENCODED)
def test_numbers_project_to_the_nearest_allowed_number(parameters, rows, Z):
    Z, space = codes(Z), fitted(parameters)
    projected = space.project(Z, space.transform(frame(rows)))
    for i, j in itertools.product(range(len(rows)), range(1, 5)):
        x, y, z = rows[i][j], projected[i, j], Z[i, j]
        name = FEATURES[j]
        values = candidates(name, x, None if np.isnan(z) else z)
        allowed = [c for c in values if c is not None and is_allowed(name, x, c, parameters)]
        if allowed and not np.isnan(z):
            assert abs(y - z) <= min(abs(c - z) for c in allowed), (name, x, z, y)


@FEW
@given(
    constraints(),
    st.lists(ROW, min_size=3, max_size=3),
    ENCODED,
    st.permutations(range(3)),
    st.integers(1, 3),
)
def test_projecting_works_row_by_row(parameters, rows, Z, order, size):
    Z, space, subset = codes(Z), fitted(parameters), list(order)[:size]
    R = space.transform(frame(rows))
    whole = space.project(Z, R)
    np.testing.assert_array_equal(space.project(Z[subset], R[subset]), whole[subset])


@FEW
@given(constraints(), st.lists(ROW, min_size=3, max_size=3), ENCODED)
def test_inputs_are_not_written_to(parameters, rows, Z):
    Z, X, space = codes(Z), frame(rows), fitted(parameters)
    R = space.transform(X)
    copies = Z.copy(), R.copy(), X.copy(deep=True)
    for array in (Z, R):
        array.flags.writeable = False
    result = space.project(Z, R)
    assert not np.shares_memory(result, Z)
    assert not np.shares_memory(result, R)
    space.project_rows(X, X)
    space.feasible(X, X)
    space.pairwise_cost(X, X)
    np.testing.assert_array_equal(Z, copies[0])
    np.testing.assert_array_equal(R, copies[1])
    pd.testing.assert_frame_equal(X, copies[2])


# ---------------------------------------------------------------- the rules, one by one


def projected(space, X, Z):
    """Where a proposal for each row of one column goes."""
    R = space.transform(X)
    return space.project(np.asarray(Z, dtype=float)[:, None], R)[:, 0].tolist()


def test_immutable_columns_stay():
    X = np.array([[1.0, 5], [2, 6]])
    space = FeatureSpace(immutable_features=[0]).fit(X)
    assert space.project(X + 10, X).tolist() == [[1, 15], [2, 16]]


@pytest.mark.parametrize(("sign", "expected"), [(1, [2, 5, 9]), (-1, [1, 5, 5])])
def test_directions_hold(sign, expected):
    X = np.array([[2.0], [5.0], [5.0]])
    space = FeatureSpace(change_direction={0: sign}).fit(X)
    assert projected(space, X, [1, 5, 9]) == expected


def test_a_row_out_of_range_has_to_come_inside():
    X = np.array([[10.0], [50.0], [90.0]])
    space = FeatureSpace(permitted_range={0: (20, 60)}).fit(X)
    assert space.project(X, X).ravel().tolist() == [20, 50, 60]
    assert projected(space, X, [np.nan, np.nan, np.nan]) == [20, 50, 60]
    assert space.feasible(X, X).tolist() == [False, True, False]
    assert not space.constraints_.blocked(X).any()
    assert np.isinf(space.cost(X, X)).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "parameters", [{"immutable_features": [0]}, {"change_direction": {0: +1}}], ids=str
)
def test_a_row_out_of_range_that_cannot_move_is_blocked(parameters):
    X = np.array([[50.0], [90.0]])
    space = FeatureSpace(permitted_range={0: (20, 60)}, **parameters).fit(X)
    assert space.constraints_.blocked(X).ravel().tolist() == [False, True]
    assert space.project(X - 20, X)[1].tolist() == [90]
    assert space.feasible(X, X).tolist() == [True, False]
    assert np.isinf(space.pairwise_cost(X, X)[1]).all()


def test_a_category_out_of_range_has_to_change():
    X = pd.DataFrame({"job": ["a", "b", "b", "c"]})
    space = FeatureSpace(permitted_range={"job": ["b", "c"]}).fit(X)
    assert space.project_rows(X, X)["job"].tolist() == ["b", "b", "b", "c"]  # the commonest
    frozen = FeatureSpace(permitted_range={"job": ["b"]}, immutable_features=["job"]).fit(X)
    assert frozen.project_rows(X, X)["job"].tolist() == ["a", "b", "b", "c"]
    assert frozen.constraints_.blocked(frozen.transform(X)).ravel().tolist() == [1, 0, 0, 1]


def test_an_unseen_category_out_of_range_has_to_change():
    seen = pd.DataFrame({"job": ["a", "b", "b"], "size": ["S", "M", "M"]})
    space = FeatureSpace(
        ordinal_features={"size": SIZES},
        permitted_range={"job": ["a", "b"], "size": ("S", "L")},
    ).fit(seen)
    X = pd.DataFrame({"job": ["new"], "size": ["XXL"]})
    assert space.project_rows(X, X).iloc[0].tolist() == ["b", "M"]
    assert not space.feasible(X, X)[0]
    assert space.feasible(X, space.project_rows(X, X))[0]


def test_a_missing_value_may_stay_and_is_never_proposed():
    X = np.array([[np.nan], [1.0]])
    space = FeatureSpace().fit(X)
    assert space.feasible(X, X).tolist() == [True, True]
    assert space.feasible(X, X[::-1]).tolist() == [True, False]
    np.testing.assert_array_equal(space.project(X[::-1], X), [[1.0], [1.0]])


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_missing_value_in_a_column_with_a_direction_stays(sign):
    X = np.array([[np.nan], [1.0]])
    space = FeatureSpace(change_direction={0: sign}).fit(X)
    assert np.isnan(space.project(np.array([[5.0], [1.0]]), X)[0, 0])
    assert space.feasible(X, [[0.0], [1.0]]).tolist() == [False, True]
    assert np.isinf(space.pairwise_cost(X[:1], [[0.0], [7.0], [np.nan]])).tolist() == [
        [True, True, False]
    ]


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_category_may_stay_and_is_never_proposed(missing):
    X = pd.DataFrame({"job": pd.Series(["a", missing, "b"], dtype=object)})
    space = FeatureSpace(permitted_range={"job": ["a"]}).fit(X)
    Y = X.iloc[[1, 0, 1]].reset_index(drop=True)
    assert space.feasible(X, Y).tolist() == [False, True, False]
    assert space.feasible(X, X).tolist() == [True, True, False]
    assert space.project_rows(Y, X)["job"].tolist() == ["a", "a", "a"]


@pytest.mark.parametrize("dtype", ["object", "str", "string", "string[pyarrow]", "category"])
def test_two_different_unseen_categories_are_not_equal(dtype):
    def jobs(*values):
        return pd.DataFrame({"job": pd.Series(values, dtype=dtype)})

    space = FeatureSpace().fit(jobs("a", "b"))
    X, Y = jobs("new", "new", "new", "a", None), jobs("new", "other", "a", "new", "new")
    assert space.feasible(X, Y).tolist() == [True, False, True, False, False]
    assert space.cost(X, Y).tolist() == [0, np.inf, 1, np.inf, np.inf]
    assert space.pairwise_cost(X, Y).tolist()[0] == [0, np.inf, 1, 0, 0]
    assert space.project_rows(Y, X)["job"].isna().tolist() == [False] * 4 + [True]
    assert space.project_rows(Y, X)["job"].tolist()[:4] == ["new", "new", "a", "a"]


def test_unseen_polars_categories_are_told_apart():
    space = FeatureSpace().fit(pl.DataFrame({"job": ["a", "b"]}))
    X, Y = pl.DataFrame({"job": ["new", "new", None]}), pl.DataFrame({"job": ["new", "z", "z"]})
    assert space.feasible(X, Y).tolist() == [True, False, False]
    assert space.project_rows(Y, X).equals(X)


@pytest.mark.parametrize(("z", "expected"), [(0.4, 0), (0.5, 0), (1.5, 2), (-7, 0), (99, 3)])
def test_ordinal_codes_round_to_the_nearest(z, expected):
    X = pd.DataFrame({"size": ["S", "M", "L"]})
    space = FeatureSpace(ordinal_features={"size": SIZES}).fit(X)
    assert projected(space, X, [z] * 3) == [expected] * 3


def test_ordinal_ranges_of_a_list_may_have_holes():
    X = pd.DataFrame({"size": ["S", "M", "L"]})
    space = FeatureSpace(
        ordinal_features={"size": SIZES}, permitted_range={"size": ["S", "L", "XL"]}
    ).fit(X)
    assert space.project_rows(X, X)["size"].tolist() == ["S", "S", "L"]  # M: S and L are as near
    rising = FeatureSpace(
        ordinal_features={"size": SIZES},
        permitted_range={"size": ["S", "L", "XL"]},
        change_direction={"size": +1},
    ).fit(X)
    assert rising.project_rows(X, X)["size"].tolist() == ["S", "L", "L"]


def test_an_ordinal_tuple_is_the_lowest_and_the_highest():
    X = pd.DataFrame({"size": ["S", "M", "L"]})
    space = FeatureSpace(
        ordinal_features={"size": SIZES}, permitted_range={"size": ("M", "XL")}
    ).fit(X)
    assert space.constraints_.permitted[0].tolist() == [False, True, True, True]
    nominal = FeatureSpace(permitted_range={"size": ("L", "S")}).fit(X)
    assert nominal.constraints_.permitted[0].tolist() == [True, False, True]


def test_whole_numbers_stay_inside_a_range_that_is_not_whole():
    X = np.array([[0], [5], [9]])
    space = FeatureSpace(permitted_range={0: (1.5, 6.5)}).fit(X)
    assert space.project(X, X).ravel().tolist() == [2, 5, 6]


def test_a_fraction_that_the_range_holds_may_stay_where_whole_numbers_are_further():
    space = FeatureSpace(integer_features=[0], permitted_range={0: (2.2, 3.7)})
    space.fit(np.array([[3.0], [3.0]]))
    X = np.array([[2.5], [2.1]])
    assert projected(space, X, [2.5, 2.5]) == [2.5, 3]
    assert space.feasible(X, X).tolist() == [True, False]
    assert space.pairwise_cost(X, X).tolist() == [[0, np.inf], [np.inf, np.inf]]


@pytest.mark.parametrize(
    "parameters",
    [
        {"permitted_range": {0: (2.5, 9)}},
        {"permitted_range": {0: (0, 2.5)}},
        {"change_direction": {0: 1}},
        {"change_direction": {0: -1}},
    ],
    ids=str,
)
def test_a_fraction_on_the_bound_may_stay(parameters):
    space = FeatureSpace(integer_features=[0], **parameters).fit(np.array([[0.0], [5.0]]))
    X = np.array([[2.5]])
    assert projected(space, X, [2.5]) == [2.5]
    assert space.feasible(X, X).tolist() == [True]


def test_a_fraction_in_a_column_of_whole_numbers_may_stay():
    """The query has it; a counterfactual may keep it, or move to a whole number."""
    space = FeatureSpace(integer_features=[0]).fit(np.array([[0.0], [5.0]]))
    X = np.array([[2.5], [2.5], [2.5]])
    assert projected(space, X, [2.4, 2.9, 7.4]) == [2.5, 3, 7]
    assert space.feasible(X, [[2.5], [3.0], [3.5]]).tolist() == [True, True, False]
    assert np.isfinite(space.pairwise_cost(X[:1], [[2.5], [3.0], [3.5]])).tolist() == [
        [True, True, False]
    ]


@pytest.mark.parametrize(("dtype", "low", "high"), [("int8", -128, 127), ("uint8", 0, 255)])
@pytest.mark.parametrize("pandas_dtype", [str, str.capitalize, "{}[pyarrow]".format])
def test_integers_stay_inside_their_dtype(dtype, low, high, pandas_dtype):
    name = pandas_dtype(dtype).replace("Uint", "UInt")
    X = pd.DataFrame({"n": pd.Series([1, 2], dtype=name)})
    space = FeatureSpace().fit(X)
    assert projected(space, X, [-1e9, 1e9]) == [low, high]
    back = space.inverse_transform(space.project([[-1e9], [1e9]], space.transform(X)))
    assert back["n"].tolist() == [low, high]
    assert str(back["n"].dtype) == str(X["n"].dtype)


@pytest.mark.parametrize("integer", [True, False])
def test_wide_integers_stay_where_floats_are_exact(integer):
    X = pd.DataFrame({"n": pd.Series([1, 2], dtype="int64" if integer else object)})
    space = FeatureSpace().fit(X)
    back = space.inverse_transform(space.project([[-1e300], [1e300]], space.transform(X)))
    assert back["n"].tolist() == [1 - 2**53, 2**53 - 1]
    space.transform(back)


@pytest.mark.parametrize("dtype", ["float16", "float32", "Float32", "float[pyarrow]"])
@pytest.mark.parametrize("bounds", [(0.1, 0.7), (0.3, 0.9), (-0.7, -0.1), (1e-3, 1e6)])
def test_narrow_floats_are_representable_and_inside_the_bounds(dtype, bounds):
    X = pd.DataFrame({"x": pd.Series([0.5, 0.25], dtype=dtype)})
    space = FeatureSpace(permitted_range={"x": bounds}).fit(X)
    Z = space.project([[-1e300], [1e300]], space.transform(X))
    assert bounds[0] <= Z.min()
    assert Z.max() <= bounds[1]
    narrow = np.float16 if dtype == "float16" else np.float32
    np.testing.assert_array_equal(Z.astype(narrow).astype(float), Z)
    with np.errstate(over="ignore"):
        beyond = np.nextafter(Z.astype(narrow), np.array([[-np.inf], [np.inf]], dtype=narrow))
    beyond = beyond.astype(float)  # the next number outwards is out of bounds
    assert np.all((beyond < bounds[0]) | (beyond > bounds[1]) | np.isinf(beyond))


def test_polars_narrow_floats_are_representable():
    X = pl.DataFrame({"x": pl.Series([0.5, 0.25], dtype=pl.Float32)})
    space = FeatureSpace(permitted_range={"x": (0.1, 0.7)}).fit(X)
    Z = space.project([[-1.0], [1.0]], space.transform(X))
    np.testing.assert_array_equal(space.transform(space.inverse_transform(Z)), Z)
    assert np.all((Z >= 0.1) & (Z <= 0.7))


def test_a_column_that_was_missing_throughout_stays_missing():
    X = pd.DataFrame({"a": [1.0, 2.0], "b": pd.Series([None, None], dtype=object)})
    space = FeatureSpace().fit(X)
    R = space.transform(X)
    np.testing.assert_array_equal(space.project([[5.0, 0.0], [6.0, np.nan]], R)[:, 1], R[:, 1])
    assert space.feasible(X, X).all()
    query = pd.DataFrame({"a": [1.0], "b": ["new"]})
    assert space.feasible(query, query).all()
    assert space.project_rows(query, query)["b"].tolist() == ["new"]


def test_categories_are_never_those_that_only_the_dtype_knows():
    dtype = pd.CategoricalDtype(["a", "b", "c"])
    X = pd.DataFrame({"job": pd.Series(["a", "b"], dtype=dtype)})
    space = FeatureSpace().fit(X)
    Y = pd.DataFrame({"job": pd.Series(["c", "c"], dtype=dtype)})
    assert space.feasible(X, Y).tolist() == [False, False]
    assert projected(space, X, [99, 99]) == [1, 1]


# ---------------------------------------------------------------- pairwise cost


@MANY
@given(
    constraints(),
    st.lists(ROW, min_size=1, max_size=5),
    st.lists(ROW, min_size=1, max_size=5),
    st.sampled_from(["cityblock", "euclidean", "sqeuclidean"]),
    st.sampled_from([1, 2, 0.5, 3]),
    st.sampled_from(["range", "std", "mad"]),
    st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=7, max_size=7),
)
def test_pairwise_cost_is_the_cost_of_each_pair(
    parameters, rows, other_rows, metric, exponent, scale, weights
):
    weights = dict(zip([*NUMBERS, "job", "size", "hue_r"], weights, strict=True))
    space = fitted({**parameters, "scale": scale, "feature_weights": weights})
    other_rows = [*other_rows, *rows]  # so that some pairs are equal in most features
    pairs = list(itertools.product(rows, other_rows))
    X, Y = frame(rows), frame(other_rows)
    costs = space.pairwise_cost(X, Y, metric=metric, exponent=exponent)
    assert costs.shape == (len(rows), len(other_rows))
    one_by_one = space.cost(
        frame([x for x, _ in pairs]),
        frame([y for _, y in pairs]),
        metric=metric,
        exponent=exponent,
    )
    np.testing.assert_allclose(costs.ravel(), one_by_one, rtol=1e-12)
    expected = [row_is_allowed(x, y, parameters) for x, y in pairs]
    assert np.isfinite(costs).ravel().tolist() == expected


@MANY
@given(constraints(), ROWS, st.data())
def test_pairwise_cost_is_infinite_exactly_where_one_feature_may_not_move(parameters, rows, data):
    """Rows that differ in a few features only: most random pairs are forbidden anyway."""
    others = [
        tuple(data.draw(st.just(x) | VALUES[name]) for name, x in zip(FEATURES, row, strict=True))
        for row in rows
    ]
    costs = fitted(parameters).pairwise_cost(frame(rows), frame(others))
    expected = [[row_is_allowed(x, y, parameters) for y in others] for x in rows]
    assert np.isfinite(costs).tolist() == expected


def test_pairwise_cost_works_in_blocks_as_in_one(monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.concat([SEEN] * 8, ignore_index=True).sample(frac=1, random_state=0)
    space = fitted({"change_direction": {"cont": 1}, "immutable_features": ["flag"]})
    whole = space.pairwise_cost(X, X, metric="euclidean")
    monkeypatch.setattr("skcf.space._cost.BLOCK_ELEMENTS", int(rng.integers(1, 90)))
    np.testing.assert_array_equal(space.pairwise_cost(X, X, metric="euclidean"), whole)


def test_pairwise_cost_of_no_rows_is_empty():
    space = fitted({})
    Z = space.transform(SEEN)
    assert space.costs_.pairwise(Z, Z[:0]).shape == (5, 0)
    assert space.costs_.pairwise(Z[:0], Z).shape == (0, 5)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_whole_numbers_of_a_narrow_float_column_can_be_encoded_again(dtype):
    X = pd.DataFrame({"n": pd.Series([1, 2], dtype=dtype)})
    space = FeatureSpace(integer_features=["n"]).fit(X)
    Z = space.project([[-1e300], [1e300]], space.transform(X))
    np.testing.assert_array_equal(space.transform(space.inverse_transform(Z)), Z)
    np.testing.assert_array_equal(Z, np.rint(Z))
    assert abs(Z).min() > 60_000


def test_far_proposals_go_to_the_bound():
    """At 1e20 the distances to 25 and to 60 round to the same number."""
    X = np.array([[25.0]])
    space = FeatureSpace(permitted_range={0: (20, 60)}).fit(X)
    assert projected(space, X, [1e20]) == [60]
    assert projected(space, X, [-1e20]) == [20]
