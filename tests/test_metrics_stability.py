"""Stability: how far counterfactuals move when rows do."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skcf import CounterfactualResult, FeatureSpace, NearestExplainer
from skcf.metrics import proximity, stability
from skcf.space._containers import Table

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

X = np.random.default_rng(0).normal(size=(30, 3)) * [1.0, 10.0, 0.1]
ORDERS = {"l1": 1, "l2": 2, "linf": np.inf}


class Fake:
    """Moves rows by a function, and remembers what it was asked."""

    def __init__(self, rows, move=None, *, found=None, label=None, **space):
        self.feature_space_ = FeatureSpace(**space).fit(rows)
        self._move = move or (lambda rows: rows)
        self._found = found or (lambda rows: np.ones(len(rows), dtype=bool))
        self._label = label or (lambda rows: np.zeros(len(rows), dtype=int))
        self.asked = []

    def explain(self, rows):
        self.asked.append(rows)
        moved, found = self._move(rows), self._found(rows)
        zeros = np.zeros(len(rows))
        return CounterfactualResult(
            X=rows,
            X_cf=moved,
            y=self._label(rows),
            y_cf=zeros,
            status=np.where(found, "found", "not_found"),
            cost=zeros,
            n_changes=zeros,
            n_queries=zeros,
        )


def perturbed(fake, n_rows):
    """The rows that were asked about beside the original ones."""
    return Table.of(fake.asked[0]).take(np.arange(n_rows, len(fake.asked[0]))).container()


@pytest.mark.parametrize("norm", ORDERS)
@pytest.mark.parametrize(
    "move, expected",
    [
        (np.zeros_like, 0.0),
        (lambda rows: rows + [5.0, -1.0, 2.0], 1.0),
        (lambda rows: -2.5 * rows, 2.5),
        (lambda rows: rows, 1.0),
    ],
)
def test_constants_translations_and_dilations(move, expected, norm):
    values = stability(Fake(X, move), X, norm=norm, average=None)
    np.testing.assert_allclose(values, np.full(len(X), expected), atol=1e-9)


@pytest.mark.parametrize("norm", ORDERS)
def test_a_linear_map_against_a_loop(norm):
    A = np.random.default_rng(1).normal(size=(3, 3))
    fake = Fake(X, lambda rows: rows @ A, feature_weights=[1.0, 1.0, 1.0])
    values = stability(fake, X, norm=norm, n_repeats=4, average=None)
    scale, rows = fake.feature_space_.scale_, fake.asked[0]
    for i in range(len(X)):
        ratios = []
        for k in range(1, 5):
            e = rows[i + k * len(X)] - X[i]
            lengths = [np.linalg.norm(v / scale, ORDERS[norm]) for v in (e @ A, e)]
            ratios.append(lengths[0] / lengths[1])
        assert values[i] == pytest.approx(np.median(ratios), rel=1e-6)
    fake.asked.clear()
    for average, of in (("median", np.median), ("mean", np.mean)):
        given = stability(fake, X, norm=norm, n_repeats=4, average=average)
        assert given == pytest.approx(of(values))


def test_a_linear_map_stays_between_its_singular_values():
    A = np.diag([0.5, 1.0, 3.0])
    values = stability(Fake(X, lambda rows: rows @ A), X, n_repeats=9, average=None)
    assert np.all((values >= 0.5) & (values <= 3.0))


def test_a_jump_is_as_large_as_the_noise_is_small():
    rows = np.linspace(-1, 1, 21)[:, None]
    fake = Fake(rows, lambda rows: np.sign(rows))  # the one in the middle goes either way
    for noise in (1e-2, 1e-4):
        values = stability(fake, rows, noise=noise, n_repeats=15, average=None)
        assert values[10] > 0.1 / noise
        assert np.all(values[np.abs(rows.ravel()) > 0.09] == 0)


def test_nearest_rows_of_a_threshold():
    rows = np.linspace(0, 5, 51)[:, None]

    def accepts(rows):
        return rows[:, 0] > 3

    nearest = NearestExplainer(accepts, target_class=True, refine=False).fit(rows)
    values = stability(nearest, rows, noise=0.001, average=None)
    np.testing.assert_array_equal(values[:30], 0.0)  # all of them go to 3.1
    assert np.isnan(values[31:]).all()  # need nothing
    assert stability(nearest, rows) == 0.0


def test_moves_along_one_axis_keep_the_noise_of_the_others():
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 5, size=(200, 2))
    model = LogisticRegression().fit(rows, rows[:, 0] > 3)
    model.coef_ = np.array([[100.0, 0.0]])
    model.intercept_ = np.array([-300.0])
    explainer = NearestExplainer(model).fit(rows)
    queries = rows[rows[:, 0] < 2][:20]
    values = stability(explainer, queries, n_repeats=31, average=None)
    # |e_2| / ||e|| of a normal vector: |sin| of a uniform angle, whose median is sin(pi / 4)
    assert np.all(values < 1)
    assert np.median(values) == pytest.approx(np.sin(np.pi / 4), abs=0.1)


def test_all_rows_are_explained_in_one_call_and_stay_as_they_are():
    fake, before = Fake(X), X.copy()
    stability(fake, X, n_repeats=3)
    assert [len(rows) for rows in fake.asked] == [4 * len(X)]
    np.testing.assert_array_equal(fake.asked[0][: len(X)], before)
    np.testing.assert_array_equal(X, before)


def test_the_noise_is_normal_in_scaled_units():
    fake = Fake(X)
    stability(fake, X, noise=0.02, n_repeats=200)
    e = (perturbed(fake, len(X)) - np.tile(X, (200, 1))) / fake.feature_space_.scale_
    np.testing.assert_allclose(e.std(axis=0), 0.02, rtol=0.05)
    np.testing.assert_allclose(e.mean(axis=0), 0.0, atol=0.02 * 4 / np.sqrt(6000))
    np.testing.assert_allclose(np.corrcoef(e.T), np.eye(3), atol=0.06)


def population(n=40):
    rng = np.random.default_rng(0)
    years = rng.integers(0, 4, n)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": rng.gamma(4.0, 500.0, n).astype(np.float32),
            "rate": rng.uniform(0, 1, n),
            "job": rng.choice(["cook", "nurse"], n),
            "a": (years == 0).astype(int),
            "b": (years != 0).astype(int),
            "degree": np.array(["none", "low", "mid", "high"])[years],
            "years": years,
        },
        index=[f"person-{i}" for i in range(n)],
    )
    frame["rate"] = frame["rate"].mask(rng.random(n) < 0.2)
    return frame


SPACE = {
    "onehot_groups": [["a", "b"]],
    "linked_features": [["degree", "years"]],
    "immutable_features": ["age"],
    "change_direction": {"rate": -1},
    "permitted_range": {"rate": (0.0, 1.0), "age": (18, 80)},
}


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_frames_stay_in_their_space(container):
    frame = population()
    given = frame if container == "pandas" else pl.from_pandas(frame)
    fake = Fake(given, **SPACE)
    values = stability(fake, given, noise=0.3, n_repeats=5, average=None)
    np.testing.assert_allclose(values, 1.0)
    assert [str(t) for t in fake.asked[0].dtypes] == [str(t) for t in given.dtypes]
    moved = perturbed(fake, len(frame))
    moved = moved if container == "pandas" else moved.to_pandas()
    before = pd.concat([frame] * 5, ignore_index=True)
    for name in ("job", "a", "b", "degree", "years"):
        assert moved[name].tolist() == before[name].tolist()
    assert moved["age"].between(18, 80).all()
    assert (moved["age"] != before["age"].to_numpy()).mean() > 0.8
    gaps = before["rate"].isna().to_numpy()
    assert moved["rate"].isna().to_numpy().tolist() == gaps.tolist()
    assert moved["rate"][~gaps].between(0, 1).all()
    assert (moved["rate"] > before["rate"].to_numpy()).mean() > 0.2  # against its direction
    assert (moved["income"].to_numpy() != before["income"].to_numpy()).all()


def test_arrays_of_numbers_and_text():
    frame = population()[["age", "income", "job"]]
    rows = frame.to_numpy(dtype=object)
    fake = Fake(rows, categorical_features=[2])
    np.testing.assert_allclose(stability(fake, rows, noise=0.3), 1.0)
    assert perturbed(fake, len(rows))[:, 2].tolist() == frame["job"].tolist() * 5


def test_a_value_out_of_its_range_comes_no_further_out():
    rows = np.array([[-1.0], [0.5], [3.0], [2.5]])
    fake = Fake(rows, permitted_range={0: (0.0, 2.0)})
    stability(fake, rows, noise=0.1, n_repeats=50)
    moved = perturbed(fake, 4).ravel()
    assert np.all((moved >= -1.0) & (moved <= 3.0))
    assert moved.min() < -0.5  # they stay about where they are
    assert moved.max() > 2.6


def test_whole_numbers_that_round_back_have_no_value():
    rows = np.arange(0, 100, 10).reshape(-1, 1)
    fake = Fake(rows)
    assert np.isnan(stability(fake, rows, noise=1e-4))
    assert not fake.asked  # there was nothing to ask
    values = stability(fake, rows, noise=0.02, n_repeats=1, average=None)
    left = np.isfinite(values)
    assert 0 < left.sum() < len(rows)
    assert len(fake.asked[0]) == len(rows) + left.sum()
    assert np.all(perturbed(fake, len(rows)).ravel() != rows.ravel()[left])
    np.testing.assert_allclose(values[left], 1.0)


def test_rows_without_a_counterfactual_or_with_another_label_have_no_value():
    rows = np.array([[0.0], [1.0], [2.0], [3.0]])
    by = {"noise": 1e-3, "n_repeats": 3, "average": None}
    lost = stability(Fake(rows, found=lambda rows: rows[:, 0] > 0.5), rows, **by)
    np.testing.assert_array_equal(np.isnan(lost), [True, False, False, False])
    # only the very row has one, none of its neighbours
    alone = stability(Fake(rows, found=lambda rows: rows[:, 0] == rows[:, 0].round()), rows, **by)
    assert np.isnan(alone).all()
    fake = Fake(rows, label=lambda rows: np.where(rows[:, 0] == rows[:, 0].round(), "a", "b"))
    assert np.isnan(stability(fake, rows, **by)).all()
    assert np.isnan(stability(fake, rows, noise=1e-3))


def test_the_median_is_over_the_neighbours_that_count():
    rows = np.array([[0.0], [10.0]])
    fake = Fake(rows, lambda rows: 2 * rows, found=lambda rows: rows[:, 0] <= 0)
    values = stability(fake, rows, n_repeats=20, average=None)
    assert values[0] == pytest.approx(2.0)  # those below 0 alone
    assert np.isnan(values[1])
    assert stability(fake, rows, n_repeats=20) == pytest.approx(2.0)


def test_units_do_not_matter():
    A = np.random.default_rng(1).normal(size=(3, 3))
    unit = np.array([1000.0, 0.01, 3.0])
    plain = stability(Fake(X, lambda rows: rows @ A), X, average=None)
    other = stability(Fake(X * unit, lambda rows: rows / unit @ A * unit), X * unit, average=None)
    np.testing.assert_allclose(plain, other, rtol=1e-6)


def test_a_given_space_sets_the_noise_and_the_yardstick():
    wide = FeatureSpace(feature_weights=[1.0, 0.0, 4.0]).fit(X * 5)
    fake = Fake(X, lambda rows: rows * [1.0, 7.0, 2.0])
    values = stability(fake, X, feature_space=wide, n_repeats=1, average=None)
    moved = perturbed(fake, len(X))
    np.testing.assert_array_equal(moved[:, 1], X[:, 1])  # of weight 0
    e = moved - X
    expected = [
        proximity(a[None], b[None], norm="l2", feature_space=wide)
        for a, b in zip(X * [1.0, 7.0, 2.0], moved * [1.0, 7.0, 2.0], strict=True)
    ]
    length = np.sqrt((e[:, 0] / wide.scale_[0]) ** 2 + 4 * (e[:, 2] / wide.scale_[2]) ** 2)
    np.testing.assert_allclose(values, expected / length)


def test_explainers_are_asked_about_the_same_people():
    frame = population()[["income", "age", "years"]]
    first, second = Fake(frame, scale="std"), Fake(frame, integer_features=["age"])
    third = Fake(frame, categorical_features=["age"])
    space = FeatureSpace(scale="mad").fit(frame)
    for fake in (first, second, third):
        stability(fake, frame, feature_space=space, noise=0.3)
    pd.testing.assert_frame_equal(first.asked[0], second.asked[0])
    pd.testing.assert_frame_equal(
        first.asked[0].drop(columns="age"), third.asked[0].drop(columns="age")
    )
    assert third.asked[0]["age"].tolist() == frame["age"].tolist() * 6  # no number to it


def test_random_state_and_the_global_seed():
    A = np.random.default_rng(1).normal(size=(3, 3))

    def values(**by):
        return stability(Fake(X, lambda rows: rows @ A), X, average=None, **by)

    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    np.testing.assert_array_equal(values(), values(random_state=0))
    np.testing.assert_array_equal(values(), values(random_state=np.random.RandomState(0)))
    assert np.any(values() != values(random_state=1))
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_a_missing_explainer_is_a_type_error():
    explainer = NearestExplainer(lambda rows: rows[:, 0] > 0, target_class=True).fit(X)
    no_space = type("Other", (), {"explain": None, "feature_space_": None})()
    for other in (LogisticRegression(), make_pipeline(explainer), no_space, None):
        with pytest.raises(TypeError, match="explain and feature_space_"):
            stability(other, X)
    with pytest.raises(NotFittedError):
        stability(NearestExplainer(), X)
    assert np.isfinite(stability(explainer, X))


@pytest.mark.parametrize(
    "by, message",
    [
        ({"noise": 0}, "noise must be a number above zero, got 0"),
        ({"noise": True}, "noise must be a number above zero"),
        ({"noise": np.inf}, "noise must be a number above zero"),
        ({"n_repeats": 0}, "n_repeats must be a whole number above zero"),
        ({"norm": "l3"}, "norm must be one of"),
        ({"average": "max"}, "average must be 'mean', 'median' or None"),
    ],
)
def test_errors_come_before_any_work(by, message):
    fake = Fake(X)
    with pytest.raises(ValueError, match=message):
        stability(fake, X, **by)
    assert not fake.asked


def test_there_must_be_numbers():
    rows = pd.DataFrame({"job": ["cook", "nurse"]})
    with pytest.raises(ValueError, match="no feature is a number"):
        stability(Fake(rows), rows)
    with pytest.raises(ValueError, match="no feature is a number"):
        stability(Fake(X, feature_weights=[0.0, 0.0, 0.0]), X)
    with pytest.raises(ValueError, match="infinity"):
        stability(Fake(X), np.full((1, 3), np.inf))
