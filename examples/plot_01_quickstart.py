"""
What would make these tumours benign?
=====================================

A classifier tells malignant from benign tumours by ten measurements. For each tumour that
it calls malignant, we ask: which measurements would have to be different, and by how much,
for the classifier to call it benign? The answer is a *counterfactual*: a row that differs
from the original as little as possible, and that the classifier puts in the other class.

A counterfactual explains the classifier, not the disease. It says what the prediction
hangs on.
"""

# %%
# A classifier to explain
# -----------------------
#
# Any fitted classifier will do. Here it is a pipeline on the DataFrame as it was loaded; so
# the counterfactuals will have the columns and the units of that DataFrame.

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import NearestExplainer
from skcf.inspection import CounterfactualDisplay

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = X.filter(regex="^mean")  # the ten measurements, each a mean over the cells of a tumour
y = y.map({0: "malignant", 1: "benign"})
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y_train)
print(f"accuracy on unseen tumours: {model.score(X_test, y_test):.3f}")

# %%
# Explain it
# ----------
#
# The explainer is fitted on rows and on what the classifier *predicts* for them, not on the
# true labels: it is the predictions that are explained. The classifier itself is left as
# it is.

explainer = NearestExplainer(model, target_class="benign")
explainer.fit(X_train, model.predict(X_train))

malignant = X_test[model.predict(X_test) == "malignant"]
result = explainer.explain(malignant)
print(result)

# %%
# Every row got a counterfactual. That is not taken on trust: the classifier was asked about
# the very rows that are returned, and can be asked again.

bool((model.predict(result.X_cf) == "benign").all())

# %%
# ``summary`` gives the numbers that matter first: how many rows were served, what the
# changes cost, and how many features had to change. A change across the whole range of a
# feature costs 1, and the costs of the features add up.

for name, value in result.summary().items():
    print(f"{name:16} {value:.3g}")

# %%
# What changes
# ------------
#
# ``changes`` lists one change a line, under the index labels of the DataFrame. These are
# the first two tumours.

changes = result.changes()
changes[changes["row"].isin(malignant.index[:2])]

# %%
# The same as a picture. Each feature moves along its own range, from the grey circle to the
# blue dot, and the values stand beside them in the units of the data.

CounterfactualDisplay.from_estimator(explainer, malignant, rows=[0, 1])
plt.show()

# %%
# Only some of the ten measurements change. The explainer starts from the nearest benign
# tumours of the training data. It then takes back every change that is not needed, and shortens
# the others until the row lies just inside of the decision boundary. It also puts changes of
# single measurements together, and keeps what is cheapest. Without all this, counterfactuals
# are real tumours, and all of their measurements differ.

real_rows = NearestExplainer(model, target_class="benign", refine=False)
real_rows.fit(X_train, model.predict(X_train))
for name, each in {"refined": explainer, "real rows": real_rows}.items():
    summary = each.explain(malignant).summary()
    print(f"{name:10} {summary['mean_n_changes']:5.1f} changes, cost {summary['mean_cost']:.2f}")

# %%
# Tune the explainer
# ------------------
#
# An explainer is a scikit-learn estimator, so ``GridSearchCV`` can choose its parameters.
# Its own ``score`` is the share of rows that got a valid counterfactual. Here that is 1 for
# every candidate, so we let the cost decide. The classifier is never refitted: clones of an
# explainer keep it.


def negative_cost(explainer, X, y=None):
    return -explainer.explain(X).summary()["mean_cost"]


grid = {"refine": [False, "quick", True]}
search = GridSearchCV(explainer, grid, scoring=negative_cost, cv=2)
search.fit(X_train, model.predict(X_train))
for params, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(params, f"mean cost {-score:.2f}")

# %%
# The more an explainer looks for, the more questions it asks the classifier, and the cheaper are
# its counterfactuals. The best explainer of the search is ready to use.

best = search.best_estimator_.explain(malignant).summary()
print(f"{best['mean_n_changes']:.1f} changes, cost {best['mean_cost']:.2f}")
