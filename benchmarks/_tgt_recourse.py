"""Global recourse: one translation for all who are rejected, and what it brings them."""

import json
import time
from pathlib import Path

import numpy as np
from _tables import header, verdict
from bench_nearest import boosted, count_violations, german_credit, linear
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from skcf import DBMExplainer, NearestExplainer, TGTExplainer
from skcf.datasets import fetch_credit_default

__all__ = ["recourse"]

METHODS = {
    "DBM": (DBMExplainer, {}),
    "TGT": (TGTExplainer, {"random_state": 0}),
    "TGT, metric": (TGTExplainer, {"solver": "metric", "random_state": 0}),
}
HEADER = (
    "| data, model | rejected | method | effectiveness | mean cost | changes | violations | CPU s |"
)
FORMATS = {
    "effectiveness": ".3f",
    "cost": ".3f",
    "changes": ".1f",
    "violations": "",
    "seconds": ".1f",
}
SHARES = (0.8, 0.5, 0.2)
MOST_ROWS = 2000  # to fit on, of credit default


def recourse(peers=None):
    """Print effectiveness at cost, of our methods and of what a JSON file tells of others.

    Parameters
    ----------
    peers : str, default=None
        A file of ``{"german_credit, linear": {"name of a method": {"effectiveness": 0.5,
        "cost": 1.0, "changes": 2.0, "violations": 0, "seconds": 3.0}}}``; what is missing is
        left empty. They are to be of the same split and classifier, over the rejected test rows,
        with costs by ``FeatureSpace.cost`` of a space fitted on the training rows.
    """
    print("\n## Global recourse: groups are a classifier's predictions\n")
    header(HEADER)
    others = json.loads(Path(peers).read_text()) if peers else {}
    for load in (german_credit, credit_default):
        for make in (linear, boosted):
            case = Case(load, make)
            told = {}
            for what, explainer in case.explainers().items():
                told[what] = case.measured(explainer)
                case.show(what, told[what])
            for what, numbers in others.get(case.name, {}).items():
                case.show(what, numbers)
            judge(case.name, told)


def credit_default():
    """Rows to fit on, and as many to explain; paying is favourable."""
    X, y, space = fetch_credit_default()
    X_train, X_test, y_train, _ = train_test_split(
        X, y, train_size=MOST_ROWS, test_size=MOST_ROWS, random_state=0, stratify=y
    )
    return X_train, y_train, X_test, space, 0


class Case:
    """A classifier, and the test rows that it rejects."""

    def __init__(self, load, make):
        self.name = f"{load.__name__}, {make.__name__}"
        self.X_train, y_train, X, self.space, self.favourable = load()
        self.model = make(self.X_train).fit(self.X_train, y_train)
        self.X = X[self.model.predict(X) != self.favourable]

    def explainers(self):
        """Ours: the same step for all, the least that is valid for each row, and both alone."""
        common = {"target_class": self.favourable, "feature_space": self.space}
        made = {
            f"{what}, {magnitude}": kind(
                estimator=self.model, magnitude=magnitude, **common, **settings
            )
            for what, (kind, settings) in METHODS.items()
            for magnitude in ("group", "row")
        }
        tgt = TGTExplainer(estimator=self.model, **common)
        largest = clone(tgt).fit(self.X_train).alphas_[0]
        for share in SHARES:
            weighted = clone(tgt).set_params(alpha=share * largest)
            made[f"TGT, alpha {share} of the largest, group"] = weighted
        made["one by one: NearestExplainer"] = NearestExplainer(self.model, **common)
        return made

    def measured(self, explainer):
        """What the rejected rows get, told by the classifier itself."""
        start = time.process_time()
        result = explainer.fit(self.X_train).explain(self.X)
        seconds = time.process_time() - start
        accepted = result.status == "found"
        if accepted.any():
            accepted[accepted] = self.model.predict(result.X_cf[accepted]) == self.favourable
        before, after = self.X[accepted], result.X_cf[accepted]
        changed = (before != after) & ~(before.isna() & after.isna())
        costs = np.full(len(accepted), np.nan)
        if accepted.any():
            costs[accepted] = explainer.feature_space_.cost(before, after)
        return {
            "effectiveness": accepted.mean(),
            "cost": mean_of(costs),
            "changes": mean_of(changed.sum(axis=1)),
            "violations": count_violations(before, after, self.space, self.X_train),
            "seconds": seconds,
            "costs": costs,
        }

    def show(self, what, numbers):
        """A line from a dict."""
        cells = (
            format(numbers[key], form) if key in numbers else "" for key, form in FORMATS.items()
        )
        print(f"| {self.name} | {len(self.X)} | {what} | {' | '.join(cells)} |", flush=True)


def mean_of(values):
    """Mean of what there is; NaN of nothing."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return values.mean() if len(values) else np.nan


def judge(case, told):
    """Print what a step of its own brings, and whether a rule is broken."""
    for what in METHODS:
        group, row = (told[f"{what}, {each}"]["effectiveness"] for each in ("group", "row"))
        asked = f"{case}, {what}: at least as many accepted with magnitude='row'"
        verdict(row >= group, f"{asked}: {group:.3f}, {row:.3f}")
    dbm, tgt = (told[f"{what}, row"] for what in ("DBM", "TGT"))
    shares = tgt["effectiveness"], dbm["effectiveness"]
    verdict(shares[0] >= shares[1], f"{case}: TGT accepted, DBM: {shares[0]:.3f}, {shares[1]:.3f}")
    both = np.isfinite(tgt["costs"]) & np.isfinite(dbm["costs"])
    costs = mean_of(tgt["costs"][both]), mean_of(dbm["costs"][both])
    asked = f"{case}: mean cost of the {both.sum()} rows accepted by both, row, TGT and DBM"
    verdict(costs[0] <= costs[1], f"{asked}: {costs[0]:.3f}, {costs[1]:.3f}")
    broken = sum(numbers["violations"] for numbers in told.values())
    verdict(broken == 0, f"{case}: rows that break a constraint: {broken}")
