"""
Where categories stand on an axis
=================================

A gradient step adds a little to each feature. What is a high school diploma and a little?
:class:`~skcf.PrototypeExplainer` answers by an axis: the categories of a feature get positions,
such that those which the data treat alike are close, and a step leads from a category to the next.
Nobody tells it the order of school degrees; here it has to find it.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skcf import FeatureSpace, PrototypeExplainer

# %%
# A small census, made up: who stayed at school longer works in other jobs, saves more, and earns
# more often a high wage. The columns of degrees and of jobs hold plain words.

DEGREES = ["dropout", "high school", "associate", "bachelor", "master", "professor", "doctorate"]
JOBS = ["cleaning", "crafts", "office", "sales", "engineering", "management"]
rng = np.random.default_rng(0)
n = 4000
degree = rng.choice(len(DEGREES), n, p=[0.12, 0.33, 0.12, 0.22, 0.12, 0.04, 0.05])
calling = np.array([0.0, 1.0, 1.5, 3.0, 4.5, 5.0])
likely = np.exp(-((degree[:, None] - calling) ** 2) / 4)
job = np.array([rng.choice(len(JOBS), p=row / row.sum()) for row in likely])
age = rng.integers(20, 65, n)
savings = np.maximum(rng.normal(5 + 5 * degree + 0.2 * (age - 20), 8), 0).round(1)
hours = np.clip(rng.normal(36 + degree, 6), 10, 70).astype(int)
wage = 0.8 * degree + 0.4 * calling[job] + 0.05 * (age - 40) + 0.08 * (hours - 40)

X = pd.DataFrame(
    {
        "degree": np.array(DEGREES)[degree],
        "job": np.array(JOBS)[job],
        "age": age,
        "savings": savings,
        "hours": hours,
    }
)
y = np.where(wage + rng.logistic(size=n) > 4, ">50k", "<=50k")

encoder = make_column_transformer((OneHotEncoder(), ["degree", "job"]), remainder="passthrough")
forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=0)
model = make_pipeline(encoder, forest).fit(X, y)

# %%
# Two distances of categories. By ABDM two degrees are alike if the people who hold them are alike
# in the other columns; by MVDM, if the classifier gives them high wages as often. Either way,
# scaling brings the distances to one axis, from 0 to 1.

space = FeatureSpace(immutable_features=["age"])
explainers = {
    distance: PrototypeExplainer(model, feature_space=space, categorical_distance=distance).fit(X)
    for distance in ("abdm", "mvdm")
}
axes_of_degrees = {
    f"{distance.upper()}\nrank correlation {explainer.category_rank_correlation_['degree']:.2f}": (
        explainer.category_positions_["degree"]
    )
    for distance, explainer in explainers.items()
}
axes_of_degrees["how frequent it is\n(neither)"] = X["degree"].value_counts(normalize=True)

# %%
# ABDM finds the order of the years at school. MVDM sees the wage alone: a professor and a doctor,
# who both get a high one, are the same to it, and so are those at the other end. Two categories
# that are (nearly) one are kept a tenth of an even step apart, since a rounding error should not
# choose between them. An embedding by frequency, which has been proposed too, puts dropouts
# beside masters.

fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, (title, positions) in zip(axes, axes_of_degrees.items(), strict=True):
    ax.hlines(DEGREES, 0, [positions[name] for name in DEGREES], color="0.85", zorder=0)
    ax.scatter([positions[name] for name in DEGREES], DEGREES, color="tab:blue")
    ax.set_title(title, fontsize=10)
    ax.set(xlabel="position", xlim=(-0.03, None))
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(left=False)
plt.show()

# %%
# Both axes keep the order of the distances, says the rank correlation. Where one is below 0.5
# ``fit`` warns, and it is worth trying the other distance.
#
# Now 200 people with a low wage. A degree moves along its axis as savings and hours do, towards
# that of a real person with a high wage, and no further than it must.

low = X[model.predict(X) == "<=50k"].head(200)
result = explainers["abdm"].explain(low)
changes = result.changes()
changes[changes["row"].isin(changes.loc[changes["feature"] == "degree", "row"].unique()[:3])]

# %%
# How many leave which degree for which; who stays at the same is on the diagonal. All who move go
# up, most of them by a step or two, and nobody as far as a doctorate, at the end of the axis.

moves = pd.crosstab(low["degree"], result.X_cf["degree"])
moves = moves.reindex(index=DEGREES[:5], columns=DEGREES, fill_value=0)
fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.imshow(moves, cmap="Blues", aspect="auto", vmax=1.4 * moves.to_numpy().max())
for (i, j), count in np.ndenumerate(moves.to_numpy()):
    ax.text(j, i, count or "", ha="center", va="center")
ax.set_xticks(range(len(DEGREES)), DEGREES, rotation=30, ha="right")
ax.set_yticks(range(5), DEGREES[:5])
ax.set(xlabel="degree of the counterfactual", ylabel="degree")
ax.tick_params(length=0)
for side in ax.spines.values():
    side.set_visible(False)
plt.show()
