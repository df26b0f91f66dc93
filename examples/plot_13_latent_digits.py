"""
From a 1 to a 7, through a latent space
=======================================

Where does a 1 become a 7? :class:`~skcf.GMMLatentExplainer` learns what the digits have in common,
gives each class a place of its own in a space of few numbers, and walks from the one to the other.
What it draws on the way are digits. How long it should walk, and what that costs, is the question
at the end.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from skcf import FeatureSpace, GMMLatentExplainer, NearestExplainer
from skcf.inspection import ImageRowDisplay, LatentDisplay
from skcf.metrics import fit_autoencoders, im1

X, y = load_digits(return_X_y=True)
X, y = X[np.isin(y, [1, 7])] / 16, y[np.isin(y, [1, 7])]
X_train, y_train, X_test, y_test = X[::2], y[::2], X[1::2], y[1::2]

model = MLPClassifier((64,), max_iter=300, random_state=0).fit(X_train, y_train)
print(f"accuracy on the digits held out: {model.score(X_test, y_test):.3f}")
ones = X_test[model.predict(X_test) == 1]

# %%
# The net has two encoders: one for what makes a 1 or a 7 of a picture, one for everything else,
# such as slant and thickness. The images are small, so dense layers do; for larger ones
# ``image_shape`` makes them convolutional. Training takes a few seconds, once; the classifier is a
# black box, which is asked for labels and scores and nothing else.

space = FeatureSpace(permitted_range=dict.fromkeys(range(64), (0, 1)))
explainer = GMMLatentExplainer(
    model,
    target_class=7,
    feature_space=space,
    latent_dim=8,
    residual_dim=12,
    likelihood_weight=0.1,
    adversary_weight=1,
    max_epochs=200,
    lr=3e-3,
    random_state=0,
)
explainer.fit(X_train)

# %%
# Two numbers say whether it has learned what the search relies on. Of the ones that are drawn anew
# with the code of a typical 7, the classifier takes so many for a 7:

print(f"valid at the centroid: {explainer.swap_validity_:.2f}")

# %%
# And so well can the digit still be told from what is to be "everything else" (0.5 would be by
# chance). Something is left there. It does no harm as long as the first number is high.

print(f"leakage: {explainer.leakage_score_:.2f}")

# %%
# The latent space, on digits that it has not seen. A counterfactual, at the ring, is where the
# classifier first says 7. That is between the digits, where nobody writes any.

LatentDisplay.from_estimator(explainer, X_test, rows=np.arange(60))
plt.show()

# %%
# Five ones on their way to the centroid of the sevens, and the classifier's score of a 7, blue
# where it says 7. That begins at about half of the way, at a picture that could be either.

path = explainer.interpolate(ones[[0, 20, 40, 60, 80]], n_steps=9)
ImageRowDisplay.from_path(path, (8, 8))
plt.show()

# %%
# So walk on. ``target_score=0.99`` stops where the classifier is sure. By default, what the
# autoencoder loses of a picture is added to each step, which keeps counterfactuals close to their
# originals; ``residual_correction=False`` leaves it out, and gives clean pictures. The search has
# no part in training: one fitted explainer serves all three settings. The nearest sevens, with the
# same certainty, are for comparison.

settings = {
    "boundary": {},
    "sure": {"target_score": 0.99},
    "sure, clean": {"target_score": 0.99, "residual_correction": False},
}
results = {
    name: explainer.set_params(
        **{"target_score": 0.5, "residual_correction": True, **setting}
    ).explain(ones)
    for name, setting in settings.items()
}
nearest = NearestExplainer(model, target_class=7, feature_space=space, min_margin=np.log(99))
results["nearest, sure"] = nearest.fit(X_train).explain(ones)
ImageRowDisplay.from_results(results, (8, 8), rows=np.arange(0, 90, 10))
plt.show()

# %%
# Is it a 7 to anybody else? A forest, which has learned from other digits, is asked about the
# counterfactuals of the net. IM1 is below 1 where an autoencoder of the sevens knows a picture
# better than one of the ones does.

forest = RandomForestClassifier(random_state=0).fit(X_test, y_test)
judges = fit_autoencoders(X_test, y_test, max_epochs=60, random_state=0)
pd.DataFrame(
    {
        name: {
            "cost": result.cost.mean(),
            "pixels changed": result.n_changes.mean(),
            "a 7 to a forest": np.mean(forest.predict(result.X_cf) == 7),
            "IM1": im1(result, autoencoders=judges, average="median"),
        }
        for name, result in results.items()
    }
).T.round(2)

# %%
# At the boundary, one picture in six convinces nobody but the classifier that was asked, and most
# are still more like a 1. The nearest ones change ten pixels, and look it. To see *what a 7 would
# have looked like* in somebody's hand, walk on until the classifier is sure. To see how little it
# takes to change its mind, take :class:`~skcf.NearestExplainer`.
