"""GDLExplainer: gradient descent in the latent space, the baseline of paper 2 (appendix .4)."""

from numbers import Integral, Real

import numpy as np
from scipy.special import expit

from skcf._compat import Interval, StrOptions
from skcf._progress import progress
from skcf._targets import OTHER
from skcf.latent._base import LatentExplainer
from skcf.latent._result import GDLResult

__all__ = ["GDLExplainer"]

BEYOND = 0.5
"""Margin beyond the least that the descent aims at: aiming at the boundary itself, it would never
be passed."""

DECAYS = 0.9, 0.999
"""Of the means of gradients and of their squares (Adam)."""


class GDLExplainer(LatentExplainer):
    """Counterfactuals by gradient descent in the latent space, the baseline of [1]_ (appendix .4).

    Algorithm 3: the codes of a row descend ``(T - f(D(z, z_u)))^2`` until what is decoded is
    classified as the target. The modules are those of `GMMLatentExplainer`, trained likewise. All
    rows descend together, by Adam.

    Parameters
    ----------
    estimator : object, default=None
        The classifier to explain, fitted; see `GMMLatentExplainer`.
    target_class : object, default=None
        The class that rows are moved to.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost.
    latent_dim, residual_dim, image_shape, encoder, decoder, net, covariance_type : object
        Of the modules; see `GMMLatentExplainer`.
    likelihood_weight, adversary_weight, surrogate, max_epochs, batch_size, lr : object
        Of their training; see `GMMLatentExplainer`.
    loss : {"logit", "probability"}, default="logit"
        What is squared: the distance of the margin from what is wanted, on the logit scale, or that
        of the probability, as printed, which has no slope far from the boundary.
    max_steps : int, default=500
        Steps of the descent.
    learning_rate_init : float, default=0.05
        Length of a step.
    target_score : float, default=0.5
        Score that the target class is to have at least.
    tol : float, default=None
        How far beyond it the score may be; None: any distance.
    min_margin : float, default=1e-4
        Distance from the decision boundary, on the logit scale, that a counterfactual keeps.
    refine : bool, default=False
        Whether changes are undone and shortened afterwards.
    device, dtype, warm_start, verbose, random_state : object
        See `GMMLatentExplainer`.

    Attributes
    ----------
    estimator_, feature_space_, classes_, n_features_in_, feature_names_in_ : object
        See `GMMLatentExplainer`.
    net_, history_, means_, covariances_, weights_, leakage_score_, swap_validity_ : object
        See `GMMLatentExplainer`.

    See Also
    --------
    GMMLatentExplainer : Walks straight to the target's centroid: a few questions a row.

    Notes
    -----
    Gradients of the classifier are the oracle's: its own where it has any, else differences, at two
    questions a number and one a category and step. Line 3 of Algorithm 3 is read as a step against
    the gradient. The probability is that of the margin, and a row that never arrives comes back as
    its best step.

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
    >>> from skcf import GDLExplainer
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> explainer = GDLExplainer(model, adversary_weight=0, max_epochs=30, random_state=0)
    >>> explainer = explainer.fit(X, model.predict(X))
    >>> explainer.explain(X).y_cf.shape
    (569,)
    """

    _result_type = GDLResult

    _parameter_constraints: dict = {
        **LatentExplainer._parameter_constraints,
        "loss": [StrOptions({"logit", "probability"})],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
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
        loss="logit",
        max_steps=500,
        learning_rate_init=0.05,
        target_score=0.5,
        tol=None,
        min_margin=1e-4,
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
        self.loss = loss
        self.max_steps = max_steps
        self.learning_rate_init = learning_rate_init

    def _learn(self, Z, labels, oracle, sample_weight):
        super()._learn(Z, labels, oracle, sample_weight)
        oracle.learn_gradients()

    def _search(self, Z, own, rows, oracle):
        """Descend, all rows together, each until it has arrived."""
        target = self._targets_of(Z, own)
        descent = _Descent(self, Z, rows, target, oracle)
        going = np.arange(len(Z))
        for step in progress(range(self.max_steps), self.verbose, self.max_steps, "descending"):
            going = descent.look(going, step)
            if not len(going) or step == self.max_steps - 1:
                break
            descent.step(going)
        details = self._details_of_the_rest(len(Z))
        details |= {"latent": descent.first, "latent_cf": descent.best_code, "n_steps": descent.n}
        return self._finished(Z, descent.best, rows, target, oracle), details

    def _targets_of(self, Z, own):
        """The class that each row goes to: of several, the one of which its code is likeliest."""
        if self._target_code != OTHER:
            return np.full(len(Z), self._target_code)
        return self._likeliest_other(self._codes.encode(Z)[1], own)

    def _details_of_the_rest(self, n_rows):
        details = super()._details_of_the_rest(n_rows)
        return {**details, "n_steps": np.zeros(n_rows, dtype=np.intp)}


class _Descent:
    """The codes of a batch of rows, on their way down.

    Attributes
    ----------
    best : ndarray of float64, shape (n, n_features)
        Encoded rows: where each arrived, or the step with the best margin.
    best_code, first : ndarray of float64, shape (n, latent_dim)
        Codes z of these, and of the rows.
    n : ndarray of int, shape (n,)
        Steps taken.
    """

    def __init__(self, explainer, Z, rows, target, oracle):
        self.Z, self.rows, self.target, self.oracle = Z, rows, target, oracle
        self.codes, self.loss = explainer._codes, explainer.loss
        self.learning_rate = explainer.learning_rate_init
        self.criterion = explainer._criterion()
        self.least = self.criterion.least(oracle.has_scores)
        _, z, z_u = self.codes.encode(Z)
        self.n_latent, self.first = z.shape[1], z
        self.code = np.hstack([z, z_u])
        self.best, self.best_code, self.n = Z.copy(), z.copy(), np.zeros(len(Z), dtype=np.intp)
        self.best_margin = np.full(len(Z), -np.inf)
        self.mean, self.square = np.zeros_like(self.code), np.zeros_like(self.code)

    def look(self, going, step):
        """Ask about what is decoded, and tell which rows have not arrived."""
        code, Z = self.code[going], self.Z[going]
        self.soft = self.codes.decode(code[:, : self.n_latent], code[:, self.n_latent :])
        constraints = self.oracle.space.constraints_
        self.at = constraints.project(self.codes.heads.rows(self.soft, Z), Z)
        margin = self.oracle.margin(self.at, self.rows[going], self.target[going])
        better = margin > self.best_margin[going]
        if self.criterion.tol is not None:  # a row that is too far inside may come back
            inside = self.best_margin[going] >= self.least
            better |= inside & (margin >= self.least)
        self.best[going[better]], self.best_margin[going[better]] = self.at[better], margin[better]
        self.best_code[going[better]], self.n[going] = code[better, : self.n_latent], step
        left = (margin < self.least) | self.criterion.is_too_far(margin)
        self.soft, self.at, self.margin = self.soft[left], self.at[left], margin[left]
        return going[left]

    def step(self, going):
        """Take a step of Adam down the loss."""
        slope = self._slope_of_loss()[:, None] * self._gradient(going)
        first, second = DECAYS
        self.mean[going] = first * self.mean[going] + (1 - first) * slope
        self.square[going] = second * self.square[going] + (1 - second) * slope**2
        n = self.n[going, None] + 1
        mean, square = self.mean[going] / (1 - first**n), self.square[going] / (1 - second**n)
        self.code[going] -= self.learning_rate * mean / (np.sqrt(square) + 1e-8)

    def _slope_of_loss(self):
        """Derivative of the loss by the margin."""
        aim = self.least + (BEYOND if self.criterion.tol is None else 0.0)
        if self.loss == "logit":
            return 2 * (self.margin - aim)
        p = expit(self.margin)
        return 2 * (p - expit(aim)) * p * (1 - p)

    def _gradient(self, going):
        """Derivatives of the margin by the codes, as if the shares were asked about."""
        asked = self.at, self.rows[going], self.target[going]
        answer = self.oracle.margin_and_swaps(*asked)
        if answer is None:
            swaps = self.oracle.category_differences(*asked)
            answer = self.margin, self.oracle.central_differences(*asked), swaps
        V = self.codes.heads.column_slopes(self.at, answer[1], answer[2])
        return self.codes.pullback(self.code[going], V)
