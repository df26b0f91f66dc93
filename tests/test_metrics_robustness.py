"""Robustness: validity under refits of the model."""

from functools import partial

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, make_blobs
from sklearn.ensemble import BaggingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skcf import FeatureSpace, NearestExplainer
from skcf.metrics import make_counterfactual_scorer, robustness

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

X, Y = make_blobs(60, centers=[[-1.0, 0.0], [1.0, 0.0]], random_state=0)
MODEL = LogisticRegression().fit(X, Y)
TRAINED = {"estimator": MODEL, "X_train": X, "y_train": Y}


def on_the_boundary(n=5):
    """Points of the model's own boundary, in the middle of the rows."""
    second = np.linspace(-0.5, 0.5, n)
    first = -(MODEL.intercept_ + MODEL.coef_[0, 1] * second) / MODEL.coef_[0, 0]
    return np.column_stack([first, second])


def test_far_beyond_the_boundary_and_on_it():
    origin = np.full((5, 2), -3.0)
    far, wrong = np.full((5, 2), [9.0, 0.0]), np.full((5, 2), [-9.0, 0.0])
    assert robustness(origin, far, **TRAINED) == 1.0
    assert robustness(origin, wrong, **TRAINED) == 0.0
    shares = robustness(origin, on_the_boundary(), **TRAINED, n_refits=150, average=None)
    np.testing.assert_allclose(shares, 0.5, atol=4 * 0.5 / np.sqrt(150))


def test_the_further_the_safer():
    steps = np.linspace(-1, 1, 9)[:, None] * [[1.0, 0.0]]
    rows = on_the_boundary(1) + steps  # a line across
    shares = robustness(np.zeros_like(rows), rows, **TRAINED, n_refits=40, average=None)
    assert np.all(np.diff(shares) >= 0)
    assert shares[0] < 0.1
    assert shares[-1] > 0.9


def test_the_chance_that_a_bootstrap_sample_holds_a_row():
    """One neighbour decides: valid where it is among the 4 rows drawn of its label."""
    rows = np.array([[0.0], [50.0], [51.0], [52.0], [3.0], [4.0], [5.0]])
    labels = np.array([1, 1, 1, 1, 0, 0, 0])
    model = KNeighborsClassifier(1).fit(rows, labels)
    by = {"estimator": model, "X_train": rows, "y_train": labels, "n_refits": 400}
    share = robustness([[4.0]], [[0.0]], **by)
    chance = 1 - (3 / 4) ** 4
    assert share == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 400))


def test_every_label_is_in_every_sample():
    rows = np.arange(40.0)[:, None]
    labels = np.where(rows.ravel() == 39, "rare", "usual")
    model = KNeighborsClassifier(1).fit(rows, labels)
    by = {"estimator": model, "X_train": rows, "y_train": labels, "n_refits": 30}
    assert robustness([[0.0]], [[39.0]], **by, target_class="rare") == 1.0


@pytest.mark.parametrize("target", [0, 1, 2, "other"])
def test_against_a_loop(target):
    rows, y = load_iris(return_X_y=True)
    tree = DecisionTreeClassifier(random_state=3).fit(rows, y)
    after = rows + np.random.default_rng(0).normal(size=rows.shape)  # across boundaries
    shares = robustness(
        rows, after, estimator=tree, X_train=rows, y_train=y, target_class=target, average=None
    )
    own, n_valid = tree.predict(rows), np.zeros(len(rows))
    for seed in np.random.RandomState(0).randint(2**31 - 1, size=10):
        random = np.random.RandomState(seed)
        parts = [random.choice(np.flatnonzero(y == c), size=np.sum(y == c)) for c in range(3)]
        drawn = np.concatenate(parts)
        refit = DecisionTreeClassifier(random_state=random.randint(2**31 - 1))
        labels = refit.fit(rows[drawn], y[drawn]).predict(after)
        n_valid += labels != own if target == "other" else labels == target
    np.testing.assert_array_equal(shares, n_valid / 10)
    assert np.any((shares > 0) & (shares < 1))


def test_the_order_of_the_rows_and_their_company_do_not_matter():
    origin, after = np.full((5, 2), -3.0), on_the_boundary()
    shares = robustness(origin, after, **TRAINED, average=None)
    order = np.array([3, 0, 4, 2, 1])
    again = robustness(origin, after[order], **TRAINED, average=None)
    np.testing.assert_array_equal(again, shares[order])
    alone = robustness(origin[:1], after[2:3], **TRAINED)
    assert alone == shares[2]
    assert robustness(origin, after, **TRAINED) == pytest.approx(shares.mean())
    assert robustness(origin, after, **TRAINED, average="median") == np.median(shares)


def test_random_state_and_jobs():
    origin, after = np.full((5, 2), -3.0), on_the_boundary()
    state = np.random.get_state()[1].tolist()  # noqa: NPY002

    def shares(**by):
        return robustness(origin, after, **TRAINED, average=None, **by)

    np.testing.assert_array_equal(shares(), shares(random_state=0, n_jobs=2))
    np.testing.assert_array_equal(shares(), shares(random_state=np.random.RandomState(0)))
    others = [shares(random_state=seed) for seed in range(1, 6)]
    assert any(np.any(shares() != other) for other in others)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_a_frozen_model_is_taken_out_and_left_as_it_is():
    origin, after, coef = np.full((5, 2), -3.0), on_the_boundary(), MODEL.coef_.copy()
    plain = robustness(origin, after, **TRAINED, average=None)
    frozen = {**TRAINED, "estimator": FrozenEstimator(FrozenEstimator(MODEL))}
    np.testing.assert_array_equal(robustness(origin, after, **frozen, average=None), plain)
    assert 0 < plain.mean() < 1
    np.testing.assert_array_equal(MODEL.coef_, coef)


class Coin(ClassifierMixin, BaseEstimator):
    """Gives all rows the label that its seed says, odd or even."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[np.full(len(X), self.random_state % 2)]


@pytest.mark.parametrize(
    "model",
    [Coin(0), make_pipeline(StandardScaler(), Coin(0)), BaggingClassifier(Coin(0), 1)],
    ids=["itself", "step", "part"],
)
def test_each_refit_has_seeds_of_its_own(model):
    by = {"X_train": X, "y_train": Y, "n_refits": 60}
    before = repr(model.fit(X, Y))
    share = robustness(X[:3], X[:3], estimator=model, **by, average=None)
    assert np.all(share == share[0])
    assert share[0] == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(60))
    assert repr(model) == before


def test_a_model_without_chance_gives_only_the_chance_of_the_sample():
    rows, labels = np.array([[0.0], [9.0]]), [0, 1]  # there is but one sample
    model = LogisticRegression().fit(rows, labels)
    by = {"estimator": model, "X_train": rows, "y_train": labels}
    shares = robustness([[0.0]] * 3, [[4.0], [4.4], [6.0]], **by, average=None)
    np.testing.assert_array_equal(shares, model.predict([[4.0], [4.4], [6.0]]))


def test_rows_without_a_counterfactual_have_no_value():
    origin, after = np.full((3, 2), -3.0), np.array([[9.0, 0.0], [-9.0, 0.0], [9.0, 0.0]])
    status = ["found", "not_found", "already_target"]
    shares = robustness(origin, after, **TRAINED, status=status, average=None)
    np.testing.assert_array_equal(shares, [1.0, np.nan, np.nan])
    assert robustness(origin, after, **TRAINED, status=status) == 1.0
    assert np.isnan(robustness(origin, after, **TRAINED, status=np.zeros(3, dtype=bool)))


def test_other_is_any_label_but_the_one_of_the_original_model():
    rows = np.arange(30.0)[:, None]
    labels = np.repeat(["a", "b", "c"], 10)
    model = KNeighborsClassifier(1).fit(rows, labels)
    by = {"estimator": model, "X_train": rows, "y_train": labels, "target_class": "other"}
    shares = robustness([[0.0], [15.0], [0.0]], [[29.0], [29.0], [1.0]], **by, average=None)
    np.testing.assert_array_equal(shares, [1.0, 1.0, 0.0])


def people(n=80):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"hours": rng.integers(10, 60, n), "job": rng.choice(["cook", "nurse"], n)},
        index=[f"person-{i}" for i in range(n)],
    )
    score = frame["hours"] + 15 * (frame["job"] == "nurse") + rng.normal(0, 8, n)
    return frame, np.where(score > 42, "yes", "no")


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_a_pipeline_on_frames_and_a_result(container):
    frame, y = people()
    given = frame if container == "pandas" else pl.from_pandas(frame)
    columns = make_column_transformer((OneHotEncoder(), ["job"]), (StandardScaler(), ["hours"]))
    model = make_pipeline(columns, LogisticRegression()).fit(given, y)
    explainer = NearestExplainer(model, target_class="yes").fit(given)
    result = explainer.explain(given)
    by = {"estimator": model, "X_train": given, "y_train": y, "target_class": "yes"}
    shares = robustness(result, **by, average=None)
    np.testing.assert_array_equal(np.isnan(shares), result.status != "found")
    space = explainer.feature_space_
    arrays = robustness(
        result.X, result.X_cf, status=result.status, feature_space=space, **by, average=None
    )
    np.testing.assert_array_equal(shares, arrays)
    assert 0.2 < np.nanmean(shares) < 0.8  # it stops at the boundary
    score = make_counterfactual_scorer(partial(robustness, X_train=given, y_train=y))
    assert score(explainer, given) == pytest.approx(np.nanmean(shares))


def test_a_model_of_arrays_takes_the_training_rows_as_a_frame():
    frame = pd.DataFrame(X, columns=["a", "b"])
    origin, after = np.full((5, 2), -3.0), on_the_boundary()
    plain = robustness(origin, after, **TRAINED, average=None)
    named = [pd.DataFrame(rows, columns=["a", "b"]) for rows in (origin, after)]
    by = {**TRAINED, "X_train": frame, "feature_space": FeatureSpace().fit(frame)}
    np.testing.assert_array_equal(robustness(*named, **by, average=None), plain)


def test_a_skorch_net_is_trained_again_without_touching_the_global_seed():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    torch.manual_seed(0)
    net = skorch.NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=2,
        module__out_features=2,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=60,
        lr=0.1,
        train_split=None,
        verbose=0,
    ).fit(X.astype(np.float32), Y)
    origin, after = np.full((5, 2), -3.0), on_the_boundary()
    state = torch.get_rng_state()
    by = {**TRAINED, "estimator": net, "n_refits": 4, "average": None}
    shares = robustness(origin, after, **by)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    np.testing.assert_array_equal(robustness(origin, after, **by), shares)
    assert np.all(robustness(origin, after + [50.0, 0.0], **by) == 1.0)


def test_what_cannot_be_fitted_again_is_a_type_error():
    def function(rows):
        return rows[:, 0] > 0

    for estimator in (function, FrozenEstimator(function), LogisticRegression, StandardScaler()):
        with pytest.raises(TypeError, match="robustness fits the classifier anew"):
            robustness(X, X, **{**TRAINED, "estimator": estimator})
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="torch module cannot be"):
        robustness(X, X, **{**TRAINED, "estimator": torch.nn.Linear(2, 2)})


@pytest.mark.parametrize(
    "by, message",
    [
        ({"n_refits": 0}, "n_refits must be a whole number above zero"),
        ({"average": "max"}, "average must be 'mean', 'median' or None"),
        ({"y_train": Y[:-1]}, "y_train must have one label for each row of X_train"),
        ({"y_train": np.ones_like(Y)}, r"classes of the estimator, \[0, 1\].*got \[1\]"),
        ({"y_train": np.where(Y, "yes", "no")}, r"\[0, 1\].*got \['no', 'yes'\]"),
        ({"y_train": np.where(Y, 2, 0)}, r"\[0, 1\].*got \[0, 2\]"),
        ({"target_class": 7}, "target_class=7 is not a class"),
        ({"status": [True]}, "status must have shape"),
    ],
)
def test_errors_come_before_any_fit(by, message):
    class Untrained(LogisticRegression):
        def fit(self, X, y):
            raise AssertionError("it was fitted")

    model = Untrained()
    model.__dict__.update(MODEL.__dict__)
    with pytest.raises(ValueError, match=message):
        robustness(X, X, **{**TRAINED, "estimator": model, **by})
