"""The Gaussian mixture of the latent space, as a module that is trained."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

__all__ = ["GaussianMixture"]

SPREAD = 2.0
"""Standard deviation of the means to begin with."""


class GaussianMixture(nn.Module):
    """One Gaussian for each class, with an empirical prior.

    Standard deviations (of "full", the diagonal of the Cholesky factor) are
    ``sigma_min + softplus(.)``: the likelihood is bounded, and no component shrinks to a point.

    Parameters
    ----------
    class_weights : sequence of float, shape (n_classes,)
        Prior p(c).
    latent_dim : int
        Dimensions.
    covariance_type : {"diag", "full"}, default="diag"
        Of each component.
    sigma_min : float, default=0.1
        Least standard deviation.
    """

    def __init__(self, class_weights, latent_dim, covariance_type="diag", sigma_min=0.1):
        super().__init__()
        n_classes = len(class_weights)
        self.covariance_type, self.sigma_min = covariance_type, sigma_min
        self.register_buffer("log_prior", torch.as_tensor(class_weights).float().log())
        self.means = nn.Parameter(SPREAD * torch.randn(n_classes, latent_dim))
        self.raw_sigma = nn.Parameter(torch.zeros(n_classes, latent_dim))
        if covariance_type == "full":
            self.raw_lower = nn.Parameter(torch.zeros(n_classes, latent_dim, latent_dim))

    @property
    def sigma(self):
        """Diagonal of the Cholesky factors: standard deviations, where covariances are diagonal."""
        return self.sigma_min + softplus(self.raw_sigma)

    @property
    def cholesky(self):
        """Cholesky factors of the covariances, shape (n_classes, latent_dim, latent_dim)."""
        diagonal = torch.diag_embed(self.sigma)
        return diagonal + self.raw_lower.tril(-1) if self.covariance_type == "full" else diagonal

    def log_density(self, z):
        """``log N(z; mu_c, Sigma_c)`` of each row and class, shape (n, n_classes)."""
        away = z[:, None] - self.means
        if self.covariance_type == "full":
            whitened = torch.linalg.solve_triangular(
                self.cholesky, away.permute(1, 2, 0), upper=False
            ).permute(2, 0, 1)
        else:
            whitened = away / self.sigma
        constant = self.sigma.log().sum(dim=1) + 0.5 * z.shape[1] * np.log(2 * np.pi)
        return -0.5 * whitened.square().sum(dim=2) - constant

    def draw(self, y, scale=1.0):
        """Codes of classes: their means, and `scale` standard deviations of noise."""
        noise = torch.randn(len(y), self.means.shape[1], dtype=self.means.dtype)
        noise = scale * noise.to(self.means.device)
        if self.covariance_type == "full":
            return self.means[y] + torch.einsum("nij,nj->ni", self.cholesky[y], noise)
        return self.means[y] + self.sigma[y] * noise

    def arrays(self):
        """Means, covariances (of "diag" the variances) and priors, as arrays of float64."""
        with torch.no_grad():
            factor = self.cholesky if self.covariance_type == "full" else self.sigma
            arrays = [part.detach().double().cpu().numpy() for part in (self.means, factor)]
            prior = self.log_prior.double().exp().cpu().numpy()
        means, factor = arrays
        covariances = factor @ factor.transpose(0, 2, 1) if factor.ndim == 3 else factor**2
        return means, covariances, prior
