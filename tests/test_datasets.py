"""Loaders bring both sources into one form; generators know the right answers."""

import os
import pickle
import re
from itertools import product
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import Bunch

from skcf import FeatureSpace
from skcf.datasets import _fetch, fetch_adult, fetch_german_credit, make_recourse_population
from skcf.datasets._linear_rule import LinearRule
from skcf.datasets._optimum import cheapest_acceptance

pd = pytest.importorskip("pandas")

FETCHERS = {"adult": fetch_adult, "german_credit": fetch_german_credit}

OPENML_TEXT = {
    "adult": (
        "age workclass fnlwgt education education-num marital-status occupation relationship "
        "race sex capital-gain capital-loss hours-per-week native-country class"
    ),
    "german_credit": (
        "checking_status duration credit_history purpose credit_amount savings_status employment "
        "installment_commitment personal_status other_parties residence_since property_magnitude "
        "age other_payment_plans housing existing_credits job num_dependents own_telephone "
        "foreign_worker class"
    ),
}

LOCAL_TEXT = {
    "adult": (
        "age workclass fnlwgt education education_num marital_status occupation relationship "
        "race sex capital_gain capital_loss hours_per_week native_country income"
    ),
    "german_credit": (
        "account_check_status duration_in_month credit_history purpose credit_amount savings "
        "present_emp_since installment_as_income_perc personal_status_sex other_debtors "
        "present_res_since property age other_installment_plans housing credits_this_bank job "
        "people_under_maintenance telephone foreign_worker credit_risk"
    ),
}

OPENML_COLUMNS = {name: text.split() for name, text in OPENML_TEXT.items()}
LOCAL_COLUMNS = {name: text.split() for name, text in LOCAL_TEXT.items()}

ROWS = {
    "adult": [
        "25 Private 226802 11th 7 Never-married Machine-op-inspct Own-child Black Male 0 0 40 "
        "United-States <=50K",
        "44 Private 160323 Some-college 10 Married-civ-spouse Machine-op-inspct Husband Black Male "
        "7688 0 40 United-States >50K",
        "18 ? 103497 Some-college 10 Never-married ? Own-child White Female 0 0 30 ? <=50K",
    ],
    "german_credit": [
        "<0 6 critical radio/tv 1169 none >=7 4 single none 4 estate 67 none own 2 skilled 1 yes "
        "yes good",
        "0<=X<200 48 paid education 5951 <100 1<=X<4 2 married none 2 estate 22 none own 1 skilled "
        "1 none no bad",
    ],
}


def small_frame(name, columns, text_dtype):
    """Rows as a parser gives them: numbers, and text in the given dtype."""
    raw = pd.DataFrame([row.split() for row in ROWS[name]], columns=columns[name])
    frame = {}
    for column in raw:
        values = raw[column].where(raw[column] != "?", np.nan)
        number = values.notna().all() and values.str.fullmatch(r"\d+").all()
        frame[column] = values.astype("int64" if number else text_dtype)
    return pd.DataFrame(frame)


class FakeOpenML:
    """Stands for fetch_openml: the same column names and categorical dtypes."""

    def __init__(self, **changes):
        self.calls = []
        self.changes = changes

    def __call__(self, name, *, version, data_home, as_frame):
        self.calls.append({"name": name, "version": version, "data_home": data_home})
        assert as_frame is True
        known = {"adult": "adult", "credit-g": "german_credit"}[name]
        frame = small_frame(known, OPENML_COLUMNS, "category").assign(**self.changes)
        return Bunch(frame=frame, data=frame.drop(columns="class"), target=frame["class"])


@pytest.fixture
def openml(monkeypatch):
    """Replace the download, and forget the folder that this machine has."""
    monkeypatch.delenv("SKCF_DATA", raising=False)
    fake = FakeOpenML()
    monkeypatch.setattr(_fetch, "fetch_openml", fake)
    return fake


def write_local(name, folder, **changes):
    frame = small_frame(name, LOCAL_COLUMNS, object).assign(**changes)
    frame.to_csv(folder / f"{name}.csv.gz", index=False)


def shared_data(name):
    folder = os.environ.get("SKCF_DATA")
    if not folder:
        pytest.skip("SKCF_DATA is not set: it names the folder of the shared data")
    if not (Path(folder) / f"{name}.csv.gz").is_file():
        pytest.skip(f"SKCF_DATA is {folder!r}, which has no {name}.csv.gz")
    return folder


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("adult", {"name": "adult", "version": 2}),
        ("german_credit", {"name": "credit-g", "version": 1}),
    ],
)
@pytest.mark.parametrize("data_home", [None, "somewhere"])
def test_where_no_file_is_it_is_downloaded(openml, tmp_path, name, arguments, data_home):
    folder = None if data_home is None else tmp_path / data_home
    FETCHERS[name](data_home=folder)
    assert openml.calls == [{**arguments, "data_home": folder}]


@pytest.mark.parametrize("name", FETCHERS)
def test_both_sources_come_in_the_same_form(openml, tmp_path, name):
    downloaded = FETCHERS[name]()
    write_local(name, tmp_path)
    local = FETCHERS[name](data_home=tmp_path)
    assert len(openml.calls) == 1
    pd.testing.assert_frame_equal(local[0], downloaded[0])
    pd.testing.assert_series_equal(local[1], downloaded[1])
    assert local[1].name == LOCAL_COLUMNS[name][-1]
    assert list(local[0]) == [c for c in LOCAL_COLUMNS[name][:-1] if c != "fnlwgt"]


@pytest.mark.parametrize("name", FETCHERS)
def test_dtypes_are_text_and_int64(openml, name):
    X, y, _ = FETCHERS[name]()
    text = pd.Series(["a"]).dtype  # str from pandas 3 on, object before
    numbers = [c for c in X if X[c].dtype == np.int64]
    assert len(numbers) == {"adult": 5, "german_credit": 7}[name]
    assert all(X[c].dtype == text for c in X if c not in numbers)
    assert y.dtype == text


def test_missing_values_are_nan(openml):
    X, _, _ = fetch_adult()
    gaps = X.isna()
    assert list(X.columns[gaps.any()]) == ["workclass", "occupation", "native_country"]
    assert gaps.loc[2, ["workclass", "occupation", "native_country"]].all()
    assert X.loc[2, "workclass"] is not None
    assert np.isnan(X.loc[2, "workclass"])


@pytest.mark.parametrize("name", FETCHERS)
def test_feature_space_is_not_fitted_and_not_shared(openml, name):
    first, second = FETCHERS[name]()[2], FETCHERS[name]()[2]
    assert not hasattr(first, "scale_")
    first.immutable_features.clear()
    first.change_direction.clear()
    assert second.immutable_features
    assert second.change_direction
    assert FETCHERS[name]()[2].immutable_features == second.immutable_features


def test_given_folder_comes_before_the_environment(openml, monkeypatch, tmp_path):
    given, environment = tmp_path / "given", tmp_path / "environment"
    for age, folder in enumerate([given, environment]):
        folder.mkdir()
        write_local("adult", folder, age=age)
    monkeypatch.setenv("SKCF_DATA", str(environment))
    assert (fetch_adult(data_home=str(given))[0]["age"] == 0).all()
    assert (fetch_adult()[0]["age"] == 1).all()
    assert openml.calls == []


def test_environment_folder_without_the_file_falls_back(openml, monkeypatch, tmp_path):
    write_local("adult", tmp_path)
    monkeypatch.setenv("SKCF_DATA", str(tmp_path))
    fetch_german_credit()
    assert openml.calls == [{"name": "credit-g", "version": 1, "data_home": None}]


@pytest.mark.parametrize("given", [True, False])
def test_failed_download_says_what_was_tried(monkeypatch, tmp_path, given):
    def offline(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(_fetch, "fetch_openml", offline)
    monkeypatch.delenv("SKCF_DATA", raising=False)
    lack = f"There is no {tmp_path / 'adult.csv.gz'}, and" if given else "No local folder was given"
    with pytest.raises(OSError, match=re.escape(lack)) as error:
        fetch_adult(data_home=tmp_path if given else None)
    assert "no route to host" in str(error.value)
    assert "SKCF_DATA" in str(error.value)


def test_file_with_other_columns_is_refused(openml, tmp_path):
    frame = small_frame("adult", LOCAL_COLUMNS, object).drop(columns=["sex"])
    frame.to_csv(tmp_path / "adult.csv.gz", index=False)
    with pytest.raises(ValueError, match=r"lacks \['sex'\]"):
        fetch_adult(data_home=tmp_path)


def test_file_with_other_labels_is_refused(openml, tmp_path):
    write_local("german_credit", tmp_path, credit_risk=["good", "1"])
    with pytest.raises(ValueError, match=r"\['bad', 'good'\] and nothing else; got \['1'\]"):
        fetch_german_credit(data_home=tmp_path)


@pytest.mark.parametrize("age, came", [([25.5, 30, 31], "25.5"), ([25, np.nan, 31], "nan")])
def test_whole_numbers_are_not_cut(openml, tmp_path, age, came):
    write_local("adult", tmp_path, age=age)
    with pytest.raises(ValueError, match=f"age must hold whole numbers; got {came}"):
        fetch_adult(data_home=tmp_path)


@pytest.mark.parametrize("name", FETCHERS)
def test_folder_must_be_a_path(name):
    with pytest.raises(ValueError, match="'data_home' parameter"):
        FETCHERS[name](data_home=3)


def test_shared_adult():
    X, y, space = fetch_adult(data_home=shared_data("adult"))
    assert X.shape == (48842, 13)
    assert X.isna().to_numpy().sum() == 6465
    assert y.value_counts().to_dict() == {"<=50K": 37155, ">50K": 11687}
    kinds = space.fit(X).feature_kinds_
    assert [name for name, kind in kinds.items() if kind == "ordinal"] == ["education"]
    ranks = {level: rank for rank, level in enumerate(space.categories_["education"], start=1)}
    assert (X["education"].map(ranks) == X["education_num"]).all()


def test_shared_adult_constraints():
    X, _, space = fetch_adult(data_home=shared_data("adult"))
    space.fit(X)
    row = X.dropna().query("education == 'HS-grad'").iloc[[0]]

    def allowed(**changes):
        return bool(space.feasible(row, row.assign(**changes))[0])

    assert allowed(education="Masters", education_num=14, age=row["age"] + 2, hours_per_week=20)
    forbidden = [
        {"education": "11th"},
        {"education_num": row["education_num"] - 1},
        {"age": row["age"] - 1},
        {"sex": "Male" if row["sex"].item() == "Female" else "Female"},
        {"race": "White" if row["race"].item() != "White" else "Black"},
        {"native_country": "Cuba" if row["native_country"].item() != "Cuba" else "India"},
    ]
    assert not any(allowed(**changes) for changes in forbidden)


def test_shared_german_credit():
    X, y, space = fetch_german_credit(data_home=shared_data("german_credit"))
    assert X.shape == (1000, 20)
    assert not X.isna().to_numpy().any()
    assert y.value_counts().to_dict() == {"good": 700, "bad": 300}
    kinds = list(space.fit(X).feature_kinds_.values())
    assert kinds.count("integer") == 7
    assert kinds.count("category") == 13
    row = X.iloc[[0]]
    assert not space.feasible(row, row.assign(age=row["age"] - 1))[0]
    assert not space.feasible(row, row.assign(foreign_worker="no"))[0]
    assert not space.feasible(row, row.assign(personal_status_sex="male : married/widowed"))[0]
    assert space.feasible(row, row.assign(duration_in_month=60, telephone="none"))[0]


LEVELS = ["primary", "secondary", "college", "bachelor", "master"]
NUMBERS = ["age", "income", "savings", "loans", "missed_payments"]
BOX = {  # how far each value may go, given its own
    "age": lambda x: (x, 200),
    "income": lambda x: (10, 60),
    "savings": lambda x: (0, 40),
    "loans": lambda x: (0, 5),
    "missed_payments": lambda x: (x, 200),
}


@pytest.fixture(scope="module")
def population():
    return make_recourse_population(300, crowding=0.3, random_state=0)


@pytest.fixture(scope="module")
def space(population):
    return clone(population.feature_space).fit(population.X)


def points_per_unit(population):
    """Weights of the linear rule, read off the classifier's scores alone."""
    row = population.X.iloc[[0]].assign(education="primary", employed=False)
    score = population.classifier.decision_function
    steps = {name: row.assign(**{name: row[name] + 1}) for name in NUMBERS}
    steps["education"] = row.assign(education="secondary")
    steps["employed"] = row.assign(employed=True)
    return {name: (score(step) - score(row)).item() for name, step in steps.items()}


def cost_per_unit(population):
    """Prices by the definition of the default cost: weight over range."""
    prices = {name: 1 / np.ptp(population.X[name].to_numpy()) for name in NUMBERS}
    prices |= {"education": 1 / (len(LEVELS) - 1), "employed": 1.0}
    weights = population.feature_space.feature_weights
    return {name: weights.get(name, 1) * price for name, price in prices.items()}


def cheapest_by_milp(row, score, points, prices):
    """The same optimum by branch and bound: rises and falls of all features but the region."""
    names = [*NUMBERS, "education", "employed"]
    level = LEVELS.index(row["education"])
    up = {name: BOX[name](row[name])[1] - row[name] for name in NUMBERS}
    down = {name: row[name] - BOX[name](row[name])[0] for name in NUMBERS}
    up |= {"education": len(LEVELS) - 1 - level, "employed": 1 - row["employed"]}
    down |= {"education": 0, "employed": int(row["employed"])}
    gain = np.array([points[name] for name in names])
    price = np.array([prices[name] for name in names])
    whole = np.array([name not in ("income", "savings") for name in names])
    solution = milp(
        np.concatenate([price, price]),
        constraints=LinearConstraint(np.concatenate([gain, -gain]), lb=-score),
        bounds=Bounds(0, [float(side[name]) for side in (up, down) for name in names]),
        integrality=np.concatenate([whole, whole]),
        options={"mip_rel_gap": 0},
    )
    return solution.fun if solution.success else np.inf


@pytest.mark.parametrize("seed", [1, 2])
def test_optimal_cost_agrees_with_milp(seed):
    population = make_recourse_population(200, random_state=seed)
    points, prices = points_per_unit(population), cost_per_unit(population)
    rejected = np.flatnonzero(population.y == "rejected")
    infeasible = np.flatnonzero(population.infeasible)
    rows = np.unique(np.concatenate([rejected[:30], infeasible[:3]]))
    scores = population.classifier.decision_function(population.X)
    expected = [cheapest_by_milp(population.X.iloc[i], scores[i], points, prices) for i in rows]
    np.testing.assert_allclose(population.optimal_cost[rows], expected, rtol=1e-6, atol=1e-6)


def test_optimum_uses_whole_and_continuous_features():
    # otherwise the comparison with the other solver would say little
    population = make_recourse_population(500, random_state=0)
    changed = (population.optimal_X != population.X).any()
    assert set(changed.index[changed]) == {"income", "savings", "loans", "education", "employed"}
    score = population.classifier.decision_function(population.optimal_X)
    found = (population.y == "rejected") & ~population.infeasible
    assert (score[found] > 0.01).any()  # a whole loan overshoots


def test_optimal_rows_are_allowed_accepted_and_cost_the_optimum(population, space):
    feasible = ~population.infeasible
    X, X_cf = population.X[feasible], population.optimal_X[feasible]
    assert space.feasible(X, X_cf).all()
    assert (population.classifier.predict(X_cf) == "accepted").all()
    cost = space.cost(X, X_cf)
    np.testing.assert_allclose(cost, population.optimal_cost[feasible], rtol=0, atol=1e-9)


def test_optimal_rows_keep_the_form_of_X(population):
    optimal_X, X = population.optimal_X, population.X
    pd.testing.assert_frame_equal(optimal_X.iloc[:0], X.iloc[:0])
    pd.testing.assert_index_equal(optimal_X.index, X.index)
    same = (population.y == "accepted") | population.infeasible
    pd.testing.assert_frame_equal(optimal_X[same], X[same])


def test_accepted_rows_cost_nothing_and_only_infeasible_ones_infinity(population):
    accepted = (population.y == "accepted").to_numpy()
    assert (population.optimal_cost[accepted] == 0).all()
    assert (population.optimal_cost[~accepted] > 0).all()
    np.testing.assert_array_equal(np.isinf(population.optimal_cost), population.infeasible)
    assert not (accepted & population.infeasible).any()


def test_a_step_less_than_the_optimum_is_not_accepted(population):
    # where a continuous feature was raised last, the optimum stands on the line
    score = population.classifier.decision_function(population.optimal_X)
    on_the_line = (score < 1e-9) & (population.y == "rejected").to_numpy() & ~population.infeasible
    assert on_the_line.mean() > 0.3
    shy = population.optimal_X[on_the_line]
    shy = shy.assign(income=shy["income"] - 1e-6)
    assert (population.classifier.predict(shy) == "rejected").all()


def test_infeasible_rows_have_no_accepted_corner(population):
    rejected = np.flatnonzero(population.y == "rejected")
    accepted_corner = np.array([any_corner_accepted(population, i) for i in rejected])
    np.testing.assert_array_equal(accepted_corner, ~population.infeasible[rejected])


def any_corner_accepted(population, i):
    """A linear score is highest in a corner of the box of allowed values."""
    row = population.X.iloc[i]
    sides = {name: BOX[name](row[name]) for name in NUMBERS}
    sides |= {"education": (row["education"], "master"), "employed": (False, True)}
    corners = pd.DataFrame(list(product(*sides.values())), columns=list(sides))
    corners = corners.assign(region=row["region"])[list(population.X)]
    return (population.classifier.predict(corners) == "accepted").any()


def test_no_accepted_row_is_cheaper_than_the_optimum(population, space):
    accepted = (population.y == "accepted").to_numpy()
    cost = space.pairwise_cost(population.X[~accepted], population.X[accepted])
    nearest = cost.min(axis=1)
    assert (nearest >= population.optimal_cost[~accepted] - 1e-12).all()
    assert np.isfinite(nearest).sum() > 100  # and most of them can reach somebody
    assert np.isinf(nearest[population.infeasible[~accepted]]).all()


def busiest_share(population):
    """Share of the rejected whose nearest accepted row is among the busiest 1 % of them."""
    space = clone(population.feature_space).fit(population.X)
    accepted = (population.y == "accepted").to_numpy()
    cost = space.pairwise_cost(population.X[~accepted], population.X[accepted])
    nearest = cost[np.isfinite(cost).any(axis=1)].argmin(axis=1)
    visits = np.sort(np.bincount(nearest, minlength=accepted.sum()))[::-1]
    return visits[: int(np.ceil(0.01 * accepted.sum()))].sum() / len(nearest)


@pytest.mark.parametrize("seed", range(3))
def test_crowding_sends_most_people_to_the_same_few(seed):
    spread, half, crowded = (
        busiest_share(make_recourse_population(1000, crowding=crowding, random_state=seed))
        for crowding in (0.0, 0.5, 0.9)
    )
    assert spread < 0.3
    assert spread < half < crowded
    assert crowded > 0.8


@pytest.mark.parametrize("crowding", [0, 0.25, 1])
def test_crowding_is_the_share_of_the_accepted_in_one_spot(crowding):
    population = make_recourse_population(200, crowding=crowding, random_state=3)
    spread = make_recourse_population(200, random_state=3)
    accepted = population.X[population.y == "accepted"]
    others = ["age", "loans", "missed_payments", "education", "employed"]
    at_spot = accepted[others].eq([52, 1, 0, "college", True]).all(axis=1)
    at_spot &= accepted["income"].between(40, 41) & accepted["savings"].between(15, 15.5)
    assert at_spot.sum() == crowding * 80
    kept = population.X.index.difference(accepted.index[at_spot])
    pd.testing.assert_frame_equal(population.X.loc[kept], spread.X.loc[kept])
    pd.testing.assert_series_equal(population.X["region"], spread.X["region"])
    pd.testing.assert_series_equal(population.y, spread.y)


@pytest.mark.parametrize("n_samples", [2, 3, 10, 100, 257])
@pytest.mark.parametrize("crowding", [0.0, 1.0])
def test_all_kinds_of_people_occur(n_samples, crowding):
    for seed in range(3):
        population = make_recourse_population(n_samples, crowding=crowding, random_state=seed)
        assert len(population.X) == n_samples
        assert set(population.y) == {"rejected", "accepted"}
        assert population.infeasible.sum() == (np.ceil(n_samples / 20) if n_samples >= 10 else 0)
        assert (np.isfinite(population.optimal_cost) & (population.y == "rejected")).any()


def test_columns_are_mixed(population, space):
    kinds = {
        "age": "integer",
        "income": "continuous",
        "savings": "continuous",
        "loans": "integer",
        "missed_payments": "integer",
        "education": "ordinal",
        "region": "category",
        "employed": "category",
    }
    assert space.feature_kinds_ == kinds
    assert isinstance(population.feature_space, FeatureSpace)
    assert not hasattr(population.feature_space, "scale_")
    assert space.feasible(population.X, population.X).all()


def test_same_seed_same_bits(population):
    again = make_recourse_population(300, crowding=0.3, random_state=np.random.RandomState(0))
    pd.testing.assert_frame_equal(again.X, population.X, check_exact=True)
    pd.testing.assert_frame_equal(again.optimal_X, population.optimal_X, check_exact=True)
    pd.testing.assert_series_equal(again.y, population.y)
    assert again.optimal_cost.tobytes() == population.optimal_cost.tobytes()
    other = make_recourse_population(300, crowding=0.3, random_state=1)
    assert not other.X.equals(population.X)


@pytest.mark.parametrize("random_state", [0, None])
def test_global_generator_is_untouched(random_state):
    before = np.random.get_state()[1:3]  # noqa: NPY002
    make_recourse_population(20, random_state=random_state)
    after = np.random.get_state()[1:3]  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]


def test_no_seed_draws_new_people():
    first, second = make_recourse_population(20), make_recourse_population(20)
    assert not first.X.equals(second.X)


@pytest.mark.parametrize(
    "name, value",
    [
        ("n_samples", 1),
        ("n_samples", 10.5),
        ("crowding", -0.1),
        ("crowding", 1.1),
        ("crowding", "high"),
        ("random_state", "zero"),
    ],
)
def test_parameters_are_checked(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of make_recourse_population"):
        make_recourse_population(**{"n_samples": 20, name: value})


def test_classifier_is_the_rule(population):
    classifier = population.classifier
    score = classifier.decision_function(population.X)
    np.testing.assert_array_equal(classifier.classes_, ["rejected", "accepted"])
    np.testing.assert_array_equal(classifier.classes_[(score >= 0).astype(int)], population.y)
    assert classifier.score(population.X, population.y) == 1


def test_classifier_scores_rows_by_themselves(population):
    score = population.classifier.decision_function(population.X)
    backwards = population.classifier.decision_function(population.X.iloc[::-1])
    np.testing.assert_array_equal(backwards[::-1], score)
    alone = [population.classifier.decision_function(population.X.iloc[[i]])[0] for i in range(50)]
    np.testing.assert_array_equal(alone, score[:50])


def test_classifier_pickles_and_clones(population):
    score = population.classifier.decision_function(population.X)
    pickled = pickle.loads(pickle.dumps(population.classifier))
    np.testing.assert_array_equal(pickled.decision_function(population.X), score)
    cloned = clone(population.classifier)
    with pytest.raises(NotFittedError):
        cloned.predict(population.X)
    cloned.fit(population.X, population.y)
    np.testing.assert_array_equal(cloned.decision_function(population.X), score)


def test_description_states_the_rule(population):
    thresholds = population.classifier.thresholds.items()
    assert ", ".join(f"{region}: {points}" for region, points in thresholds) in population.DESCR
    rule = {line.split()[0]: line for line in population.DESCR.splitlines() if line.strip()}
    for name, points in population.classifier.weights.items():
        assert f"{points:+g} points" in rule[name]
    assert set(population.X) <= set(rule)


def simple_rule():
    return LinearRule(
        {"a": 0.5, "level": 1.0}, levels={"level": ["low", "high"]}, group="g", thresholds={"x": 2}
    )


def test_rule_accepts_from_zero_on():
    X = pd.DataFrame({"a": [2.0, 3.75, 4.0], "level": ["high", "low", "low"], "g": "x"})
    rule = simple_rule().fit(X)
    np.testing.assert_array_equal(rule.decision_function(X), [0.0, -0.125, 0.0])
    assert rule.predict(X).tolist() == ["accepted", "rejected", "accepted"]


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"level": "middle"},
            r"level must hold \['low', 'high'\] and nothing else; got \['middle'",
        ),
        ({"g": "y"}, r"g must hold \['x'\] and nothing else; got \['y'\]"),
        ({"a": np.nan}, "contains NaN"),
    ],
)
def test_rule_refuses_what_it_cannot_score(changes, message):
    X = pd.DataFrame({"a": [2.0], "level": ["high"], "g": ["x"]})
    rule = simple_rule().fit(X)
    with pytest.raises(ValueError, match=message):
        rule.predict(X.assign(**changes))


def test_rule_needs_its_columns():
    X = pd.DataFrame({"a": [2.0], "level": ["high"], "g": ["x"]})
    with pytest.raises(ValueError, match=r"lacks \['level'\]"):
        simple_rule().fit(X.drop(columns="level"))
    with pytest.raises(ValueError, match="must be a DataFrame"):
        simple_rule().fit(X.to_numpy())
    with pytest.raises(ValueError, match="feature names"):
        simple_rule().fit(X).predict(X[["level", "a", "g"]])


def cheapest(X, threshold, savings, **constraints):
    """Least cost under a rule of one point for savings and one for a job."""
    space = FeatureSpace(permitted_range={"savings": savings}, **constraints).fit(X)
    rule = LinearRule(
        {"savings": 1.0, "job": 1.0}, levels={}, group="g", thresholds={"x": threshold}
    ).fit(X)
    discrete, continuous = {"job": np.array([0.0, 1.0])}, {"savings": savings[1]}
    cost, Z = cheapest_acceptance(X, rule, space, discrete, continuous)
    return cost, space.inverse_transform(Z, reference=X), space


def test_optimum_leaves_what_may_not_change():
    X = pd.DataFrame({"savings": [0.0, 2.0], "job": [False, True], "g": "x"})
    cost, rows, _ = cheapest(X, 4.0, (0, 4))
    np.testing.assert_allclose(cost, [2.0, 0.5])  # 4 savings, or 3 and a job; 1 more
    assert rows["job"].tolist() == [False, True]
    cost, _, _ = cheapest(X, 4.0, (0, 3))
    np.testing.assert_allclose(cost, [2.5, 0.5])  # a job is needed now
    cost, rows, _ = cheapest(X, 4.0, (0, 3), immutable_features=["job"])
    np.testing.assert_allclose(cost, [np.inf, 0.5])
    pd.testing.assert_frame_equal(rows.iloc[:1], X.iloc[:1])


def test_optimum_stays_in_the_range_where_sums_are_rounded_up():
    X = pd.DataFrame({"savings": [0.06, 0.29, 0.34], "job": [False, True, False], "g": "x"})
    assert (X["savings"] + (0.9 - X["savings"]) > 0.9).all()
    _, rows, space = cheapest(X, 1.9 - 1e-11, (0, 0.9))
    assert space.feasible(X, rows).all()
    assert (rows["savings"] == 0.9).all()
