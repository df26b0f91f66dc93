"""Gradients of the margin: equal to finite differences wherever they are given."""

import pickle

import numpy as np
import pytest
from conftest import mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC, NuSVC

import skcf._differences
import skcf._oracle
from skcf import FeatureSpace
from skcf._classifiers import read_classifier
from skcf._gradients import LinearModel
from skcf._oracle import Oracle

torch = pytest.importorskip("torch")
skorch = pytest.importorskip("skorch")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = np.array(["high", "low", "mid"])


def oracle_of(estimator, X, space=None, queries=None, learn=True):
    """An oracle about ``queries``, whose reader has learned gradients as fit lets it."""
    space = (FeatureSpace() if space is None else space).fit(X)
    table = space._tabulate(X)
    reader = read_classifier(estimator, space, table)
    if learn:
        Oracle(reader, space, table).learn_gradients()
    return Oracle(reader, space, table if queries is None else space._tabulate(queries))


def numbers(n_classes, n=120):
    shape = {"n_informative": 4, "n_redundant": 0, "n_clusters_per_class": 1}
    noise = {"class_sep": 0.6, "flip_y": 0.1, "random_state": 0}
    X, y = make_classification(n, 5, n_classes=n_classes, **shape, **noise)
    return X * [1, 10, 0.1, 1, 1] + [0, 5, 0, 0, 100], NAMES[y]


def people(n=200):
    """Mixed rows without gaps, in three classes."""
    X, y = mixed_population(n, missing=False)
    return X, np.where((y == "no") & (X["age"] < 40), "young", y)


def columns():
    encoder = OneHotEncoder(handle_unknown="ignore")
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), encoder)
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    return make_column_transformer(
        (text, ["job", "sex", "owner"]), (scaled, ["age", "income", "hours"])
    )


def smooth_differences(oracle, Z, rows, target, step):
    """Central differences of the margin, and where it has no kink within the step."""
    both = [oracle.central_differences(Z, rows, target, step=h) for h in (step, step / 3)]
    scale = oracle.space.scale_
    size = np.maximum(1, np.abs(both[1] * scale))
    return both[1], np.abs(both[0] - both[1]) * scale <= 1e-5 * size


def assert_gradients_are_differences(oracle, rtol=1e-4, atol=1e-8, step=1e-5, smooth=0.9):
    """Margins are those of the oracle, gradients their differences, for every target."""
    assert oracle.has_gradients
    Z, space = oracle.space._encode(oracle.origin), oracle.space
    rows = np.arange(len(Z))
    for code in range(len(oracle.reader.classes)):
        target = np.full(len(Z), code)
        margin, grad = oracle.margin_and_grad(Z, rows, target)
        true = oracle.margin(Z, rows, target)
        clear = np.abs(true) < 15  # beyond, probabilities round
        assert clear.mean() > 0.2
        assert margin.dtype == grad.dtype == np.float64
        assert_allclose(margin[clear], true[clear], rtol=atol, atol=atol)
        assert_array_equal(np.sign(margin), np.sign(true))
        expected, has_slope = smooth_differences(oracle, Z, rows, target, step)
        has_slope &= clear[:, None] & ~space.constraints_.integer
        assert has_slope[:, ~space.constraints_.integer].mean() > smooth * clear.mean()
        got, wanted = grad * space.scale_, expected * space.scale_
        bound = rtol * np.maximum(1, np.abs(wanted))
        assert (np.abs(got - wanted) <= bound)[has_slope].all()
        assert np.abs(wanted[has_slope]).max() > 0.01
        assert_array_equal(grad[:, space.constraints_.categorical], 0)


LINEAR = [
    LogisticRegression(),
    LogisticRegressionCV(Cs=2, cv=2),
    RidgeClassifier(),
    RidgeClassifierCV(),
    SGDClassifier(random_state=0),
    SGDClassifier(loss="log_loss", random_state=0),
    Perceptron(random_state=0),
    LinearSVC(random_state=0),
    LinearDiscriminantAnalysis(),
]
PERCEPTRONS = [
    MLPClassifier([6, 4], activation=activation, max_iter=60, random_state=0)
    for activation in ("relu", "tanh", "logistic", "identity")
]


def named(estimators):
    return pytest.mark.parametrize(
        "estimator",
        estimators,
        ids=lambda e: f"{type(e).__name__}-{getattr(e, 'activation', getattr(e, 'loss', ''))}",
    )


# the parameters of LogisticRegressionCV are about to change their meaning
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("n_classes", [2, 3])
@named(LINEAR + PERCEPTRONS)
def test_gradients_of_every_family_behind_a_scaler(estimator, n_classes):
    X, y = numbers(n_classes)
    model = make_pipeline(StandardScaler(), estimator).fit(X, y)
    assert_gradients_are_differences(oracle_of(model, X, queries=X[:25]))


@pytest.mark.parametrize("kind", [SVC, NuSVC])
def test_gradients_of_linear_svms(kind):
    X, y = numbers(2)
    params = {} if kind is SVC else {"nu": 0.4}
    model = make_pipeline(StandardScaler(), kind(kernel="linear", **params)).fit(X, y)
    assert_gradients_are_differences(oracle_of(model, X, queries=X[:25]))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("scaler", [MinMaxScaler(), RobustScaler(), "passthrough", PCA(3)])
def test_gradients_through_scalers_and_projections(scaler, n_classes):
    X, y = numbers(n_classes)
    model = make_pipeline(StandardScaler(), scaler, LogisticRegression()).fit(X, y)
    assert_gradients_are_differences(oracle_of(model, X, queries=X[:25]))


@pytest.mark.parametrize("final", [LogisticRegression(), PERCEPTRONS[1]], ids=["linear", "mlp"])
def test_gradients_of_pipelines_on_raw_rows(final):
    X, y = people()
    model = make_pipeline(columns(), PCA(8), final).fit(X, y)
    assert_gradients_are_differences(oracle_of(model, X, queries=X[:25]))


@pytest.mark.parametrize("model", [LogisticRegression(), PERCEPTRONS[0]], ids=["linear", "mlp"])
def test_gradients_of_bare_models(model):
    X, y = numbers(3)
    X = StandardScaler().fit_transform(X)
    assert_gradients_are_differences(oracle_of(model.fit(X, y), X, queries=X[:25]))


def test_binary_linear_gradient_is_the_coefficients():
    X, y = numbers(2)
    scaler, model = StandardScaler().fit(X), LogisticRegression()
    pipeline = make_pipeline(scaler, model).fit(X, y)
    oracle = oracle_of(pipeline, X)
    margin, grad = oracle.margin_and_grad(X, np.arange(len(X)), np.ones(len(X), dtype=int))
    assert_allclose(margin, pipeline.decision_function(X), atol=1e-9)
    assert_allclose(grad, np.tile(model.coef_ / scaler.scale_, (len(X), 1)), rtol=1e-9)


def test_confident_perceptrons_keep_a_slope():
    X, y = numbers(2)
    net = MLPClassifier([4], max_iter=20, random_state=0)
    model = make_pipeline(StandardScaler(), net).fit(X, y)
    net.coefs_[-1] *= 1e4  # log-odds in the thousands
    oracle = oracle_of(model, X)
    rows, target = np.arange(len(X)), np.zeros(len(X), dtype=int)
    margin, grad = oracle.margin_and_grad(X, rows, target)
    assert (np.abs(oracle.margin(X, rows, target)) > 700).any()
    assert_array_equal(np.sign(margin), np.sign(oracle.margin(X, rows, target)))
    far = np.abs(margin) > 100
    assert far.mean() > 0.5
    assert (np.abs(grad[far]).max(axis=1) > 1).all()


# ---- thresholds and wrappers ----------------------------------------------------------------


def tuned(model):
    return TunedThresholdClassifierCV(model, thresholds=[0.3, 0.4], cv=2)


def fixed(model):
    return FixedThresholdClassifier(model, threshold=0.2, pos_label="high")


@pytest.mark.parametrize("final", [LogisticRegression(), PERCEPTRONS[2]], ids=["linear", "mlp"])
@pytest.mark.parametrize("threshold", [tuned, fixed])
@pytest.mark.parametrize("outside", [True, False])
def test_thresholds_move_the_margin_and_not_the_gradient(final, threshold, outside):
    X, y = numbers(2)
    scoring = {"scoring": "accuracy"} if threshold is tuned else {}
    if outside:
        model = threshold(make_pipeline(StandardScaler(), final)).set_params(**scoring)
    else:
        model = make_pipeline(StandardScaler(), threshold(final).set_params(**scoring))
    model = FrozenEstimator(GridSearchCV(model, {}, cv=2, scoring="accuracy").fit(X, y))
    oracle = oracle_of(model, X, queries=X[:25])
    assert np.any(oracle.reader.offset != 0)
    assert_gradients_are_differences(oracle)


# ---- torch ----------------------------------------------------------------------------------


class Net(torch.nn.Module):
    """Smooth, with layers that behave otherwise in training, and one that writes in place."""

    def __init__(self, n_inputs=5, n_outputs=2):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.CELU(inplace=True),
            torch.nn.Linear(n_inputs, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Tanh(),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(8, n_outputs),
        )

    def forward(self, X):
        return self.layers(X)


def make_net(n_outputs=2, n_inputs=5):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(n_inputs, n_outputs)
        with torch.no_grad():
            net.train()(torch.randn(200, n_inputs))
        return net


def standard_rows():
    return np.random.default_rng(0).normal(size=(60, 5))


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_torch_modules_by_autograd(n_outputs):
    X, net = standard_rows(), make_net(n_outputs).double()
    assert_gradients_are_differences(oracle_of(net, X))


def test_module_that_writes_in_place_does_not_write_to_rows():
    X, net = standard_rows(), make_net().double()
    oracle = oracle_of(net, X)
    Z = X.copy()
    oracle.margin(Z, np.arange(60), np.ones(60, dtype=int))
    oracle.margin_and_grad(Z, np.arange(60), np.ones(60, dtype=int))
    assert_array_equal(Z, X)


def test_torch_modules_in_single_precision():
    X, net = standard_rows(), make_net(3)
    oracle = oracle_of(net, X)
    rows, target = np.arange(len(X)), np.arange(len(X)) % 3
    single = oracle.margin_and_grad(X, rows, target)
    double = oracle_of(make_net(3).double(), X).margin_and_grad(X, rows, target)
    for got, wanted in zip(single, double, strict=True):
        assert got.dtype == np.float64
        assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    assert_allclose(single[0], oracle.margin(X, rows, target), atol=1e-4)


def test_torch_modules_are_left_as_they_were():
    X, net = standard_rows(), make_net()
    net.layers[4].eval()
    modes = [part.training for part in net.modules()]
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    state = torch.random.get_rng_state()
    oracle = oracle_of(net, X)
    with torch.no_grad(), torch.inference_mode():  # whatever the caller has set
        first = oracle.margin_and_grad(X, np.arange(60), np.ones(60, dtype=int))
    assert_array_equal(first[1], oracle.margin_and_grad(X, np.arange(60), np.ones(60, int))[1])
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(buffers[name], buffer) for name, buffer in net.named_buffers())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.equal(state, torch.random.get_rng_state())


class Detached(Net):
    def forward(self, X):
        return self.layers(X.detach())


class Votes(Net):
    def forward(self, X):
        return (super().forward(X) > 0).float()


@pytest.mark.parametrize("kind", [Detached, Votes])
def test_torch_modules_without_derivatives_have_no_gradients(kind):
    net = kind().double()
    oracle = oracle_of(net, standard_rows())
    assert not oracle.has_gradients


def trained(kind, X, y, n_outputs, **params):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        params = {"module__n_outputs": n_outputs, "max_epochs": 3, "verbose": 0} | params
        return kind(Net, train_split=None, **params).fit(X.astype(np.float32), y)


class Softmax(Net):
    def forward(self, X):
        return torch.softmax(super().forward(X), dim=1), X  # skorch reads the first


@pytest.mark.parametrize("how", ["logits", "softmax", "callable", "binary"])
def test_skorch_nets_by_autograd(how):
    X = standard_rows()
    y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
    kind, params = skorch.NeuralNetClassifier, {"criterion": torch.nn.CrossEntropyLoss}
    if how == "binary":
        kind, y = skorch.NeuralNetBinaryClassifier, y.astype(np.float32)
        params = {"criterion": torch.nn.BCEWithLogitsLoss}
    elif how == "callable":
        params["predict_nonlinearity"] = torch.nn.Softmax(dim=1)
    net = trained(kind, X, y, 1 if how == "binary" else 2, **params)
    if how == "softmax":  # probabilities, for a criterion that takes their logarithms
        module = Softmax(5, 2)
        module.load_state_dict(net.module_.state_dict())
        net = skorch.NeuralNetClassifier(module, criterion=torch.nn.NLLLoss).initialize()
    oracle = oracle_of(net, X)
    assert oracle.has_gradients
    rows, target = np.arange(len(X)), np.ones(len(X), dtype=int)
    margin, grad = oracle.margin_and_grad(X, rows, target)
    assert_allclose(margin, oracle.margin(X, rows, target), atol=1e-4)
    module = net.module_
    module.double()
    expected = oracle_of(net, X, learn=False).central_differences(X, rows, target)
    module.float()
    assert_allclose(grad, expected, rtol=1e-3, atol=1e-4)


def test_embedding_layers_swap_categories_as_codes():
    X, _ = people(120)
    net = torch.nn.Linear(6, 2, dtype=torch.float64)
    with torch.no_grad():
        net.weight.mul_(torch.tensor([0.01, 1e-4, 0.01, 1, 1, 1]))
    oracle = oracle_of(net, X)
    Z, rows = oracle.space.transform(X), np.arange(len(X))
    target = np.ones(len(X), dtype=int)
    _, _, swaps = oracle.margin_and_swaps(Z, rows, target)
    weight = (net.weight[1] - net.weight[0]).detach().numpy()
    assert_allclose(swaps[3], weight[3] * (np.arange(4) - Z[:, 3, None]), atol=1e-9)


# ---- swaps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("with_gaps", [False, True])
def test_swaps_are_exact_for_linear_models(with_gaps):
    X, y = mixed_population(200, missing=with_gaps)
    model = make_pipeline(columns(), LogisticRegression()).fit(X, y)
    queries = X[:50].copy()
    queries.loc[queries.index[:3], "job"] = ["astronaut", "diver", "astronaut"]
    oracle = oracle_of(model, X, queries=queries)
    Z, rows = oracle.space.transform(queries), np.arange(50)
    for code in (0, 1):
        target = np.full(50, code)
        margin, grad, swaps = oracle.margin_and_swaps(Z, rows, target)
        assert_allclose(margin, oracle.margin(Z, rows, target), atol=1e-8)
        assert_array_equal(grad, oracle.margin_and_grad(Z, rows, target)[1])
        true = oracle.category_differences(Z, rows, target)
        assert list(swaps) == list(true) == [3, 4, 5]
        for j, changes in swaps.items():
            assert_allclose(changes, true[j], atol=1e-8)
            seen = Z[:, j] >= 0
            assert_allclose(changes[seen, Z[seen, j].astype(int)], 0, atol=1e-12)
        assert (np.abs(swaps[3]).max(axis=1) > 0).all()


def test_swaps_are_tangents_of_other_models():
    X, y = people()
    model = make_pipeline(columns(), PERCEPTRONS[1]).fit(X, y)
    net, steps = model[-1], model[:-1]
    oracle = oracle_of(model, X, queries=X[:20])
    Z, rows, target = oracle.space.transform(X[:20]), np.arange(20), np.full(20, 1)
    _, _, swaps = oracle.margin_and_swaps(Z, rows, target)
    x, step = np.asarray(steps.transform(X[:20])), 1e-6

    def margin(x):
        log_odds = np.log(net.predict_proba(x))
        return log_odds[:, 1] - np.delete(log_odds, 1, axis=1).max(axis=1)

    for category, name in enumerate(oracle.space.categories_["job"]):
        towards = np.asarray(steps.transform(X[:20].assign(job=name))) - x
        slope = (margin(x + step * towards) - margin(x - step * towards)) / (2 * step)
        assert_allclose(swaps[3][:, category], slope, rtol=1e-4, atol=1e-4)


# ---- where there are none -------------------------------------------------------------------


NOT_SUPPORTED = {
    "forest": RandomForestClassifier(5, random_state=0),
    "rbf": SVC(),
    "votes": SVC(kernel="linear", break_ties=True),
    "clipped": make_pipeline(MinMaxScaler(clip=True), LogisticRegression()),
    "bins": make_pipeline(KBinsDiscretizer(4, strategy="uniform"), LogisticRegression()),
    "powers": make_pipeline(StandardScaler(), PolynomialFeatures(), LogisticRegression()),
}


@pytest.mark.parametrize("kind", NOT_SUPPORTED)
def test_other_models_have_no_gradients(kind):
    X, y = numbers(3 if kind == "votes" else 2)
    oracle = oracle_of(NOT_SUPPORTED[kind].fit(X, y), X)
    rows, target = np.arange(len(X)), np.zeros(len(X), dtype=int)
    assert not oracle.has_gradients
    assert oracle.margin_and_grad(X, rows, target) is None
    assert oracle.margin_and_swaps(X, rows, target) is None
    assert oracle.central_differences(X, rows, target).shape == X.shape


def test_functions_and_labels_have_no_gradients():
    X, y = numbers(2)
    model = LogisticRegression().fit(X, y)
    assert not oracle_of(model.predict_proba, X).has_gradients
    assert not oracle_of(model.predict, X).has_gradients
    assert not oracle_of(model, X, learn=False).has_gradients


class Squared(LogisticRegression):
    """Takes more columns than it is given."""

    def fit(self, X, y):
        return super().fit(np.column_stack([X, X**2]), y)

    def decision_function(self, X):
        return np.column_stack([X, X**2]) @ self.coef_[0] + self.intercept_

    def predict(self, X):
        return self.classes_[(self.decision_function(X) > 0).astype(int)]


class Elsewhere(LogisticRegression):
    """Keeps what it learns in another model."""

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def decision_function(self, X):
        return self.model_.decision_function(X)

    def predict(self, X):
        return self.model_.predict(X)


class Doubled(LogisticRegression):
    """Looks like a linear model, and decides by something else."""

    def decision_function(self, X):
        return 2 * super().decision_function(X)


def test_scores_that_do_not_come_out_are_not_used():
    X, y = numbers(2)
    X = StandardScaler().fit_transform(X)
    for kind in (Doubled, Squared, Elsewhere):
        oracle = oracle_of(kind().fit(X, y), X)
        assert oracle.has_scores
        assert not oracle.has_gradients
    assert not oracle_of(SVC(kernel=lambda A, B: A @ B.T).fit(X, y), X).has_gradients


def test_one_linear_score_is_that_of_the_second_class():
    one = LinearModel(np.array([1.0, -2.0]), 3.0)
    two = LinearModel(np.array([[0.0, 0.0], [1.0, -2.0]]), np.array([0.0, 3.0]))
    x = np.random.default_rng(0).normal(size=(5, 2))
    assert_array_equal(one.scores(x), two.scores(x))
    assert_allclose(one.scores(x)[:, 1], x @ [1, -2] + 3)


# ---- missing and unseen values, rows and counts ---------------------------------------------


def test_rows_that_no_embedding_knows_are_asked_about():
    X, y = mixed_population(200)
    imputed = make_column_transformer(
        (OneHotEncoder(), ["job", "sex", "owner"]),
        (make_pipeline(KNNImputer(n_neighbors=3), StandardScaler()), ["age", "income", "hours"]),
    )
    model = make_pipeline(imputed, LogisticRegression()).fit(X, y)
    oracle = oracle_of(model, X, queries=X[:60])
    Z, rows, target = oracle.space.transform(X[:60]), np.arange(60), np.ones(60, dtype=int)
    margin, grad, swaps = oracle.margin_and_swaps(Z, rows, target)
    before = oracle.n_queries.copy()
    assert_allclose(margin, oracle.margin(Z, rows, target), atol=1e-8)
    gaps = X[:60]["income"].isna().to_numpy()
    assert gaps.any()
    assert (before[gaps] > 1).any()
    assert_array_equal(before[~gaps], 1)
    true = oracle.category_differences(Z, rows, target)
    for j, changes in swaps.items():
        assert_allclose(changes, true[j], atol=1e-8)
    assert_array_equal(grad[np.isnan(Z)], 0)
    differences = oracle.central_differences(Z, rows, target)
    of = ~gaps[:, None] & ~oracle.space.constraints_.integer
    assert_allclose(grad[of], differences[of], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("final", [LogisticRegression(), PERCEPTRONS[0]], ids=["linear", "mlp"])
def test_rows_are_answered_one_by_one(final, monkeypatch):
    X, y = mixed_population(150)
    model = make_pipeline(columns(), final).fit(X, y)
    oracle = oracle_of(model, X)
    Z, rows, target = oracle.space.transform(X), np.arange(150), np.arange(150) % 2
    whole = oracle.margin_and_swaps(Z, rows, target)
    assert oracle.n_calls == 1
    assert_array_equal(oracle.n_queries, 1)
    some = np.random.default_rng(0).permutation(150)[:40]
    part = oracle.margin_and_swaps(Z[some], rows[some], target[some])
    monkeypatch.setattr(skcf._oracle, "CHUNK_ELEMENTS", 100)
    in_chunks = oracle.margin_and_swaps(Z, rows, target)
    assert oracle.n_calls > 10
    assert_array_equal(oracle.n_queries, 2 + np.isin(rows, some))
    for a, b, c in zip(whole[:2], part[:2], in_chunks[:2], strict=True):
        assert_allclose(b, a[some], rtol=1e-9, atol=1e-12)
        assert_allclose(c, a, rtol=1e-9, atol=1e-12)
    for j in whole[2]:
        assert_allclose(part[2][j], whole[2][j][some], rtol=1e-9, atol=1e-12)


def test_several_candidates_of_one_row():
    X, y = mixed_population(100)
    model = make_pipeline(columns(), LogisticRegression()).fit(X, y)
    queries = X[:3].assign(job=["astronaut", "cook", None])
    oracle = oracle_of(model, X, queries=queries)
    rows = np.array([2, 0, 0, 2, 1])
    Z = oracle.space.transform(queries)[rows]
    Z[:, 0] += np.arange(5)
    target = np.ones(5, dtype=int)
    margin, _ = oracle.margin_and_grad(Z, rows, target)
    assert_array_equal(oracle.n_queries, [2, 1, 2])
    assert_allclose(margin, oracle.margin(Z, rows, target), atol=1e-8)


def test_no_question_is_asked_about_no_rows():
    X, y = mixed_population(100)
    oracle = oracle_of(make_pipeline(columns(), LogisticRegression()).fit(X, y), X)
    none, Z = np.empty(0, dtype=int), np.empty((0, 6))
    margin, grad, swaps = oracle.margin_and_swaps(Z, none, none)
    assert (margin.shape, grad.shape, swaps[3].shape) == ((0,), (0, 6), (0, 4))
    assert oracle.central_differences(Z, none, none).shape == (0, 6)
    assert oracle.category_differences(Z, none, none)[3].shape == (0, 4)
    assert (oracle.n_calls, oracle.n_rows) == (0, 0)


@pytest.mark.parametrize("kind", ["linear", "mlp", "torch"])
def test_gradients_pickle_with_their_reader(kind):
    X, y = numbers(2, 60)
    model = PERCEPTRONS[1] if kind == "mlp" else LogisticRegression()
    model = make_net().double() if kind == "torch" else make_pipeline(StandardScaler(), model)
    model = model if kind == "torch" else model.fit(X, y)
    oracle = oracle_of(model, X)
    reader = pickle.loads(pickle.dumps(oracle.reader))
    again = Oracle(reader, oracle.space, oracle.origin)
    asked = X, np.arange(60), np.ones(60, dtype=int)
    for a, b in zip(oracle.margin_and_grad(*asked), again.margin_and_grad(*asked), strict=True):
        assert_array_equal(a, b)


# ---- differences ----------------------------------------------------------------------------


def test_differences_keep_to_what_may_change_and_to_whole_numbers(monkeypatch):
    X, y = people(100)
    X["income"] = X["income"].mask(X["age"] > 60)
    model = make_pipeline(columns(), LogisticRegression()).fit(X, y == "yes")
    space = FeatureSpace(immutable_features=["age", "sex"])
    oracle = oracle_of(model, X, space)
    Z, rows, target = oracle.space.transform(X), np.arange(100), np.ones(100, dtype=int)
    _, exact = oracle.margin_and_grad(Z, rows, target)
    asked = []
    own = oracle.margin

    def spy(Z, rows, target, probabilities=False):
        asked.append(Z)
        return own(Z, rows, target)

    monkeypatch.setattr(oracle, "margin", spy)
    monkeypatch.setattr(skcf._differences, "BLOCK_ELEMENTS", 600)
    differences = oracle.central_differences(Z, rows, target)
    assert len(asked) == 13  # blocks of eight rows
    seen = np.concatenate(asked)
    assert_array_equal(np.unique(seen[:, 0]), np.unique(Z[:, 0]))
    assert_array_equal(seen[:, 2], np.rint(seen[:, 2]))
    assert_array_equal(differences[:, [0, 3, 4, 5]], 0)
    assert_array_equal(differences[np.isnan(Z[:, 1]), 1], 0)
    assert_allclose(differences[:, 1:3], exact[:, 1:3], rtol=1e-6, atol=1e-9)
    swaps = oracle.category_differences(Z, rows, target)
    assert_array_equal(swaps[4], 0)
    assert np.abs(swaps[3]).max() > 0


def test_differences_stay_within_what_a_column_can_hold():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (100, 2)).astype(np.uint8)
    X[:4] = [[0, 0], [255, 255], [0, 255], [7, 7]]
    model = LogisticRegression().fit(X, X[:, 0] > X[:, 1])
    oracle = oracle_of(model, X, learn=False)
    Z = X.astype(float)
    grad = oracle.central_differences(Z, np.arange(100), np.ones(100, dtype=int))
    assert_allclose(grad, np.tile(model.coef_, (100, 1)), rtol=1e-6)
    X = (1e6 + rng.normal(size=(100, 2))).astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, X[:, 0] > X[:, 1])
    oracle = oracle_of(model, X, learn=False)
    grad = oracle.central_differences(X.astype(float), np.arange(100), np.ones(100, dtype=int))
    slope = model[-1].coef_ / model[0].scale_
    assert_allclose(grad, np.tile(slope, (100, 1)), rtol=1e-3)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "final",
    [LogisticRegression(), MLPClassifier((8,), max_iter=50, random_state=0)],
    ids=["linear", "net"],
)
def test_margins_of_probabilities_and_their_gradients(final, n_classes):
    X, y = numbers(n_classes)
    model = make_pipeline(StandardScaler(), final).fit(X, y)
    oracle = oracle_of(model, X)
    rows, target = np.arange(30), np.arange(30) % n_classes
    margin, grad = oracle.margin_and_grad(X[:30], rows, target, probabilities=True)
    shares = model.predict_proba(X[:30])
    own = shares[rows, target]
    shares[rows, target] = -np.inf
    assert_allclose(margin, own - shares.max(axis=1), atol=1e-12)
    assert_allclose(oracle.margin(X[:30], rows, target, True), margin, atol=1e-12)
    numeric = oracle.central_differences(X[:30], rows, target, 1e-5, probabilities=True)
    scale = oracle.space.scale_
    assert_allclose(grad * scale, numeric * scale, atol=1e-6)
    if n_classes == 2:  # a difference of sigmoids: tanh of half the logit
        logit, slope = oracle.margin_and_grad(X[:30], rows, target)
        assert_allclose(margin, np.tanh(logit / 2), atol=1e-12)
        assert_allclose(grad, (1 - margin[:, None] ** 2) / 2 * slope, atol=1e-12)


def test_category_changes_of_probabilities():
    X, y = people()
    model = make_pipeline(columns(), LogisticRegression(max_iter=1000)).fit(X, y)
    oracle = oracle_of(model, X)
    Z = oracle.space._encode(oracle.origin)[:20]
    rows, target = np.arange(20), np.zeros(20, dtype=np.intp)
    asked = oracle.category_differences(Z, rows, target, probabilities=True)
    before = oracle.margin(Z, rows, target, probabilities=True)
    for j, differences in asked.items():
        for code in range(differences.shape[1]):
            changed = Z.copy()
            changed[:, j] = code
            after = oracle.margin(changed, rows, target, probabilities=True)
            assert_allclose(differences[:, code], after - before, atol=1e-12)
