"""
How far beyond the boundary? Ask a grid search
==============================================

The cheapest counterfactual stands right behind the decision boundary, where real rows are rare.
A margin buys plausibility with effort. How much of it? An explainer is an estimator, so that
:class:`~sklearn.model_selection.GridSearchCV` can tell, with counterfactual metrics as its scores.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import NearestExplainer
from skcf.metrics import make_counterfactual_scorer, refit_pareto

# %%
# The classifier takes scaled rows, and the explainer stands behind a scaler in a pipeline: so it
# explains in the space that the classifier knows.

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X, y = X.filter(regex="^mean"), y.map({0: "malignant", 1: "benign"})
scaler = StandardScaler().set_output(transform="pandas").fit(X)
model = LogisticRegression().fit(scaler.transform(X), y)
y_pred = model.predict(scaler.transform(X))

pipeline = make_pipeline(
    StandardScaler().set_output(transform="pandas"),
    NearestExplainer(model, target_class="benign"),
)

# %%
# One scorer measures everything, and each split is explained once. Its keys start with ``neg_``
# where less is better. ``neighbour_share`` is the share of the nearest real tumours that are
# benign, too: near 0.5 a counterfactual stands between the classes.
#
# The rows of this table are ordered, as those of many tables, and explainers are no
# classifiers to scikit-learn: a plain ``cv=5`` would be unshuffled folds, some of them with one
# class only. So the folds are given.

search = GridSearchCV(
    pipeline,
    {
        "nearestexplainer__min_margin": [1e-4, 0.5, 1, 2, 3, 5],
        "nearestexplainer__refine": ["quick", True],
    },
    scoring=make_counterfactual_scorer(["validity", "proximity", "sparsity", "neighbour_share"]),
    refit=refit_pareto("neighbour_share", tolerance=0.1),
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
)
search.fit(X, y_pred)

table = pd.DataFrame(search.cv_results_)
columns = table.filter(regex="^param_|^mean_test_")
columns.columns = columns.columns.str.replace("param_nearestexplainer__|mean_test_", "", regex=True)
columns.round(3)

# %%
# ``refit_pareto`` took the cheapest candidate among those within 0.1 of the best share of benign
# neighbours. ``refit="validity"`` would have been of no use here: all of them are valid.
# The thorough search changes fewer features, each of them further, than real tumours differ in;
# the quick one, which starts from a real tumour and keeps more of it, stays nearer to them.

search.best_params_

# %%
# What it chose from, and what it chose:

fig, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for refine, rows in columns.groupby(columns["refine"].astype(str)):
    cost, share = -rows["neg_proximity"], rows["neighbour_share"]
    (line,) = ax.plot(cost, share, "o-", label=f"refine={refine}")
    for margin, *place in zip(rows["min_margin"], cost, share, strict=True):
        ax.annotate(f"  {margin:g}", place, va="top", fontsize="small", color=line.get_color())
best = columns.loc[search.best_index_]
ax.plot(-best["neg_proximity"], best["neighbour_share"], "o", ms=15, mfc="none", color="black")
ax.set(xlabel="proximity (cost of the change)", ylabel="share of benign neighbours")
ax.legend(frameon=False, title="min_margin beside the dots")
plt.show()

# %%
# The search is a fitted pipeline now, like any other: it explains, and scores.

search.transform(X[y_pred == "malignant"].head(3)).round(2)
