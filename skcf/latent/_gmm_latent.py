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
    """Counterfactuals on the way to the target's centroid in a Gaussian-mixture latent space.

    The method of [1]_. An autoencoder learns two codes of a row: z, whose distribution is a
    Gaussian for each class that the classifier predicts, and z_u, the rest, which is to say nothing
    of the class. A counterfactual is decoded from ``(1 - alpha) z + alpha mu_t`` and the row's own
    z_u, at the first alpha at which the classifier says the target: what is not of the class is
    kept, and nothing is optimised for a row. All alphas of all rows are decoded and asked about in
    two rounds.

    Parameters
    ----------
    estimator : object, default=None
        The classifier to explain, fitted: a scikit-learn classifier or Pipeline, a torch
        module that returns logits for encoded rows, a skorch net, or a function of rows that
        returns labels or scores of shape (n_samples, n_classes). It is a black box: no gradients
        are asked for. None: a gradient-boosting surrogate is trained on what ``fit`` is given.
    target_class : object, default=None
        The class that rows are moved to. ``"other"``: each row leaves its own class for the one
        that costs least. None: ``classes_[1]`` of two classes, ``"other"`` with more.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost. None: everything, with kinds read off the data.
    latent_dim, residual_dim : int, default=None
        Numbers of z and of z_u. None: 3 and 8 for tables, 15 and 25 for images.
    image_shape : tuple of int, default=None
        Rows and columns of pixels, or channels and these, of images that come as flat rows: the
        modules are convolutional then. None: rows of a table.
    encoder, decoder : callable, default=None
        Make own modules, called with the numbers of inputs and outputs: a class or a function.
        `encoder` makes both encoders. None: dense ones, or convolutional ones for images.
    net : GMMLatentNet, default=None
        Unfitted skorch net with options of its own: callbacks, optimizer, ``train_split``, weights
        of further terms. Those that are parameters here are set on a copy of it. Its parameters
        can be set (``net__callbacks``) and searched even where it is None.
    covariance_type : {"diag", "full"}, default="diag"
        Of the components.
    likelihood_weight : float, default=None
        Weight of the likelihood (Eqs. 6 and 9). None: 0.5 for tables, 0.1 for images, as in the
        paper.
    adversary_weight : float, default=0.05
        Weight of the confusion of the adversary (Eq. 9). With more, less of the class is in z_u,
        and counterfactuals change more.
    surrogate : bool, default=True
        Whether a small net that imitates the classifier's labels says what becomes of rows that
        are decoded with the code of another class, so that the decoder learns to follow the code.
    max_epochs : int, default=None
        Passes over the rows. None: as many as make 6,000 batches, of images 1,200; between 12 and
        100.
    batch_size : int, default=100
        Rows of a batch.
    lr : float, default=0.001
        Learning rate to begin with; it falls as a half cosine.
    endpoint : {"centroid", "shift", "transport", "nearest"}, default="centroid"
        Where the walk leads. "centroid": to mu_t (Algorithm 2). "shift": to z + mu_t - mu_s, with s
        the own class. "transport": to mu_t + A (z - mu_s), the optimal transport between the
        Gaussians, which keeps the spread within the class and sends different people to different
        places. "nearest": to the nearest code of a training row of the target class.
    n_alphas : int, default=8
        Sections of the path, and again of the section in which the label flips first.
    alpha_max : float, default=1.5
        Where the path ends; 1 is the endpoint.
    target_score : float, default=0.5
        Score of the target class (of two classes, its probability) that a counterfactual is to
        have, T in Algorithm 2. A higher one leads further into the class.
    tol : float, default=None
        How far from `target_score` the score may be at most: more rounds are made for that. Where
        the score jumps over it, the first step beyond is taken. None: any distance.
    min_margin : float, default=1e-4
        Distance from the decision boundary, on the logit scale, that a counterfactual keeps.
    residual_correction : bool, default=True
        Whether what the autoencoder loses of a row is added to each step: ``x + D(z_s, z_u) -
        D(z_q, z_u)``, which is the row itself at alpha = 0. Without, as in the paper, steps are as
        the decoder makes them: further away, and more like real rows.
    refine : bool, default=False
        Whether changes are undone and shortened afterwards, as `NearestExplainer` does: cheaper,
        and less like real rows.
    device : str, default="cpu"
        Where the net is trained, as torch names it. Counterfactuals are made on the processor.
    dtype : {"float32", "float64"}, default="float32"
        Of the net's parameters.
    warm_start : bool, default=False
        Whether ``fit`` goes on with the net of the last one.
    verbose : int, default=0
        Whether to show progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the weights, the batches and the codes drawn, and of the surrogate classifier.

    Attributes
    ----------
    estimator_ : object
        The classifier that is explained: the one given, or the surrogate.
    feature_space_ : FeatureSpace
        The feature space, fitted on X.
    classes_ : ndarray of shape (n_classes,)
        The classifier's classes.
    net_ : GMMLatentNet
        The trained net.
    history_ : skorch.history.History
        One row an epoch, with a mean of each term.
    means_ : ndarray of float64, shape (n_classes, latent_dim)
        Centroids.
    covariances_ : ndarray of float64, shape (n_classes, latent_dim[, latent_dim])
        Variances, or whole covariances.
    weights_ : ndarray of float64, shape (n_classes,)
        Share of each class.
    leakage_score_ : float
        Accuracy of a fresh probe that predicts the class from z_u: the largest of `weights_` where
        it says nothing, 1 where it says all.
    swap_validity_ : float
        Share of the training rows outside the target that the classifier puts there when they are
        decoded at the target's centroid, constraints aside. A low one warns.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns, where X has string names.

    See Also
    --------
    GDLExplainer : Gradient descent in the same latent space.
    PrototypeExplainer : Guided by prototypes, in the space of the rows.
    NearestExplainer : The cheapest changes, which are not always like real rows.

    Notes
    -----
    Readings of the paper, and corrections:

    - p(c) belongs in the numerator and the denominator of Eqs. 3 and 4, and not in Eq. 2. It is the
      share of the class; there are no class weights beside it.
    - All losses are means over rows. The reconstruction (Eq. 8) is a mean over features as well,
      weighted by ``net__reconstruction_weight``: squared errors of numbers, scaled to 0 to 1, and
      cross-entropies of categories.
    - Minus the adversary's loss in Eq. 9 is not bounded from below, and diverges. Encoder_u
      minimises ``KL(adversary(z_u) || p(c))`` instead, which is 0 where the adversary knows
      nothing; ``net__confusion="literal"`` is the printed one.
    - The adversary's term in line 6 of Algorithm 1 has no gradient there, and is left out. Lines 3
      and 7 take the same batch.
    - Line 6 of Algorithm 2 is read as "crosses the boundary, and is within tol", and stops there. A
      coarse grid jumps over a narrow tolerance: so the section of the first crossing is looked into
      once more, and more often where there is a tolerance.
    - Standard deviations are ``0.1 + softplus(.)``, which keeps the likelihood bounded.
    - Tables 4 to 7 do not fit together; `skcf.latent.LatentModule` says what is built instead.

    For counterfactuals that other classifiers of the same rows accept as well: a higher
    `target_score`, say the median that the classifier gives to rows of the target; one that it
    seldom gives is not arrived at. For more plausible ones, further away: also
    ``adversary_weight=2``, ``endpoint="transport"`` and, of tables,
    ``net__reconstruction_weight=10`` with ``residual_correction=False``; images are blurred
    without the correction.

    Numbers stay within the range of the training rows, missing values as they are; these enter the
    net as medians or commonest categories. A number that most rows share is kept where the decoder
    leaves it by little: by less than half of what nine in ten of the others differ by. All
    constraints are written into each step before the classifier is asked about it. Rows whose path
    does not arrive go towards the nearest allowed training row of the target class instead, decoded
    between both codes; their ``alpha`` is NaN.

    References
    ----------
    .. [1] X. Zhao, K. Broelemann, G. Kasneci. "Counterfactual explanation via search in Gaussian
       mixture distributed latent space." arXiv:2307.13390, 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcf import GMMLatentExplainer
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> explainer = GMMLatentExplainer(model, max_epochs=20, lr=0.01, random_state=0)
    >>> explainer = explainer.fit(X, model.predict(X))
    >>> malignant = X[model.predict(X) == 0]
    >>> explainer.explain(malignant)
    <GMMLatentResult of 209 rows: 209 found>
    """

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
        super().__init__(
            estimator,
            target_class=target_class,
            feature_space=feature_space,
            latent_dim=latent_dim,
            residual_dim=residual_dim,
            image_shape=image_shape,
            encoder=encoder,
            decoder=decoder,
            net=net,
            covariance_type=covariance_type,
            likelihood_weight=likelihood_weight,
            adversary_weight=adversary_weight,
            surrogate=surrogate,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            target_score=target_score,
            tol=tol,
            min_margin=min_margin,
            refine=refine,
            device=device,
            dtype=dtype,
            warm_start=warm_start,
            verbose=verbose,
            random_state=random_state,
        )
        self.endpoint = endpoint
        self.n_alphas = n_alphas
        self.alpha_max = alpha_max
        self.residual_correction = residual_correction

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

        Figure 3 of the paper. The first step is the row itself, or its reconstruction without
        residual correction; the last is the endpoint.

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
