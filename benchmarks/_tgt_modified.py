"""Appendix A.6 of paper 4: a group is copied, and moved in known features (Table 4)."""

import numpy as np
import torch
from _tables import header, verdict
from _tgt_data import deltas_of, load
from sklearn.decomposition import PCA
from torch import nn

from skcf import TGTExplainer

__all__ = ["modified"]

TABLE_4 = {  # group, and the mean change of features; each with noise from -0.1 to 0.1
    "iris": (0, {"Sepal Width": -0.4}),
    "housing": (1, {"ZN": 0.9, "TAX": -0.5}),
}
BARELY = 0.1  # of the size of the explanations between the original groups
ALIKE = 0.9  # cosine, where the representation is another one
N_STEPS, N_HIDDEN = 1500, 32


def modified(seed=0):
    """Print whether the changes are found, and what becomes of the other explanations."""
    print("\n## A group copied and moved (A.6)\n")
    header(
        "| set | r | D' explained with | alpha | moved | found, by size | others move by | cosine |"
    )
    told = []
    for name, (group, changes) in TABLE_4.items():
        data = load(name)
        X, groups = data.grouped
        X_more, groups_more = with_a_copy(data, group, changes, np.random.default_rng(seed))
        for what, learn in {"published": None, "PCA": pca, "autoencoder": autoencoder}.items():
            r = data.net if learn is None else learn(X)
            original = TGTExplainer(r).fit(X, groups)
            again = {"r kept": r} if learn is None else {"r kept": r, "retrained": learn(X_more)}
            for how, of_both in again.items():
                explainer = TGTExplainer(of_both, alpha=original.alpha_).fit(X_more, groups_more)
                both = deltas_of(original), deltas_of(explainer)
                told.append((f"{name}, {what}, {how}", *compared(data, group, changes, *both)))
                show(name, what, how, original.alpha_, changes, *told[-1][1:])
    for what, first, _, moved, cosine in told:
        verdict(first, f"{what}: the changed features come first")
        if what.endswith("kept"):
            verdict(moved <= BARELY, f"{what}: others move by at most {BARELY}: {moved:.3f}")
        else:
            verdict(cosine >= ALIKE, f"{what}: cosine of others at least {ALIKE}: {cosine:.3f}")


def with_a_copy(data, group, changes, random):
    """All rows, and those of a group again, as one group more, with changes."""
    X, groups = data.grouped
    copy = X[groups == group].copy()
    for feature, change in changes.items():
        copy[:, data.names.index(feature)] += change + random.uniform(-0.1, 0.1, len(copy))
    return np.vstack([X, copy]), np.append(groups, np.full(len(copy), groups.max() + 1))


def pca(X):
    """A linear representation."""
    return PCA(2).fit(X)


def autoencoder(X):
    """A nonlinear one: the encoder of an autoencoder, from the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        d = X.shape[1]
        encoder = nn.Sequential(nn.Linear(d, N_HIDDEN), nn.Tanh(), nn.Linear(N_HIDDEN, 2)).double()
        decoder = nn.Sequential(nn.Linear(2, N_HIDDEN), nn.Tanh(), nn.Linear(N_HIDDEN, d)).double()
    rows, parameters = torch.tensor(X), [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=0.01, weight_decay=1e-4)
    for _ in range(N_STEPS):
        loss = ((decoder(encoder(rows)) - rows) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return encoder.requires_grad_(False)


def compared(data, group, changes, before, after):
    """Whether the changed features are first, the translation, and how the others moved."""
    n = len(before)
    delta = after[group, n]
    first = {data.names[j] for j in np.argsort(-np.abs(delta))[: len(changes)]}
    same = after[:n, :n]
    moved = np.abs(same - before).sum() / np.abs(before).sum()
    cosine = (same * before).sum() / (np.linalg.norm(same) * np.linalg.norm(before))
    found = [(data.names[j], delta[j]) for j in np.argsort(-np.abs(delta)) if delta[j]]
    return first == set(changes), found, float(moved), float(cosine)


def show(name, what, how, alpha, changes, _, found, moved, cosine):
    """Print a line."""
    asked, told = (", ".join(f"{f} {v:.2f}" for f, v in c) for c in (changes.items(), found[:4]))
    cells = (name, what, how, f"{alpha:.3f}", asked, told, f"{moved:.3f}", f"{cosine:.3f}")
    print(f"| {' | '.join(cells)} |", flush=True)
