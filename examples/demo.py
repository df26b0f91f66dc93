"""The demo of ``make demo``: explain the people whom a risk model rejects.

Real data that comes with scikit-learn: 442 people with diabetes, ten measurements each,
and how far the disease went within a year. A model predicts whether it will go far; for
those whom it puts at high risk, each explainer says what would have to change. Then
all of them are advised at once: one by one, and by a plan that keeps them from crowding.
"""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import CCEExplainer, FeatureSpace, NearestExplainer
from skcf.inspection import CounterfactualDisplay, CrowdingFrontierDisplay, PlanDisplay

PICTURE, CROWDING_PICTURE = Path("demo.png"), Path("demo_crowding.png")

NAMES = {"s1": "cholesterol", "s2": "ldl", "s3": "hdl", "s4": "chol_hdl", "s5": "log_trigl"}

SPACE = FeatureSpace(
    categorical_features=["sex"],
    immutable_features=["age", "sex"],
    permitted_range={"bmi": (18.5, 40), "bp": (80, 130)},
)

EXPLAINERS = {
    "nearest real person": NearestExplainer(refine=False),
    "nearest, refined": NearestExplainer(),
    "collective plan": CCEExplainer(random_state=0),
}
SHOWN = "nearest, refined"

# A plan needs room: real people of the same age are few, so here age may be the example's.
ROOM = FeatureSpace(
    categorical_features=["sex"],
    immutable_features=["sex"],
    permitted_range={"bmi": (18.5, 40), "bp": (80, 130)},
)


def people():
    """Measurements in their own units, and whether the disease went far within a year."""
    X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    X = X.rename(columns={**NAMES, "s6": "glucose"}).astype({"age": int, "sex": int})
    return X, np.where(y > y.median(), "high risk", "low risk")


def share_of_real_neighbors(explainer, X_train, labels, X_cf, k=5):
    """Plausibility: share of the k nearest real people whom the model puts at low risk."""
    space = explainer.feature_space_
    scaled = [space.transform(X) / space.scale_ for X in (X_train, X_cf)]
    neighbors = NearestNeighbors(n_neighbors=k).fit(scaled[0])
    return np.mean(labels[neighbors.kneighbors(scaled[1], return_distance=False)] == "low risk")


def compare(model, X_train, labels, rejected):
    """Print what each explainer does for people it has not seen; return one of the results."""
    heads = ("validity", "cost", "changes", "plausibility", "ms a row")
    print(f"{'explainer':<22}" + "".join(f"{head:>14}" for head in heads))
    results = {}
    for name, explainer in EXPLAINERS.items():
        explainer.set_params(estimator=model, target_class="low risk", feature_space=SPACE)
        explainer.fit(X_train, labels)
        start = time.perf_counter()
        results[name] = result = explainer.explain(rejected)
        spent = 1e3 * (time.perf_counter() - start) / len(rejected)
        summary = result.summary()
        found = result.status == "found"
        cost = explainer.feature_space_.cost(rejected, result.X_cf)[found].mean()
        plausible = share_of_real_neighbors(explainer, X_train, labels, result.X_cf)
        print(
            f"{name:<22}{summary['validity']:>14.0%}{cost:>14.2f}"
            f"{summary['mean_n_changes']:>14.1f}{plausible:>14.0%}{spent:>14.2f}"
        )
    return results[SHOWN]


def show_changes(rejected, result):
    """Print and draw the changes of three people."""
    chosen = np.flatnonzero((result.status == "found") & (result.n_changes > 1))[:3]
    changes = result.changes()
    for position in chosen:
        label = rejected.index[position]
        print(f"\nPerson {label}")
        for _, feature, before, after in changes[changes["row"] == label].itertuples(index=False):
            print(f"    {feature:<12} {before:>8.4g} -> {after:.4g}")
    display = CounterfactualDisplay.from_predictions(rejected, result.X_cf, rows=chosen)
    save(display.figure_, PICTURE)
    print(f"\nThe picture of these three is in {PICTURE.resolve()}")


def advise_everybody(model, X_train, labels):
    """Advise all training people at high risk, one by one and by one plan."""
    space = {"target_class": "low risk", "feature_space": ROOM}
    one_by_one = NearestExplainer(model, metric="sqeuclidean", refine=False, **space)
    plan = CCEExplainer(model, random_state=0, **space).fit(X_train, labels)
    rejected = X_train[labels == "high risk"]
    advice = {
        "individual": one_by_one.fit(X_train, labels).explain(rejected),
        "collective": plan.explain(rejected),
    }
    print(f"\nNow advise all {len(rejected)} people at high risk among those the model has learned")
    print("from. Each is sent to a real person at low risk: the nearest, or by one plan for all.")
    print("(Here age may be that person's: too few are of one's own age to choose from.)\n")
    print(f"{'advice':<14}{'effort':>10}{'crowding':>10}{'places':>10}{'most in one':>14}")
    for name, result in advice.items():
        effort = plan.feature_space_.cost(rejected, result.X_cf, metric=plan.cost).mean()
        arrivals = result.X_cf.value_counts()
        print(
            f"{name:<14}{effort / plan.cost_scale_:>10.2f}{plan.crowding(result):>10.2f}"
            f"{len(arrivals):>10}{arrivals.max():>14}"
        )
    print(f"The plan is within {plan.gap_:.1e} of the best possible one, as its prices prove.")
    draw_crowding(plan, advice)


def draw_crowding(plan, advice):
    """Draw the plan with its prices, and what it costs to crowd less."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    PlanDisplay.from_estimator(plan, features=("bmi", "log_trigl"), random_state=0, ax=axes[0])
    CrowdingFrontierDisplay.from_estimator(plan, results=advice, ax=axes[1])
    save(figure, CROWDING_PICTURE)
    print(f"The picture of the plan is in {CROWDING_PICTURE.resolve()}")


def save(figure, path):
    """Save a figure, and close it."""
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)


def main():
    """Train, explain, print, draw."""
    X, y = people()
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
    labels = model.predict(X_train)
    rejected = X_test[model.predict(X_test) == "high risk"]
    print(f"A model of diabetes ({model.score(X_test, y_test):.0%} of new people right).")
    print(f"It puts {len(rejected)} of {len(X_test)} new people at high risk. What would have")
    print("to change for low risk? Age and sex may not; weight and pressure within limits.\n")
    show_changes(rejected, compare(model, X_train, labels, rejected))
    advise_everybody(model, X_train, labels)


if __name__ == "__main__":
    main()
