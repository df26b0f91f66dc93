"""The contract of every explainer (see the user guide), one function a rule.

A new explainer is covered by one line in conftest.EXPLAINERS.
"""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import EXPLAINERS, boosted_pipeline, mixed_population, people, workers_for
from joblib import Parallel, delayed
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import (
    CCEExplainer,
    ExactExplainer,
    FeatureSpace,
    InvalidCounterfactualWarning,
    TGTExplainer,
)

SPACE = FeatureSpace(
    immutable_features=["sex"],
    change_direction={"age": +1},
    permitted_range={"hours": (0, 45), "job": ["clerk", "cook", "nurse"]},
)

every_explainer = pytest.mark.parametrize("Explainer", EXPLAINERS.values(), ids=EXPLAINERS)

# the exact one reads the model itself: its own tests do the same with models that it takes
BLACK_BOX = {name: Explainer for name, Explainer in EXPLAINERS.items() if name != "exact"}
every_black_box = pytest.mark.parametrize("Explainer", BLACK_BOX.values(), ids=BLACK_BOX)


@pytest.fixture(autouse=True)
def one_translation_for_a_group(request):
    """A translation is not valid for every row of its group, and the result says so."""
    callspec = getattr(request.node, "callspec", None)
    if callspec and TGTExplainer in callspec.params.values():
        warnings.filterwarnings("ignore", category=InvalidCounterfactualWarning)


@pytest.fixture
def population(request):
    """People to explain, fewer for an explainer that takes longer for each."""
    Explainer = request.node.callspec.params["Explainer"]
    return people(150) if Explainer is ExactExplainer else people()


def least_score(Explainer):
    """The share of rows that get a counterfactual: all, if they are taken one by one."""
    return 0.6 if Explainer is TGTExplainer else 1.0


def most(Explainer, are_there):
    """Whether all rows are where they are to be, or as many as one translation leads there."""
    return np.mean(are_there) >= least_score(Explainer)


def explain_quietly(explainer, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X)


def fitted_on(population, Explainer, **params):
    X, _, model = population
    params = {"target_class": "yes", "feature_space": SPACE, **params}
    return Explainer(estimator=model, **params).fit(X, model.predict(X))


def missing(column):
    return column.isna().to_numpy()


def assert_constraints_hold(before, after, *, immutable, rising, ranges, seen):
    """Every rule on every row, written out anew: what FeatureSpace thinks does not count."""
    for name in before:
        old, new = before[name], after[name]
        kept = (old == new).to_numpy(dtype=bool, na_value=False) | (missing(old) & missing(new))
        assert (kept | ~missing(new)).all(), f"{name}: a missing value was proposed"
        if name in immutable:
            assert kept.all(), f"{name} is immutable"
        if name in rising:
            assert (kept | (new >= old).to_numpy(dtype=bool, na_value=False)).all(), f"{name} fell"
        if name in ranges:
            low, high = ranges[name]
            assert (missing(new) | new.between(low, high).to_numpy(bool, na_value=False)).all()
        if name in seen:
            assert (kept | new.isin(seen[name]).to_numpy()).all(), f"{name}: unseen category"
        if old.dtype.kind in "iu":
            assert new.dtype == old.dtype


@every_explainer
def test_constraints_hold_on_every_row_of_adult(Explainer, adult):
    X, queries, space, model = adult
    # a programme takes longer than a search
    queries = queries[: 80 if Explainer is ExactExplainer else None].copy()
    queries.loc[queries.index[:5], "workclass"] = "Astronaut"
    queries.loc[queries.index[5:10], "native_country"] = "Atlantis"
    space = clone(space).set_params(permitted_range={"hours_per_week": (20, 60)})
    explainer = Explainer(estimator=model, target_class=">50K", feature_space=space)
    result = explain_quietly(explainer.fit(X, model.predict(X)), queries)
    assert np.mean(result.status == "found") > (0.05 if Explainer is TGTExplainer else 0.5)
    moved = np.isin(result.status, ["found", "not_found"])
    text = [name for name in X if X[name].dtype.kind not in "if"]
    assert_constraints_hold(
        queries[moved],
        result.X_cf[moved],
        immutable=space.immutable_features,
        rising=["age", "education_num"],
        ranges={"hours_per_week": (20, 60)},
        seen={name: X[name].dropna().unique() for name in text},
    )
    levels = {level: rank for rank, level in enumerate(space.ordinal_features["education"])}
    rank, rank_cf = queries["education"].map(levels), result.X_cf["education"].map(levels)
    assert (rank_cf >= rank)[moved].all()
    assert_frame_equal(result.X_cf[~moved], queries[~moved])


@every_explainer
def test_constraints_hold_on_a_mixed_population(Explainer, population):
    _X, _, _ = population
    explainer = fitted_on(population, Explainer)
    queries, _ = mixed_population(300, seed=1)
    queries.loc[queries.index[:20], "job"] = "astronaut"
    result = explain_quietly(explainer, queries)
    moved = np.isin(result.status, ["found", "not_found"])
    assert_constraints_hold(
        queries[moved],
        result.X_cf[moved],
        immutable=["sex"],
        rising=["age"],
        ranges={"hours": (0, 45)},
        seen={"job": ["clerk", "cook", "nurse"], "owner": [True, False]},
    )
    assert not result.X_cf["job"][moved].isin(["pilot", "astronaut"]).any()


@every_explainer
def test_rows_already_in_the_target_come_back_unchanged(Explainer, population):
    X, _, model = population
    explainer = fitted_on(population, Explainer)
    result = explain_quietly(explainer, X)
    there = model.predict(X) == "yes"
    assert_array_equal(result.status == "already_target", there)
    assert (X["hours"][there] > 45).any(), "the test needs accepted rows outside the range"
    assert_frame_equal(result.X_cf[there], X[there])
    assert (result.cost[there] == 0).all()
    assert (result.n_changes[there] == 0).all()


@every_explainer
def test_status_is_true_to_the_classifier(Explainer, population):
    X, _, model = population
    result = explain_quietly(fitted_on(population, Explainer), X)
    assert_array_equal(result.y, model.predict(X))
    assert_array_equal(result.y_cf, model.predict(result.X_cf))
    assert_array_equal(np.isin(result.status, ["found", "already_target"]), result.y_cf == "yes")
    assert (result.status == "found").any()


@every_explainer
def test_explain_and_transform_give_the_same_rows(Explainer, population):
    X, _, _ = population
    explainer = fitted_on(population, Explainer, feature_space=None)
    assert_frame_equal(explainer.transform(X), explainer.explain(X).X_cf)


@every_explainer
def test_cost_and_changes_are_those_of_the_rows_returned(Explainer, population):
    X, _, _ = population
    explainer = fitted_on(population, Explainer)
    result = explain_quietly(explainer, X)
    found = result.status == "found"
    space = explainer.feature_space_
    expected = space.cost(X[found], result.X_cf[found], metric=explainer._cost_metric())
    np.testing.assert_allclose(result.cost[found], expected)
    assert np.isfinite(result.cost[found]).all()
    assert np.isnan(result.cost[np.isin(result.status, ["not_found", "infeasible"])]).all()
    changes = result.changes().groupby("row").size().reindex(X.index[found], fill_value=0)
    assert_array_equal(changes, result.n_changes[found])
    assert (result.n_queries >= 1).all()


@every_explainer
def test_changes_join_back_to_the_table_and_keep_integers(Explainer, population):
    X, _, _ = population
    result = explain_quietly(fitted_on(population, Explainer), X)
    changes = result.changes()
    assert list(changes.columns) == ["row", "feature", "before", "after"]
    for row, feature, before, after in changes.itertuples(index=False):
        assert before is X.loc[row, feature] or before == X.loc[row, feature] or before != before
        assert after == result.X_cf.loc[row, feature]
        if feature in ("age", "hours"):
            assert isinstance(after, int)


@every_explainer
def test_classifier_is_not_changed(Explainer, population):
    X, _, model = population
    before = pickle.dumps(model)
    explain_quietly(fitted_on(population, Explainer), X[:50])
    assert pickle.dumps(model) == before


@every_explainer
def test_clone_keeps_a_fitted_classifier(Explainer, population):
    X, _, model = population
    explainer = Explainer(estimator=model, target_class="yes", random_state=0)
    copy = clone(explainer)
    assert isinstance(copy.estimator, FrozenEstimator)
    assert copy.estimator.estimator is model
    assert clone(copy).estimator.estimator is model
    again = copy.fit(X).transform(X[:40])
    assert_frame_equal(again, explainer.fit(X).transform(X[:40]))


@every_explainer
def test_set_output_survives_clone(Explainer, population):
    X, _, model = population
    explainer = Explainer(estimator=model, target_class="yes").set_output(transform="polars")
    assert type(clone(explainer).fit(X).transform(X[:5])).__module__.startswith("polars")


@every_explainer
def test_works_in_grid_search(Explainer, population):
    X, _, model = population
    labels = model.predict(X)
    grid = {"feature_space__scale": ["range", "std"]}
    explainer = Explainer(estimator=model, target_class="yes", feature_space=FeatureSpace())
    search = GridSearchCV(explainer, grid, cv=2).fit(X, labels)
    best = search.best_estimator_
    assert best.estimator_.estimator is model
    assert search.best_score_ >= least_score(Explainer)
    assert most(Explainer, model.predict(best.transform(X)) == "yes")


@every_explainer
def test_grid_over_classifiers_needs_frozen_ones(Explainer, population):
    X, _, model = population
    explainer = Explainer(estimator=model, target_class="yes")
    frozen = {"estimator": [FrozenEstimator(model)]}
    search = GridSearchCV(explainer, frozen, cv=2).fit(X, model.predict(X))
    assert search.best_score_ >= least_score(Explainer)
    bare = GridSearchCV(explainer, {"estimator": [model]}, cv=2, error_score="raise")
    with pytest.raises(NotFittedError, match="FrozenEstimator"):
        bare.fit(X, model.predict(X))


@every_explainer
def test_works_behind_a_scaler_in_a_pipeline(Explainer):
    X, y = make_classification(200, 5, random_state=0)
    scaler = StandardScaler().fit(X)
    model = LogisticRegression().fit(scaler.transform(X), y)
    pipeline = make_pipeline(StandardScaler(), Explainer(estimator=model)).fit(
        X, y_pred(model, scaler, X)
    )
    X_cf = pipeline.transform(X)
    assert most(Explainer, model.predict(X_cf) == 1)
    score = clone(pipeline).fit(X, y_pred(model, scaler, X)).score(X)
    assert score >= least_score(Explainer)


def y_pred(model, scaler, X):
    return model.predict(scaler.transform(X))


@every_explainer
def test_unfitted_classifier_is_refused(Explainer, population):
    X, y, _ = population
    with pytest.raises(NotFittedError, match="is not fitted"):
        Explainer(estimator=LogisticRegression()).fit(X, y)


@every_explainer
def test_failed_refit_leaves_the_old_fit(Explainer, population):
    X, _, model = population
    explainer = fitted_on(population, Explainer, feature_space=None)
    before, attributes = explainer.transform(X[:30]), dict(vars(explainer))
    with pytest.raises(ValueError, match="no row of X in the target class"):
        explainer.fit(X[model.predict(X) == "no"])
    assert vars(explainer) == attributes
    assert_frame_equal(explainer.transform(X[:30]), before)


class Interrupting(ClassifierMixin, BaseEstimator):
    """A classifier that is interrupted in the middle of a long fit of the explainer."""

    def fit(self, X, y):
        self.classes_, self.interrupt_ = np.unique(y), False
        return self

    def predict(self, X):
        if self.interrupt_:
            raise KeyboardInterrupt
        return np.where(X["hours"] > 30, "yes", "no")


@every_black_box
def test_interrupted_refit_leaves_the_old_fit(Explainer, population):
    X, y, _ = population
    model = Interrupting().fit(X, y)
    explainer = Explainer(estimator=model, target_class="yes").fit(X)
    attributes = dict(vars(explainer))
    model.interrupt_ = True
    with pytest.raises(KeyboardInterrupt):
        explainer.fit(X[:100])
    assert vars(explainer) == attributes


@every_explainer
def test_a_row_does_not_depend_on_the_others(Explainer, population):
    X, _, _ = population
    explainer = fitted_on(population, Explainer)
    whole = explain_quietly(explainer, X).X_cf
    shuffled = X.sample(frac=1, random_state=0)
    assert_frame_equal(explain_quietly(explainer, shuffled).X_cf.loc[X.index], whole)
    for part in (X[:1], X[7:60]):
        assert_frame_equal(explain_quietly(explainer, part).X_cf, whole.loc[part.index])


@every_explainer
def test_refitting_and_rerunning_agree_to_the_bit(Explainer, population):
    X, _, _ = population
    first = fitted_on(population, Explainer, random_state=0)
    second = fitted_on(population, Explainer, random_state=0)
    expected = explain_quietly(first, X).X_cf
    assert_frame_equal(explain_quietly(first, X).X_cf, expected, check_exact=True)
    assert_frame_equal(explain_quietly(second, X).X_cf, expected, check_exact=True)


@every_explainer
def test_global_seeds_are_untouched(Explainer, population):
    X, y, _ = population
    torch = pytest.importorskip("torch")
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    explain_quietly(Explainer(random_state=0).fit(X, y), X[:20])
    assert_array_equal(np.random.get_state()[1], numpy_before[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


@every_explainer
def test_input_is_not_written_to(Explainer, population):
    X, _, _ = population
    queries, copy = X.copy(), X.copy()
    explainer = fitted_on((queries, None, population[2]), Explainer)
    X_cf = explain_quietly(explainer, queries).X_cf
    assert_frame_equal(queries, copy)
    X_cf.iloc[:, 0] = 0
    assert_frame_equal(queries, copy)


@every_explainer
def test_runs_under_joblib_workers(Explainer, population):
    X, _, _ = population
    explainer = fitted_on(population, Explainer, feature_space=None)
    workers_for(Explainer)
    parts = Parallel(n_jobs=2)(delayed(explainer.transform)(p) for p in (X[:30], X[30:60]))
    assert_frame_equal(pd.concat(parts), explainer.transform(X[:60]))


@every_explainer
def test_pickles(Explainer, population):
    X, _, _ = population
    explainer = fitted_on(population, Explainer, feature_space=None)
    copy = pickle.loads(pickle.dumps(explainer))
    assert_frame_equal(copy.transform(X), explainer.transform(X), check_exact=True)
    result = explainer.explain(X[:10])
    assert_frame_equal(pickle.loads(pickle.dumps(result)).X_cf, result.X_cf)


@every_explainer
def test_several_classes_with_text_labels(Explainer):
    iris = load_iris(as_frame=True)
    X, y = iris.data, iris.target_names[iris.target]
    model = LogisticRegression(max_iter=1000).fit(X, y)
    for target in iris.target_names:
        X_cf = Explainer(estimator=model, target_class=target).fit(X).transform(X)
        assert most(Explainer, model.predict(X_cf) == target)
    result = Explainer(estimator=model).fit(X).explain(X)
    assert most(Explainer, result.y_cf != result.y)
    assert_array_equal(model.predict(result.X_cf), result.y_cf)
    assert (result.status == "found").all()


@every_explainer
def test_other_moves_to_the_nearest_other_class(Explainer):
    iris = load_iris(as_frame=True)
    X, y = iris.data, iris.target_names[iris.target]
    model = LogisticRegression(max_iter=1000).fit(X, y)
    options = {"crowding_penalty": 1e-3} if Explainer is CCEExplainer else {}
    result = Explainer(estimator=model, target_class="other", **options).fit(X).explain(X)
    setosa = result.y == "setosa"
    assert (result.y_cf[setosa] == "versicolor").all()


@every_explainer
def test_class_called_other_wins_with_a_warning(Explainer):
    X, y = make_classification(100, 4, random_state=0)
    labels = np.where(y == 1, "other", "mine")
    model = LogisticRegression().fit(X, labels)
    with pytest.warns(UserWarning, match="taken as the class of that name"):
        explainer = Explainer(estimator=model, target_class="other").fit(X)
    result = explainer.explain(X)
    assert most(Explainer, result.y_cf == "other")
    assert_array_equal(result.status == "already_target", result.y == "other")


@every_explainer
def test_unknown_target_class_is_refused(Explainer, population):
    X, _, model = population
    with pytest.raises(ValueError, match=r"target_class='maybe' is not a class of the classifier"):
        Explainer(estimator=model, target_class="maybe").fit(X)


@every_explainer
def test_one_infeasible_row_does_not_fail_the_batch(Explainer, population):
    X, _, model = population
    space = FeatureSpace(immutable_features=["hours"], permitted_range={"hours": (0, 45)})
    rejected = X[model.predict(X) == "no"]
    inside = rejected[rejected["hours"] <= 45].iloc[:20]
    outside = rejected[rejected["hours"] > 45].iloc[:1]
    explainer = fitted_on(population, Explainer, feature_space=space)
    queries = pd.concat([inside, outside])
    with pytest.warns(InvalidCounterfactualWarning, match=r"of 21 rows got no valid .*infeasible"):
        result = explainer.explain(queries)
    assert result.status[-1] == "infeasible"
    assert_frame_equal(result.X_cf.iloc[-1:], outside)
    assert_frame_equal(result.X_cf.iloc[:-1], explain_quietly(explainer, inside).X_cf)


@every_explainer
def test_nothing_may_change(Explainer, population):
    X, _, _model = population
    explainer = fitted_on(
        population, Explainer, feature_space=FeatureSpace(immutable_features=list(X))
    )
    with pytest.warns(InvalidCounterfactualWarning):
        result = explainer.explain(X)
    assert set(result.status) == {"already_target", "infeasible"}
    assert_frame_equal(result.X_cf, X)


@every_explainer
def test_pandas_frame_keeps_columns_dtypes_and_index(Explainer):
    X, y = mixed_population(200, missing=False)
    X = X.astype({"age": "uint8", "income": "float32", "job": "category", "hours": "Int64"})
    model = boosted_pipeline(X, y, ["job", "sex"])
    explainer = Explainer(estimator=model, target_class="yes").fit(X)
    X_cf = explainer.transform(X)
    assert_array_equal(X_cf.dtypes, X.dtypes)
    assert X_cf.index.equals(X.index)
    assert list(X_cf.columns) == list(X.columns)
    assert most(Explainer, model.predict(X_cf) == "yes")


@every_black_box
def test_polars_frame_keeps_columns_and_dtypes(Explainer):
    pl = pytest.importorskip("polars")
    X, _y = mixed_population(200, missing=False)
    X = pl.DataFrame({name: X[name].to_list() for name in X}).with_columns(
        pl.col("age").cast(pl.Int16), pl.col("job").cast(pl.Categorical)
    )
    rule = PolarsRule()
    explainer = Explainer(estimator=rule, target_class=True).fit(X)
    X_cf = explainer.transform(X)
    assert X_cf.schema == X.schema
    assert most(Explainer, rule(X_cf))
    changes = explainer.explain(X).changes()
    assert isinstance(changes, pl.DataFrame)
    assert changes.columns == ["row", "feature", "before", "after"]


class PolarsRule:
    """A function of polars rows."""

    def __call__(self, X):
        return (X["income"] / 1000 + X["hours"] / 30 + (X["job"] == "pilot") > 4.0).to_numpy()


@every_explainer
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_array_keeps_its_dtype(Explainer, dtype):
    X, y = make_classification(150, 4, random_state=0)
    X = (10 * X).astype(dtype)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    X_cf = Explainer(estimator=model).fit(X, model.predict(X)).transform(X)
    assert type(X_cf) is np.ndarray
    assert X_cf.dtype == dtype
    assert most(Explainer, model.predict(X_cf) == 1)


@every_explainer
def test_disagreement_with_y_warns(Explainer, population):
    X, _, model = population
    labels = model.predict(X)
    flipped = np.where(np.arange(len(X)) % 4 == 0, "yes", labels)
    with pytest.warns(UserWarning, match="disagrees with y on"):
        Explainer(estimator=model, target_class="yes").fit(X, flipped)


@every_explainer
def test_missing_values_the_classifier_refuses_name_the_columns(Explainer):
    X, y = make_classification(100, 4, random_state=0)
    X = pd.DataFrame(X, columns=list("abcd"))
    model = LogisticRegression().fit(X, y)
    gaps = X.copy()
    gaps.loc[3, "c"] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in column\(s\) \['c'\]"):
        Explainer(estimator=model).fit(gaps, y)
    with pytest.raises(ValueError, match=r"contains NaN in column\(s\) \['c'\]"):
        Explainer(estimator=model).fit(X).transform(gaps)


@every_explainer
def test_score_is_the_share_of_rows_that_got_one(Explainer, population):
    X, _, model = population
    explainer = fitted_on(population, Explainer)
    status = explain_quietly(explainer, X).status
    expected = np.sum(status == "found") / np.sum(status != "already_target")
    assert explainer.score(X) == pytest.approx(expected)
    assert explainer.score(X[model.predict(X) == "yes"]) == 1.0


@every_explainer
def test_surrogate_is_trained_on_y_alone(Explainer, population):
    X, _, model = population
    labels = model.predict(X)
    explainer = Explainer(target_class="yes", random_state=0).fit(X, labels)
    assert np.mean(explainer.estimator_.predict(X) == labels) > 0.95
    result = explain_quietly(explainer, X)
    assert_array_equal(explainer.estimator_.predict(result.X_cf), result.y_cf)


@every_explainer
def test_empty_working_set_is_fine(Explainer, population):
    X, _, model = population
    explainer = fitted_on(population, Explainer)
    accepted = X[model.predict(X) == "yes"]
    assert_frame_equal(explainer.transform(accepted), accepted)


@every_explainer
def test_result_does_not_share_the_rows_with_the_caller(Explainer, population):
    X, _, _ = population
    queries = X.copy()
    result = explain_quietly(fitted_on(population, Explainer), queries)
    before = result.changes()
    queries.loc[:, "age"] = 0
    assert_frame_equal(result.changes(), before)


@every_explainer
@pytest.mark.parametrize("verb", ["transform", "explain"])
def test_warning_points_to_the_caller(Explainer, population, verb):
    X, _, _ = population
    space = FeatureSpace(immutable_features=list(X))
    explainer = fitted_on(population, Explainer, feature_space=space)
    with pytest.warns(InvalidCounterfactualWarning) as caught:
        getattr(explainer, verb)(X)
    assert [warning.filename for warning in caught] == [__file__]


@every_explainer
@pytest.mark.parametrize("k", [1, 3])
def test_ties_and_odd_rows_do_not_change_the_others(Explainer, k):
    """On an integer grid nearly everything ties; the row with a gap takes another way."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 12, (2000, 3)).astype(float)
    model = HistGradientBoostingClassifier(max_iter=10, random_state=0)
    model.fit(X, X.sum(axis=1) + rng.normal(0, 2, len(X)) > 18)
    explainer = Explainer(estimator=model)
    if "n_neighbors" in explainer.get_params():
        explainer.set_params(n_neighbors=k)
    explainer.fit(X)
    queries = rng.integers(0, 12, (150, 3)).astype(float)
    odd = np.array([[np.nan, 1.0, 1.0]])
    together = explain_quietly(explainer, np.vstack([queries, odd])).X_cf
    assert_array_equal(explain_quietly(explainer, queries).X_cf, together[:-1])


@every_explainer
def test_columns_that_tie_do_not_make_rows_depend_on_the_batch(Explainer):
    X, y = make_classification(200, 4, random_state=0)
    X = np.hstack([X, X])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    explainer = Explainer(estimator=model).fit(X)
    together = explain_quietly(explainer, X).X_cf
    alone = np.vstack([explain_quietly(explainer, X[i : i + 1]).X_cf for i in range(len(X))])
    np.testing.assert_allclose(alone, together, atol=1e-8)
