"""
Who ends up worse off
=====================

A counterfactual promises: go there, and you will be accepted. It does not promise that the place is
still worth going to when everybody has come. Here people act on their advice, on individual
or on collective advice, and we watch what becomes of those who move and of those who were there.

The model is the one that the collective explainer was made for: places have resources, people
share them, and the population is in equilibrium where people are as dense as resources are.
"""

# %%
# People, and an explainer of each kind
# -------------------------------------
#
# The classifier accepts the lower of two half moons. The crowding penalty is high: people are to
# arrive as evenly as they can.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons
from sklearn.svm import SVC

from skcf import CCEExplainer, NearestExplainer

X, y = make_moons(1000, noise=0.15, random_state=0)
model = SVC(gamma=2).fit(X, y)
labels = model.predict(X)
rejected, accepted = X[labels == 0], X[labels == 1]

nearest = NearestExplainer(model, metric="sqeuclidean", refine=False).fit(X, labels)
collective = CCEExplainer(model, crowding_penalty=10, random_state=0).fit(X, labels)
advice = {
    "individual": nearest.explain(rejected).X_cf,
    "collective": collective.explain(rejected).X_cf,
}

# %%
# Places and what they offer
# --------------------------
#
# The accepted people live in twenty-five places. The resources :math:`S` of a place are shared by
# the :math:`U` people who live there; the **utility** of each is :math:`S / U`. Before anybody
# moves, the accepted are in equilibrium, :math:`U \propto S`, at a utility of 1. The rejected have
# 0.4 where they are: this is why they want to move.
#
# Not everybody acts on advice. We let a random 40 % of the rejected do.

OUTSIDE, ACTING = 0.4, 0.4
places = KMeans(25, n_init=1, random_state=0).fit(accepted)
home = places.labels_  # of the accepted
resources = np.bincount(home, minlength=25)

rng = np.random.default_rng(0)
movers = rng.random(len(rejected)) < ACTING
print(f"{movers.sum()} people move to where {len(accepted)} are.")
equal_share = len(accepted) / (len(accepted) + movers.sum())
print(f"With everything shared out equally, all would have a utility of {equal_share:.2f}.")

# %%
# They move
# ---------

arrived = {name: places.predict(X_cf[movers]) for name, X_cf in advice.items()}
utility = {
    name: resources / (resources + np.bincount(arrivals, minlength=25))
    for name, arrivals in arrived.items()
}

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, (name, X_cf) in zip(axes, advice.items(), strict=True):
    moves = np.stack([rejected[movers], X_cf[movers]], axis=1)
    ax.plot(*moves.T, color="#6e6e6e", linewidth=0.4, alpha=0.5)
    dots = ax.scatter(*accepted.T, c=utility[name][home], s=12, cmap="viridis", vmin=0, vmax=1)
    ax.set_title(f"{name} advice")
fig.colorbar(dots, ax=axes, label="utility of the accepted afterwards")
plt.show()

# %%
# Individual advice overruns the near end of the moon and leaves the rest as it was. Collective
# advice asks a little of every place.
#
# Before and after
# ----------------
#
# Each curve has all people of its kind, from the worst off to the best. Above the grey line they
# gain, below they lose.

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
colors = {"individual": "#d55e00", "collective": "#0072b2"}
for name, color in colors.items():
    after = {
        "those who move": utility[name][arrived[name]],
        "those who are there": utility[name][home],
    }
    for ax, (who, values) in zip(axes, after.items(), strict=True):
        share = (np.arange(len(values)) + 0.5) / len(values)
        ax.plot(share, np.sort(values), color=color, label=f"after {name} advice")
        ax.set(title=who, xlabel="share of people")
for ax, before in zip(axes, (OUTSIDE, 1.0), strict=True):
    ax.axhline(before, color="#6e6e6e", linewidth=1, label="before")
axes[0].set_ylabel("utility")
axes[1].legend(frameon=False)
plt.show()

# %%
# In numbers: how many of the movers are worse off than if they had stayed, and what is left to the
# tenth of the accepted who lose most.

for name in advice:
    moved, stayed = utility[name][arrived[name]], np.sort(utility[name][home])
    print(
        f"{name} advice: {np.mean(moved < OUTSIDE):.0%} of the movers lose. Of the accepted, the "
        f"worst-off tenth keep {stayed[: len(stayed) // 10].mean():.2f}, "
        f"the median {np.median(stayed):.2f}."
    )

# %%
# Individual advice misleads those who follow it: most would have done better to stay. It takes
# most from those who live near the boundary, while the others notice nothing. After collective
# advice all movers gain. What they gain comes from all of the accepted, in about equal parts. That
# is no gift either: most of the accepted lose more than after individual advice, and a few lose
# far less.
#
# What happens next
# -----------------
#
# People will not stay in overrun places. Let them go, one at a time, to wherever the utility is
# best after the effort of getting there, until nobody wants to move any more. Then :math:`U` is
# again in proportion to :math:`S`, but for what moving costs.

EFFORT = 0.1  # utility that a move as long as the range of a feature is worth


def effort_to_places(X):
    """Distance from each row to each place; 1 is the range of a feature."""
    space = collective.feature_space_
    return space.pairwise_cost(X, places.cluster_centers_, metric="euclidean")


def settle(at, effort, rounds=6):
    """Let everybody move on, round by round.

    Takes where people are and what it costs them to go elsewhere; returns the utility of the
    worst-off tenth, and the effort spent so far, before each round.
    """
    at, effort = at.copy(), effort.copy()
    between = effort_to_places(places.cluster_centers_)
    density = np.bincount(at, minlength=25)
    worst, spent = [], [0.0]
    for _ in range(rounds):
        worst.append(np.sort((resources / density)[at])[: len(at) // 10].mean())
        spent.append(spent[-1])
        for i in rng.permutation(len(at)):
            value = resources / (density + 1) - EFFORT * effort[i]
            value[at[i]] = resources[at[i]] / density[at[i]]
            best = int(np.argmax(value))
            if best != at[i]:
                density[at[i]] -= 1
                density[best] += 1
                spent[-1] += effort[i, best]
                at[i], effort[i] = best, between[best]
    return np.array(worst), np.array(spent[:-1])


# %%
# The worst-off tenth of all people, and the effort of all moves, the first ones included:

fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, X_cf in advice.items():
    ends = np.concatenate([accepted, X_cf[movers]])
    worst, spent = settle(np.concatenate([home, arrived[name]]), effort_to_places(ends))
    first = collective.feature_space_.cost(rejected[movers], X_cf[movers], metric="euclidean")
    total = (first.sum() + spent) / movers.sum()
    axes[0].plot(worst, "o-", color=colors[name], markersize=4, label=name)
    axes[1].plot(total, "o-", color=colors[name], markersize=4, label=name)
    print(f"{name}: effort a mover {total[0]:.2f} at first, {total[-1]:.2f} in the end")
axes[0].set(xlabel="round", ylabel="utility of the worst-off tenth")
axes[1].set(xlabel="round", ylabel="effort so far, for each mover", ylim=0)
axes[0].legend(frameon=False)
plt.show()

# %%
# Individual advice is cheap only at first. Its crowd has to move on, until it has spent more than
# collective advice asked for in the beginning. Collective advice is near the equilibrium from the
# start.
