"""PrototypeExplainer on MNIST as in paper 5: losses A to F, black box, K, and a test per class.

Run ``SKCF_DATA=... OMP_NUM_THREADS=1 python benchmarks/bench_prototype_mnist.py``; see README.md
beside it. Nets and answers are kept in the folder --cache, so that reruns are quick.
"""

import argparse
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from _mnist_nets import INK, SIDE, Asked, Nets, mnist_rows
from _tables import header, spread
from _watched import WatchedExplainer
from threadpoolctl import threadpool_limits

from skcf import FeatureSpace, InvalidCounterfactualWarning
from skcf.metrics import im1, im2, model_comparison_test

BETA, GAMMA, K = 0.1, 100.0, 5
LOSSES = {  # c, theta, and whether there is an autoencoder: appendix B
    "A": (1.0, 0.0, False),
    "B": (1.0, 0.0, True),
    "C": (1.0, 200.0, False),
    "D": (1.0, 100.0, True),
    "E": (0.0, 200.0, False),
    "F": (0.0, 100.0, True),
}
WEIGHTS = 10.0 ** np.arange(9)  # c: the first of them with which a row has a counterfactual
SWEPT = (2, 5, 20, "all")
TABLE_3_STEPS = 100
REPETITIONS = 100
FEWEST = 8  # RelMulti wants four rows in each part
PARTS = ("table", "black-box", "sweep", "tests")
HEADER = (
    "| loss | rows | valid | median c | CPU s a row | steps to it | steps in all | EN "
    "| IM1 | median | IM2 x 10 | median |"
)


@dataclass
class Answer:
    """What a loss gave for all rows."""

    X: np.ndarray
    X_cf: np.ndarray
    y: np.ndarray
    y_cf: np.ndarray
    valid: np.ndarray
    c: np.ndarray
    steps: np.ndarray
    best: np.ndarray
    seconds: float = 0.0

    @classmethod
    def of(cls, X):
        """Nothing yet."""
        labels, steps = np.zeros((2, len(X)), int), np.zeros((2, len(X)), int)
        return cls(X, X.copy(), *labels, np.zeros(len(X), bool), np.full(len(X), np.nan), *steps)

    def take(self, at, result, log, seconds, c):
        """Put in what came of some rows."""
        self.X_cf[at], self.y[at], self.y_cf[at] = result.X_cf, result.y, result.y_cf
        self.valid[at], self.c[at] = result.status == "found", c
        self.best[at] = self.steps[at] + log.best
        self.steps[at] += log.steps
        self.seconds += seconds / len(self.X)

    @property
    def elastic_net(self):
        """Of the valid rows."""
        delta = (self.X_cf - self.X)[self.valid]
        return BETA * np.abs(delta).sum(axis=1) + (delta**2).sum(axis=1)

    def interpretability(self, judges):
        """IM1 and IM2 of the valid rows."""
        return interpretability(
            self.X_cf[self.valid], self.y_cf[self.valid], self.y[self.valid], judges
        )


def interpretability(X_cf, target, origin, judges):
    """IM1 and IM2 of rows."""
    both = {"target": target, "autoencoders": judges, "average": None}
    return im1(X_cf, X_cf, origin=origin, **both), im2(X_cf, X_cf, **both)


class Study:
    """Data, networks and the rows that are explained."""

    def __init__(self, arguments):
        self.folder = Path(arguments.cache) / f"seed{arguments.seed}"
        self.seed, self.max_steps = arguments.seed, arguments.max_steps
        self.momentum = not arguments.no_momentum
        X, y, self.X_test, self.y_test = mnist_rows()
        self.nets = Nets(X, y, arguments.seed, arguments.cache)
        # a page full of ink, nobody's neighbour, gives each pixel the range and so the scale 1
        self.X_train = np.vstack([X, np.full(X.shape[1], INK)])
        self.predicted = self.nets.predict(self.X_test)
        self.rows = self._drawn(arguments.n_images)

    def _drawn(self, n):
        """So many test images of each class predicted."""
        rng = np.random.default_rng(self.seed)
        of = [np.flatnonzero(self.predicted == label) for label in range(10)]
        return np.concatenate([rng.permutation(rows)[:n] for rows in of])

    def explainer(self, loss, k=K, model=None, **settings):
        """Explainer as in appendix B, fitted."""
        c, theta, has_autoencoder = LOSSES[loss]
        pixels = range(SIDE * SIDE)
        explainer = WatchedExplainer(
            self.nets.classifier if model is None else model,
            target_class="other",
            feature_space=FeatureSpace(permitted_range=dict.fromkeys(pixels, (-INK, INK))),
            theta=theta,
            beta=BETA,
            gamma=GAMMA,
            encoder=self.nets.encoder,
            autoencoder=self.nets.autoencoder if has_autoencoder else None,
            k=self._size(k),
            n_prototypes=1,
            select="cheapest",
            solver="fista",
            momentum=self.momentum,
            random_state=self.seed,
            **{"c": c, "max_steps": self.max_steps, **settings},
        ).fit(self.X_train)
        assert (explainer.feature_space_.scale_ == 1).all()
        return explainer

    def _size(self, k):
        """A number of neighbours; all: as many as the smallest class has."""
        return k if k != "all" else np.bincount(self.nets.predict(self.X_train)).min().item()

    def answer(self, loss, k=K):
        """What a loss gives, from the cache or anew."""
        plain = "" if self.momentum else "-plain"
        path = self.folder / f"{loss}-k{k}-{len(self.rows)}-{self.max_steps}{plain}.npz"
        if not path.is_file():
            np.savez_compressed(path, **vars(self._explained(self.explainer(loss, k))))
        with np.load(path) as arrays:
            return Answer(**arrays)

    def _explained(self, explainer):
        """All rows with the weight of the paper, then with greater ones those that have none."""
        X, left = self.X_test[self.rows], np.arange(len(self.rows))
        answer = Answer.of(X)
        for c in WEIGHTS if explainer.c > 0 else (0.0,):
            explainer.set_params(c=c)  # it is read in the search, not in fit
            answer.take(left, *explainer.watched(X[left]), c)
            left = np.flatnonzero(~answer.valid)
            if not len(left):
                break
        return answer


def line(name, answer, judges):
    """Row of the table."""
    first, second = answer.interpretability(judges)
    told = [
        name,
        len(answer.X),
        f"{answer.valid.mean():.2f}",
        f"{np.median(answer.c[answer.valid]):g}",
        f"{answer.seconds:.2f}",
        spread(answer.best[answer.valid], digits=0)[0],
        f"{answer.steps.mean():.0f}",
        spread(answer.elastic_net, digits=1)[0],
        *spread(first),
        *spread(second, 10),
    ]
    return "| " + " | ".join(map(str, told)) + " |"


def show_table(study):
    """Table 1, and what real images of the target classes have."""
    print(f"\n## Losses A to F (Table 1), {study.max_steps} steps for each c\n")
    header(HEADER)
    for loss in LOSSES:
        print(line(loss, study.answer(loss), study.nets.judges), flush=True)
    answer = study.answer("E")
    rng = np.random.default_rng(study.seed)
    real = np.array([rng.choice(np.flatnonzero(study.predicted == c)) for c in answer.y_cf])
    first, second = interpretability(study.X_test[real], answer.y_cf, answer.y, study.nets.judges)
    told = ["real images", len(real), *[""] * 6, *spread(first), *spread(second, 10)]
    print("| " + " | ".join(map(str, told)) + " |")


def show_black_box(study, n_rows):
    """Table 3: A with numerical gradients against E and F, 100 steps each."""
    print(f"\n## Black box (Table 3): {TABLE_3_STEPS} steps, CPU s a row\n")
    header("| loss | rows | CPU s a row |")
    of_each = study.rows.reshape(10, -1)[:, 0]
    black_box = Asked(study.nets.classifier)
    for name, n in (("A'", n_rows), ("A", 10), ("E", 10), ("F", 10)):
        settings = {"max_steps": TABLE_3_STEPS, "tol": 0.0}
        if name[0] == "A":
            settings["c"] = WEIGHTS[-1]  # with less, rows stop where they start
        model = black_box if name == "A'" else None
        explainer = study.explainer(name[0], model=model, **settings)
        _, log, seconds = explainer.watched(study.X_test[of_each[:n]])
        assert (log.steps == TABLE_3_STEPS).all(), log.steps
        print(f"| {name} | {n} | {seconds / n:.2f} |", flush=True)


def show_sweep(study):
    """Figure 10: how many neighbours make a prototype."""
    print("\n## Neighbours of a prototype, loss D (Figure 10)\n")
    header(HEADER.replace("loss", "K"))
    for k in SWEPT:
        print(line(k, study.answer("D", k), study.nets.judges), flush=True)


def show_tests(study):
    """Appendix E: which losses model the images of a class worse than the best one."""
    answers = {loss: study.answer(loss) for loss in LOSSES}
    features = {loss: study.nets.features(a.X_cf) for loss, a in answers.items()}
    real = study.nets.features(study.X_test)
    print("\n## Model comparison (appendix E): share of repetitions selected / rejected\n")
    header("| class | rows | method | " + " | ".join(LOSSES) + " |")
    of_class = {
        label: {loss: features[loss][a.valid & (a.y_cf == label)] for loss, a in answers.items()}
        for label in range(10)
    }
    sizes = {label: min(map(len, given.values())) for label, given in of_class.items()}
    for label in sorted(sizes, key=sizes.get, reverse=True):
        if sizes[label] < FEWEST:
            continue
        for method in ("relpsi", "relmulti"):
            told = rates(of_class[label], real[study.predicted == label], sizes[label], method)
            print(f"| {label} | {sizes[label]} | {method} | " + " | ".join(told) + " |", flush=True)
    print("\nClasses left out, by rows:", {c: n for c, n in sizes.items() if n < FEWEST})


def rates(given, real, size, method):
    """How often each loss is selected, and rejected."""
    tests = []
    for seed in range(REPETITIONS):
        rng = np.random.default_rng(seed)
        drawn = {loss: rng.permutation(rows)[:size] for loss, rows in given.items()}
        reference = rng.permutation(real)[:size]
        settings = {"method": method, "random_state": seed, "feature_space": as_they_are(reference)}
        tests.append(model_comparison_test(drawn, reference=reference, **settings))
    selected = {loss: np.mean([t.best == loss for t in tests]) for loss in given}
    rejected = {loss: np.mean([t.rejected.get(loss, False) for t in tests]) for loss in given}
    return [f"{selected[loss]:.2f} / {rejected[loss]:.2f}" for loss in given]


def as_they_are(rows):
    """Space in which distances are those of the columns: weights undo the scales."""
    spread = np.ptp(rows, axis=0)
    return FeatureSpace(feature_weights=np.where(spread > 0, spread, 1.0) ** 2).fit(rows)


def draw(study, path, n_rows=5):
    """Figure 4: images, their counterfactuals, and what the autoencoder makes of these."""
    import matplotlib.pyplot as plt

    answers = {loss: study.answer(loss) for loss in LOSSES}
    valid = np.all([a.valid for a in answers.values()], axis=0)
    own = answers["A"].y
    shown = [np.flatnonzero(valid & (own == label))[:1] for label in range(10)]
    shown = np.concatenate(shown)[:n_rows]
    reconstruct = Asked(study.nets.autoencoder)
    size = (len(LOSSES) + 1, 2 * len(shown))
    figure, axes = plt.subplots(2 * len(shown), len(LOSSES) + 1, figsize=size, squeeze=False)
    for ax in axes.ravel():
        ax.axis("off")
    for at, row in enumerate(shown):
        _image(axes[2 * at, 0], answers["A"].X[row], f"{own[row]}")
        for column, (loss, answer) in enumerate(answers.items(), start=1):
            X_cf = answer.X_cf[row]
            _image(axes[2 * at, column], X_cf, f"{loss}: {answer.y_cf[row]}")
            _image(axes[2 * at + 1, column], reconstruct(X_cf[None])[0])
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=110)


def _image(ax, row, title=None):
    ax.imshow(row.reshape(SIDE, SIDE), cmap="gray", vmin=-INK, vmax=INK)
    ax.set_title(title, fontsize=8, pad=2)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all but tests")
    parser.add_argument("--n-images", type=int, default=5, help="of each class")
    parser.add_argument("--max-steps", type=int, default=1000, help="of FISTA, for each c")
    parser.add_argument("--no-momentum", action="store_true", help="ISTA; see README.md")
    parser.add_argument("--black-box-rows", type=int, default=1, help="for A', of Table 3")
    parser.add_argument("--plot", help="file to draw Figure 4 to")
    folder = Path(tempfile.gettempdir()) / "skcf-mnist"
    parser.add_argument("--cache", default=folder, help="folder of nets and answers")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", InvalidCounterfactualWarning)
    torch.set_num_threads(1)
    shows = {
        "table": show_table,
        "black-box": lambda study: show_black_box(study, arguments.black_box_rows),
        "sweep": show_sweep,
        "tests": show_tests,
    }
    with threadpool_limits(1):
        study = Study(arguments)
        accuracy = np.mean(study.predicted == study.y_test)
        print(f"Accuracy of the classifier on the 2,000 images: {accuracy:.3f}")
        for part in arguments.part or PARTS[:-1]:
            shows[part](study)
        if arguments.plot:
            draw(study, arguments.plot)


if __name__ == "__main__":
    main()
