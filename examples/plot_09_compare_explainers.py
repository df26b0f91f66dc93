"""
Which explainer is best?
========================

At what? The cheapest change, the fewest features, the likeness to real rows, the time: no explainer
wins everywhere. :func:`~skcf.metrics.compare_explainers` measures them on the same rows, and
:class:`~skcf.inspection.ComparisonDisplay` draws the result.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold

from skcf import CCEExplainer, ExactExplainer, FeatureSpace, NearestExplainer
from skcf.inspection import ComparisonDisplay
from skcf.metrics import compare_explainers

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X, y = X.filter(regex="^mean"), y.map({0: "malignant", 1: "benign"})
model = HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=8, random_state=0).fit(X, y)

# %%
# The explainers, by name. All explain the same classifier, which is not trained again.

explainers = {
    "a real row": NearestExplainer(model, target_class="benign", refine=False),
    "quick": NearestExplainer(model, target_class="benign", refine="quick"),
    "thorough": NearestExplainer(model, target_class="benign"),
    "exact": ExactExplainer(model, target_class="benign"),
    "collective": CCEExplainer(model, target_class="benign", random_state=0),
}

# %%
# Each is fitted on the training rows of a split and explains its test rows. A feature space of the
# comparison's own is one yardstick for all; it is fitted on the training rows of each split.

table = compare_explainers(
    explainers,
    X,
    model.predict(X),
    metrics=[
        "validity",
        "proximity",
        "sparsity",
        "knn_distance",
        "neighbour_share",
        "energy_distance",
        "effective_targets",
    ],
    feature_space=FeatureSpace(),
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
)
table.head()

# %%
# It is tidy: one line for each explainer, split and metric. Here are the means over the splits;
# the darker a cell, the better its rank.

ComparisonDisplay.from_comparison(table)

# %%
# The line "real target-class rows" is what real benign tumours of the test rows get where they
# are held against those of the training rows. A counterfactual that is nearer to them than they are
# to each other is no better than real. Exact answers are the cheapest, and the least like
# real tumours; the plan for everybody looks like the real ones together (``energy_distance``), and
# spreads people over the most places (``effective_targets``), for the highest price.
#
# The frontier: everybody is valid here, so it is the colour that tells.

ComparisonDisplay.from_comparison(table, kind="frontier", plausibility="neighbour_share")

# %%
# The table is a DataFrame. Mean ranks over the splits, say, of some of the metrics:

quality = table[table["metric"].isin(["proximity", "sparsity", "energy_distance"])]
quality.pivot_table(index="explainer", columns="metric", values="rank").round(2)
