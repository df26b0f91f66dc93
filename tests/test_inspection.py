"""CounterfactualDisplay: what is drawn is what the data say."""

import subprocess
import sys
from itertools import combinations, pairwise

import matplotlib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skcf import FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf._values import shortened
from skcf.datasets import make_recourse_population
from skcf.inspection import CounterfactualDisplay

matplotlib.use("Agg")

BEFORE_AND_AFTER = {
    "age": ([20, 30, 40, 60], [20, 35, 40, 60]),
    "income": ([1000.0, 1500.5, np.nan, 3000.0], [1000.0, 2000.0, np.nan, 3000.0]),
    "job": (["cook", "cook", "clerk", "cook"], ["cook", "clerk", "clerk", "smith"]),
    "member": ([True, False, True, True], [True, True, True, True]),
}
INDEX = ["Ann", "Bob", "Cid", "Dee"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    matplotlib.pyplot.close("all")


def frames(kind="pandas"):
    X, X_cf = (pd.DataFrame({k: v[i] for k, v in BEFORE_AND_AFTER.items()}) for i in (0, 1))
    if kind == "polars":
        return pl.from_pandas(X), pl.from_pandas(X_cf)
    if kind == "numpy":
        return X.to_numpy(dtype=object), X_cf.to_numpy(dtype=object)
    return X.set_axis(INDEX), X_cf.set_axis(INDEX)


def titles(display):
    return [ax.get_title(loc="left") for ax in display.axes_]


def lines(ax):
    """Texts of each line of a panel, from left to right, under the line's name."""
    names = [label.get_text() for label in ax.get_yticklabels()]
    found = {name: [] for name in names}
    for text in (t for t in ax.texts if t.get_text()):
        line = int(text.xy[1])
        if text.xycoords == "data":
            found[names[line]].append((text.get_window_extent().x0, text.get_text()))
    return {name: [text for _, text in sorted(texts)] for name, texts in found.items()}


def remarks(ax):
    return [t.get_text() for t in ax.texts if t.get_style() == "italic"]


def dots(ax, label):
    """Places of the dots before or after, as (x, line)."""
    return next(c for c in ax.collections if c.get_label() == label).get_offsets().tolist()


def boxes(ax):
    """Where each text of a panel is drawn: title, names, values, ticks, legend."""
    ax.figure.canvas.draw()
    texts = [*ax.get_yticklabels(), *ax.get_xticklabels(), *(t for t in ax.texts if t.get_text())]
    titles = [t for t in [ax.title, ax._left_title] if t.get_text()]
    legend = [] if ax.get_legend() is None else ax.get_legend().get_texts()
    return {t.get_text(): t.get_window_extent() for t in [*texts, *titles, *legend]}


@pytest.mark.parametrize("kind", ["pandas", "polars", "numpy"])
def test_values_are_written_in_the_units_of_the_data(kind):
    display = CounterfactualDisplay.from_predictions(*frames(kind), rows=1)
    names = [f"x{j}" for j in range(4)] if kind == "numpy" else list(BEFORE_AND_AFTER)
    assert lines(display.axes_[0]) == {
        names[0]: ["30", "35"],
        names[1]: ["1500", "2000"],
        names[2]: ["cook", "→", "clerk"],
        names[3]: ["False", "→", "True"],
    }


def test_dots_stand_where_the_values_lie_in_the_range_of_their_column():
    display = CounterfactualDisplay.from_predictions(*frames(), rows=1)
    before, after = (dots(display.axes_[0], label) for label in ("before", "after"))
    np.testing.assert_allclose(before, [[(30 - 20) / 40, 0], [500.5 / 2000, 1]])
    np.testing.assert_allclose(after, [[(35 - 20) / 40, 0], [1000 / 2000, 1]])


def test_range_is_of_all_rows_and_widens_where_counterfactuals_go_beyond():
    X = pd.DataFrame({"a": [0.0, 5.0, 10.0]})
    display = CounterfactualDisplay.from_predictions(X, X.assign(a=[0.0, 20.0, 10.0]))
    np.testing.assert_allclose(display.value_range, [[0, 20]])
    np.testing.assert_allclose(dots(display.axes_[0], "after"), [[1, 0]])


def test_a_falling_value_has_its_new_value_on_the_left():
    X = pd.DataFrame({"a": [0, 5, 10]})
    display = CounterfactualDisplay.from_predictions(X, X.replace(10, 2))
    assert lines(display.axes_[0]) == {"a": ["2", "10"]}


def test_first_three_rows_that_change_are_shown_by_default():
    X = pd.DataFrame({"a": np.arange(8)})
    X_cf = X.assign(a=[0, 2, 2, 4, 5, 6, 7, 8])
    display = CounterfactualDisplay.from_predictions(X, X_cf)
    assert titles(display) == ["row 1: 1 change", "row 3: 1 change", "row 4: 1 change"]


@pytest.mark.parametrize(
    "kind, expected", [("pandas", ["Dee", "Bob"]), ("polars", ["3", "1"]), ("numpy", ["3", "1"])]
)
def test_titles_give_the_rows_label_and_the_number_of_changes(kind, expected):
    display = CounterfactualDisplay.from_predictions(*frames(kind), rows=[-1, 1])
    counts = ["1 change", "4 changes"]
    assert titles(display) == [f"row {e}: {c}" for e, c in zip(expected, counts, strict=True)]


def test_titles_give_the_predictions_where_they_are_known():
    y, y_cf = ["no"] * 4, ["no", "yes", "no", "yes"]
    display = CounterfactualDisplay.from_predictions(*frames(), rows=[0, 1], y=y, y_cf=y_cf)
    assert titles(display) == ["row Ann (no): no change", "row Bob (no → yes): 4 changes"]


def test_a_row_without_changes_says_so():
    display = CounterfactualDisplay.from_predictions(*frames(), rows=[0, 2])
    assert titles(display) == ["row Ann: no change", "row Cid: no change"]
    for ax in display.axes_:
        assert remarks(ax) == ["the counterfactual is the row itself"]
        assert not ax.collections


@pytest.mark.parametrize(
    "status, reason",
    [
        ("already_target", "no change needed"),
        ("not_found", "no counterfactual was found"),
        ("infeasible", "the constraints allow none"),
        ("no_group", "belongs to no group"),
    ],
)
def test_a_row_without_counterfactual_says_why(status, reason):
    statuses = ["found", status, "found", "found"]
    display = CounterfactualDisplay.from_predictions(*frames(), rows=[1], status=statuses)
    assert titles(display) == ["row Bob: no change"]
    assert reason in remarks(display.axes_[0])[0]
    default = CounterfactualDisplay.from_predictions(*frames(), status=statuses)
    assert titles(default) == ["row Dee: 1 change"]


def test_where_no_row_changes_the_first_ones_say_so():
    X, _ = frames()
    display = CounterfactualDisplay.from_predictions(X, X.copy())
    assert titles(display) == [f"row {name}: no change" for name in INDEX[:3]]


@pytest.mark.parametrize(
    "missing, dtype", [(np.nan, float), (pd.NA, "Int64"), (None, object), (pd.NaT, object)]
)
def test_missing_values_are_written_as_such(missing, dtype):
    X = pd.DataFrame({"a": pd.Series([missing, 1, missing], dtype=dtype), "b": [1, 2, 3]})
    X_cf = pd.DataFrame({"a": pd.Series([1, missing, missing], dtype=dtype), "b": [1, 2, 4]})
    display = CounterfactualDisplay.from_predictions(X, X_cf)
    assert lines(display.axes_[0]) == {"a": ["missing", "→", "1"]}
    assert lines(display.axes_[1]) == {"a": ["1", "→", "missing"]}
    assert lines(display.axes_[2]) == {"b": ["3", "4"]}


def test_largest_changes_are_drawn_and_the_others_counted():
    X = pd.DataFrame(np.tile([[0.0], [100.0]], 6), columns=list("abcdef"))
    X_cf = X.copy()
    X_cf.iloc[0] = [1, 90, 2, 80, 3, 70]
    display = CounterfactualDisplay.from_predictions(X, X_cf, max_features=2)
    ax = display.axes_[0]
    assert lines(ax) == {"b": ["0", "90"], "d": ["0", "80"]}
    assert remarks(ax) == ["and 4 more changes"]
    assert titles(display) == ["row 0: 6 changes"]
    assert remarks(display.plot(max_features=5).axes_[0]) == ["and 1 more change"]
    assert not remarks(display.plot(max_features=6).axes_[0])


@pytest.mark.parametrize(
    "old, new, texts",
    [
        (0.123456, 0.123457, ["0.123456", "0.123457"]),
        (12345.678, 2.0, ["12346", "2"]),
        (0.5, 1e-7, ["0.5", "1e-07"]),
        (-1.23456, 0.0, ["-1.235", "0"]),
        (1234567890123.0, 1e15, ["1.235e+12", "1e+15"]),
    ],
)
def test_floats_have_few_digits_and_enough_to_tell_them_apart(old, new, texts):
    display = CounterfactualDisplay.from_predictions(np.array([[old]]), np.array([[new]]))
    assert sorted(next(iter(lines(display.axes_[0]).values()))) == sorted(texts)


def test_infinite_values_are_text_and_leave_the_range_finite():
    X = np.array([[0.0], [1.0], [np.inf]])
    display = CounterfactualDisplay.from_predictions(X, np.array([[np.inf], [0.5], [np.inf]]))
    assert lines(display.axes_[0]) == {"x0": ["0", "→", "inf"]}
    np.testing.assert_allclose(dots(display.axes_[1], "after"), [[0.5, 0]])


def test_numbers_that_are_categories_are_written_as_text():
    X = pd.DataFrame({"code": [1, 5, 9], "amount": [1, 2, 3]})
    X_cf = pd.DataFrame({"code": [5, 5, 9], "amount": [2, 2, 3]})
    space = FeatureSpace(categorical_features=["code"]).fit(X)
    display = CounterfactualDisplay.from_predictions(X, X_cf, feature_space=space)
    assert lines(display.axes_[0]) == {"code": ["1", "→", "5"], "amount": ["1", "2"]}


def test_frames_of_different_libraries_are_compared_by_value():
    display = CounterfactualDisplay.from_predictions(frames()[0], frames("polars")[1])
    assert titles(display) == ["row Bob: 4 changes", "row Dee: 1 change"]


def crowded():
    """Rows with long names, long categories, long numbers and changes at both ends."""
    columns = {
        "a_name_that_is_long_and_has_no_place_to_break_it_at_all_really": ([1.0, 2.0], [2.0, 1.0]),
        "wealth of a whole country": ([1, 123456789012], [123456789012, 1]),
        "credit history": (
            ["existing credits paid back duly till now", "none"],
            ["all credits at this bank paid back duly", "no credits taken, or all paid back"],
        ),
        "nearly nothing": ([0.1234561, 0.5], [0.1234562, 0.5000001]),
        "word": (["Donaudampfschifffahrtsgesellschaft", "x"], ["y", "Wirtschaftsprüferkammer"]),
    }
    return (pd.DataFrame({k: v[i] for k, v in columns.items()}) for i in (0, 1))


@pytest.mark.parametrize("max_features", [3, 10])
def test_no_text_covers_another(max_features):
    X, X_cf = crowded()
    display = CounterfactualDisplay.from_predictions(
        X, X_cf, y=["refused"] * 2, y_cf=["granted"] * 2, max_features=max_features
    )
    found = [(ax, text, box) for ax in display.axes_ for text, box in boxes(ax).items()]
    for (_, text, box), (_, other, other_box) in combinations(found, 2):
        assert not box.padded(-1).overlaps(other_box.padded(-1)), (text, other)
    width, height = display.figure_.canvas.get_width_height()
    for _, text, box in found:
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text


def test_panels_share_the_place_of_their_axes():
    display = CounterfactualDisplay.from_predictions(*crowded())
    ends = [ax.transData.transform([(0, 0), (1, 0)])[:, 0] for ax in display.axes_]
    for one, other in pairwise(ends):
        np.testing.assert_allclose(one, other)


def test_given_axes_are_used():
    figure, axes = matplotlib.pyplot.subplots(1, 2)
    display = CounterfactualDisplay.from_predictions(*frames(), ax=axes)
    assert display.axes_.tolist() == axes.tolist()
    assert display.figure_ is figure


def test_one_axes_is_divided_among_the_rows():
    figure, (left, right) = matplotlib.pyplot.subplots(1, 2)
    display = CounterfactualDisplay.from_predictions(*frames(), ax=right)
    assert len(display.axes_) == 2
    assert display.figure_ is figure
    edge = left.get_position().x1
    assert all(ax.get_position().x0 > edge for ax in display.axes_)


def test_one_axes_serves_one_row_as_it_is():
    figure = matplotlib.pyplot.figure()
    ax = figure.add_axes((0.3, 0.1, 0.6, 0.8))
    display = CounterfactualDisplay.from_predictions(*frames(), rows=1, ax=ax)
    assert display.axes_.tolist() == [ax]


def test_subfigures_are_drawn_into():
    figure = matplotlib.pyplot.figure(layout="constrained")
    ax = figure.subfigures(1, 2)[1].subplots()
    display = CounterfactualDisplay.from_predictions(*frames(), ax=ax)
    assert titles(display) == ["row Bob: 4 changes", "row Dee: 1 change"]


def test_wrong_number_of_axes_is_refused():
    _, axes = matplotlib.pyplot.subplots(3)
    with pytest.raises(ValueError, match="ax has 3 Axes, but there are 2 rows"):
        CounterfactualDisplay.from_predictions(*frames(), ax=axes)


def test_axes_outside_of_a_grid_cannot_be_divided():
    ax = matplotlib.pyplot.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    with pytest.raises(ValueError, match="give an Axes for each row"):
        CounterfactualDisplay.from_predictions(*frames(), ax=ax)


@pytest.mark.parametrize("rows", [4, [0, 4], [-5]])
def test_rows_that_are_not_there_are_refused(rows):
    with pytest.raises(ValueError, match=r"rows names row -?[45], but X has 4 rows"):
        CounterfactualDisplay.from_predictions(*frames(), rows=rows)


@pytest.mark.parametrize("rows", ["Ann", [], [0.5], [[0, 1]], [True, False, True, True]])
def test_rows_that_are_no_positions_are_refused(rows):
    with pytest.raises(ValueError, match="rows must be the position of a row, or a list"):
        CounterfactualDisplay.from_predictions(*frames(), rows=rows)


def test_different_shapes_are_refused():
    X, X_cf = frames()
    with pytest.raises(ValueError, match=r"must have the same shape; got \(4, 4\) and \(3, 4\)"):
        CounterfactualDisplay.from_predictions(X, X_cf.iloc[1:])
    with pytest.raises(ValueError, match=r"must have the same shape; got \(4, 4\) and \(4, 3\)"):
        CounterfactualDisplay.from_predictions(X, X_cf.drop(columns="age"))


def test_different_columns_are_refused():
    X, X_cf = frames()
    with pytest.raises(ValueError, match="must have the same columns"):
        CounterfactualDisplay.from_predictions(X, X_cf.rename(columns={"age": "years"}))


@pytest.mark.parametrize("name", ["y", "y_cf", "status"])
def test_values_that_are_not_one_a_row_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must have one value for each of the 4 rows"):
        CounterfactualDisplay.from_predictions(*frames(), **{name: ["a"] * 3})


@pytest.mark.parametrize("max_features", [0, 1.5, "all"])
def test_max_features_must_be_a_number_of_features(max_features):
    with pytest.raises(ValueError, match="max_features"):
        CounterfactualDisplay.from_predictions(*frames(), max_features=max_features)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = X.iloc[:150, :12], y.iloc[:150].map({0: "malignant", 1: "benign"})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    explainer = NearestExplainer(model, target_class="benign").fit(X, model.predict(X))
    return explainer, X


def test_estimator_is_drawn_as_its_result(cancer):
    explainer, X = cancer
    display = CounterfactualDisplay.from_estimator(explainer, X, rows=[0, 4], max_features=30)
    changes = explainer.explain(X.iloc[[0, 4]]).changes()
    for row, ax in zip([0, 4], display.axes_, strict=True):
        of_row = changes[changes["row"] == row]
        assert [t.get_text() for t in ax.get_yticklabels()] == of_row["feature"].tolist()
        column = X[of_row["feature"]]
        low, extent = column.min().to_numpy(), (column.max() - column.min()).to_numpy()
        for label in ("before", "after"):
            x = (of_row[label].to_numpy(dtype=float) - low) / extent
            np.testing.assert_allclose(np.array(dots(ax, label))[:, 0], x)


def test_only_the_chosen_rows_are_explained(cancer):
    explainer, X = cancer
    asked = []

    class Counting(NearestExplainer):
        def explain(self, X):
            asked.append(len(X))
            return super().explain(X)

    counting = Counting(explainer.estimator_, target_class="benign").fit(X)
    CounterfactualDisplay.from_estimator(counting, X, rows=[5])
    assert asked == [1]


@pytest.mark.parametrize("rows", [None, [0, 1, 2]])
def test_estimator_and_predictions_give_the_same_picture(cancer, rows):
    explainer, X = cancer
    result = explainer.explain(X)
    one = CounterfactualDisplay.from_estimator(explainer, X, rows=rows)
    other = CounterfactualDisplay.from_predictions(X, result.X_cf, rows=rows, y=result.y)
    for ax, ax_other in zip(one.axes_, other.axes_, strict=True):
        assert lines(ax) == lines(ax_other)
    assert titles(one)[0] == f"row 0 (malignant → benign): {result.n_changes[0]} changes"


@pytest.mark.parametrize("kind", ["pandas", "polars", "numpy"])
def test_estimators_of_every_container_are_drawn(cancer, kind):
    X, y = cancer[1], cancer[0].estimator_.predict(cancer[1])
    rows = {"pandas": X, "polars": pl.from_pandas(X), "numpy": X.to_numpy()}[kind]
    tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(rows, y)
    explainer = NearestExplainer(tree, target_class="benign").fit(rows)
    display = CounterfactualDisplay.from_estimator(explainer, rows, rows=[0])
    n_changes = explainer.explain(rows[:1]).n_changes[0]
    changes = "1 change" if n_changes == 1 else f"{n_changes} changes"
    assert titles(display) == [f"row 0 (malignant → benign): {changes}"]


def test_infeasible_people_are_named_as_such():
    people = make_recourse_population(100, random_state=0)
    explainer = NearestExplainer(people.classifier, feature_space=people.feature_space)
    explainer.fit(people.X)
    rows = np.flatnonzero(people.infeasible)[:1]
    with pytest.warns(InvalidCounterfactualWarning, match="1 infeasible"):
        display = CounterfactualDisplay.from_estimator(explainer, people.X, rows=rows)
    assert titles(display) == [f"row {rows[0]} (rejected): no change"]
    assert remarks(display.axes_[0]) == ["no counterfactual: the constraints allow none"]


def test_categories_by_declaration_are_text_from_the_estimator_too():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"code": rng.randint(0, 4, 60), "a": rng.randint(0, 9, 60)})
    model = DecisionTreeClassifier(random_state=0).fit(X, X["code"] == 2)
    space = FeatureSpace(categorical_features=["code"], immutable_features=["a"])
    explainer = NearestExplainer(model, target_class=True, feature_space=space).fit(X)
    row = int(np.flatnonzero(X["code"] == 1)[0])
    display = CounterfactualDisplay.from_estimator(explainer, X, rows=row)
    assert lines(display.axes_[0]) == {"code": ["1", "→", "2"]}


def test_what_is_no_explainer_is_refused(cancer):
    explainer, X = cancer
    pipeline = make_pipeline(StandardScaler(), explainer)
    with pytest.raises(TypeError, match=r"takes a fitted explainer.*got Pipeline"):
        CounterfactualDisplay.from_estimator(pipeline, X)
    with pytest.raises(TypeError, match="got LogisticRegression"):
        CounterfactualDisplay.from_estimator(LogisticRegression(), X)


def test_an_explainer_that_is_not_fitted_is_refused(cancer):
    with pytest.raises(NotFittedError):
        CounterfactualDisplay.from_estimator(NearestExplainer(), cancer[1])


def test_inputs_are_not_written_to(cancer):
    explainer, X = cancer
    X = X.iloc[:20].copy()
    before = X.copy()
    CounterfactualDisplay.from_estimator(explainer, X)
    pd.testing.assert_frame_equal(X, before)
    arrays = [frame.to_numpy(dtype=object) for frame in frames()]
    kept = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    CounterfactualDisplay.from_predictions(*arrays)
    for array, copy in zip(arrays, kept, strict=True):
        assert repr(array.tolist()) == repr(copy.tolist())


def test_display_can_be_made_of_its_data_alone():
    display = CounterfactualDisplay(X=frames()[0], X_cf=frames()[1])
    assert not hasattr(display, "axes_")
    assert display.plot() is display
    assert titles(display) == [
        "row 0: no change",
        "row 1: 4 changes",
        "row 2: no change",
        "row 3: 1 change",
    ]


def test_shortened_text_keeps_its_ends():
    assert shortened("short", 10) == "short"
    assert shortened("abcdefghijklmno", 9) == "abcd…lmno"
    assert len(shortened("x" * 100, 24)) == 24


def test_matplotlib_is_imported_on_plotting_only():
    code = "import sys, skcf.inspection; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
