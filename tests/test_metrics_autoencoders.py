"""IM1, IM2, reconstruction error, and the autoencoders that they are measured by."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import boosted_pipeline, mixed_population
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris, make_blobs
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeRegressor

from skcf import FeatureSpace, NearestExplainer
from skcf.metrics import Autoencoders, fit_autoencoders, im1, im2, reconstruction_error

pd = pytest.importorskip("pandas")
torch = pytest.importorskip("torch")

SMALL = {"hidden_layer_sizes": (16,), "latent_size": 2, "max_epochs": 60, "batch_size": 32}
# the first keeps the first axis, the second the second, the joint one halves
LINEAR = {"a": lambda X: X * [1, 0], "b": lambda X: X * [0, 1], None: lambda X: X / 2}
X = np.array([[5.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
X_CF = np.array([[1.0, 4.0], [3.0, 3.0], [0.0, -2.0]])


def blobs(n=300, seed=0):
    """Three far classes, and rows of the same that no autoencoder has seen."""
    rows, y = make_blobs(2 * n, 6, centers=3, center_box=(-6, 6), random_state=seed)
    names = np.array(["left", "right", "up"])[y]
    return rows[:n], names[:n], rows[n:], names[n:]


@pytest.fixture(scope="module")
def trained():
    return fit_autoencoders(*blobs()[:2], **SMALL)


def same(first, second):
    """Whether two autoencoders reconstruct alike, to the bit."""
    rows = blobs()[2]
    return all(
        np.array_equal(first.reconstruct(rows, label), second.reconstruct(rows, label))
        for label in ("left", "right", "up", None)
    )


# ---- IM1, IM2 and reconstruction error of given autoencoders


def test_im1_by_hand():
    asked = {"autoencoders": LINEAR, "average": None}
    values = im1(X, X_CF, target="b", origin="a", eps=0.5, **asked)
    np.testing.assert_allclose(values, [1 / 16.5, 9 / 9.5, 0 / 4.5])
    values = im1(X, X_CF, target="a", origin="b", eps=0.5, **asked)
    np.testing.assert_allclose(values, [16 / 1.5, 9 / 9.5, 4 / 0.5])
    each = im1(X, X_CF, target=["b", "a", "b"], origin=["a", "b", "a"], eps=0.5, **asked)
    np.testing.assert_allclose(each, [1 / 16.5, 9 / 9.5, 0])


def test_im2_by_hand():
    # (x'_1 / 2, x'_2 / 2) for both axes: the squared distance is |x'|**2 / 4
    expected = np.sum(X_CF**2, axis=1) / 4 / (np.abs(X_CF).sum(axis=1) + 0.5)
    for target in ("a", "b", ["a", "b", "a"]):
        values = im2(X, X_CF, autoencoders=LINEAR, target=target, eps=0.5, average=None)
        np.testing.assert_allclose(values, expected)


def test_reconstruction_error_by_hand():
    values = reconstruction_error(X, X_CF, autoencoders=LINEAR, average=None)
    np.testing.assert_allclose(values, np.sum(X_CF**2, axis=1) / 4)
    asked = {"autoencoders": LINEAR, "joint": False, "average": None}
    values = reconstruction_error(X, X_CF, target=["a", "b", "b"], **asked)
    np.testing.assert_allclose(values, [16, 9, 0])


METRICS = [
    lambda *rows, **more: im1(*rows, target="b", origin="a", **more),
    lambda *rows, **more: im2(*rows, target="b", **more),
    reconstruction_error,
]


@pytest.mark.parametrize("metric", METRICS)
def test_averages_and_rows_without_a_counterfactual(metric):
    asked = {"autoencoders": LINEAR}
    values = metric(X, X_CF, average=None, **asked)
    assert metric(X, X_CF, **asked) == pytest.approx(values.mean())
    assert metric(X, X_CF, average="median", **asked) == pytest.approx(np.median(values))
    status = ["found", "not_found", "found"]
    missing = np.where(np.arange(3)[:, None] == 1, np.nan, X_CF)
    some = metric(X, missing, status=status, average=None, **asked)
    np.testing.assert_allclose(some, np.where(np.arange(3) == 1, np.nan, values))
    nobody = np.zeros(3, dtype=bool)
    assert np.isnan(metric(X, X_CF, status=nobody, **asked))
    assert np.isnan(metric(X, X_CF, status=nobody, average=None, **asked)).all()


def test_own_autoencoders_may_be_transformers_estimators_and_functions():
    rows = load_iris().data
    pca = PCA(2).fit(rows)
    tree = DecisionTreeRegressor(max_depth=2, random_state=0).fit(rows, rows)
    projection = pca.components_.T @ pca.components_
    errors = {
        "pca": np.sum(((rows - pca.mean_) @ (np.eye(4) - projection)) ** 2, axis=1),
        "tree": np.sum((rows - tree.predict(rows)) ** 2, axis=1),
    }
    asked = {"autoencoders": {"pca": pca, "tree": tree}, "joint": False, "average": None}
    for name, expected in errors.items():
        values = reconstruction_error(rows, rows, target=name, **asked)
        np.testing.assert_allclose(values, expected)


def test_own_autoencoders_cannot_write_into_the_rows():
    def careless(points):
        points *= 0
        return points

    before = X_CF.copy()
    value = reconstruction_error(X, X_CF, autoencoders={None: careless}, average=None)
    np.testing.assert_allclose(value, np.sum(X_CF**2, axis=1))
    np.testing.assert_array_equal(X_CF, before)


def test_images_go_through_nets_of_their_shape():
    """What the convolutions of the paper need: 28 * 28 columns become an image and back."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(1, 1, 3, padding=1)

    def autoencoder(points):
        images = torch.as_tensor(points, dtype=torch.float32).reshape(-1, 1, 8, 8)
        return convolution(images).detach().numpy().reshape(len(points), -1)

    images = np.random.default_rng(0).random((5, 64))
    value = reconstruction_error(images, images, autoencoders={None: autoencoder}, average=None)
    np.testing.assert_allclose(value, np.sum((images - autoencoder(images)) ** 2, axis=1))


def test_errors_of_given_autoencoders():
    asked = {"autoencoders": LINEAR}
    bad = [
        (lambda: im1(X, X_CF, target="b", **asked), "origin is missing"),
        (lambda: im1(X, X_CF, origin="b", **asked), "target is missing"),
        (lambda: im2(X, X_CF, **asked), "target is missing"),
        (lambda: im2(X, X_CF, target=["a"], **asked), "target must be one label, or one for each"),
        (lambda: im1(X, X_CF, target="c", origin="a", **asked), "none of the label 'c'"),
        (lambda: im2(X, X_CF, target="a", autoencoders={"a": abs}), r"none of all rows \(None\)"),
        (lambda: im2(X, X_CF, target="a", eps=0.0, **asked), "eps must be"),
        (lambda: im1(X, X_CF, target="a", origin="b", eps=np.nan, **asked), "eps must be"),
        (lambda: reconstruction_error(X, X_CF * np.nan, **asked), "missing or infinite"),
        (lambda: reconstruction_error(X, X_CF, average="mode", **asked), "average must be"),
        (
            lambda: reconstruction_error(X, X_CF, autoencoders={None: lambda Z: Z[:, :1]}),
            r"must give an array of the shape that it takes, \(3, 2\); got \(3, 1\)",
        ),
    ]
    for call, message in bad:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="autoencoders must be what fit_autoencoders returned"):
        reconstruction_error(X, X_CF, autoencoders=abs)
    with pytest.raises(TypeError, match="An autoencoder must be a function"):
        reconstruction_error(X, X_CF, autoencoders={None: BaseEstimator()})
    with pytest.raises(NotFittedError):
        reconstruction_error(X, X_CF, autoencoders={None: PCA()})


# ---- autoencoders that are trained


def test_each_class_is_reconstructed_best_by_its_own(trained):
    _, _, rows, y = blobs()
    for label in trained.classes_:
        own = trained.reconstruction_error(rows[y == label], label)
        others = [
            trained.reconstruction_error(rows[y == label], other)
            for other in trained.classes_
            if other != label
        ]
        assert np.mean(own < np.min(others, axis=0)) > 0.95
        assert np.median(own) < 0.2 * np.median(others)


def test_im1_of_real_rows(trained):
    """Below 1 for rows of the target class, above for rows that stay in their own."""
    _, _, rows, y = blobs()
    for target, origin in [("left", "up"), ("up", "right")]:
        asked = {"autoencoders": trained, "target": target, "origin": origin}
        real, stayed = rows[y == target], rows[y == origin]
        for average in ("mean", "median"):
            assert im1(real, real, average=average, **asked) < 0.5
            assert im1(stayed, stayed, average=average, **asked) > 2
        turned = {**asked, "target": origin, "origin": target, "average": None, "eps": 1e-300}
        values = im1(real, real, **{**asked, "average": None, "eps": 1e-300})
        np.testing.assert_allclose(values, 1 / im1(real, real, **turned))


def test_metrics_are_made_of_what_the_autoencoders_say(trained):
    _, _, rows, y = blobs()
    points = trained.points(rows)
    asked = {"autoencoders": trained, "average": None}
    own, joint = trained.reconstruct(rows, "up"), trained.reconstruct(rows)
    np.testing.assert_allclose(
        im2(rows, rows, target="up", **asked),
        np.sum((own - joint) ** 2, axis=1) / (np.abs(points).sum(axis=1) + 1e-10),
    )
    error = np.sum((points - joint) ** 2, axis=1)
    np.testing.assert_allclose(reconstruction_error(rows, rows, **asked), error)
    np.testing.assert_allclose(trained.reconstruction_error(rows), error)
    each = reconstruction_error(rows, rows, joint=False, target=y, **asked)
    for label in trained.classes_:
        expected = trained.reconstruction_error(rows[y == label], label)
        np.testing.assert_allclose(each[y == label], expected)
    # a number, and whether it is missing
    np.testing.assert_allclose(points[:, ::2], rows / trained.feature_space_.scale_)
    assert (points[:, 1::2] == 0).all()
    assert "left" in repr(trained)


def test_losses(trained):
    """They fall, and the last of those held out is the error of the rows held out."""
    _, _, new, y_new = blobs()
    for label in [*trained.classes_, None]:
        learned, watched = trained.train_loss_[label], trained.held_out_loss_[label]
        assert learned.shape == watched.shape == (60,)
        assert learned[-1] < 0.6 * learned[0]
        assert trained.held_out_error_[label] == watched[-1]
        fresh = new if label is None else new[y_new == label]
        error = trained.reconstruction_error(fresh, label).mean()
        assert error == pytest.approx(watched[-1], rel=0.5)


def test_the_loss_is_that_of_the_arrays():
    """All but one row learned: the error of the one is the loss, in the units of the space."""
    rows, y, *_ = blobs(60)
    rng = np.random.RandomState(0)
    fitted = fit_autoencoders(rows, y, validation_fraction=0.001, random_state=0, **SMALL)
    for label in fitted.classes_:
        held_out = rng.permutation(np.flatnonzero(y == label))[0]
        error = fitted.reconstruction_error(rows[[held_out]], label)
        assert error[0] == pytest.approx(fitted.held_out_error_[label], rel=1e-4)


def test_seeds_reproduce_to_the_bit_and_global_ones_are_left_alone(trained):
    rows, y, *_ = blobs()
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    torch_state, numpy_state = before
    again = fit_autoencoders(rows, y, **SMALL)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert same(trained, again)
    torch.manual_seed(99)
    assert same(trained, fit_autoencoders(rows, y, **SMALL))
    assert not same(trained, fit_autoencoders(rows, y, random_state=1, **SMALL))


def test_class_autoencoders_do_not_depend_on_the_joint_one(trained):
    rows, y, new, _ = blobs()
    alone = fit_autoencoders(rows, y, joint=False, **SMALL)
    for label in alone.classes_:
        np.testing.assert_array_equal(
            alone.reconstruct(new, label), trained.reconstruct(new, label)
        )
    with pytest.raises(ValueError, match="joint=False left it out"):
        alone.reconstruct(new)
    with pytest.raises(ValueError, match="joint=False left it out"):
        im2(new, new, autoencoders=alone, target="up")


def test_they_pickle_and_then_need_no_torch(trained, tmp_path):
    copy = pickle.loads(pickle.dumps(trained))
    assert same(trained, copy)
    path = tmp_path / "autoencoders.pickle"
    path.write_bytes(pickle.dumps(trained))
    code = (
        "import pickle, sys; from pathlib import Path; from skcf.metrics import im1;"
        f"fitted = pickle.loads(Path({str(path)!r}).read_bytes());"
        "row = [[0.0] * 6];"
        "im1(row, row, autoencoders=fitted, target='up', origin='left');"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_units_and_places_have_no_say(trained):
    """Points are scaled and centred before a net sees them; IM2 alone counts from zero."""
    rows, y, new, _ = blobs()
    factor, shift = 4.0, 1000.0
    moved = fit_autoencoders(factor * rows + shift, y, **SMALL)
    asked = {"target": "up", "origin": "left", "average": None}
    values = im1(new, new, autoencoders=trained, **asked)
    again = im1(factor * new + shift, factor * new + shift, autoencoders=moved, **asked)
    np.testing.assert_allclose(again, values, rtol=0.05)


def test_values_do_not_depend_on_the_batch(trained):
    _, _, rows, _ = blobs()
    asked = {"autoencoders": trained, "target": "up", "origin": "left", "average": None}
    values = im1(rows, rows, **asked)
    np.testing.assert_allclose(im1(rows[3:5], rows[3:5], **asked), values[3:5])


@pytest.fixture(scope="module")
def people_trained():
    rows, y = mixed_population(300)
    model = boosted_pipeline(rows, y, ["job", "sex", "owner"])
    explainer = NearestExplainer(model, target_class="other").fit(rows)
    fitted = fit_autoencoders(
        rows, model.predict(rows), feature_space=explainer.feature_space_, **SMALL
    )
    return rows, fitted, explainer.explain(rows.iloc[:60])


def test_a_result_knows_where_its_rows_come_from_and_go(people_trained):
    _, fitted, result = people_trained
    found = result.status == "found"
    asked = {"autoencoders": fitted, "average": None}
    before, after = result.X[found], result.X_cf[found]
    target, origin = result.y_cf[found], result.y[found]
    for by_result, by_hand in [
        (im1(result, **asked), im1(before, after, target=target, origin=origin, **asked)),
        (im2(result, **asked), im2(before, after, target=target, **asked)),
        (reconstruction_error(result, **asked), reconstruction_error(before, after, **asked)),
        (
            reconstruction_error(result, joint=False, **asked),
            reconstruction_error(before, after, joint=False, target=target, **asked),
        ),
    ]:
        np.testing.assert_allclose(by_result[found], by_hand)
        assert np.isnan(by_result[~found]).all()
        assert np.isfinite(by_hand).all()


def test_points_are_as_far_apart_as_the_moves_cost(people_trained):
    """Also rows that came later, with categories and gaps that no training row has."""
    rows, fitted, _ = people_trained
    row = rows.dropna().iloc[[0]]
    later = {
        "job": row.assign(job="astronaut"),
        "age": row.assign(age=row["age"].astype(float) * np.nan),
    }
    space = fitted.feature_space_
    for name, other in later.items():
        first, second = fitted.points(row)[0], fitted.points(other)[0]
        assert len(first) == len(second)
        if name == "job":
            assert np.sum((first - second) ** 2) == pytest.approx(1.0)
        else:
            gap = (row["age"].iloc[0] - rows["age"].median()) / space.scale_[0]
            assert np.sum((first - second) ** 2) == pytest.approx(1.0 + gap**2)
    # what no row has cannot be reconstructed: all of it is an error
    unheard = fitted.reconstruction_error(later["age"])[0]
    assert unheard >= 1.0


def test_what_does_not_vary_is_kept():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=40), np.full(40, 7.0)])
    y = np.repeat([0, 1], 20)
    rows[20:] = [3.0, 7.0]  # a class of one point
    space = FeatureSpace().fit([[0.0, 0.0], [1.0, 1.0]])
    fitted = fit_autoencoders(rows, y, feature_space=space, **SMALL)
    out = fitted.reconstruct(rows + [0.0, 2.0], 0)
    np.testing.assert_array_equal(out[:, 2], 7.0)
    assert fitted.held_out_error_[1] == 0
    assert (fitted.held_out_loss_[1] == 0).all()
    np.testing.assert_allclose(fitted.reconstruction_error([[3.0, 7.0], [4.0, 9.0]], 1), [0, 5])


def test_errors_of_training(trained):
    rows, y, *_ = blobs(60)
    few = np.where(np.arange(60) < 9, "rare", "common")
    bad = [
        ({"y": few}, r"Class 'rare' has 9 row\(s\), where at least 10 are needed"),
        ({"y": y[:5]}, r"y must have one label for each row of X, shape \(60,\), got \(5,\)"),
        ({"y": None}, "y must have one label for each row of X"),
        ({"hidden_layer_sizes": (8, 0)}, "Each of hidden_layer_sizes must be a whole number"),
        ({"latent_size": 0}, "latent_size must be a whole number above zero"),
        ({"max_epochs": 0}, "max_epochs must be a whole number above zero"),
        ({"batch_size": 2.5}, "batch_size must be a whole number above zero"),
        ({"validation_fraction": 1.0}, "validation_fraction must be between 0 and 1"),
        ({"lr": 0.0}, "lr must be a number above zero"),
        ({"X": np.where(np.arange(60)[:, None] == 3, np.inf, rows)}, "infinity"),
    ]
    for change, message in bad:
        with pytest.raises(ValueError, match=message):
            fit_autoencoders(**({"X": rows, "y": y} | change))
    with pytest.raises(ValueError, match="no autoencoder of the label 'down'"):
        trained.reconstruct(rows, "down")
    with pytest.raises(ValueError, match="no autoencoder of the label 3"):
        im1(rows, rows, autoencoders=trained, target="up", origin=3)
    assert isinstance(trained, Autoencoders)


def test_progress_is_shown_where_it_is_asked_for(capsys):
    rows, y, *_ = blobs(40)
    asked = {**SMALL, "max_epochs": 1}
    fit_autoencoders(rows, y, **asked)
    assert capsys.readouterr() == ("", "")
    fit_autoencoders(rows, y, verbose=1, **asked)
    assert "fit_autoencoders" in capsys.readouterr().err
