"""IM1 and IM2 of images, at the first crossing and at the endpoint, by autoencoders apart."""

from pathlib import Path

import numpy as np
from _mnist_nets import INK, Asked, judge, kept

from skcf.datasets import fetch_mnist
from skcf.metrics import im1, im2

__all__ = ["image_measures"]

BASE = 1


def image_measures(problem, X, made, answers, told, folder):
    """Add IM1 and IM2 to what was measured."""
    judges = _judges(Path(folder), problem.target)
    for name, (_, X_cf) in answers.items():
        told[name] |= _of(X_cf, problem.target, judges)
    for name, explainer in made.items():
        if hasattr(explainer, "interpolate"):
            path = explainer.interpolate(X, n_steps=2)
            ends = _of(path.X[path.step == 1], problem.target, judges)
            told[name] |= {f"{measure}, alpha 1": value for measure, value in ends.items()}
            told[name]["valid, alpha 1"] = float(np.mean(path.score[path.step == 1] > 0.5))
    told["real rows"] |= _of(problem.real, problem.target, judges)


def _of(X_cf, target, judges):
    both = {"target": target, "autoencoders": judges}
    return {"IM1": im1(X_cf, X_cf, origin=BASE, **both), "IM2": im2(X_cf, X_cf, **both)}


def _judges(folder, target):
    """Of ones, of sevens and of both, among all 10,000 images: nets of paper 5's appendix A."""
    X, y, _ = fetch_mnist()
    X, y = X / X.max() - INK, np.asarray(y).astype(int)
    nets = {}
    for label, of in ((BASE, [BASE]), (target, [target]), (None, [BASE, target])):
        rows = X[np.isin(y, of)]
        path = folder / f"judge-{'-'.join(map(str, of))}.pt"
        net = Asked(kept(path, judge, rows, rows, 0, "of a class"))
        nets[label] = lambda rows, net=net: net(rows - INK) + INK
    return nets
