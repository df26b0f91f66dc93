"""Trained modules as functions of arrays, in batches of one size.

Sums round differently in batches of different sizes. A rounding could flip which category is the
likeliest, or where a path first crosses the boundary: so all batches are equally large, whatever
number of rows there is.
"""

import numpy as np

from skcf._dense_map import dense_map
from skcf._maps import TorchMap

__all__ = ["Codes"]

CHUNK, IMAGES = 32, 8
"""Rows of a batch, no fewer and no more: of dense nets, whose calls take the time, and others."""

ALL_AT_ONCE = 2**62
"""Values that a module may be given: batches are small already."""


class Codes:
    """Rows as columns, their codes, and what is decoded.

    Parameters
    ----------
    heads : Heads
        Rows and columns.
    module : LatentModule
        Trained.
    """

    def __init__(self, heads, module):
        self.heads, self.layout = heads, heads.layout
        parts = (module.encoder, module.residual_encoder, module.decoder)
        self._encoder, self._residual_encoder, self._decoder = map(_read, parts)

    def encode(self, Z):
        """Codes of encoded rows.

        Returns
        -------
        columns, z, z_u : ndarray of float64
        """
        columns = self.heads.columns(Z)
        z = in_chunks(self._encoder, columns)
        return columns, z, in_chunks(self._residual_encoder, columns)

    def decode(self, z, z_u):
        """Numbers, and the shares of categories, shape (n, n_columns)."""
        return self.layout.soft_array(in_chunks(self._decoder, np.hstack([z, z_u])))

    def pullback(self, codes, V):
        """Gradient of ``sum(V * decode)`` by codes of both kinds side by side."""

        def by_raw(raw, block):
            return self.layout.soft_pullback(self.layout.soft_array(raw), V[block])

        return self._decoder.residual_pullback(codes, by_raw)[1]


def _read(module):
    module.eval()
    return dense_map(module) or TorchMap(module, ALL_AT_ONCE)


def in_chunks(given, X):
    """Values of a map, in batches of one size; rows of zeros fill up the last one."""
    n_rows, size = len(X), IMAGES if isinstance(given, TorchMap) else CHUNK
    filled = np.zeros((max(1, -(-n_rows // size)) * size, X.shape[1]))
    filled[:n_rows] = X
    parts = [given.values(filled[i : i + size]) for i in range(0, len(filled), size)]
    return np.concatenate(parts)[:n_rows]
