"""What the explainers that search a latent space share: modules, training, and the way back."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state

from skcf._compat import HasMethods, Interval, StrOptions
from skcf._refine import refine
from skcf._starts import StartRows
from skcf._targets import OTHER
from skcf.base import BaseCounterfactual
from skcf.latent._codes import Codes
from skcf.latent._endpoints import ENDPOINTS, Mixture
from skcf.latent._gaussians import log_densities
from skcf.latent._heads import Heads, Pixels
from skcf.latent._probe import leakage_score, warn_of_bad_training
from skcf.latent._result import LatentResult
from skcf.latent._walk import Criterion, Paths, follow

__all__ = ["LatentExplainer"]

TABLE = {"latent_dim": 3, "residual_dim": 8, "likelihood_weight": 0.5}
IMAGE = {"latent_dim": 15, "residual_dim": 25, "likelihood_weight": 0.1}
"""What None stands for: the paper's, where they work."""

N_BATCHES, FEWEST_EPOCHS, MOST_EPOCHS = {"table": 6000, "image": 1200}, 12, 100
"""Training goes on for so many batches, but no more epochs than the paper's."""

MOST_SWAPPED = 1000
"""Training rows that are decoded at the target's centroid, to say how many are valid there."""

FALLBACK_ALPHAS = 10


class LatentExplainer(BaseCounterfactual):
    """Base class: it trains the modules of paper 2, and takes rows to codes and back."""

    _result_type = LatentResult

    _parameter_constraints: dict = {
        **BaseCounterfactual._parameter_constraints,
        "latent_dim": [Interval(Integral, 1, None, closed="left"), None],
        "residual_dim": [Interval(Integral, 1, None, closed="left"), None],
        "image_shape": ["array-like", None],
        "encoder": [callable, None],
        "decoder": [callable, None],
        "net": [HasMethods(["fit", "set_params"]), None],
        "covariance_type": [StrOptions({"diag", "full"})],
        "likelihood_weight": [Interval(Real, 0, None, closed="left"), None],
        "adversary_weight": [Interval(Real, 0, None, closed="left")],
        "surrogate": ["boolean"],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "target_score": [Interval(Real, 0, 1, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="neither"), None],
        "min_margin": [Interval(Real, 0, None, closed="left")],
        "refine": ["boolean"],
        "device": [str],
        "dtype": [StrOptions({"float32", "float64"})],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def set_params(self, **params):
        """Set parameters; those of the net (``net__callbacks``) also where there is none yet.

        Parameters
        ----------
        **params : dict
            As scikit-learn has them.

        Returns
        -------
        self : object
        """
        if self.net is None and "net" not in params and any(p.startswith("net__") for p in params):
            from skcf.latent._net import GMMLatentNet

            params = {"net": GMMLatentNet(), **params}
        return super().set_params(**params)

    def _learn(self, Z, labels, oracle, sample_weight):
        """Train the modules, and settle what the search needs."""
        self._check_classes(labels)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        heads = self._settled_heads(Z)
        columns = heads.columns(Z)
        self._train(columns, labels, heads, seed)
        self._codes = Codes(heads, self._module_for_use())
        oracle.learn_shortcut()
        self._starts = StartRows(
            Z, labels, oracle, self._targets, self.feature_space_, self.min_margin
        )
        _, z, z_u = self._codes.encode(Z)
        safe = self._starts.is_safe
        self._mixture = Mixture(
            self.means_, self.covariances_, self.weights_, z[safe], labels[safe]
        )
        self._probe(Z, labels, oracle, z, z_u, seed)

    def _check_classes(self, labels):
        """Refuse a class without rows: it would have no component."""
        counts = np.bincount(labels, minlength=len(self.classes_))
        empty = [self.classes_.tolist()[code] for code in np.flatnonzero(counts == 0)]
        if empty:
            raise ValueError(
                f"The classifier puts no row of X in the classes {empty}: there is nothing to "
                "place their components by. Fit on rows of all classes."
            )

    def _settled_heads(self, Z):
        """What takes rows to the columns of the net."""
        if self.image_shape is None:
            return Heads(self.feature_space_, Z)
        shape = tuple(self.image_shape)
        features = self.feature_space_.constraints_
        if int(np.prod(shape)) != Z.shape[1] or len(features.categorical):
            raise ValueError(
                f"image_shape={shape} is of {int(np.prod(shape))} numbers, but X has {Z.shape[1]} "
                f"columns, {len(features.categorical)} of them categories."
            )
        return Pixels(self.feature_space_, Z)

    def _default(self, name):
        """A parameter, or what None stands for."""
        given = getattr(self, name)
        return (TABLE if self.image_shape is None else IMAGE)[name] if given is None else given

    def _n_epochs(self, n_rows):
        """How many epochs; None: as many as make enough batches."""
        if self.max_epochs is not None:
            return self.max_epochs
        kind = "table" if self.image_shape is None else "image"
        wanted = N_BATCHES[kind] * self.batch_size // n_rows
        return int(np.clip(wanted, FEWEST_EPOCHS, MOST_EPOCHS))

    def _train(self, columns, labels, heads, seed):
        """Make the net, or go on with the one that there is, and train it."""
        from copy import deepcopy

        from skcf.latent._training import checked_device, configured, trained

        go_on = self.warm_start and hasattr(self, "net_")
        checked_device(self.device)
        options = self._net_options(heads, labels)
        if go_on:
            self._check_same_rows(heads)
            # a copy: the one that there is stays what it was, should this fail
            net = deepcopy(self.net_).set_params(max_epochs=self._n_epochs(len(labels)))
        else:
            net = configured(self.net, options)
        self.net_ = trained(net, columns, labels, seed=seed, dtype=self.dtype, go_on=go_on)
        self.history_ = self.net_.history
        heads.layout.temperature = self.net_.module_.layout.temperature
        self.means_, self.covariances_, self.weights_ = self.net_.module_.mixture.arrays()

    def _check_same_rows(self, heads):
        """Refuse to go on with a net of other columns or classes."""
        module = self.net_.module_
        had = module.layout.n_numbers, module.layout.sizes, len(module.mixture.means)
        has = heads.layout.n_numbers, heads.layout.sizes, len(self.classes_)
        if had != has:
            raise ValueError(
                "warm_start=True goes on with a net of other rows: it has (numbers, categories, "
                f"classes) {had}, and X has {has}. Fit anew with warm_start=False."
            )

    def _net_options(self, heads, labels):
        """What the explainer says of its net, by skorch's names."""
        made_of = {
            "layout": heads.layout,
            "class_weights": np.bincount(labels) / len(labels),
            "latent_dim": self._default("latent_dim"),
            "residual_dim": self._default("residual_dim"),
            "covariance_type": self.covariance_type,
            "surrogate": self.surrogate,
            "dtype": self.dtype,
            **self._given_modules(),
        }
        return {
            **{f"module__{name}": value for name, value in made_of.items()},
            "likelihood_weight": self._default("likelihood_weight"),
            "adversary_weight": self.adversary_weight,
            "max_epochs": self._n_epochs(len(labels)),
            "batch_size": self.batch_size,
            "lr": self.lr,
            "device": self.device,
            "verbose": int(self.verbose),
        }

    def _given_modules(self):
        """The user's own modules, or convolutional ones for images."""
        given = {"encoder": self.encoder, "decoder": self.decoder}
        if self.image_shape is not None:
            from skcf.latent._convolutional import convolutional

            own = convolutional(tuple(self.image_shape))
            given = {name: own[name] if made is None else made for name, made in given.items()}
        return {name: made for name, made in given.items() if made is not None}

    def _module_for_use(self):
        from skcf.latent._training import used_module

        return used_module(self.net_)

    def _probe(self, Z, labels, oracle, z, z_u, seed):
        """Say how much z_u tells of the class, and how many rows the centroid takes with it."""
        self.leakage_score_ = leakage_score(z_u, labels, seed)
        rows = np.flatnonzero(labels != self._target_code)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_SWAPPED)).astype(np.intp)]
        of, target = self._aims(rows, labels[rows])
        rows = rows[of]
        columns = self._codes.decode(self.means_[target], z_u[rows])
        # what training has done: constraints are another matter
        swapped = self._codes.heads.rows(columns, Z[rows])
        constraints = self.feature_space_.constraints_
        whole = constraints.integer | np.isin(np.arange(Z.shape[1]), constraints.categorical)
        swapped = np.where(whole, np.rint(swapped), swapped)
        is_there = oracle.labels(swapped, rows) == target
        self.swap_validity_ = float(np.mean(is_there)) if len(rows) else 1.0
        majority = np.bincount(labels).max() / len(labels)
        warn_of_bad_training(self.leakage_score_, majority, self.swap_validity_, stacklevel=7)

    def _aims(self, rows, own):
        """Each row with each class that it may go to."""
        if self._target_code != OTHER:
            return np.arange(len(rows)), np.full(len(rows), self._target_code)
        n_classes = len(self.classes_)
        of = np.repeat(np.arange(len(rows)), n_classes - 1)
        steps = np.tile(np.arange(1, n_classes), len(rows))
        return of, (own[of] + steps) % n_classes

    def _likeliest_other(self, z, own):
        """The class other than its own of which each code is likeliest."""
        likely = log_densities(z, self.means_, self.covariances_) + np.log(self.weights_)
        likely[np.arange(len(z)), own] = -np.inf
        return likely.argmax(axis=1)

    def _paths(self, Z, rows, own, target, endpoint, with_residual):
        """Ways of rows to an endpoint."""
        columns, z, z_u = self._codes.encode(Z)
        end = ENDPOINTS[endpoint](z, own, target, self._mixture)
        residual = columns - self._codes.decode(z, z_u) if with_residual else np.zeros_like(columns)
        return Paths(Z, rows, target, z, z_u, residual, end, z_u, residual)

    def _ways_to(self, Z, rows, target, real):
        """Ways of rows to real ones, whose ends are the rows themselves."""
        ends = []
        for points in (Z, real):
            columns, z, z_u = self._codes.encode(points)
            ends.append((z, z_u, columns - self._codes.decode(z, z_u)))
        return Paths(Z, rows, target, *ends[0], *ends[1])

    def _criterion(self):
        return Criterion(self.min_margin, self.target_score, self.tol)

    def _towards_real_rows(self, Z, own, rows, oracle, stranded):
        """Counterfactuals on the way to the nearest allowed row, of rows that have none.

        Returns
        -------
        of : ndarray of int
            Positions of those for which there is one.
        found : ndarray of float64
        latent : ndarray of float64
            Their codes.
        """
        of, real, code = self._starts.nearest(
            Z[stranded], own[stranded], rows[stranded], oracle, self._target_code,
            k=1, metric=self._cost_metric(),
        )  # fmt: skip
        of = stranded[of]
        paths = self._ways_to(Z[of], rows[of], code, real)
        criterion = self._criterion()
        found, alpha, margin = follow(paths, self._codes, oracle, criterion, FALLBACK_ALPHAS, 1.0)
        arrived = margin >= criterion.least(oracle.has_scores)
        # nearer to the boundary than asked for is better than none
        found = np.where(arrived[:, None], found, real)
        alpha = np.where(arrived, alpha, 1.0)[:, None]
        return of, code, found, paths.z + alpha * (paths.end - paths.z)

    def _finished(self, Z, found, rows, target, oracle):
        """Candidates as they are, or refined."""
        if not self.refine or not len(Z):
            return found
        options = {"metric": self._cost_metric(), "min_margin": self.min_margin}
        return refine(Z, found, rows, target, oracle, verbose=self.verbose, **options)

    def _details_of_the_rest(self, n_rows):
        d = self.means_.shape[1]
        return {
            "latent": np.full((n_rows, d), np.nan),
            "latent_cf": np.full((n_rows, d), np.nan),
        }
