"""Transport cost, crowding and congestion, by hand, by loops, and beside CCEExplainer."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcf import CCEExplainer, FeatureSpace, NearestExplainer
from skcf.datasets import make_recourse_population
from skcf.metrics import (
    busiest_share,
    congestion_utility,
    crowding_divergence,
    effective_targets,
    proximity,
    transport_cost,
)

pd = pytest.importorskip("pandas")

UNIT = FeatureSpace().fit([[0.0, 0.0], [1.0, 1.0]])  # scales of 1
SPOTS = np.arange(4.0)[:, None]  # four real rows
ON_REAL_ROWS = [crowding_divergence, congestion_utility]
ALL = [transport_cost, effective_targets, busiest_share, *ON_REAL_ROWS]
SOME_CANNOT_MOVE = pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")


@cache
def recourse(crowding_penalty=1.0, **options):
    """A population, a fitted explainer of it, and the labels that its classifier gives."""
    population = make_recourse_population(240, crowding=0.5, random_state=0)
    explainer = CCEExplainer(
        population.classifier,
        feature_space=population.feature_space,
        crowding_penalty=crowding_penalty,
        random_state=0,
        **options,
    ).fit(population.X)
    return population, explainer, population.classifier.predict(population.X)


def carried_out(explainer, X, n_copies=50_000):
    """A plan as a crowd, so many for each mass of 1, that it splits as it says."""
    plan = explainer.plan_.tocoo()
    copies = np.rint(plan.data * n_copies).astype(int)
    sources, targets = np.repeat(plan.row, copies), np.repeat(plan.col, copies)
    return X.iloc[explainer.source_indices_[sources]], explainer.targets_.iloc[targets]


def against(explainer, X, labels):
    """What metrics on real rows are asked with."""
    return {"reference": X, "y_reference": labels, "feature_space": explainer.feature_space_}


def people_at(*numbers):
    """So many people at each of the spots."""
    return np.repeat(SPOTS[: len(numbers)], numbers, axis=0)


def needing(X_cf):
    return np.full_like(X_cf, -9.0)


# transport cost


def test_transport_cost_by_hand():
    X, X_cf = [[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]], [[3.0, 4.0], [1.0, 1.0], [9.0, 9.0]]
    asked = {"feature_space": UNIT, "status": [True, True, False]}
    costs = transport_cost(X, X_cf, average=None, **asked)
    np.testing.assert_array_equal(costs, [25, 1, np.nan])
    assert transport_cost(X, X_cf, average="sum", **asked) == 26
    assert transport_cost(X, X_cf, average="median", **asked) == 13
    euclidean = {"metric": "euclidean", **asked}
    assert transport_cost(X, X_cf, power=2, **euclidean) == pytest.approx(np.sqrt(13))
    whole = transport_cost(X, X_cf, power=2, average="sum", **euclidean)
    assert whole == pytest.approx(np.sqrt(26))
    assert transport_cost(X, X_cf, metric="cityblock", **asked) == 4


@pytest.mark.parametrize("power", [1, 2, 3.5])
@pytest.mark.parametrize("metric", ["cityblock", "euclidean", "sqeuclidean"])
def test_transport_cost_is_the_power_mean_of_the_spaces_costs(metric, power):
    population, _, _ = recourse()
    space = population.feature_space.fit(population.X)
    moved = ~population.infeasible & (population.optimal_cost > 0)
    X, X_cf = population.X[moved], population.optimal_X[moved]
    costs = space.cost(X, X_cf, metric=metric)
    asked = {"metric": metric, "feature_space": space}
    np.testing.assert_allclose(transport_cost(X, X_cf, average=None, **asked), costs)
    value = transport_cost(X, X_cf, power=power, **asked)
    assert value == pytest.approx(np.mean(costs**power) ** (1 / power))
    whole = transport_cost(X, X_cf, power=power, average="sum", **asked)
    assert whole == pytest.approx(np.sum(costs**power) ** (1 / power))


@SOME_CANNOT_MOVE
def test_transport_cost_of_allowed_moves_is_the_proximity_of_the_metric():
    population, explainer, _ = recourse()
    result = explainer.explain(population.X)
    space = {"feature_space": explainer.feature_space_}
    for metric, norm in (("cityblock", "l1"), ("euclidean", "l2")):
        value = transport_cost(result, metric=metric, **space)
        assert value == pytest.approx(proximity(result, norm=norm, **space))


def test_a_forbidden_move_costs_infinitely_much():
    space = FeatureSpace(change_direction={0: +1}).fit([[0.0, 0.0], [1.0, 1.0]])
    X, X_cf = np.zeros((3, 2)), np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]])
    asked = {"feature_space": space}
    costs = transport_cost(X, X_cf, average=None, **asked)
    np.testing.assert_array_equal(costs, [1, np.inf, 4])
    for average in ("mean", "sum"):
        assert transport_cost(X, X_cf, average=average, power=2, **asked) == np.inf
    assert transport_cost(X, X_cf, average="median", **asked) == 4
    assert np.isfinite(proximity(X, X_cf, **asked))


def test_large_and_small_costs_keep_their_power():
    X, X_cf = np.zeros((2, 2)), np.array([[1e60, 0.0], [1e60, 0.0]])
    value = transport_cost(X, X_cf, power=4, feature_space=UNIT)
    assert value == pytest.approx(1e120)
    assert transport_cost(X, X_cf / 1e200, power=4, feature_space=UNIT) == pytest.approx(1e-280)
    assert transport_cost(X, X, power=4, feature_space=UNIT) == 0


@SOME_CANNOT_MOVE
def test_transport_cost_is_the_effort_of_the_advice():
    population, explainer, _ = recourse()
    result = explainer.explain(population.X)
    asked = {"feature_space": explainer.feature_space_}
    costs = transport_cost(result, average=None, **asked)
    np.testing.assert_allclose(costs, result.effort * explainer.cost_scale_)
    mean = result.summary()["mean_effort"] * explainer.cost_scale_
    assert transport_cost(result, **asked) == pytest.approx(mean)


@pytest.mark.parametrize("power", [1, 2])
def test_transport_cost_in_mean_costs_is_that_of_the_plan(power):
    population, explainer, _ = recourse(cost_power=power)
    X, X_cf = carried_out(explainer, population.X)
    value = transport_cost(X, X_cf, power=power, feature_space=explainer.feature_space_)
    assert value / explainer.cost_scale_ == pytest.approx(explainer.transport_cost_, rel=1e-3)


# crowding


def test_crowding_by_hand():
    X_cf = people_at(3, 1)
    # shares 3/4 1/4 0 0 against quarters: (1/4 + 0 + 1/16 + 1/16) * 4
    value = crowding_divergence(needing(X_cf), X_cf, reference=SPOTS)
    assert value == pytest.approx((0.25 + 0 + 1 / 16 + 1 / 16) * 4)
    value = crowding_divergence(needing(X_cf), X_cf, reference=SPOTS, divergence="kl")
    assert value == pytest.approx(0.75 * np.log(3))
    # two real rows of the first kind, one of the second: 3/4 and 1/4 against 2/3 and 1/3
    value = crowding_divergence(needing(X_cf), X_cf, reference=SPOTS[[0, 1, 0]])
    assert value == pytest.approx((1 / 12) ** 2 * (3 / 2 + 3))


def test_people_who_are_spread_as_the_real_rows_do_not_crowd():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 3, (60, 2)).astype(float)
    X_cf = np.repeat(reference, 2, axis=0)[rng.permutation(120)]
    for divergence in ("chi2", "kl"):
        for n_cells in (None, 3):
            asked = {"reference": reference, "divergence": divergence, "n_cells": n_cells}
            assert crowding_divergence(X_cf, X_cf, **asked) == pytest.approx(0, abs=1e-14)


def test_crowding_at_the_rarest_row_is_the_largest_there_is():
    reference = SPOTS[[0, 0, 0, 1, 1, 2]]
    X_cf = SPOTS[[2, 2, 2]]
    value = crowding_divergence(X_cf, X_cf, reference=reference)
    assert value == pytest.approx(6 - 1)
    kl = crowding_divergence(X_cf, X_cf, reference=reference, divergence="kl")
    assert kl == pytest.approx(np.log(6))


def test_chance_alone_makes_a_chi2_of_rows_over_people():
    rng = np.random.default_rng(0)
    reference = np.arange(20.0)[:, None]
    values = []
    for _ in range(300):
        X_cf = reference[rng.integers(20, size=50)]
        values.append(crowding_divergence(X_cf, X_cf, reference=reference))
    expected = 19 / 50
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / np.sqrt(300)


def test_counterfactuals_stand_at_the_nearest_real_row():
    rng = np.random.default_rng(0)
    reference, X_cf = rng.normal(size=(15, 2)), rng.normal(size=(40, 2))
    nearest = [np.argmin([np.sum((x - r) ** 2) for r in reference]) for x in X_cf]
    q, b = np.bincount(nearest, minlength=15) / 40, 1 / 15
    value = crowding_divergence(X_cf, X_cf, reference=reference, feature_space=UNIT)
    assert value == pytest.approx(np.sum((q - b) ** 2 / b))
    standing = reference[nearest]
    asked = {"reference": reference, "feature_space": UNIT}
    for metric in (*ON_REAL_ROWS, effective_targets, busiest_share):
        assert metric(X_cf, X_cf, **asked) == metric(standing, standing, **asked)


def test_cells_never_raise_the_divergence_and_one_cell_has_none():
    rng = np.random.default_rng(0)
    reference = np.concatenate([rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 4])
    X_cf = rng.normal(size=(50, 2)) + 1
    asked = {"reference": reference, "feature_space": UNIT}
    for divergence in ("chi2", "kl"):
        rows = crowding_divergence(X_cf, X_cf, divergence=divergence, **asked)
        for n_cells in (1, 2, 5, 20, 60, 99):
            cells = crowding_divergence(X_cf, X_cf, divergence=divergence, n_cells=n_cells, **asked)
            assert cells <= rows + 1e-12
            assert n_cells > 1 or cells == 0
            assert n_cells < 60 or cells == rows
    # two clouds of 30: shares of people beside a half
    right = np.mean([np.argmin(np.sum((reference - x) ** 2, axis=1)) >= 30 for x in X_cf])
    value = crowding_divergence(X_cf, X_cf, n_cells=2, **asked)
    assert value == pytest.approx((2 * right - 1) ** 2)


def test_cells_are_seeded_and_do_not_see_the_order():
    rng = np.random.default_rng(0)
    reference, X_cf = rng.normal(size=(80, 2)), rng.normal(size=(50, 2))
    asked = {"feature_space": UNIT, "n_cells": 7, "random_state": 3}
    for metric in ON_REAL_ROWS:
        value = metric(X_cf, X_cf, reference=reference, **asked)
        assert value == metric(X_cf, X_cf, reference=reference, **asked)
        turned = metric(X_cf[::-1], X_cf[::-1], reference=reference[::-1], **asked)
        assert turned == pytest.approx(value)


@SOME_CANNOT_MOVE
@pytest.mark.parametrize("divergence", ["chi2", "kl"])
@pytest.mark.parametrize("options", [{}, {"refine": True}, {"read_out": "barycentric"}])
def test_crowding_is_what_the_explainer_says(divergence, options):
    population, explainer, labels = recourse(divergence=divergence, **options)
    result = explainer.explain(population.X)
    asked = against(explainer, population.X, labels)
    value = crowding_divergence(result, divergence=divergence, **asked)
    assert value == pytest.approx(explainer.crowding(result), rel=1e-9)


@SOME_CANNOT_MOVE
def test_crowding_of_others_is_what_the_explainer_says_of_them():
    population, explainer, labels = recourse()
    space = population.feature_space
    nearest = NearestExplainer(population.classifier, feature_space=space).fit(population.X)
    result = nearest.explain(population.X)
    asked = against(explainer, population.X, labels)
    value = crowding_divergence(result, **asked)
    assert value == pytest.approx(explainer.crowding(result), rel=1e-9)
    assert value > crowding_divergence(explainer.explain(population.X), **asked)


@pytest.mark.parametrize("divergence", ["chi2", "kl"])
@pytest.mark.parametrize("crowding_penalty", [1e-3, 1.0])
def test_crowding_is_what_the_solver_reports_of_its_plan(crowding_penalty, divergence):
    population, explainer, labels = recourse(crowding_penalty, divergence=divergence)
    X, X_cf = carried_out(explainer, population.X)
    asked = against(explainer, population.X, labels) | {"target": "accepted"}
    value = crowding_divergence(X, X_cf, divergence=divergence, **asked)
    assert value == pytest.approx(explainer.crowding_, rel=2e-3)


@SOME_CANNOT_MOVE
def test_the_allocation_of_the_plan_crowds_less_than_prices_do():
    population, explainer, labels = recourse()
    asked = against(explainer, population.X, labels)
    given = explainer.explain_population()
    posted = crowding_divergence(explainer.explain(population.X), **asked)
    assert explainer.crowding_ < crowding_divergence(given, **asked) < posted


def test_several_targets_are_averaged_by_their_people():
    reference = np.array([[0.0], [1.0], [10.0], [11.0]])
    X_cf = np.array([[0.0], [0.0], [10.0], [10.0], [10.0], [11.0]])
    asked = {"reference": reference, "y_reference": ["a", "a", "b", "b"]}
    target = np.array(["a", "a", "b", "b", "b", "b"])
    value = crowding_divergence(X_cf, X_cf, target=target, **asked)
    assert value == pytest.approx((2 * 1 + 4 * 0.25) / 6)
    # of a: half of the resource for 2/4 of those with 2/4 at the spot: 1/2 of 3/4
    utilities = congestion_utility(X_cf, X_cf, target=target, average=None, **asked)
    expected = 0.5 / (0.5 * 0.5 + 0.5 * 1)
    assert utilities[:2] == pytest.approx(expected)
    spots = effective_targets(X_cf, X_cf, target=target, **asked)
    assert spots == pytest.approx(36 / (4 + 9 + 1))
    assert busiest_share(X_cf, X_cf, target=target, share=0.5, **asked) == pytest.approx(5 / 6)


# effective targets and the busiest


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=25))
def test_effective_targets_and_the_busiest_against_counts(places):
    X_cf = np.array(places, dtype=float)[:, None]
    X = needing(X_cf)
    q = np.unique(places, return_counts=True)[1] / len(places)
    value = effective_targets(X, X_cf)
    assert value == pytest.approx(1 / np.sum(q**2))
    assert 1 - 1e-12 <= value <= len(q) + 1e-12
    assert effective_targets(X, X_cf, normalize=True) == pytest.approx(value / len(places))
    at = [busiest_share(X, X_cf, share=s) for s in (0.01, 0.3, 0.5, 1.0)]
    k = [max(1, int(np.ceil(round(s * len(q), 9)))) for s in (0.01, 0.3, 0.5, 1.0)]
    assert at == pytest.approx([np.sort(q)[-n:].sum() for n in k])
    assert at[-1] == pytest.approx(1)


def test_spots_with_as_many_people_count_each():
    for n_spots in (1, 2, 4):
        X_cf = people_at(*[3] * n_spots)
        assert effective_targets(needing(X_cf), X_cf) == pytest.approx(n_spots)
        assert busiest_share(needing(X_cf), X_cf) == pytest.approx(1 / n_spots)


def test_the_busiest_one_in_a_hundred():
    reference = np.arange(200.0)[:, None]
    X_cf = reference[[7] * 6 + [9] * 3 + [11]]
    assert busiest_share(X_cf, X_cf, reference=reference) == pytest.approx(0.9)  # 2 of 200
    assert busiest_share(X_cf, X_cf) == pytest.approx(0.6)  # 1 of 3
    assert busiest_share(reference, reference, reference=reference) == pytest.approx(0.01)
    # 0.07 * 100 is a little more than 7 in floating point
    hundred = reference[:100]
    found = busiest_share(hundred, hundred, reference=hundred, share=0.07)
    assert found == pytest.approx(0.07)


def test_spots_that_differ_a_little_are_one_at_the_real_rows():
    X_cf = 2 + np.linspace(-0.1, 0.1, 5)[:, None]
    assert effective_targets(X_cf, X_cf) == pytest.approx(5)
    assert effective_targets(X_cf, X_cf, reference=SPOTS) == 1
    assert busiest_share(X_cf, X_cf, reference=SPOTS) == 1


def test_categories_and_gaps_make_spots():
    X_cf = pd.DataFrame(
        {
            "job": ["cook", "cook", "nurse", "pilot", "judge", "judge"],
            "pay": [1.0, 1.0, 1.0, 1.0, np.nan, np.nan],
        }
    )
    X = pd.DataFrame({"job": ["cook"] * 6, "pay": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]})
    # cook, nurse, pilot and judge, of which the space knows the first only
    assert effective_targets(X, X_cf) == pytest.approx(36 / (4 + 1 + 1 + 4))


@SOME_CANNOT_MOVE
def test_advice_by_a_plan_goes_to_more_spots_than_advice_to_each():
    population, explainer, labels = recourse()
    nearest = NearestExplainer(
        population.classifier, feature_space=population.feature_space, refine=False
    ).fit(population.X)
    plan, each = explainer.explain(population.X), nearest.explain(population.X)
    asked = against(explainer, population.X, labels)
    assert effective_targets(plan, **asked) > effective_targets(each, **asked)
    assert busiest_share(plan, **asked) < busiest_share(each, **asked)
    assert congestion_utility(plan, **asked) > congestion_utility(each, **asked)


# congestion


def test_congestion_by_hand():
    # four real rows and four people, 3 at the first and 1 at the second: U = (4, 2, 1, 1) / 8
    X_cf = people_at(3, 1)
    utilities = congestion_utility(needing(X_cf), X_cf, reference=SPOTS, average=None)
    assert utilities == pytest.approx([0.5, 0.5, 0.5, 1.0])
    assert congestion_utility(needing(X_cf), X_cf, reference=SPOTS) == pytest.approx(0.625)
    middle = congestion_utility(needing(X_cf), X_cf, reference=SPOTS, average="median")
    assert middle == pytest.approx(0.5)
    # resources of 4, 4, 0, 0 in 8: twice as much at each
    asked = {"reference": SPOTS, "resource": [4, 4, 0, 0]}
    assert congestion_utility(needing(X_cf), X_cf, **asked) == pytest.approx(1.25)


def test_at_equilibrium_everybody_has_the_same():
    reference = SPOTS[[0, 0, 0, 1, 1, 2]]
    X_cf = people_at(6, 4, 2)
    for share in (None, 0.2, 1.0):
        utilities = congestion_utility(
            needing(X_cf), X_cf, reference=reference, mover_share=share, average=None
        )
        assert utilities == pytest.approx(np.ones(12))
    # another resource, with nobody there before: they share it as it is
    resource = np.array([1.0, 2.0, 3.0, 6.0])
    X_cf = people_at(1, 2, 3, 6)
    asked = {"reference": SPOTS, "resource": 5 * resource, "mover_share": 1.0}
    utilities = congestion_utility(needing(X_cf), X_cf, average=None, **asked)
    assert utilities == pytest.approx(np.ones(12))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=20),
    st.lists(st.integers(1, 4), min_size=4, max_size=4),
    st.floats(0.01, 0.99),
)
def test_crowding_never_pays(places, there, share):
    reference, X_cf = people_at(*there), SPOTS[places]
    asked = {"reference": reference, "mover_share": share}
    value = congestion_utility(needing(X_cf), X_cf, **asked)
    q, b = np.bincount(places, minlength=4) / len(places), np.array(there) / sum(there)
    assert value == pytest.approx(np.sum(q * b / ((1 - share) * b + share * q)))
    assert 0 < value <= 1 + 1e-12
    busiest = np.argmax(q / b)
    alone = SPOTS[[busiest] * len(places)]
    assert congestion_utility(needing(alone), alone, **asked) <= value + 1e-12


def test_everybody_at_one_spot_is_worse_than_spread():
    values = [
        congestion_utility(needing(people_at(*n)), people_at(*n), reference=SPOTS)
        for n in [(8,), (6, 2), (4, 4), (4, 2, 2), (2, 2, 2, 2)]
    ]
    assert values == sorted(values)
    assert len(set(values)) == 5
    assert values[-1] == 1
    # nobody was there: the share of the resource that is found
    one = congestion_utility(people_at(8), people_at(8), reference=SPOTS, mover_share=1)
    assert one == pytest.approx(1 / 4)
    two = congestion_utility(people_at(7, 1), people_at(7, 1), reference=SPOTS, mover_share=1)
    assert two == pytest.approx(1 / 2)


def test_close_to_equilibrium_the_loss_is_that_of_the_chi2():
    X_cf = people_at(1020, 980, 1010, 990)
    chi2 = crowding_divergence(needing(X_cf), X_cf, reference=SPOTS)
    for share in (0.1, 0.5, 0.8):
        value = congestion_utility(needing(X_cf), X_cf, reference=SPOTS, mover_share=share)
        assert 1 - value == pytest.approx(share * (1 - share) * chi2, rel=0.02)


def test_congestion_in_cells():
    reference = np.array([[0.0], [1.0], [10.0], [11.0]])
    X_cf = np.array([[0.0], [0.0], [10.0], [10.0]])
    assert congestion_utility(X_cf, X_cf, reference=reference) < 1
    assert congestion_utility(X_cf, X_cf, reference=reference, n_cells=2) == 1
    asked = {"reference": reference, "n_cells": 2, "resource": [0.0, 3.0, 1.0, 0.0]}
    utilities = congestion_utility(X_cf, X_cf, average=None, **asked)
    assert utilities == pytest.approx([1.5, 1.5, 0.5, 0.5])


# all of them


@pytest.mark.parametrize("metric", ALL)
def test_rows_without_a_counterfactual_are_left_out(metric):
    X_cf = people_at(3, 1)
    asked = {} if metric is transport_cost else {"reference": SPOTS}
    value = metric(needing(X_cf), X_cf, **asked)
    more = np.concatenate([X_cf, [[np.nan], [3.0]]])
    status = ["found"] * 4 + ["not_found", "already_target"]
    if metric is transport_cost:  # its scale is read off X
        asked = {"feature_space": FeatureSpace().fit([[0.0], [1.0]])}
        value = metric(needing(X_cf), X_cf, **asked)
    assert metric(np.full((6, 1), -9.0), more, status=status, **asked) == pytest.approx(value)
    nobody = np.zeros(4, dtype=bool)
    assert np.isnan(metric(needing(X_cf), X_cf, status=nobody, **asked))


@pytest.mark.parametrize("metric", ALL)
def test_order_and_units_do_not_matter(metric):
    rng = np.random.default_rng(0)
    X, X_cf, reference = (rng.normal(size=(n, 2)) for n in (30, 30, 20))
    X_cf[:10] = reference[3]
    factor, order = np.array([8.0, 0.25]), rng.permutation(30)
    asked = {} if metric is transport_cost else {"reference": reference}
    scaled = {} if metric is transport_cost else {"reference": (reference * factor)[::-1]}
    value = metric(X, X_cf, **asked)
    again = metric((X * factor)[order], (X_cf * factor)[order], **scaled)
    assert again == pytest.approx(value)


@pytest.mark.parametrize("metric", ALL)
def test_inputs_are_not_written_to(metric):
    X_cf = people_at(3, 1)
    X, reference, resource = needing(X_cf), SPOTS.copy(), np.ones(4)
    for array in (X, X_cf, reference, resource):
        array.flags.writeable = False
    asked = {} if metric is transport_cost else {"reference": reference}
    if metric is congestion_utility:
        asked |= {"resource": resource, "n_cells": 2}
    assert np.isfinite(metric(X, X_cf, **asked))


def test_global_seeds_are_left_alone():
    X_cf = people_at(3, 1)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for metric in ON_REAL_ROWS:
        metric(X_cf, X_cf, reference=SPOTS, n_cells=2)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize(
    "metric, change, message",
    [
        (transport_cost, {"metric": "cosine"}, "metric must be one of"),
        (transport_cost, {"power": 0.5}, "power must be a finite number"),
        (transport_cost, {"power": np.nan}, "power must be a finite number"),
        (transport_cost, {"average": "max"}, "average must be"),
        (crowding_divergence, {"reference": SPOTS, "divergence": "js"}, "divergence must be one"),
        (crowding_divergence, {"reference": SPOTS, "n_cells": 0}, "n_cells must be"),
        (congestion_utility, {"reference": SPOTS, "n_cells": 1.5}, "n_cells must be"),
        (congestion_utility, {"reference": SPOTS, "mover_share": 0}, "mover_share must be"),
        (congestion_utility, {"reference": SPOTS, "mover_share": 1.1}, "mover_share must be"),
        (congestion_utility, {"reference": SPOTS, "mover_share": "all"}, "mover_share must be"),
        (congestion_utility, {"reference": SPOTS, "resource": [1.0]}, "one number for each"),
        (congestion_utility, {"reference": SPOTS, "resource": [1, 1, 1, -1]}, "below zero"),
        (congestion_utility, {"reference": SPOTS, "resource": [1, 1, 1, np.nan]}, "be finite"),
        (congestion_utility, {"reference": SPOTS, "resource": [0] * 4}, "no resource at any"),
        (congestion_utility, {"reference": SPOTS, "average": "sum"}, "average must be"),
        (busiest_share, {"share": 0}, "share must be above 0"),
        (busiest_share, {"share": 1.5}, "share must be above 0"),
        (busiest_share, {"y_reference": [0] * 4}, "need reference"),
        (effective_targets, {"target": 1}, "need reference"),
        (
            effective_targets,
            {"reference": SPOTS, "y_reference": list("aabb"), "target": "c"},
            "No reference row has the target label",
        ),
    ],
)
def test_bad_input(metric, change, message):
    X_cf = people_at(3, 1)
    with pytest.raises(ValueError, match=message):
        metric(X_cf, X_cf, **change)
