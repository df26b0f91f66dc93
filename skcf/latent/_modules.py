"""The dense modules of Algorithm 1, and what holds all of them together."""

from itertools import pairwise

import torch
from torch import nn

from skcf.latent._layout import Layout
from skcf.latent._mixture import GaussianMixture

__all__ = ["LatentModule", "dense"]

ADVERSARY_SIZES = (32, 32)
SURROGATE_SIZES = (32, 32)


def dense(n_inputs, n_outputs, hidden_layer_sizes=(64, 64)):
    """Linear layers with leaky rectifiers between them, the encoders and decoders of tables.

    The paper's (Table 7) does not fit together: 6 numbers and 16 categories are called 21 inputs,
    and the decoder takes the 3 numbers of Encoder alone. Repaired, with two numbers fewer to
    remember (``hidden_layer_sizes=(12, 24, 12, 6)``): n_columns-12-24-12-6-latent_dim, the same to
    residual_dim, and (latent_dim + residual_dim)-6-12-24-12-n_columns, where each column of a
    number is as it comes and the columns of a category go through a softmax. The default is wider:
    narrow layers lose what the reconstruction needs.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers in and out.
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Widths between them.

    Returns
    -------
    torch.nn.Sequential
    """
    layers = []
    for n_in, n_out in pairwise([n_inputs, *hidden_layer_sizes, n_outputs]):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


class LatentModule(nn.Module):
    """Encoder, Encoder_u, Decoder, Adversary, mixture and surrogate.

    Parameters
    ----------
    layout : Layout
        What the columns are.
    class_weights : sequence of float
        Share of each class, p(c).
    latent_dim, residual_dim : int
        Numbers that Encoder and Encoder_u give.
    encoder, decoder : callable, default=None
        Make a module that takes rows of ``n_inputs`` numbers to rows of ``n_outputs``, called with
        both. None: `dense`.
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Of the dense modules; the decoder has them in reverse.
    covariance_type : {"diag", "full"}, default="diag"
        Of the components.
    sigma_min : float, default=0.1
        Least standard deviation of a component.
    surrogate : bool, default=True
        Whether there is a net that imitates the classifier.
    dtype : {"float32", "float64"}, default="float32"
        Of the parameters.

    Notes
    -----
    The architectures printed in [1]_, Tables 4 to 7, do not fit together. Those of tables take 21
    inputs for 6 numbers and 16 categories, and give 5 and 16; their decoder takes the 3 numbers of
    Encoder without those of Encoder_u. Here, the encoders go from all columns through hidden layers
    to `latent_dim` and `residual_dim` numbers, and the decoder takes both, side by side, back to
    all columns: numbers as they come (not through a tanh, which does not reach the ends), a softmax
    for each category. ``hidden_layer_sizes=(12, 24, 12, 6)`` are the paper's widths.

    Those of images call the output of three convolutions 22,912 numbers, where these give 20,000,
    and their decoder takes 25 numbers where both codes have 15 + 25. Here it takes 40. Kernels of 3
    with strides of 2 are ten times as fast as the paper's of 2 with strides of 1, which make
    images of 25 x 25 on the way; each convolution has the paper's channels and activations.

    The adversary, of which nothing is printed, and the surrogate have two hidden layers of 32.

    References
    ----------
    .. [1] X. Zhao, K. Broelemann, G. Kasneci. "Counterfactual explanation via search in Gaussian
       mixture distributed latent space." arXiv:2307.13390, 2023.
    """

    def __init__(
        self,
        layout=None,
        class_weights=(0.5, 0.5),
        latent_dim=3,
        residual_dim=6,
        encoder=None,
        decoder=None,
        hidden_layer_sizes=(64, 64),
        covariance_type="diag",
        sigma_min=0.1,
        surrogate=True,
        dtype="float32",
    ):
        super().__init__()
        self.layout = Layout(2) if layout is None else layout
        n_columns, n_classes = self.layout.n_columns, len(class_weights)
        sizes = tuple(hidden_layer_sizes)
        self.encoder = _made(encoder, n_columns, latent_dim, sizes)
        self.residual_encoder = _made(encoder, n_columns, residual_dim, sizes)
        self.decoder = _made(decoder, latent_dim + residual_dim, n_columns, sizes[::-1])
        self.adversary = dense(residual_dim, n_classes, ADVERSARY_SIZES)
        self.mixture = GaussianMixture(class_weights, latent_dim, covariance_type, sigma_min)
        self.surrogate = dense(n_columns, n_classes, SURROGATE_SIZES) if surrogate else None
        self.to(getattr(torch, dtype))

    def decode(self, z, z_u):
        """What Decoder makes of codes, shape (n, n_columns), before the softmax."""
        return self.decoder(torch.cat([z, z_u], dim=1))

    def forward(self, X):
        """Reconstructions, with the shares of categories."""
        raw = self.decode(self.encoder(X), self.residual_encoder(X))
        return self.layout.soft(raw)


def _made(given, n_inputs, n_outputs, sizes):
    return dense(n_inputs, n_outputs, sizes) if given is None else given(n_inputs, n_outputs)
