"""Which classifiers a programme can be made of, and how they are read."""

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    PassiveAggressiveClassifier,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.svm import SVC, LinearSVC, NuSVC

from skcf._embedding import KeptValues, learn_embedding, sample_of, split_classifier
from skcf.exact._forest import FAMILIES, read_ensemble
from skcf.exact._linear import LinearScores
from skcf.exact._programme import Sum
from skcf.exact._trees import TreeScores

__all__ = ["Model"]

LINEAR = (
    LogisticRegression,
    LogisticRegressionCV,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
    Perceptron,
    PassiveAggressiveClassifier,
    LinearSVC,
    LinearDiscriminantAnalysis,
    SVC,
    NuSVC,
)
LARGEST_MARGIN = 500.0  # beyond it, e to the margin is no number


class Model:
    """A classifier as a programme sees it.

    Parameters
    ----------
    oracle : Oracle
        Of the training rows.
    Z : ndarray of float64, shape (n_rows, n_features)
        These rows, encoded.

    Raises
    ------
    ValueError
        If the classifier is of no kind that a programme can be made of.

    Attributes
    ----------
    embedding : Embedding
        How encoded rows enter the final model.
    scores : LinearScores or TreeScores
        What it makes of them.
    offsets : ndarray of float64, shape (n_classes,)
        What the classifier adds to the scores.
    seen : tuple of ndarray of float64, shape (n_features,)
        Lowest and highest number of each feature.
    """

    def __init__(self, oracle, Z):
        self.space, reader = oracle.space, oracle.reader
        with np.errstate(invalid="ignore"):
            present = np.where(np.isnan(Z).all(axis=0), 0.0, Z)
            self.seen = np.nanmin(present, axis=0), np.nanmax(present, axis=0)
        steps, final = split_classifier(reader)
        if not oracle.has_scores:
            raise self._unsupported(final, "its labels do not follow from its scores alone")
        self.embedding = learn_embedding(reader, self.space, oracle.origin)
        if self.embedding is None:
            names = [type(step).__name__ for step in steps]
            raise self._unsupported(final, f"what comes before it, {names}, does more than that")
        self.scores = self._read(final)
        self._settle_offsets(reader, final, oracle.origin)

    def _read(self, final):
        ensemble = read_ensemble(final)
        if ensemble is not None:
            try:
                return TreeScores(ensemble, self.embedding, self.space, self.seen)
            except ValueError as error:
                raise self._unsupported(final, str(error)) from error
        weights = getattr(final, "coef_", None) if isinstance(final, LINEAR) else None
        if weights is None or getattr(final, "kernel", "linear") != "linear":
            raise self._unsupported(final, "it is of another kind")
        weights = weights.toarray() if hasattr(weights, "toarray") else np.asarray(weights)
        if len(weights) == 1:
            weights = np.vstack([np.zeros_like(weights), weights])
        return LinearScores(weights.astype(np.float64), self.embedding)

    @property
    def is_probability(self):
        """Whether scores are probabilities; else they are on the logit scale."""
        return isinstance(self.scores, TreeScores) and self.scores.ensemble.is_probability

    def _settle_offsets(self, reader, final, table):
        """What is added to the scores, to be the reader's; check that it is the same for all rows.

        Intercepts, priors and thresholds are in it. Of probabilities, it is added to the logarithm.
        """
        sample = sample_of(table)
        kept = KeptValues(self.embedding, reader, self.space, sample)
        x = self.embedding(self.space.encoding_.encode(sample), kept, np.arange(sample.n_rows))
        rows = np.flatnonzero(kept.is_known)
        own = self._log(self.scores.of(x[rows]))
        true = reader.scores(reader.rows(sample.take(rows)))
        sure = true.shape == own.shape
        if sure:
            low = np.log(np.finfo(float).tiny)
            apart = np.where((own > low) & (true > low / 2), true - own, np.nan)
            apart -= apart[:, :1]
            self.offsets = np.nan_to_num(np.nanmedian(apart, axis=0))
            error = np.nanmax(np.abs(apart - self.offsets), initial=0)
            sure = error <= 1e-6 * max(1.0, np.nanmax(np.abs(own[own > low]), initial=0))
        if not sure:
            raise self._unsupported(final, "its scores are not what its parts add up to")

    def _log(self, scores):
        if not self.is_probability:
            return scores
        return np.log(np.maximum(scores, np.finfo(float).tiny))

    def margin(self, z, task, target):
        """Margin of a counterfactual by the parts of the model, on the logit scale."""
        odd = self.embedding.is_odd(z[None])[0]
        # effects are differences from the reference row of the embedding
        x = self.embedding(np.where(odd, self.embedding.reference, z)[None])[0]
        x = x + sum(task.effects[j] for j in np.flatnonzero(odd))
        scores = self._log(self.scores.of(x[None]))[0] + self.offsets
        return scores[target] - np.delete(scores, target).max()

    def demand(self, programme, scores, target, margin):
        """Demand that the target's score is ahead of all others by a margin on the logit scale."""
        for other in range(len(scores)):
            if other == target:
                continue
            ahead = margin - self.offsets[target] + self.offsets[other]
            if self.is_probability:
                factor = np.exp(np.clip(ahead, -LARGEST_MARGIN, LARGEST_MARGIN))
                lead = scores[target].plus(scores[other], -factor)
                programme.require(lead, low=0.0)
            else:
                lead = scores[target].plus(scores[other], -1.0)
                programme.require(lead.plus(Sum([], [], -ahead)), low=0.0)

    @staticmethod
    def _unsupported(final, reason):
        kinds = [kind.__name__ for kind in (*LINEAR, *FAMILIES)]
        return ValueError(
            f"ExactExplainer cannot write {type(final).__name__} as a programme: {reason}. It takes "
            f"{', '.join(kinds)} (support vector machines with a linear kernel), behind scalers, "
            "encoders and imputers that write each row as a sum over its columns."
        )
