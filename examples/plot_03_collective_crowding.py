"""
Advice that stays good when everybody follows it
================================================

The nearest way to be accepted is good advice for one person. Given to hundreds, it sends them all
to the same few spots. :class:`~skcf.CCEExplainer` makes one plan for everybody, and weighs the
effort of the moves against the crowds at their ends.
"""

# %%
# People in two half moons
# ------------------------
#
# Two features make pictures possible. The classifier accepts the people of the lower moon; those
# of the upper moon ask what would have to change.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.svm import SVC

from skcf import CCEExplainer, NearestExplainer
from skcf.inspection import CrowdingFrontierDisplay, PlanDisplay

X, y = make_moons(600, noise=0.15, random_state=0)
model = SVC(gamma=2).fit(X, y)
labels = model.predict(X)
rejected, accepted = X[labels == 0], X[labels == 1]
print(f"{len(rejected)} people are rejected, {len(accepted)} accepted.")

# %%
# Individual and collective advice
# --------------------------------
#
# Individual advice: the nearest person who was accepted. Collective advice: the target where
# effort and the price of crowding are least together. Both send people to real accepted rows.

nearest = NearestExplainer(model, metric="sqeuclidean", refine=False).fit(X, labels)
collective = CCEExplainer(model, random_state=0).fit(X, labels)
advice = {"individual": nearest.explain(rejected), "collective": collective.explain(rejected)}

# %%
# ``crowding`` tells how far the arrivals are from being spread as the accepted people are. It
# takes the results of any explainer. The effort is in mean costs: 1 is the mean over all pairs of
# a rejected and an accepted person.


def effort(result):
    cost = collective.feature_space_.cost(result.X, result.X_cf, metric="sqeuclidean")
    return cost.mean() / collective.cost_scale_


for name, result in advice.items():
    _, arrivals = np.unique(result.X_cf, axis=0, return_counts=True)
    print(
        f"{name}: effort {effort(result):.2f}, crowding {collective.crowding(result):5.2f}, "
        f"{len(arrivals)} places, up to {arrivals.max()} people in one"
    )

# %%
# The picture says the same. Each line is a person who moves; the orange circles are places, as
# large as the crowd that arrives there.

fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, (name, result) in zip(axes, advice.items(), strict=True):
    places, arrivals = np.unique(result.X_cf, axis=0, return_counts=True)
    moves = np.stack([result.X, result.X_cf], axis=1)
    ax.plot(*moves.T, color="#6e6e6e", linewidth=0.4, alpha=0.4)
    ax.scatter(*accepted.T, s=5, color="#0072b2", linewidths=0, label="accepted")
    ax.scatter(*rejected.T, s=5, color="#6e6e6e", linewidths=0, label="rejected")
    ax.scatter(*places.T, s=8 * arrivals, color="#d55e00", alpha=0.5, linewidths=0)
    ax.set_title(f"{name}: crowding {collective.crowding(result):.1f}")
axes[0].legend(frameon=False, loc="lower left")
plt.show()

# %%
# The price of crowding
# ---------------------
#
# The plan posts a price at each target. It is high at the near end of the lower moon, where
# everybody would like to go, and negative at the far end, where there is room. Nobody can do
# better at these prices by going elsewhere. That is why advice can be read off for one row at a
# time.

PlanDisplay.from_estimator(collective, n_people=60, random_state=0)
plt.show()

# %%
# Effort and price of each person, in the same unit:

result = advice["collective"]
for i in range(3):
    print(f"person {i}: effort {result.effort[i]:.2f}, price {result.price[i]:+.2f}")

# %%
# What it costs to crowd less
# ---------------------------
#
# ``crowding_penalty`` is the knob between the two. Small, advice is nearly individual; large,
# arrivals are spread as the accepted people are. The line shows what each value costs and buys. No
# plan is below and to the left of it. Individual advice stands at its upper end: a little more
# effort buys most.
#
# Advice crowds somewhat more than the plan that it is read off, since a plan may split a person in
# two.

CrowdingFrontierDisplay.from_estimator(collective, results=advice)
plt.show()

# %%
# How good the plan is
# --------------------
#
# The prices prove a lower bound on what any plan must pay. So it is known, not hoped, how far the
# plan is from the best one.

print(f"objective {collective.objective_:.5f}, lower bound {collective.dual_objective_:.5f}")
print(f"relative gap {collective.gap_:.0e}")

# %%
# New people
# ----------
#
# The prices stand for people whom ``fit`` has not seen, and no new plan is made for them. Their
# advice crowds more than the advice for those for whom the plan was made, and far less than
# individual advice.

new, _ = make_moons(2000, noise=0.15, random_state=1)
new = new[model.predict(new) == 0]
for name, explainer in {"individual": nearest, "collective": collective}.items():
    print(f"{name}: crowding {collective.crowding(explainer.explain(new)):.1f}")
