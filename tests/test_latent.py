"""GMMLatentExplainer and GDLExplainer: training, search, and bad input."""

import io
import pickle
import warnings

import numpy as np
import pytest
from conftest import TinyLatentExplainer, people
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import FeatureSpace, GDLExplainer, GMMLatentExplainer
from skcf._oracle import Oracle
from skcf.latent._walk import Criterion, follow
from skcf.space._containers import Table

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch.callbacks import Callback, EarlyStopping  # noqa: E402
from skorch.dataset import ValidSplit  # noqa: E402

from skcf.latent import GMMLatentNet  # noqa: E402
from skcf.latent._modules import dense  # noqa: E402

TINY = {"latent_dim": 2, "residual_dim": 3, "max_epochs": 15, "lr": 0.01, "random_state": 0}
TERMS = ("classification_loss", "likelihood_loss", "reconstruction_loss", "swap_loss")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X, make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)


@pytest.fixture(scope="module")
def fitted(cancer):
    X, model = cancer
    return GMMLatentExplainer(model, **TINY).fit(X)


def toy(seed=0, n=300):
    """Two classes that differ in one of two numbers."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, 2))
    return X, (X[:, 0] > 0.5).astype(int)


def first_number_decides(X):
    return np.asarray(X)[:, 0] > 0.5


# Training


def test_training_decreases_each_term():
    X, _ = toy()
    options = {**TINY, "max_epochs": 40}
    history = GMMLatentExplainer(first_number_decides, target_class=True, **options).fit(X).history_
    for name in (*TERMS, "surrogate_loss"):
        values = np.array(history[:, name])
        assert values[-5:].mean() < 0.6 * values[0], name


def test_two_fits_with_one_seed_agree_to_the_bit(cancer, fitted):
    X, model = cancer
    again = GMMLatentExplainer(model, **TINY).fit(X)
    state, other = fitted.net_.module_.state_dict(), again.net_.module_.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert_array_equal(fitted.transform(X), again.transform(X))
    different = GMMLatentExplainer(model, **{**TINY, "random_state": 1}).fit(X)
    assert not np.array_equal(different.means_, again.means_)


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
def test_fitted_attributes(cancer, covariance_type):
    X, model = cancer
    explainer = GMMLatentExplainer(model, covariance_type=covariance_type, **TINY).fit(X)
    labels = model.predict(X)
    assert explainer.means_.shape == (2, 2)
    assert explainer.covariances_.shape == ((2, 2) if covariance_type == "diag" else (2, 2, 2))
    assert_allclose(explainer.weights_, np.bincount(labels) / len(labels), rtol=1e-6)
    assert len(explainer.history_) == 15
    # the mixture is one of the codes
    z = explainer._codes.encode(X)[1]
    for code in (0, 1):
        assert_allclose(z[labels == code].mean(axis=0), explainer.means_[code], atol=1.0)


def test_double_precision(cancer):
    X, model = cancer
    explainer = GMMLatentExplainer(model, dtype="float64", **TINY).fit(X)
    assert {p.dtype for p in explainer.net_.module_.parameters()} == {torch.float64}
    assert explainer.score(X) == 1.0


def test_a_planted_label_is_found_in_the_residual_code():
    """The adversary may be fooled; a fresh probe is not."""
    X, _ = toy()

    class Leaky(torch.nn.Module):
        def __init__(self, n_inputs, n_outputs):
            super().__init__()
            self.inner, self.n_outputs = dense(n_inputs, n_outputs, (8,)), n_outputs

        def forward(self, X):
            code = self.inner(X)
            if self.n_outputs == TINY["residual_dim"]:
                label = (X[:, :1] > 0.5).to(code) * 1e-3
                code = torch.cat([0 * code[:, 1:], label], dim=1)
            return code

    blind = GMMLatentExplainer(first_number_decides, target_class=True, encoder=Blind, **TINY)
    leaky = GMMLatentExplainer(first_number_decides, target_class=True, encoder=Leaky, **TINY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blind, leaky = blind.fit(X), leaky.fit(X)
    majority = max(np.mean(X[:, 0] > 0.5), np.mean(X[:, 0] <= 0.5))
    assert leaky.leakage_score_ > 0.98
    assert blind.leakage_score_ < majority + 0.1


class Blind(torch.nn.Module):
    """Its residual code says nothing."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.inner, self.n_outputs = dense(n_inputs, n_outputs, (8,)), n_outputs

    def forward(self, X):
        code = self.inner(X)
        return 0 * code if self.n_outputs == TINY["residual_dim"] else code


def test_the_centroid_that_nobody_reaches_warns_and_names_parameters(cancer):
    X, model = cancer
    options = {**TINY, "max_epochs": 1, "lr": 1e-6, "surrogate": False, "target_class": 0}
    with pytest.warns(UserWarning, match=r"are in the target class where .*surrogate=True") as seen:
        explainer = GMMLatentExplainer(model, **options).fit(X)
    assert seen[0].filename == __file__
    assert explainer.swap_validity_ < 0.9


def test_swap_validity_is_the_share_that_is_valid_at_the_centroid(cancer, fitted):
    X, model = cancer
    rows = X[model.predict(X) != 1]
    _, _, z_u = fitted._codes.encode(rows)
    columns = fitted._codes.decode(np.tile(fitted.means_[1], (len(rows), 1)), z_u)
    decoded = fitted._codes.heads.rows(columns, rows)
    assert fitted.swap_validity_ == np.mean(model.predict(decoded) == 1)


# The net is skorch's


def test_callbacks_and_early_stopping(cancer):
    X, model = cancer
    net = GMMLatentNet(
        train_split=ValidSplit(5, stratified=True),
        callbacks=[("stop", EarlyStopping(patience=1, threshold=10.0))],
    )
    explainer = GMMLatentExplainer(model, net=net, **TINY).fit(X)
    assert len(explainer.history_) < TINY["max_epochs"]
    assert np.isfinite(explainer.history_[:, "valid_loss"]).all()
    assert not hasattr(net, "module_")  # the net that is given stays unfitted


def test_parameters_of_the_net_are_reached_by_double_underscores(cancer):
    X, model = cancer
    explainer = GMMLatentExplainer(model, **TINY)
    explainer.set_params(net__module__hidden_layer_sizes=(7,), net__reconstruction_weight=2.0)
    copy = clone(explainer)
    assert copy.get_params()["net__reconstruction_weight"] == 2.0
    module = copy.fit(X).net_.module_
    assert module.encoder[0].out_features == 7
    assert copy.net_.reconstruction_weight == 2.0


def test_own_modules(cancer):
    X, model = cancer

    def linear(n_inputs, n_outputs):
        return torch.nn.Linear(n_inputs, n_outputs)

    explainer = GMMLatentExplainer(model, encoder=linear, decoder=linear, **TINY).fit(X)
    assert isinstance(explainer.net_.module_.decoder, torch.nn.Linear)
    assert explainer.score(X) == 1.0


def test_partial_fit_of_the_net_and_warm_start_go_on(cancer, fitted):
    X, model = cancer
    explainer = GMMLatentExplainer(model, warm_start=True, **TINY).fit(X)
    first = explainer.net_
    state = {name: value.clone() for name, value in first.module_.state_dict().items()}
    explainer.fit(X)
    assert len(explainer.history_) == 2 * TINY["max_epochs"]
    assert all(torch.equal(first.module_.state_dict()[name], state[name]) for name in state)
    before = np.mean(explainer.history_[0, "reconstruction_loss"])
    assert explainer.history_[-1, "reconstruction_loss"] < before
    net = pickle.loads(pickle.dumps(fitted.net_))
    columns = torch.as_tensor(fitted._codes.heads.columns(X), dtype=torch.float32)
    net.partial_fit(columns, torch.as_tensor(model.predict(X)))
    assert len(net.history) == 2 * TINY["max_epochs"]


def test_a_warm_start_with_other_columns_is_refused(cancer):
    X, model = cancer
    explainer = GMMLatentExplainer(model, warm_start=True, **TINY).fit(X)
    other = LogisticRegression(max_iter=5000).fit(X[:, :4], model.predict(X))
    explainer.set_params(estimator=other)
    with pytest.raises(ValueError, match=r"goes on with a net of other rows: .*\(30, .*\(4, "):
        explainer.fit(X[:, :4])


@pytest.mark.filterwarnings("ignore:Only .* where they are decoded")
def test_the_learning_rate_falls_and_begins_anew_with_each_call(cancer):
    X, model = cancer
    seen = []

    class Rates(Callback):
        def on_batch_begin(self, net, batch, training, **kwargs):
            seen.append((len(net.history), net.optimizer_.param_groups[0]["lr"]))

    net = GMMLatentNet(callbacks=[Rates()], final_lr_factor=0.1)
    options = {**TINY, "max_epochs": 3, "batch_size": 600}
    explainer = GMMLatentExplainer(model, net=net, warm_start=True, **options).fit(X).fit(X)
    expected = [0.01, 0.0055, 0.001]
    assert_allclose([rate for _, rate in seen], 2 * expected)
    seen.clear()
    explainer.set_params(warm_start=False, net__final_lr_factor=None).fit(X)
    assert {rate for _, rate in seen} == {0.01}


def test_a_saved_state_loads_with_weights_only(fitted):
    file = io.BytesIO()
    fitted.net_.save_params(f_params=file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state.keys() == fitted.net_.module_.state_dict().keys()
    other = clone(fitted.net_).initialize()
    file.seek(0)
    other.load_params(f_params=file)
    assert_array_equal(other.module_.mixture.arrays()[0], fitted.means_)


def test_a_net_that_is_none_is_refused(cancer):
    X, model = cancer
    from skorch import NeuralNetClassifier

    net = NeuralNetClassifier(torch.nn.Linear)
    with pytest.raises(TypeError, match=r"net must be an unfitted GMMLatentNet.*NeuralNetClassi"):
        GMMLatentExplainer(model, net=net, **TINY).fit(X)


# The walk


def on_the_way(explainer, X, **options):
    """Paths of the rows of X, and the oracle about them."""
    table = Table.of(X)
    oracle = Oracle(explainer._reader, explainer.feature_space_, table)
    Z = oracle.encoded
    own = oracle.origin_labels()
    settings = {"endpoint": "centroid", "with_residual": True, **options}
    target = np.ones(len(Z), dtype=int)
    return explainer._paths(Z, np.arange(len(Z)), own, target, **settings), oracle


def test_residual_correction_is_the_identity_at_the_beginning(cancer, fitted):
    X, _ = cancer
    paths, oracle = on_the_way(fitted, X)
    start = paths.candidates(fitted._codes, oracle.space.constraints_, np.zeros(len(X)))
    assert_array_equal(start, X)


def test_without_correction_the_end_is_what_the_decoder_makes_of_the_centroid(cancer, fitted):
    X, _ = cancer
    paths, oracle = on_the_way(fitted, X, with_residual=False)
    ends = paths.candidates(fitted._codes, oracle.space.constraints_, np.ones(len(X)))
    module, heads = fitted.net_.module_, fitted._codes.heads
    with torch.no_grad():
        z_u = module.residual_encoder(torch.as_tensor(heads.columns(X), dtype=torch.float32))
        mean = module.mixture.means[torch.ones(len(X), dtype=torch.int64)]
        columns = module.decode(mean, z_u).double().numpy()
    assert_allclose(ends, heads.rows(columns, X), rtol=1e-3, atol=1e-3 * heads.span.min())


def test_the_first_crossing_is_that_of_a_fine_grid(cancer, fitted):
    X, model = cancer
    X = X[model.predict(X) == 0][:40]
    paths, oracle = on_the_way(fitted, X)
    criterion = Criterion(1e-4, 0.5, None)
    _, alpha, margin = follow(paths, fitted._codes, oracle, criterion, 8, 1.5)
    fine = np.arange(1, 65) * 1.5 / 64  # sections of sections
    crossing = np.full(len(X), np.inf)
    for step in fine[::-1]:
        at = paths.candidates(fitted._codes, oracle.space.constraints_, np.full(len(X), step))
        inside = oracle.margin(at, paths.rows, paths.target) >= 1e-4
        crossing[inside] = step
    assert (margin >= 1e-4).all()
    # the margin rises along these paths, so that the coarse grid misses nothing
    assert_allclose(alpha, crossing, rtol=1e-12)


def test_a_tolerance_is_met(cancer, fitted):
    X, model = cancer
    X = X[model.predict(X) == 0]
    paths, oracle = on_the_way(fitted, X)
    _, _, margin = follow(paths, fitted._codes, oracle, Criterion(0.0, 0.5, 0.01), 3, 2.0)
    score = expit(margin[margin >= 0])
    assert len(score) > 0.9 * len(X)
    assert ((score >= 0.5) & (score < 0.51)).all()


@pytest.mark.parametrize("score", [0.5, 0.9])
def test_the_target_score_is_reached(cancer, fitted, score):
    X, model = cancer
    result = fitted.set_params(target_score=score).explain(X)
    fitted.set_params(target_score=0.5)
    arrived = ~np.isnan(result.alpha)
    reached = model.predict_proba(result.X_cf[arrived])[:, 1]
    assert arrived.any()
    assert (reached >= score - 1e-9).all()
    assert logit(reached).min() < logit(score) + 1.0  # no further than needed


def test_several_endpoints_and_limits_are_valid(cancer, fitted):
    X, model = cancer
    for endpoint in ("centroid", "shift", "transport", "nearest"):
        for corrected in (True, False):
            fitted.set_params(endpoint=endpoint, residual_correction=corrected)
            result = fitted.explain(X)
            assert (model.predict(result.X_cf) == 1).all()
    fitted.set_params(endpoint="centroid", residual_correction=True)


def test_rows_that_the_walk_does_not_serve_go_to_real_ones(cancer, fitted):
    X, model = cancer
    result = fitted.set_params(alpha_max=1e-6).explain(X)
    fitted.set_params(alpha_max=1.5)
    assert (model.predict(result.X_cf) == 1).all()
    assert np.isnan(result.alpha).all()
    assert result.summary()["share_by_latent"] == 0.0


def test_labels_alone_are_enough(cancer):
    X, model = cancer
    explainer = GMMLatentExplainer(model.predict, target_class=1, **TINY).fit(X)
    result = explainer.explain(X)
    assert (result.status != "not_found").all()
    assert (model.predict(result.X_cf) == 1).all()


def test_codes_of_the_result(cancer, fitted):
    X, _ = cancer
    result = fitted.explain(X)
    moved = ~np.isnan(result.alpha)
    z = fitted._codes.encode(X)[1]
    assert_array_equal(result.latent[moved], z[moved])
    expected = z + result.alpha[:, None] * (fitted.means_[1] - z)
    assert_allclose(result.latent_cf[moved], expected[moved])
    assert np.isnan(result.latent[result.status == "already_target"]).all()
    share = moved.sum() / np.sum(result.status == "found")
    assert result.summary()["share_by_latent"] == pytest.approx(share)
    assert share > 0.9


def test_refining_makes_it_cheaper(cancer, fitted):
    X, model = cancer
    plain = fitted.explain(X)
    refined = fitted.set_params(refine=True).explain(X)
    fitted.set_params(refine=False)
    assert (model.predict(refined.X_cf) == 1).all()
    assert (refined.cost <= plain.cost + 1e-12).all()
    assert refined.n_changes.sum() < plain.n_changes.sum() / 2


def test_interpolation_is_the_path_with_the_score(cancer, fitted):
    X, model = cancer
    X = X[model.predict(X) == 0][:5]
    path = fitted.interpolate(X, n_steps=6)
    assert path.X.shape == (30, X.shape[1])
    assert_array_equal(path.row, np.repeat(range(5), 6))
    assert_allclose(path.alpha[:6], np.linspace(0, 1, 6))
    assert_array_equal(path.X[::6], X)
    assert_allclose(path.score, model.predict_proba(path.X)[:, 1], rtol=1e-6)
    assert_allclose(path.latent[5::6], np.tile(fitted.means_[1], (5, 1)))
    assert (path.y_target == 1).all()


def test_interpolation_of_frames_repeats_the_index():
    X, _, model = people()
    space = FeatureSpace(immutable_features=["sex"])
    explainer = TinyLatentExplainer(model, target_class="yes", feature_space=space, random_state=0)
    explainer.fit(X)
    path = explainer.interpolate(X[:4], n_steps=3)
    assert list(path.X.index) == list(np.repeat(X.index[:4], 3))
    assert list(path.X.dtypes) == list(X.dtypes)
    assert (path.X["sex"].to_numpy() == np.repeat(X["sex"][:4].to_numpy(), 3)).all()


@pytest.mark.filterwarnings("ignore:Only .* where they are decoded")
def test_several_classes_have_a_component_each():
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = GMMLatentExplainer(model, **{**TINY, "max_epochs": 60}).fit(X)
    assert explainer.means_.shape == (3, 2)
    assert explainer.net_.module_.adversary[-1].out_features == 3
    result = explainer.explain(X)
    assert (result.y_cf != result.y).all()
    # of both classes that a row may go to, the one that costs less
    for target in range(3):
        one = clone(explainer).set_params(target_class=target).fit(X).explain(X)
        needed = one.status == "found"
        both = needed & (~np.isnan(one.alpha)) & (~np.isnan(result.alpha))
        assert (result.cost[both] <= one.cost[both] + 1e-9).all()


# Images


def digits():
    X, y = load_digits(return_X_y=True)
    keep = np.isin(y, [1, 7])
    X, y = X[keep], y[keep]
    return X, LogisticRegression(max_iter=2000).fit(X, y)


def test_images_go_through_convolutions_as_flat_rows():
    X, model = digits()
    options = {**TINY, "latent_dim": 3, "residual_dim": 5, "max_epochs": 8}
    explainer = GMMLatentExplainer(model, target_class=7, image_shape=(8, 8), **options).fit(X)
    assert isinstance(explainer.net_.module_.encoder[1], torch.nn.Conv2d)
    X_cf = explainer.transform(X)
    assert X_cf.shape == X.shape
    assert (model.predict(X_cf) == 7).all()
    # a row alone is what it is among others
    rows = np.flatnonzero(model.predict(X) == 1)[:5]
    alone = np.vstack([explainer.transform(X[i : i + 1]) for i in rows])
    assert_allclose(alone, X_cf[rows], atol=1e-9)


def test_an_image_shape_that_does_not_fit_is_refused():
    X, model = digits()
    with pytest.raises(ValueError, match=r"image_shape=\(8, 9\) is of 72 numbers, but X has 64"):
        GMMLatentExplainer(model, image_shape=(8, 9), **TINY).fit(X)


# Gradient descent


@pytest.mark.parametrize("loss", ["logit", "probability"])
def test_gradient_descent_arrives(cancer, loss):
    X, model = cancer
    explainer = GDLExplainer(model, loss=loss, **TINY).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = explainer.explain(X)
    needed = result.status != "already_target"
    assert np.mean(result.status[needed] == "found") > 0.9
    assert (model.predict_proba(result.X_cf[result.status == "found"])[:, 1] > 0.5).all()
    assert result.n_steps[needed].max() > 1


def test_a_descent_that_aims_at_a_tolerance_ends_within_it(cancer):
    X, model = cancer
    explainer = GDLExplainer(model, tol=0.1, target_score=0.6, max_steps=300, **TINY).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = explainer.explain(X)
    stopped = (result.status == "found") & (result.n_steps < 299)
    score = model.predict_proba(result.X_cf[stopped])[:, 1]
    assert stopped.sum() > 20
    assert ((score >= 0.6) & (score < 0.7)).all()


def test_descent_of_mixed_rows_and_of_a_black_box():
    X, _, model = people()
    options = {**TINY, "max_steps": 15}
    explainer = GDLExplainer(model, target_class="yes", **options).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = explainer.explain(X[:40])
    assert set(result.status) <= {"found", "not_found", "already_target"}


def test_slopes_of_columns_are_those_of_the_margin():
    """A linear model of an ordinal, a nominal and a numeric feature."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "pay": rng.normal(size=80),
            "size": rng.choice(["s", "m", "l"], 80),
            "job": rng.choice(["cook", "nurse"], 80),
        }
    )
    places = {"s": 0, "m": 1, "l": 2}

    def score(X):
        margin = 2 * X["pay"] + 3 * X["size"].map(places) + 5 * (X["job"] == "nurse") - 4
        return np.column_stack([0 * margin, margin])

    space = FeatureSpace(ordinal_features={"size": ["s", "m", "l"]})
    explainer = GDLExplainer(score, feature_space=space, **TINY).fit(X)
    oracle = Oracle(explainer._reader, explainer.feature_space_, Table.of(X))
    asked = oracle.encoded, np.arange(80), np.ones(80, dtype=int)
    heads = explainer._codes.heads
    grad, swaps = oracle.central_differences(*asked), oracle.category_differences(*asked)
    slopes = heads.column_slopes(oracle.encoded, grad, swaps)
    assert_allclose(slopes[:, 0], 2 * np.ptp(X["pay"]), rtol=1e-6)
    assert_allclose(slopes[:, 1], 3 * 2)
    assert_allclose(slopes[:, 3] - slopes[:, 2], 5)


# Bad input


def test_a_class_without_rows_is_refused():
    X, y = load_iris(return_X_y=True)
    model = KNeighborsClassifier(1).fit(X, y)
    with pytest.raises(ValueError, match=r"puts no row of X in the classes \[1\]"):
        GMMLatentExplainer(model, target_class=0, **TINY).fit(X[y != 1])


@pytest.mark.parametrize(
    "part, expected",
    [("encoder", r"encoder must give shape \(2, 2\).*got \(2, 3\)"),
     ("decoder", r"decoder must give shape \(2, 30\).*got \(2, 31\)")],
)  # fmt: skip
def test_a_module_of_the_wrong_shape_is_refused_before_any_epoch(cancer, part, expected):
    X, model = cancer

    def wider(n_inputs, n_outputs):
        return torch.nn.Linear(n_inputs, n_outputs + 1)

    watcher = Watcher()
    net = GMMLatentNet(callbacks=[watcher])
    with pytest.raises(ValueError, match=expected):
        GMMLatentExplainer(model, net=net, **{part: wider}, **TINY).fit(X)


class Watcher(Callback):
    def on_epoch_begin(self, net, **kwargs):
        raise AssertionError("an epoch has begun")


def test_a_module_that_cannot_take_rows_says_what_came(cancer):
    X, model = cancer

    def narrow(n_inputs, n_outputs):
        return torch.nn.Linear(n_inputs - 1, n_outputs)

    with pytest.raises(ValueError, match=r"encoder cannot take rows of shape \(2, 30\)"):
        GMMLatentExplainer(model, encoder=narrow, **TINY).fit(X)


def test_a_loss_that_is_no_number_stops_training_and_is_named(cancer):
    X, model = cancer

    class Diverging(torch.nn.Linear):
        def forward(self, X):
            return super().forward(X) * torch.inf

    with pytest.raises(ValueError, match=r"broke off in epoch 1: reconstruction_loss is"):
        GMMLatentExplainer(model, decoder=Diverging, surrogate=False, **TINY).fit(X)


def test_a_device_that_is_not_there_is_refused(cancer):
    X, model = cancer
    missing = "cuda:99" if torch.cuda.is_available() else "cuda"
    for device in (missing, "nonsense"):
        with pytest.raises(ValueError, match=f"device='{device}' is not there"):
            GMMLatentExplainer(model, device=device, **TINY).fit(X)


def test_a_failed_fit_leaves_the_net_as_it_was(cancer):
    X, model = cancer
    explainer = GMMLatentExplainer(model, warm_start=True, **TINY).fit(X)
    before = explainer.net_, pickle.dumps(explainer.net_.module_.state_dict())
    explainer.set_params(device="nonsense")
    with pytest.raises(ValueError, match="is not there"):
        explainer.fit(X)
    assert explainer.net_ is before[0]
    assert pickle.dumps(explainer.net_.module_.state_dict()) == before[1]


def test_steps_of_an_interpolation_are_checked(cancer, fitted):
    X, _ = cancer
    with pytest.raises(ValueError, match="n_steps == 1, must be >= 2"):
        fitted.interpolate(X, n_steps=1)


def test_threads_are_left_alone(cancer):
    X, model = cancer
    before = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
    GMMLatentExplainer(model, dtype="float64", **TINY).fit(X).transform(X)
    assert (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()) == before


def test_columns_that_are_constant_or_missing_do_no_harm():
    X, y = make_classification(200, 4, random_state=0)
    X = np.column_stack([X, np.ones(200)])
    model = LogisticRegression().fit(X, y)
    result = GMMLatentExplainer(model, **TINY).fit(X).explain(X)
    assert (model.predict(result.X_cf) == 1).all()
    assert (result.X_cf[:, 4] == 1).all()
