"""LatentDisplay and ImageRowDisplay: what is drawn is what the explainer says."""

from dataclasses import dataclass, field

import matplotlib.pyplot
import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.colors import to_hex, to_rgba
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skcf import FeatureSpace
from skcf.inspection import ImageRowDisplay, LatentDisplay
from skcf.inspection._panels import AFTER, REMARK

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    matplotlib.pyplot.close("all")


@dataclass
class Result:
    """Has what displays ask of a result."""

    X: object
    X_cf: object
    y: np.ndarray
    y_cf: np.ndarray
    status: np.ndarray
    latent: np.ndarray = field(default=None)
    latent_cf: np.ndarray = field(default=None)


class Latent(BaseEstimator):
    """Has what a display asks of an explainer with a latent space: all go to class "b"."""

    def __init__(self, latent_dim=2, covariance_type="diag", labels=("a", "b")):
        self.latent_dim = latent_dim
        self.covariance_type = covariance_type
        self.labels = labels

    def fit(self, X, y=None):
        rng = np.random.default_rng(1)
        d, n = self.latent_dim, len(self.labels)
        self.matrix_ = rng.normal(size=(3, d))
        self.classes_ = np.array(self.labels)
        self.means_ = rng.normal(size=(n, d))
        roots = rng.normal(size=(n, d, d))
        self.covariances_ = roots @ roots.transpose(0, 2, 1)
        if self.covariance_type == "diag":
            self.covariances_ = np.einsum("kii->ki", self.covariances_)
        return self

    def encode(self, X):
        return np.asarray(X, dtype=float) @ self.matrix_, np.zeros((len(X), 1))

    def explain(self, X):
        z, _ = self.encode(X)
        own = np.arange(len(X)) % len(self.labels)
        status = np.where(own == 1, "already_target", "found").astype(object)
        status[4] = "not_found"
        needed = (own != 1)[:, None]
        return Result(
            X,
            X,
            y=self.classes_[own],
            y_cf=np.full(len(X), self.classes_[1]),
            status=status,
            latent=np.where(needed, z, np.nan),
            latent_cf=np.where(needed, (z + self.means_[1]) / 2, np.nan),
        )


def rows(kind="pandas", n=20):
    values = np.random.default_rng(0).normal(size=(n, 3))
    if kind == "array":
        return values
    X = pd.DataFrame(values, columns=list("pqr"), index=range(100, 100 + n))
    return pl.from_pandas(X) if kind == "polars" else X


def drawn(latent_dim=2, X=None, ax=None, **options):
    X = rows() if X is None else X
    shown = {name: options.pop(name) for name in ("rows", "n_std") if name in options}
    explainer = Latent(latent_dim, **options).fit(X)
    return explainer, LatentDisplay.from_estimator(explainer, X, ax=ax, **shown)


# The latent space


@pytest.mark.parametrize("kind", ["pandas", "polars", "array"])
def test_two_numbers_are_shown_as_they_are(kind):
    X = rows(kind)
    explainer, display = drawn(X=X)
    z, _ = explainer.encode(X)
    for k, points in enumerate(display.rows_):
        np.testing.assert_array_equal(points.get_offsets(), z[k::2])
    np.testing.assert_array_equal(display.means_.get_offsets(), explainer.means_)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("z0", "z1")
    assert display.ways_ is None
    assert display.ends_ is None


def test_of_more_numbers_two_principal_components_are():
    explainer, display = drawn(latent_dim=3)
    z, _ = explainer.encode(rows())
    pca = PCA(2).fit(z)
    for k, points in enumerate(display.rows_):
        np.testing.assert_allclose(points.get_offsets(), pca.transform(z[k::2]), atol=1e-12)
    means = pca.transform(explainer.means_)
    np.testing.assert_allclose(display.means_.get_offsets(), means, atol=1e-12)
    share = pca.explained_variance_ratio_[0]
    assert display.ax_.get_xlabel() == f"first principal component ({share:.0%})"


@pytest.mark.parametrize("covariance_type", ["diag", "full"])
@pytest.mark.parametrize("latent_dim", [2, 4])
def test_ellipses_are_as_many_standard_deviations_from_the_means(covariance_type, latent_dim):
    """All points of an ellipse have the same Mahalanobis distance, in the plane that is shown."""
    explainer, display = drawn(latent_dim, covariance_type=covariance_type, n_std=1.5)
    z, _ = explainer.encode(rows())
    P = np.eye(2) if latent_dim == 2 else PCA(2).fit(z).components_
    for ellipse, mean, S in zip(
        display.ellipses_, display.means_.get_offsets(), explainer.covariances_, strict=True
    ):
        S = P @ (np.diag(S) if S.ndim == 1 else S) @ P.T
        circle = np.linspace(0, 2 * np.pi, 50)
        unit = np.column_stack([np.cos(circle), np.sin(circle)])
        away = ellipse.get_patch_transform().transform(unit) - mean
        distances = np.sqrt(np.einsum("ni,ij,nj->n", away, np.linalg.inv(S), away))
        np.testing.assert_allclose(distances, 1.5, rtol=1e-9)


def test_of_a_single_number_each_class_has_a_line():
    explainer, display = drawn(latent_dim=1, rows=[0, 2, 6])
    z, _ = explainer.encode(rows())
    for k, points in enumerate(display.rows_):
        np.testing.assert_array_equal(points.get_offsets(), np.column_stack([z[k::2], [k] * 10]))
    for k, ellipse in enumerate(display.ellipses_):
        np.testing.assert_allclose(ellipse.get_width(), 4 * np.sqrt(explainer.covariances_[k, 0]))
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["a", "b"]
    heights = [way[0, 1] for way in display.ways_.get_segments()]
    assert heights == sorted(set(heights))
    assert 0 < heights[0] < heights[-1] < 1
    assert all(way[0, 1] == way[1, 1] for way in display.ways_.get_segments())


def test_ways_lead_from_codes_to_codes_of_counterfactuals():
    """Not of rows that need none (1), nor of those that got none (4)."""
    explainer, display = drawn(rows=[-2, 0, 1, 4])
    z, _ = explainer.encode(rows())
    before = z[[18, 0]]
    after = (before + explainer.means_[1]) / 2
    np.testing.assert_array_equal(display.ways_.get_segments(), np.stack([before, after], axis=1))
    np.testing.assert_array_equal(display.ends_.get_offsets(), after)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["a", "b", "counterfactual"]


def test_rows_without_ways_draw_none():
    _, display = drawn(rows=1)
    assert display.ways_.get_segments() == []
    assert len(display.ends_.get_offsets()) == 0


@pytest.mark.parametrize("n", [2, 6, 9])
def test_classes_have_colours_of_their_own(n):
    labels = tuple("abcdefghi"[:n])
    _, display = drawn(labels=labels)
    colours = [to_hex(points.get_facecolors()[0, :3]) for points in display.rows_]
    assert len(set(colours)) == n
    assert [to_hex(ellipse.get_edgecolor()) for ellipse in display.ellipses_] == colours
    assert [to_hex(colour) for colour in display.means_.get_facecolors()] == colours


def test_a_class_without_rows_has_its_ellipse_all_the_same():
    display = LatentDisplay(
        codes=[[0.0, 1.0]], labels=["b"], classes=["a", "b"], means=np.eye(2), covariances=np.eye(2)
    ).plot()
    assert [len(points.get_offsets()) for points in display.rows_] == [0, 1]
    assert len(display.ellipses_) == 2


def test_the_axes_given_are_used_and_rows_are_not_written_to():
    figure, ax = matplotlib.pyplot.subplots()
    X = rows()
    _, display = drawn(X=X, ax=ax, rows=[0])
    assert (display.ax_, display.figure_) == (ax, figure)
    assert display.plot() is display
    assert display.ax_ is not ax
    pd.testing.assert_frame_equal(X, rows())


def test_what_has_no_latent_space_is_refused():
    with pytest.raises(TypeError, match=r"that encodes rows.*got FeatureSpace"):
        LatentDisplay.from_estimator(FeatureSpace(), rows())
    with pytest.raises(NotFittedError):
        LatentDisplay.from_estimator(Latent(), rows())


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"rows": [20]}, "rows names row 20, but X has 20 rows"),
        ({"rows": [0.5]}, "rows must be the position of a row"),
        ({"n_std": 0}, "n_std must be above 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        drawn(**wrong)
    with pytest.raises(ValueError, match="codes must have a row for each of the labels"):
        LatentDisplay(
            codes=np.eye(2), labels=["a"], classes=["a"], means=[[0, 0]], covariances=[[1, 1]]
        ).plot()


# Rows of images


@dataclass
class Path:
    """Has what a display asks of a path."""

    X: object
    score: np.ndarray
    step: np.ndarray
    y_target: np.ndarray


def path(kind="array", n_rows=3, n_steps=4):
    """Images of 2 x 3 pixels, all different."""
    X = np.arange(n_rows * n_steps * 6, dtype=float).reshape(-1, 6)
    if kind != "array":
        X = pd.DataFrame(X, columns=[f"pixel{j}" for j in range(6)])
    if kind == "polars":
        X = pl.from_pandas(X)
    score = np.tile(np.linspace(0.2, 0.8, n_steps), n_rows)
    target = np.repeat(["seven", "one", "two"][:n_rows], n_steps)
    return Path(X, score, np.tile(np.arange(n_steps), n_rows), target)


@pytest.mark.parametrize("kind", ["pandas", "polars", "array"])
def test_steps_stand_side_by_side_below_their_scores(kind):
    display = ImageRowDisplay.from_path(path(kind), (2, 3), rows=[2, 0])
    assert display.axes_.shape == (2, 4)
    for (line, column), image in np.ndenumerate(display.images_):
        step = [2, 0][line] * 4 + column
        expected = 6 * step + np.arange(6).reshape(2, 3)
        np.testing.assert_array_equal(image.get_array(), expected)
        assert image.axes is display.axes_[line, column]
        title = display.axes_[line, column].title
        assert title.get_text() == f"{[0.2, 0.4, 0.6, 0.8][column]:.2f}"
        assert title.get_color() == (AFTER if column >= 2 else REMARK)
    assert [ax.get_ylabel() for ax in display.axes_[:, 0]] == ["to two", "to seven"]


def test_all_images_have_one_scale():
    display = ImageRowDisplay.from_path(path(), (2, 3))
    limits = {image.get_clim() for image in display.images_.ravel()}
    assert limits == {(0.0, 71.0)}


def test_the_first_rows_are_shown_where_none_are_named():
    long = path(n_rows=3, n_steps=2)
    many = Path(np.tile(long.X, (4, 1)), np.tile(long.score, 4), np.tile(long.step, 4), None)
    many.y_target = np.full(len(many.X), "x")
    assert ImageRowDisplay.from_path(many, (2, 3)).axes_.shape == (8, 2)


def results():
    X = np.arange(18, dtype=float).reshape(3, 6)
    given = {"y": np.array([1, 1, 7]), "y_cf": np.array([7, 1, 7])}
    status = np.array(["found", "not_found", "already_target"], dtype=object)
    near = Result(X, X + 1, **given, status=status)
    far = Result(X, X + 9, y=given["y"], y_cf=np.array([7, 7, 7]), status=np.full(3, "found"))
    return {"near": near, "far": far}


def test_results_stand_below_their_images():
    display = ImageRowDisplay.from_results(results(), (2, 3), rows=[1, 0])
    lines = np.array([[line.get_array() for line in images] for images in display.images_])
    X = np.arange(18, dtype=float).reshape(3, 2, 3)[[1, 0]]
    np.testing.assert_array_equal(lines, [X, X + 1, X + 9])
    texts = [[ax.get_title() for ax in line] for line in display.axes_]
    assert texts == [["1", "1"], ["1", "7"], ["7", "7"]]
    colours = [[ax.title.get_color() for ax in line] for line in display.axes_]
    assert colours == [[REMARK, REMARK], [REMARK, AFTER], [AFTER, AFTER]]
    assert [ax.get_ylabel() for ax in display.axes_[:, 0]] == ["image", "near", "far"]


def test_results_of_other_rows_are_refused():
    others = results()
    others["far"].X = others["far"].X + 1
    with pytest.raises(ValueError, match="results must be of the same rows; those of 'far' are"):
        ImageRowDisplay.from_results(others, (2, 3))


def test_images_of_three_channels_have_colours():
    flat = np.random.default_rng(0).uniform(0, 255, (1, 2, 12))
    display = ImageRowDisplay(images=flat, image_shape=(3, 2, 2)).plot()
    for column in range(2):
        shown = display.images_[0, column].get_array()
        expected = (flat[0, column].reshape(3, 2, 2) - flat.min()) / np.ptp(flat)
        np.testing.assert_allclose(shown, np.moveaxis(expected, 0, -1))
    assert display.axes_[0, 0].get_title() == ""


def test_one_channel_and_flat_images():
    flat = np.ones((1, 1, 4))
    for shape in ((1, 2, 2), (2, 2)):
        display = ImageRowDisplay(images=flat, image_shape=shape).plot()
        np.testing.assert_array_equal(display.images_[0, 0].get_array(), np.ones((2, 2)))
    display = ImageRowDisplay(images=np.ones((1, 1, 12)), image_shape=(3, 2, 2)).plot()
    np.testing.assert_array_equal(display.images_[0, 0].get_array(), np.zeros((2, 2, 3)))


def test_axes_are_given_or_divided():
    display = ImageRowDisplay.from_path(path(), (2, 3), rows=0)
    figure, axes = matplotlib.pyplot.subplots(2, 2)
    assert display.plot(ax=axes).axes_.ravel().tolist() == axes.ravel().tolist()
    assert display.figure_ is figure
    figure, (left, right) = matplotlib.pyplot.subplots(1, 2)
    display.plot(ax=right)
    assert display.figure_ is figure
    assert all(ax.get_position().x0 > left.get_position().x1 for ax in display.axes_.ravel())
    with pytest.raises(ValueError, match="ax has 3 Axes for 1 x 4 images"):
        display.plot(ax=axes.ravel()[:3])
    alone = matplotlib.pyplot.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    with pytest.raises(ValueError, match="ax has 1 Axes for 1 x 4 images"):
        display.plot(ax=alone)


def test_the_colours_asked_for():
    display = ImageRowDisplay(images=np.ones((1, 1, 4)), image_shape=(2, 2)).plot(cmap="viridis")
    assert display.images_[0, 0].get_cmap().name == "viridis"
    assert to_rgba(display.axes_[0, 0].spines["top"].get_edgecolor()) == to_rgba("0.8")


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"image_shape": (2, 2)}, "image_shape=.2, 2. is of 4 pixels, but rows have 6 columns"),
        ({"rows": [3]}, "rows names row 3, but X has 3 rows"),
    ],
)
def test_wrong_paths_and_results_are_refused(wrong, message):
    given = {"image_shape": (2, 3), **wrong}
    with pytest.raises(ValueError, match=message):
        ImageRowDisplay.from_path(path(), **given)
    with pytest.raises(ValueError, match=message):
        ImageRowDisplay.from_results(results(), **given)


@pytest.mark.parametrize("wrong", [{}, [], "latent", {"latent": 3}])
def test_what_is_no_result_is_refused(wrong):
    with pytest.raises(TypeError, match="takes results by their names"):
        ImageRowDisplay.from_results(wrong, (2, 3))
    with pytest.raises(TypeError, match="takes a LatentPath, as interpolate gives it"):
        ImageRowDisplay.from_path(wrong, (2, 3))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"images": np.ones((2, 4))}, "images must be of shape"),
        ({"images": np.ones((0, 2, 4))}, "images must be of shape"),
        ({"image_shape": (2, 3)}, "images must be of shape"),
        ({"image_shape": (4,)}, "images must be of shape"),
        ({"image_shape": (2, 1, 2)}, "images must be of shape"),
        ({"texts": [["a"]]}, "texts must be of shape"),
        ({"arrived": [[True]]}, "arrived must be of shape"),
        ({"line_names": ["a", "b"]}, "line_names must name 1 lines, got 2"),
    ],
)
def test_images_that_do_not_go_together_are_refused(wrong, message):
    given = {"images": np.ones((1, 2, 4)), "image_shape": (2, 2), **wrong}
    with pytest.raises(ValueError, match=message):
        ImageRowDisplay(**given).plot()
