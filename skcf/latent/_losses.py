"""The terms of Eqs. 4 to 9, each a mean over the rows."""

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

__all__ = [
    "adversary_loss",
    "classification_loss",
    "confusion_loss",
    "likelihood_loss",
    "reconstruction_loss",
    "swap_loss",
]


def classification_loss(log_density, log_prior, y):
    """``-mean log p(y | z)`` (Eq. 4), with the prior in the denominator as well."""
    return cross_entropy(log_density + log_prior, y)


def likelihood_loss(log_density, y):
    """``-mean log N(z; mu_y, Sigma_y)`` (Eq. 5, as a mean)."""
    return -log_density.gather(1, y[:, None]).mean()


def adversary_loss(logits, y):
    """Cross-entropy of what the adversary says of z_u (Eq. 7), of any number of classes."""
    return cross_entropy(logits, y)


def confusion_loss(logits, log_prior):
    """``mean KL(adversary(z_u) || p(c))``: 0 where the adversary knows nothing beyond the prior.

    What Encoder_u minimises instead of minus Eq. 7. At most ``-min_c log p(c)``.
    """
    log_q = log_softmax(logits, dim=1)
    return kl_div(log_prior.expand_as(log_q), log_q, reduction="batchmean", log_target=True)


def reconstruction_loss(raw, X, layout):
    """Squared errors of numbers (Eq. 8) and cross-entropies of categories, summed over features.

    Parameters
    ----------
    raw : tensor, shape (n, n_columns)
        What Decoder gives, before the softmax.
    X : tensor, shape (n, n_columns)
        Columns, one-hot where they are categories.
    layout : Layout
        What the columns are.

    Returns
    -------
    tensor
        Mean over rows and features.
    """
    n, n_features = layout.n_numbers, layout.n_numbers + len(layout.sizes)
    error = (raw[:, :n] - X[:, :n]).square().sum()
    if layout.sizes:
        columns = torch.as_tensor(layout.padded, device=raw.device)
        wanted = X[:, columns.clamp(min=0)].masked_fill(columns < 0, 0.0).argmax(dim=2)
        error = error - layout.log_shares(raw).gather(2, wanted[..., None]).sum()
    return error / (len(X) * n_features)


def swap_loss(logits, y):
    """Cross-entropy of what the surrogate says of rows decoded with the code of another class."""
    return cross_entropy(logits, y)
