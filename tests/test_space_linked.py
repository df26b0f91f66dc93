"""Linked columns: several writings of one thing change together, by the tuples seen in fit."""

import pickle
import warnings

import numpy as np
import pytest
from conftest import EXPLAINERS, boosted_pipeline
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skcf import CCEExplainer, FeatureSpace, InvalidCounterfactualWarning, NearestExplainer

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

LEVELS = ["school", "college", "bachelor", "master"]
YEARS = {"school": 10, "college": 12, "bachelor": 15, "master": 17}
LINKED = [["level", "years"]]
NAME = "level|years"

X = pd.DataFrame(
    {
        "age": [20, 31, 45, 52, 28, 39],
        "level": ["college", "school", "master", "college", "bachelor", "school"],
        "years": [12, 10, 17, 12, 15, 10],
        "sex": list("fmfmfm"),
    }
)


def fitted(rows=X, **parameters):
    return FeatureSpace(**{"linked_features": LINKED, **parameters}).fit(rows)


# ---------------------------------------------------------------- what the tuples are


def test_linked_columns_are_one_feature_in_the_order_of_the_first_ordered_column():
    space = fitted()
    assert space.feature_kinds_ == {"age": "integer", NAME: "ordinal", "sex": "category"}
    tuples = [("school", 10), ("college", 12), ("bachelor", 15), ("master", 17)]
    assert space.categories_[NAME] == tuples
    assert [type(number) for _, number in space.categories_[NAME]] == [int] * 4
    assert_array_equal(space.transform(X)[:, 1], [1, 0, 3, 1, 2, 0])
    assert_array_equal(space.get_feature_names_out(), ["age", NAME, "sex"])
    assert space.scale_[1] == 3


def test_tuples_need_not_be_one_to_one():
    rows = X.assign(years=[12, 10, 17, 13, 15, 9])
    space = fitted(rows)
    assert space.categories_[NAME] == [
        ("school", 9),
        ("school", 10),
        ("college", 12),
        ("college", 13),
        ("bachelor", 15),
        ("master", 17),
    ]
    assert space.feature_kinds_[NAME] == "ordinal"


def test_tuples_without_an_order_are_categories():
    rows = X.assign(years=["x", "y", "z", "x", "u", "y"])
    assert fitted(rows).feature_kinds_[NAME] == "category"
    tied = X.assign(years=[1, 1, 1, 1, 2, 1])
    assert fitted(tied).feature_kinds_[NAME] == "category"
    assert len(fitted(tied).categories_[NAME]) == 4


@pytest.mark.parametrize("declared", [LEVELS, ["none", *LEVELS[:2], "diploma", *LEVELS[2:]]])
def test_a_text_column_gives_the_order(declared):
    rows = X.assign(years=[*"caebda"])
    rows["years"] = rows["level"].map({"school": "S", "college": "C", "bachelor": "B"}).fillna("M")
    space = fitted(rows, ordinal_features={"level": declared})
    assert [level for level, _ in space.categories_[NAME]] == LEVELS
    assert space.feature_kinds_[NAME] == "ordinal"


def test_an_ordered_dtype_gives_the_order():
    dtype = pd.CategoricalDtype(LEVELS, ordered=True)
    rows = X.assign(years=X["years"].astype(str)).astype({"level": dtype})
    assert [level for level, _ in fitted(rows).categories_[NAME]] == LEVELS


def test_the_first_column_with_an_order_decides():
    rows = X.assign(years=[4, 9, 1, 4, 7, 9])  # neither up nor down with the level
    space = fitted(rows, ordinal_features={"level": LEVELS})
    assert [level for level, _ in space.categories_[NAME]] == LEVELS
    other = fitted(rows, ordinal_features={"level": LEVELS}, linked_features=[["years", "level"]])
    assert [years for years, _ in other.categories_["years|level"]] == [1, 4, 7, 9]


# ---------------------------------------------------------------- constraints and costs


@pytest.mark.parametrize("direction", [{"years": 1}, {"level": 1}, {"years": 1, "level": 1}])
def test_a_direction_of_any_column_holds(direction):
    space = fitted(change_direction=direction)
    up, down = X.iloc[[1]], X.iloc[[0]]
    up = down.assign(level="master", years=17)
    lower = down.assign(level="school", years=10)
    assert space.feasible(down, up).all()
    assert not space.feasible(down, lower).any()


def test_a_direction_is_turned_round_with_the_order():
    rows = X.assign(years=20 - X["years"])  # years that are left
    space = fitted(rows, ordinal_features={"level": LEVELS}, change_direction={"years": -1})
    assert space.constraints_.direction[1] == 1
    up = rows.iloc[[0]].assign(level="master", years=3)
    assert space.feasible(rows.iloc[[0]], up).all()
    assert not space.feasible(up, rows.iloc[[0]]).any()


def test_a_mixed_pair_is_not_allowed():
    space = fitted()
    mixed = X.iloc[[0]].assign(level="master")
    assert not space.feasible(X.iloc[[0]], mixed).any()
    assert space.cost(X.iloc[[0]], mixed) == np.inf
    pd.testing.assert_frame_equal(space.project_rows(mixed, X.iloc[[0]]), X.iloc[[0]])


def test_an_immutable_column_freezes_the_others():
    space = fitted(immutable_features=["level"])
    assert not space.feasible(X.iloc[[0]], X.iloc[[0]].assign(level="school", years=10)).any()


@pytest.mark.parametrize(
    "permitted", [{"years": (11, 16)}, {"level": ["bachelor", "college"]}, {"years": (12, 15)}]
)
def test_a_range_of_any_column_holds(permitted):
    space = fitted(permitted_range=permitted)
    projected = space.project_rows(X, X)
    expected = ["college", "college", "bachelor", "college", "bachelor", "college"]
    assert projected["level"].tolist() == expected
    assert projected["years"].tolist() == [YEARS[level] for level in expected]


def test_ranges_of_several_columns_hold_together():
    space = fitted(
        ordinal_features={"level": LEVELS},
        permitted_range={"level": ("college", "master"), "years": (0, 15)},
    )
    assert_array_equal(space.constraints_.permitted[1], [False, True, True, False])


def test_costs_are_steps_and_weights_are_the_columns():
    space = fitted(feature_weights={"years": 2.0})
    moved = X.iloc[[0]].assign(level="master", years=17)
    assert space.cost(X.iloc[[0]], moved) == pytest.approx(2 * 2 / 3)
    assert fitted(feature_weights=[1.0, 3.0, 3.0, 1.0]).weight_.tolist() == [1.0, 3.0, 1.0]


# ---------------------------------------------------------------- missing and unseen


def gaps():
    rows = X.astype({"years": float})
    rows.loc[1, "years"] = np.nan
    rows.loc[3, "level"] = None
    return rows


def test_a_missing_member_is_kept_with_what_stands_beside_it():
    rows = gaps()
    space = fitted(rows)
    assert_array_equal(space.transform(rows)[:, 1], [1, -3, 3, -4, 2, 0])
    back = space.inverse_transform(space.transform(rows), reference=rows)
    pd.testing.assert_frame_equal(back, rows)
    assert space.feasible(rows, rows).all()
    other = rows.iloc[[1]].assign(level="college")
    assert not space.feasible(rows.iloc[[1]], other).any()
    pd.testing.assert_frame_equal(space.project_rows(other, rows.iloc[[1]]), rows.iloc[[1]])
    # a gap may be filled, and is never proposed
    full = rows.iloc[[1]].assign(years=10.0)
    assert space.feasible(rows.iloc[[1]], full).all()
    assert not space.feasible(full, rows.iloc[[1]]).any()


def test_gaps_are_told_apart_and_written_without_their_rows():
    rows = gaps()
    rows.loc[4, ["level", "years"]] = [None, np.nan]
    space = fitted(rows)
    Z = space.transform(rows)
    assert np.isnan(Z[4, 1])
    assert Z[1, 1] != Z[3, 1]
    pd.testing.assert_frame_equal(space.inverse_transform(Z), rows)
    shuffled = rows.sample(frac=1, random_state=0)
    assert_array_equal(fitted(shuffled).transform(rows), Z)
    cost = space.pairwise_cost(rows, rows)
    assert_array_equal(np.isfinite(cost[[1, 1, 3, 3, 4, 4], [1, 3, 3, 1, 4, 1]]), [1, 0] * 3)
    # one that fit did not see needs its row
    new = rows.iloc[[1]].assign(level="master")
    assert space.transform(new)[0, 1] == -1
    with pytest.raises(ValueError, match="give the rows that they come from"):
        space.inverse_transform(space.transform(new))
    pd.testing.assert_frame_equal(space.inverse_transform(space.transform(new), new), new)
    both = space.pairwise_cost(new, pd.concat([new, rows]))[0]
    assert_array_equal(np.isfinite(both), [True, *(Z[:, 1] >= 0)])


@pytest.mark.parametrize(
    ("permitted", "kept"),
    [
        ({"years": (11, 20)}, [True, True]),
        ({"years": (13, 20)}, [True, False]),
        ({"level": ["college", "bachelor"]}, [False, True]),
        ({"level": ["college", "bachelor"], "years": (13, 20)}, [False, False]),
    ],
)
def test_values_beside_a_gap_stay_where_they_are_in_range(permitted, kept):
    rows = gaps().iloc[[1, 3]]
    space = fitted(gaps(), permitted_range=permitted)
    assert_array_equal(space.feasible(rows, rows), kept)
    projected = space.project_rows(rows, rows)
    assert space.feasible(rows, projected).all()
    assert_array_equal(space.transform(projected)[:, 1] < 0, kept)


CODES = st.lists(st.none() | st.integers(-6, 5) | st.floats(-9, 9), min_size=6, max_size=6)
SPACES = {
    "free": {},
    "rising": {"change_direction": {"years": 1}},
    "ranged": {"permitted_range": {"years": (11, 16)}},
    "implied": {"implications": {"years": "age"}, "permitted_range": {"age": (20, 50)}},
}


@pytest.mark.parametrize("parameters", SPACES.values(), ids=SPACES)
@settings(deadline=None, derandomize=True, max_examples=25)
@given(CODES)
def test_any_floats_project_to_rows_that_can_be_decoded(parameters, codes):
    rows = gaps()
    space = fitted(rows, **parameters)
    R = space.transform(rows)
    Z = R.copy()
    Z[:, 1] = np.array(codes, dtype=float)
    projected = space.project(Z, R)
    assert_array_equal(space.project(projected, R), projected)
    back = space.inverse_transform(projected, reference=rows)
    assert_array_equal(space.transform(back), projected)
    stuck = space.constraints_.blocked(R).any(axis=1)
    assert_array_equal(space.feasible(rows, back), ~stuck)


def test_an_unseen_tuple_is_kept_and_never_proposed():
    query = X.iloc[[0]].assign(level="master")
    space = fitted()
    assert space.transform(query)[0, 1] == -1
    back = space.inverse_transform(space.transform(query), reference=query)
    pd.testing.assert_frame_equal(back, query)
    assert space.feasible(query, query).all()
    assert space.feasible(query, X.iloc[[0]]).all()
    assert not space.feasible(X.iloc[[0]], query).any()
    assert space.pairwise_cost(query, query)[0, 0] == 0


def test_all_missing():
    rows = X.assign(level=None, years=np.nan)
    space = fitted(rows.assign(level=rows["level"].astype(object)))
    assert space.categories_[NAME] == []
    assert np.isnan(space.transform(rows)[:, 1]).all()
    assert np.isnan(space.project(space.transform(rows), space.transform(rows))[:, 1]).all()


# ---------------------------------------------------------------- containers


def test_pandas_dtypes_survive():
    rows = X.astype({"level": "category", "years": "uint8"})
    space = fitted(rows)
    back = space.inverse_transform(space.transform(rows))
    pd.testing.assert_frame_equal(back, rows)
    nullable = X.astype({"years": "Int64"})
    nullable.loc[2, "years"] = pd.NA
    space = fitted(nullable)
    back = space.inverse_transform(space.transform(nullable), reference=nullable)
    pd.testing.assert_frame_equal(back, nullable)


def test_floats_of_a_narrow_type_are_found_again():
    rows = X.assign(years=(X["years"] / 10).astype("float32"))
    space = fitted(rows)
    query = rows.astype({"years": "float64"})
    query["years"] = [1.2, 1.0, 1.7, 1.2, 1.5, 1.0]
    assert_array_equal(space.transform(query), space.transform(rows))


def test_polars():
    frame = pl.from_pandas(X).with_columns(
        pl.col("level").cast(pl.Categorical), pl.col("years").cast(pl.Int16)
    )
    space = fitted(frame, change_direction={"years": 1})
    assert space.categories_[NAME][0] == ("school", 10)
    back = space.inverse_transform(space.transform(frame))
    assert back.equals(frame)
    assert back.schema == frame.schema
    lower = frame[:1].with_columns(level=pl.lit("school"), years=pl.lit(10))
    assert space.project_rows(lower, frame[:1]).equals(frame[:1])


def test_arrays():
    numbers = np.column_stack([X["age"], X["years"], X["years"] * 2]).astype(np.float32)
    space = fitted(numbers, linked_features=[[1, 2]])
    assert space.categories_["1|2"] == [(10.0, 20.0), (12.0, 24.0), (15.0, 30.0), (17.0, 34.0)]
    back = space.inverse_transform(space.transform(numbers))
    assert back.dtype == np.float32
    assert_array_equal(back, numbers)
    objects = X.to_numpy()
    mixed = fitted(objects, linked_features=[[1, 2]], categorical_features=[1, 3])
    assert mixed.categories_["1|2"][0] == ("school", 10)
    assert_array_equal(mixed.inverse_transform(mixed.transform(objects)), objects)


def test_each_column_as_floats():
    space = fitted()
    floats = space.encoding_.as_floats(space._tabulate(X))
    codes = X["level"].map({level: code for code, level in enumerate(sorted(LEVELS))})
    assert_array_equal(floats[:, 1], codes)
    assert_array_equal(floats[:, 2], X["years"])


def test_weights_count_tuples_and_leave_out_rows_of_none():
    space = FeatureSpace(linked_features=LINKED).fit(X, sample_weight=[3, 1, 0, 1, 1, 0.5])
    assert [level for level, _ in space.categories_[NAME]] == LEVELS[:3]
    assert_array_equal(space.encoding_.features[1].counts, [1.5, 4, 1])


def test_clone_and_pickle():
    space = fitted()
    copy = pickle.loads(pickle.dumps(space))
    assert_array_equal(copy.transform(X), space.transform(X))
    assert clone(space).get_params() == space.get_params()


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"linked_features": [["level"]]}, r"at least two columns, got the group \['level'\]"),
        ({"linked_features": [["level", "years"], ["years", "age"]]}, "names a column twice"),
        ({"linked_features": [["level", "level"]]}, "names a column twice"),
        ({"linked_features": [["level", "nonsense"]]}, "'nonsense', which X does not have"),
        ({"onehot_groups": [["age", "years"]]}, r"\['years'\], which are in onehot_groups"),
        ({"integer_features": ["level"]}, r"integer_features names \['level'\]"),
        ({"change_direction": {"level": 2}}, r"change_direction\['level'\] must be \+1"),
        ({"change_direction": {"level": 1, "years": -1}}, "contradict each other"),
        ({"feature_weights": {"level": 1, "years": 2}}, "linked columns 'level|years' different"),
        ({"permitted_range": {"years": (18, 20)}}, "leaves no category of 'level|years'"),
        ({"permitted_range": {"years": (9, 8)}}, r"permitted_range\['years'\] must have low <="),
        ({"permitted_range": {"level": ["none"]}}, r"names \['none'\], which fit did not see"),
        ({"ordinal_features": {"level": LEVELS[:2]}}, "but the column also holds"),
    ],
)
def test_errors_say_what_is_wrong(parameters, message):
    with pytest.raises(ValueError, match=message):
        fitted(**parameters)


def test_group_must_be_a_list():
    with pytest.raises(TypeError, match="linked_features takes a list of columns"):
        fitted(linked_features=["level", "years"])


def test_directions_need_an_order_that_follows_the_column():
    nominal = X.assign(years=[*"xyzxuy"])
    with pytest.raises(ValueError, match=r"'years', linked as .*whose categories have no order"):
        fitted(nominal, change_direction={"years": 1})
    crossed = X.assign(years=[4, 9, 1, 4, 7, 9])
    with pytest.raises(ValueError, match="in the order of 'level', and it does not follow it"):
        fitted(crossed, ordinal_features={"level": LEVELS}, change_direction={"years": 1})


def test_infinite_values_are_refused():
    rows = X.astype({"years": float})
    rows.loc[0, "years"] = np.inf
    with pytest.raises(ValueError, match=r"contains infinity .* in column\(s\) \['years'\]"):
        fitted(rows)
    with pytest.raises(ValueError, match=r"contains infinity .* in column\(s\) \['years'\]"):
        fitted(X.astype({"years": float})).transform(rows)


def test_text_where_numbers_stood_is_refused():
    with pytest.raises(ValueError, match="'years' holds text"):
        fitted().transform(X.assign(years=list("abcdef")))
    with pytest.raises(ValueError, match="Column 'level' held categories like"):
        fitted().transform(X.assign(level=range(6)))


def test_columns_that_do_not_look_linked_are_warned_of():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(120, 2)), columns=["a", "b"])
    with pytest.warns(UserWarning, match=r"\['a', 'b'\], which have 120 different rows") as caught:
        FeatureSpace(linked_features=[["a", "b"]]).fit(rows)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FeatureSpace(linked_features=[["a", "b"]]).fit(rows[:50])


# ---------------------------------------------------------------- explainers

IMPLICATIONS = {"years": ("age", 1.5)}


def people(n, seed=0):
    """People whose level is written twice, with gaps; who is accepted depends on the level."""
    rng = np.random.default_rng(seed)
    level = rng.choice(LEVELS, n, p=[0.4, 0.3, 0.2, 0.1])
    rows = pd.DataFrame(
        {
            "age": rng.integers(18, 70, n),
            "level": level,
            "years": [YEARS[name] for name in level],
            "hours": rng.normal(30, 8, n).round(1),
            "sex": rng.choice(["f", "m"], n),
        },
        index=[f"p{i}" for i in range(n)],
    )
    score = rows["years"] / 3 + rows["hours"] / 10 + rng.normal(0, 0.3, n)
    rows["years"] = rows["years"].astype(float).mask(rng.random(n) < 0.05)
    rows["level"] = rows["level"].mask(rng.random(n) < 0.05)
    return rows, np.where(score > 8, "yes", "no")


@pytest.fixture(scope="module")
def linked_population():
    rows, y = people(300)
    space = FeatureSpace(
        linked_features=LINKED,
        implications=IMPLICATIONS,
        immutable_features=["sex"],
        change_direction={"age": 1},
        permitted_range={"age": (18, 75)},
    )
    return rows, boosted_pipeline(rows, y, ["level", "sex"]), space


def assert_pairs_and_implication_hold(before, after):
    """On raw values: what FeatureSpace thinks does not count."""
    for (_, x), (_, y) in zip(before.iterrows(), after.iterrows(), strict=True):
        pairs = [(row["level"], row["years"]) for row in (x, y)]
        kept = all(a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(*pairs, strict=True))
        assert kept or YEARS.get(y["level"]) == y["years"], (x, y)
        if y["years"] > x["years"]:
            assert y["age"] - x["age"] >= 1.5 * (y["years"] - x["years"]), (x, y)


def quietly(ask, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return ask(*arguments, **options)


@pytest.mark.parametrize("Explainer", EXPLAINERS.values(), ids=EXPLAINERS)
def test_every_explainer_keeps_pairs_and_implications(Explainer, linked_population):
    rows, model, space = linked_population
    explainer = Explainer(estimator=model, target_class="yes", feature_space=space, random_state=0)
    explainer.fit(rows)
    queries, _ = people(200, seed=1)
    queries.loc[queries.index[:10], ["level", "years"]] = ["master", 10.0]  # unseen
    result = quietly(explainer.explain, queries)
    for_all = Explainer is EXPLAINERS["tgt"]  # one translation is not valid for every row
    assert for_all or "not_found" not in result.status
    assert (result.status == "found").sum() > (20 if for_all else 60)
    assert_pairs_and_implication_hold(queries, result.X_cf)
    rose = (result.X_cf["years"] > queries["years"]).to_numpy()
    assert for_all or rose.sum() > 10, "the implication had no say"
    assert result.n_changes.max() <= 4, "linked columns count as one"


@pytest.mark.parametrize("Explainer", [NearestExplainer, CCEExplainer])  # of any function of rows
def test_every_explainer_takes_polars(Explainer, linked_population):
    rows, _, space = linked_population
    frame = pl.from_pandas(rows)

    def rule(X):
        score = X["years"].fill_null(12) / 3 + X["hours"] / 10
        return (score > 8).to_numpy()

    explainer = Explainer(estimator=rule, target_class=True, feature_space=space).fit(frame)
    result = quietly(explainer.explain, frame[:60])
    assert result.X_cf.schema == frame.schema
    assert_pairs_and_implication_hold(frame[:60].to_pandas(), result.X_cf.to_pandas())


def test_refining_keeps_them_and_undoes_what_is_not_needed(linked_population):
    rows, model, space = linked_population
    explainer = NearestExplainer(model, target_class="yes", feature_space=space).fit(rows)
    found = (result := quietly(explainer.explain, rows)).status == "found"
    Z, Z_cf = (explainer.feature_space_.transform(X) for X in (rows[found], result.X_cf[found]))
    assert explainer.feature_space_.constraints_.feasible(Z_cf, Z).all()
    for j in range(Z.shape[1]):
        undone = Z_cf.copy()
        undone[:, j] = Z[:, j]
        allowed = explainer.feature_space_.constraints_.feasible(undone, Z)
        changed = (undone != Z_cf)[:, j] & ~np.isnan(Z[:, j]) & allowed
        trial = explainer.feature_space_.inverse_transform(undone, reference=rows[found])
        assert not np.any(changed & (model.predict(trial) == "yes"))


@pytest.mark.parametrize("solver", ["auto", "sinkhorn"])
def test_plans_have_no_forbidden_pair(linked_population, solver):
    rows, model, space = linked_population
    explainer = CCEExplainer(
        model, target_class="yes", feature_space=space, random_state=0, solver=solver
    ).fit(rows)
    plan = explainer.plan_.tocoo()
    heavy = plan.data > 0
    space = explainer.feature_space_
    source = space.transform(rows.iloc[explainer.source_indices_[plan.row[heavy]]])
    target = space.transform(explainer.targets_.iloc[plan.col[heavy]])
    assert space.constraints_.feasible(target, source).all()
    everyone = quietly(explainer.explain_population)
    pd.testing.assert_frame_equal(everyone.X, rows)
    assert_pairs_and_implication_hold(everyone.X, everyone.X_cf)


@pytest.mark.parametrize("route", ["displacement", "graph"])
def test_routes_keep_them_at_all_times(linked_population, route):
    rows, model, space = linked_population
    space = clone(space).set_params(change_direction=None)  # so that ages may fall on the way
    explainer = CCEExplainer(model, target_class="yes", feature_space=space, random_state=0)
    explainer.fit(rows)
    paths = quietly(explainer.interpolate, rows[:120], n_steps=7, route=route)
    assert (paths.route == route).sum() > 20
    for state in paths.states:
        assert_pairs_and_implication_hold(rows[:120], state)


def points(n):
    """Two numbers, of which the first needs the second, and who is accepted."""
    rows = pd.DataFrame(np.random.default_rng(0).uniform(0, 10, (n, 2)), columns=["a", "b"])
    return rows, lambda rows: rows["a"] + 0.2 * rows["b"] > 7, {"a": ("b", 0.8)}


def assert_rises_hold(before, after, amount=0.8):
    rise = (after - before).to_numpy()
    short = (rise[:, 0] > 0) & (rise[:, 1] < amount * rise[:, 0] * (1 - 1e-8) - 1e-12)
    assert not short.any()


@pytest.mark.parametrize("refine", [True, False])
def test_numbers_alone_keep_them_where_a_tree_would_be_searched(refine):
    rows, rule, implications = points(1500)
    space = FeatureSpace(implications=implications)
    explainer = NearestExplainer(rule, target_class=True, feature_space=space, refine=refine)
    result = explainer.fit(rows).explain(rows)
    assert (result.status == "found").sum() > 500
    assert_rises_hold(rows, result.X_cf)
    assert ((result.X_cf["a"] > rows["a"]) & (result.status == "found")).any()


@pytest.mark.parametrize("route", ["displacement", "graph", "back_and_forth"])
def test_routes_of_numbers_keep_them(route):
    rows, rule, implications = points(300)
    rows = rows.round().astype({"a": int}) if route == "displacement" else rows
    rising = route != "graph"  # where b may fall on the way, hops that keep them may not together
    space = FeatureSpace(implications=implications, change_direction={"b": 1} if rising else None)
    explainer = CCEExplainer(rule, target_class=True, feature_space=space, random_state=0)
    paths = quietly(explainer.fit(rows).interpolate, rows, n_steps=9, route=route)
    assert (paths.route == route).sum() > 20
    before = rows
    for state in paths.states:
        assert_rises_hold(rows, state)
        assert not rising or (state["b"] >= before["b"]).all()
        before = state


@pytest.mark.parametrize("refine, fewest", [(True, 0), ("quick", 20)])
def test_education_of_adult(adult, refine, fewest):
    rows, queries, space, model = adult
    space = clone(space).set_params(
        linked_features=[["education", "education_num"]],
        implications={"education": ("age", 1.0)},
    )
    explainer = NearestExplainer(
        model, target_class=">50K", feature_space=space, refine=refine
    ).fit(rows)
    X_cf = quietly(explainer.transform, queries)
    seen = set(zip(rows["education"], rows["education_num"], strict=True))
    pairs = list(zip(X_cf["education"], X_cf["education_num"], strict=True))
    assert set(pairs) <= seen
    rise = (X_cf["education_num"] - queries["education_num"]).to_numpy()
    assert (rise > 0).sum() >= fewest  # there is mostly something cheaper than a degree
    assert ((X_cf["age"] - queries["age"]).to_numpy() >= rise)[rise > 0].all()
