"""Which classifiers a programme can be made of, and how they are read."""

from dataclasses import dataclass

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

from skcf._embedding import entered, learn_embedding, sample_of, split_classifier
from skcf._gradients import LinearModel
from skcf.exact._forest import FAMILIES, read_ensemble
from skcf.exact._linear import LinearScores
from skcf.exact._trees import TreeScores

__all__ = ["Demand", "Model"]

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
LOWEST_SCORE = -300.0  # logarithms of probabilities below it have been cut off


@dataclass(frozen=True)
class Demand:
    """The demand that ``score[target] - factor * score[other]`` is large enough.

    Attributes
    ----------
    target, other : int
        Class codes.
    factor, least : float
        What the other score is multiplied by, and what the difference has to come to.
    """

    target: int
    other: int
    factor: float
    least: float

    def lead(self, scores):
        """The difference, of scores of shape (n, n_classes)."""
        return scores[:, self.target] - self.factor * scores[:, self.other]


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
        self.scores = self._read(final, reader)
        self._settle_offsets(reader, final, oracle.origin)

    def _read(self, final, reader):
        ensemble = read_ensemble(final)
        if ensemble is not None:
            decode, width = self.space.encoding_.decoder(), self.embedding.n_outputs

            def enter(Z):
                return entered(reader, self.space, decode(Z), width)

            try:
                return TreeScores(ensemble, self.embedding, self.space, self.seen, enter)
            except ValueError as error:
                raise self._unsupported(final, str(error)) from error
        coef = getattr(final, "coef_", None) if isinstance(final, LINEAR) else None
        if coef is None or getattr(final, "kernel", "linear") != "linear":
            raise self._unsupported(final, "it is of another kind")
        # the intercept comes with the offsets
        return LinearScores(LinearModel(coef, 0.0).coef, self.embedding)

    def _settle_offsets(self, reader, final, table):
        """What is added to the scores, to be the reader's; check that it is the same for all rows.

        Intercepts, priors and thresholds are in it. Of probabilities, it is added to the logarithm.
        """
        sample = sample_of(table)
        x = entered(reader, self.space, sample, self.embedding.n_outputs)
        own, true = self._log(self.scores.of(x)), reader.scores(reader.rows(sample))
        if true.shape != own.shape:
            raise self._unsupported(final, "it scores other classes than its parts do")
        sure = (own > LOWEST_SCORE) & (true > LOWEST_SCORE)
        apart = np.where(sure, true - own, np.nan)
        if self.scores.is_probability:  # of pure leaves, only one class is sure
            self.offsets = -reader.offset
        else:
            self.offsets = np.nanmedian(apart - apart[:, :1], axis=0)
        error = apart - self.offsets
        error = np.nanmax(error, axis=1) - np.nanmin(error, axis=1)
        tolerance = max(1e-6, 256 * self.embedding.eps)
        if not error.max() <= tolerance * max(1.0, np.abs(own[sure]).max()):
            raise self._unsupported(final, "its scores are not what its parts add up to")

    def _log(self, scores):
        if not self.scores.is_probability:
            return scores
        return np.log(np.maximum(scores, np.finfo(float).tiny))

    def margin(self, row, z, target):
        """Margin of what a row is moved to, by the parts of the model, on the logit scale."""
        scores = self._log(self.scores.of_move(row, z)) + self.offsets
        return scores[target] - np.delete(scores, target).max()

    def demands(self, target, margin):
        """Demand that the target's score is ahead of all others by a margin on the logit scale."""
        demands = []
        for other in np.delete(np.arange(len(self.offsets)), target):
            ahead = margin - self.offsets[target] + self.offsets[other]
            if self.scores.is_probability:
                factor = np.exp(np.clip(ahead, -LARGEST_MARGIN, LARGEST_MARGIN))
                demands.append(Demand(target, int(other), float(factor), 0.0))
            else:
                demands.append(Demand(target, int(other), 1.0, float(ahead)))
        return demands

    @staticmethod
    def _unsupported(final, reason):
        kinds = [kind.__name__ for kind in (*LINEAR, *FAMILIES)]
        return ValueError(
            f"ExactExplainer cannot write {type(final).__name__} as a programme: {reason}. It "
            f"takes {', '.join(kinds)} (support vector machines with a linear kernel), behind "
            "scalers, encoders and imputers that write each row as a sum over its columns."
        )
