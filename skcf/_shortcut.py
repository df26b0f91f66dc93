"""A shorter way to a pipeline's scores: past the container, and past its preprocessing.

A search asks a classifier about thousands of rows that differ in a value or two. Most of what a
pipeline takes for them is writing them as a DataFrame, and encoding that again. Where the
preprocessing is an `Embedding`, rows enter the final model without it: the scores are the same, but
for rounding. What is returned in the end is always asked about in full.
"""

import numpy as np

from skcf._classifiers import EstimatorReader
from skcf._embedding import KeptValues, learn_embedding, sample_of, split_classifier
from skcf._gradients import LinearModel, NetModel, alike, known_model

__all__ = ["Shortcut", "read_shortcut"]


def read_shortcut(reader, space, table):
    """Find the shorter way, if there is one.

    Parameters
    ----------
    reader : object
        Made by `skcf._classifiers.read_classifier`.
    space : FeatureSpace
        Fitted on the rows that the classifier takes.
    table : Table
        Those rows.

    Returns
    -------
    Shortcut, or None
        It pickles.
    """
    if not (isinstance(reader, EstimatorReader) and reader.has_scores):
        return None
    steps, final = split_classifier(reader)
    model = known_model(final) if hasattr(final, "coef_") or hasattr(final, "coefs_") else None
    is_net = isinstance(model, NetModel)
    named = hasattr(final, "feature_names_in_")
    if not is_net and (named or not steps):
        return None  # it wants the names that its preprocessing gives; or there is nothing to save
    embedding = learn_embedding(reader, space, table)
    if embedding is None:
        return None
    shortcuts = [Shortcut(embedding, reader, final)] if steps and not named else []
    if isinstance(model, LinearModel):
        shortcuts.insert(0, LinearShortcut(embedding, reader, model))
    if is_net:
        shortcuts.insert(0, NetShortcut(embedding, reader, model))
    return next((one for one in shortcuts if one.reproduces(space, sample_of(table))), None)


class Shortcut:
    """Scores of encoded rows.

    Parameters
    ----------
    embedding : Embedding
        How encoded rows enter the final model.
    reader : EstimatorReader
        Makes scores of what the model says.
    final : estimator
        The final model.
    """

    def __init__(self, embedding, reader, final):
        self.embedding, self._reader, self._final = embedding, reader, final
        self._same = _columns_as_they_are(embedding)

    def scores(self, Z, kept, rows):
        """Scores of the classes on the logit scale, shape (n_rows, n_classes).

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        kept : KeptValues
            How missing and unseen values enter.
        rows : ndarray of int, shape (n,)
            Which of the rows of `kept` each of them is to replace.
        """
        x = self.embedding(Z, kept, rows)
        columns, features = self._same
        values = Z[:, features]
        x[:, columns] = np.where(np.isnan(values), x[:, columns], values)
        return self._reader.scores(x, self._final)

    def reproduces(self, space, table):
        """Whether the classifier's own scores come out for the rows of a table."""
        Z = space.encoding_.encode(table)
        kept = KeptValues(self.embedding, self._reader, space, table, Z)
        rows = np.flatnonzero(kept.is_known)
        if not len(rows):
            return False
        known = table.part(rows)
        try:
            own = self.scores(Z[rows], kept, rows)
        except Exception:  # whatever a model does that wants other rows than arrays
            return False
        true = self._reader.scores(self._reader.rows(known))
        return own.shape == true.shape and self._is_as_good(own, true)

    def _is_as_good(self, own, true):
        return np.allclose(own, true, rtol=1e-7, atol=1e-9)


class LinearShortcut(Shortcut):
    """The same for linear models, whose scores are sums over the features themselves.

    Parameters
    ----------
    embedding : Embedding
        How encoded rows enter the final model.
    reader : EstimatorReader
        Knows what a threshold takes off the scores.
    model : LinearModel
        The final model.
    """

    def __init__(self, embedding, reader, model):
        super().__init__(embedding, reader, model)
        self._coef = model.coef
        self._sums = embedding.followed_by(model.coef, model.intercept - reader.offset)

    def scores(self, Z, kept, rows):
        """Scores of the classes on the logit scale, see `Shortcut.scores`."""
        return self._sums(Z, _LinearEffects(kept, self._coef), rows)


class NetShortcut(Shortcut):
    """The same for scikit-learn's MLP: past the checks of its rows, too, of which a few are many.

    Parameters
    ----------
    embedding : Embedding
        How encoded rows enter the net.
    reader : EstimatorReader
        Knows what a threshold takes off the scores.
    model : NetModel
        The net.
    """

    def __init__(self, embedding, reader, model):
        super().__init__(embedding, reader, model)
        self._model = model
        coef, intercept = model.layers[0]
        self._first = embedding.followed_by(coef.T, intercept)

    def _is_as_good(self, own, true):
        # the net's own scores are logarithms of probabilities, which round near 1
        return alike(own, true, max(self.embedding.eps, self._model.eps))

    def scores(self, Z, kept, rows):
        """Scores of the classes, see `Shortcut.scores`; up to a constant a row: none is needed."""
        first = self._first(Z, _LinearEffects(kept, self._model.layers[0][0].T), rows)
        return self._model.scores_behind(first) - self._reader.offset


class _LinearEffects:
    """What missing and unseen values add to linear functions of what they add to a row."""

    def __init__(self, kept, coef):
        self._kept, self._coef = kept, coef

    def effect(self, j, rows):
        return self._kept.effect(j, rows) @ self._coef.T


def _columns_as_they_are(embedding):
    """Columns of the final model that are features as they are, and which.

    They are copied, so that a tree's thresholds are met exactly.
    """
    decides = embedding.slope != 0
    for j, table in embedding.tables.items():
        decides[j] = (table != 0).any(axis=0)
    columns = np.flatnonzero(decides.sum(axis=0) == 1)
    features = decides[:, columns].argmax(axis=0)
    same = embedding.slope[features, columns] == 1
    same &= embedding.at_reference[columns] == embedding.reference[features]
    return columns[same], features[same]
