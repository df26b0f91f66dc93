"""PlanDisplay and CrowdingFrontierDisplay: what is drawn is what the plan says."""

import matplotlib.pyplot
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcf import CCEExplainer, FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf.inspection import CrowdingFrontierDisplay, PlanDisplay

matplotlib.use("Agg")

PENALTIES = [1.0, 0.1, 10.0]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture(scope="module")
def moons():
    """A fitted explainer, its rows, and those of them that are to be moved."""
    X, y = make_moons(160, noise=0.1, random_state=0)
    model = SVC(gamma=2).fit(X, y)
    labels = model.predict(X)
    return CCEExplainer(model, random_state=0).fit(X, labels), X, X[labels == 0]


def accepts(X):
    return np.where(np.asarray(X["hours"]) + 10 * (np.asarray(X["job"]) == "nurse") > 45, "y", "n")


def mixed(kind="pandas"):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "hours": rng.integers(20, 60, 60),
            "job": rng.choice(["cook", "nurse", "clerk"], 60),
            "grade": rng.choice(["low", "mid", "high"], 60),
        }
    )
    return X if kind == "pandas" else pl.from_pandas(X)


def fitted(X, **params):
    space = FeatureSpace(ordinal_features={"grade": ["low", "mid", "high"]}, **params)
    explainer = CCEExplainer(accepts, target_class="y", feature_space=space, random_state=0)
    return explainer.fit(X)


def test_dots_stand_where_the_people_and_targets_are(moons):
    explainer, _, rejected = moons
    display = PlanDisplay.from_estimator(explainer, n_people=5)
    np.testing.assert_array_equal(display.people_.get_offsets(), rejected)
    np.testing.assert_array_equal(display.targets_.get_offsets(), explainer.targets_)
    np.testing.assert_array_equal(display.targets_.get_array(), explainer.prices_)


def test_colours_turn_at_a_price_of_zero(moons):
    display = PlanDisplay.from_estimator(moons[0])
    norm = display.targets_.norm
    assert norm(0.0) == pytest.approx(0.5)
    assert norm.vmax == pytest.approx(np.quantile(np.abs(moons[0].prices_), 0.99))
    assert display.colorbar_.ax.get_ylabel() == "price of crowding"


def test_lines_are_the_plan_of_those_who_are_drawn(moons):
    explainer, _, rejected = moons
    display = PlanDisplay.from_estimator(explainer, n_people=None)
    entries = explainer.plan_.tocoo()
    ends = np.stack([rejected[entries.row], explainer.targets_[entries.col]], axis=1)
    np.testing.assert_array_equal(np.array(display.moves_.get_segments()), ends)
    share = entries.data / explainer.source_marginal_[entries.row]
    widths = np.array(display.moves_.get_linewidths())
    np.testing.assert_allclose(widths / widths.max(), np.sqrt(share / share.max()))


def test_as_many_people_are_drawn_as_asked_for(moons):
    explainer, _, rejected = moons
    drawn = []
    for seed in (0, 0, 1):
        display = PlanDisplay.from_estimator(explainer, n_people=7, random_state=seed)
        starts = np.unique([line[0] for line in display.moves_.get_segments()], axis=0)
        assert len(starts) == 7
        assert all((start == rejected).all(axis=1).any() for start in starts)
        drawn.append(starts.tolist())
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_features_are_taken_in_the_order_given(moons):
    explainer, _, rejected = moons
    display = PlanDisplay.from_estimator(explainer, features=(-1, 0))
    np.testing.assert_array_equal(display.people_.get_offsets(), rejected[:, ::-1])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("x1", "x0")


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_categories_stand_at_their_places_and_are_written_there(kind):
    X = mixed(kind)
    explainer = fitted(X)
    display = PlanDisplay.from_estimator(explainer, features=("grade", "hours"), random_state=0)
    assert display.ax_.get_xlabel() == "grade"
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["low", "mid", "high"]
    people = mixed().loc[accepts(X) == "n"]
    place = people["grade"].map({"low": 0, "mid": 1, "high": 2})
    offsets = display.people_.get_offsets()
    np.testing.assert_array_equal(np.rint(offsets[:, 0]), place)
    np.testing.assert_array_equal(offsets[:, 1], people["hours"])


def test_nominal_categories_are_sorted():
    display = PlanDisplay.from_estimator(fitted(mixed()), features=("hours", "job"))
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["clerk", "cook", "nurse"]


def test_people_without_a_value_are_left_out():
    X = make_moons(120, noise=0.1, random_state=0)[0]
    X[::10, 0] = np.nan
    explainer = CCEExplainer(lambda X: (X[:, 1] < 0.2).astype(int), random_state=0).fit(X)
    display = PlanDisplay.from_estimator(explainer, n_people=None)
    display.figure_.canvas.draw()
    rows = np.isfinite(X[explainer.source_indices_, 0])
    reached = np.isfinite(explainer.targets_[:, 0])
    n_lines = explainer.plan_[np.flatnonzero(rows)][:, np.flatnonzero(reached)].nnz
    assert len(display.moves_.get_segments()) == n_lines


def test_people_of_weight_zero_are_nobody(moons):
    explainer, X, _ = moons
    weight = np.arange(len(X)) % 3
    weighted = CCEExplainer(explainer.estimator_, random_state=0).fit(X, sample_weight=weight)
    display = PlanDisplay.from_estimator(weighted, n_people=None)
    np.testing.assert_array_equal(display.people_.get_offsets(), X[weighted.source_indices_])


def test_each_class_has_its_own_picture():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = CCEExplainer(model, target_class="other", random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"source_class must be one of \[0, 1, 2\], got None"):
        PlanDisplay.from_estimator(explainer)
    display = PlanDisplay.from_estimator(explainer, source_class=2)
    people = X[model.predict(X) == 2]
    np.testing.assert_array_equal(display.people_.get_offsets(), people.iloc[:, :2])
    prices = explainer.prices_[2]
    np.testing.assert_array_equal(display.targets_.get_array(), prices[np.isfinite(prices)])
    assert len(display.targets_.get_array()) < len(prices)


def test_a_class_is_refused_where_all_share_a_plan(moons):
    with pytest.raises(ValueError, match=r"source_class=0, but .* one plan for all"):
        PlanDisplay.from_estimator(moons[0], source_class=0)


def test_people_who_may_go_nowhere_have_no_line():
    explainer = fitted(mixed(), immutable_features=["grade", "hours", "job"])
    assert explainer.infeasible_.all()
    with pytest.warns(InvalidCounterfactualWarning, match="infeasible"):
        display = PlanDisplay.from_estimator(explainer, features=("hours", "job"))
    assert len(display.people_.get_offsets()) == explainer.infeasible_.sum()
    assert not display.moves_.get_segments()


@pytest.mark.parametrize(
    "features, message",
    [
        (("hours", "wage"), "features names 'wage', but the columns are"),
        ((0, 3), "features names 3, but the columns are"),
        (("hours",), "features must be two columns"),
        ("hours", "features must be two columns"),
        ((True, 0), "features names True"),
    ],
)
def test_columns_that_are_not_there_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        PlanDisplay.from_estimator(fitted(mixed()), features=features)


@pytest.mark.parametrize("n_people", [0, 1.5, "all"])
def test_n_people_must_be_a_number_of_people(moons, n_people):
    with pytest.raises(ValueError, match="n_people"):
        PlanDisplay.from_estimator(moons[0], n_people=n_people)


@pytest.mark.parametrize("display", [PlanDisplay, CrowdingFrontierDisplay])
def test_what_has_no_plan_is_refused(moons, display):
    explainer = moons[0]
    for wrong in (NearestExplainer(explainer.estimator_), make_pipeline(StandardScaler(), SVC())):
        with pytest.raises(TypeError, match=f"fitted CCEExplainer.* got {type(wrong).__name__}"):
            display.from_estimator(wrong)
    with pytest.raises(NotFittedError):
        display.from_estimator(CCEExplainer(explainer.estimator_))


@pytest.mark.parametrize("display", [PlanDisplay, CrowdingFrontierDisplay])
def test_axes_given_are_drawn_in(moons, display):
    _, ax = matplotlib.pyplot.subplots()
    drawn = display.from_estimator(moons[0], ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is ax.figure


def test_colours_can_go_unexplained(moons):
    display = PlanDisplay.from_estimator(moons[0], colorbar=False)
    assert display.colorbar_ is None
    assert len(display.figure_.axes) == 1


def test_plan_can_be_drawn_of_its_data_alone():
    display = PlanDisplay(
        people=[[0, 0], [0, 1]],
        targets=[[1, 0], [1, 1], [2, 2]],
        prices=[-1.0, 1.0, np.inf],
        plan=np.array([[0.5, 0, 0], [0.25, 0.25, 0]]),
    )
    assert not hasattr(display, "ax_")
    assert display.plot() is display
    np.testing.assert_array_equal(display.targets_.get_offsets(), [[1, 0], [1, 1]])
    assert len(display.moves_.get_segments()) == 3


def test_the_frontier_is_the_explainers(moons):
    explainer = moons[0]
    display = CrowdingFrontierDisplay.from_estimator(explainer, penalties=PENALTIES)
    frontier = explainer.crowding_path(PENALTIES)
    order = np.argsort(PENALTIES)
    x, y = display.line_.get_data()
    np.testing.assert_allclose(x, frontier.transport_cost[order])
    np.testing.assert_allclose(y, frontier.crowding[order])
    assert [text.get_text() for text in display.ax_.texts] == ["0.1", "1", "10"]


def test_a_frontier_can_be_drawn_that_was_solved_for_before(moons):
    frontier = moons[0].crowding_path(PENALTIES)
    display = CrowdingFrontierDisplay.from_frontier(frontier, others={"mine": (0.3, 2.0)})
    np.testing.assert_array_equal(display.penalties, PENALTIES)
    np.testing.assert_array_equal(display.others_["mine"].get_xydata(), [[0.3, 2.0]])
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == [
        "collective plan",
        "mine",
    ]


@pytest.mark.parametrize("cost, power", [("sqeuclidean", 1), ("euclidean", 2)])
def test_other_advice_stands_at_its_effort_and_crowding(moons, cost, power):
    model, X, rejected = moons[0].estimator_, *moons[1:]
    explainer = CCEExplainer(model, cost=cost, cost_power=power, random_state=0).fit(X)
    nearest = NearestExplainer(model).fit(X).explain(rejected)
    population = explainer.explain_population()
    results = {"nearest": nearest, "population": population}
    display = CrowdingFrontierDisplay.from_estimator(explainer, penalties=[1.0], results=results)
    costs = explainer.feature_space_.cost(rejected, nearest.X_cf, metric=cost)
    effort = np.mean((costs / explainer.cost_scale_) ** power) ** (1 / power)
    places = {name: line.get_xydata()[0] for name, line in display.others_.items()}
    np.testing.assert_allclose(places["nearest"], [effort, explainer.crowding(nearest)])
    # the allocation moves everybody where the plan does, but for its rounding
    assert places["population"][0] == pytest.approx(explainer.transport_cost_, rel=0.05)
    assert places["population"][1] == pytest.approx(explainer.crowding(population))


def test_crowding_is_logarithmic_where_it_spans_much(moons):
    near = CrowdingFrontierDisplay(effort=[1, 2], crowding=[2.0, 1.0], penalties=[1, 2]).plot()
    wide = CrowdingFrontierDisplay(effort=[1, 2], crowding=[99.0, 1.0], penalties=[1, 2]).plot()
    zero = CrowdingFrontierDisplay(effort=[1, 2], crowding=[99.0, 0.0], penalties=[1, 2]).plot()
    scales = [display.ax_.get_yscale() for display in (near, wide, zero)]
    assert scales == ["linear", "log", "linear"]


def test_advice_that_has_no_place_is_refused(moons):
    explainer, X, rejected = moons
    accepted = explainer.explain(X[explainer.estimator_.predict(X) == 1])
    with pytest.raises(ValueError, match=r"results\['idle'\] moves nobody"):
        CrowdingFrontierDisplay.from_estimator(explainer, results={"idle": accepted})
    with pytest.raises(TypeError, match=r"results\['rows'\] must be a CounterfactualResult"):
        CrowdingFrontierDisplay.from_estimator(explainer, results={"rows": rejected})
    free = NearestExplainer(accepts, target_class="y", refine=False).fit(mixed())
    bound = fitted(mixed(), immutable_features=["hours"])
    X = mixed().loc[accepts(mixed()) == "n"]
    with pytest.raises(ValueError, match=r"moves that the explainer's constraints forbid"):
        CrowdingFrontierDisplay.from_estimator(bound, results={"free": free.explain(X)})


def test_penalties_must_be_positive(moons):
    with pytest.raises(ValueError, match="penalties must be a list of positive numbers"):
        CrowdingFrontierDisplay.from_estimator(moons[0], penalties=[0.0, 1.0])
