"""The classifier as the explainers see it: every kind of classifier, one way to ask."""

import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, RidgeClassifier
from sklearn.metrics import make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import skcf._oracle
from skcf import FeatureSpace, NearestExplainer
from skcf._classifiers import codes_of, read_classifier
from skcf._oracle import Oracle


def oracle_of(estimator, X, y=None, space=None, queries=None):
    """An oracle about ``queries`` (X if none are given), as fit makes it."""
    space = (FeatureSpace() if space is None else space).fit(X)
    reader = read_classifier(estimator, space, space._tabulate(X), y)
    return Oracle(reader, space, space._tabulate(X if queries is None else queries))


def margins(oracle, X, code):
    Z = oracle.space.transform(X)
    return oracle.margin(Z, np.arange(len(Z)), np.full(len(Z), code))


def assert_margins_follow_labels(oracle, X, labels, tie=1e-9):
    """Positive for the label and for no other class, by the classifier's own word."""
    for code, label in enumerate(oracle.reader.classes):
        margin = margins(oracle, X, code)
        assert np.isfinite(margin).all()
        clear = np.abs(margin) > tie
        assert clear.mean() > 0.5
        assert_array_equal((margin > 0)[clear], (np.asarray(labels) == label)[clear])


def two_classes(n=150, seed=0):
    return make_classification(n, 5, n_informative=3, flip_y=0.1, random_state=seed)


def three_classes(n=150, seed=0):
    return make_classification(
        n, 5, n_informative=4, n_redundant=0, n_classes=3, n_clusters_per_class=1, random_state=seed
    )


PROBABILISTIC = [
    GaussianNB(),
    KNeighborsClassifier(7),
    RandomForestClassifier(11, random_state=0),
    DecisionTreeClassifier(random_state=0),
    MLPClassifier([4], max_iter=30, random_state=0),
]
DECISIVE = [
    LogisticRegression(),
    LinearSVC(random_state=0),
    SVC(),
    SVC(kernel="linear", C=0.1),
    RidgeClassifier(),
    Perceptron(),
]


def named(estimators):
    return pytest.mark.parametrize("estimator", estimators, ids=lambda e: type(e).__name__)


# ---- estimators with scores -------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("problem", [two_classes, three_classes])
@named(DECISIVE + PROBABILISTIC)
def test_margin_is_positive_exactly_for_the_predicted_class(estimator, problem):
    X, y = problem()
    queries, _ = problem(seed=1)
    estimator.fit(X, y)
    oracle = oracle_of(estimator, X)
    # several classes: SVC counts the votes of pairs, which its scores say only roughly
    assert oracle.has_scores == (not isinstance(estimator, SVC) or problem is two_classes)
    assert_margins_follow_labels(oracle, X, estimator.predict(X))
    asked_of_new = oracle_of(estimator, X, queries=queries)
    assert_margins_follow_labels(asked_of_new, queries, estimator.predict(queries))


def test_binary_margin_is_the_decision_function():
    X, y = two_classes()
    model = LogisticRegression().fit(X, y)
    oracle = oracle_of(model, X)
    assert_allclose(margins(oracle, X, 1), model.decision_function(X))
    assert_allclose(margins(oracle, X, 0), -model.decision_function(X))


def test_multiclass_margin_is_the_lead_over_the_best_other_class():
    X, y = three_classes()
    model = LogisticRegression().fit(X, y)
    oracle, scores = oracle_of(model, X), model.decision_function(X)
    for code in range(3):
        best_other = np.delete(scores, code, axis=1).max(axis=1)
        assert_allclose(margins(oracle, X, code), scores[:, code] - best_other)
    # on the logit scale: log of the odds against the best other class
    proba = model.predict_proba(X)
    odds = proba[:, 0] / proba[:, 1:].max(axis=1)
    assert_allclose(margins(oracle, X, 0), np.log(odds), atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@named(PROBABILISTIC)
def test_binary_margin_from_probabilities_is_their_logit(estimator):
    X, y = two_classes()
    proba = estimator.fit(X, y).predict_proba(X)[:, 1]
    inside = (proba > 1e-12) & (proba < 1 - 1e-12)
    margin = margins(oracle_of(estimator, X), X, 1)
    assert_allclose(margin[inside], logit(proba[inside]), rtol=1e-3, atol=1e-9)
    assert np.isfinite(margin).all()


def test_saturated_probabilities_keep_their_sign_and_stay_finite():
    X, y = two_classes()
    tree = DecisionTreeClassifier(random_state=0).fit(X, y)
    assert set(np.unique(tree.predict_proba(X))) == {0.0, 1.0}
    margin = margins(oracle_of(tree, X), X, 1)
    assert np.isfinite(margin).all()
    assert_array_equal(margin > 700, y == 1)
    assert_array_equal(margin < -700, y == 0)


class OneColumn(LogisticRegression):
    """Predicts a column, and gives its decision function as one, as some libraries do."""

    def predict(self, X):
        return self.classes_[(self.decision_function(X) > 0).astype(int)]

    def decision_function(self, X):
        return super().decision_function(X).reshape(-1, 1)


def test_labels_and_scores_may_come_as_a_column():
    X, y = two_classes()
    model = OneColumn().fit(X, y)
    oracle = oracle_of(model, X)
    assert oracle.has_scores
    assert_allclose(margins(oracle, X, 1), model.decision_function(X).ravel())
    assert_array_equal(oracle.origin_labels(), model.predict(X).ravel())


class Cached(LogisticRegression):
    """Returns its own memory, which nobody may write to."""

    def decision_function(self, X):
        scores = super().decision_function(X)
        scores.flags.writeable = False
        return scores


def test_scores_are_not_written_to():
    X, y = three_classes()
    model = Cached().fit(X, y)
    assert_margins_follow_labels(oracle_of(model, X), X, model.predict(X))


# ---- estimators without scores, or with wrong ones -----------------------------------------


class LabelsOnly(ClassifierMixin, BaseEstimator):
    """Votes of a rule; no scores."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        X = np.asarray(X, dtype=float)
        return self.classes_[(X[:, 0] + X[:, 1] > 0).astype(int)]


class Misleading(LabelsOnly):
    """Scores that say something else than the labels."""

    def predict_proba(self, X):
        p = np.asarray(X)[:, 2] > 0
        return np.column_stack([p, ~p]).astype(float)


class NanScores(LabelsOnly):
    def decision_function(self, X):
        return np.full(len(X), np.nan)


class WideScores(LabelsOnly):
    def decision_function(self, X):
        return np.zeros((len(X), 5))


@named([LabelsOnly(), Misleading(), NanScores(), WideScores()])
def test_margins_are_signs_where_only_labels_can_be_trusted(estimator):
    X, y = two_classes()
    estimator.fit(X, y)
    oracle = oracle_of(estimator, X)
    assert not oracle.has_scores
    labels = estimator.predict(X)
    assert_array_equal(margins(oracle, X, 1), np.where(labels == 1, 1.0, -1.0))
    assert_array_equal(margins(oracle, X, 0), np.where(labels == 0, 1.0, -1.0))
    X_cf = NearestExplainer(estimator).fit(X).transform(X)
    assert (estimator.predict(X_cf) == 1).all()


def test_svc_that_breaks_ties_by_its_scores_is_read_by_them():
    X, y = three_classes()
    model = make_pipeline(StandardScaler(), SVC(break_ties=True)).fit(X, y)
    queries, _ = three_classes(seed=1)
    oracle = oracle_of(model, X, queries=queries)
    assert oracle.has_scores
    assert_margins_follow_labels(oracle, queries, model.predict(queries))


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
@pytest.mark.parametrize("problem", [two_classes, three_classes])
@pytest.mark.parametrize("shape", ["ovr", "ovo"])
def test_svc_with_probabilities_is_valid_by_its_labels(problem, shape):
    X, y = problem()
    model = SVC(probability=True, decision_function_shape=shape, random_state=0).fit(X, y)
    result = NearestExplainer(model, target_class=1).fit(X).explain(X)
    assert_array_equal(model.predict(result.X_cf), 1)
    assert set(result.status) <= {"found", "already_target"}


def test_hard_votes_are_labels():
    X, y = two_classes()
    parts = [("a", GaussianNB()), ("b", LogisticRegression()), ("c", KNeighborsClassifier())]
    model = VotingClassifier(parts).fit(X, y)
    assert not oracle_of(model, X).has_scores
    assert (model.predict(NearestExplainer(model).fit(X).transform(X)) == 1).all()


class Unlabelled:
    """Duck-typed: `fit`, `predict`, and nothing that says which classes there are."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.where(np.asarray(X)[:, 0] > 0, "up", "down")


def test_classes_that_are_not_told_are_those_of_all_rows(monkeypatch):
    X, _ = two_classes()
    X = X[np.argsort(X[:, 0])]  # the second class comes late
    monkeypatch.setattr("skcf._classifiers.N_SAMPLE", 10)
    model = Unlabelled()
    assert_array_equal(oracle_of(model, X).reader.classes, ["down", "up"])
    explainer = NearestExplainer(model).fit(X)
    assert (model.predict(explainer.transform(X)) == "up").all()


class PredictsMatrix(LabelsOnly):
    def predict(self, X):
        return np.zeros((len(X), 2))


def test_what_is_no_classifier_is_refused():
    X, y = two_classes()
    with pytest.raises(ValueError, match=r"predicts .*, which is no label: .* not a regressor"):
        oracle_of(LinearRegression().fit(X, y), X)
    with pytest.raises(ValueError, match=r"must predict one label a row; got shape \(150, 2\)"):
        oracle_of(PredictsMatrix().fit(X, y), X)


# ---- decision thresholds --------------------------------------------------------------------


def bare(model, X, y):
    return model.fit(X, y)


def in_pipeline(model, X, y):
    return make_pipeline(StandardScaler(), model).fit(X, y)


def in_grid_search(model, X, y):
    pipeline = make_pipeline(StandardScaler(), model)
    return GridSearchCV(pipeline, {"standardscaler__with_mean": [True]}, cv=2).fit(X, y)


def in_frozen(model, X, y):
    frozen = FrozenEstimator(model.fit(X, y))
    return FrozenEstimator(make_pipeline(StandardScaler(), frozen).fit(X, y))


wrapped = pytest.mark.parametrize("wrap", [bare, in_pipeline, in_grid_search, in_frozen])


@wrapped
@pytest.mark.parametrize("pos_label", [None, "no", "yes"])
@pytest.mark.parametrize(
    "method, threshold",
    [("predict_proba", 0.2), ("auto", 0.8), ("decision_function", -1.0), ("auto", "auto")],
)
def test_fixed_thresholds_are_followed(wrap, pos_label, method, threshold):
    X, y = two_classes()
    y = np.where(y == 1, "yes", "no")
    fixed = FixedThresholdClassifier(
        LogisticRegression(), threshold=threshold, pos_label=pos_label, response_method=method
    )
    model = wrap(fixed, X, y)
    oracle = oracle_of(model, X)
    assert oracle.has_scores
    assert_margins_follow_labels(oracle, X, model.predict(X))
    sign = -1 if pos_label == "no" else 1
    cut = {0.2: logit(0.2), 0.8: logit(0.8), -1.0: -1.0, "auto": 0.0}[threshold]
    score = logit(model.predict_proba(X)[:, 1])
    assert_allclose(margins(oracle, X, 1), score - sign * cut, rtol=1e-6, atol=1e-8)
    result = NearestExplainer(model, target_class="yes").fit(X).explain(X)
    assert (model.predict(result.X_cf) == "yes").all()


def share_of_positives(y, y_pred, pos_label=1):
    """Best at the lowest threshold, worst at the highest."""
    return np.mean(y_pred == pos_label)


@wrapped
@pytest.mark.parametrize("pos_label", [1, 2])
@pytest.mark.parametrize(
    "method, threshold",
    [("predict_proba", 0.2), ("predict_proba", 0.8), ("decision_function", -1.5)],
)
def test_tuned_thresholds_are_followed(wrap, pos_label, method, threshold):
    X, y = two_classes()
    lowest = threshold < 0.5
    tuned = TunedThresholdClassifierCV(
        LogisticRegression(),
        scoring=make_scorer(share_of_positives, greater_is_better=lowest, pos_label=pos_label),
        response_method=method,
        thresholds=sorted([threshold, 0.5]),
        cv=2,
    )
    model = wrap(tuned, X, y + 1)
    oracle = oracle_of(model, X)
    assert oracle.has_scores
    assert_margins_follow_labels(oracle, X, model.predict(X))
    cut = logit(threshold) if method == "predict_proba" else threshold
    score = logit(model.predict_proba(X)[:, 1])
    sign = -1 if pos_label == 1 else 1
    assert_allclose(margins(oracle, X, 1), score - sign * cut, rtol=1e-6, atol=1e-8)
    for target in (1, 2):
        explainer = NearestExplainer(model, target_class=target).fit(X)
        assert_array_equal(model.predict(explainer.transform(X)), target)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_at_the_ends_are_followed(threshold):
    X, y = two_classes()
    forest = RandomForestClassifier(5, random_state=0)
    model = FixedThresholdClassifier(forest, threshold=threshold).fit(X, y)
    assert_margins_follow_labels(oracle_of(model, X), X, model.predict(X))


# ---- containers -------------------------------------------------------------------------------


def raw_pipeline(X, y):
    """Columns by name: it takes DataFrames and nothing else."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["job", "sex", "owner"]),
        (StandardScaler(), ["age", "income", "hours"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(X, y)


def test_classifier_fitted_on_a_frame_gets_frames_from_an_explainer_fitted_on_arrays():
    X, y = mixed_population(150, missing=False)
    model = raw_pipeline(X, y)
    rows = X.to_numpy(dtype=object)
    space = FeatureSpace(categorical_features=[3, 4, 5], integer_features=[0, 2])
    explainer = NearestExplainer(model, target_class="yes", feature_space=space)
    result = explainer.fit(rows, model.predict(X)).explain(rows)
    assert_array_equal(result.y, model.predict(X))
    X_cf = pd.DataFrame(result.X_cf, columns=X.columns).infer_objects()
    assert (model.predict(X_cf) == "yes").all()


def test_names_are_attached_again_without_a_warning():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = NearestExplainer(model, target_class=2).fit(X.to_numpy())
    X_cf = explainer.transform(X.to_numpy())
    assert (model.predict(pd.DataFrame(X_cf, columns=X.columns)) == 2).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_names_are_left_off_for_a_classifier_fitted_on_arrays(library):
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(X.to_numpy(), y)
    if library == "polars":
        polars = pytest.importorskip("polars")
        X = polars.DataFrame({name: X[name].to_numpy() for name in X})
    X_cf = NearestExplainer(model, target_class=2).fit(X).transform(X)
    assert type(X_cf) is type(X)
    assert (model.predict(X_cf.to_numpy()) == 2).all()


# scikit-learn 1.6 cannot tell the column names of newer polars frames
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_frame_of_another_library_reaches_the_classifier_as_the_one_of_fit():
    polars = pytest.importorskip("polars")
    X, y = mixed_population(150, missing=False)
    model = raw_pipeline(X, y)
    explainer = NearestExplainer(model, target_class="yes").fit(X)
    queries = polars.DataFrame({name: X[name].to_list() for name in X})
    X_cf = explainer.transform(queries)
    assert isinstance(X_cf, polars.DataFrame)
    again = pd.DataFrame({name: X_cf[name].to_list() for name in X_cf.columns})
    assert (model.predict(again) == "yes").all()


def test_whole_pipeline_sees_the_dtypes_of_fit(population):
    X, _, model = population
    seen = []

    def spy(rows):
        seen.append(rows.dtypes.to_dict())
        return model.predict(rows)

    explainer = NearestExplainer(spy, target_class="yes").fit(X)
    explainer.explain(X[:40])
    assert len(seen) > 10
    assert all(dtypes == X.dtypes.to_dict() for dtypes in seen)


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [3, 7], [False, True], [-1.0, 1.0], np.array(["no", "yes"], dtype=object)],
    ids=["text", "integers", "booleans", "floats", "objects"],
)
def test_labels_of_any_kind_come_back_as_they_are(labels):
    X, y = two_classes()
    labels = np.asarray(labels)
    model = LogisticRegression().fit(X, labels[y])
    explainer = NearestExplainer(model, target_class=labels[1]).fit(X, model.predict(X))
    result = explainer.explain(X)
    assert_array_equal(explainer.classes_, labels)
    assert_array_equal(result.y, model.predict(X))
    assert (result.y_cf == labels[1]).all()
    assert result.y_cf.dtype == labels.dtype


def test_codes_are_positions_and_strangers_have_none():
    classes = np.array(["b", "c", "a"])
    assert_array_equal(codes_of(["a", "b", "c", "d", "0"], classes), [2, 0, 1, -1, -1])
    assert_array_equal(codes_of([1, 2], classes), [-1, -1])
    assert_array_equal(codes_of(["1", "2"], np.array([1, 2])), [-1, -1])
    assert_array_equal(codes_of([True, False], np.array([0, 1])), [1, 0])
    assert_array_equal(codes_of([1.0, np.nan, 3.5], np.array([1, 2, 3])), [0, -1, -1])
    assert_array_equal(codes_of([[2], [1]], np.array([1, 2])), [1, 0])
    objects = np.array(["a", "b"], dtype=object)
    assert_array_equal(codes_of(np.array([1, 2], dtype=object), objects), [-1, -1])


# ---- functions ----------------------------------------------------------------------------------


def test_function_may_return_labels():
    X, _ = two_classes()
    oracle = oracle_of(lambda rows: np.where(rows[:, 0] > 0, "up", "down"), X)
    assert not oracle.has_scores
    assert_array_equal(oracle.reader.classes, ["down", "up"])
    assert_array_equal(margins(oracle, X, 1) > 0, X[:, 0] > 0)


def test_labels_of_y_add_to_those_a_function_returns():
    X, _ = two_classes()

    def mostly_down(rows):
        return np.where(rows[:, 0] > 1e6, "up", "down")

    assert_array_equal(oracle_of(mostly_down, X, ["up", "down"]).reader.classes, ["down", "up"])
    assert_array_equal(oracle_of(mostly_down, X, [0, 1]).reader.classes, ["down"])
    column = oracle_of(lambda rows: mostly_down(rows).reshape(-1, 1), X, ["up"])
    assert_array_equal(column.reader.classes, ["down", "up"])


@pytest.mark.parametrize("method", ["predict_proba", "decision_function", "predict_log_proba"])
def test_function_may_return_probabilities_or_logits(method):
    X, y = three_classes()
    model = LogisticRegression().fit(X, y)
    names = np.array(["a", "b", "c"])
    oracle = oracle_of(getattr(model, method), X, names[y])
    assert oracle.has_scores
    assert_array_equal(oracle.reader.classes, names)
    assert_margins_follow_labels(oracle, X, names[model.predict(X)])
    expected = margins(oracle_of(model, X), X, 2)
    assert_allclose(margins(oracle, X, 2), expected, rtol=1e-6, atol=1e-9)
    assert_array_equal(oracle.origin_labels(), model.predict(X))


def test_function_takes_the_container_of_fit(population):
    X, _, model = population
    explainer = NearestExplainer(model.predict_proba, target_class="yes")
    explainer.fit(X, model.predict(X))
    result = explainer.explain(X[:60])
    assert_array_equal(result.y, model.predict(X[:60]))
    assert (model.predict(result.X_cf) == "yes").all()


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda rows: 1.0, r"got shape \(\) for 150 rows"),
        (lambda rows: np.zeros(3), r"got shape \(3,\) for 150 rows"),
        (lambda rows: np.zeros((3, 150)), r"got shape \(3, 150\) for 150 rows"),
        (lambda rows: np.zeros((150, 2, 2)), r"got shape \(150, 2, 2\) for 150 rows"),
        (lambda rows: rows[:, 0], "which is no label"),
        (lambda rows: rows[:, :1], "scores must have one column a class"),
    ],
)
def test_function_that_returns_something_else_is_refused(function, message):
    X, _ = two_classes()
    with pytest.raises(ValueError, match=message):
        oracle_of(function, X)


def test_label_that_fit_never_saw_is_none_of_the_classes():
    X, _ = two_classes()

    def rule(rows):
        return np.select([rows[:, 0] > 100, rows[:, 0] > 0], ["new", "up"], "down")

    explainer = NearestExplainer(rule, target_class="other").fit(X)
    odd = np.array([[500.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]])
    result = explainer.explain(odd)
    assert result.y.tolist() == [None, "down"]
    assert result.y_cf[1] == "up"
    assert_array_equal(result.status, "found")
    assert_array_equal(rule(result.X_cf), result.y_cf)


# ---- counts, chunks, missing values -----------------------------------------------------------


class Counting(LogisticRegression):
    """Counts who asks how often, and about how many rows."""

    def fit(self, X, y):
        self.asked_ = []
        return super().fit(X, y)

    def predict(self, X):
        self.asked_.append(len(X))
        return self.classes_[(super().decision_function(X) > 0).astype(int)]

    def decision_function(self, X):
        self.asked_.append(len(X))
        return super().decision_function(X)


def test_counts_are_those_of_the_classifier():
    X, y = two_classes()
    model = Counting().fit(X, y)
    explainer = NearestExplainer(model).fit(X)
    model.asked_.clear()
    result = explainer.explain(X[:40])
    assert result.n_queries.sum() == sum(model.asked_)
    there = result.status == "already_target"
    assert there.any()
    assert (result.n_queries[there] == 1).all()
    assert (result.n_queries[~there] > 10).all()


def test_each_question_counts_for_the_row_that_it_is_about():
    X, y = two_classes()
    model = Counting().fit(X, y)
    oracle = oracle_of(model, X)
    model.asked_.clear()
    Z = oracle.space.transform(X)
    oracle.labels(Z[:4], np.array([0, 0, 0, 7]))
    oracle.margin(Z[:2], np.array([7, 9]), np.array([1, 1]))
    assert (oracle.n_calls, oracle.n_rows) == (2, 6)
    assert model.asked_ == [4, 2]
    assert_array_equal(np.flatnonzero(oracle.n_queries), [0, 7, 9])
    assert_array_equal(oracle.n_queries[[0, 7, 9]], [3, 2, 1])


def test_no_question_is_asked_about_no_rows():
    X, y = two_classes()
    for model in (LogisticRegression().fit(X, y), LabelsOnly().fit(X, y)):
        oracle = oracle_of(model, X)
        none = np.empty(0, dtype=int)
        assert oracle.labels(np.empty((0, 5)), none).shape == (0,)
        assert oracle.margin(np.empty((0, 5)), none, none).shape == (0,)
        assert oracle.labels_of(oracle.origin.take(none), none).shape == (0,)
        assert (oracle.n_calls, oracle.n_rows) == (0, 0)


def test_answers_do_not_depend_on_the_size_of_a_batch(monkeypatch, population):
    X, _, model = population
    explainer = NearestExplainer(model, target_class="yes").fit(X)
    whole = explainer.explain(X[:60])
    Z = explainer.feature_space_.transform(X)

    def ask():
        oracle = oracle_of(model, X)
        rows, target = np.arange(len(X)), np.ones(len(X), dtype=int)
        return oracle.labels(Z, rows), oracle.margin(Z, rows, target), oracle.n_calls

    at_once = ask()
    monkeypatch.setattr(skcf._oracle, "CHUNK_ELEMENTS", 50 * X.shape[1])
    in_chunks = ask()
    assert_array_equal(in_chunks[0], at_once[0])
    assert_allclose(in_chunks[1], at_once[1])
    assert (at_once[2], in_chunks[2]) == (2, 2 * len(X) // 50)
    again = explainer.explain(X[:60])
    pd.testing.assert_frame_equal(again.X_cf, whole.X_cf)
    assert_array_equal(again.n_queries, whole.n_queries)


def test_chunks_bound_the_rows_of_a_call(monkeypatch):
    X, y = two_classes()
    model = Counting().fit(X, y)
    explainer = NearestExplainer(model).fit(X)
    model.asked_.clear()
    monkeypatch.setattr(skcf._oracle, "CHUNK_ELEMENTS", 7 * X.shape[1])
    explainer.explain(X)
    assert max(model.asked_) == 7


def test_missing_values_that_the_classifier_refuses_are_named():
    X, y = mixed_population(150, missing=False)
    model = raw_pipeline(X, y)
    explainer = NearestExplainer(model, target_class="yes").fit(X)
    gaps = X.copy()
    gaps.loc[gaps.index[3], "income"] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in column\(s\) \['income'\], which the"):
        explainer.explain(gaps)
    on_arrays = NearestExplainer(model, feature_space=FeatureSpace(categorical_features=[3, 4, 5]))
    with pytest.raises(ValueError, match=r"contains NaN in column\(s\) \['1'\], which the"):
        on_arrays.fit(gaps.to_numpy(dtype=object))


def test_error_that_has_another_cause_is_told_with_it():
    X, y = mixed_population(150)
    encoder = OneHotEncoder()  # takes missing values, and refuses unseen categories
    columns = make_column_transformer((encoder, ["job", "sex", "owner"]), remainder="drop")
    model = make_pipeline(columns, LogisticRegression()).fit(X, y)
    explainer = NearestExplainer(model, target_class="yes").fit(X)
    queries = X[:20].copy()
    queries.loc[queries.index[0], "job"] = "astronaut"
    assert queries["job"].isna().any()
    with pytest.raises(ValueError, match=r"unknown categories.*astronaut"):
        explainer.explain(queries)
    with pytest.raises(ValueError, match=r"^Found unknown categories"):
        explainer.explain(queries[:1].assign(income=1000.0))


# ---- torch ---------------------------------------------------------------------------------------

torch = pytest.importorskip("torch")
skorch = pytest.importorskip("skorch")


class Net(torch.nn.Module):
    """Logits, with layers that behave otherwise in training."""

    def __init__(self, n_inputs=5, n_outputs=2):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(n_inputs, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(8, n_outputs),
        )

    def forward(self, X):
        return self.layers(X)


class Flat(Net):
    """One logit a row, without a column."""

    def forward(self, X):
        return self.layers(X)[:, 0]


def make_net(n_outputs=2, kind=Net, n_inputs=5):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind(n_inputs, n_outputs)
        with torch.no_grad():  # a population to normalise by, and logits around zero
            net.train()(torch.randn(200, n_inputs))
        return net


def logits_of(net, X):
    training = net.training
    with torch.no_grad():
        dtype = next(net.parameters()).dtype
        out = net.eval()(torch.as_tensor(np.asarray(X), dtype=dtype)).double().numpy()
    net.train(training)
    return out.reshape(len(X), -1)


@pytest.mark.parametrize("n_outputs, kind", [(1, Net), (1, Flat), (2, Net), (3, Net)])
def test_torch_logits_are_the_scores(n_outputs, kind):
    X, _ = two_classes()
    net = make_net(n_outputs, kind)
    logits = logits_of(net, X)
    if n_outputs == 1:
        logits = np.column_stack([np.zeros(len(X)), logits])
    oracle = oracle_of(net, X)
    assert_array_equal(oracle.reader.classes, np.arange(max(n_outputs, 2)))
    assert_array_equal(oracle.origin_labels(), logits.argmax(axis=1))
    assert_margins_follow_labels(oracle, X, logits.argmax(axis=1))
    others = np.delete(logits, 1, axis=1).max(axis=1)
    assert_allclose(margins(oracle, X, 1), logits[:, 1] - others, rtol=1e-5, atol=1e-6)


def test_torch_module_in_training_mode_is_asked_in_evaluation_mode():
    X, _ = two_classes()
    net = make_net().train()
    net.layers[3].eval()  # a part that somebody has set aside
    modes = [part.training for part in net.modules()]
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    explainer = NearestExplainer(net).fit(X)
    first, second = explainer.transform(X), explainer.transform(X)
    assert_array_equal(first, second)
    assert (logits_of(net.eval(), first).argmax(axis=1) == 1).all()
    net.train()
    net.layers[3].eval()
    explainer.transform(X)
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(buffers[name], buffer) for name, buffer in net.named_buffers())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_torch_module_in_float64_is_given_float64():
    X, _ = two_classes()
    net = make_net().double()
    oracle = oracle_of(net, X)
    assert_allclose(margins(oracle, X, 1), np.diff(logits_of(net, X), axis=1)[:, 0], rtol=1e-12)


def test_torch_module_without_parameters_works():
    X, _ = two_classes()
    explainer = NearestExplainer(torch.nn.Identity(), target_class=3).fit(X)
    assert_array_equal(explainer.transform(X).argmax(axis=1), 3)


class Linear(torch.nn.Module):
    """Scores of fixed weights, so that the columns that come in can be told."""

    def __init__(self, weights):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, X):
        return X @ self.weights


def test_torch_module_gets_onehot_groups_as_columns_and_categories_as_codes():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 120)
    X = pd.DataFrame(np.eye(3, dtype=int)[kind], columns=["a", "b", "c"])
    X.insert(1, "size", rng.normal(size=120))
    X["shop"] = rng.choice(["east", "west"], 120)
    space = FeatureSpace(onehot_groups=[["a", "b", "c"]])
    weights = [0.3, 1.0, -1.0, 2.0, 0.5]
    expected = X.assign(shop=X["shop"] == "west").to_numpy(dtype=float) @ weights - 1
    net = torch.nn.Sequential(Linear(weights), Shift(-1.0))
    oracle = oracle_of(net, X, space=space)
    assert oracle.space.transform(X).shape[1] == 3
    assert_allclose(margins(oracle, X, 1), expected)
    assert_array_equal(oracle.origin_labels(), expected > 0)
    explainer = NearestExplainer(net, feature_space=space).fit(X)
    X_cf = explainer.transform(X)
    assert (X_cf[["a", "b", "c"]].sum(axis=1) == 1).all()
    assert (explainer.fit(X).explain(X_cf).status == "already_target").all()


class Shift(torch.nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, X):
        return X + self.by


def test_y_names_the_outputs_of_a_module():
    X, _ = two_classes()
    net = make_net(3)
    names = np.array(["low", "mid", "top"])
    y = names[logits_of(net, X).argmax(axis=1)]
    assert_array_equal(np.unique(y), names)
    explainer = NearestExplainer(net, target_class="top").fit(X, y)
    assert_array_equal(explainer.classes_, names)
    result = explainer.explain(X)
    assert_array_equal(result.y, y)
    assert (names[logits_of(net, result.X_cf).argmax(axis=1)] == "top").all()
    assert_array_equal(oracle_of(net, X, [0, 1]).reader.classes, [0, 1, 2])


def test_y_without_one_of_the_classes_cannot_name_the_outputs():
    X, _ = two_classes()
    y = np.where(X[:, 0] > 0, "low", "top")
    with pytest.raises(ValueError, match=r"gives 3 scores a row, but y holds the 2 labels"):
        NearestExplainer(make_net(3), target_class="top").fit(X, y)
    with pytest.raises(ValueError, match="Use labels 0 to 2, or fit on rows of every class"):
        NearestExplainer(make_net(3), target_class=7).fit(X, np.where(X[:, 0] > 0, 2, 7))


@pytest.mark.parametrize("kind", ["module", "function", "skorch"])
def test_missing_values_that_end_in_missing_scores_are_an_error(kind, trained_net):
    X, _ = two_classes()
    net = make_net()
    models = {
        "module": net,
        "function": lambda rows: logits_of(net, rows),
        "skorch": trained_net,
    }
    X = X.astype(np.float32)
    explainer = NearestExplainer(models[kind]).fit(X)
    gaps = X[:5].copy()
    gaps[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in column\(s\) \['3'\].* NaN as a score"):
        explainer.transform(gaps)


# ---- skorch --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_net():
    X, y = two_classes()
    return train(skorch.NeuralNetClassifier, Net, X, y, criterion=torch.nn.CrossEntropyLoss)


def train(kind, module, X, y, **params):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind(module, max_epochs=20, lr=0.1, train_split=None, verbose=0, **params)
        return net.fit(X.astype(np.float32), y)


def test_skorch_probabilities_are_the_scores(trained_net):
    X, _ = two_classes()
    oracle = oracle_of(trained_net, X)  # float64 rows: the net takes float32
    assert oracle.has_scores
    labels = trained_net.predict(X.astype(np.float32))
    assert 0 < labels.mean() < 1
    assert_margins_follow_labels(oracle, X, labels)
    proba = trained_net.predict_proba(X.astype(np.float32))[:, 1]
    assert_allclose(margins(oracle, X, 1), logit(proba.astype(float)), rtol=1e-3, atol=1e-5)
    X_cf = NearestExplainer(trained_net).fit(X, labels).transform(X)
    assert (trained_net.predict(X_cf.astype(np.float32)) == 1).all()


def test_skorch_binary_net_follows_its_threshold():
    X, y = two_classes()
    params = {"module__n_outputs": 1, "criterion": torch.nn.BCEWithLogitsLoss}
    net = train(skorch.NeuralNetBinaryClassifier, Net, X, y.astype(np.float32), **params)
    assert oracle_of(net, X).has_scores
    net.threshold = 0.8
    explainer = NearestExplainer(net).fit(X)
    X_cf = explainer.transform(X)
    assert (net.predict(X_cf.astype(np.float32)) == 1).all()


def test_skorch_net_with_named_classes_still_predicts_positions():
    X, y = two_classes()
    params = {"classes": ["no", "yes"], "criterion": torch.nn.CrossEntropyLoss}
    net = train(skorch.NeuralNetClassifier, Net, X, y, **params)
    explainer = NearestExplainer(net, target_class=1).fit(X)
    assert_array_equal(explainer.classes_, [0, 1])
    assert (net.predict(explainer.transform(X).astype(np.float32)) == 1).all()


def test_net_that_is_no_classifier_is_refused():
    X, y = two_classes()
    net = train(skorch.NeuralNet, Net, X, y, criterion=torch.nn.CrossEntropyLoss)
    with pytest.raises(ValueError, match=r"must predict one label a row; got shape \(150, 2\)"):
        NearestExplainer(net).fit(X)


@pytest.mark.parametrize("kind", ["module", "skorch"])
def test_nets_pickle_with_their_explainer(kind, trained_net):
    X, _ = two_classes()
    explainer = NearestExplainer(make_net() if kind == "module" else trained_net).fit(X)
    copy = pickle.loads(pickle.dumps(explainer))
    assert_array_equal(copy.transform(X), explainer.transform(X))


@pytest.mark.parametrize(
    "model", [LogisticRegression(max_iter=1000), KNeighborsClassifier(3), LinearSVC(random_state=0)]
)
def test_margin_of_written_rows_is_that_of_the_encoded_ones(model):
    X, y = load_iris(return_X_y=True)
    oracle = oracle_of(model.fit(X, y), X)
    rows = np.arange(0, len(X), 7)
    target = np.arange(len(rows)) % 3
    table = oracle.written(X[rows], rows, keep=np.zeros(len(rows), bool))
    before = oracle.n_calls
    assert_array_equal(oracle.margin_of(table, rows, target), oracle.margin(X[rows], rows, target))
    assert oracle.n_calls == before + 2
    assert len(oracle.margin_of(table.take([]), rows[:0], target[:0])) == 0


def test_asking_a_net_leaves_torchs_global_seed_alone():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    X, y = two_classes()
    net = skorch.NeuralNetClassifier(torch.nn.Linear(X.shape[1], 2), max_epochs=1, verbose=0)
    net.set_params(criterion=torch.nn.CrossEntropyLoss, train_split=None)
    net.fit(X.astype(np.float32), y.astype(np.int64))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    oracle = oracle_of(net, X)
    oracle.labels(X, np.arange(len(X)))
    oracle.margin(X, np.arange(len(X)), np.zeros(len(X), dtype=np.intp))
    assert torch.equal(torch.get_rng_state(), before)
