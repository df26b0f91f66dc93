"""PrototypeExplainer: counterfactuals guided by class prototypes (paper 5), batched."""

from dataclasses import dataclass, fields
from numbers import Integral, Real

import numpy as np

from skcf._compat import HasMethods, Interval, StrOptions
from skcf._diverse import choose_diverse
from skcf._maps import medians, read_map
from skcf._refine import refine
from skcf._search import Batch
from skcf._starts import StartRows
from skcf.base import BaseCounterfactual
from skcf.prototype._axes import DISTANCES, EMBEDDINGS, CategoricalAxes
from skcf.prototype._fista import search_weight
from skcf.prototype._losses import (
    AutoencoderLoss,
    EncodedPrototypeLoss,
    PredictionLoss,
    PrototypeLoss,
)
from skcf.prototype._path import follow_path
from skcf.prototype._problem import Pairs, elastic_net
from skcf.prototype._prototypes import KDTrees, MeanEncodings
from skcf.prototype._result import PrototypeResult
from skcf.prototype._select import SELECTIONS, choose
from skcf.prototype._sequential import minimise_linearised

__all__ = ["PrototypeExplainer"]

N_NEIGHBOURS = 5
"""Real rows whose mean distance says how plausible a candidate is."""

POOL = 4
"""Prototypes for each of several counterfactuals of a row."""


MOST_PROTOTYPES = 512
"""Those that are tried for rows for which there is nothing else."""


class PrototypeExplainer(BaseCounterfactual):
    """Counterfactuals that are guided by prototypes of the classes.

    The method of [1]_: a counterfactual minimises ``c * L_pred + beta * L1 + L2 + gamma * L_AE +
    theta * L_proto``. The last term draws it to a prototype of the target class, which makes it
    quick to find and more like real rows of that class. Each term is left out by its weight: the
    losses A to F of the paper are settings (see Notes).

    Without the prediction loss and without networks, which is the default, the minimum is known in
    closed form for each weight theta, and the whole path of minima is searched instead
    (``solver="path"``, an improvement of ours): the classifier is asked a few times for all rows
    together. Several prototypes are tried for each row, and one of their counterfactuals is kept.

    Parameters
    ----------
    estimator : object, default=None
        The classifier to explain, fitted: a scikit-learn classifier or Pipeline, a torch
        module that returns logits for encoded rows, a skorch net, or a function of rows that
        returns labels or scores of shape (n_samples, n_classes). None: a gradient-boosting
        surrogate is trained on what ``fit`` is given.
    target_class : object, default=None
        The class that rows are moved to. ``"other"``: each row leaves its own class for the
        nearest prototype of another one, as in the paper. None: ``classes_[1]`` of two classes,
        ``"other"`` with more.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost. None: everything, with kinds read off the data. Its
        scale is the unit of the losses, its weights those of the features in L1 and L2.
    c : float, default=0.0
        Weight of the prediction loss; 0 leaves it out (section 3.5). With `c_steps` above 1, the
        first weight that is tried.
    kappa : float, default=0.0
        Lead of the target class beyond which the prediction loss falls no further.
    prediction_loss : {"probability", "margin"}, default="probability"
        Whether the lead is one of probabilities, as in Eq. 2; or on the logit scale, which does
        not saturate (an improvement of ours).
    beta : float, default=0.1
        Weight of the L1 norm: how sparse changes are.
    theta : float, default=100.0
        Weight of the prototype loss; 0 leaves it out. The path goes through all weights.
    gamma : float, default=100.0
        Weight of the autoencoder's loss, where there is an autoencoder.
    encoder : object, default=None
        Makes numbers of rows of numbers: a fitted transformer, a torch module, or a function.
        Prototypes are then means of encodings (Algorithm 1). None: training rows (Algorithm 2).
    autoencoder : object, default=None
        Reconstructs rows of numbers: a torch module, a function, a fitted transformer with an
        inverse, or an estimator that predicts what it is given. None: no such loss.
    k : int, default=1
        Which nearest row of a class is its first prototype; with an encoder, of how many nearest
        encodings a prototype is the mean.
    n_prototypes : int, default=20
        Number of prototypes that are tried for each row: the k-th nearest and those that come
        after it. The paper has 1.
    select : {"balanced", "cheapest", "plausible"}, default="balanced"
        Which of their counterfactuals is kept: that of the least elastic net, the one nearest to
        real rows of its class, or the one with the least sum of both, each as a share of the
        row's least.
    categorical_distance : {"mvdm", "abdm"}, default="mvdm"
        How alike two categories are: by what the classifier says of their rows (Eq. 17), or by
        the other features (Eq. 18).
    embedding : {"line", "norm"}, default="line"
        How categories come to an axis: in one dimension at once (section 3.4), or by norms in
        two (appendix D.2).
    alpha : float, default=1.0
        Power of the differences in MVDM.
    solver : {"auto", "path", "sequential", "fista"}, default="auto"
        "fista": the algorithm of section 3.6. "path": all minima without prediction loss and
        networks. "sequential": with the prediction loss on the logit scale, without networks: the
        margin is a constraint, and c its multiplier, which is found; for classifiers with
        gradients, or finite differences (an improvement of ours). "auto": "path" without
        prediction loss and networks, "sequential" with that loss alone, else "fista".
    max_steps : int, default=1000
        Steps of FISTA.
    learning_rate_init : float, default=0.01
        Length of its first step, in units of the loss's gradient. Lengths fall to 0 as the
        square root of what is left.
    momentum : bool, default=True
        Whether FISTA extrapolates its iterates; without, it is ISTA.
    c_steps : int, default=1
        Number of weights of the prediction loss that FISTA tries, by bracketing and bisection.
    tol : float, default=1e-6
        A row stops after ten steps of FISTA that are shorter. 0: never.
    min_margin : float, default=1e-4
        Distance from the decision boundary, on the logit scale, that a counterfactual keeps. Where
        no prototype is that far inside, one that is nearer to the boundary is taken as it is.
    refine : bool, default=False
        Whether changes are undone and shortened afterwards, as `NearestExplainer` does: cheaper,
        and less like the prototype.
    verbose : int, default=0
        Whether to show progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the surrogate; the search itself draws nothing.

    Attributes
    ----------
    estimator_ : object
        The classifier that is explained: the one given, or the surrogate.
    feature_space_ : FeatureSpace
        The feature space, fitted on X.
    classes_ : ndarray of shape (n_classes,)
        The classifier's classes.
    solver_ : {"path", "sequential", "fista"}
        What "auto" has chosen.
    category_positions_ : dict of {str or int: dict of {object: float}}
        For each nominal feature, where its categories stand on its axis.
    category_stress_, category_rank_correlation_ : dict of {str or int: float}
        How well the axis holds the distances: Kruskal's stress, the less the better, and Spearman's
        correlation, up to 1.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns, where X has string names.

    See Also
    --------
    NearestExplainer : The cheapest changes, which are not always like real rows.
    CCEExplainer : Real rows for a whole population.

    Notes
    -----
    The losses of the paper, by what is set (a dash: left out):

    ======  =====  =======  ===========  ==========================
    loss    ``c``  theta    autoencoder  what it is
    ======  =====  =======  ===========  ==========================
    A       > 0    0        --           prediction and elastic net
    B       > 0    0        given        and the autoencoder
    C       > 0    > 0      --           and the prototype
    D       > 0    > 0      given        all of them
    E       0      > 0      --           no prediction
    F       0      > 0      given        no prediction
    ======  =====  =======  ===========  ==========================

    (For tables, Eq. 16, A is A, B is C, and C is E with `encoder` None.) Literally as published:
    ``solver="fista"``, ``n_prototypes=1``, ``tol=0``.

    Readings where the paper leaves a choice. The target of the prediction loss is the target class
    of the explainer, and its rival the best other class; with ``target_class="other"`` it is the
    class of the prototype. Prototypes come from rows by the labels that the classifier predicts.
    The k-d tree gives the k-th nearest row among all training rows; k is 1. FISTA takes 1,000
    steps, the first of length 0.01. Prototypes are rows that are at least `min_margin` inside of
    their class, all of a class that has fewer than k of these. All losses are in units of the
    feature space's scale, which for standardised columns and ``scale="std"`` are those of the
    paper. Distances to prototypes
    leave out immutable features. Missing values stay as they are, unless the prototype itself is
    taken; encoders and autoencoders get the training rows' medians in their place. The elastic net
    that is compared over iterates is that of the row that is returned: whole numbers, categories,
    and within the constraints.

    Rows for which neither the path nor the sequential solver finds anything (no prototype is valid
    under the constraints) go towards the nearest allowed training row of the target class, as in
    `NearestExplainer`, along its path; or else to the nearest of 512 prototypes.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcf import PrototypeExplainer
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> explainer = PrototypeExplainer(model).fit(X, model.predict(X))
    >>> malignant = X[model.predict(X) == 0]
    >>> explainer.explain(malignant)
    <PrototypeResult of 209 rows: 209 found>
    """

    _result_type = PrototypeResult

    _parameter_constraints: dict = {
        **BaseCounterfactual._parameter_constraints,
        "c": [Interval(Real, 0, None, closed="left")],
        "kappa": [Interval(Real, 0, None, closed="left")],
        "prediction_loss": [StrOptions({"probability", "margin"})],
        "beta": [Interval(Real, 0, None, closed="left")],
        "theta": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "encoder": [HasMethods(["transform"]), callable, None],
        "autoencoder": [HasMethods(["inverse_transform"]), HasMethods(["predict"]), callable, None],
        "k": [Interval(Integral, 1, None, closed="left")],
        "n_prototypes": [Interval(Integral, 1, None, closed="left")],
        "select": [StrOptions(set(SELECTIONS))],
        "categorical_distance": [StrOptions(set(DISTANCES))],
        "embedding": [StrOptions(set(EMBEDDINGS))],
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "solver": [StrOptions({"auto", "path", "sequential", "fista"})],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "momentum": ["boolean"],
        "c_steps": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "min_margin": [Interval(Real, 0, None, closed="left")],
        "refine": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        target_class=None,
        feature_space=None,
        c=0.0,
        kappa=0.0,
        prediction_loss="probability",
        beta=0.1,
        theta=100.0,
        gamma=100.0,
        encoder=None,
        autoencoder=None,
        k=1,
        n_prototypes=20,
        select="balanced",
        categorical_distance="mvdm",
        embedding="line",
        alpha=1.0,
        solver="auto",
        max_steps=1000,
        learning_rate_init=0.01,
        momentum=True,
        c_steps=1,
        tol=1e-6,
        min_margin=1e-4,
        refine=False,
        verbose=0,
        random_state=None,
    ):
        super().__init__(estimator, target_class=target_class, feature_space=feature_space)
        self.c = c
        self.kappa = kappa
        self.prediction_loss = prediction_loss
        self.beta = beta
        self.theta = theta
        self.gamma = gamma
        self.encoder = encoder
        self.autoencoder = autoencoder
        self.k = k
        self.n_prototypes = n_prototypes
        self.select = select
        self.categorical_distance = categorical_distance
        self.embedding = embedding
        self.alpha = alpha
        self.solver = solver
        self.max_steps = max_steps
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.c_steps = c_steps
        self.tol = tol
        self.min_margin = min_margin
        self.refine = refine
        self.verbose = verbose
        self.random_state = random_state

    _shared_parameters = ("estimator", "encoder", "autoencoder")

    def _learn(self, Z, labels, oracle, sample_weight):
        """Place categories, read the networks, and gather prototypes."""
        self.solver_ = self._settled_solver()
        self._check_sizes(labels)
        self._check_scores(oracle)
        space = self.feature_space_
        if self.c > 0:
            oracle.learn_gradients()
        oracle.learn_shortcut()
        self._axes = CategoricalAxes(
            space,
            Z,
            labels,
            categorical_distance=self.categorical_distance,
            embedding=self.embedding,
            alpha=self.alpha,
        )
        self._describe_axes()
        self._encoder = self._read_network("encoder", Z)
        self._autoencoder = self._read_network("autoencoder", Z, n_outputs=Z.shape[1])
        self._starts = StartRows(Z, labels, oracle, self._targets, space, self.min_margin)
        rows = _well_inside(self._starts.is_safe, labels, self.k)
        frozen = space.constraints_.frozen
        self._points = _Points(self._axes, Z[rows], labels[rows], frozen, self._encoder)
        self._rows_of_points = rows

    def _settled_solver(self):
        """What "auto" comes down to; refuses what cannot be solved."""
        if self.c == 0 and self.theta == 0:
            raise ValueError(
                "c and theta are both 0: nothing draws rows to the target class. Set one of them."
            )
        networks = {"encoder": self.encoder is not None, "autoencoder": self._uses_autoencoder}
        in_the_way = [name for name, is_there in networks.items() if is_there]
        if self.solver == "path":
            in_the_way += ["c"] if self.c > 0 else []
        if self.solver in ("path", "sequential") and in_the_way:
            raise ValueError(
                f"solver={self.solver!r} has no {' and no '.join(in_the_way)}: use 'fista' or "
                "'auto'."
            )
        if self.solver == "sequential" and self.c == 0:
            raise ValueError("solver='sequential' finds the weight of the prediction loss: c > 0.")
        if self.solver != "auto":
            return self.solver
        return "fista" if in_the_way else "sequential" if self.c > 0 else "path"

    @property
    def _uses_autoencoder(self):
        return self.autoencoder is not None and self.gamma > 0

    def _check_sizes(self, labels):
        """Refuse a k-th nearest row that a class does not have."""
        for code in np.unique(labels):
            size = int(np.sum(labels == code))
            is_needed = self.theta > 0 and self._target_code in (code, -1)
            if is_needed and self.k > size:
                raise ValueError(
                    f"k={self.k}, but the classifier puts only {size} rows of X in the class "
                    f"{self.classes_.tolist()[code]!r}."
                )

    def _check_scores(self, oracle):
        """Refuse a prediction loss without scores, whose slope would be 0."""
        if self.c > 0 and not oracle.has_scores:
            raise ValueError(
                f"c={self.c} weights the prediction loss, but the classifier gives labels alone. "
                "Set c=0, and be guided by prototypes."
            )

    def _describe_axes(self):
        """Say in public where the categories are."""
        features, axes = self.feature_space_.encoding_.features, self._axes
        names = {j: features[j].name for j in axes.positions}
        self.category_positions_ = {
            names[j]: dict(zip(features[j].categories, position.tolist(), strict=True))
            for j, position in axes.positions.items()
        }
        self.category_stress_ = {names[j]: value for j, value in axes.stress.items()}
        self.category_rank_correlation_ = {
            names[j]: value for j, value in axes.rank_correlation.items()
        }

    def _read_network(self, name, Z, n_outputs=None):
        """An encoder or autoencoder, if there is one."""
        given = getattr(self, name)
        return None if given is None else read_map(given, name, Z, self.feature_space_, n_outputs)

    def _search(self, Z, own, rows, oracle):
        """Find the counterfactual of each row that is to be kept."""
        pool = self._candidates(Z, own, rows, oracle, self.n_prototypes, one_each=True)
        chosen = choose(pool.of, pool.elastic_net, pool.remoteness, self.select, len(Z))
        at = np.flatnonzero(chosen >= 0)
        kept, best = pool.take(chosen[at]), Z.copy()
        best[at] = self._finished(Z[at], rows[at], oracle, kept)
        return best, self._details(best, Z, at, kept)

    def _search_several(self, Z, own, rows, oracle, n_counterfactuals):
        """Find counterfactuals of different prototypes; Z has each row so many times."""
        n = n_counterfactuals
        once = Z[::n], own[::n], rows[::n]
        pool = self._candidates(*once, oracle, max(self.n_prototypes, POOL * n))
        batch = Batch(once[0], once[2], oracle, self.feature_space_, self._cost_metric())
        pool.found[:] = self._finished(once[0][pool.of], once[2][pool.of], oracle, pool)
        chosen = choose_diverse(batch, pool.of, pool.found, n).ravel()
        at = np.flatnonzero(chosen >= 0)
        best = Z.copy()
        best[at] = pool.found[chosen[at]]
        return best, self._details(best, Z, at, pool.take(chosen[at]))

    def _candidates(self, Z, own, rows, oracle, n_prototypes, one_each=False):
        """Valid counterfactuals of each row, one for each prototype that leads to any.

        Where only one of each row's is going to be chosen, those that cannot be are not finished.
        """
        of, pairs, index, endpoint = self._pairs(Z, own, rows, oracle, n_prototypes)
        if self.solver_ == "fista":
            found, is_valid, c = self._by_fista(pairs)
        elif self.solver_ == "sequential":
            found, is_valid, c = minimise_linearised(pairs, self.theta)
        else:
            rivals = of if one_each and self.select == "cheapest" else None
            found, is_valid = follow_path(pairs, endpoint, rivals)
            c = np.zeros(len(pairs))
        pool = self._pool(pairs, of, index, found, c).take(np.flatnonzero(is_valid))
        for resort in (self._towards_allowed_rows, self._towards_far_prototypes):
            stranded = np.flatnonzero(np.bincount(pool.of, minlength=len(Z)) == 0)
            if self.solver_ != "fista" and len(stranded):
                pool = pool.joined(resort(Z, own, rows, oracle, stranded))
        return pool

    def _pairs(self, Z, own, rows, oracle, n_prototypes):
        """Each row with each of its prototypes."""
        points, constraints = self._points, self.feature_space_.constraints_
        of, place, code, index = points.find(
            Z, own, self._target_code, self.k if self.theta > 0 else 1,
            n_prototypes if self.theta > 0 else 1,
        )  # fmt: skip
        endpoint = Z[of]
        if self.encoder is None:
            endpoint = constraints.project(points.Z[index], Z[of])
            place = self._axes.place(endpoint)
            index = self._rows_of_points[index]
        return of, self._problem(oracle, Z[of], rows[of], code, place), index, endpoint

    def _problem(self, oracle, Z, rows, code, prototype):
        margin, beta = self.min_margin, self.beta
        return Pairs(self._axes, oracle, Z, rows, code, prototype, margin, beta)

    def _towards_far_prototypes(self, Z, own, rows, oracle, stranded):
        """Candidates on the way to the first of many prototypes that is valid, made allowed."""
        constraints = self.feature_space_.constraints_
        of, _, code, index = self._points.find(
            Z[stranded], own[stranded], self._target_code, 1, MOST_PROTOTYPES
        )
        of = stranded[of]
        endpoint = constraints.project(self._points.Z[index], Z[of])
        pairs = self._problem(oracle, Z[of], rows[of], code, self._axes.place(endpoint))
        valid = np.flatnonzero(pairs.valid(endpoint))
        first = valid[np.unique(of[valid], return_index=True)[1]]
        pairs, endpoint = pairs.take(first), endpoint[first]
        found, _ = follow_path(pairs, endpoint)
        index = self._rows_of_points[index[first]]
        return self._pool(pairs, of[first], index, found, np.zeros(len(first)))

    def _towards_allowed_rows(self, Z, own, rows, oracle, stranded):
        """Candidates on the way to the nearest allowed row of the target class."""
        of, endpoint, code = self._starts.nearest(
            Z[stranded], own[stranded], rows[stranded], oracle, self._target_code,
            k=1, metric=self._cost_metric(),
        )  # fmt: skip
        of = stranded[of]
        pairs = self._problem(oracle, Z[of], rows[of], code, self._axes.place(endpoint))
        found, is_valid = follow_path(pairs, endpoint)
        # those that are nearer to the boundary than asked for are better than none
        found = np.where(is_valid[:, None], found, endpoint)
        return self._pool(pairs, of, np.full(len(of), -1), found, np.zeros(len(of)))

    def _by_fista(self, pairs):
        """Minimise the losses that are asked for."""
        options = {
            "max_steps": self.max_steps,
            "learning_rate": self.learning_rate_init,
            "momentum": self.momentum,
            "tol": self.tol,
        }
        c_steps = self.c_steps if self.c > 0 else 1
        return search_weight(pairs, self._losses, self.c, c_steps, options, self.verbose)

    def _losses(self, pairs, c):
        """The smooth terms, the prediction loss first."""
        losses = []
        if self.c > 0:
            probabilities = self.prediction_loss == "probability"
            losses.append(PredictionLoss(pairs, c, self.kappa, probabilities))
        if self._uses_autoencoder:
            losses.append(AutoencoderLoss(pairs, self.gamma, self._autoencoder))
        if self.theta > 0 and self.encoder is None:
            losses.append(PrototypeLoss(pairs, self.theta))
        elif self.theta > 0:
            losses.append(EncodedPrototypeLoss(pairs, self.theta, self._encoder))
        return losses

    def _pool(self, pairs, of, index, found, c):
        """Candidates, with what is needed to choose among them."""
        remoteness, is_choice = np.zeros(len(of)), np.bincount(of).max(initial=0) > 1
        if is_choice and self.select != "cheapest":
            remoteness = self._points.remoteness(found, pairs.code)
        return _Pool(of, found, pairs.code, index, c, pairs.elastic_net(found), remoteness)

    def _finished(self, Z, rows, oracle, pool):
        """Candidates as they are, or refined."""
        if not self.refine or not len(pool.of):
            return pool.found
        options = {"metric": self._cost_metric(), "min_margin": self.min_margin}
        return refine(Z, pool.found, rows, pool.code, oracle, verbose=self.verbose, **options)

    def _details(self, best, Z, at, chosen):
        """What the result says of each row that has a counterfactual."""
        details = self._details_of_the_rest(len(Z))
        weight = self.feature_space_.weight_
        place = self._axes.place
        details["elastic_net"][at] = elastic_net(place(best[at]), place(Z[at]), self.beta, weight)
        details["prototype_index"][at] = chosen.index
        details["c"][at] = chosen.c
        return details

    def _details_of_the_rest(self, n_rows):
        return {
            "elastic_net": np.full(n_rows, np.nan),
            "prototype_index": np.full(n_rows, -1),
            "c": np.full(n_rows, np.nan),
        }


def _well_inside(is_safe, labels, k):
    """Rows that may be prototypes: all of a class that has fewer than k far enough inside."""
    kept = is_safe.copy()
    for code in np.unique(labels):
        own = labels == code
        if np.sum(is_safe & own) < k:
            kept |= own
    return np.flatnonzero(kept)


@dataclass
class _Pool:
    """Candidates of rows; all arrays have one entry for each."""

    of: np.ndarray
    found: np.ndarray
    code: np.ndarray
    index: np.ndarray
    c: np.ndarray
    elastic_net: np.ndarray
    remoteness: np.ndarray

    def take(self, at):
        """Some of them."""
        return _Pool(*(getattr(self, field.name)[at] for field in fields(self)))

    def joined(self, other):
        """These and those."""
        both = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return _Pool(*(np.concatenate(pair) for pair in both))


class _Points:
    """Training rows as points: where prototypes come from, and what is plausible.

    Parameters
    ----------
    axes : CategoricalAxes
        Gives coordinates.
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    labels : ndarray of int, shape (n_rows,)
        Their class codes.
    frozen : ndarray of bool, shape (n_features,)
        Features that may not change: distances leave them out.
    encoder : object or None
        Read by `read_map`.
    """

    def __init__(self, axes, Z, labels, frozen, encoder):
        self.axes, self.Z, self.frozen, self.encoder = axes, Z, frozen, encoder
        self._typical = medians(axes.place(Z))
        self._coordinates = KDTrees(self._filled(Z), labels)
        if encoder is None:
            self._prototypes = self._coordinates
        else:
            self._prototypes = MeanEncodings(encoder.values(Z), labels)

    def find(self, Z, own, target, k, n_prototypes):
        """Find the prototypes of encoded rows; see `KDTrees.find`."""
        queries = self._filled(Z) if self.encoder is None else self.encoder.values(Z)
        return self._prototypes.find(queries, own, target, k, n_prototypes)

    def remoteness(self, found, code):
        """Mean distance to the nearest training rows of a class, shape (n_found,)."""
        points, distance = self._filled(found), np.empty(len(found))
        for c in np.unique(code):
            at = np.flatnonzero(code == c)
            distance[at] = self._coordinates.nearest(points[at], c, N_NEIGHBOURS)[0].mean(axis=1)
        return distance

    def _filled(self, Z):
        """Coordinates, with something typical in the place of what is missing."""
        U = self.axes.place(Z)
        return np.where(self.frozen, 0.0, np.where(np.isnan(U), self._typical, U))
