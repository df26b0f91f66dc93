"""Data and networks of paper 5's experiment on MNIST (appendix B), kept in a folder."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from skcf.datasets import fetch_mnist

SIDE = 28
N_TRAIN = 8000
INK = 0.5  # of a pixel that is all ink; -0.5: paper
SCHEDULES = {  # epochs and batch size; see README.md
    "classifier": (10, 64),
    "autoencoder": (12, 64),
    "of a class": (30, 16),
    "of all": (30, 16),
}
AT_ONCE = 50


def mnist_rows():
    """Images as rows of pixels from -0.5 to 0.5, 8,000 to train on and 2,000 to explain.

    Returns
    -------
    X_train, y_train, X_test, y_test : ndarray
    """
    X, y, _ = fetch_mnist()
    X = X / X.max() - INK
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]


def classifier():
    """Two convolutions with pooling, a dense layer, ten logits; of flat rows."""
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        *(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 64, 2), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Dropout(0.3),
        *(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(64, 32, 2), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Dropout(0.3),
        nn.Flatten(),
        *(nn.Linear(32 * 7 * 7, 256), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(256, 10),
    )


def autoencoder():
    """Encoder to 14 x 14 numbers, and decoder; both of flat rows."""
    encoder = nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        *(_same(1, 16), nn.ReLU(), _same(16, 16), nn.ReLU(), nn.MaxPool2d(2), _same(16, 1)),
        nn.Flatten(),
    )
    decoder = nn.Sequential(
        nn.Unflatten(1, (1, SIDE // 2, SIDE // 2)),
        *(_same(1, 16), nn.ReLU(), nn.Upsample(scale_factor=2), _same(16, 16), nn.ReLU()),
        _same(16, 1),
        nn.Flatten(),
    )
    return nn.Sequential(encoder, decoder)


def judge():
    """Autoencoder of IM1 and IM2, through 8 x 4 x 4 numbers; of flat rows."""
    return nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)),
        *(_same(1, 16), nn.ReLU(), nn.MaxPool2d(2)),
        *(_same(16, 8), nn.ReLU(), nn.MaxPool2d(2)),
        *(_same(8, 8), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
        *(_same(8, 8), nn.ReLU(), nn.Upsample(scale_factor=2)),
        *(_same(8, 8), nn.ReLU(), nn.Upsample(scale_factor=2)),
        # 16 x 16 to 14 x 14, so that 28 x 28 come out
        *(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Upsample(scale_factor=2)),
        _same(16, 1),
        nn.Flatten(),
    )


def _same(n_in, n_out):
    return nn.Conv2d(n_in, n_out, 3, padding=1)


class Nets:
    """Everything that is trained.

    Attributes
    ----------
    classifier, autoencoder, encoder : torch.nn.Module
        Of flat rows; logits, reconstructions, encodings.
    judges : dict of {int or None: callable}
        Autoencoders of IM1 and IM2: of each class predicted, and of all rows (None).
    """

    def __init__(self, X, y, seed, folder):
        folder = Path(folder) / f"seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        net = kept(folder / "classifier.pt", classifier, X, y, seed, "classifier")
        self.classifier, self.last = InParts(net), InParts(net[:-1])
        self.autoencoder = kept(folder / "autoencoder.pt", autoencoder, X, X, seed, "autoencoder")
        self.encoder = self.autoencoder[0]
        predicted = self.predict(X)
        nets = {None: kept(folder / "judge.pt", judge, X, X, seed, "of all")}
        for label in range(10):
            rows = X[predicted == label]
            nets[label] = kept(folder / f"judge{label}.pt", judge, rows, rows, seed, "of a class")
        self.judges = {label: Asked(net) for label, net in nets.items()}

    def predict(self, X):
        """Classes."""
        return Asked(self.classifier)(X).argmax(axis=1)

    def features(self, X):
        """The 256 numbers before the softmax layer."""
        return Asked(self.last)(X)


class InParts(nn.Module):
    """A module that is given some rows at a time: quicker, and far less memory."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, rows):
        """What it gives for all of them."""
        return torch.cat([self.module(part) for part in rows.split(AT_ONCE)])


class Asked:
    """A module as a function of arrays."""

    def __init__(self, module):
        self.module = module

    def __call__(self, X):
        """What it gives, as float64."""
        parts = torch.as_tensor(np.asarray(X), dtype=torch.float32).split(AT_ONCE)
        with torch.no_grad():
            return torch.cat([self.module(part) for part in parts]).double().numpy()


def kept(path, make, X, wanted, seed, schedule):
    """Read a trained module from a file, or train it and write it."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = make()
        if not path.is_file():
            train(module, X, wanted, *SCHEDULES[schedule])
            torch.save(module.state_dict(), path)
    module.load_state_dict(torch.load(path, weights_only=True))
    # pooling is much quicker where the channels come last
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def train(module, X, wanted, epochs, batch):
    """Train by Adam: on the cross-entropy of labels, or the mean squared error of rows."""
    rows = torch.as_tensor(X, dtype=torch.float32)
    of_labels = np.ndim(wanted) == 1
    loss = nn.functional.cross_entropy if of_labels else nn.functional.mse_loss
    wanted = torch.as_tensor(wanted, dtype=torch.int64 if of_labels else torch.float32)
    optimizer = torch.optim.Adam(module.train().parameters(), lr=1e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(rows)).split(batch):
            optimizer.zero_grad()
            loss(module(rows[index]), wanted[index]).backward()
            optimizer.step()
