"""How encoded rows enter the final model of a classifier.

Scalers, one-hot, ordinal and target encoders, imputers, PCA and chains of them write a row
as a sum over its features: a straight line for each number, a table for each category. Which
sum it is, the preprocessing is asked itself: about rows that differ from one row in one
feature. Whether it is a sum at all is checked on other rows. So no transformer need be known.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from skcf._classifiers import as_taken, unfrozen

__all__ = [
    "Embedding",
    "KeptValues",
    "entered",
    "learn_embedding",
    "sample_of",
    "split_classifier",
]

N_CHECKS = 200
"""Real rows, and as many made up, on which an embedding is checked."""

LARGEST_TABLES = 2**25
"""Values of all tables together, 256 MiB: beyond, an embedding does not pay."""

BLOCK_ELEMENTS = 2**22
"""Values that are preprocessed at a time."""


def split_classifier(reader):
    """Split a classifier into its preprocessing and the model that decides.

    Parameters
    ----------
    reader : object
        Made by `skcf._classifiers.read_classifier`.

    Returns
    -------
    steps : list of transformers
        In their order, those of nested pipelines too; none in front of a bare model.
    final : object
        The model that takes what they give: an estimator, a torch module, a skorch net or a
        function. Searches, thresholds and FrozenEstimators around it are taken off.
    """
    names = ("estimator", "module", "net", "function")
    final = next(getattr(reader, name) for name in names if hasattr(reader, name))
    steps = []
    while True:
        final = unfrozen(final)
        if isinstance(final, Pipeline):
            steps += [step for _, step in final.steps[:-1] if hasattr(step, "transform")]
            final = final.steps[-1][1]
        elif isinstance(final, FixedThresholdClassifier | TunedThresholdClassifierCV):
            final = final.estimator_
        elif hasattr(final, "best_estimator_"):
            final = final.best_estimator_
        else:
            # histogram boosting encodes categories by itself, and moves their columns to the front
            is_boosting = isinstance(final, HistGradientBoostingClassifier)
            own = getattr(final, "_preprocessor", None) if is_boosting else None
            return steps if own is None else [*steps, own], final


def sample_of(table, n_rows=N_CHECKS):
    """A systematic sample of rows: tables are often sorted."""
    rows = np.linspace(0, table.n_rows - 1, min(table.n_rows, n_rows))
    return table.take(np.unique(rows.astype(np.intp)))


def learn_embedding(reader, space, table):
    """Find the embedding of a classifier, if it has one; the reader remembers it.

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
    Embedding, or None
        None where the preprocessing does more than scale, encode and combine (a scaler that
        clips, bins, powers and products of features), where it refuses the rows that it is
        asked about, and where the tables would be too large.
    """
    if "embedding" not in vars(reader):
        reader.embedding = _checked(reader, space, space.encoding_.encode(table))
    return reader.embedding


def _checked(reader, space, Z):
    """The embedding, if it holds for these rows and for some that are made up."""
    try:
        with np.errstate(all="ignore"):
            embedding = _probed(reader, space, Z)
            if embedding is None or not _holds(embedding, reader, space, Z):
                return None
    except Exception:  # whatever anybody's code does with rows such as it has never met
        return None
    return embedding


@dataclass(frozen=True, eq=False)
class Embedding:
    """How encoded rows enter the final model: x(Z) = intercept + sum_j E_j(z_j).

    E_j(z) is ``z * slope[j]`` for a number and ``tables[j][z]`` for a category.

    Parameters
    ----------
    reference : ndarray of float64, shape (n_features,)
        The encoded row that the preprocessing was asked about, one feature changed at a time.
    at_reference : ndarray of float64, shape (d,)
        How it enters. Differences from it are what is added up, which rounds less than sums
        from the intercept on.
    slope : ndarray of float64, shape (n_features, d)
        By how much x rises with each number; zero for categorical features.
    tables : dict of {int: ndarray of float64, shape (n_categories, d)}
        For each categorical feature, what each category adds; nothing for the reference's.
    scale : ndarray of float64, shape (d,)
        Largest values of x that were met, against which rounding is judged.
    eps : float
        Relative spacing of the coarsest floats on the way: float64's, or float32's.
    """

    reference: np.ndarray
    at_reference: np.ndarray
    slope: np.ndarray
    tables: dict
    scale: np.ndarray
    eps: float

    @property
    def intercept(self):
        """What the reference's categories give with all numbers zero, shape (d,)."""
        return self.at_reference - np.where(self._is_table, 0.0, self.reference) @ self.slope

    @property
    def n_outputs(self):
        """Number of values that the final model takes."""
        return len(self.at_reference)

    @cached_property
    def _is_table(self):
        return np.isin(np.arange(len(self.reference)), list(self.tables))

    def is_odd(self, Z):
        """Tell which values are missing or unseen: lines and tables do not have them."""
        odd = np.isnan(Z)
        for j, table in self.tables.items():
            # a feature that was always missing is so in the reference too
            odd[:, j] = ~(Z[:, j] >= 0) if len(table) else Z[:, j] < 0
        return odd

    def __call__(self, Z, kept=None, rows=None):
        """Find how encoded rows enter the final model.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        kept : KeptValues, optional
            How missing and unseen values enter; without it, rows that hold any are NaN.
        rows : ndarray of int, shape (n,), optional
            Which of the reference rows of `kept` each of them is to replace.

        Returns
        -------
        ndarray of float64, shape (n, d)
        """
        odd = self.is_odd(Z)
        x = np.where(odd | self._is_table, 0.0, Z - self.reference) @ self.slope
        x += self.at_reference
        for j, table in self.tables.items():
            at = ~odd[:, j]
            if not len(table):
                continue  # always missing: as in the reference
            if at.all():
                x += table[Z[:, j].astype(np.intp)]
            else:
                x[at] += table[Z[at, j].astype(np.intp)]
        for j in np.flatnonzero(odd.any(axis=0)):
            at = odd[:, j]
            x[at] += np.nan if kept is None else kept.effect(j, rows[at])
        return x

    def followed_by(self, coef, intercept):
        """Find the embedding of which the values are linear functions of this one's.

        Parameters
        ----------
        coef : ndarray of float64, shape (n_outputs, d)
            Their coefficients.
        intercept : ndarray of float64, shape (n_outputs,)
            Their constants.

        Returns
        -------
        Embedding
            Of ``x(Z) @ coef.T + intercept``.
        """
        return Embedding(
            self.reference,
            self.at_reference @ coef.T + intercept,
            self.slope @ coef.T,
            {j: table @ coef.T for j, table in self.tables.items()},
            self.scale @ np.abs(coef).T,
            self.eps,
        )

    def agrees(self, x, true):
        """Tell which rows are as the preprocessing writes them, but for rounding."""
        tolerance = max(1e-8, 64 * self.eps)
        error = np.abs(x - true)
        close = error <= tolerance * np.maximum(self.scale, np.abs(true))
        return (close | (np.isnan(x) & np.isnan(true))).all(axis=1)


class KeptValues:
    """How the missing and unseen values of rows to be explained enter the final model.

    The preprocessing is asked about each of them once, put into the reference row of the
    embedding, and then about the rows that have them, as they are. Where an imputer looks at
    the other features, the two do not fit together: such a row is not known.

    Parameters
    ----------
    embedding : Embedding
        What it completes.
    reader : object
        Made by `skcf._classifiers.read_classifier`.
    space : FeatureSpace
        How rows are encoded.
    origin : Table
        The rows to be explained, in the container seen in fit.
    Z : ndarray of float64, shape (n_origin, n_features)
        The same, encoded.

    Attributes
    ----------
    is_known : ndarray of bool, shape (n_origin,)
        For which rows the embedding holds.
    """

    def __init__(self, embedding, reader, space, origin, Z):
        encoding = space.encoding_
        odd = embedding.is_odd(Z)
        self._n_outputs = embedding.n_outputs
        self._place = {}
        self._effects = np.empty((0, self._n_outputs))
        self.is_known = np.ones(len(Z), dtype=bool)
        if odd.any():
            # each unseen category with a code of its own
            codes = encoding.encode(origin, unseen=[{} for _ in encoding.features])
            probes, of = self._probes(codes, odd, embedding.reference)
            decoded = encoding.decoder(origin)(probes, of)
            width = self._n_outputs
            self._effects = entered(reader, space, decoded, width) - embedding.at_reference
            rows = np.flatnonzero(odd.any(axis=1))
            true = entered(reader, space, origin.take(rows), width)
            self.is_known[rows] = embedding.agrees(embedding(codes[rows], self, rows), true)

    def _probes(self, codes, odd, reference):
        """The reference row with each distinct value, and the row that each comes from."""
        probes, of = [], []
        for j in np.flatnonzero(odd.any(axis=0)):
            rows = np.flatnonzero(odd[:, j])
            values, first, which = np.unique(codes[rows, j], return_index=True, return_inverse=True)
            self._place[j] = np.full(len(codes), -1)
            self._place[j][rows] = sum(map(len, of)) + which
            probe = np.tile(reference, (len(values), 1))
            probe[:, j] = values
            probes.append(probe)
            of.append(rows[first])
        return np.concatenate(probes), np.concatenate(of)

    def effect(self, j, rows):
        """What the missing or unseen values of a feature add, shape (n, d).

        NaN for a row that has neither there.
        """
        place = self._place.get(j, np.full(len(self.is_known), -1))[rows]
        effect = np.full((len(rows), self._n_outputs), np.nan)
        effect[place >= 0] = self._effects[place[place >= 0]]
        return effect


def entered(reader, space, table, width):
    """Ask the preprocessing how rows enter the final model, in blocks of bounded size.

    Parameters
    ----------
    reader : object
        Made by `skcf._classifiers.read_classifier`.
    space : FeatureSpace
        Fitted on the rows that the classifier takes.
    table : Table
        The rows.
    width : int
        Number of values that the final model takes, d.

    Returns
    -------
    ndarray of float64, shape (n, d)
    """
    size = max(1, BLOCK_ELEMENTS // max(1, width))
    blocks = [np.arange(i, min(i + size, table.n_rows)) for i in range(0, table.n_rows, size)]
    x = [_preprocessed(reader, space, table.take(rows)) for rows in blocks]
    return np.concatenate(x).astype(np.float64, copy=False)


def _preprocessed(reader, space, table):
    """Rows as the preprocessing writes them, in its dtype."""
    rows = as_taken(reader, space, table)
    for step in split_classifier(reader)[0]:
        rows = step.transform(rows)
    matrix = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    return matrix if matrix.dtype.kind == "f" else matrix.astype(np.float64)


def _probed(reader, space, Z):
    """Ask the preprocessing about rows that differ from a reference row in one feature."""
    features, decode = space.encoding_.features, space.encoding_.decoder()
    reference, low, high = _reference_and_ends(features, Z)
    native = _preprocessed(reader, space, decode(reference[None]))
    numeric = [j for j, feature in enumerate(features) if not hasattr(feature, "categories")]
    listed = {j: f.n_categories for j, f in enumerate(features) if j not in numeric}
    of = [numeric, numeric] + [[j] * n for j, n in listed.items()]
    feature = np.concatenate(of).astype(np.intp)
    if native.ndim != 2 or native.size * len(feature) > LARGEST_TABLES:
        return None
    values = [low[numeric], high[numeric]] + [np.arange(n) for n in listed.values()]
    probes = np.tile(reference, (len(feature), 1))
    probes[np.arange(len(feature)), feature] = np.concatenate(values)
    at_reference = native[0].astype(np.float64)
    x = entered(reader, space, decode(probes), len(at_reference))
    parts = np.split(x, np.cumsum([len(part) for part in of])[:-1])
    slope = np.zeros((len(features), len(at_reference)))
    slope[numeric] = (parts[1] - parts[0]) / (high - low)[numeric, None]
    tables = {j: part - at_reference for j, part in zip(listed, parts[2:], strict=True)}
    scale = _floored(np.abs(np.vstack([x, at_reference])).max(axis=0))
    return Embedding(reference, at_reference, slope, tables, scale, _eps(native, features))


def _floored(scale):
    """Scales of the columns, none of them rounding errors of the others."""
    return np.maximum(scale, 1e-3 * scale.max(initial=0))


def _eps(x, features):
    """Spacing of the coarsest floats that values go through on their way."""
    types = [f.float_type for f in features if hasattr(f, "float_type")]
    return float(max(np.finfo(kind).eps for kind in [np.float64, x.dtype, *types]))


def _reference_and_ends(features, Z):
    """A row of middle values and commonest categories; two values of each number far apart."""
    reference, low, high = np.full((3, len(features)), np.nan)
    for j, feature in enumerate(features):
        if hasattr(feature, "categories"):
            reference[j] = np.argmax(feature.counts) if feature.n_categories else np.nan
            continue
        values = Z[~np.isnan(Z[:, j]), j]
        values = values if len(values) else np.zeros(1)
        reference[j] = np.quantile(values, 0.5, method="lower")
        low[j], high[j] = values.min(), values.max()
        if low[j] == high[j]:
            step = max(1.0, abs(low[j]))
            high[j] = low[j] + (step if feature.holds(low[j : j + 1] + step).all() else -step)
    return reference, low, high


def _holds(embedding, reader, space, Z):
    """Check an embedding on real rows, and on rows made up, with numbers out of range."""
    real = Z[~embedding.is_odd(Z).any(axis=1)]
    real = real[:: max(1, len(real) // N_CHECKS)]
    encoding = space.encoding_
    checks = np.concatenate([real, _made_up(encoding.features, Z)])
    true = entered(reader, space, encoding.decoder()(checks), embedding.n_outputs)
    return bool(np.isfinite(true).all() and embedding.agrees(embedding(checks), true).all())


def _made_up(features, Z):
    """Rows whose features are drawn apart, numbers from three times their range."""
    draw = np.random.default_rng(0)
    _, low, high = _reference_and_ends(features, Z)
    made_up = np.full((N_CHECKS, len(features)), np.nan)
    for j, feature in enumerate(features):
        if not hasattr(feature, "categories"):
            width = high[j] - low[j]
            values = low[j] + width * draw.uniform(-1, 2, N_CHECKS)
            values = np.clip(values, *feature.dtype_limits())
            made_up[:, j] = feature.snap(np.rint(values) if feature.integer else values)
        elif feature.n_categories:
            made_up[:, j] = draw.integers(feature.n_categories, size=N_CHECKS)
    return made_up
