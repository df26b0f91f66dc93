"""
Changes that people can make
============================

"You would have got the loan, were you ten years younger" is a valid counterfactual and
useless advice. Here we say what may change and in which direction. The advice keeps to it,
on every row. And we look at those for whom no change is left.

The applicants are artificial, and so is the rule that decides. In return everything is
known: who cannot be helped, and what the cheapest allowed change costs each of the others.
"""

# %%
# People and a rule
# -----------------
#
# The table mixes numbers, text and truth values, as tables do.

import warnings

import matplotlib.pyplot as plt
import numpy as np

from skcf import FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf.datasets import make_recourse_population
from skcf.inspection import CounterfactualDisplay

people = make_recourse_population(n_samples=600, random_state=0)
X, rule = people.X, people.classifier
print(people.DESCR)
X.head()

# %%
# What may change
# ---------------
#
# A :class:`~skcf.FeatureSpace` holds what the data cannot say. The people come with one. We write
# it out here:
#
# * nobody moves to another region to get a loan;
# * age and education can only rise, and missed payments cannot be undone;
# * education has an order, and income, savings and loans have bounds;
# * a year of age costs little, since it passes by itself.

space = FeatureSpace(
    immutable_features=["region"],
    ordinal_features={"education": ["primary", "secondary", "college", "bachelor", "master"]},
    change_direction={"age": +1, "education": +1, "missed_payments": +1},
    permitted_range={"income": (10, 60), "savings": (0, 40), "loans": (0, 5)},
    feature_weights={"age": 0.25, "employed": 0.5},
)

# %%
# The kind of each column is read off its dtype: whole numbers stay whole, and text and
# truth values are categories.

print(space.fit(X).feature_kinds_)

# %%
# Explain the rejections
# ----------------------
#
# The rule can be asked for its predictions, so ``fit`` needs no ``y``. The warning counts the
# rows that are left without a counterfactual.

explainer = NearestExplainer(rule, target_class="accepted", feature_space=space, n_neighbors=10)
explainer.fit(X)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", InvalidCounterfactualWarning)
    result = explainer.explain(X)
print(caught[-1].message)
print(result)

# %%
# The constraints hold on all rows, without exception.

bool(space.feasible(X, result.X_cf).all())

# %%
# What became of each person
# --------------------------
#
# ``status`` has a word for everyone: ``already_target`` for those who were accepted anyway,
# ``found`` for those who got a counterfactual, and ``infeasible`` where the constraints leave
# no way.

for status, count in zip(*np.unique(result.status, return_counts=True), strict=True):
    print(f"{status:15} {count}")

# %%
# Here the right answer is known. Everybody who is beyond help is called infeasible: they have
# missed too many payments, and those can only rise.

infeasible = result.status == "infeasible"
print(f"{np.sum(people.infeasible)} people are beyond help,")
print(f"{np.sum(people.infeasible & infeasible)} of them are called infeasible,")
print(f"and so are {np.sum(~people.infeasible & infeasible)} others.")

# %%
# The others are the price of a method that looks at people instead of the rule. No accepted
# applicant is within their reach, because all of those have missed fewer payments, or are
# younger. The explainer then tries accepted applicants with the constraints imposed on them.
# That finds a way for many, and not for all. So read ``infeasible`` as "nobody like this was
# accepted", and not as a proof.

X.loc[people.infeasible, ["income", "education", "missed_payments"]].head(3)

# %%
# Three people in one picture: one who needs no change, one for whom none is possible, and one
# who gets advice. Numbers move along their range, and categories are written out.

rows = [int(np.flatnonzero(result.status == s)[0]) for s in ("already_target", "infeasible")]
rows.append(int(np.flatnonzero(result.n_changes >= 3)[0]))
CounterfactualDisplay.from_predictions(
    X, result.X_cf, rows=rows, y=result.y, y_cf=result.y_cf, status=result.status
)
plt.show()

# %%
# Cost against the optimum
# ------------------------
#
# The rule is known, and so is the least cost at which each person can be accepted. No
# explainer can stay below it. The closer to the diagonal, the better the advice.

found = result.status == "found"
optimum, cost = people.optimal_cost[found], result.cost[found]

fig, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.axline((0, 0), slope=1, color="#6e6e6e", linewidth=1)
ax.scatter(optimum, cost, s=12, color="#0072b2", alpha=0.5, linewidths=0)
ax.set(xlabel="least possible cost", ylabel="cost of the counterfactual", aspect="equal")
ax.set_title("Nobody is advised below the optimum")
plt.show()

# %%
# This is the thorough search. Advice that is real people, or that only takes back what they do
# not need, costs more than it must. It takes fewer questions to the classifier.

for refine in (False, "quick", True):
    other = NearestExplainer(rule, target_class="accepted", feature_space=space, refine=refine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        advice = other.fit(X).explain(X[found])
    helped = advice.status == "found"
    print(
        f"refine={refine!s:<5} {helped.sum()} people, at "
        f"{advice.cost[helped].sum() / optimum[helped].sum():.2f} times the optimum, "
        f"{advice.n_queries.mean():.0f} questions a row"
    )
