"""
What advice asks people to do
=============================

One counterfactual tells one person what to change. Those of a whole population tell what the
classifier's decisions hang on, and whether the advice can be followed at all: is it about income,
which people can try to raise, or about things that nobody can change?

Here we look at all counterfactuals of a population together, first without any rules for them and
then with rules.
"""

# %%
# Without rules
# -------------
#
# The applicants for a loan are artificial, as in :doc:`plot_02_constraints`. To begin with, the
# explainer may change whatever it likes. In a notebook, a result shows itself as a table of the
# first rows, with what changes in them.

import warnings

import matplotlib.pyplot as plt
from sklearn.base import clone

from skcf import InvalidCounterfactualWarning, NearestExplainer
from skcf.datasets import make_recourse_population
from skcf.inspection import ActionabilityDisplay

people = make_recourse_population(n_samples=600, random_state=0)
X, rule = people.X, people.classifier

unruly = NearestExplainer(rule, target_class="accepted").fit(X)
result = unruly.explain(X)
result

# %%
# Ten rows are few. :class:`~skcf.inspection.ActionabilityDisplay` sums all of them up, one feature
# a line. The blue bars on the left say how many of the counterfactuals change the feature. On the
# right is how they change it. For numbers, the dot is the median change, which is written out at
# the edge; the thick bar has the middle half of the changes, the thin one nine in ten. For
# categories, the commonest switches are written out.

ActionabilityDisplay.from_result(result, feature_space=unruly.feature_space_)
plt.show()

# %%
# Some of this is useless. One person in five is told to have missed fewer payments, and those are
# in the past. None of that shows in the numbers that explainers are usually compared by: all
# counterfactuals are valid, and cheap.

summary = result.summary()
print(f"validity {summary['validity']:.2f}, mean cost {summary['mean_cost']:.2f}")

# %%
# With rules
# ----------
#
# The population comes with a feature space, which says what people can change. The same picture,
# with these rules:

ruled = NearestExplainer(rule, target_class="accepted", feature_space=people.feature_space).fit(X)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", InvalidCounterfactualWarning)
    ruled_result = ruled.explain(X)

ActionabilityDisplay.from_result(ruled_result, feature_space=ruled.feature_space_)
plt.show()

# %%
# What may not change is gone. Some are sent to school instead, now that levels of education have an
# order. And 33 people have lost their counterfactual: all of them had been told to have missed
# fewer payments.

for name, each in {"without rules": result, "with rules": ruled_result}.items():
    numbers = each.summary()
    print(f"{name:14} {numbers['found']} found, {numbers['mean_n_changes']:.2f} changes each")

# %%
# Make a change dearer
# --------------------
#
# Nearly everybody is told to earn more. Weights say what is hard to do: with income three times as
# dear as before, savings and school have to make up for it.

weights = {**people.feature_space.feature_weights, "income": 3.0}
space = clone(people.feature_space).set_params(feature_weights=weights)
weighted = NearestExplainer(rule, target_class="accepted", feature_space=space).fit(X)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", InvalidCounterfactualWarning)
    display = ActionabilityDisplay.from_estimator(weighted, X)
plt.show()

# %%
# What is drawn can be had as numbers, too:

for name, share in zip(display.feature_names, display.share, strict=True):
    print(f"{name:16} {share:.0%}")
