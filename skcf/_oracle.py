"""The classifier as the explainers see it: labels and margins of encoded rows.

Every question to the classifier goes through an `Oracle`, which writes encoded rows as the
rows that the classifier knows, asks in batches of bounded size, and counts.
"""

from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.special import softmax

from skcf._classifiers import as_taken
from skcf._differences import category_differences, central_differences
from skcf._embedding import KeptValues
from skcf._gradients import read_gradients
from skcf._shortcut import read_shortcut

__all__ = ["Oracle", "naming_missing_columns"]

CHUNK_ELEMENTS = 2_000_000  # values decoded at a time: some 100 MB with text columns


class Oracle:
    """Answers about one batch of rows to be explained.

    Made anew for each call of ``explain``, so that counting changes nothing on the
    explainer.

    Parameters
    ----------
    reader : object
        Made by `skcf._classifiers.read_classifier`.
    space : FeatureSpace
        How rows are encoded.
    origin : Table
        The rows to be explained, in the container seen in fit.

    Attributes
    ----------
    n_calls : int
        Number of calls of the classifier.
    n_queries : ndarray of int, shape (n_origin,)
        Number of rows asked for each of the rows to be explained.
    """

    def __init__(self, reader, space, origin):
        self.reader = reader
        self.space = space
        self.origin = origin
        self.n_calls = 0
        self.n_queries = np.zeros(origin.n_rows, dtype=np.int64)

    def repeated(self, copies):
        """Make the oracle of these rows, each as often as it occurs; what was asked counts."""
        oracle = Oracle(self.reader, self.space, self.origin.take(copies))
        oracle.n_calls, oracle.n_queries = self.n_calls, self.n_queries[copies]
        return oracle

    @cached_property
    def encoded(self):
        """The rows to be explained, encoded, shape (n_origin, n_features)."""
        return self.space._encode(self.origin)

    @cached_property
    def _decode(self):
        return self.space.encoding_.decoder(self.origin)

    @property
    def has_scores(self):
        """Whether margins are on the logit scale; otherwise they are +1 and -1."""
        return self.reader.has_scores

    @property
    def n_rows(self):
        """Number of rows asked, all together."""
        return int(self.n_queries.sum())

    def origin_labels(self):
        """Class codes of the rows to be explained, asked as they came.

        Raises
        ------
        ValueError
            If there are missing values, and the classifier refuses them; names the columns.
        """
        with naming_missing_columns(self.origin):
            return self.labels_of(self.origin, np.arange(self.origin.n_rows))

    def labels_of(self, table, rows):
        """Class codes of rows that are written already.

        Parameters
        ----------
        table : Table
            Rows in the container seen in fit.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.

        Returns
        -------
        ndarray of int, shape (n,)
            Class codes; -1 for a label that is none of the classes.
        """
        places = np.arange(table.n_rows)
        return self._in_chunks(
            lambda _, part: self.reader.labels(self._as_taken(table.part(part))), rows, places
        )

    def labels(self, Z, rows):
        """Predicted classes of encoded rows.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.

        Returns
        -------
        ndarray of int, shape (n,)
            Class codes; -1 for a label that is none of the classes.
        """
        return self._in_chunks(lambda r, z: self.reader.labels(self._as_asked(z, r)), rows, Z)

    def margin(self, Z, rows, target, probabilities=False):
        """Signed distance from the decision boundary of the target class.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        target : ndarray of int, shape (n,)
            Class codes.
        probabilities : bool, default=False
            Whether to compare probabilities, rather than scores; of scores that are none, their
            softmax.

        Returns
        -------
        ndarray of float64, shape (n,)
            Score of the target less the best score of another class, on the logit scale;
            where the classifier gives no scores, +1 for the target and -1 otherwise.
        """
        if not len(rows):
            return np.empty(0)
        if not self.has_scores:
            return _agreement(self.labels(Z, rows), target)
        scores = self._in_chunks(self._scores, rows, Z)
        return _lead(softmax(scores, axis=1) if probabilities else scores, target)

    def margin_of(self, table, rows, target):
        """The same of rows that are written already.

        Parameters
        ----------
        table : Table
            Rows in the container seen in fit.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        target : ndarray of int, shape (n,)
            Class codes.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        if not len(rows):
            return np.empty(0)
        if not self.has_scores:
            return _agreement(self.labels_of(table, rows), target)
        places = np.arange(table.n_rows)
        scores = self._in_chunks(
            lambda _, part: self.reader.scores(self._as_taken(table.part(part))), rows, places
        )
        return _lead(scores, target)

    def _scores(self, rows, Z):
        """Scores of encoded rows, by the shorter way where there is one and it knows the row."""
        if self.reader.shortcut is None:
            return self.reader.scores(self._as_asked(Z, rows))
        known = self.kept.is_known[rows]
        scores = np.empty((len(rows), len(self.reader.classes)))
        if known.any():
            scores[known] = self.reader.shortcut.scores(Z[known], self.kept, rows[known])
        if not known.all():
            rest = self._as_asked(Z[~known], rows[~known])
            scores[~known] = self.reader.scores(rest)
        return scores

    def learn_shortcut(self):
        """Find out whether margins can be had without the classifier's preprocessing.

        For explainers that ask for many: once, in fit, of the oracle about the training rows. The
        oracles of later calls share the answer, which pickles with the explainer.
        """
        self.reader.shortcut = read_shortcut(self.reader, self.space, self.origin)

    @cached_property
    def kept(self):
        """How missing and unseen values of the rows to be explained enter the final model."""
        embedding = self.reader.embedding
        return KeptValues(embedding, self.reader, self.space, self.origin, self.encoded)

    @property
    def has_gradients(self):
        """Whether `margin_and_grad` answers; settled by `learn_gradients`."""
        return self.reader.gradients is not None

    def learn_gradients(self):
        """Find out whether the classifier has gradients that need no finite differences.

        For explainers that use them: asked for once, in fit, of the oracle about the training
        rows. The oracles of later calls share the answer, which pickles with the explainer.

        Returns
        -------
        bool
            As `has_gradients`.
        """
        self.reader.gradients = read_gradients(self.reader, self.space, self.origin)
        return self.has_gradients

    def margin_and_grad(self, Z, rows, target, probabilities=False):
        """Find margins with their gradients, both in one question.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        target : ndarray of int, shape (n,)
            Class codes.
        probabilities : bool, default=False
            Whether it is a difference of probabilities, as in `margin`.

        Returns
        -------
        tuple, or None
            None where gradients cannot be had; ask `margin` and `central_differences` instead.
            Otherwise:

            margin : ndarray of float64, shape (n,)
                As `margin` gives it; of probabilities that round to 0 or 1, the log-odds.
            grad : ndarray of float64, shape (n, n_features)
                Derivatives of the margin by the numbers, those that may not change too. Zero
                for categories and for missing values. At a tie between the other classes,
                those of one of them.
        """
        answer = self._first_order(Z, rows, target, with_swaps=False, probabilities=probabilities)
        return None if answer is None else answer[:2]

    def margin_and_swaps(self, Z, rows, target, probabilities=False):
        """Find margins with their gradients, and what each category would change.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        target : ndarray of int, shape (n,)
            Class codes.
        probabilities : bool, default=False
            Whether it is a difference of probabilities, as in `margin`.

        Returns
        -------
        tuple, or None
            None where gradients cannot be had; ask `category_differences` instead. Otherwise
            margin and grad as of `margin_and_grad`, and

            swaps : dict of {int: ndarray of float64, shape (n, n_categories)}
                For each categorical feature, the change of the margin with each category
                instead of the row's, to first order: exact where the final model is linear
                and its best other class stays the same.
        """
        return self._first_order(Z, rows, target, with_swaps=True, probabilities=probabilities)

    def central_differences(self, Z, rows, target, step=1e-4, probabilities=False):
        """Find gradients of the margin by asking on both sides of each number.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        target : ndarray of int, shape (n,)
            Class codes.
        step : float, default=1e-4
            How far to go, as a share of the feature's scale; at least to the next number that
            the column can hold: whole numbers take whole steps. A classifier that computes in
            single precision wants larger ones, and one that decides by steps larger ones yet.
        probabilities : bool, default=False
            Whether the margin is a difference of probabilities, as in `margin`.

        Returns
        -------
        ndarray of float64, shape (n, n_features)
            Zero for categories, missing values and features that may not change.
        """
        return central_differences(self, Z, rows, target, step, probabilities)

    def category_differences(self, Z, rows, target, probabilities=False):
        """Find what each category would change, by asking about each.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        target : ndarray of int, shape (n,)
            Class codes.
        probabilities : bool, default=False
            Whether the margin is a difference of probabilities, as in `margin`.

        Returns
        -------
        dict of {int: ndarray of float64, shape (n, n_categories)}
            For each categorical feature, the margin with each category instead of the row's,
            less the row's. Zero for features that may not change.
        """
        return category_differences(self, Z, rows, target, probabilities)

    def _first_order(self, Z, rows, target, with_swaps, probabilities):
        """Margins, gradients and swaps; differences for rows that the embedding does not know."""
        if not self.has_gradients:
            return None
        embedding = self.reader.gradients.embedding
        margin, grad = np.empty(len(Z)), np.empty(Z.shape)
        tables = embedding.tables if with_swaps else {}
        swaps = {j: np.empty((len(Z), len(table))) for j, table in tables.items()}
        known = self.kept.is_known[rows]
        size = max(1, CHUNK_ELEMENTS // max(Z.shape[1], embedding.n_outputs))
        for places, ask in ((known, self._first_order_of_known), (~known, self._differences)):
            places = np.flatnonzero(places)
            for start in range(0, len(places), size):
                at = places[start : start + size]
                margin[at], grad[at], found = ask(
                    Z[at], rows[at], target[at], with_swaps, probabilities
                )
                for j, values in found.items():
                    swaps[j][at] = values
        return margin, grad, swaps

    def _first_order_of_known(self, Z, rows, target, with_swaps, probabilities):
        """Ask about rows that the embedding knows: one question, as one of `margin` is."""
        self.n_calls += 1
        self.n_queries += np.bincount(rows, minlength=len(self.n_queries))
        first_order = self.reader.gradients.first_order
        return first_order(Z, target, self.kept, rows, with_swaps, probabilities)

    def _differences(self, Z, rows, target, with_swaps, probabilities):
        """The same of other rows, by asking about each change."""
        asked = Z, rows, target
        swaps = self.category_differences(*asked, probabilities) if with_swaps else {}
        grad = self.central_differences(*asked, probabilities=probabilities)
        return self.margin(*asked, probabilities), grad, swaps

    def written(self, Z, rows, keep):
        """Write encoded rows as a table.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        keep : ndarray of bool, shape (n,)
            Where the row to be explained is to stand, as it came.

        Returns
        -------
        Table
        """
        table = self._decode(Z, rows)
        if not keep.any():
            return table
        backend, n = table.backend, len(Z)
        positions = np.where(keep, n + rows, np.arange(n))
        columns = [
            backend.take(backend.concat(new, old), positions)
            for new, old in zip(table.columns, self.origin.columns, strict=True)
        ]
        return replace(table, columns=columns)

    def names_of(self, codes):
        """Class labels of codes; None for a label that is none of the classes."""
        labels = self.reader.classes[codes]
        return labels if np.all(codes >= 0) else np.where(codes >= 0, labels.astype(object), None)

    def _as_asked(self, Z, rows):
        """Encoded rows as the classifier takes them."""
        encoding = self.space.encoding_
        if self.reader.takes_encoded and len(encoding.features) == len(encoding.dtypes):
            return Z  # no one-hot groups to write out
        return self._as_taken(self._decode(Z, rows))

    def _as_taken(self, table):
        return as_taken(self.reader, self.space, table)

    def _in_chunks(self, ask, rows, *arrays):
        """Ask in batches of bounded size, and count the rows that each question is about."""
        size = max(1, CHUNK_ELEMENTS // len(self.origin.columns))
        answers = []
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            answers.append(ask(rows[part], *(array[part] for array in arrays)))
            self.n_calls += 1
        self.n_queries += np.bincount(rows, minlength=len(self.n_queries))
        return np.concatenate(answers) if answers else np.empty(0, dtype=np.intp)


def _agreement(labels, target):
    """What stands for a margin where only labels are known."""
    return np.where(labels == target, 1.0, -1.0)


def _lead(scores, target):
    """Score of the target less the best score of another class."""
    wanted = scores[np.arange(len(scores)), target]
    # a copy: the scores may be the classifier's own memory
    others = np.where(np.arange(scores.shape[1]) == target[:, None], -np.inf, scores)
    return wanted - others.max(axis=1, initial=-np.inf)


@contextmanager
def naming_missing_columns(table):
    """Where a classifier refuses rows with missing values, name the columns that have them."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        gaps = [table.backend.missing(column).any() for column in table.columns]
        if not any(gaps):
            raise
        labels = range(len(gaps)) if table.names is None else table.names
        names = [str(label) for label, gap in zip(labels, gaps, strict=True) if gap]
        raise ValueError(
            f"Input X contains NaN in column(s) {names}, which the classifier does not seem to "
            f"take: {error}"
        ) from error
