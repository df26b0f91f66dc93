"""Scorers: what a search sees of an explainer, and which candidate it takes."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import EXPLAINERS, mixed_population, people, workers_for
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

import skcf.metrics
from skcf import CounterfactualResult, FeatureSpace, NearestExplainer
from skcf.metrics import (
    _points,
    get_scorer,
    get_scorer_names,
    im1,
    im2,
    knn_distance,
    make_counterfactual_scorer,
    mmd_test,
    pairwise_diversity,
    proximity,
    reconstruction_error,
    refit_best,
    refit_pareto,
    sparsity,
    validity,
)
from skcf.metrics._registry import BETTER_IF_GREATER, METRICS, NEED_MORE, OF_GROUPS, VARIANTS

OF_ANY = [name for name in METRICS if name not in OF_GROUPS]

every_explainer = pytest.mark.parametrize("Explainer", EXPLAINERS.values(), ids=EXPLAINERS)
FOLDS = StratifiedKFold(2, shuffle=True, random_state=0)


class Counting:
    """A classifier that counts how often it is asked."""

    def __init__(self, model):
        self.model = model
        self.classes_ = model.classes_
        self.n_calls = 0

    def fit(self, X, y):
        raise AssertionError("explained, never trained")

    def predict(self, X):
        self.n_calls += 1
        return self.model.predict(X)


@pytest.fixture(scope="module")
def moons():
    X, y = make_moons(200, noise=0.2, random_state=0)
    model = SVC().fit(X, y)
    return X, model.predict(X), model


@pytest.fixture(scope="module")
def scaled_cancer():
    """A classifier of scaled rows, the rows as they are, and what it predicts for them."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.iloc[:200, :6]
    scaler = StandardScaler().set_output(transform="pandas").fit(X)
    model = LogisticRegression().fit(scaler.transform(X), y.iloc[:200])
    return X, model.predict(scaler.transform(X)), scaler, model


def test_scores_are_the_metrics_of_explain(moons):
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    names = ["validity", "proximity", "sparsity", "knn_distance", "margin"]
    scores = make_counterfactual_scorer(names)(explainer, X[:80])
    result, space = explainer.explain(X[:80]), explainer.feature_space_
    assert list(scores) == [
        "validity", "neg_proximity", "neg_sparsity", "neg_knn_distance", "margin"
    ]  # fmt: skip
    assert scores["validity"] == validity(result)
    assert scores["neg_proximity"] == -proximity(result, feature_space=space)
    assert scores["neg_sparsity"] == -sparsity(result, feature_space=space)
    held = knn_distance(result, reference=X[:80], y_reference=labels[:80], feature_space=space)
    assert scores["neg_knn_distance"] == -held
    assert scores["margin"] > 0


def test_single_scorers_are_floats(moons):
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    for name in get_scorer_names():
        if name in OF_GROUPS:
            continue  # no metrics of this explainer
        scorer = get_scorer(name)
        assert repr(scorer) == f"make_counterfactual_scorer({name!r})"
        assert isinstance(scorer(explainer, X), float)


class Told(NearestExplainer):
    """Answers what it is told: good counterfactuals, or bad ones."""

    def explain(self, X, *, n_counterfactuals=1):
        X, X_cf, found, rank = self.told
        y = self.estimator_.predict(X)
        return CounterfactualResult(
            X=X,
            X_cf=X_cf,
            y=y,
            y_cf=np.ones_like(y),
            status=np.where(found, "found", "not_found"),
            cost=np.zeros(len(X)),
            n_changes=np.zeros(len(X), dtype=int),
            n_queries=np.zeros(len(X), dtype=int),
            row=np.cumsum(rank == 0) - 1,
            rank=rank,
        )


@pytest.fixture(scope="module")
def blobs():
    """Two classes that the first column tells apart, and rows of the first one."""
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(0, 1, (60, 3)), rng.normal([8, 0, 0], 1, (60, 3))])
    model = LogisticRegression().fit(real, np.repeat([0, 1], 60))
    return real, model


def told(blobs, counterfactuals, found=None, n=1):
    """The explainer that gives 30 rows of the first class these counterfactuals."""
    real, model = blobs
    space = FeatureSpace(immutable_features=[2])
    explainer = Told(model, target_class=1, feature_space=space).fit(real)
    X = np.repeat(real[:30], n, axis=0)
    found = np.ones(len(X), bool) if found is None else found
    explainer.told = X, counterfactuals, found, np.tile(np.arange(n), 30)
    return explainer


def better_and_worse(metric, blobs):
    """Two sets of counterfactuals of which the first is better by the metric's own words."""
    real, _ = blobs
    X, there = real[:30], real[60:90]
    near, far = np.column_stack([np.full(30, 5.0), X[:, 1:]]), there + [40.0, 30.0, 20.0]
    if metric in ("validity", "coverage"):
        return told(blobs, near), told(blobs, near, found=np.arange(30) < 10)
    if metric == "margin":
        return told(blobs, far), told(blobs, near)
    if metric == "neighbour_share":
        return told(blobs, there), told(blobs, near - [2.5, 0, 0])
    if metric in ("effective_targets", "busiest_share", "crowding_divergence",
                  "congestion_utility"):  # fmt: skip
        return told(blobs, there), told(blobs, np.repeat(there[:1], 30, axis=0))
    if metric in ("pairwise_diversity", "dpp_diversity"):
        pairs = np.stack([there, there[::-1]], axis=1).reshape(60, 3)
        return told(blobs, pairs, n=2), told(blobs, np.repeat(there, 2, axis=0), n=2)
    if metric in ("knn_distance", "local_outlier_factor", "isolation_score", "density_quantile",
                  "mmd2", "energy_distance", "sliced_wasserstein"):  # fmt: skip
        return told(blobs, there), told(blobs, far)
    return told(blobs, near), told(blobs, far)


@pytest.mark.parametrize("name", OF_ANY)
def test_the_better_counterfactuals_score_more(blobs, name):
    better, worse = better_and_worse(name, blobs)
    n = 2 if name.endswith("diversity") else 1
    real, _ = blobs
    scorer = make_counterfactual_scorer(name, reference=real, n_counterfactuals=n)
    assert scorer(better, real[:30]) > scorer(worse, real[:30])


@pytest.mark.parametrize("metric", [im1, im2, reconstruction_error])
def test_what_an_autoencoder_of_the_target_knows_scores_more(blobs, metric):
    def onto(centre):
        return lambda X: centre + (X - centre) * [0, 1, 0]  # a line along the second column

    autoencoders = {0: onto([0, 0, 0]), 1: onto([8, 0, 0]), None: onto([8, 0, 0.5])}
    there = np.column_stack([np.full(30, 8.0), np.arange(30), np.zeros(30)])
    between = there - [3.0, 0, 0]
    metric = partial(metric, autoencoders=autoencoders)
    if metric.func is im2:  # its denominator is the counterfactual: both reconstruct it alike
        better, worse = told(blobs, 100 + there), told(blobs, there)
    else:
        better, worse = told(blobs, there), told(blobs, between)
    scorer = make_counterfactual_scorer(metric)
    assert scorer(better, blobs[0][:30]) > scorer(worse, blobs[0][:30])


def test_every_registered_name_is_a_public_function():
    names = {*BETTER_IF_GREATER}
    assert names <= set(skcf.metrics.__all__)
    assert {of for of, _ in VARIANTS.values()} | set(NEED_MORE) <= names


def test_names():
    names = get_scorer_names()
    assert names == sorted(names)
    assert {"validity", "coverage", "neg_proximity", "neg_sparsity_share"} <= set(names)
    assert not {"proximity", "neg_validity", "pairwise_diversity", "neg_im1"} & set(names)
    with pytest.raises(ValueError, match=r"'proximity' is no scorer: expected one of .*neg_prox"):
        get_scorer("proximity")


def test_options_and_functions_of_ones_own(moons):
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    scorer = make_counterfactual_scorer(
        {
            "neg_p": partial(proximity, norm="l2", average="median"),
            "nearest": partial(knn_distance, n_neighbors=1, reference=X, y_reference=labels),
            "worst": lambda result: -float(np.nanmax(result.cost)),
            "same": "neg_proximity",
        }
    )
    scores, result = scorer(explainer, X[:50]), explainer.explain(X[:50])
    space = explainer.feature_space_
    expected = proximity(result, norm="l2", average="median", feature_space=space)
    assert scores["neg_p"] == -expected
    assert scores["worst"] == -np.nanmax(result.cost)
    assert scores["neg_same"] == -proximity(result, feature_space=space)
    near = knn_distance(result, n_neighbors=1, reference=X, y_reference=labels, feature_space=space)
    assert scores["neg_nearest"] == -near


# one translation is not valid for every row of a group; and
# the exact one reads the model itself, so that none can be wrapped around it
@pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")
@pytest.mark.parametrize("name", [name for name in EXPLAINERS if name != "exact"])
def test_one_explain_however_many_metrics(name):
    X, y = make_moons(80, noise=0.2, random_state=0)
    model = LogisticRegression().fit(X, y)
    counting = Counting(model)
    explainer = EXPLAINERS[name](estimator=counting).fit(X, model.predict(X))
    before = counting.n_calls
    explainer.explain(X)
    of_explain = counting.n_calls - before
    names = ["validity", "coverage", "proximity", "sparsity", "knn_distance", "mmd2",
             "neighbour_share", "energy_distance", "constraint_violations"]  # fmt: skip
    before = counting.n_calls
    make_counterfactual_scorer(names)(explainer, X)
    assert counting.n_calls - before == of_explain == explainer.explain(X).n_calls


def test_real_rows_are_read_once_however_many_metrics(moons, monkeypatch):
    """Encoding them takes longer than many a metric; and no metric spoils them for the next."""
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    names = [name for name in OF_ANY if not name.endswith("diversity")]
    options = {"reference": X[:150], "y_reference": labels[:150], "feature_space": FeatureSpace()}
    alone = {}
    for name in [*names, *names[::-1]]:
        alone |= make_counterfactual_scorer([name], **options)(explainer, X[150:])
    reads = []
    read = _points.embedded_together
    monkeypatch.setattr(
        _points, "embedded_together", lambda *args: reads.append(args) or read(*args)
    )
    assert make_counterfactual_scorer(names, **options)(explainer, X[150:]) == alone
    assert len(reads) == 1
    two = {
        "all": partial(knn_distance, reference=X, y_reference=labels),
        "few": partial(knn_distance, reference=X[:40], y_reference=labels[:40]),
    }
    scores = make_counterfactual_scorer(two)(explainer, X[150:])
    assert scores["neg_all"] != scores["neg_few"]
    assert len(reads) == 3


@every_explainer
@pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_search_over_every_explainer_on_raw_rows(Explainer, n_jobs):
    workers_for(Explainer)
    X, _, model = people(120)
    explainer = Explainer(estimator=model, target_class="yes", feature_space=FeatureSpace())
    if Explainer is EXPLAINERS["exact"]:
        X, y = mixed_population(60, missing=False)
        X = X[["age", "income", "hours"]]
        model = LogisticRegression(max_iter=1000).fit(X, y)
        explainer = Explainer(estimator=model, target_class="yes", feature_space=FeatureSpace())
    search = GridSearchCV(
        explainer,
        {"feature_space__scale": ["range", "std"]},
        scoring=make_counterfactual_scorer(["validity", "proximity", "sparsity"]),
        refit="validity",
        cv=FOLDS,
        n_jobs=n_jobs,
        error_score="raise",
    )
    search.fit(X, model.predict(X))
    assert search.best_score_ == search.cv_results_["mean_test_validity"].max()
    assert (search.cv_results_["mean_test_neg_proximity"] < 0).all()
    by_hand = []
    for train, test in FOLDS.split(X, model.predict(X)):
        fitted = clone(explainer).fit(X.iloc[train], model.predict(X.iloc[train]))
        by_hand.append(proximity(fitted.explain(X.iloc[test]), feature_space=fitted.feature_space_))
    first = search.cv_results_["mean_test_neg_proximity"][0]
    assert first == pytest.approx(-np.mean(by_hand), rel=1e-9)


@pytest.mark.parametrize("one_step", [False, True])
def test_pipelines_are_measured_in_the_space_of_the_last_step(scaled_cancer, one_step):
    X, labels, scaler, model = scaled_cancer
    scorer = make_counterfactual_scorer(["validity", "proximity", "knn_distance"], reference=X)
    explainer = NearestExplainer(model)
    if one_step:
        X = scaler.transform(X)
        scorer = make_counterfactual_scorer(["validity", "proximity", "knn_distance"], reference=X)
        pipeline = Pipeline([("explain", explainer)])
    else:
        pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), explainer)
    pipeline.fit(X, labels)
    inner = pipeline[-1]
    rows = X if one_step else pipeline[:-1].transform(X)
    result = inner.explain(rows)
    scores = scorer(pipeline, X)
    assert scores["validity"] == 1.0
    assert scores["neg_proximity"] == -proximity(result, feature_space=inner.feature_space_)
    assert scores["neg_knn_distance"] == -knn_distance(
        result, reference=rows, y_reference=labels, feature_space=inner.feature_space_
    )


def test_column_transformer_before_the_explainer():
    X, y = mixed_population(150, missing=False)
    encoder = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["job", "sex"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    rows = encoder.fit_transform(X)
    model = LogisticRegression(max_iter=2000).fit(rows, y)
    groups = [[name for name in rows if name.startswith(word)] for word in ("job", "sex")]
    explainer = NearestExplainer(
        model, target_class="yes", feature_space=FeatureSpace(onehot_groups=groups)
    )
    scores = cross_validate(
        make_pipeline(encoder, explainer),
        X,
        model.predict(rows),
        scoring=make_counterfactual_scorer(["validity", "sparsity", "constraint_violations"]),
        cv=FOLDS,
        error_score="raise",
    )
    assert (scores["test_validity"] == 1).all()
    assert (scores["test_neg_constraint_violations"] == 0).all()
    assert (scores["test_neg_sparsity"] >= -6).all()  # a group counts once


def test_randomized_search_and_cross_val_score(moons):
    X, labels, model = moons
    search = RandomizedSearchCV(
        NearestExplainer(model),
        {"refine": [True, False]},
        n_iter=2,
        scoring=make_counterfactual_scorer(["validity", "proximity"]),
        refit=refit_pareto("validity", 0.01),
        cv=FOLDS,
        random_state=0,
    ).fit(X, labels)
    assert search.best_params_ == {"refine": True}
    scores = cross_val_score(
        NearestExplainer(model), X, labels, scoring=get_scorer("validity"), cv=FOLDS
    )
    assert scores.tolist() == [1.0, 1.0]


def test_halving_takes_a_single_metric(moons):
    X, labels, model = moons
    search = HalvingGridSearchCV(
        NearestExplainer(model),
        {"refine": [True, False]},
        scoring=make_counterfactual_scorer("proximity"),
        cv=FOLDS,
        random_state=0,
        min_resources=60,
        factor=2,
    ).fit(X, labels)
    assert search.best_params_ == {"refine": True}


def test_a_fitted_search_is_scored_by_its_best_estimator(moons):
    X, labels, model = moons
    scorer = make_counterfactual_scorer(["validity", "proximity"])
    search = GridSearchCV(
        NearestExplainer(model), {"refine": [True]}, scoring=scorer, refit="validity", cv=FOLDS
    ).fit(X, labels)
    assert scorer(search, X) == scorer(search.best_estimator_, X)
    assert search.score(X) == scorer(search, X)["validity"]
    assert scorer(FrozenEstimator(search.best_estimator_), X) == scorer(search, X)


@pytest.mark.parametrize("enabled", [False, True])
def test_metadata_routing_on_and_off(moons, enabled):
    X, labels, model = moons
    with sklearn.config_context(enable_metadata_routing=enabled):
        explainer = EXPLAINERS["collective"](model, random_state=0)
        params = {}
        if enabled:
            explainer.set_fit_request(sample_weight=True)
            params = {"params": {"sample_weight": np.ones(len(X))}}
        scores = cross_validate(
            explainer,
            X,
            labels,
            scoring=make_counterfactual_scorer(["validity", "proximity"]),
            cv=FOLDS,
            error_score="raise",
            **params,
        )
    assert (scores["test_validity"] == 1).all()


def test_scorer_pickles_and_leaves_the_explainer_as_it_was(moons):
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    scorer = make_counterfactual_scorer(
        ["validity", partial(knn_distance, n_neighbors=2)], feature_space=FeatureSpace()
    )
    before = pickle.dumps(explainer)
    rows = X.copy()
    assert pickle.loads(pickle.dumps(scorer))(explainer, rows) == scorer(explainer, rows)
    assert pickle.dumps(explainer) == before
    assert np.array_equal(rows, X)


def test_one_yardstick_for_all_candidates(moons):
    """A search over the scale changes the explainer's own costs, not those of a given space."""
    X, labels, model = moons
    explainer = NearestExplainer(model, refine=False, feature_space=FeatureSpace())
    candidates = [
        clone(explainer).set_params(feature_space__scale=scale).fit(X, labels)
        for scale in ("range", "std")
    ]
    space = FeatureSpace(scale="mad").fit(X)
    own, given, unfitted = (
        make_counterfactual_scorer("proximity", feature_space=one, reference=X)
        for one in (None, space, FeatureSpace(scale="mad"))
    )
    for candidate in candidates:
        expected = -proximity(candidate.explain(X), feature_space=space)
        assert given(candidate, X) == unfitted(candidate, X) == expected
        assert own(candidate, X) != expected


def test_reference_labels_are_the_classifiers(moons):
    """They are asked for where none are given."""
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    asked = make_counterfactual_scorer("neighbour_share", reference=X[:100])
    told = make_counterfactual_scorer(
        "neighbour_share", reference=X[:100], y_reference=labels[:100]
    )
    wrong = make_counterfactual_scorer(
        "neighbour_share", reference=X[:100], y_reference=1 - labels[:100]
    )
    assert asked(explainer, X) == told(explainer, X) != wrong(explainer, X)


def test_several_counterfactuals(moons):
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    scorer = make_counterfactual_scorer(["pairwise_diversity", "knn_distance"], n_counterfactuals=3)
    result, space = explainer.explain(X[:40], n_counterfactuals=3), explainer.feature_space_
    scores = scorer(explainer, X[:40])
    assert scores["pairwise_diversity"] == pairwise_diversity(result, feature_space=space) > 0
    held = knn_distance(
        result, reference=X[:40], y_reference=labels[:40], feature_space=space
    )  # each real row once
    assert scores["neg_knn_distance"] == -held


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_nan_never_wins(moons):
    """An explainer that finds nothing has no distance; scikit-learn ranks it last."""
    X, labels, model = moons
    blocked = FeatureSpace(immutable_features=[0, 1])
    free = FeatureSpace()
    search = GridSearchCV(
        NearestExplainer(model),
        {"feature_space": [blocked, free]},
        scoring=make_counterfactual_scorer(["validity", "proximity"]),
        refit="neg_proximity",
        cv=FOLDS,
    ).fit(X, labels)
    assert np.isnan(search.cv_results_["mean_test_neg_proximity"][0])
    assert search.best_index_ == 1
    for refit in (refit_best("neg_proximity"), refit_pareto("validity", 1.0)):
        assert clone(search).set_params(refit=refit).fit(X, labels).best_index_ == 1
        hopeless = clone(search).set_params(refit=refit, param_grid={"feature_space": [blocked]})
        with pytest.raises(ValueError, match=r"No candidate has a score: .*neg_proximity"):
            hopeless.fit(X, labels)


def test_refit_pareto_by_hand():
    results = {
        "mean_test_validity": np.array([1.0, 0.995, 0.98, np.nan, 0.999]),
        "mean_test_neg_proximity": np.array([-5.0, -4.0, -1.0, -0.1, np.nan]),
        "mean_test_neg_sparsity": np.array([-1.0, -2.0, -3.0, -4.0, -5.0]),
    }
    assert refit_pareto("validity", 0)(results) == 0
    assert refit_pareto("validity", 0.01)(results) == 1
    assert refit_pareto("validity", 0.02)(results) == 2
    assert refit_pareto("validity", 0.02, secondary="neg_sparsity")(results) == 0
    assert refit_best("neg_proximity")(results) == 3
    assert repr(pickle.loads(pickle.dumps(refit_pareto()))) == (
        "refit_pareto('validity', 0.01, secondary='neg_proximity')"
    )
    assert repr(refit_best()) == "refit_best('score')"
    with pytest.raises(ValueError, match=r"no score 'margin': it has \['validity'"):
        refit_best("margin")(results)
    for tolerance in (-0.1, np.nan, "much"):
        with pytest.raises(ValueError, match="tolerance must be a number"):
            refit_pareto(tolerance=tolerance)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1) | st.just(float("nan")), st.floats(-9, 0) | st.just(float("nan"))
        ),
        min_size=1,
        max_size=12,
    ),
    st.floats(0, 1),
)
def test_no_candidate_dominates_the_choice(scores, tolerance):
    first, second = np.array(scores).T
    results = {"mean_test_validity": first, "mean_test_neg_proximity": second}
    defined = ~np.isnan(first) & ~np.isnan(second)
    refit = refit_pareto("validity", tolerance)
    if not defined.any():
        with pytest.raises(ValueError, match="No candidate"):
            refit(results)
        return
    chosen = refit(results)
    assert defined[chosen]
    assert first[chosen] >= first[defined].max() - tolerance - 1e-9
    cheaper = defined & (second > second[chosen])
    assert (first[cheaper] < first[defined].max() - tolerance + 1e-9).all()


def test_clone_in_a_search_keeps_the_classifier(moons):
    """Plain clones would drop its fit; and what is refitted is an explainer, not a classifier."""
    X, labels, model = moons
    support = model.support_vectors_.copy()
    search = GridSearchCV(
        NearestExplainer(model),
        {"refine": [True]},
        scoring=make_counterfactual_scorer(["validity"]),
        refit="validity",
        cv=FOLDS,
    ).fit(X, labels)
    assert search.best_estimator_.estimator_.estimator is model
    assert np.array_equal(model.support_vectors_, support)


def test_raw_classifier_behind_a_scaler_warns(scaled_cancer):
    """It sees scaled rows that it was not fitted on, and is another classifier on them."""
    X, *_ = scaled_cancer
    y = load_breast_cancer().target[:200]
    model = LogisticRegression(max_iter=5000).fit(X.to_numpy(), y)
    labels = model.predict(X.to_numpy())
    pipeline = make_pipeline(StandardScaler(), NearestExplainer(model))
    with pytest.warns(UserWarning, match="disagrees with y on .*may be in another space"):
        pipeline.fit(X.to_numpy(), labels)


def test_bad_input_is_refused_before_any_search(moons):
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    for metrics, error, message in [
        ("nonsense", ValueError, "must be a function or one of .*'validity'.*got 'nonsense'"),
        ("neg_validity", ValueError, "got 'neg_validity'"),
        ([], ValueError, "metrics is empty"),
        (["proximity", "neg_proximity"], ValueError, r"Two metrics are called \['proximity'\]"),
        ([3], TypeError, "must be a name or a function, got 3"),
        (["validity", "im1"], TypeError, r"im1 needs \['autoencoders'\].*functools.partial"),
        ([mmd_test], TypeError, "mmd_test is no metric"),
        (["pairwise_diversity"], ValueError, "several counterfactuals of a row"),
        ({"neg_validity": len, "validity": "validity"}, ValueError, "Two metrics are called"),
        (partial(proximity, average=None), TypeError, "average=None is one value a row"),
        (None, TypeError, "metrics must be a name, a function, or a list or dict.*got None"),
    ]:
        with pytest.raises(error, match=message):
            make_counterfactual_scorer(metrics)
    with pytest.raises(TypeError, match="feature_space must be a FeatureSpace or None, got 'x'"):
        make_counterfactual_scorer("validity", feature_space="x")
    with pytest.raises(ValueError, match="reference, which is missing"):
        make_counterfactual_scorer("validity", y_reference=labels)
    with pytest.raises(ValueError, match="n_counterfactuals must be a whole number"):
        make_counterfactual_scorer("validity", n_counterfactuals=0)
    scorer = make_counterfactual_scorer("validity")
    with pytest.raises(TypeError, match="score an explainer of skcf, or a Pipeline"):
        scorer(model, X)
    with pytest.raises(NotFittedError):
        scorer(clone(explainer), X)


def test_margin_of_a_function_knows_the_classes_of_the_fit():
    """A split may lack one of them: three classes are no binary problem."""
    X, _ = make_moons(120, noise=0.2, random_state=0)

    def three(rows):
        return np.where(rows[:, 0] > 0.8, 2, np.where(rows[:, 0] < 0, 0, 1))

    explainer = NearestExplainer(three).fit(X)
    part = X[X[:, 0] > 0.7]
    result = explainer.explain(part)
    assert set(result.y) == set(result.y_cf) == {1, 2}
    scores = make_counterfactual_scorer(["validity", "margin", "redundancy"])(explainer, part)
    assert scores == {"validity": 1.0, "margin": 1.0, "neg_redundancy": 0.0}


def test_margin_of_a_torch_module_in_another_space_and_with_names():
    """Its labels come from the fit, and so do the columns that it takes."""
    torch = pytest.importorskip("torch")
    X = pd.DataFrame({"a": np.linspace(-1, 1, 40), "b": np.tile(["u", "v"], 20)})
    module = torch.nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-3.0, 0.0], [3.0, 0.0]]))
        module.bias.zero_()
    labels = np.where(X["a"] > 0, "yes", "no")
    own = FeatureSpace(ordinal_features={"b": ["u", "v"]})
    explainer = NearestExplainer(module, target_class="yes", feature_space=own, min_margin=0.6).fit(
        X, labels
    )
    result = explainer.explain(X)
    expected = 6 * result.X_cf["a"][result.status == "found"].mean()
    scorer = make_counterfactual_scorer(["margin", "redundancy"], feature_space=FeatureSpace())
    scores = scorer(explainer, X)
    assert scores["margin"] == pytest.approx(expected, rel=1e-5)
    assert scores["margin"] >= 0.6
    assert scores["neg_redundancy"] == 0


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_searches_and_pipelines_in_one_another(scaled_cancer, n_jobs):
    X, labels, _, model = scaled_cancer
    scorer = make_counterfactual_scorer(["validity", "proximity"])
    search = GridSearchCV(
        NearestExplainer(model),
        {"refine": [False, True]},
        scoring=scorer,
        refit="neg_proximity",
        cv=FOLDS,
    )
    scaler = StandardScaler().set_output(transform="pandas")
    plain = make_pipeline(scaler, NearestExplainer(model))
    kept = {"scoring": scorer, "cv": FOLDS, "error_score": "raise", "n_jobs": n_jobs}
    expected = cross_validate(plain, X, labels, **kept)["test_neg_proximity"]
    for nested in (
        make_pipeline(scaler, search),  # "refine" is True by default, and wins
        make_pipeline(scaler, make_pipeline(NearestExplainer(model))),
        make_pipeline(make_pipeline(scaler), make_pipeline("passthrough", search)),
    ):
        scores = cross_validate(nested, X, labels, **kept)
        np.testing.assert_array_equal(scores["test_neg_proximity"], expected)


def test_nobody_needs_a_counterfactual(moons):
    """Nothing to be measured is no error: shares are 1, and the rest is not defined."""
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    names = [name for name in OF_ANY if not name.endswith("diversity")]
    scores = make_counterfactual_scorer(names)(explainer, X[labels == 1])
    assert scores.pop("validity") == scores.pop("coverage") == 1
    assert np.isnan(list(scores.values())).all()


def test_a_metric_that_gives_no_number_says_so(moons):
    X, labels, model = moons
    explainer = NearestExplainer(model).fit(X, labels)
    for answer in ({"cost": 1.0}, None, np.zeros(3)):
        scorer = make_counterfactual_scorer({"mine": lambda result, answer=answer: answer})
        with pytest.raises(TypeError, match="The metric mine must give one number for all rows"):
            scorer(explainer, X)


@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the test scores")
def test_refit_where_every_score_failed(moons):
    """scikit-learn drops the names of the scores then."""
    X, labels, model = moons

    def fails(result):
        raise ZeroDivisionError

    search = GridSearchCV(
        NearestExplainer(model),
        {"refine": [True]},
        scoring=make_counterfactual_scorer({"validity": "validity", "mine": fails}),
        refit=refit_pareto(),
        cv=FOLDS,
    )
    with pytest.raises(ValueError, match=r"validity is NaN for all of them.*='raise'"):
        search.fit(X, labels)


def test_polars_and_pandas_rows_score_alike():
    pl = pytest.importorskip("polars")
    X, y = mixed_population(100, missing=False)
    X = X[["age", "income", "hours"]].reset_index(drop=True)
    rule = LogisticRegression(max_iter=1000).fit(X.to_numpy(float), y)
    scorer = make_counterfactual_scorer(["validity", "proximity", "knn_distance"])

    def accepts(rows):
        return rule.predict(np.column_stack([np.asarray(rows[name], float) for name in X]))

    scores = [
        scorer(NearestExplainer(accepts, target_class="yes").fit(rows), rows)
        for rows in (X, pl.DataFrame(X.to_dict("list")))
    ]
    assert scores[0] == pytest.approx(scores[1])
    assert isinstance(X, pd.DataFrame)
