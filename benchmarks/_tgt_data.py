"""The data and the representations of paper 4, as they are stored in ``tgt_*.npz``."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from skcf.metrics import group_correctness, group_coverage

__all__ = ["Groups", "deltas_of", "load", "means_over_pairs", "net_of"]


@dataclass(frozen=True)
class Groups:
    """Rows in groups, with a representation.

    Attributes
    ----------
    name : str
    X : ndarray of float64, shape (n_rows, n_features)
    groups : ndarray of int, shape (n_rows,)
        -1: none.
    net : torch.nn.Module
        The representation, in float64.
    eps : float
    names : list of str
        Of the features.
    stored : dict
        All arrays of the file.
    """

    name: str
    X: np.ndarray
    groups: np.ndarray
    net: nn.Module
    eps: float
    names: list
    stored: dict[str, Any]

    @property
    def grouped(self):
        """Rows that belong to a group, and which."""
        belongs = self.groups >= 0
        return self.X[belongs], self.groups[belongs]

    def represent(self, X):
        """R of rows, as a function of arrays."""
        with torch.no_grad():
            return self.net(torch.as_tensor(np.asarray(X, dtype=np.float64))).numpy()


def load(name):
    """One of iris, housing and synthetic, from the folder that ``SKCF_DATA`` names."""
    folder = Path(os.environ.get("SKCF_DATA", "../shared/data"))
    with np.load(folder / f"tgt_{name}.npz") as file:
        stored = dict(file)
    groups = stored["labels" if "labels" in stored else "group"].astype(int)
    activation = nn.LeakyReLU(0.2) if name == "synthetic" else nn.ELU()
    n_features = stored["X"].shape[1]
    numbered = [f"x{j + 1}" for j in range(n_features)]
    names = np.array(stored.get("feature_names", numbered)).tolist()
    net = net_of(stored, activation)
    return Groups(name, stored["X"], groups, net, float(stored["eps"]), names, stored)


def net_of(stored, activation):
    """The stored dense layers, with an activation between them."""
    layers = []
    for i in range(sum(key.startswith("enc_W") for key in stored)):
        W, b = stored[f"enc_W{i}"], stored[f"enc_b{i}"]
        layer = nn.Linear(*W.shape, dtype=torch.float64)
        layer.weight.data, layer.bias.data = (torch.tensor(a).double() for a in (W.T.copy(), b))
        layers += [activation, layer] if i else [layer]
    return nn.Sequential(*layers)


def deltas_of(explainer):
    """Translations of a fitted explainer, from i to j at [i, j]."""
    classes = explainer.classes_.tolist()
    return np.array([[explainer.translation(i, j) for j in classes] for i in classes])


def means_over_pairs(data, deltas, rows=None, diagonal="leave_one_out"):
    """Mean correctness and coverage of translations of all pairs, of all rows or some.

    Parameters
    ----------
    data : Groups
    deltas : ndarray, shape (n_groups, n_groups, n_features)
    rows : ndarray of int, default=None
        Which of the rows that are in groups.
    diagonal : {"leave_one_out", "drop"}
        As in `skcf.metrics.group_correctness`.

    Returns
    -------
    tuple of float
    """
    X, groups = data.grouped
    if rows is not None:
        X, groups = X[rows], groups[rows]
    setting = {"eps": data.eps, "representation": data.represent, "diagonal": diagonal}
    return tuple(
        measure(X, groups, deltas, **setting) for measure in (group_correctness, group_coverage)
    )
