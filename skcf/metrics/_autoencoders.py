"""Autoencoders of each class and of all, trained apart from any explainer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skcf._classifiers import codes_of
from skcf._progress import progress
from skcf.metrics._points import Embedding, checked_labels
from skcf.metrics._rows import check_positive, checked_space, encode

__all__ = ["Autoencoders", "fit_autoencoders"]

FEWEST_ROWS = 10
"""A class with fewer rows has no autoencoder: two of them would be held out, eight learned."""


class Autoencoders:
    """What `fit_autoencoders` returns: one autoencoder for each class, and one of all rows.

    It holds arrays alone, pickles, and needs no torch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    feature_space_ : FeatureSpace
        Scales and weights of the points.
    train_loss_, held_out_loss_ : dict of ndarray of float64, shape (max_epochs,)
        For each label, and for None (all rows): the mean squared Euclidean reconstruction error of
        the points learned (during each epoch) and held out (after it).
    held_out_error_ : dict of float
        The last of `held_out_loss_`: what the error of new real rows is about.

    See Also
    --------
    fit_autoencoders : Trains them.
    """

    def __init__(self, classes, feature_space, embedding, nets):
        self.classes_, self.feature_space_ = classes, feature_space
        self._embedding, self._nets = embedding, nets
        self.train_loss_ = {label: net.losses[:, 0] for label, net in nets.items()}
        self.held_out_loss_ = {label: net.losses[:, 1] for label, net in nets.items()}
        self.held_out_error_ = {k: float(loss[-1]) for k, loss in self.held_out_loss_.items()}

    def points(self, X: Any) -> np.ndarray:
        """Rows as points whose Euclidean distances are those of the feature space.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_dimensions)
            Numbers are divided by their scales; a category becomes a column for each value, at
            ``sqrt(1/2)``, so that two different ones are 1 apart.
        """
        return self._points(self.feature_space_._tabulate(X))

    def reconstruct(self, X: Any, label: Any = None) -> np.ndarray:
        """Pass rows through an autoencoder.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows.
        label : object, default=None
            A class, or None: the autoencoder of all rows.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_dimensions)
            To be compared with `points`.

        Raises
        ------
        ValueError
            If there is no such autoencoder.
        """
        return self._reconstruct(self.points(X), label)

    def reconstruction_error(self, X: Any, label: Any = None) -> np.ndarray:
        """Squared Euclidean distance between rows and their reconstructions.

        Parameters
        ----------
        X : array-like or DataFrame
            Rows.
        label : object, default=None
            A class, or None: the autoencoder of all rows.

        Returns
        -------
        ndarray of float64, shape (n_samples,)

        Raises
        ------
        ValueError
            If there is no such autoencoder.
        """
        points = self.points(X)
        return np.sum((points - self._reconstruct(points, label)) ** 2, axis=1)

    def _points(self, table):
        Z = encode(self.feature_space_, table)
        self.feature_space_.encoding_.check_finite(Z)
        return self._embedding.points(Z)

    def _reconstruct(self, points, label):
        """Pass points through the autoencoder of a class, or through that of all rows."""
        if label is not None:
            code = codes_of(np.array([label]), self.classes_)[0]
            if code < 0:
                raise ValueError(
                    f"There is no autoencoder of the label {label!r}: fit_autoencoders was given "
                    f"rows of {self.classes_.tolist()}."
                )
            label = self.classes_.tolist()[code]
        if label not in self._nets:
            raise ValueError("There is no autoencoder of all rows: joint=False left it out.")
        return self._nets[label].reconstruct(points)

    def __repr__(self):
        """One line: of which classes."""
        joint = ", and one of all rows" if None in self._nets else ""
        return f"<Autoencoders of {self.classes_.tolist()}{joint}>"


@dataclass(frozen=True)
class _Net:
    """A trained autoencoder: arrays.

    Attributes
    ----------
    centre, spread : ndarray of float64 of shape (n_dimensions,), float
        It takes ``(points - centre) / spread``.
    varies : ndarray of bool, shape (n_dimensions,)
        Dimensions that it takes; the rest is as it was in all rows that it learned.
    layers : list of tuple of ndarray
        Weights and intercepts.
    n_encoding : int
        How many of the layers encode.
    losses : ndarray of float64, shape (max_epochs, 2)
        Over rows learned and held out.
    """

    centre: np.ndarray
    spread: float
    varies: np.ndarray
    layers: list
    n_encoding: int
    losses: np.ndarray

    def reconstruct(self, points):
        out = ((points - self.centre) / self.spread)[:, self.varies]
        linear = {self.n_encoding, len(self.layers)}
        for i, (weights, intercept) in enumerate(self.layers, start=1):
            out = out @ weights + intercept
            if i not in linear:
                out = np.maximum(out, 0.0)
        reconstructed = np.repeat(self.centre[None], len(points), axis=0)
        reconstructed[:, self.varies] += self.spread * out
        return reconstructed


def fit_autoencoders(
    X: Any,
    y: Any,
    *,
    feature_space: Any = None,
    joint: bool = True,
    hidden_layer_sizes: tuple[int, ...] = (64, 32),
    latent_size: int | None = None,
    validation_fraction: float = 0.2,
    max_epochs: int = 200,
    batch_size: int = 128,
    lr: float = 3e-3,
    device: Any = "cpu",
    random_state: Any = 0,
    verbose: int = 0,
) -> Autoencoders:
    """Train an autoencoder on the rows of each class, and one on all rows, by skorch.

    They serve `im1`, `im2` and `reconstruction_error` ([1]_, section 4.1), and are trained apart
    from any explainer: one that an explainer has learned flatters what that explainer returns.

    Dense nets with rectifiers see the points of the scaled space, centred on the rows that they
    learn, and minimise the mean squared Euclidean reconstruction error by Adam. Of each class a
    part is held out, from its own autoencoder and from the joint one. A dimension in which the
    rows learned do not differ is reconstructed as it was there: a category that they do not hold,
    say, counts as an error.

    Cost: `max_epochs` passes over the rows, twice with the joint one.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_columns)
        Real rows, best those that the classifier was trained on.
    y : array-like of shape (n_samples,)
        Their labels, as the classifier predicts them: the classes that counterfactuals have too.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off X.
    joint : bool, default=True
        Whether to train one on all rows; `im2` and `reconstruction_error` need it.
    hidden_layer_sizes : tuple of int, default=(64, 32)
        Widths of the encoder's hidden layers; the decoder has them in reverse.
    latent_size : int, default=None
        Width of the latent space. None: a quarter of the number of dimensions in which the rows
        differ, 1 to 16.
    validation_fraction : float, default=0.2
        Share of the rows of each class that is held out, at least one.
    max_epochs : int, default=200
        Number of passes over the rows.
    batch_size : int, default=128
        Rows in each step.
    lr : float, default=3e-3
        Learning rate of Adam.
    device : str or torch.device, default="cpu"
        Where they are trained.
    random_state : int, RandomState instance or None, default=0
        Draws the rows that are held out, the weights and the batches. The global seeds of numpy
        and torch are left alone.
    verbose : int, default=0
        Above 0, a progress bar.

    Returns
    -------
    Autoencoders

    Raises
    ------
    ValueError
        If a class has fewer than ten rows.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skcf.metrics import fit_autoencoders
    >>> X, y = load_iris(return_X_y=True)
    >>> autoencoders = fit_autoencoders(X, y, hidden_layer_sizes=(8,), max_epochs=50)
    >>> own = autoencoders.reconstruction_error(X[y == 0], 0)
    >>> other = autoencoders.reconstruction_error(X[y == 0], 2)
    >>> bool(own.max() < other.min())
    True
    """
    sizes = tuple(hidden_layer_sizes), latent_size
    _check_training(sizes, validation_fraction, max_epochs, batch_size, lr)
    space = checked_space(feature_space, X)
    Z = encode(space, space._tabulate(X))
    space.encoding_.check_finite(Z)
    classes, rows = _rows_of_classes(y, len(Z))
    embedding = Embedding(space, Z)
    points, random = embedding.points(Z), check_random_state(random_state)
    split = {label: _split(at, validation_fraction, random) for label, at in rows.items()}
    asked = {"max_epochs": max_epochs, "batch_size": batch_size, "lr": lr, "device": device}
    jobs = dict(split)
    if joint:
        jobs[None] = tuple(np.concatenate(parts) for parts in zip(*split.values(), strict=True))
    nets = {
        label: _trained(points, at, sizes, seed=random.randint(2**31 - 1), **asked)
        for label, at in progress(jobs.items(), verbose, len(jobs), "fit_autoencoders")
    }
    return Autoencoders(classes, space, embedding, nets)


def _check_training(sizes, validation_fraction, max_epochs, batch_size, lr):
    for width in sizes[0]:
        check_positive(width, "Each of hidden_layer_sizes")
    if sizes[1] is not None:
        check_positive(sizes[1], "latent_size")
    check_positive(max_epochs, "max_epochs")
    check_positive(batch_size, "batch_size")
    if not 0 < validation_fraction < 1:
        raise ValueError(
            f"validation_fraction must be between 0 and 1, both excluded, got "
            f"{validation_fraction!r}."
        )
    if not 0 < lr < np.inf:
        raise ValueError(f"lr must be a number above zero, got {lr!r}.")


def _rows_of_classes(y, n_rows):
    """The labels, and the positions of the rows of each."""
    y = checked_labels(y, n_rows, name="y", rows="row of X")
    classes = np.unique(y)
    rows = {label: np.flatnonzero(y == label) for label in classes.tolist()}
    few = {label: len(at) for label, at in rows.items() if len(at) < FEWEST_ROWS}
    for label, number in few.items():
        raise ValueError(
            f"Class {label!r} has {number} row(s), where at least {FEWEST_ROWS} are needed to "
            "train its autoencoder and to hold some out."
        )
    return classes, rows


def _split(at, validation_fraction, random):
    """Rows to learn, and rows to hold out, drawn at random; at least one of each."""
    n_held_out = int(np.clip(round(validation_fraction * len(at)), 1, len(at) - 1))
    order = random.permutation(at)
    return order[n_held_out:], order[:n_held_out]


def _trained(points, split, sizes, **asked):
    """Centre and scale the points, so that one learning rate serves all, and train."""
    from skcf.metrics._autoencoder_net import train_autoencoder

    learned, held_out = split
    rows = points[learned]
    varies = np.any(rows != rows[0], axis=0)
    centre = np.where(varies, rows.mean(axis=0), rows[0])
    spread = np.sqrt(np.mean((rows - centre)[:, varies] ** 2)) if varies.any() else 1.0
    scaled = ((points - centre) / spread)[:, varies]
    hidden, latent = sizes
    latent = int(np.clip(varies.sum() // 4, 1, 16)) if latent is None else latent
    layers, losses = [], np.zeros((asked["max_epochs"], 2))  # rows all alike teach nothing
    if varies.any():
        layers, losses = train_autoencoder(
            scaled[learned], scaled[held_out], (hidden, latent), **asked
        )
    rest = np.array([0.0, np.mean(np.sum((points[held_out] - centre)[:, ~varies] ** 2, axis=1))])
    losses = np.array(losses) * varies.sum() * spread**2 + rest
    return _Net(centre, float(spread), varies, layers, len(hidden) + 1, losses)
