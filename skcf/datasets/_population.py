"""A population whose best counterfactuals are known exactly."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch, check_random_state

from skcf._compat import Interval, validate_params
from skcf.datasets._linear_rule import LinearRule
from skcf.datasets._optimum import cheapest_acceptance
from skcf.space import FeatureSpace

__all__ = ["make_recourse_population"]

LEVELS = ["primary", "secondary", "college", "bachelor", "master"]
RANGES = {"income": (10.0, 60.0), "savings": (0.0, 40.0), "loans": (0, 5)}
THRESHOLDS = {"north": 2.8, "south": 3.4}
WEIGHTS = {
    "income": 0.05,
    "savings": 0.06,
    "loans": -0.7,
    "missed_payments": -1.5,
    "education": 0.45,
    "employed": 0.6,
}

SHARE_ACCEPTED, SHARE_INFEASIBLE = 0.4, 0.05
OFF_THE_LINE = 1e-6

CROWDED_SPOT = {
    "age": 52,
    "income": 40.0,
    "savings": 15.0,
    "loans": 1,
    "missed_payments": 0,
    "education": "college",
    "employed": True,
}
"""Older, richer and at least as educated as most of the rejected, who so all see the same
corner of it, and accepted in both regions."""

DESCRIPTION = """\
People who apply for a loan, and a decision rule that is known
---------------------------------------------------------------

age              whole number   may only rise; not scored
income           10 to 60       {income:+g} points for each unit
savings          0 to 40        {savings:+g} points for each unit
loans            0 to 5         {loans:+g} points for each loan
missed_payments  whole number   {missed_payments:+g} points for each; may only rise
education        5 levels       {education:+g} points for each level; may only rise
region           may not change
employed         True or False  {employed:+g} points

Who reaches the threshold of the region ({thresholds}) is accepted.
Missed payments cannot be undone: who has too many of them cannot be accepted.
"""


@validate_params(
    {
        "n_samples": [Interval(Integral, 2, None, closed="left")],
        "crowding": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_recourse_population(n_samples=500, *, crowding=0.0, random_state=None):
    """Generate people, a decision rule, and what acceptance costs each of them at least.

    Mixed columns, with immutable, monotone and bounded ones; a linear rule whose threshold
    depends on the region; and, because the rule is known, the exact optimum that an
    explainer can be measured against. Two in five people are accepted, and one in twenty
    cannot be, whatever they change.

    Parameters
    ----------
    n_samples : int, default=500
        Number of people, at least 2. From 10 on, there are infeasible ones.
    crowding : float, default=0.0
        Share of the accepted people who sit in one spot just above the line, from 0 to 1;
        those with the lowest scores go there first, so that it becomes the nearest accepted
        spot for most of the rejected. If everybody is sent to the nearest accepted person,
        at 0 the advice is spread, and at 0.9 it sends most people to the same few. The
        rejected people do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Determines the people. Pass an int for the same ones in every call. None draws new
        ones, and leaves numpy's global generator alone.

    Returns
    -------
    population : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        X : DataFrame of shape (n_samples, 8)
            The people.
        y : Series of str
            "rejected" or "accepted", by the rule.
        feature_space : FeatureSpace
            What may change, and at what cost. Not fitted.
        classifier : LinearRule
            The rule, fitted: `predict`, and `decision_function`, the points above the
            threshold. Its `classes_` are "rejected" and "accepted", in this order.
        optimal_cost : ndarray of float64, shape (n_samples,)
            Least cost of an allowed change that gets the row accepted, by
            `feature_space.cost` with its default metric and fitted on X: 0 for accepted rows,
            infinite for infeasible ones.
        optimal_X : DataFrame of shape (n_samples, 8)
            Rows that have that cost, accepted by a margin of 1e-10 points. Accepted
            and infeasible people as they are in X.
        infeasible : ndarray of bool, shape (n_samples,)
            Rejected people for whom no allowed change suffices.
        DESCR : str
            The columns and the rule, in words.

    See Also
    --------
    fetch_german_credit : Real loans, whose rule nobody knows.

    Notes
    -----
    The optimum is over all allowed changes, not only over moves to other people of X: some
    rejected people could be accepted although no accepted person of X is within their reach,
    because all of them are younger or have missed fewer payments.

    The optimum is exact, not a solver's tolerance: all combinations of education, loans and
    employment are tried, and for each one the rest is raised in the order of points per
    cost, which is optimal for a fractional knapsack [1]_. Other changes add no points.

    References
    ----------
    .. [1] G. B. Dantzig. "Discrete-variable extremum problems." Operations Research 5
       (1957), 266-277.

    Examples
    --------
    >>> from skcf.datasets import make_recourse_population
    >>> population = make_recourse_population(100, random_state=0)
    >>> population.y.value_counts().to_dict()
    {'rejected': 60, 'accepted': 40}
    >>> int(population.infeasible.sum())
    5
    >>> space = population.feature_space.fit(population.X)
    >>> cost = space.cost(population.X, population.optimal_X)
    >>> feasible = ~population.infeasible
    >>> bool(abs(cost - population.optimal_cost)[feasible].max() < 1e-9)
    True
    """
    # sklearn's None is the global generator, which must stay as it is
    rng = np.random.RandomState() if random_state is None else check_random_state(random_state)
    rule = LinearRule(WEIGHTS, levels={"education": LEVELS}, group="region", thresholds=THRESHOLDS)
    rule.fit(_draw(0, rng))
    X = _crowd(_draw_population(n_samples, rule, rng), crowding, rule, rng)
    X = X.iloc[rng.permutation(n_samples)].reset_index(drop=True)
    space = _feature_space()
    cost, optimal_X = _optimum(X, rule, clone(space).fit(X))
    return Bunch(
        X=X,
        y=_labels(X, rule),
        feature_space=space,
        classifier=rule,
        optimal_cost=cost,
        optimal_X=optimal_X,
        infeasible=np.isinf(cost),
        DESCR=DESCRIPTION.format(
            **WEIGHTS,
            thresholds=", ".join(f"{region}: {points}" for region, points in THRESHOLDS.items()),
        ),
    )


def _feature_space():
    return FeatureSpace(
        immutable_features=["region"],
        ordinal_features={"education": list(LEVELS)},
        change_direction={"age": +1, "missed_payments": +1, "education": +1},
        permitted_range=dict(RANGES),
        # years pass by themselves, and a job is not the whole of a life
        feature_weights={"age": 0.25, "employed": 0.5},
    )


def _draw(n, rng):
    """Draw people; one latent standing makes what counts go together."""
    import pandas as pd

    standing = rng.standard_normal(n)

    def around(mean, slope, noise):
        return mean + slope * standing + noise * rng.standard_normal(n)

    def whole(values, low, high):
        return np.clip(np.rint(values), low, high).astype(np.int64)

    return pd.DataFrame(
        {
            "age": whole(20 + 45 * rng.beta(1.2, 3, n), 20, 65),
            "income": np.clip(around(30, 8, 6), *RANGES["income"]).round(2),
            "savings": np.clip(around(7, 4, 4), *RANGES["savings"]).round(2),
            "loans": whole(around(1.5, -0.4, 1), *RANGES["loans"]),
            "missed_payments": rng.choice(5, n, p=[0.88, 0.05, 0.03, 0.02, 0.02]).astype(np.int64),
            "education": np.array(LEVELS, dtype=object)[whole(around(1.2, 0.5, 0.7), 0, 4)],
            "region": rng.choice(list(THRESHOLDS), n, p=[0.6, 0.4]).astype(object),
            "employed": rng.uniform(size=n) < 0.8,
        }
    ).infer_objects()


def _draw_population(n_samples, rule, rng):
    """Draw until there are enough people of each kind: accepted, infeasible, the others."""
    import pandas as pd

    n_accepted = max(1, round(SHARE_ACCEPTED * n_samples))
    n_infeasible = int(np.ceil(SHARE_INFEASIBLE * n_samples)) if n_samples >= 10 else 0
    wanted = [n_accepted, n_infeasible, n_samples - n_accepted - n_infeasible]
    drawn = pd.DataFrame()
    while True:
        drawn = pd.concat([drawn, _draw(4 * n_samples + 100, rng)], ignore_index=True)
        score = rule.decision_function(drawn)
        infeasible = rule.decision_function(_at_best(drawn)) < 0
        # amounts are rounded: people could stand on the line, where rounding would decide
        kinds = [score > OFF_THE_LINE, infeasible, (score < -OFF_THE_LINE) & ~infeasible]
        if all(kind.sum() >= n for kind, n in zip(kinds, wanted, strict=True)):
            break
    rows = [np.flatnonzero(kind)[:n] for kind, n in zip(kinds, wanted, strict=True)]
    return drawn.iloc[np.concatenate(rows)].reset_index(drop=True)


def _at_best(X):
    """People after all the allowed changes that add points."""
    best = {"income": RANGES["income"][1], "savings": RANGES["savings"][1], "loans": 0}
    return X.assign(**best, education=LEVELS[-1], employed=True)


def _crowd(X, crowding, rule, rng):
    """Move accepted people to the crowded spot, the lowest scores first."""
    score = rule.decision_function(X)
    accepted = np.flatnonzero(score >= 0)
    # drawn for all of them, so that the same numbers come whatever the crowding
    jitter = rng.uniform(0, (1.0, 0.5), (len(accepted), 2)).round(2)
    moved = np.argsort(score[accepted], kind="stable")[: round(crowding * len(accepted))]
    rows = accepted[moved]
    for name, value in CROWDED_SPOT.items():
        X.loc[rows, name] = value
    X.loc[rows, ["income", "savings"]] += jitter[moved]
    return X


def _labels(X, rule):
    import pandas as pd

    return pd.Series(rule.predict(X).astype(object), name="decision").infer_objects()


def _optimum(X, rule, space):
    """Least cost of acceptance, and rows that have it; see `make_recourse_population`."""
    cost, Z = np.zeros(len(X)), space.transform(X)
    rejected = np.flatnonzero(rule.decision_function(X) < 0)
    discrete = {
        "education": np.arange(len(LEVELS)),
        "loans": np.arange(RANGES["loans"][1] + 1),
        "employed": np.arange(len(space.categories_["employed"])),  # codes of those seen
    }
    continuous = {name: RANGES[name][1] for name in ("income", "savings")}
    cost[rejected], Z[rejected] = cheapest_acceptance(
        X.iloc[rejected], rule, space, discrete, continuous
    )
    return cost, space.inverse_transform(Z, reference=X)
