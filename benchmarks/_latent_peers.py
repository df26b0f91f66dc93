"""alibi's CounterfactualRL and CounterfactualProto on the Adult of paper 2."""

import numpy as np
import pandas as pd
from _alibi import LOSSES, alibi_or_why_not, run_alibi
from _latent_alibi import run_cfrl
from _latent_data import PROBLEMS
from _latent_measures import measured, refit_shares

__all__ = ["peers"]

N_ALONE, N_PROTO, N_REFITS = 20, 10, 5


def peers(seed, n_rows, **changes):
    """What both give for rows of Adult: dict of dicts of numbers; empty without alibi."""
    if alibi_or_why_not() is not None:
        return {}
    problem = PROBLEMS["adult"](seed)
    table = _Table(problem)
    X = problem.queries(n_rows)
    told, answers = {}, {}
    for name, ask in (("alibi, RL", table.reinforced), ("alibi, prototype", table.prototype)):
        rows, X_cf, times = ask(X, **(changes if ask == table.reinforced else {}))
        told[name] = measured(problem, rows, X_cf) | times
        answers[name] = rows, X_cf
    for name, share in refit_shares(problem, answers, N_REFITS).items():
        told[name]["refits"] = share
    return told


class _Table:
    """Adult as alibi takes it, and back."""

    def __init__(self, problem):
        self.problem = problem
        (_, scaler, self.numbers), (_, onehot, self.text) = problem.columns.transformers_[:2]
        self.levels = onehot.categories_
        self.low, self.high = scaler.data_min_, scaler.data_max_
        net = problem.model[-1]
        self.layers = list(zip(net.coefs_, net.intercepts_, strict=True))

    def coded(self, X):
        """Numbers as they are, and codes of categories."""
        codes = [
            pd.Index(levels).get_indexer(X[name])
            for name, levels in zip(self.text, self.levels, strict=True)
        ]
        return np.column_stack([X[self.numbers].to_numpy(float), *codes])

    def decoded(self, rows, like):
        """Rows as they came, of numbers and codes; a row of NaN is as it was."""
        X, have = like.copy(), np.isfinite(rows).all(axis=1)
        for j, name in enumerate(self.numbers):
            whole = np.allclose(rows[have, j], np.rint(rows[have, j]))
            values = np.where(have, rows[:, j], like[name])
            X[name] = np.rint(values).astype(int) if whole else values
        for j, (name, levels) in enumerate(zip(self.text, self.levels, strict=True)):
            codes = np.nan_to_num(rows[:, len(self.numbers) + j]).astype(int)
            X[name] = np.where(have, levels[codes], like[name])
        return X

    def reinforced(self, X, **changes):
        """CounterfactualRL: all rows at once, and some by themselves."""
        task = {
            "X_train": self.coded(self.problem.X_train),
            "X": self.coded(X),
            "n_values": np.array([len(levels) for levels in self.levels]),
            "low": self.low,
            "high": self.high,
            "n_alone": N_ALONE,
            "seed": self.problem.seed,
            "target": list(self.problem.model.classes_).index(self.problem.target),
            **changes,
        }
        for i, (weights, intercepts) in enumerate(self.layers):
            task |= {f"w{i}": weights, f"b{i}": intercepts}
        told = run_cfrl(task)
        self._check(told["proba"], X)
        seconds = {"ms a row": 1e3 * told["together"], "ms alone": 1e3 * told["alone"]}
        times = {name: float(value) for name, value in seconds.items()}
        X_cf = self.decoded(told["X_cf"], X)
        return X, X_cf, {**times, "train s": float(told["trained"])}

    def prototype(self, X):
        """CounterfactualProto with loss C, as in bench_prototype.py."""
        X, n = X[:N_PROTO], len(self.numbers)
        weights, intercepts = self.layers[-1]
        both = np.hstack([np.zeros_like(weights), weights]), np.append([0.0], intercepts)
        sizes = [len(levels) for levels in self.levels]
        firsts = n + np.cumsum([0, *sizes[:-1]])
        low = np.array([[0.0] * n + [-1.0] * len(sizes)], dtype=np.float32)
        task = {
            "layers": [*self.layers[:-1], both],
            "X_train": self.problem.scaled(self.problem.X_train),
            "X": self.problem.scaled(X),
            "seed": self.problem.seed,
            "settings": {
                **LOSSES["C"],
                "beta": 0.01,
                "cat_vars": dict(zip(firsts.tolist(), sizes, strict=True)),
                "ohe": True,
                "feature_range": (low, np.ones_like(low)),
            },
            "fit": {"d_type": "abdm", "disc_perc": [25, 50, 75]},
            "explain": {"k": 1},
        }
        told = run_alibi(task)
        self._check(told["proba"][:, 1], X)
        numbers = self.low + told["X_cf"][:, :n] * (self.high - self.low)
        blocks = np.split(told["X_cf"], firsts, axis=1)[1:]
        have = np.isfinite(numbers).all(axis=1, keepdims=True)
        codes = [np.where(have, b.argmax(axis=1)[:, None], np.nan) for b in blocks]
        ms = 1e3 * float(told["seconds"].mean())
        times = {"ms a row": ms, "ms alone": ms, "train s": told["ready"]}
        return X, self.decoded(np.hstack([numbers, *codes]), X), times

    def _check(self, proba, X):
        """The classifiers must be the same."""
        apart = np.abs(proba - self.problem.model.predict_proba(X)[:, 1]).max()
        assert apart < 1e-4, f"the classifiers are {apart} apart"
