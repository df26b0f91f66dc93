"""Training of dense autoencoders with skorch: torch stays in here, arrays come out."""

from itertools import pairwise

import torch
from skorch import NeuralNet
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

__all__ = ["train_autoencoder"]


class DenseAutoencoder(nn.Sequential):
    """Linear layers, with rectifiers between all but those at the latent space and at the end.

    Parameters
    ----------
    n_dimensions : int
        Of the points.
    hidden_layer_sizes : tuple of int
        Widths of the encoder's hidden layers; the decoder has them in reverse.
    latent_size : int
        Width of the latent space.
    """

    def __init__(self, n_dimensions, hidden_layer_sizes, latent_size):
        sizes = [n_dimensions, *hidden_layer_sizes, latent_size]
        super().__init__(*_dense(sizes), *_dense(sizes[::-1]))


class Batches:
    """Points in batches, in a new order at each pass where they are shuffled.

    Slices of the whole array: a loader that collects single rows is several times as slow.
    """

    def __init__(self, dataset, batch_size, shuffle=False):
        self._X, self._batch_size, self._shuffle = dataset.X, batch_size, shuffle

    def __iter__(self):
        n_rows = len(self._X)
        order = torch.randperm(n_rows) if self._shuffle else torch.arange(n_rows)
        for index in order.split(self._batch_size):
            yield self._X[index], self._X[index]


def train_autoencoder(points, held_out, sizes, *, max_epochs, batch_size, lr, device, seed):
    """Train one autoencoder by Adam on the mean squared error.

    Parameters
    ----------
    points, held_out : ndarray of float64, shape (n_rows, n_dimensions)
        Rows to learn, and rows to watch.
    sizes : tuple
        Hidden layer sizes, and the size of the latent space.
    max_epochs, batch_size, lr, device : object
        As skorch takes them.
    seed : int
        Of the weights and the batches; torch's own state is left as it was.

    Returns
    -------
    layers : list of tuple of ndarray of float64
        Weights of shape (n_in, n_out), and intercepts, of each linear layer.
    losses : list of tuple of float
        Mean squared error over the rows learned and the rows watched, after each epoch.
    """
    learned, watched = (torch.as_tensor(rows, dtype=torch.float32) for rows in (points, held_out))
    net = NeuralNet(
        DenseAutoencoder,
        module__n_dimensions=points.shape[1],
        module__hidden_layer_sizes=sizes[0],
        module__latent_size=sizes[1],
        criterion=nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        iterator_train=Batches,
        iterator_train__shuffle=True,
        iterator_valid=Batches,
        train_split=predefined_split(Dataset(watched, watched)),
        device=device,
        verbose=0,
    )
    # weights and orders are drawn on the processor, whatever the device
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net.fit(learned, learned)
    return _arrays(net.module_), net.history[:, ("train_loss", "valid_loss")]


def _dense(sizes):
    """Linear layers from each size to the next, with rectifiers between them."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return layers[:-1]


def _arrays(module):
    linear = [layer for layer in module if isinstance(layer, nn.Linear)]
    return [
        tuple(p.detach().cpu().double().numpy() for p in (layer.weight.T, layer.bias))
        for layer in linear
    ]
