"""Where people stand after they have moved: at real rows of the target class, or in their cells.

Equal real rows are one place. A counterfactual that is no real row stands at the one that it is
nearest to, Euclidean on the scaled space.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from skcf._distinct import distinct_rows

__all__ = ["Occupation", "occupations"]


@dataclass(frozen=True)
class Occupation:
    """The counterfactuals of one target among its real rows.

    Attributes
    ----------
    at : ndarray of int, shape (n_people,)
        Positions of the counterfactuals among those found.
    rows : ndarray of int, shape (n_real,)
        Positions of the real rows among the reference rows.
    place, place_of_row : ndarray of int, shapes (n_people,) and (n_real,)
        Where each of them stands, from 0.
    """

    at: np.ndarray
    rows: np.ndarray
    place: np.ndarray
    place_of_row: np.ndarray

    @property
    def n_places(self):
        """Number of places, at each of which there is a real row."""
        return int(self.place_of_row.max()) + 1

    @property
    def people(self):
        """Number of counterfactuals at each place."""
        return np.bincount(self.place, minlength=self.n_places)

    def real(self, weight=None):
        """Number, or weight, of the real rows at each place."""
        weight = None if weight is None else weight[self.rows]
        return np.bincount(self.place_of_row, weight, minlength=self.n_places)


def occupations(compared, n_cells=None, random_state=None):
    """Find where the counterfactuals stand, one target class after the other.

    Parameters
    ----------
    compared : Comparison
        Counterfactuals and real rows.
    n_cells : int, default=None
        Number of k-means cells of the real rows that are one place each. None: each distinct
        real row is a place.
    random_state : int, RandomState instance or None, default=None
        Of k-means.

    Yields
    ------
    Occupation
    """
    for code in np.unique(compared.target):
        at = np.flatnonzero(compared.target == code)
        rows = np.flatnonzero(compared.labels == code)
        real = compared.reference[rows]
        place, place_of_row = _stand(compared.points[at], real)
        if n_cells is not None:
            cell = _cells(real, place_of_row, n_cells, random_state)
            place, place_of_row = cell[place], cell[place_of_row]
        yield Occupation(at, rows, place, place_of_row)


def _stand(points, real):
    """The distinct real row that each point stands at, and that each real row is."""
    first, twin_of = distinct_rows(np.concatenate([real, points]))
    twins_of_real, places = np.unique(twin_of[: len(real)], return_inverse=True)
    place_of_twin = np.full(len(first), -1)
    place_of_twin[twins_of_real] = np.arange(len(twins_of_real))
    # equal rows need no search, whose distances are rounded
    strays = np.flatnonzero(place_of_twin < 0)
    if len(strays):
        both = np.concatenate([real, points])
        search = NearestNeighbors(n_neighbors=1).fit(both[first[twins_of_real]])
        nearest = search.kneighbors(both[first[strays]], return_distance=False)
        place_of_twin[strays] = nearest[:, 0]
    return place_of_twin[twin_of[len(real) :]], places.ravel()


def _cells(real, place_of_row, n_cells, random_state):
    """The cell of each distinct real row; none is empty."""
    counts = np.bincount(place_of_row)
    if n_cells >= len(counts):
        return np.arange(len(counts))
    distinct = np.empty((len(counts), real.shape[1]))
    distinct[place_of_row] = real
    means = KMeans(n_cells, random_state=random_state).fit(distinct, sample_weight=counts)
    return np.unique(means.labels_, return_inverse=True)[1].ravel()
