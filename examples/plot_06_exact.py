"""
How good is a quick counterfactual?
===================================

:class:`~skcf.NearestExplainer` takes a millisecond a row, and nobody knows how much cheaper a
counterfactual could have been. :class:`~skcf.ExactExplainer` knows: it solves a mixed-integer
programme for each row, and every answer comes with a proof. Here the one measures the other.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier

from skcf import ExactExplainer, NearestExplainer

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X, y = X.filter(regex="^mean"), y.map({0: "malignant", 1: "benign"})
model = HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=8, random_state=0)
labels = model.fit(X, y).predict(X)
malignant = X[labels == "malignant"].head(40)


# %%
# Both explain the same tumours, with the same prices of change.


def explained(explainer):
    explainer.fit(X, labels)
    start = time.perf_counter()
    result = explainer.explain(malignant)
    return result, (time.perf_counter() - start) / len(malignant)


quick, quick_time = explained(NearestExplainer(model, target_class="benign", n_neighbors=3))
more, more_time = explained(NearestExplainer(model, target_class="benign", n_neighbors=30))
exact, exact_time = explained(ExactExplainer(model, target_class="benign"))
print(f"Proven to be optimal: {exact.summary()['proven']:.0%} of {len(malignant)} rows")
for name, result, seconds in (
    ("3 neighbours", quick, quick_time),
    ("30 neighbours", more, more_time),
    ("exact", exact, exact_time),
):
    excess = result.cost.sum() / exact.lower_bound.sum() - 1
    print(f"{name:14s} {1000 * seconds:6.1f} ms a row, {excess:6.1%} above the optimum")

# %%
# Row by row: the line is what the change must cost at least. Most of the quick answers are on it,
# and a few could be far cheaper. Here more neighbours to start from make up for it, and it takes
# the bound to know that.

order = np.argsort(exact.lower_bound)
place = np.arange(len(order))
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.vlines(place, exact.lower_bound[order], quick.cost[order], color="0.8", zorder=0)
ax.scatter(place, quick.cost[order], s=26, color="tab:orange", label="quick, 3 neighbours")
ax.scatter(place, more.cost[order], s=12, color="tab:red", label="quick, 30 neighbours")
ax.step(place, exact.lower_bound[order], where="mid", color="tab:blue", label="proven lower bound")
ax.set(xlabel="tumours, by the cost of their optimum", ylabel="cost", ylim=(0, None))
ax.legend(frameon=False)
for side in ("top", "right"):
    ax.spines[side].set_visible(False)
plt.show()

# %%
# The tumour for which the quick search paid most beyond what was needed, and what each of them
# would change.

worst = int(np.argmax(quick.cost - exact.cost))
label = malignant.index[worst]
for name, result in (("quick", quick), ("exact", exact)):
    changes = result.changes()
    print(f"{name}, cost {result.cost[worst]:.3f}")
    print(changes[changes["row"] == label].round(3).to_string(index=False), end="\n\n")
