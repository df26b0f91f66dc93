"""Classifier and autoencoders of paper 5's experiment on breast cancer, as arrays."""

import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import nn

N_TRAIN = 550
EPOCHS, BATCH = 500, 128
WIDTHS = (40, 40)
ENCODER = (20, 10, 6)
SGD, ADAM = partial(torch.optim.SGD, lr=0.01), partial(torch.optim.Adam, lr=1e-3)


def cancer_rows():
    """Standardised rows as the paper splits them: 550 to train on, 19 to explain.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
        Standardised by the rows to train on.
    """
    X, y = load_breast_cancer(return_X_y=True)
    scaler = StandardScaler().fit(X[:N_TRAIN])
    X = scaler.transform(X)
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]


def as_perceptrons(layers):
    """Given layers of a network for two classes as scikit-learn's own.

    Parameters
    ----------
    layers : list of tuple of ndarray
        Weights of shape (n_in, n_out), and intercepts; the last layer gives two logits.

    Returns
    -------
    MLPClassifier
        Of the same probabilities: it has one logit, the difference of the two.
    """
    widths = tuple(weights.shape[1] for weights, _ in layers[:-1])
    net = MLPClassifier(widths, max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(np.zeros((2, len(layers[0][0]))), [0, 1])  # makes the arrays to be replaced
    *hidden, (weights, intercept) = layers
    last = weights[:, 1:] - weights[:, :1], intercept[1:] - intercept[:1]
    net.coefs_, net.intercepts_ = (list(arrays) for arrays in zip(*hidden, last, strict=True))
    return net


class DenseAutoencoder:
    """Autoencoder of given arrays; in numpy alone.

    Parameters
    ----------
    layers : list of tuple of ndarray
        Weights and intercepts, of which the middle one and the last have no rectifier.
    """

    def __init__(self, layers):
        self.layers = layers

    def __call__(self, X):
        """Reconstructions."""
        return dense(self.layers, X, linear=(len(self.layers) // 2,))


def dense(layers, X, linear=()):
    """Pass rows through dense layers, rectified but after the last one and those named."""
    out = np.asarray(X, dtype=float)
    for place, (weights, intercept) in enumerate(layers, start=1):
        out = out @ weights + intercept
        if place < len(layers) and place not in linear:
            out = np.maximum(out, 0.0)
    return out


def train_classifier(X, y, seed, widths=WIDTHS, epochs=EPOCHS, optimizer=SGD):
    """Train a rectifier network on the cross-entropy.

    The paper names neither a learning rate nor momentum: these are Keras's defaults.

    Parameters
    ----------
    X, y : ndarray
        Rows, and classes from 0.
    seed : int
        Of weights and batches; torch's own state is left as it was.
    widths : tuple of int, default=(40, 40)
        Of the hidden layers.
    epochs : int, default=500
        Passes over the rows.
    optimizer : callable
        Makes a torch optimizer of the parameters.

    Returns
    -------
    list of tuple of ndarray
        Weights of shape (n_in, n_out), and intercepts.
    """
    sizes = (X.shape[1], *widths, int(np.max(y)) + 1)
    return _trained(
        X,
        torch.as_tensor(y, dtype=torch.int64),
        seed,
        lambda: _glorot(_stack(sizes)),
        optimizer,
        nn.functional.cross_entropy,
        epochs,
    )


def train_autoencoder(X, seed, encoder=ENCODER, epochs=EPOCHS):
    """Train a dense autoencoder by Adam on the mean squared error, as in appendix A.

    Parameters
    ----------
    X : ndarray
        Rows.
    seed : int
        Of weights and batches.
    encoder : tuple of int, default=(20, 10, 6)
        Widths; the decoder has them in reverse.
    epochs : int, default=500
        Passes over the rows.

    Returns
    -------
    list of tuple of ndarray
        Weights of shape (n_in, n_out), and intercepts.
    """
    sizes = (X.shape[1], *encoder)
    return _trained(
        X,
        torch.as_tensor(X, dtype=torch.float32),
        seed,
        lambda: _glorot(nn.Sequential(*_stack(sizes), *_stack(sizes[::-1]))),
        ADAM,
        nn.functional.mse_loss,
        epochs,
    )


def train_autoencoders(X, y, seed):
    """Autoencoders of each class and of all rows, as `skcf.metrics.im1` takes them.

    Parameters
    ----------
    X, y : ndarray
        Rows, and the classes that the classifier predicts.
    seed : int
        Of all of them.

    Returns
    -------
    dict of list of tuple of ndarray
        Layers by class, and by None: of all rows.
    """
    of = {label: train_autoencoder(X[y == label], seed) for label in np.unique(y).tolist()}
    return {**of, None: train_autoencoder(X, seed)}


def _stack(sizes):
    """Linear layers with rectifiers between them."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _glorot(module):
    """Draw the weights as Keras does by default: torch's own are smaller."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return module


def _trained(X, wanted, seed, make_module, make_optimizer, loss, epochs):
    """Arrays of a network after training; torch's own generator is left alone."""
    rows = torch.as_tensor(X, dtype=torch.float32)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = make_module()
        optimizer = make_optimizer(module.parameters())
        for _ in range(epochs):
            for index in torch.randperm(len(rows)).split(BATCH):
                optimizer.zero_grad()
                loss(module(rows[index]), wanted[index]).backward()
                optimizer.step()
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [
        tuple(p.detach().double().numpy() for p in (layer.weight.T, layer.bias)) for layer in linear
    ]
