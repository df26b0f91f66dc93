"""What every explainer checks, keeps and says, and how it carries its classifier."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import boosted_pipeline, mixed_population
from joblib import Parallel, delayed
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags
from test_oracle import Net, make_net, skorch, torch, train

from skcf import FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf._fitting import unchanged_on_failure


@pytest.fixture(scope="module")
def binary():
    """Rows of float32, labels 0 and 1, a fitted model."""
    X, y = make_classification(150, 5, n_informative=3, random_state=0)
    X = X.astype(np.float32)
    return X, y, LogisticRegression().fit(X, y)


# ---- y ---------------------------------------------------------------------------------------


def test_y_is_needed_for_a_surrogate(binary):
    X, _, _ = binary
    with pytest.raises(
        ValueError, match="requires y to be passed, but the target y is None: witho"
    ):
        NearestExplainer().fit(X)


def test_y_none_asks_the_classifier(binary):
    X, _, model = binary
    asked, given = NearestExplainer(model).fit(X), NearestExplainer(model).fit(X, model.predict(X))
    assert_array_equal(asked.transform(X), given.transform(X))


@pytest.mark.parametrize("estimator", ["model", None])
def test_y_is_checked(binary, estimator):
    X, _, model = binary
    y = model.predict(X)
    explainer = NearestExplainer(model if estimator else None)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[150, 149\]"):
        explainer.fit(X, y[1:])
    with pytest.raises(ValueError, match="y should be a 1d array, got an array of shape"):
        explainer.fit(X, np.column_stack([y, y]))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        explainer.fit(X, np.where(y == 1, np.nan, y))
    with pytest.raises(ValueError, match="Input y contains infinity"):
        explainer.fit(X, np.where(y == 1, np.inf, y))
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        explainer.fit(X, y.reshape(-1, 1))


@pytest.mark.parametrize("kind", ["list", "pandas", "polars"])
def test_y_may_come_in_any_container(binary, kind):
    X, y, _ = binary
    names = np.where(y == 1, "yes", "no")
    if kind == "polars":
        y = pytest.importorskip("polars").Series(names.tolist())
    else:
        y = names.tolist() if kind == "list" else pd.Series(names, dtype="category")
    explainer = NearestExplainer(random_state=0).fit(X, y)
    assert_array_equal(explainer.classes_, ["no", "yes"])
    assert (explainer.estimator_.predict(explainer.transform(X)) == "yes").all()


def test_surrogate_needs_two_classes_that_are_classes(binary):
    X, _, _ = binary
    with pytest.raises(ValueError, match="y contains 1 class, but a surrogate classifier needs"):
        NearestExplainer().fit(X, np.ones(len(X)))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        NearestExplainer().fit(X, X[:, 0])


def test_surrogate_reads_columns_as_the_feature_space_says():
    X, y = mixed_population(200, missing=False)
    rows = X.to_numpy(dtype=object)
    space = FeatureSpace(categorical_features=[3, 4, 5], integer_features=[0, 2])
    explainer = NearestExplainer(feature_space=space, target_class="yes", random_state=0)
    X_cf = explainer.fit(rows, y).transform(rows)
    assert (explainer.estimator_.predict(X_cf) == "yes").all()
    assert not hasattr(space, "scale_"), "the parameter itself is not fitted"


def test_surrogate_is_drawn_from_random_state(binary):
    X, y, _ = binary
    first, second = (NearestExplainer(random_state=3).fit(X, y).transform(X) for _ in range(2))
    assert_array_equal(first, second)


def test_disagreement_is_told_from_5_percent_on(binary):
    X, _, model = binary
    labels = model.predict(X)
    for n_wrong in (0, 7):  # 7 of 150 are 4.7 %
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            NearestExplainer(model).fit(X, np.where(np.arange(150) < n_wrong, 1 - labels, labels))
    with pytest.warns(UserWarning, match="disagrees with y on 5% of the rows"):
        NearestExplainer(model).fit(X, np.where(np.arange(150) < 8, 1 - labels, labels))
    with pytest.warns(UserWarning, match="disagrees with y on 100% of the rows"):
        NearestExplainer(model).fit(X, np.where(labels == 1, "yes", "no"))


# ---- target_class ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", [1, 1.0, True, np.int64(1), np.float32(1)])
def test_numeric_target_is_taken_by_value(binary, target):
    X, _, model = binary
    X_cf = NearestExplainer(model, target_class=target).fit(X).transform(X)
    assert (model.predict(X_cf) == 1).all()


@pytest.mark.parametrize("target", ["1", 2, 0.5, [1], np.array([1]), (0, 1), np.nan, b"1"])
def test_target_that_is_no_class_is_refused(binary, target):
    X, _, model = binary
    message = r"is not a class of the classifier: expected 'other' or one of \[0, 1\]"
    with pytest.raises(ValueError, match=message):
        NearestExplainer(model, target_class=target).fit(X)


def test_target_none_is_the_second_of_two_classes_and_another_one_of_more(binary):
    X, y, _ = binary
    swapped = LogisticRegression().fit(X, np.where(y == 1, "a", "b"))
    assert (swapped.predict(NearestExplainer(swapped).fit(X).transform(X)) == "b").all()
    X, y = load_iris(return_X_y=True)
    three = LogisticRegression(max_iter=1000).fit(X, y)
    assert_array_equal(
        NearestExplainer(three).fit(X).transform(X),
        NearestExplainer(three, target_class="other").fit(X).transform(X),
    )


def test_other_of_two_classes_swaps_them(binary):
    X, _, model = binary
    result = NearestExplainer(model, target_class="other").fit(X).explain(X)
    assert_array_equal(result.y_cf, 1 - result.y)


def test_fit_needs_somewhere_to_go(binary):
    X, _, model = binary
    labels = model.predict(X)
    with pytest.raises(ValueError, match=r"puts no row of X in the target class 1: fit on rows"):
        NearestExplainer(model).fit(X[labels == 0])
    with pytest.raises(ValueError, match=r"puts all rows in 1 class, 0: there is no other class"):
        NearestExplainer(model, target_class="other").fit(X[labels == 0])
    with pytest.raises(ValueError, match="puts all rows in 1 class, 'a': there is no other class"):
        NearestExplainer(lambda X: np.repeat("a", len(X))).fit(X)


class Stranger(ClassifierMixin, BaseEstimator):
    """Predicts what is none of its classes."""

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, X):
        return np.where(X[:, 0] > 0, "up", "down")


def test_labels_that_are_no_classes_are_refused(binary):
    X, y, _ = binary
    with pytest.raises(ValueError, match=r"labels that are none of its classes_, \[0, 1\]"):
        NearestExplainer(Stranger().fit(X, y)).fit(X)


# ---- the classifier --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unfitted",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {}),
        FrozenEstimator(LogisticRegression()),
        skorch.NeuralNetClassifier(Net),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_unfitted_classifier_is_refused(binary, unfitted):
    X, y, _ = binary
    explainer = NearestExplainer(unfitted)
    for attempt in (explainer, clone(explainer)):
        with pytest.raises(NotFittedError, match=r"is not fitted\. Fit it before the explainer"):
            attempt.fit(X, y)
        assert not hasattr(attempt, "n_features_in_")


def test_what_is_no_classifier_at_all_is_refused(binary):
    X, y, _ = binary
    with pytest.raises(
        ValueError, match="The 'estimator' parameter of NearestExplainer must be an"
    ):
        NearestExplainer("model").fit(X, y)
    with pytest.raises(
        ValueError, match="The 'feature_space' parameter of NearestExplainer must be"
    ):
        NearestExplainer(feature_space={"immutable_features": [0]}).fit(X, y)
    with pytest.raises(TypeError, match="is a class, not an instance"):
        NearestExplainer(LogisticRegression).fit(X, y)


class Duck:
    """Looks like a classifier to a user, not to scikit-learn."""

    def fit(self, X, y):
        self.threshold = float(np.median(X[:, 0]))
        return self

    def get_params(self, deep=True):
        return {}

    def predict(self, X):
        return (X[:, 0] > self.threshold).astype(int)


def test_classifier_without_scikit_learn_s_tags_works(binary):
    X, y, _ = binary
    duck = Duck().fit(X, y)
    explainer = clone(NearestExplainer(duck)).fit(X)
    assert (duck.predict(explainer.transform(X)) == 1).all()


def test_explaining_needs_a_fit(binary):
    X, _, model = binary
    explainer = NearestExplainer(model)
    for method in (explainer.explain, explainer.transform, explainer.score):
        with pytest.raises(NotFittedError, match="This NearestExplainer instance is not fitted"):
            method(X)
    with pytest.raises(NotFittedError, match="This NearestExplainer instance is not fitted"):
        explainer.get_feature_names_out()


def test_columns_are_those_of_fit():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = NearestExplainer(model).fit(X)
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        explainer.transform(X.rename(columns={"petal width (cm)": "width"}))
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        explainer.transform(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="X has 3 features, but NearestExplainer is expecting 4"):
        NearestExplainer(model).fit(X.to_numpy()).transform(X.to_numpy()[:, 1:])


def test_tags_say_what_the_classifier_takes(population):
    boosted = population[2]
    numeric, y = make_classification(60, 4, random_state=0)
    linear = LogisticRegression().fit(numeric, y)
    boosting = boosted.steps[-1][1]
    for estimator, takes_missing in [
        (None, True),
        (linear, False),
        (boosting, True),
        (FrozenEstimator(boosting), True),
        (Duck(), False),
        (make_net(), False),
        (np.argmax, False),
    ]:
        tags = get_tags(NearestExplainer(estimator))
        assert tags.input_tags.allow_nan is takes_missing
        assert tags.target_tags.required is (estimator is None)


# ---- clones ----------------------------------------------------------------------------------


def rule(X):
    return np.where(X[:, 0] + X[:, 1] > 0, 1, 0)


@pytest.fixture(scope="module", params=["estimator", "function", "module", "net"])
def classifier(request, binary):
    """A fitted classifier of each kind, and a function that gives its labels."""
    X, y, model = binary
    if request.param == "function":
        return rule, rule
    if request.param == "module":
        net = make_net()
        return net, lambda rows: net.eval()(torch.as_tensor(rows)).argmax(axis=1).numpy()
    if request.param == "net":
        kind = skorch.NeuralNetClassifier
        net = train(kind, Net, X, y, criterion=torch.nn.CrossEntropyLoss)
        return net, net.predict
    return model, model.predict


def test_clone_explains_the_same_classifier(binary, classifier):
    X, _, _ = binary
    estimator, predict = classifier
    explainer = NearestExplainer(estimator, n_neighbors=2, feature_space=FeatureSpace(scale="std"))
    expected = explainer.fit(X).transform(X)
    assert (predict(expected) == 1).all()
    copy = clone(explainer)
    assert copy.n_neighbors == 2
    assert copy.feature_space is not explainer.feature_space
    assert not hasattr(copy, "estimator_")
    for one in (copy, clone(copy), clone(clone(copy)), pickle.loads(pickle.dumps(copy))):
        assert_array_equal(one.fit(X).transform(X), expected)
    inner = getattr(clone(explainer).estimator, "estimator", clone(explainer).estimator)
    assert inner is estimator


def test_clone_in_a_pipeline_explains_the_same_classifier(binary, classifier):
    X, _, _ = binary
    estimator, predict = classifier
    pipeline = make_pipeline(FunctionTransformer(), NearestExplainer(estimator))
    expected = pipeline.fit(X).transform(X)
    assert (predict(expected) == 1).all()
    assert_array_equal(clone(pipeline).fit(X).transform(X), expected)


def test_grid_search_in_workers_explains_the_same_classifier(binary, classifier):
    X, _, _ = binary
    estimator, predict = classifier
    grid = {"feature_space__scale": ["range", "std"]}
    explainer = NearestExplainer(estimator, feature_space=FeatureSpace())
    search = GridSearchCV(explainer, grid, cv=2, n_jobs=2, error_score="raise")
    best = search.fit(X, predict(X)).best_estimator_
    assert search.best_score_ == 1.0
    assert (predict(best.transform(X)) == 1).all()


def test_workers_explain_the_same_classifier(binary, classifier):
    X, _, _ = binary
    estimator, _ = classifier
    explainer = NearestExplainer(estimator)
    expected = explainer.fit(X).transform(X[:40])
    # fitted here and asked there; and fitted there
    parts = Parallel(n_jobs=2)(delayed(explainer.transform)(X[i : i + 20]) for i in (0, 20))
    # a net rounds by its batch, in float32, which may move the last cut of a line search
    last_cut = 4.0**-8 * np.ptp(X)
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-5, atol=last_cut)
    (fitted,) = Parallel(n_jobs=2)([delayed(clone(explainer).fit)(X)])
    np.testing.assert_allclose(fitted.transform(X[:40]), expected, rtol=1e-5, atol=last_cut)


def test_unfitted_classifier_is_cloned_unfitted():
    model = LogisticRegression(C=0.5)
    copy = clone(NearestExplainer(model))
    assert isinstance(copy.estimator, LogisticRegression)
    assert copy.estimator is not model
    assert copy.estimator.C == 0.5
    assert clone(NearestExplainer()).estimator is None


def test_modules_and_functions_may_stand_in_a_grid(binary):
    X, _, _ = binary
    for estimators in ([make_net()], [rule]):
        search = GridSearchCV(NearestExplainer(), {"estimator": estimators}, cv=2)
        labels = NearestExplainer(estimators[0]).fit(X).explain(X).y
        assert search.fit(X, labels).best_score_ == 1.0


# ---- what comes back -------------------------------------------------------------------------


def test_score_counts_rows_that_needed_one(binary):
    X, _, model = binary
    space = FeatureSpace(immutable_features=[0, 1, 2, 3], permitted_range={4: (-0.5, 0.5)})
    explainer = NearestExplainer(model, feature_space=space).fit(X)
    with pytest.warns(InvalidCounterfactualWarning):
        status = explainer.explain(X).status
    needed = status != "already_target"
    assert 0 < np.sum(status == "found") < needed.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a score is a number, not a report
        assert explainer.score(X) == np.sum(status == "found") / needed.sum()
        assert explainer.score(X, "ignored") == explainer.score(X)


def test_warning_counts_the_rows_by_reason(binary):
    X, _, model = binary
    space = FeatureSpace(immutable_features=[0, 1, 2, 3, 4])
    explainer = NearestExplainer(model, feature_space=space).fit(X)
    n = int(np.sum(model.predict(X) == 0))
    message = rf"{n} of 150 rows got no valid counterfactual \({n} infeasible\); explain\(X\).stat"
    for method in (explainer.explain, explainer.transform):
        with pytest.warns(InvalidCounterfactualWarning, match=message) as record:
            method(X)
        assert len(record) == 1


def frame_of_kinds(n=120):
    X, y = mixed_population(n, missing=False)
    X = X.astype({"age": "int16", "job": "category", "income": "float32"})
    return X, boosted_pipeline(X, y, ["job", "sex"])


def test_output_follows_the_container_and_set_output_overrides():
    pl = pytest.importorskip("polars")
    X, model = frame_of_kinds()
    explainer = NearestExplainer(model, target_class="yes").fit(X)
    as_it_came = explainer.transform(X)
    assert_array_equal(as_it_came.dtypes, X.dtypes)
    as_polars = explainer.set_output(transform="polars").transform(X)
    assert isinstance(as_polars, pl.DataFrame)
    kinds = [dtype.is_integer() for dtype in as_polars.dtypes]
    assert kinds == [True, False, True, False, False, False]
    assert as_polars["owner"].dtype == pl.Boolean
    assert as_polars["job"].to_list() == as_it_came["job"].tolist()
    assert_frame_equal(explainer.set_output(transform="pandas").transform(X), as_it_came)
    assert_frame_equal(explainer.explain(X).X_cf, as_it_came)  # set_output is about transform


@pytest.mark.parametrize("by", ["set_output", "config_context"])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_object_arrays_come_out_as_typed_columns(by, library):
    pytest.importorskip("polars")
    X, y = mixed_population(120, missing=False)
    rows = X.to_numpy(dtype=object)
    space = FeatureSpace(categorical_features=[3, 4, 5], integer_features=[0, 2])
    explainer = NearestExplainer(target_class="yes", feature_space=space, random_state=0)
    explainer.fit(rows, y)
    plain = explainer.transform(rows)
    if by == "set_output":
        frame = explainer.set_output(transform=library).transform(rows)
    else:
        with config_context(transform_output=library):
            frame = explainer.transform(rows)
    assert list(frame.columns) == [f"x{j}" for j in range(6)]
    frame = frame if library == "pandas" else frame.to_pandas()
    assert [frame[name].dtype.kind for name in ("x0", "x1", "x2", "x5")] == ["i", "f", "i", "b"]
    assert_array_equal(frame.to_numpy(dtype=object), plain)


def test_lists_of_rows_may_come_out_as_a_frame(binary):
    X, _, model = binary
    explainer = NearestExplainer(model).fit(X.tolist()).set_output(transform="pandas")
    frame = explainer.transform(X[:5].tolist())
    assert frame.shape == (5, 5)
    assert frame.index.tolist() == [0, 1, 2, 3, 4]
    assert (model.predict(frame.to_numpy()) == 1).all()


def test_index_of_a_frame_is_kept_by_set_output():
    X, y = load_iris(return_X_y=True, as_frame=True)
    X.index = [f"flower-{i}" for i in range(len(X))]
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = NearestExplainer(model).fit(X).set_output(transform="pandas")
    assert explainer.transform(X[:7]).index.equals(X.index[:7])
    with config_context(transform_output="pandas"):
        assert explainer.fit(X).transform(X[:7]).index.equals(X.index[:7])


def test_feature_names_out(binary):
    X, _, model = binary
    explainer = NearestExplainer(model).fit(X)
    assert explainer.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3", "x4"]
    assert explainer.get_feature_names_out(list("abcde")).tolist() == list("abcde")
    with pytest.raises(ValueError, match="should have length equal to number of features"):
        explainer.get_feature_names_out(["a"])


def test_fit_takes_names_off_again(binary):
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(X.to_numpy(), y)
    explainer = NearestExplainer(model).fit(X)
    assert explainer.feature_names_in_.tolist() == list(X)
    assert not hasattr(explainer.fit(X.to_numpy()), "feature_names_in_")


def test_every_attribute_is_taken_back_after_a_failure():
    class Thing:
        pass

    def change_and_fail(thing, error):
        with unchanged_on_failure(thing):
            thing.old, thing.new = 2, 3
            raise error

    thing = Thing()
    thing.old, thing.kept = 1, [1]
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            change_and_fail(thing, error)
        assert vars(thing) == {"old": 1, "kept": [1]}
    with unchanged_on_failure(thing):
        thing.new = 3
    assert thing.new == 3


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_made_of_arrays_keep_the_precision(library):
    pytest.importorskip(library)
    X, y = make_classification(60, 4, random_state=0)
    X = X.astype(np.float32)
    explainer = NearestExplainer(LogisticRegression().fit(X, y)).fit(X)
    frame = explainer.set_output(transform=library).transform(X)
    assert {str(dtype).lower() for dtype in frame.dtypes} == {"float32"}
