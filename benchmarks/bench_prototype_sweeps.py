"""Figures 7 to 9 of paper 5: theta, k, and the attributes changed, on breast cancer.

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_prototype_sweeps.py``; see README.md beside it.
"""

import argparse
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from _alibi import alibi_or_why_not
from _tables import header, spread, verdict
from _watched import WatchedExplainer
from bench_prototype import SOLVERS, Answer, cancer, explainer_of, theirs
from sklearn.datasets import load_breast_cancer
from threadpoolctl import threadpool_limits

from skcf import InvalidCounterfactualWarning

SETTINGS = {  # of PrototypeExplainer, one prototype each
    "auto": SOLVERS["auto"],
    "fista": {**SOLVERS["fista"], "momentum": True},
    "fista, no momentum": SOLVERS["fista"],
}
LOSSES = {"A": "A, c searched", "B": "B", "C": "C"}  # of `cancer`, whose A finds nothing with c = 1
SWEPT = {"theta": (10, 20, 50, 100, 150, 200), "k": (1, 2, 5, 10)}
FIGURES = (("Figure 7", "B", "theta"), ("Figure 7, C", "C", "theta"), ("Figure 8", "B", "k"))
REPEATS = 3
STEP = 1.0  # times theta: of the paper's settings, 0.01 and 100
STANDARD_DEVIATION = 1.0  # the rows are standardised
MEASURES = {  # name, factor, digits
    "milliseconds": ("CPU ms a row", 1, 2),
    "steps": ("steps to it", 1, 1),
    "en": ("EN", 1, 2),
    "im1": ("IM1", 1, 2),
    "im2": ("IM2 x 10", 10, 2),
}
COUNTS = {
    "features": ("features", 1, 2),
    "attributes": ("attributes", 1, 2),
    "per_attribute": ("features an attribute", 1, 2),
}


@dataclass
class Point:
    """What one setting gave for the rows of all seeds.

    Attributes
    ----------
    valid : ndarray of bool
        A row of each seed after another.
    values : dict of ndarray
        Of `MEASURES` and `COUNTS`, over the valid rows; times are of whole batches.
    is_repeatable : bool
        Whether all reruns had the same bits.
    X_cf : ndarray
        What came.
    """

    valid: np.ndarray
    values: dict
    is_repeatable: bool
    X_cf: np.ndarray

    def mean(self, name):
        """Of a measure; NaN of nothing."""
        return mean_and_bound(self.values[name])[0]

    def columns(self, measures):
        """Numbers of the table."""
        told = [spread(self.values[name], *how[1:])[0] for name, how in measures.items()]
        return [len(self.valid), f"{self.valid.mean():.3f}", *told]


def point(tasks, solver, loss, **changes):
    """Explain the rows of all seeds with one setting.

    Parameters
    ----------
    tasks : list of Task
        One a seed.
    solver : str
        One of `SETTINGS`.
    loss : str
        One of `LOSSES`.
    **changes : int or float
        Of the parameters.

    Returns
    -------
    Point
    """
    parts = [part(task, solver, loss, changes) for task in tasks]
    valid, X_cf = (np.concatenate([one[name] for one in parts]) for name in ("valid", "X_cf"))
    names = [*MEASURES, *COUNTS]
    values = {name: np.concatenate([one["values"][name] for one in parts]) for name in names}
    return Point(valid, values, all(one["is_repeatable"] for one in parts), X_cf)


def part(task, solver, loss, changes):
    """What one setting gave for the rows of one seed; the batch is explained several times."""
    parameters = {**SETTINGS[solver], **changes}
    explainer = explainer_of(WatchedExplainer, task, LOSSES[loss], **parameters)
    explainer.watched(task.X[:2])  # what is made ready on the first call
    runs = [explainer.watched(task.X) for _ in range(REPEATS)]
    (result, log, _), n = runs[0], len(task.X)
    one = Answer(task, solver, loss, task.X, result.X_cf, result.status == "found", 0.0, 0.0)
    valid = one.valid
    values = {name: getattr(one, name)[valid] for name in ("en", "im1", "im2")}
    values["milliseconds"] = np.array([1e3 * seconds / n for *_, seconds in runs])
    values["steps"] = log.gradient_steps(explainer.solver_)[valid]
    values.update(counts(task.X[valid], result.X_cf[valid]))
    is_repeatable = all(np.array_equal(result.X_cf, again.X_cf) for again, *_ in runs[1:])
    return {"valid": valid, "X_cf": result.X_cf, "values": values, "is_repeatable": is_repeatable}


def counts(X, X_cf):
    """How many features, and attributes, change by more than one standard deviation."""
    changed = np.abs(X_cf - X) > STANDARD_DEVIATION
    features = changed.sum(axis=1).astype(float)
    attributes = np.any([changed[:, columns] for columns in columns_of()], axis=2).sum(axis=0)
    of_each = np.divide(features, attributes, out=np.full(len(X), np.nan), where=attributes > 0)
    return {
        "features": features,
        "attributes": attributes.astype(float),
        "per_attribute": of_each[attributes > 0],
    }


def columns_of():
    """Columns of each attribute: its mean, its error and its worst value."""
    columns = {}
    for place, name in enumerate(load_breast_cancer().feature_names):
        attribute = " ".join(w for w in name.split() if w not in ("mean", "error", "worst"))
        columns.setdefault(attribute, []).append(place)
    assert [len(places) for places in columns.values()] == [3] * 10, columns
    return list(columns.values())


class Study:
    """All points; prints the tables.

    Parameters
    ----------
    n_seeds : int
        Number of networks, each with its autoencoders.
    """

    def __init__(self, n_seeds):
        self.tasks = [cancer(seed) for seed in range(n_seeds)]
        self.losses = {
            (solver, loss): point(self.tasks, solver, loss)
            for solver in SETTINGS
            for loss in LOSSES
        }
        self.sweeps = {}

    def show_losses(self):
        """Losses A to C, and Figure 9."""
        print("\n## Losses A to C (Table 2); features and attributes changed (Figure 9)\n")
        both = {**MEASURES, **COUNTS}
        header(
            "| solver | loss | rows | valid | " + " | ".join(h for h, *_ in both.values()) + " |"
        )
        for (solver, loss), one in self.losses.items():
            print("| " + " | ".join(map(str, [solver, loss, *one.columns(both)])) + " |")

    def show_sweep(self, figure, loss, name):
        """One figure: a parameter is swept, by all solvers."""
        print(f"\n## {figure}: {name}, loss {loss}\n")
        columns = " | ".join(head for head, *_ in MEASURES.values())
        header(f"| solver | {name} | rows | valid | {columns} |")
        for solver in SETTINGS:
            for value in SWEPT[name]:
                one = point(self.tasks, solver, loss, **{name: value})
                self.sweeps[figure, solver, value] = one
                told = [solver, value, *one.columns(MEASURES)]
                print("| " + " | ".join(map(str, told)) + " |", flush=True)

    def show_steps(self):
        """Figure 7 with a first step that is the longer, the smaller theta is."""
        print(f"\n## Figure 7: theta, loss B, a first step of {STEP:g} / theta\n")
        header(
            f"| solver | theta | rows | valid | {' | '.join(h for h, *_ in MEASURES.values())} |"
        )
        for theta in SWEPT["theta"]:
            one = point(self.tasks, "fista", "B", theta=theta, learning_rate_init=STEP / theta)
            told = ["fista", theta, *one.columns(MEASURES)]
            print("| " + " | ".join(map(str, told)) + " |", flush=True)

    def show_alibi(self):
        """Figure 7 by alibi, on the rows of the first network; it takes minutes."""
        print("\n## Figure 7: theta, loss B, by alibi, network 0\n")
        header("| theta | rows | valid | CPU s a row | EN | IM1 | IM2 x 10 |")
        task = self.tasks[0]
        for theta in SWEPT["theta"]:
            task.losses["swept"] = {**task.losses["B"], "theta": float(theta)}
            one = theirs(task, "swept")
            told = [theta, len(one.X), f"{one.valid.mean():.3f}", f"{one.alone:.2f}"]
            values = {name: getattr(one, name)[one.valid] for name in ("en", "im1", "im2")}
            told += [spread(each, *MEASURES[name][1:])[0] for name, each in values.items()]
            print("| " + " | ".join(map(str, told)) + " |", flush=True)

    def show_asked(self):
        """What the paper says, and whether it is so here."""
        print("\n## What the paper says\n")
        every = [*self.losses.values(), *self.sweeps.values()]
        verdict(all(one.is_repeatable for one in every), "all reruns have the same bits")
        for solver in SETTINGS:
            self._compare_losses(solver)
            for figure, _, name in FIGURES:
                self._compare_sweep(figure, name, solver)
        ends = [self.sweeps["Figure 7, C", "auto", theta].X_cf for theta in SWEPT["theta"]]
        same = all(np.array_equal(ends[0], end) for end in ends)
        verdict(same, "auto, C: the path gives the same bits for every theta")

    def _compare_losses(self, solver):
        """Table 2 and Figure 9."""
        A, *others = (self.losses[solver, loss] for loss in LOSSES)
        for loss, one in zip("BC", others, strict=True):
            for name in ("milliseconds", "steps", "im1", "im2"):
                ratio = one.mean(name) / A.mean(name)
                told = f"{solver}: {MEASURES[name][0]} of {loss} below A's: {ratio:.2f} x"
                verdict(ratio < 1, f"Table 2, {told}")
            for name in ("features", "per_attribute"):
                few, many = A.mean(name), one.mean(name)
                told = f"{COUNTS[name][0]} of A below {loss}'s: {few:.2f}, {many:.2f}"
                verdict(few < many, f"Figure 9, {solver}: {told}")

    def _compare_sweep(self, figure, name, solver):
        """A broad range of values works well: read as valid, and better than without prototype."""
        A, points = self.losses[solver, "A"], self._points(figure, name, solver)
        told = f"{figure}, {solver}: "
        valid = [value for value, one in points.items() if one.valid.all()]
        verdict(len(valid) == len(points), f"{told}every row valid for {name} in {valid}")
        for measure in ("im1", "im2", "steps"):
            below = [value for value, one in points.items() if one.mean(measure) < A.mean(measure)]
            what = f"{MEASURES[measure][0]} below A's for {name} in {below}"
            verdict(len(below) == len(points), told + what)

    def _points(self, figure, name, solver):
        return {value: self.sweeps[figure, solver, value] for value in SWEPT[name]}

    def draw(self, path):
        """Figures 7 to 9, one below the other."""
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(len(FIGURES) + 1, len(MEASURES), figsize=(15, 11))
        for row, (title, _, name) in zip(axes, FIGURES, strict=False):
            for ax, (measure, how) in zip(row, MEASURES.items(), strict=True):
                for solver in SETTINGS:
                    points = self._points(title, name, solver).values()
                    _curve(ax, SWEPT[name], points, measure, how[1], solver)
                ax.set(xlabel=name, title=f"{title}: {how[0]}")
                if measure in ("milliseconds", "steps"):
                    ax.set_yscale("symlog")
                    ax.set_ylim(bottom=0)
        for ax, (name, how) in zip(axes[-1], COUNTS.items(), strict=False):
            for place, solver in enumerate(SETTINGS):
                points = [self.losses[solver, loss] for loss in LOSSES]
                _bars(ax, place, points, name)
            ax.set(xticks=range(len(LOSSES)), xticklabels=list(LOSSES), title=f"Figure 9: {how[0]}")
        for ax in axes[-1, len(COUNTS) :]:
            ax.axis("off")
        axes[-1, -1].legend(*axes[0, 0].get_legend_handles_labels(), loc="center")
        figure.tight_layout()
        figure.savefig(path, dpi=110)


def mean_and_bound(values, factor=1):
    """Mean, and its 95 % bound; NaN of nothing."""
    if len(values) < 2:
        return np.nan, np.nan
    return factor * values.mean(), factor * 1.96 * values.std(ddof=1) / np.sqrt(len(values))


def _curve(ax, at, points, measure, factor, label):
    """Means of a sweep with their bounds."""
    told = [mean_and_bound(one.values[measure], factor) for one in points]
    ax.errorbar(at, *zip(*told, strict=True), marker="o", markersize=3, capsize=2, label=label)


def _bars(ax, place, points, name):
    """Means of the losses with their bounds, beside those of the other solvers."""
    told = [mean_and_bound(one.values[name]) for one in points]
    width = 0.8 / len(SETTINGS)
    at = np.arange(len(points)) + width * (place - (len(SETTINGS) - 1) / 2)
    heights, bounds = zip(*told, strict=True)
    ax.bar(at, heights, width, yerr=bounds, capsize=2)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="number of networks")
    parser.add_argument("--plot", help="file to draw Figures 7 to 9 to")
    parser.add_argument("--alibi", action="store_true", help="Figure 7 by alibi, too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", InvalidCounterfactualWarning)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        study = Study(arguments.seeds)
        study.show_losses()
        for figure in FIGURES:
            study.show_sweep(*figure)
        study.show_steps()
        study.show_asked()
        if arguments.alibi and alibi_or_why_not() is None:
            study.show_alibi()
        if arguments.plot:
            study.draw(arguments.plot)


if __name__ == "__main__":
    main()
