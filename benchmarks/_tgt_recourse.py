"""Global recourse: one translation for all who are rejected, and what it brings them."""

import json
import time
from pathlib import Path

import numpy as np
from _tables import header, verdict
from bench_nearest import boosted, count_violations, german_credit, linear
from sklearn.model_selection import train_test_split

from skcf import DBMExplainer, NearestExplainer, TGTExplainer
from skcf.datasets import fetch_credit_default

__all__ = ["recourse"]

METHODS = {
    "DBM": (DBMExplainer, {}),
    "TGT": (TGTExplainer, {"random_state": 0}),
    "TGT, k=2": (TGTExplainer, {"n_features_to_change": 2, "random_state": 0}),
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
            case = f"{load.__name__}, {make.__name__}"
            X_train, y_train, X, space, favourable = load()
            model = make(X_train).fit(X_train, y_train)
            X = X[model.predict(X) != favourable]
            told = {}
            for what, explainer in explainers(model, space, favourable).items():
                told[what] = measured(explainer, X_train, X, favourable, model, space)
                show(case, len(X), what, told[what])
            for what, numbers in others.get(case, {}).items():
                show(case, len(X), what, numbers)
            judge(case, told)


def credit_default():
    """Rows to fit on, and half of the rest to explain; paying is favourable."""
    X, y, space = fetch_credit_default()
    X_train, X_test, y_train, _ = train_test_split(
        X, y, train_size=MOST_ROWS, test_size=MOST_ROWS, random_state=0, stratify=y
    )
    return X_train, y_train, X_test, space, 0


def explainers(model, space, favourable):
    """Ours, each with the same step for all and with the least that is valid for each row."""
    common = {"target_class": favourable, "feature_space": space}
    made = {
        f"{what}, {magnitude}": kind(estimator=model, magnitude=magnitude, **common, **settings)
        for what, (kind, settings) in METHODS.items()
        for magnitude in ("group", "row")
    }
    made["one by one: NearestExplainer"] = NearestExplainer(model, **common)
    return made


def measured(explainer, X_train, X, favourable, model, space):
    """What the rejected rows get, told by the classifier itself."""
    start = time.process_time()
    result = explainer.fit(X_train, model.predict(X_train)).explain(X)
    seconds = time.process_time() - start
    accepted = result.status == "found"
    accepted[accepted] = model.predict(result.X_cf[accepted]) == favourable
    before, after = X[accepted], result.X_cf[accepted]
    changed = (before != after) & ~(before.isna() & after.isna())
    return {
        "effectiveness": accepted.mean(),
        "cost": explainer.feature_space_.cost(before, after).mean() if len(before) else np.nan,
        "changes": changed.sum(axis=1).mean(),
        "violations": count_violations(before, after, space, X_train),
        "seconds": seconds,
    }


def show(case, n_rows, what, numbers):
    """A line from a dict."""
    cells = [format(numbers[key], form) if key in numbers else "" for key, form in FORMATS.items()]
    print(f"| {case} | {n_rows} | {what} | {' | '.join(cells)} |", flush=True)


def judge(case, told):
    """Print what a step of its own brings, and whether a rule is broken."""
    for what in METHODS:
        group, row = told[f"{what}, group"], told[f"{what}, row"]
        verdict(
            row["effectiveness"] >= group["effectiveness"],
            f"{case}, {what}: at least as many accepted with magnitude='row': "
            f"{group['effectiveness']:.3f}, {row['effectiveness']:.3f}",
        )
    dbm, tgt = (told[f"{what}, row"] for what in ("DBM", "TGT"))
    met = tgt["effectiveness"] >= dbm["effectiveness"] and tgt["cost"] <= dbm["cost"]
    verdict(
        met,
        f"{case}: TGT no worse than DBM, magnitude='row': effectiveness "
        f"{tgt['effectiveness']:.3f}, {dbm['effectiveness']:.3f}; cost {tgt['cost']:.3f}, {dbm['cost']:.3f}",
    )
    broken = sum(numbers["violations"] for numbers in told.values())
    verdict(broken == 0, f"{case}: rows that break a constraint: {broken}")
