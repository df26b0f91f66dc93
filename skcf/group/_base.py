"""What the group explainers share: groups, their representation, and moves by translation."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from skcf._classifiers import codes_of
from skcf._compat import HasMethods, Interval, StrOptions
from skcf._distilled import distilled
from skcf._maps import FilledMap, medians
from skcf._representations import in_units, is_flat, read_representation
from skcf._targets import OTHER, reached
from skcf.base import BaseCounterfactual
from skcf.group._assigner import GroupAssigner, is_ungrouped, no_group_like, radius_of
from skcf.group._margins import MarginMap
from skcf.group._metric import GroupScore, Members
from skcf.group._problem import group_problem
from skcf.group._result import GroupResult
from skcf.group._sparsify import SUPPORTS, check_sparsity, sparsified

__all__ = ["BaseGroupExplainer"]

MOST, N_MAGNITUDES, SECTIONS = 2.0, 32, 15
"""Of ``magnitude="row"``: the largest part of a translation, how many are tried, and how many
between the first that is valid and the one before."""


class BaseGroupExplainer(BaseCounterfactual):
    """Base class of the group explainers.

    A subclass finds translations of the groups (`_translate`); all else is here.

    Parameters
    ----------
    representation, estimator, target_class, feature_space, n_features_to_change, support, \
reference_group, magnitude, eps : object
        See `TGTExplainer`.
    """

    _parameter_constraints: dict = {
        **BaseCounterfactual._parameter_constraints,
        "representation": [HasMethods(["transform"]), callable, None],
        "n_features_to_change": [Interval(Integral, 1, None, closed="left"), None],
        "support": [StrOptions(set(SUPPORTS))],
        "reference_group": "no_validation",
        "magnitude": [StrOptions({"group", "row"})],
        "eps": [Interval(Real, 0, None, closed="neither"), None],
    }
    _result_type = GroupResult
    _shared_parameters = ("estimator", "representation")
    _use_of_y = "y holds the groups"
    loss = "mean"

    def __init__(
        self,
        representation=None,
        *,
        estimator=None,
        target_class=None,
        feature_space=None,
        n_features_to_change=None,
        support="pair",
        reference_group=None,
        magnitude="group",
        eps=None,
    ):
        super().__init__(estimator, target_class=target_class, feature_space=feature_space)
        self.representation = representation
        self.n_features_to_change = n_features_to_change
        self.support = support
        self.reference_group = reference_group
        self.magnitude = magnitude
        self.eps = eps

    @classmethod
    def from_clusters(cls, clusterer: Any, representation: Any = None, **params: Any) -> Any:
        """Make an explainer of clusters, by the clusterer's own ``predict``.

        Parameters
        ----------
        clusterer : estimator
            Fitted, with ``predict`` (`~sklearn.cluster.KMeans`, a Gaussian mixture, a Pipeline of
            the representation and one of them), on rows as the explainer takes them. One that
            has only ``labels_``, as DBSCAN, needs no more than ``fit(X, clusterer.labels_)``.
        representation : object, default=None
            See the class.
        **params : object
            Other parameters.

        Returns
        -------
        explainer : object
            Not fitted.

        Raises
        ------
        TypeError
            If the clusterer has no ``predict``.
        """
        if not hasattr(clusterer, "predict"):
            raise TypeError(
                f"{clusterer!r} has no predict, by which new rows get their cluster. Fit the "
                "explainer with its labels_ as y: new rows then belong to the group of the nearest "
                "training row."
            )
        return cls(representation, estimator=clusterer, **params)

    @abstractmethod
    def _translate(self, task):
        """Find translations.

        Parameters
        ----------
        task : GroupTask
            The problem, and how translations are judged.

        Returns
        -------
        T : ndarray of float64, shape (n_groups, n_features)
            t of each group, relative to any reference: ``delta_ij = t_j - t_i``.
        deltas : ndarray of float64, shape (n_groups, n_groups, n_features)
            What is kept of these, from i to j at [i, j].
        """

    def _fit(self, X, y, sample_weight=None):
        """Leave out the rows of no group, where no classifier tells the groups."""
        if self.estimator is None and y is not None:
            belongs = ~is_ungrouped(np.asarray(y))
            if belongs.ndim == 1 and belongs.any() and not belongs.all():
                sample_weight = belongs.astype(float)
        super()._fit(X, y, sample_weight)

    def _usable_estimator(self, X, y, sample_weight, Z):
        """The classifier that is given, or one that goes by the nearest training row."""
        if self.estimator is not None:
            return super()._usable_estimator(X, y, sample_weight, Z)
        check_classification_targets(y)
        self._check_sizes(*np.unique(np.asarray(y), return_counts=True))
        represent, represented = self._read_representation(Z, None)
        return GroupAssigner(self.feature_space_, represent, represented, np.asarray(y), self.eps)

    def _training_labels(self, oracle, y):
        """Where no classifier tells the groups, y does."""
        if self.estimator is not None:
            return super()._training_labels(oracle, y)
        return codes_of(y, self._reader.classes)

    def _check_sizes(self, groups, sizes):
        """Refuse groups that nothing is known of, or not how far apart their rows are."""
        if len(groups) < 2:
            raise ValueError(
                f"There is 1 class of rows, {groups.tolist()}, where two groups at least are to be "
                "translated into one another. (-1, or an empty text, stands for no group.)"
            )
        needed = 2 if self.eps is None else 1
        for group, size in zip(groups.tolist(), sizes, strict=True):
            if size < needed:
                raise ValueError(
                    f"Group {group!r} has {size} row(s), where {needed} are needed"
                    + (": the radius is that of neighbours in a group. Set eps." if size else ".")
                )

    def _read_representation(self, Z, oracle):
        """The representation, as a map of encoded rows with or without gaps, and its values."""
        has_gaps = np.isnan(Z).any()
        typical = self._typical(Z) if has_gaps else None
        filled = np.where(np.isnan(Z), typical, Z) if has_gaps else Z
        if self.representation is None and oracle is not None:
            represent = MarginMap(oracle, filled)
            values = represent.values(filled)
        else:
            seed = getattr(self, "random_state", None)
            represent, values = read_representation(
                self.representation, filled, self.feature_space_, random_state=seed
            )
        return (FilledMap(represent, typical) if has_gaps else represent), values

    def _filled(self, Z):
        """Rows without missing values: what stood for these in fit, or would have, does."""
        gaps = np.isnan(Z)
        if not gaps.any():
            return Z
        typical = getattr(self._represent, "typical", None)
        return np.where(gaps, self._typical(Z) if typical is None else typical, Z)

    def _typical(self, Z):
        """What stands for missing values: medians, and the commonest categories."""
        typical = medians(Z)
        for j in self.feature_space_.constraints_.categorical:
            counts = self.feature_space_.encoding_.features[j].counts
            typical[j] = np.argmax(counts) if len(counts) else 0
        return typical

    def _learn(self, Z, labels, oracle, sample_weight):
        """Represent the rows, and find the translations."""
        self._check_sizes(self.classes_, np.bincount(labels, minlength=len(self.classes_)))
        self._check_sparsity()
        reference = self._reference_code()
        if self.estimator is None:
            self._represent, represented = (
                self.estimator_.representation,
                self.estimator_.represented,
            )
            self.eps_ = self.estimator_.eps
        else:
            if self.representation is None:
                oracle.learn_gradients()
                oracle.learn_shortcut()
            self._represent, represented = self._read_representation(Z, oracle)
            groups = [represented[labels == code] for code in range(len(self.classes_))]
            self.eps_ = radius_of(groups) if self.eps is None else float(self.eps)
        task = self._task(Z, labels, represented)
        T, deltas = self._translate(task)
        self._describe(task, deltas)
        units = self._units()
        self.translations_, self._deltas = (T - T[reference]) * units, deltas * units

    def _check_sparsity(self):
        k, n_features = self.n_features_to_change, len(self.feature_space_.scale_)
        if k is not None:
            check_sparsity(k, n_features, self.support)

    def _reference_code(self):
        """The group relative to which translations are told: the target, or the first."""
        if self.reference_group is None:
            return max(self._target_code, 0)
        code = int(codes_of(np.array([self.reference_group]), self.classes_)[0])
        if code < 0:
            raise ValueError(
                f"reference_group={self.reference_group!r} is none of the groups "
                f"{self.classes_.tolist()}."
            )
        return code

    def _task(self, Z, labels, represented):
        """The problem of the training rows."""
        constraints, units = self.feature_space_.constraints_, self._units()
        free = ~constraints.frozen
        free[constraints.categorical] = False  # no category lies between two others
        target = None if self._target_code == OTHER else self._target_code
        Z = self._filled(Z)
        Z = Z if np.all(units == 1) else Z / units
        return GroupTask(
            in_units(self._represent, units), Z, labels, represented,
            self.eps_, self.loss, target, free, _if_any(constraints.direction),
            tuple(constraints.categorical),
        )  # fmt: skip

    def _kept(self, problem, translations):
        """What is kept of translations of shape (n, n_groups, n_features), for each pair."""
        return sparsified(translations, self.n_features_to_change, self.support, problem.pairs)

    def _units(self):
        """Steps that cost 1 each: in these translations are sought, and compared."""
        weight = self.feature_space_.weight_
        return self.feature_space_.scale_ / np.where(weight > 0, weight, 1.0)

    def _describe(self, task, deltas):
        """Say in public how well the translations do."""
        pairs = task.problem.pairs
        correct, covered = task.score.of_each(deltas[pairs.source, pairs.end])
        n = len(self.classes_)
        self.correctness_, self.coverage_ = np.full((2, n, n), np.nan)
        self.correctness_[pairs.source, pairs.end] = correct
        self.coverage_[pairs.source, pairs.end] = covered
        self.transitivity_violation_ = _violation(deltas)

    def translation(self, origin: Any, target: Any) -> np.ndarray:
        """What is added to the rows of one group, for them to be like those of another.

        Parameters
        ----------
        origin, target : object
            Labels of ``classes_``.

        Returns
        -------
        ndarray of float64, shape (n_features,)
            In the units of the columns, in the order of
            ``feature_space_.get_feature_names_out()``; 0 for what does not change.

        Raises
        ------
        ValueError
            If either is no group.
        """
        check_is_fitted(self)
        codes = codes_of(np.array([origin, target]), self.classes_)
        if np.any(codes < 0):
            raise ValueError(
                f"{[origin, target][int(np.argmin(codes))]!r} is none of the groups "
                f"{self.classes_.tolist()}."
            )
        return self._deltas[codes[0], codes[1]].copy()

    def represent(self, X: Any) -> np.ndarray:
        """The representation of rows: r(X).

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as `transform` takes them.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_outputs)
        """
        check_is_fitted(self)
        space = self.feature_space_
        return self._represent.values(space._encode(space._tabulate(X)))

    def assign(self, X: Any) -> np.ndarray:
        """The group of each row.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as `transform` takes them.

        Returns
        -------
        ndarray of shape (n_samples,)
            What the classifier predicts; without one, the group of the nearest training row, and
            -1 (for text labels an empty text) beyond ``eps_``.
        """
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(X))

    def _details_of_the_rest(self, n_rows):
        return {
            "target_group": np.full(n_rows, None, dtype=object),
            "magnitude": np.full(n_rows, np.nan),
        }

    def _is_needed(self, own):
        """Rows of no group have nowhere to come from."""
        return super()._is_needed(own) & (own >= 0)

    def _judged(self, X, Z, Z_cf, own, oracle, details):
        """Tell rows of no group from those that are where they are to be."""
        result = super()._judged(X, Z, Z_cf, own, oracle, details)
        lost = own < 0
        if self.estimator is None:
            result = replace(result, y=self._named(result.y), y_cf=self._named(result.y_cf))
        if not lost.any():
            return result
        return replace(
            result,
            status=np.where(lost, "no_group", result.status),
            cost=np.where(lost, np.nan, result.cost),
        )

    def _named(self, labels):
        """Labels of groups, in the type of these: of no group as y of ``fit`` says it."""
        none = np.array([label is None for label in labels])
        kind = np.result_type(self.classes_.dtype, np.array(no_group_like(self.classes_)))
        return np.where(none, no_group_like(self.classes_), labels).astype(kind)

    def _search(self, Z, own, rows, oracle):
        """Translate rows to the target, or to the group that is cheapest to get to."""
        moves = self._moves(Z, own, rows, oracle)
        best = moves.ranked(len(Z))[:, 0]
        hopeless = ~moves.valid[best]
        hopeless[hopeless] = ~self._targets.any_allowed(
            Z[hopeless], own[hopeless], self._target_code
        )
        return np.where(hopeless[:, None], Z, moves.Z_cf[best]), self._told(moves, best)

    def _search_several(self, Z, own, rows, oracle, n_counterfactuals):
        """Translate rows to several groups; Z has each row so many times."""
        if self._target_code != OTHER:
            return super()._search_several(Z, own, rows, oracle, n_counterfactuals)
        n = n_counterfactuals
        moves = self._moves(Z[::n], own[::n], rows[::n], oracle)
        ranked = moves.ranked(len(Z) // n)[:, :n]
        Z_cf, details = Z.copy(), self._details_of_the_rest(len(Z))
        place = (np.arange(len(ranked))[:, None] * n + np.arange(ranked.shape[1])).ravel()
        Z_cf[place] = moves.Z_cf[ranked.ravel()]
        for name, values in self._told(moves, ranked.ravel()).items():
            details[name][place] = values
        return Z_cf, details

    def _told(self, moves, chosen):
        """What the result says of the moves that were chosen."""
        groups = self.classes_[moves.end[chosen]].astype(object)
        return {"target_group": groups, "magnitude": moves.magnitude[chosen]}

    def _moves(self, Z, own, rows, oracle):
        """Each row translated to each group that it may go to."""
        n = len(self.classes_)
        ends = np.arange(n) if self._target_code == OTHER else np.array([self._target_code])
        of, place = np.nonzero(own[:, None] != ends)
        end = ends[place]
        delta, start = self._deltas[own[of], end], Z[of]
        magnitude = np.ones(len(of))
        if self.magnitude == "row":
            magnitude = self._least_magnitudes(start, delta, own[of], rows[of], oracle)
        Z_cf = self._moved(start, magnitude[:, None] * delta)
        labels = oracle.labels(Z_cf, rows[of])
        valid = reached(labels, own[of], self._target_code)
        cost = self.feature_space_.costs_.between(Z_cf, start, self._cost_metric())
        return _Moves(of, end, Z_cf, magnitude, valid, valid & (labels == end), cost)

    def _moved(self, Z, delta):
        """Translated rows, within the constraints; what is missing stays so."""
        return self.feature_space_.constraints_.project(Z + delta, Z)

    def _least_magnitudes(self, Z, delta, own, rows, oracle):
        """The least part of its translation with which each row is valid; all of it if none is."""
        tried = np.linspace(0, MOST, N_MAGNITUDES + 1)[1:]
        at, found = self._first_valid(Z, delta, own, rows, oracle, np.tile(tried, (len(Z), 1)))
        low = np.where(found, at - tried[0], 0.0)
        inner = np.linspace(low, at, SECTIONS + 2, axis=1)[:, 1:-1]
        nearer, is_nearer = self._first_valid(Z, delta, own, rows, oracle, inner)
        return np.where(found, np.where(is_nearer, nearer, at), 1.0)

    def _first_valid(self, Z, delta, own, rows, oracle, shares):
        """The first of some parts of a translation that is valid, and whether there is one."""
        n = shares.shape[1]
        copies = np.repeat(np.arange(len(Z)), n)
        moved = self._moved(Z[copies], shares.reshape(-1, 1) * delta[copies])
        labels = oracle.labels(moved, rows[copies])
        valid = reached(labels, own[copies], self._target_code).reshape(-1, n)
        first = valid.argmax(axis=1)
        return shares[np.arange(len(Z)), first], valid.any(axis=1)


@dataclass(frozen=True)
class _Moves:
    """Translations of some rows, each to some groups.

    Attributes
    ----------
    of, end : ndarray of int, shape (n_moves,)
        Which row, and to which group.
    Z_cf : ndarray of float64, shape (n_moves, n_features)
    magnitude : ndarray of float64, shape (n_moves,)
    valid, arrived : ndarray of bool, shape (n_moves,)
        Whether it left its group for a wanted one, and for the one that it was to go to.
    cost : ndarray of float64, shape (n_moves,)
    """

    of: np.ndarray
    end: np.ndarray
    Z_cf: np.ndarray
    magnitude: np.ndarray
    valid: np.ndarray
    arrived: np.ndarray
    cost: np.ndarray

    def ranked(self, n_rows):
        """Positions of each row's moves, the best first, shape (n_rows, n_moves_a_row)."""
        order = np.lexsort((self.cost, ~self.arrived, ~self.valid, self.of))
        return order.reshape(n_rows, -1)


@dataclass(frozen=True)
class GroupTask:
    """The problem of some rows in groups, and how its solutions are judged.

    Attributes
    ----------
    representation : Map
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded rows, without missing values, in units that cost 1 each.
    labels : ndarray of int, shape (n_rows,)
        Their group codes.
    represented : ndarray of float64, shape (n_rows, n_outputs)
    eps : float
    loss : str
    target : int or None
    free : ndarray of bool, shape (n_features,)
    signs : ndarray of int, shape (n_features,)
    categorical : tuple of int
        Features that hold categories.
    followed : Map
        What the problem is about, where `representation` has no slopes to follow.
    problem : GroupProblem
    score : GroupScore
    """

    representation: Any
    Z: np.ndarray
    labels: np.ndarray
    represented: np.ndarray
    eps: float
    loss: str
    target: int | None
    free: np.ndarray
    signs: np.ndarray
    categorical: tuple = ()
    followed: Any = None
    problem: Any = None
    score: Any = None

    def __post_init__(self):
        followed, represented = self.representation, self.represented
        if self.followed is not None:
            followed, represented = self.followed, self.followed.values(self.Z)
        problem = group_problem(
            self._rows_to_average(), self.labels, followed, represented,
            loss=self.loss, target=self.target, free=self.free, signs=self.signs,
        )  # fmt: skip
        members = [np.flatnonzero(self.labels == code) for code in range(problem.pairs.n_groups)]
        rows, represented = Members(self.Z, members), [self.represented[m] for m in members]
        score = GroupScore(self.representation, rows, represented, problem.pairs, self.eps)
        object.__setattr__(self, "problem", problem)
        object.__setattr__(self, "score", score)

    def following(self, random_state):
        """The same task, in which a map that is constant in steps is followed by a net."""
        if not is_flat(self.representation):
            return self
        followed = distilled(self.representation, self.Z, self.categorical, random_state)
        return replace(self, followed=followed)

    def of_rows(self, rows):
        """The same task of some of the rows."""
        parts = {name: getattr(self, name)[rows] for name in ("Z", "labels", "represented")}
        return replace(self, **parts)

    def _rows_to_average(self):
        """Rows whose mean is a row: all of a group with its commonest categories."""
        if self.loss != "mean" or not self.categorical:
            return self.Z
        Z = self.Z.copy()
        for code in np.unique(self.labels):
            members = np.flatnonzero(self.labels == code)
            for j in self.categorical:
                values, counts = np.unique(Z[members, j], return_counts=True)
                Z[members, j] = values[counts.argmax()]
        return Z


def _if_any(signs):
    return signs if np.any(signs) else None


def _violation(deltas):
    """Largest ``|delta_ij + delta_jk - delta_ik|`` as a share of the largest ``|delta|``."""
    size = np.abs(deltas).max(initial=0)
    if not size:
        return 0.0
    worst = max(np.abs(deltas[:, [j]] + deltas[[j]] - deltas).max() for j in range(len(deltas)))
    return float(worst / size)
