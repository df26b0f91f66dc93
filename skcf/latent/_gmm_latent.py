"""GMMLatentExplainer: search in a Gaussian-mixture latent space (paper 2), batched."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data

from skcf._compat import Interval, StrOptions
from skcf._oracle import Oracle
from skcf._targets import OTHER
from skcf.latent._base import LatentExplainer
from skcf.latent._endpoints import ENDPOINTS
from skcf.latent._result import GMMLatentResult, LatentPath
from skcf.latent._walk import follow
from skcf.space._containers import Table, checked_container

__all__ = ["GMMLatentExplainer"]


class GMMLatentExplainer(LatentExplainer):
    """Counterfactuals on the way to the target's centroid in a Gaussian-mixture latent space."""

    _result_type = GMMLatentResult

    _parameter_constraints: dict = {
        **LatentExplainer._parameter_constraints,
        "endpoint": [StrOptions(set(ENDPOINTS))],
        "n_alphas": [Interval(Integral, 2, None, closed="left")],
        "alpha_max": [Interval(Real, 0, None, closed="neither")],
        "residual_correction": ["boolean"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        target_class=None,
        feature_space=None,
        latent_dim=None,
        residual_dim=None,
        image_shape=None,
        encoder=None,
        decoder=None,
        net=None,
        covariance_type="diag",
        likelihood_weight=None,
        adversary_weight=0.05,
        surrogate=True,
        max_epochs=None,
        batch_size=100,
        lr=1e-3,
        endpoint="centroid",
        n_alphas=8,
        alpha_max=1.5,
        target_score=0.5,
        tol=None,
        min_margin=1e-4,
        residual_correction=True,
        refine=False,
        device="cpu",
        dtype="float32",
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        super().__init__(estimator, target_class=target_class, feature_space=feature_space)
        self.latent_dim = latent_dim
        self.residual_dim = residual_dim
        self.image_shape = image_shape
        self.encoder = encoder
        self.decoder = decoder
        self.net = net
        self.covariance_type = covariance_type
        self.likelihood_weight = likelihood_weight
        self.adversary_weight = adversary_weight
        self.surrogate = surrogate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.endpoint = endpoint
        self.n_alphas = n_alphas
        self.alpha_max = alpha_max
        self.target_score = target_score
        self.tol = tol
        self.min_margin = min_margin
        self.residual_correction = residual_correction
        self.refine = refine
        self.device = device
        self.dtype = dtype
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    def _search(self, Z, own, rows, oracle):
        """Walk to the endpoint, and where that does not arrive, towards the nearest real row."""
        details = self._details_of_the_rest(len(Z))
        of, target = self._aims(Z, own)
        paths = self._paths(
            Z[of], rows[of], own[of], target, self.endpoint, self.residual_correction
        )
        found, alpha, margin = follow(
            paths, self._codes, oracle, self._criterion(), self.n_alphas, self.alpha_max
        )
        arrived = margin >= self._criterion().least(oracle.has_scores)
        chosen = self._cheapest(of, found, Z, np.where(arrived, 0.0, -margin))
        best, to, arrived = found[chosen], target[chosen], arrived[chosen]
        latent = paths.z + alpha[:, None] * (paths.end - paths.z)
        details["latent"], details["latent_cf"] = paths.z[chosen], latent[chosen]
        details["alpha"] = np.where(arrived, alpha[chosen], np.nan)
        stranded = np.flatnonzero(~arrived)
        if len(stranded):
            of, code, real, codes = self._towards_real_rows(Z, own, rows, oracle, stranded)
            best[of], to[of], details["latent_cf"][of] = real, code, codes
        return self._finished(Z, best, rows, to, oracle), details

    def _cheapest(self, of, found, Z, lacking):
        """The best candidate of each row: the cheapest of those that lack nothing."""
        if len(of) == len(Z):
            return np.arange(len(Z))
        cost = self.feature_space_.costs_.between(found, Z[of], self._cost_metric())
        order = np.lexsort((cost, lacking, of))
        return order[np.unique(of[order], return_index=True)[1]]

    def interpolate(self, X: Any, n_steps: int = 8) -> LatentPath:
        """Rows on their way to the endpoint, with what the classifier says of each step.

        Figure 3 of [1]_. The first step is the row itself, or its reconstruction without residual
        correction; the last is the endpoint.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.
        n_steps : int, default=8
            Number of steps of each row, both ends included.

        Returns
        -------
        LatentPath
        """
        check_is_fitted(self)
        check_scalar(n_steps, "n_steps", Integral, min_val=2)
        X = checked_container(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        table = Table.of(X)
        row = np.repeat(np.arange(table.n_rows), n_steps)
        origin = self.feature_space_.encoding_.conform(table)
        oracle = Oracle(self._reader, self.feature_space_, origin)
        paths = self._way_of_each(oracle).take(row)
        step = np.tile(np.arange(n_steps), table.n_rows)
        alpha = step / (n_steps - 1)
        candidates = paths.candidates(self._codes, self.feature_space_.constraints_, alpha)
        written = oracle.written(candidates, row, keep=np.zeros(len(row), dtype=bool))
        margin = oracle.margin_of(written, row, paths.target)
        return LatentPath(
            X=self.feature_space_._restore(written, table.take(row).container()),
            score=expit(margin) if oracle.has_scores else (margin > 0).astype(np.float64),
            alpha=alpha,
            row=row,
            step=step,
            y_target=oracle.names_of(paths.target),
            latent=paths.z + alpha[:, None] * (paths.end - paths.z),
        )

    def _way_of_each(self, oracle):
        """The way of each row to its target; of several, to the class that it is nearest to."""
        Z, own, target = oracle.encoded, oracle.origin_labels(), self._target_code
        _, z, _ = self._codes.encode(Z)
        target = self._likeliest_other(z, own) if target == OTHER else np.full(len(Z), target)
        rows = np.arange(len(Z))
        return self._paths(Z, rows, own, target, self.endpoint, self.residual_correction)

    def _details_of_the_rest(self, n_rows):
        return {**super()._details_of_the_rest(n_rows), "alpha": np.full(n_rows, np.nan)}
