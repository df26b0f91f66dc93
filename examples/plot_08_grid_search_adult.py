"""
Tuning on a raw table of people
===============================

Adult is a table of people with text, whole numbers and gaps, as it comes; the classifier is a whole
pipeline on it. The explainer takes both as they are, so that a grid search can tune it on raw
rows. (The data is downloaded from OpenML, unless the environment variable ``SKCF_DATA`` names a
folder that has it.)
"""

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from skcf import NearestExplainer
from skcf.datasets import fetch_adult
from skcf.metrics import make_counterfactual_scorer, refit_pareto

X, y, space = fetch_adult()
X, y = X.head(2000), y.head(2000)
encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
text = make_column_selector(dtype_exclude="number")
model = make_pipeline(
    make_column_transformer((encoder, text), remainder="passthrough"),
    HistGradientBoostingClassifier(max_iter=50, random_state=0),
).fit(X, y)
X.head(3)

# %%
# What nobody can change stays, ages do not fall, and so on: the data set comes with a
# :class:`~skcf.FeatureSpace` that says so. Its parameters could be searched over as well
# (``feature_space__scale``); then give the scorer a ``feature_space`` of its own, or every
# candidate measures with another yardstick.

space

# %%
# How thorough must the search for each person be? The scores are taken on people who were not in
# the fit.

search = GridSearchCV(
    NearestExplainer(model, target_class=">50K", feature_space=space),
    {"refine": [False, "quick", True], "n_neighbors": [1, 5]},
    scoring=make_counterfactual_scorer(
        ["validity", "proximity", "sparsity", "constraint_violations", "neighbour_share"]
    ),
    refit=refit_pareto("validity", tolerance=0.01),
    cv=StratifiedKFold(2, shuffle=True, random_state=0),
)
y_pred = model.predict(X)
search.fit(X, y_pred)

results = pd.DataFrame(search.cv_results_)
columns = [
    "param_refine",
    "param_n_neighbors",
    "mean_score_time",
    *results.filter(like="mean_test"),
]
results[columns].round(3)

# %%
# All of them are valid and break no rule; they differ in what they ask of people.

search.best_params_

# %%

rejected = X[y_pred == "<=50K"]
search.best_estimator_.explain(rejected.head(5)).changes()
