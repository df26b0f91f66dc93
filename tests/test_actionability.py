"""ActionabilityDisplay: the shares, sizes and switches that are drawn are those of the result."""

from itertools import combinations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import FeatureSpace, NearestExplainer
from skcf._result import CounterfactualResult
from skcf.inspection import ActionabilityDisplay

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def result_of(X, X_cf, status=None, y=None):
    n = len(X)
    return CounterfactualResult(
        X=X,
        X_cf=X_cf,
        y=np.repeat("no", n) if y is None else np.asarray(y),
        y_cf=np.repeat("yes", n),
        status=np.array(["found"] * n if status is None else status, dtype="<U14"),
        cost=np.ones(n),
        n_changes=np.ones(n, int),
        n_queries=np.ones(n, int),
    )


X = pd.DataFrame(
    {
        "age": [20, 30, 40, 60],
        "income": [1000.0, 1500.5, np.nan, 3000.0],
        "job": ["cook", "cook", "clerk", "cook"],
        "member": [True, False, True, True],
        "region": ["n", "s", "n", "s"],
    }
)
X_CF = X.assign(
    age=[21, 33, 40, 66],
    income=[1000.0, 1000.5, 50.0, 3000.0],
    job=["clerk", "clerk", "clerk", "smith"],
    member=[True, True, True, True],
)


def names(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def shares(display):
    return [bar.get_width() for bar in display.bars_]


def spans(lines):
    """Ends of the bars of sizes, as {line: (from, to)}."""
    return {int(s[0, 1]): tuple(s[:, 0].tolist()) for s in lines.get_segments()}


def written(display):
    """Texts of the panel of sizes, under the line that they stand on."""
    names_of = names(display)
    found = {}
    for text in display.size_ax_.texts:
        if text.xy[1] == int(text.xy[1]):
            found.setdefault(names_of[int(text.xy[1])], []).append(text.get_text())
    return found


def as_kind(frame, kind):
    if kind == "polars":
        return pytest.importorskip("polars").from_pandas(frame)
    return frame.to_numpy(dtype=object) if kind == "numpy" else frame


@pytest.mark.parametrize("kind", ["pandas", "polars", "numpy"])
def test_shares_are_those_of_the_counterfactuals(kind):
    result = result_of(as_kind(X, kind), as_kind(X_CF, kind))
    display = ActionabilityDisplay.from_result(result)
    called = [f"x{j}" for j in range(4)] if kind == "numpy" else list(X)[:4]
    order = [0, 2, 1, 3]  # the most often changed first, then as the columns stand
    assert names(display) == [called[j] for j in order]
    assert shares(display) == [0.75, 0.75, 0.5, 0.25]
    labels = [t.get_text() for t in display.ax_.texts]
    assert labels == ["75 %", "75 %", "50 %", "25 %"]
    assert display.ax_.get_xlabel() == "share of 4 counterfactuals"


def test_sizes_are_on_the_scale_of_the_range():
    display = ActionabilityDisplay.from_result(result_of(X, X_CF))
    sizes = np.array([1, 3, 6]) / (66 - 20)
    assert spans(display.quartiles_)[0] == pytest.approx(tuple(np.quantile(sizes, [0.25, 0.75])))
    assert spans(display.tails_)[0] == pytest.approx(tuple(np.quantile(sizes, [0.05, 0.95])))
    places = display.medians_.get_offsets()
    np.testing.assert_allclose(places, [[3 / 46, 0], [-500 / 2950, 2]])
    assert written(display)["age"] == ["+3"]
    assert written(display)["income"] == ["−500"]
    assert display.size_ax_.get_xlabel() == "change (1: the range of the feature)"


def test_switches_are_written_the_commonest_first():
    display = ActionabilityDisplay.from_result(result_of(X, X_CF))
    assert written(display)["job"] == ["cook → clerk, 67 %\ncook → smith, 33 %"]
    assert written(display)["member"] == ["False → True, 100 %"]
    many = pd.DataFrame({"a": list("uuuvvw")})
    display = ActionabilityDisplay.from_result(result_of(many, many + "x"))
    assert written(display)["a"] == ["u → ux, 50 %\nv → vx, 33 %"]
    assert display.switches[0][2] == ("w", "wx", pytest.approx(1 / 6))


def test_change_from_a_missing_number_counts_but_has_no_size():
    frame = pd.DataFrame({"a": [np.nan, 1.0], "b": [np.nan, np.nan]})
    display = ActionabilityDisplay.from_result(
        result_of(frame, frame.assign(a=5.0, b=[1.0, np.nan]))
    )
    assert shares(display) == [1.0, 0.5]
    assert written(display) == {"a": ["+4"], "b": ["only from missing values, or to them"]}


def test_change_from_a_missing_category_is_a_switch():
    frame = pd.DataFrame({"a": ["x", None]})
    display = ActionabilityDisplay.from_result(result_of(frame, frame.assign(a="y")))
    assert written(display)["a"] == ["x → y, 50 %\nmissing → y, 50 %"]


@pytest.mark.parametrize("scale, name", [("range", "range"), ("std", "standard deviation")])
def test_scale_is_that_of_the_feature_space(scale, name):
    rows = X.dropna()
    space = FeatureSpace(scale=scale).fit(rows.assign(age=[0, 0, 300]))
    display = ActionabilityDisplay.from_result(result_of(X, X_CF), feature_space=space)
    unit = 300 if scale == "range" else np.std([0, 0, 300])
    assert display.medians_.get_offsets()[0, 0] == pytest.approx(3 / unit)
    assert display.size_ax_.get_xlabel() == f"change (1: the {name} of the feature)"


def test_numbers_that_are_categories_are_switches():
    frame = pd.DataFrame({"code": [1, 5, 9]})
    space = FeatureSpace(categorical_features=["code"]).fit(frame)
    result = result_of(frame, frame.assign(code=[5, 5, 1]))
    display = ActionabilityDisplay.from_result(result, feature_space=space)
    assert written(display)["code"] == ["1 → 5, 50 %\n9 → 1, 50 %"]


@pytest.mark.parametrize("kind", ["pandas", "numpy"])
def test_one_hot_groups_are_one_feature(kind):
    eye = np.eye(3)
    rows, rows_cf = eye[[0, 0, 1, 2, 2]], np.vstack([eye[[1, 2, 1, 0]], np.zeros(3)])
    frame, frame_cf = (
        pd.DataFrame(np.column_stack([r, np.arange(5)]), columns=["job_a", "job_b", "job_c", "age"])
        for r in (rows, rows_cf)
    )
    both = pd.concat([frame, frame_cf])
    frame, frame_cf, both = (
        f if kind == "pandas" else f.to_numpy() for f in (frame, frame_cf, both)
    )
    space = FeatureSpace(onehot_groups=[[0, 1, 2]]).fit(both)
    result = result_of(frame, frame_cf)
    display = ActionabilityDisplay.from_result(result, feature_space=space)
    assert shares(display) == [0.8]
    name, labels = ("job", "abc") if kind == "pandas" else ("x0|x1|x2", ("x0", "x1", "x2"))
    assert names(display) == [name]
    pairs = [(old, new) for old, new, _ in display.switches[0]]
    a, b, c = labels
    assert pairs == [(a, b), (a, c), (c, a), (c, "none of them")]


def test_only_counterfactuals_that_were_found_count():
    status = ["found", "not_found", "infeasible", "already_target"]
    display = ActionabilityDisplay.from_result(result_of(X, X_CF, status))
    assert names(display) == ["age", "job"]
    assert shares(display) == [1.0, 1.0]
    assert display.ax_.get_xlabel() == "share of 1 counterfactual"


def test_rows_of_one_class_can_be_asked_for():
    result = result_of(X, X_CF, y=["a", "b", "b", "b"])
    display = ActionabilityDisplay.from_result(result, source_class="a")
    assert dict(zip(names(display), shares(display), strict=True)) == {"age": 1.0, "job": 1.0}
    with pytest.raises(ValueError, match="no counterfactual that was found for rows of class 'c'"):
        ActionabilityDisplay.from_result(result, source_class="c")


def test_features_beyond_the_most_frequent_are_counted():
    display = ActionabilityDisplay.from_result(result_of(X, X_CF), max_features=2)
    assert names(display) == ["age", "job"]
    assert display.ax_.get_xlabel().endswith("\n(2 more features with changes)")
    display.plot(max_features=3)
    assert display.ax_.get_xlabel().endswith("\n(1 more feature with changes)")
    assert "more" not in display.plot(max_features=4).ax_.get_xlabel()


def test_small_and_large_shares_are_not_rounded_away():
    rows = np.zeros((1000, 2))
    rows_cf = rows.copy()
    rows_cf[0, 0] = rows_cf[1:, 1] = 1
    display = ActionabilityDisplay.from_result(result_of(rows, rows_cf))
    assert [t.get_text() for t in display.ax_.texts] == ["> 99 %", "< 1 %"]


def test_a_result_without_changes_is_drawn_empty():
    display = ActionabilityDisplay.from_result(result_of(X, X.copy()))
    assert names(display) == []
    assert shares(display) == []


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(80, 4)), columns=list("abcd"))
    rows["n"] = rng.integers(0, 9, 80)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(rows, np.where(rows["a"] + rows["n"] / 4 > 1, "in", "out"))
    return NearestExplainer(model, target_class="in").fit(rows), rows


def test_estimator_is_drawn_as_its_result(fitted):
    explainer, rows = fitted
    display = ActionabilityDisplay.from_estimator(explainer, rows)
    result = explainer.explain(rows)
    changes = result.changes()
    n_found = (result.status == "found").sum()
    counted = changes["feature"].value_counts() / n_found
    drawn = dict(zip(names(display), shares(display), strict=True))
    assert drawn == pytest.approx(counted.to_dict())
    for line, name in enumerate(names(display)):
        moved = changes[changes["feature"] == name]
        sizes = (moved["after"] - moved["before"]).astype(float)
        unit = rows[name].max() - rows[name].min()
        place = display.medians_.get_offsets()[line]
        np.testing.assert_allclose(place, [sizes.median() / unit, line])


def test_what_is_no_explainer_or_result_is_refused(fitted):
    explainer, rows = fitted
    with pytest.raises(TypeError, match=r"takes a fitted explainer.*got Pipeline"):
        ActionabilityDisplay.from_estimator(make_pipeline(StandardScaler(), explainer), rows)
    with pytest.raises(TypeError, match="takes a CounterfactualResult; got DataFrame"):
        ActionabilityDisplay.from_result(rows)
    with pytest.raises(NotFittedError):
        ActionabilityDisplay.from_estimator(NearestExplainer(), rows)
    with pytest.raises(ValueError, match="no counterfactual that was found"):
        ActionabilityDisplay.from_result(result_of(X, X_CF, ["not_found"] * 4))


def test_feature_space_must_be_fitted_on_these_columns():
    result = result_of(X, X_CF)
    with pytest.raises(NotFittedError):
        ActionabilityDisplay.from_result(result, feature_space=FeatureSpace())
    with pytest.raises(ValueError, match="fitted on 2 columns, but the result has 5"):
        ActionabilityDisplay.from_result(
            result, feature_space=FeatureSpace().fit(X[["age", "member"]])
        )


@pytest.mark.parametrize("max_features", [0, 1.5, "all"])
def test_max_features_must_be_a_number_of_features(max_features):
    with pytest.raises(ValueError, match="max_features"):
        ActionabilityDisplay.from_result(result_of(X, X_CF), max_features=max_features)


def test_two_axes_are_used_and_one_is_divided():
    figure, axes = plt.subplots(1, 2)
    display = ActionabilityDisplay.from_result(result_of(X, X_CF), ax=axes)
    assert [display.ax_, display.size_ax_] == axes.tolist()
    assert display.figure_ is figure
    figure, (left, right) = plt.subplots(1, 2)
    display.plot(ax=right)
    assert display.figure_ is figure
    edges = [ax.get_position().x0 for ax in (left, display.ax_, display.size_ax_)]
    assert edges == sorted(edges)
    with pytest.raises(ValueError, match="one Axes, or two; got 3"):
        display.plot(ax=plt.subplots(3)[1])
    with pytest.raises(ValueError, match="give two"):
        display.plot(ax=plt.figure().add_axes((0.1, 0.1, 0.8, 0.8)))


def test_display_can_be_made_of_its_data_alone():
    display = ActionabilityDisplay(
        feature_names=["a", "b"],
        share=[0.2, 0.5],
        sizes=[[1.0, 2.0, 9.0], None],
        scale=[4.0, np.nan],
        switches=[[], [("x", "y", 1.0)]],
        n_counterfactuals=10,
    )
    assert not hasattr(display, "ax_")
    assert display.plot() is display
    assert names(display) == ["b", "a"]
    np.testing.assert_allclose(display.medians_.get_offsets(), [[0.5, 1]])


def crowded():
    """Long names and categories, and changes at both ends."""
    n = 12
    names = [
        "a_name_that_is_long_and_has_no_place_to_break_it_at_all_really",
        "wealth of a whole country",
        "credit history",
        "word",
    ]
    before = [np.arange(n) * 1.0, np.arange(n) * 10**11]
    before += [np.repeat("existing credits paid back duly till now", n), np.repeat("x", n)]
    after = [np.arange(n) - 30.0, np.arange(n) * 10**11 + 10**12]
    after += [
        np.repeat("all credits at this bank paid back duly", n),
        np.array(["y" * 40, "z"] * 6),
    ]
    return (pd.DataFrame(dict(zip(names, columns, strict=True))) for columns in (before, after))


def test_no_text_covers_another():
    display = ActionabilityDisplay.from_result(result_of(*crowded()), max_features=3)
    display.plot(max_features=4)
    display.figure_.canvas.draw()
    found = []
    for ax in (display.ax_, display.size_ax_):
        texts = [*ax.texts, *ax.get_yticklabels(), *ax.get_xticklabels()]
        texts += [ax._left_title, ax.xaxis.label]
        found += [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]
    for (text, box), (other, other_box) in combinations(found, 2):
        assert not box.padded(-1).overlaps(other_box.padded(-1)), (text, other)
    width, height = display.figure_.canvas.get_width_height()
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text


def test_inputs_are_not_written_to():
    before, after = X.copy(), X_CF.copy()
    ActionabilityDisplay.from_result(result_of(before, after))
    pd.testing.assert_frame_equal(before, X)
    pd.testing.assert_frame_equal(after, X_CF)
