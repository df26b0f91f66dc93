"""GroupTranslationDisplay: what is drawn is what the explainer says."""

import matplotlib.pyplot
import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.colors import to_rgba
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skcf import FeatureSpace
from skcf.inspection import GroupTranslationDisplay

matplotlib.use("Agg")

NAMES = ["length", "width", "count"]
CENTRES = np.array([[0.0, 0.0, 2.0], [4.0, 0.0, 2.0], [0.0, 3.0, 8.0]])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    matplotlib.pyplot.close("all")


class Translations(BaseEstimator):
    """Has what a display asks of an explainer of groups."""

    def __init__(self, n_outputs=2, labels=("ant", "bee", "cat"), space=None):
        self.n_outputs = n_outputs
        self.labels = labels
        self.space = space

    def fit(self, X, y=None):
        self.feature_space_ = (self.space or FeatureSpace()).fit(X)
        self.classes_ = np.array(self.labels)
        rng = np.random.default_rng(0)
        self.correctness_, self.coverage_ = rng.uniform(size=(2, 3, 3))
        for shares in (self.correctness_, self.coverage_):
            np.fill_diagonal(shares, np.nan)
        return self

    def translation(self, origin, target):
        labels = list(self.labels)
        return CENTRES[labels.index(target)] - CENTRES[labels.index(origin)]

    def represent(self, X):
        Z = self.feature_space_.transform(X)
        return Z @ np.array([[1.0, 0.5], [-0.2, 1.0], [0.1, 0.3]])[:, : self.n_outputs]

    def assign(self, X):
        Z = self.feature_space_.transform(X)
        distances = np.linalg.norm(Z[:, None] - CENTRES, axis=2)
        labels = self.classes_.astype(object)[distances.argmin(axis=1)]
        return np.where(distances.min(axis=1) < 3, labels, -1)


def rows(kind="pandas"):
    """Ten rows of each group, and two of none."""
    rng = np.random.default_rng(0)
    near = np.repeat(CENTRES, 10, axis=0) + rng.uniform(-0.5, 0.5, (30, 3))
    values = np.vstack([near, [[20.0, 20.0, 20.0], [-20.0, 0.0, 0.0]]])
    X = pd.DataFrame(values, columns=NAMES)
    X["count"] = X["count"].round().astype(int)
    X.index += 100
    if kind == "array":
        return X.to_numpy()
    return pl.from_pandas(X) if kind == "polars" else X


@pytest.fixture
def explainer():
    return Translations().fit(rows())


def drawn(explainer, **options):
    return GroupTranslationDisplay.from_estimator(explainer, **options)


def test_stems_end_where_the_changes_are(explainer):
    display = drawn(explainer, origin="bee", target="cat")
    delta = CENTRES[2] - CENTRES[1]
    np.testing.assert_array_equal(display.dots_.get_offsets(), np.column_stack([range(3), delta]))
    ends = [[[j, 0], [j, change]] for j, change in enumerate(delta)]
    np.testing.assert_array_equal(display.stems_.get_segments(), ends)
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == NAMES
    assert display.ax_.get_title() == "bee → cat"


def test_features_that_stay_have_no_dot(explainer):
    display = drawn(explainer, origin="ant", target="bee")
    np.testing.assert_array_equal(display.dots_.get_offsets(), [[0, 4]])
    assert display.ax_.get_xlim() == (-0.5, 2.5)


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, ("ant", "bee")),
        ({"target": "ant"}, ("bee", "ant")),
        ({"origin": "cat"}, ("cat", "ant")),
        ({"origin": "bee", "target": "cat"}, ("bee", "cat")),
    ],
)
def test_groups_that_are_not_named_are_the_first(explainer, given, expected):
    display = drawn(explainer, **given)
    assert (display.origin, display.target) == expected


def test_among_many_features_the_largest_changes_are_named():
    delta = np.zeros(1000)
    delta[[10, 12, 500, 900]] = 1.0, -3.0, 2.0, 0.5
    display = GroupTranslationDisplay(groups=[0, 1], origin=0, target=1, translation=delta).plot()
    assert display.ax_.get_xticks().tolist() == [12, 500, 900]
    texts = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert texts == ["x12", "x500", "x900"]
    assert len(display.dots_.get_offsets()) == 4


def test_a_translation_by_nothing_is_a_line():
    display = GroupTranslationDisplay(groups=[0, 1], origin=0, target=1, translation=[0, 0]).plot()
    assert len(display.dots_.get_offsets()) == 0
    assert display.stems_.get_segments() == []


def test_cells_are_the_shares_of_the_pairs(explainer):
    display = drawn(explainer, kind="heatmap")
    shares = explainer.correctness_, explainer.coverage_
    for ax, image, texts, share in zip(
        display.axes_, display.images_, display.texts_, shares, strict=True
    ):
        np.testing.assert_array_equal(image.get_array().filled(np.nan), share)
        assert (image.norm.vmin, image.norm.vmax) == (0, 1)
        assert image.axes is ax
        for i, j in np.ndindex(3, 3):
            if i == j:
                assert texts[i, j] is None
            else:
                assert float(texts[i, j].get_text()) == pytest.approx(share[i, j], abs=0.005)
                assert texts[i, j].get_position() == (j, i)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("to", "from")
        assert [text.get_text() for text in ax.get_yticklabels()] == list(explainer.labels)
    titles = [ax.get_title() for ax in display.axes_]
    means = [np.nanmean(share) for share in shares]
    assert titles == [f"correctness (mean {means[0]:.2f})", f"coverage (mean {means[1]:.2f})"]


def test_text_can_be_read_on_its_cell(explainer):
    explainer.correctness_[0, 1:] = 1.0, 0.0
    display = drawn(explainer, kind="heatmap")
    dark, light = display.texts_[0][0, 1:]
    image = display.images_[0]
    for text, share in ((dark, 1.0), (light, 0.0)):
        background = np.dot(image.cmap(image.norm(share))[:3], [0.3, 0.6, 0.1])
        foreground = np.dot(to_rgba(text.get_color())[:3], [0.3, 0.6, 0.1])
        assert abs(background - foreground) > 0.5
    assert dark.get_text() == "1.00"
    assert light.get_text() == ".00"


@pytest.mark.parametrize("n", [2, 18])
@pytest.mark.parametrize("is_given", [False, True])
def test_text_fits_into_its_cell(n, is_given):
    shares = np.full((n, n), 0.88)
    axes = matplotlib.pyplot.subplots(1, 2, figsize=(5, 2.5))[1] if is_given else None
    display = GroupTranslationDisplay(
        groups=list(range(n)), origin=0, target=1, correctness=shares, coverage=shares
    ).plot(kind="heatmap", ax=axes)
    display.figure_.draw_without_rendering()
    for ax, texts in zip(display.axes_, display.texts_, strict=True):
        width = ax.get_window_extent().width / n
        assert max(text.get_window_extent().width for text in texts.ravel()) < width


def test_no_shares_at_all_are_an_empty_heatmap():
    nothing = np.full((2, 2), np.nan)
    display = GroupTranslationDisplay(
        groups=[0, 1], origin=0, target=1, correctness=nothing, coverage=nothing
    ).plot(kind="heatmap")
    assert [ax.get_title() for ax in display.axes_] == ["correctness", "coverage"]
    assert all(text is None for texts in display.texts_ for text in texts.ravel())


@pytest.mark.parametrize("kind", ["pandas", "polars", "array"])
def test_rows_stand_where_they_are_represented_before_and_after(kind):
    X = rows(kind)
    explainer = Translations().fit(X)
    display = drawn(explainer, X=X, kind="scatter", origin="ant", target="cat")
    places = explainer.represent(X)
    np.testing.assert_array_equal(display.rows_.get_offsets(), places)
    np.testing.assert_array_equal(display.before_.get_offsets(), places[:10])
    moved = display.after_.get_offsets() - places[:10]
    delta = CENTRES[2] - CENTRES[0]
    expected = delta @ np.array([[1.0, 0.5], [-0.2, 1.0], [0.1, 0.3]])
    np.testing.assert_allclose(moved, np.tile(expected, (10, 1)), atol=1e-12)
    title = display.ax_.get_title()
    assert title.startswith("ant → cat: correctness ")
    assert f"coverage {explainer.coverage_[0, 2]:.2f}" in title


def test_moved_rows_keep_the_constraints():
    X = rows()
    space = FeatureSpace(immutable_features=["width"], permitted_range={"count": (0, 5)})
    explainer = Translations(space=space).fit(X)
    display = drawn(explainer, X=X, kind="scatter", origin="ant", target="cat")
    after = X.iloc[:10].assign(count=5)
    np.testing.assert_allclose(display.after_.get_offsets(), explainer.represent(after))


def test_colours_tell_groups_apart_and_rows_of_none_are_grey(explainer):
    display = drawn(explainer, X=rows(), kind="scatter")
    colours = display.rows_.get_facecolors()[:, :3]
    own = [np.unique(colours[10 * k : 10 * k + 10], axis=0) for k in range(3)]
    assert [len(colour) for colour in own] == [1, 1, 1]
    assert len(np.unique(np.vstack(own), axis=0)) == 3
    grey = np.unique(colours[30:], axis=0)
    assert grey.shape == (1, 3)
    assert np.ptp(grey) == 0
    names = {text.get_text(): text.xy for text in display.ax_.texts}
    places = explainer.represent(rows())
    assert names.keys() == set(explainer.labels)
    bees = places[10:20]
    assert names["bee"] == (np.median(bees[:, 0]), np.quantile(bees[:, 1], 0.95))


def test_with_one_output_each_group_has_a_line():
    X = rows()
    explainer = Translations(n_outputs=1).fit(X)
    display = drawn(explainer, X=X, kind="scatter", origin="ant", target="bee")
    np.testing.assert_array_equal(
        display.rows_.get_offsets()[:, 1], np.append(np.repeat([0, 1, 2], 10), [-1, -1])
    )
    assert set(display.before_.get_offsets()[:, 1]) == {0}
    assert set(display.after_.get_offsets()[:, 1]) == {1}
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == list(explainer.labels)


def test_numbers_may_name_groups():
    X = rows()
    explainer = Translations(labels=(0, 1, 2)).fit(X)
    display = drawn(explainer, X=X, kind="scatter", origin=2, target=0)
    assert len(display.before_.get_offsets()) == 10
    assert display.groups == [0, 1, 2]


def test_rows_are_not_written_to(explainer):
    X = rows()
    drawn(explainer, X=X, kind="scatter")
    pd.testing.assert_frame_equal(X, rows())


def test_one_display_draws_every_kind_that_it_has_data_for(explainer):
    display = drawn(explainer, X=rows())
    for kind, n in (("heatmap", 2), ("scatter", 1), ("stem", 1)):
        assert display.plot(kind=kind) is display
        assert len(display.axes_) == n
    with pytest.raises(ValueError, match=r"\['places', 'members', 'before', 'after'\] are not"):
        drawn(explainer).plot(kind="scatter")


@pytest.mark.parametrize("kind", ["stem", "scatter"])
def test_the_axes_given_are_used(explainer, kind):
    figure, ax = matplotlib.pyplot.subplots()
    display = drawn(explainer, X=rows(), kind=kind, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure


def test_a_heatmap_takes_two_axes_or_divides_one(explainer):
    _, axes = matplotlib.pyplot.subplots(1, 2)
    display = drawn(explainer, kind="heatmap", ax=axes)
    assert display.axes_.tolist() == axes.tolist()
    figure, (left, right) = matplotlib.pyplot.subplots(1, 2)
    display = drawn(explainer, kind="heatmap", ax=right)
    assert display.figure_ is figure
    assert all(ax.get_position().x0 > left.get_position().x1 for ax in display.axes_)
    alone = matplotlib.pyplot.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    with pytest.raises(ValueError, match="give 2 of them"):
        drawn(explainer, kind="heatmap", ax=alone)
    with pytest.raises(ValueError, match="ax has 2 Axes, but this kind takes 1"):
        drawn(explainer, kind="stem", ax=axes)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"kind": "pie"}, "kind must be one of"),
        ({"origin": "dog"}, "origin must be one of the groups"),
        ({"target": 3}, "target must be one of the groups"),
        ({"origin": "bee", "target": "bee"}, "must be different groups, got 'bee' for both"),
        ({"kind": "scatter"}, "X must be given"),
        ({"kind": "scatter", "X": rows().iloc[10:]}, "No row of X is in the group 'ant'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(explainer, wrong, message):
    with pytest.raises(ValueError, match=message):
        drawn(explainer, **wrong)


def test_what_has_no_translations_is_refused():
    with pytest.raises(TypeError, match="which has translations; got FeatureSpace"):
        drawn(FeatureSpace())
    with pytest.raises(NotFittedError):
        drawn(Translations())
