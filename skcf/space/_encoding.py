"""Rows to encoded rows and back."""

from dataclasses import dataclass

import numpy as np

from skcf.space._containers import BACKENDS, Table
from skcf.space._features import check_no_infinity

__all__ = ["Decoder", "Encoding"]


@dataclass(frozen=True)
class Encoding:
    """How the rows of one kind of table are written as float vectors.

    Parameters
    ----------
    features : list of NumericFeature and CategoricalFeature
        One for each encoded column.
    backend_name : str
        The container that the features were read off.
    names : sequence, or None
        Column labels seen in fit.
    dtypes : list
        Dtype of each column seen in fit.
    """

    features: list
    backend_name: str
    names: object
    dtypes: list

    @property
    def backend(self):
        """How the columns are handled."""
        return BACKENDS[self.backend_name]

    def conform(self, table):
        """Write a table in the container seen in fit."""
        return table.converted(self.backend, self.names)

    def encode(self, table, origin=None, rows=None, unseen=None):
        """Write rows as floats.

        Parameters
        ----------
        table : Table
            Rows in the container seen in fit.
        origin : Table, optional
            Reference rows, whose unseen categories count as kept.
        rows : ndarray of int, optional
            Which reference row each row goes with; by default, one by one.
        unseen : list of dict, optional
            For each feature, the codes that tell unseen categories apart; new ones are added.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
        """
        if origin is not None and rows is None:
            rows = np.arange(table.n_rows)
        unseen = [None] * len(self.features) if unseen is None else unseen
        Z = np.empty((table.n_rows, len(self.features)))
        for j, (feature, codes) in enumerate(zip(self.features, unseen, strict=True)):
            Z[:, j] = feature.encode(table, origin, rows, codes)
        return Z

    def as_floats(self, table):
        """Write rows with one float column for each input column.

        Categories as codes, one-hot groups as the columns that they are, and linked columns
        each by itself.

        Parameters
        ----------
        table : Table
            Rows in the container seen in fit.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_columns)
        """
        floats = np.empty((table.n_rows, len(self.dtypes)))
        for feature in self.features:
            for position, column in zip(feature.positions, feature.as_floats(table), strict=True):
                floats[:, position] = column
        return floats

    def check_finite(self, Z, name=""):
        """Refuse encoded rows that hold infinite values.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.
        name : str, default=""
            What they are called.

        Raises
        ------
        ValueError
            In scikit-learn's words; it names the columns.
        """
        names = [feature.name for feature in self.features]
        check_no_infinity(Z, names, name)

    def decoder(self, origin=None):
        """Make a function that writes encoded rows as a table again; see `Decoder`."""
        return Decoder(self, origin)


class Decoder:
    """Encoded rows to rows, for one set of reference rows.

    What a code cannot say — a missing-value marker, an unseen category — is taken from
    the reference row.

    Parameters
    ----------
    encoding : Encoding
        How rows are encoded.
    origin : Table, optional
        The reference rows.
    """

    def __init__(self, encoding, origin=None):
        self.encoding = encoding
        self.has_origin = origin is not None
        self._pools = [feature.pools(origin) for feature in encoding.features]

    def __call__(self, Z, rows=None):
        """Write encoded rows as a table.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.
        rows : ndarray of int, optional
            Which reference row each of them goes with; by default, one by one.

        Returns
        -------
        Table
        """
        encoding = self.encoding
        if self.has_origin and rows is None:
            rows = np.arange(len(Z))
        columns = [None] * len(encoding.dtypes)
        for j, (feature, pools) in enumerate(zip(encoding.features, self._pools, strict=True)):
            decoded = feature.decode(Z[:, j], encoding.backend, pools, rows)
            for position, column in zip(feature.positions, decoded, strict=True):
                columns[position] = column
        return Table(encoding.backend, columns, encoding.names)
