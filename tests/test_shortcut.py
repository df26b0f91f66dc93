"""The shorter way to the scores of pipelines: the same scores, or none."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skcf import FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf._classifiers import read_classifier
from skcf._oracle import Oracle
from skcf._shortcut import LinearShortcut, NetShortcut, Shortcut

TEXT = ["job", "sex"]
NUMBERS = ["age", "income", "hours"]
SPACE = FeatureSpace(immutable_features=["sex"], change_direction={"age": +1})


def oracles(model, X, queries=None):
    """An oracle with the shorter way, and one without."""
    space = FeatureSpace().fit(X)
    table = space._tabulate(X)
    short, full = (read_classifier(model, space, table) for _ in range(2))
    Oracle(short, space, table).learn_shortcut()
    origin = table if queries is None else space._tabulate(queries)
    return Oracle(short, space, origin), Oracle(full, space, origin)


def shortcut_of(model, X):
    return oracles(model, X)[0].reader.shortcut


def assert_same_margins(model, X, queries=None, kind=Shortcut):
    """On the rows as they are, and on rows in which values are changed; tells the oracles."""
    queries = X if queries is None else queries
    short, full = oracles(model, X, queries)
    assert type(short.reader.shortcut) is kind
    assert full.reader.shortcut is None
    Z, rows = short.space.transform(queries), np.arange(len(queries))
    others = short.space.transform(X)[np.random.default_rng(0).permutation(len(X))[: len(Z)]]
    mixed = np.where(np.random.default_rng(1).random(Z.shape) < 0.4, others, Z)
    mixed = short.space.project(mixed, Z)
    assert (mixed != Z).any(axis=1).mean() > 0.5
    for z in (Z, mixed):
        for code in range(len(short.reader.classes)):
            target = np.full(len(z), code)
            margin = short.margin(z, rows, target)
            assert_allclose(margin, full.margin(z, rows, target), rtol=1e-9, atol=1e-9)
            assert np.ptp(margin) > 0.1
    assert short.n_calls == full.n_calls
    assert_array_equal(short.n_queries, full.n_queries)
    return short, full


def pipeline(final, encoder=None, numbers=None, names=None):
    encoder = OneHotEncoder(handle_unknown="ignore") if encoder is None else encoder
    numbers = make_pipeline(SimpleImputer(), StandardScaler()) if numbers is None else numbers
    columns = make_column_transformer(
        (encoder, TEXT), (numbers, NUMBERS if names is None else names), remainder="passthrough"
    )
    return make_pipeline(columns, final)


FINALS = [
    (LogisticRegression(), LinearShortcut),
    (RidgeClassifier(), LinearShortcut),
    (RandomForestClassifier(20, random_state=0), Shortcut),
    (GradientBoostingClassifier(n_estimators=20, random_state=0), Shortcut),
    (HistGradientBoostingClassifier(max_iter=20), Shortcut),
    (MLPClassifier((8,), max_iter=100, random_state=0), NetShortcut),
]
of_finals = pytest.mark.parametrize("final, kind", FINALS, ids=lambda f: type(f).__name__)


@pytest.fixture(scope="module")
def people():
    return mixed_population(250, missing=False)


@pytest.fixture(scope="module")
def gappy():
    return mixed_population(250)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@of_finals
@pytest.mark.parametrize("encoder", [None, OrdinalEncoder()], ids=["onehot", "ordinal"])
def test_scores_are_the_classifier_s_own(people, final, kind, encoder):
    X, y = people
    assert_same_margins(pipeline(final, encoder).fit(X, y), X, kind=kind)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@of_finals
def test_missing_and_unseen_values_too(gappy, final, kind):
    X, y = gappy
    queries = X[:80].copy()
    queries.loc[queries.index[::7], "job"] = "diver"
    queries.loc[queries.index[::9], "job"] = "astronaut"
    queries.loc[queries.index[::5], "income"] = np.nan
    model = pipeline(final).fit(X, y)
    short, _ = assert_same_margins(model, X, queries, kind)
    assert short.kept.is_known.all()


def test_missing_values_that_the_model_takes_itself(gappy):
    X, y = gappy
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, TEXT), remainder="passthrough")
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20)).fit(X, y)
    assert_same_margins(model, X)


THRESHOLDS = [
    (FixedThresholdClassifier(LogisticRegression(), threshold=0.8), Shortcut),
    (
        FixedThresholdClassifier(
            LogisticRegression(), threshold=1.2, response_method="decision_function"
        ),
        LinearShortcut,
    ),
    (
        TunedThresholdClassifierCV(HistGradientBoostingClassifier(max_iter=10), cv=2),
        Shortcut,
    ),
]


@pytest.mark.parametrize("final, kind", THRESHOLDS, ids=["proba", "logits", "tuned"])
@pytest.mark.parametrize("inside", [True, False])
def test_thresholds(people, final, kind, inside):
    X, y = people
    outside = clone(final).set_params(estimator=pipeline(final.estimator))
    model = pipeline(clone(final)) if inside else outside
    short, _ = assert_same_margins(model.fit(X, y == "yes"), X, kind=kind)
    labels = short.margin(short.space.transform(X), np.arange(len(X)), np.ones(len(X), int)) > 0
    assert_array_equal(labels, model.predict(X))


@pytest.mark.parametrize(
    "final, kind",
    [(LogisticRegression(), LinearShortcut), (RandomForestClassifier(10), Shortcut)],
    ids=["linear", "forest"],
)
def test_several_classes(final, kind):
    X, y = load_iris(return_X_y=True, as_frame=True)
    assert_same_margins(make_pipeline(StandardScaler(), final).fit(X, y), X, kind=kind)


def test_what_classifiers_are_wrapped_in(people):
    X, y = people
    model = pipeline(LogisticRegression()).fit(X, y)
    assert_same_margins(FrozenEstimator(model), X, kind=LinearShortcut)
    search = GridSearchCV(pipeline(LogisticRegression()), {"logisticregression__C": [0.1, 1]}, cv=2)
    assert_same_margins(search.fit(X, y), X, kind=LinearShortcut)


# ---- trees --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tree", [DecisionTreeClassifier(), HistGradientBoostingClassifier(max_iter=3)]
)
def test_values_equal_to_a_threshold_go_the_same_way(tree):
    rng = np.random.default_rng(0)
    # of all sizes: differences from a middle value round
    X = pd.DataFrame({"a": np.exp(rng.normal(0, 4, 200)), "job": rng.choice(["x", "y"], 200)})
    y = (np.sin(np.log(X["a"])) + (X["job"] == "x")) > 0.3
    columns = make_column_transformer((OrdinalEncoder(), ["job"]), remainder="passthrough")
    model = make_pipeline(columns, tree).fit(X, y)
    if hasattr(tree, "tree_"):
        thresholds = tree.tree_.threshold[tree.tree_.feature == 1]
    else:
        nodes = np.concatenate([p[0].nodes for p in tree._predictors])
        thresholds = nodes["num_threshold"][(nodes["is_leaf"] == 0) & (nodes["feature_idx"] == 1)]
    assert len(thresholds)
    steps = [np.nextafter(thresholds, -np.inf), thresholds, np.nextafter(thresholds, np.inf)]
    at = pd.DataFrame({"a": np.concatenate(steps)}).assign(job="x")
    short, full = oracles(model, X, at)
    assert short.reader.shortcut is not None
    Z, rows = short.space.transform(at), np.arange(len(at))
    target = np.ones(len(at), dtype=int)
    assert_array_equal(short.margin(Z, rows, target), full.margin(Z, rows, target))


# ---- where there is none ------------------------------------------------------------------------


def test_bare_classifiers_and_functions_have_none(people):
    X, y = people
    bare = LogisticRegression(max_iter=2000).fit(X[NUMBERS], y)
    assert shortcut_of(bare, X[NUMBERS]) is None
    model = pipeline(LogisticRegression()).fit(X, y)
    assert shortcut_of(model.predict, X) is None
    assert shortcut_of(model.predict_proba, X) is None


def test_torch_modules_have_none(people):
    torch = pytest.importorskip("torch")
    assert shortcut_of(torch.nn.Linear(3, 2), people[0][NUMBERS]) is None


def test_preprocessing_that_is_no_sum_has_none(people):
    X, y = people
    clipping = pipeline(LogisticRegression(), numbers=MinMaxScaler(clip=True))
    assert shortcut_of(clipping.fit(X, y), X) is None


def test_models_that_are_given_frames_have_none(people):
    X, y = people
    encoder = OneHotEncoder(sparse_output=False)
    model = pipeline(LogisticRegression(), encoder).set_output(transform="pandas").fit(X, y)
    assert hasattr(model[-1], "feature_names_in_")
    assert shortcut_of(model, X) is None


class ByName(ClassifierMixin, BaseEstimator):
    """Takes frames, and does not say so."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X["standardscaler__income"].to_numpy()

    def predict(self, X):
        return self.classes_[(self.decision_function(X) > 0).astype(int)]


def test_models_that_fail_on_arrays_have_none(people):
    X, y = people
    columns = make_column_transformer((StandardScaler(), ["income"]), ("passthrough", ["age"]))
    model = make_pipeline(columns, ByName()).set_output(transform="pandas").fit(X, y)
    assert shortcut_of(model, X) is None
    assert explain(model, X).summary()["validity"] == 1


class Listing(ClassifierMixin, BaseEstimator):
    """Its scores are other ones for arrays than what the pipeline gives."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        if isinstance(X, pd.DataFrame):
            return X.to_numpy()[:, 0]
        return X[:, 0] + 1e-3

    def predict(self, X):
        return self.classes_[(self.decision_function(X) > 0).astype(int)]


def test_scores_that_do_not_come_out_are_not_used(people):
    X, y = people
    columns = make_column_transformer((StandardScaler(), ["income"]), ("passthrough", ["age"]))
    model = make_pipeline(columns, Listing()).set_output(transform="pandas").fit(X, y)
    assert shortcut_of(model, X) is None


def test_labels_without_scores_have_none(people):
    X, y = people

    class Silent(LogisticRegression):
        decision_function = predict_proba = predict_log_proba = property()

        def predict(self, X):
            return self.classes_[(X @ self.coef_[0] + self.intercept_[0] > 0).astype(int)]

    encoder = OneHotEncoder(sparse_output=False)
    model = pipeline(Silent(), encoder).fit(X, y)
    short, _ = oracles(model, X)
    assert not short.has_scores
    assert short.reader.shortcut is None


# ---- explanations -------------------------------------------------------------------------------


def explain(model, X, target_class="yes"):
    explainer = NearestExplainer(model, target_class=target_class).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X[:60])


@pytest.mark.parametrize("final, kind", FINALS[::4], ids=["linear", "boosted"])
def test_explanations_are_the_same_without_it(gappy, monkeypatch, final, kind):
    X, y = gappy
    model = pipeline(final).fit(X, y)
    explainer = NearestExplainer(model, target_class="yes", feature_space=SPACE).fit(X)
    assert type(explainer._reader.shortcut) is kind
    short = explainer.explain(X[:100])
    monkeypatch.setattr(Oracle, "learn_shortcut", lambda self: None)
    explainer.fit(X)
    assert explainer._reader.shortcut is None
    full = explainer.explain(X[:100])
    assert (short.status == "found").sum() > 30
    assert_array_equal(short.status, full.status)
    assert_allclose(short.cost, full.cost, atol=1e-9)
    assert_array_equal(short.n_changes, full.n_changes)
    assert_array_equal(short.n_queries, full.n_queries)


def test_it_pickles(people):
    X, y = people
    model = pipeline(LogisticRegression()).fit(X, y)
    explainer = NearestExplainer(model, target_class="yes").fit(X)
    again = pickle.loads(pickle.dumps(explainer))
    assert type(again._reader.shortcut) is LinearShortcut
    pd.testing.assert_frame_equal(again.transform(X), explainer.transform(X))


def test_what_is_not_refined_has_no_need_of_it(people):
    X, y = people
    model = pipeline(LogisticRegression()).fit(X, y)
    for refine, has_one in ((True, True), ("quick", True), (False, False)):
        explainer = NearestExplainer(model, target_class="yes", refine=refine).fit(X)
        assert (explainer._reader.shortcut is not None) == has_one


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("named", [False, True], ids=["array", "frame"])
def test_bare_nets_are_asked_past_their_checks(activation, n_classes, named):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    y = np.digitize(X[:, 0] + X[:, 1] ** 2 - X[:, 2], [0.5, 2.0][: n_classes - 1])
    X = pd.DataFrame(X, columns=list("abcd")) if named else X
    net = MLPClassifier((7, 5), activation=activation, solver="lbfgs", alpha=1e-2, random_state=0)
    net.fit(X, y)
    assert_same_margins(net, X, kind=NetShortcut)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_threshold_on_a_net():
    X, y = mixed_population(150, missing=False)
    X = X[NUMBERS]
    net = make_pipeline(StandardScaler(), MLPClassifier((6,), max_iter=80, random_state=0))
    model = FixedThresholdClassifier(net, threshold=0.7, pos_label="yes").fit(X, y)
    assert_same_margins(model, X, kind=NetShortcut)


def test_a_net_whose_probabilities_round_to_one_is_known_all_the_same():
    X, y = mixed_population(300, missing=False)
    X = X[NUMBERS] * 1e3  # logits of some hundred
    y = X["income"] > X["income"].median()
    net = MLPClassifier((4,), max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(X.to_numpy(), y)
    short, full = oracles(net, X.to_numpy())
    assert isinstance(short.reader.shortcut, NetShortcut)
    Z, rows, target = short.encoded, np.arange(len(X)), np.ones(len(X), dtype=int)
    ours, theirs = short.margin(Z, rows, target), full.margin(Z, rows, target)
    assert np.abs(ours).max() > 40  # further than logarithms of rounded probabilities tell
    told = np.abs(theirs) < 15
    assert_allclose(ours[told], theirs[told], rtol=1e-6)
    assert_array_equal(ours > 0, theirs > 0)
