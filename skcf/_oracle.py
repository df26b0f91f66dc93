"""The classifier as the explainers see it: labels and margins of encoded rows.

Every question to the classifier goes through an `Oracle`, which writes encoded rows as the
rows that the classifier knows, asks in batches of bounded size, and counts.
"""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np

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
        self._decode = space.encoding_.decoder(origin)

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
            lambda _, part: self.reader.labels(self._as_taken(table.take(part))), rows, places
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

    def margin(self, Z, rows, target):
        """Signed distance from the decision boundary of the target class.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        rows : ndarray of int, shape (n,)
            Which row to be explained each of them is to replace.
        target : ndarray of int, shape (n,)
            Class codes.

        Returns
        -------
        ndarray of float64, shape (n,)
            Score of the target less the best score of another class, on the logit scale;
            where the classifier gives no scores, +1 for the target and -1 otherwise.
        """
        if not len(rows):
            return np.empty(0)
        if not self.has_scores:
            return np.where(self.labels(Z, rows) == target, 1.0, -1.0)
        scores = self._in_chunks(lambda r, z: self.reader.scores(self._as_asked(z, r)), rows, Z)
        wanted = scores[np.arange(len(scores)), target]
        # a copy: the scores may be the classifier's own memory
        others = np.where(np.arange(scores.shape[1]) == target[:, None], -np.inf, scores)
        return wanted - others.max(axis=1, initial=-np.inf)

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
        """Rows as the classifier takes them: encoded floats, or the container it knows."""
        if self.reader.takes_encoded:
            return self.space.encoding_.as_floats(table)
        return self.reader.rows(table)

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
