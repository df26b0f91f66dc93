"""compare_explainers: the table, its ranks, and what becomes of failures."""

import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import pytest
from conftest import EXPLAINERS, people
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, make_moons
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcf import FeatureSpace, NearestExplainer
from skcf.metrics import (
    compare_explainers,
    im1,
    im2,
    knn_distance,
    make_counterfactual_scorer,
    proximity,
    validity,
)

REAL = "real target-class rows"
RESOURCES = {
    "fit_time",
    "time_per_row",
    "time_per_row_single",
    "peak_memory",
    "n_calls",
    "n_queries",
}


@pytest.fixture(scope="module")
def moons():
    X, y = make_moons(160, noise=0.2, random_state=0)
    model = SVC().fit(X, y)
    return X, model.predict(X), model


def values_of(table, explainer, metric):
    lines = table[(table["explainer"] == explainer) & (table["metric"] == metric)]
    return lines.sort_values("split")["value"].to_numpy()


@pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")  # of groups
def test_table_holds_what_fit_and_explain_give_by_hand(moons):
    X, labels, model = moons
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    explainers = {name: E(estimator=model, **({"random_state": 0} if name == "collective" else {}))
                  for name, E in EXPLAINERS.items() if name != "exact"}  # fmt: skip
    metrics = ["validity", "proximity", "knn_distance"]
    table = compare_explainers(explainers, X, labels, metrics=metrics, cv=folds, n_single=2)
    assert list(table) == ["explainer", "split", "metric", "value", "rank", "error"]
    assert not table.duplicated(["explainer", "split", "metric"]).any()
    assert set(table["metric"]) == {*metrics, *RESOURCES}
    for name, explainer in explainers.items():
        expected = []
        for train, test in folds.split(X, labels):
            fitted = clone(explainer).fit(X[train], labels[train])
            result, space = fitted.explain(X[test]), fitted.feature_space_
            held = {"reference": X[train], "y_reference": labels[train]}
            expected.append(
                [
                    validity(result),
                    proximity(result, feature_space=space),
                    knn_distance(result, feature_space=space, **held),
                    result.n_calls,
                    result.n_queries.mean(),
                ]
            )
        for metric, column in zip(
            [*metrics, "n_calls", "n_queries"], np.transpose(expected), strict=True
        ):
            assert values_of(table, name, metric) == pytest.approx(column, rel=1e-9), metric
    assert (table.loc[table["metric"].isin(RESOURCES), "value"] > 0).all()
    assert table["error"].isna().all()


def test_real_rows_are_test_rows_of_the_target_held_against_training_rows(moons):
    X, labels, model = moons
    folds = StratifiedKFold(2)
    table = compare_explainers(
        {"nearest": NearestExplainer(model)},
        X,
        labels,
        metrics=["proximity", "knn_distance", "energy_distance"],
        cv=folds,
    )
    real = table[table["explainer"] == REAL]
    assert set(real["metric"]) == {"knn_distance", "energy_distance"}  # real rows did not move
    assert real["rank"].isna().all()
    expected = []
    for train, test in folds.split(X, labels):
        space = FeatureSpace().fit(X[train])
        there = X[test][labels[test] == 1]
        held = X[train][labels[train] == 1]
        expected.append(knn_distance(there, there, reference=held, feature_space=space))
    assert values_of(table, REAL, "knn_distance") == pytest.approx(np.array(expected))


def test_real_rows_of_several_classes_are_held_against_their_own():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])
    model = LogisticRegression(max_iter=1000).fit(X, names[y])
    labels = model.predict(X)
    table = compare_explainers(
        {"nearest": NearestExplainer(model).fit(X, labels)},
        X,
        metrics={"near": "knn_distance", "share": "neighbour_share"},
        cv="prefit",
    )
    space = FeatureSpace().fit(X)
    expected = knn_distance(
        X, X, reference=X, y_reference=labels, target=labels, feature_space=space
    )
    assert values_of(table, REAL, "near") == pytest.approx([expected])
    assert values_of(table, REAL, "share")[0] > values_of(table, "nearest", "share")[0]


def test_real_rows_if_the_first_explainer_fails(moons):
    """The next one sees them; the same as where it is the first."""
    X, labels, model = moons
    works = {"nearest": NearestExplainer(model)}
    broken = {"broken": NearestExplainer(LogisticRegression())}
    args = {"metrics": ["validity", "knn_distance"], "cv": 2, "n_single": 1}
    with pytest.warns(FitFailedWarning, match="of \\['broken'\\]"):
        table = compare_explainers({**broken, **works}, X, labels, **args)
    alone = compare_explainers(works, X, labels, **args)
    assert values_of(table, REAL, "knn_distance").tolist() == (
        values_of(alone, REAL, "knn_distance").tolist()
    )
    assert len(values_of(table, REAL, "knn_distance")) == 2


def test_no_real_row_in_the_target_is_no_value_and_no_error(moons):
    X, labels, model = moons
    fitted = NearestExplainer(model).fit(X, labels)
    table = compare_explainers(
        {"nearest": fitted}, X[labels == 0], metrics="knn_distance", cv="prefit", reference=X
    )
    assert np.isnan(values_of(table, REAL, "knn_distance")).all()
    assert table["error"].isna().all()


@pytest.mark.parametrize("rows", ["all", "only those in the target"])
def test_autoencoder_metrics_of_real_rows(moons, rows):
    """Real rows left the other class, though none of it may be among the rows."""
    X, labels, model = moons
    autoencoders = {0: lambda X: X * [0, 1], 1: lambda X: X * [1, 0], None: lambda X: X / 2}
    there = X[labels == 1]
    given = {"autoencoders": autoencoders, "target": 1}
    table = compare_explainers(
        {"nearest": NearestExplainer(model).fit(X, labels)},
        X if rows == "all" else there,
        metrics=[partial(im1, autoencoders=autoencoders), partial(im2, autoencoders=autoencoders)],
        cv="prefit",
    )
    assert values_of(table, REAL, "im1") == pytest.approx([im1(there, there, origin=0, **given)])
    assert values_of(table, REAL, "im2") == pytest.approx([im2(there, there, **given)])
    assert np.isnan(values_of(table, "nearest", "im1")).all() == (rows != "all")


def test_single_rows_are_spread_over_the_table(moons):
    """Of a sorted table the first rows may all need nothing, which takes no time."""
    X, labels, model = moons
    X = X[np.argsort(-labels, kind="stable")]
    asked = []

    def recorded(rows):
        asked.extend([rows[0, 0]] if len(rows) == 1 else [])
        return model.predict(rows)

    fitted = NearestExplainer(recorded, target_class=1, refine=False).fit(X)
    compare_explainers({"n": fitted}, X, metrics="validity", cv="prefit", n_single=3)
    n = len(X)
    assert {X[0, 0], X[(n - 1) // 2, 0], X[n - 1, 0]} <= set(asked)
    assert X[1, 0] not in asked


def test_a_search_is_compared_as_the_explainer_that_it_finds(moons):
    X, labels, model = moons
    search = GridSearchCV(
        NearestExplainer(model),
        {"refine": [False, True]},
        scoring=make_counterfactual_scorer("proximity"),
        cv=StratifiedKFold(2),
    )
    table = compare_explainers(
        {"tuned": search, "refined": NearestExplainer(model)},
        X,
        labels,
        metrics=["proximity", "margin"],
        cv=2,
        n_single=1,
    )
    for metric in ("proximity", "margin", "n_calls"):
        found = values_of(table, "tuned", metric), values_of(table, "refined", metric)
        assert found[0].tolist() == found[1].tolist()


def test_ranks_have_ties_and_follow_the_direction(moons):
    X, labels, model = moons
    far = NearestExplainer(model, refine=False)
    table = compare_explainers(
        {"a": NearestExplainer(model), "far": far, "b": NearestExplainer(model)},
        X,
        labels,
        metrics=["validity", "proximity", "margin"],
        cv=2,
    )
    ranks = table.pivot_table(index="metric", columns="explainer", values="rank")
    assert ranks.loc["validity"].tolist() == [2.0, 2.0, 2.0]
    assert ranks.loc["proximity"].tolist() == [1.5, 1.5, 3.0]
    assert ranks.loc["margin", "far"] == 1.0  # greater is better
    assert ranks.loc["n_calls", "far"] == 1.0  # fewer is better


def test_a_failure_is_a_line_and_the_rest_goes_on(moons):
    X, labels, model = moons
    broken = NearestExplainer(LogisticRegression())  # not fitted
    with pytest.warns(FitFailedWarning, match=r"4 values are missing, of \['broken'\].*NotFitted"):
        table = compare_explainers(
            {"broken": broken, "nearest": NearestExplainer(model)},
            X,
            labels,
            metrics=["validity", "proximity"],
            cv=2,
        )
    lines = table[table["explainer"] == "broken"]
    assert lines["value"].isna().all()
    assert lines["error"].str.startswith("NotFittedError: The classifier to explain").all()
    assert (lines["rank"] == 2).all()  # behind what has a value
    assert values_of(table, "nearest", "validity").tolist() == [1.0, 1.0]


def test_a_fitted_explainer_that_fails_is_a_line(moons):
    X, labels, model = moons
    fitted = NearestExplainer(model).fit(X, labels)
    fails = NearestExplainer(_Moody(model)).fit(X, labels)
    fails.estimator.is_ill = True
    with pytest.warns(FitFailedWarning, match=r"of \['fails'\].*RuntimeError: out of order"):
        table = compare_explainers(
            {"nearest": fitted, "fails": fails}, X, metrics="validity", cv="prefit"
        )
    assert values_of(table, "nearest", "validity").tolist() == [1.0]
    error = table.loc[table["explainer"] == "fails", "error"].tolist()
    assert error == ["RuntimeError: out of order"]


class _Moody:
    is_ill = False

    def __init__(self, model):
        self.model = model
        self.classes_ = model.classes_

    def fit(self, X, y):
        raise AssertionError

    def predict(self, X):
        if self.is_ill:
            raise RuntimeError("out of order")
        return self.model.predict(X)


def test_a_metric_that_fails_is_a_line_and_the_other_metrics_have_values(moons):
    X, labels, model = moons

    def fails(result):
        raise ZeroDivisionError("no good")

    with pytest.warns(FitFailedWarning, match="2 values are missing"):
        table = compare_explainers(
            {"nearest": NearestExplainer(model)},
            X,
            labels,
            metrics={"validity": "validity", "mine": fails},
            cv=2,
        )
    assert values_of(table, "nearest", "validity").tolist() == [1.0, 1.0]
    assert set(table["error"].dropna()) == {"ZeroDivisionError: no good"}


def test_prefit_leaves_the_explainers_as_they_are_and_takes_real_rows(moons):
    X, labels, model = moons
    fitted = NearestExplainer(model).fit(X[:100], labels[:100])
    state = {**vars(fitted)}
    table = compare_explainers(
        {"nearest": fitted}, X[100:], metrics=["knn_distance"], cv="prefit", reference=X[:100]
    )
    assert vars(fitted) == state
    assert "fit_time" not in set(table["metric"])
    held = {"reference": X[:100], "y_reference": labels[:100]}
    expected = knn_distance(fitted.explain(X[100:]), feature_space=fitted.feature_space_, **held)
    assert values_of(table, "nearest", "knn_distance") == pytest.approx([expected])


def test_pipelines_and_one_yardstick():
    X, y = load_breast_cancer(return_X_y=True)
    X, y = X[:160, :5], y[:160]
    scaler = StandardScaler().fit(X)
    model = LogisticRegression().fit(scaler.transform(X), y)
    whole = make_pipeline(scaler, model)
    table = compare_explainers(
        {
            "inside": make_pipeline(StandardScaler(), NearestExplainer(model)),
            "outside": NearestExplainer(whole),
        },
        X,
        whole.predict(X),
        metrics=["validity", "proximity", "knn_distance"],
        cv=2,
        feature_space=FeatureSpace(scale="std"),
    )
    # scale "std" of the training rows, before or after they are standardised
    near = table[table["metric"].isin(["proximity", "knn_distance"])]
    wide = near.pivot_table(index=["split", "metric"], columns="explainer", values="value")
    assert wide["inside"].to_numpy() == pytest.approx(wide["outside"].to_numpy(), rel=0.2)
    assert (values_of(table, "outside", "validity") == 1).all()


def test_two_workers_give_the_same_table(moons):
    X, labels, model = moons
    explainers = {"near": NearestExplainer(model), "far": NearestExplainer(model, refine=False)}
    one, two = (
        compare_explainers(explainers, X, labels, cv=2, n_jobs=n_jobs, n_single=1)
        for n_jobs in (None, 2)
    )
    kept = ~one["metric"].isin({"fit_time", "time_per_row", "time_per_row_single", "peak_memory"})
    pd.testing.assert_frame_equal(one[kept], two[kept])


def test_frames_with_categories_and_no_y():
    X, _, model = people(120)
    table = compare_explainers(
        {"nearest": NearestExplainer(model, target_class="yes")}, X, cv=2, n_single=1
    )
    assert (values_of(table, "nearest", "validity") == 1).all()
    assert (values_of(table, "nearest", "constraint_violations") == 0).all()
    assert len(values_of(table, REAL, "neighbour_share")) == 2


def test_several_counterfactuals(moons):
    X, labels, model = moons
    table = compare_explainers(
        {"nearest": NearestExplainer(model)},
        X,
        labels,
        metrics=["validity", "pairwise_diversity"],
        cv=2,
        n_counterfactuals=2,
    )
    assert (values_of(table, "nearest", "pairwise_diversity") > 0).all()
    expected = []
    for train, test in StratifiedKFold(2).split(X, labels):
        fitted = NearestExplainer(model).fit(X[train], labels[train])
        result = fitted.explain(X[test], n_counterfactuals=2)
        expected.append(result.n_queries.sum() / len(test))  # for each row that was explained
    assert values_of(table, "nearest", "n_queries") == pytest.approx(expected)


def test_memory_is_traced_and_tracing_ends(moons):
    X, labels, model = moons
    fitted = NearestExplainer(model).fit(X, labels)
    args = {"metrics": "validity", "cv": "prefit", "n_single": 1}
    alone = values_of(compare_explainers({"n": fitted}, X, **args), "n", "peak_memory")
    assert not tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        ballast = np.zeros(3_000_000)
        within = values_of(compare_explainers({"n": fitted}, X, **args), "n", "peak_memory")
        assert tracemalloc.is_tracing()  # as it was
    finally:
        tracemalloc.stop()
    assert ballast.nbytes > 20e6
    assert within < alone + 10  # what was there before does not count


def test_progress_bar(moons, capsys):
    X, labels, model = moons
    args = {"metrics": "validity", "cv": 2, "n_single": 1}
    compare_explainers({"n": NearestExplainer(model)}, X, labels, verbose=True, **args)
    assert "comparing" in capsys.readouterr().err
    compare_explainers({"n": NearestExplainer(model)}, X, labels, **args)
    assert capsys.readouterr().err == ""


def test_bad_input_is_refused_before_any_work(moons):
    X, labels, model = moons
    good = {"nearest": NearestExplainer(model)}
    for explainers in ({}, [NearestExplainer(model)]):
        with pytest.raises(ValueError, match=r"must be a dict of {name: explainer}"):
            compare_explainers(explainers, X, labels)
    with pytest.raises(TypeError, match="an explainer of skcf, or a Pipeline"):
        compare_explainers({**good, "model": model}, X, labels)
    with pytest.raises(ValueError, match="No explainer may be called 'real target-class rows'"):
        compare_explainers({REAL: NearestExplainer(model)}, X, labels)
    with pytest.raises(ValueError, match="got 'nonsense'"):
        compare_explainers(good, X, labels, metrics=["nonsense"])
    with pytest.raises(ValueError, match=r"No metric may be called \['n_calls'\]"):
        compare_explainers(good, X, labels, metrics={"n_calls": validity})
    with pytest.raises(ValueError, match="n_single must be"):
        compare_explainers(good, X, labels, n_single=0)
    with pytest.raises(ValueError, match="several counterfactuals"):
        compare_explainers(good, X, labels, metrics="dpp_diversity")
    with pytest.raises(TypeError, match="feature_space must be"):
        compare_explainers(good, X, labels, feature_space="range")
