"""
Counterfactual digits, with and without prototypes
==================================================

What would have to change for a 2 to be read as another digit? A few grey pixels, if the classifier
is all that is asked; and the result is still a 2 to everybody else.
:class:`~skcf.PrototypeExplainer` draws the picture to where other digits are. These are the losses
A to F of the paper that it comes from, on the small digits of scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from skcf import FeatureSpace, PrototypeExplainer
from skcf.metrics import fit_autoencoders, im1, im2

X, y = load_digits(return_X_y=True)
X = X / 16
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

# %%
# A classifier that returns logits, and an autoencoder, which makes 16 numbers of 64 pixels, and a
# picture of these again. Both are plain torch modules. They learn from one half of the digits;
# the other half is explained, and measured with.


def train(net, targets, loss, epochs):
    pixels = torch.tensor(X_train, dtype=torch.float32)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(pixels)).split(64):
            optimizer.zero_grad()
            loss(net(pixels[batch]), targets[batch]).backward()
            optimizer.step()
    return net.eval()


torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
train(net, torch.tensor(y_train), nn.functional.cross_entropy, epochs=30)

encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 16))
decoder = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 64), nn.Sigmoid())
autoencoder = nn.Sequential(encoder, decoder)
train(autoencoder, torch.tensor(X_train, dtype=torch.float32), nn.functional.mse_loss, epochs=100)


def predict(X):
    with torch.no_grad():
        return net(torch.tensor(X, dtype=torch.float32)).numpy().argmax(axis=1)


print(f"accuracy on the digits held out: {np.mean(predict(X_test) == y_test):.3f}")

# %%
# The losses differ in what is set: the weight ``c`` of the prediction, ``theta`` of the prototype
# (the mean encoding of the five nearest digits of another class), and whether there is an
# autoencoder. Without a prototype nothing says how large ``c`` has to be, so it is searched.
# Pixels are to stay between 0 and 1, and all counterfactuals are to be as far inside of their
# class.

space = FeatureSpace(permitted_range=dict.fromkeys(range(64), (0, 1)))
prediction = {"c": 1, "kappa": 1}
prototype = {"theta": 20, "encoder": encoder, "k": 5}
reconstruction = {"autoencoder": autoencoder, "gamma": 10}
losses = {
    "A": {**prediction, "theta": 0, "c_steps": 6},
    "B": {**prediction, "theta": 0, "c_steps": 6, **reconstruction},
    "C": {**prediction, **prototype},
    "D": {**prediction, **prototype, **reconstruction},
    "E": prototype,
    "F": {**prototype, **reconstruction},
}

results = {}
for name, parameters in losses.items():
    explainer = PrototypeExplainer(
        net,
        target_class="other",
        feature_space=space,
        solver="fista",
        n_prototypes=1,
        beta=0.05,
        min_margin=1,
        max_steps=400,
        **parameters,
    )
    results[name] = explainer.fit(X_train).explain(X_test[:15])

# %%
# Two digits, what the losses make of them, and what the classifier calls the result. Below each
# picture is what the autoencoder makes of it: it knows digits, and draws the nearest one that it
# can. Without a prototype (A and B) the classifier is satisfied, and nobody else. With one (C to
# F) pixels change that belong together.


def draw(ax, picture, title=""):
    ax.imshow(np.reshape(picture, (8, 8)), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=10)
    for side in ax.spines.values():
        side.set_color("0.8")


def reconstructed(picture):
    with torch.no_grad():
        return autoencoder(torch.tensor(picture, dtype=torch.float32)).numpy()


fig, axes = plt.subplots(4, 7, figsize=(8, 5.2), layout="constrained")
for row, (above, below) in zip((6, 10), axes.reshape(2, 2, 7), strict=True):
    pictures = {"original": X_test[row]}
    pictures |= {name: result.X_cf[row] for name, result in results.items()}
    for place, (name, picture) in enumerate(pictures.items()):
        draw(above[place], picture, f"{name}: {predict(picture[None])[0]}")
        draw(below[place], reconstructed(picture))
    above[0].set_ylabel("picture", fontsize=9)
    below[0].set_ylabel("reconstruction", fontsize=9)
plt.show()

# %%
# All fifteen digits in numbers. The elastic net is what the change costs; "asked" is about how
# many pictures the classifier had to decide. IM1 says whether a counterfactual is more like its
# new class than like the old one (below 1 it is), IM2 whether its class describes it as well as
# all digits do; both by autoencoders of the other half of the digits, which no explainer has
# seen. A and B are the cheapest. With a prototype the change costs more, and both measures fall.
# Without the prediction loss (E and F) that holds as well, and the classifier is asked once a
# step and a picture.

judges = fit_autoencoders(X_test, predict(X_test), max_epochs=60, random_state=0)
pd.DataFrame(
    {
        name: {
            "elastic net": result.elastic_net.mean(),
            "pixels changed": result.n_changes.mean(),
            "asked": result.n_queries.mean(),
            "IM1": im1(result, autoencoders=judges, average="median"),
            "IM2": im2(result, autoencoders=judges, average="median"),
        }
        for name, result in results.items()
    }
).T.round(3)
