"""Real rows of the target class: where counterfactuals may come from."""

from hashlib import blake2b

import numpy as np
from joblib import Parallel, delayed
from scipy.spatial import cKDTree
from sklearn.utils import gen_batches

from skcf._classifiers import codes_of
from skcf._compat import get_chunk_n_rows
from skcf._progress import progress

__all__ = ["OTHER", "TargetRows", "reached", "target_code"]

OTHER = -1
"""Stands for a target class when each row is to leave its own class."""

TREE_FEATURES, TREE_ROWS = 8, 500
"""A tree is searched where at most so many features may change, over at least so many rows: 25
times as fast as blocks at 4 features, twice at 8, slower at 12 (benchmarks/README.md)."""


BLOCK_ELEMENTS = 2**22
"""Values of rows that are copied at a time, to be compared: 32 MiB."""

MOST_BYTES, DIGEST_BYTES = 1024, 32
"""Of a row, above which a digest stands for it; of that."""


def target_code(wanted, classes):
    """Code of a target class, or `OTHER`.

    Parameters
    ----------
    wanted : object
        A label, ``"other"``, or None: the second of two classes, with more any other one.
    classes : ndarray of shape (n_classes,)
        The labels.

    Returns
    -------
    int
        A class that is really called "other" comes before the word's meaning.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if wanted is None:
        return 1 if len(classes) == 2 else OTHER
    code = int(codes_of(np.array([wanted]), classes)[0]) if np.ndim(wanted) == 0 else -1
    if code >= 0:
        return code
    if isinstance(wanted, str) and wanted == "other":
        return OTHER
    raise ValueError(
        f"target_class={wanted!r} is not a class of the classifier: expected 'other' or one of "
        f"{classes.tolist()}."
    )


def reached(code, own, target):
    """Tell which rows are where they were to go.

    Parameters
    ----------
    code : ndarray of int, shape (n,)
        Class codes that the rows have now; negative ones are no class.
    own : ndarray of int, shape (n,)
        Class codes that they had before.
    target : int
        The class code that they were to get, or `OTHER`.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    return (code >= 0) & ((code != own) if target == OTHER else (code == target))


class TargetRows:
    """Distinct training rows with the class that the classifier itself puts them in.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    labels : ndarray of int, shape (n_rows,)
        Their class codes.
    space : FeatureSpace
        What moves cost, and which are forbidden.

    Attributes
    ----------
    Z : ndarray of float64, shape (n_distinct, n_features)
        The distinct rows, in the order of their first occurrence.
    labels : ndarray of int, shape (n_distinct,)
        Their class codes.
    """

    def __init__(self, Z, labels, space):
        first = _first_of_each(Z, labels)
        all_distinct = len(first) == len(Z)
        self.Z, self.labels = (Z, labels) if all_distinct else (Z[first], labels[first])
        self.costs = space.costs_
        self._frozen = space.constraints_.frozen
        self._partition = _groups(self.Z[:, self._frozen])

    def nearest(
        self, Z, own, target, *, k=1, metric="cityblock", impose=False, n_jobs=None, verbose=0
    ):
        """Find the nearest allowed rows of the target class, exactly.

        Rows that differ in an immutable feature are never compared: the rows are kept by the
        values of those, and the rest goes in blocks of bounded memory.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_queries, n_features)
            Encoded rows to move.
        own : ndarray of int, shape (n_queries,)
            Their class codes.
        target : int
            Class code to move them to, or `OTHER`.
        k : int, default=1
            Number of rows for each query.
        metric : str, default="cityblock"
            See `FeatureSpace.cost`.
        impose : bool, default=False
            Whether to look for the nearest rows with the constraints imposed on them: what
            may not change is left out of a move, and rows of all immutable values compete.
        n_jobs : int, default=None
            Number of threads.
        verbose : int, default=0
            Whether to show progress.

        Returns
        -------
        index : ndarray of int, shape (n_queries, k)
            Positions in ``self.Z``, nearest first; -1 where there are no more.
        cost : ndarray of float64, shape (n_queries, k)
            Their costs; infinite where there are no more.
        """
        index = np.full((len(Z), k), -1)
        cost = np.full((len(Z), k), np.inf)
        tasks = list(self._tasks(Z, own, target, impose))

        def search(rows, pool):
            return rows, *self._search_block(Z[rows], pool, k, metric, impose)

        found = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
            delayed(search)(rows, pool) for rows, pool in tasks
        )
        for rows, block_index, block_cost in progress(found, verbose, len(tasks), "nearest rows"):
            index[rows, : block_index.shape[1]] = block_index
            cost[rows, : block_cost.shape[1]] = block_cost
        return index, cost

    def _tasks(self, Z, own, target, impose):
        """Blocks of queries that share their immutable values, with the rows they may move to."""
        partition = {b"": np.arange(len(self.Z))} if impose else self._partition
        for key, queries in _groups(Z[:, self._frozen & (not impose)]).items():
            alike = partition.get(key, np.empty(0, dtype=np.intp))
            for code in np.unique(own[queries]) if target == OTHER else [None]:
                rows = queries if code is None else queries[own[queries] == code]
                labels = self.labels[alike]
                pool = alike[labels == target if code is None else labels != code]
                if len(pool):
                    size = get_chunk_n_rows(8 * len(pool), max_n_rows=1024)
                    for batch in gen_batches(len(rows), size):
                        yield rows[batch], pool

    def _search_block(self, Z, pool, k, metric, impose):
        """Search a tree where that is possible, and blocks of pairs for the other queries.

        Which of the two a query goes through depends on the pool and on the query alone.
        """
        k = min(k, len(pool))
        best, nearest = np.empty((len(Z), k), dtype=np.intp), np.empty((len(Z), k))
        rest = np.ones(len(Z), dtype=bool)
        columns = None if impose else self.costs.plain_columns(self.Z[pool])
        if columns is not None and len(columns) <= TREE_FEATURES and len(pool) >= TREE_ROWS:
            plain = np.flatnonzero(self.costs.plain_rows(Z, columns))
            best[plain], nearest[plain], tied = self._search_tree(
                Z[plain], pool, k, metric, columns
            )
            rest[plain[~tied]] = False
        if rest.any():
            cost = self.costs.pairwise(Z[rest], self.Z[pool], metric, impose=impose)
            best[rest] = _smallest(cost, k)
            nearest[rest] = np.take_along_axis(cost, best[rest], axis=1)
        return np.where(np.isfinite(nearest), pool[best], -1), nearest

    def _search_tree(self, Z, pool, k, metric, columns):
        """Search a k-d tree: exact too, and faster where few plain numbers vary.

        Tells which queries have ties, in which the tree's choice is arbitrary.
        """
        scaled, power = self.costs.scaled_columns(columns, metric)
        tree = cKDTree(scaled(self.Z[pool]))
        ranks = np.arange(1, min(k + 1, len(pool)) + 1)
        distance, best = tree.query(scaled(Z), k=ranks, p=power)
        tied = (np.diff(distance, axis=1) <= 1e-12 * distance[:, 1:]).any(axis=1)
        distance = distance[:, :k]
        return best[:, :k], distance**2 if metric == "sqeuclidean" else distance, tied

    def any_allowed(self, Z, own, target):
        """Tell which queries have at least one allowed row of the target class."""
        return self.nearest(Z, own, target)[0][:, 0] >= 0


def _smallest(cost, k):
    """Positions of the k smallest values of each row, in order; the first ones in a tie."""
    if k == 1:
        return cost.argmin(axis=1)[:, None]
    best = np.argpartition(cost, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(cost, best, axis=1)
    best = np.take_along_axis(best, np.lexsort((best, values), axis=1), axis=1)
    # which of those that tie for the last place come is arbitrary: settle it
    last = values.max(axis=1)
    tied = np.isfinite(last) & ((cost <= last[:, None]).sum(axis=1) > k)
    best[tied] = np.argsort(cost[tied], axis=1, kind="stable")[:, :k]
    return best


def _groups(Z):
    """Positions of equal rows, by what tells a row; missing values are equal."""
    groups = {}
    for position, key in enumerate(_keys(Z)):
        groups.setdefault(key, []).append(position)
    return {key: np.array(positions, dtype=np.intp) for key, positions in groups.items()}


def _first_of_each(Z, labels):
    """Positions of the first of equal rows with equal labels."""
    first = {}
    for position, key in enumerate(zip(labels.tolist(), _keys(Z), strict=True)):
        first.setdefault(key, position)
    return np.array(list(first.values()), dtype=np.intp)


def _keys(Z):
    """What tells each row: its bytes, or, where these are many, a digest of them."""
    size = max(1, BLOCK_ELEMENTS // max(1, Z.shape[1]))
    for first in range(0, len(Z), size):
        rows = Z[first : first + size]
        for row in np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0)):
            key = row.tobytes()
            yield key if len(key) <= MOST_BYTES else blake2b(key, digest_size=DIGEST_BYTES).digest()
