"""PrototypeExplainer against alibi's CounterfactualProto: validity, EN, IM1, IM2, cost, time.

Run ``SKCF_DATA=... OMP_NUM_THREADS=1 python benchmarks/bench_prototype.py``; see README.md beside
it. Where alibi cannot be run, the other part is run alone.
"""

import argparse
import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from _adult_net import NUMBERS, Adult
from _alibi import LOSSES, alibi_or_why_not, run_alibi
from _cancer_net import (
    DenseAutoencoder,
    as_perceptrons,
    cancer_rows,
    train_autoencoders,
    train_classifier,
)
from _tables import header, verdict
from sklearn.ensemble import RandomForestClassifier
from threadpoolctl import threadpool_limits

from skcf import FeatureSpace, InvalidCounterfactualWarning, PrototypeExplainer
from skcf.metrics import im1, im2

ALIBI = "alibi"
BETA = 0.1  # of EN
CANCER = ("A, c searched", "B", "B, c searched", "C")
SOLVERS = {  # settings of PrototypeExplainer
    "auto": {"n_prototypes": 1},
    # momentum is lost in alibi, see README.md
    "fista": {"solver": "fista", "n_prototypes": 1, "momentum": False, "tol": 0, "min_margin": 0},
    "candidate": {"min_margin": float(np.log(0.7 / 0.3))},  # 20 prototypes, probability above .7
    # what is cheap by the elastic net is not cheap by the city-block cost, unless beta is large
    "cheapest": {"n_prototypes": 20, "select": "cheapest", "beta": 1.0},
}
WITH = {  # the solvers that are run for breast cancer, by loss
    "A, c searched": ("auto", "fista"),
    "B": ("auto", "fista"),
    "B, c searched": ("auto",),
    "C": ("auto", "fista", "candidate"),
}
ADULT_ROWS, ADULT_BATCH, ALONE = 10, 2000, 10
PASSES = {False: 9, True: 1}  # over the rows alone, of which the median counts
ADULT_LOSS = {**LOSSES["C"], "beta": 0.01}  # beta of alibi's documented example; see README.md
MEASURES = ("en", "im1", "im2", "cost")  # lower is better, all of them
HEADER = (
    "| data | seed | loss | explainer | rows | valid | EN | IM1 | IM2 x 10 | cost "
    "| CPU ms a row, one alone | CPU ms a row, all |"
)


class Task:
    """A fitted classifier and the rows that both sides explain.

    Attributes
    ----------
    name : str
        Of the data, and of the classifier where it is not the network.
    seed : int
        Of the classifier and the autoencoders.
    X_train, X : ndarray or DataFrame
        Rows to fit on and to explain.
    model : object
        Fitted classifier.
    handed : dict or None
        What alibi is given of all that, as `run_alibi` takes it, if it is to be run.
    losses : dict
        Settings of CounterfactualProto, by the name of the loss.
    rows, judge : optional
        The rows to explain as counterfactuals are compared with them, and a classifier of such
        rows, where these are others than those of `X`.
    """

    def __init__(self, name, seed, X_train, X, model, handed, losses, rows=None, judge=None):
        self.name, self.seed, self.X_train, self.X = name, seed, X_train, X
        self.model, self.handed, self.losses = model, handed, losses
        self.rows = X if rows is None else rows
        self.judge = model if judge is None else judge
        self.own = self.judge.predict(self.rows)
        self.batch, self.decode, self.solvers = X, None, WITH
        self.fit_parameters, self.autoencoders, self.space = {}, None, None
        self.given_space = FeatureSpace(scale="std")  # of standardised rows: as they are

    def explained(self, name, loss, X_cf, found, alone, together):
        """An answer to the first rows."""
        X = self.rows[: len(X_cf)]
        X_cf = X_cf if self.decode is None else self.decode(X_cf, X)
        return Answer(self, name, loss, X, X_cf, found, alone, together)


@dataclass(frozen=True)
class Answer:
    """What an explainer gave for some rows.

    Parameters
    ----------
    task : Task
        Classifier and rows.
    name, loss : str
        The explainer's, and the loss's.
    X, X_cf : ndarray or DataFrame
        Rows, and what came back.
    found : ndarray of bool
        For which rows it says to have found something.
    alone, together : float
        CPU seconds of a row explained by itself, and of a row of all rows at once.
    """

    task: Task
    name: str
    loss: str
    X: object
    X_cf: object
    found: np.ndarray
    alone: float
    together: float

    def __post_init__(self):
        valid = self.found.copy()
        own = self.task.own[: len(valid)]
        y_cf = own.copy()
        if valid.any():
            y_cf[valid] = self.task.judge.predict(self.X_cf[valid])
        valid &= y_cf != own
        X, X_cf, values = self.X[valid], self.X_cf[valid], dict.fromkeys(MEASURES)
        if self.task.autoencoders is not None and valid.any():
            values["en"] = elastic_net(X, X_cf)
            both = {"target": y_cf[valid], "autoencoders": self.task.autoencoders, "average": None}
            values["im1"] = im1(X, X_cf, origin=own[valid], **both)
            values["im2"] = im2(X, X_cf, **both)
        if self.task.space is not None and valid.any():
            values["cost"] = self.task.space.cost(as_floats(X), as_floats(X_cf))
        object.__setattr__(self, "valid", valid)
        for name, value in values.items():
            a_row = np.full(len(valid), np.nan)
            a_row[valid] = np.nan if value is None else value
            object.__setattr__(self, name, a_row)

    def line(self):
        """A row of the table."""
        told = (self.task.name, self.task.seed, self.loss, self.name, len(self.X))
        return "| " + " | ".join(map(str, told)) + " " + numbers([self])


def numbers(answers):
    """Columns of the tables with numbers, over all rows of some answers."""
    over = {name: mean_of(answers, name) for name in MEASURES}
    alone, together = (1e3 * mean_of(answers, name) for name in ("alone", "together"))
    return (
        f"| {mean_of(answers, 'valid'):.3f} | {over['en']:.2f} | {over['im1']:.2f} "
        f"| {10 * over['im2']:.2f} | {over['cost']:.3f} | {alone:.2f} | {together:.3f} |"
    )


def mean_of(answers, name, rows=None):
    """Mean over the rows that have a value, all rows or some of each answer."""
    values = np.concatenate([np.atleast_1d(getattr(one, name)).astype(float) for one in answers])
    values = values if rows is None else values[rows]
    return values[np.isfinite(values)].mean() if np.isfinite(values).any() else np.nan


def elastic_net(X, X_cf):
    """EN of each row: beta L1 + L2 squared."""
    delta = np.asarray(X_cf) - np.asarray(X)
    return BETA * np.abs(delta).sum(axis=1) + (delta**2).sum(axis=1)


def as_floats(X):
    """Rows of Adult with numbers that need not be whole: alibi's are not."""
    return X.astype(dict.fromkeys(NUMBERS, float))


def cancer(seed):
    """Breast cancer as in section 4.3 and appendix A of the paper."""
    X, y, X_test, _ = cancer_rows()
    layers = train_classifier(X, y, seed)
    model = as_perceptrons(layers)
    handed = {"layers": layers, "X_train": X, "X": X_test}
    losses = {name: LOSSES[name] for name in CANCER}
    task = Task("breast cancer", seed, X, X_test, model, handed, losses)
    task.autoencoders = autoencoders(X, model, seed)
    return task


def forest(seed):
    """The same rows with a random forest, which has no gradients."""
    X, y, X_test, _ = cancer_rows()
    parameters = {"n_estimators": 100, "random_state": seed}
    model = RandomForestClassifier(n_jobs=1, **parameters).fit(X, y)
    handed = {"forest": parameters, "X_train": X, "y_train": y, "X": X_test}
    losses = {"C": LOSSES["C"]}
    task = Task("breast cancer, forest", seed, X, X_test, model, handed, losses)
    task.autoencoders = autoencoders(X, model, seed)
    return task


def autoencoders(X, model, seed):
    """One for each class that the model predicts, and one for all rows, as functions."""
    layers = train_autoencoders(X, model.predict(X), seed)
    return {label: DenseAutoencoder(each) for label, each in layers.items()}


def adult(seed):
    """People who are predicted to earn at most 50,000 $: as alibi takes them, and as they came."""
    data = Adult(seed)
    rejected = data.X_test[data.model.predict(data.X_test) == 0][:ADULT_BATCH]
    few, ordinal = rejected[:ADULT_ROWS], data.space.ordinal_features
    free = FeatureSpace(ordinal_features=ordinal).fit(as_floats(data.X_train))
    tasks = []
    for distance in ("abdm", "mvdm"):
        settings = {"cat_vars": data.cat_vars(), "ohe": True, "feature_range": data.feature_range()}
        handed = {
            "layers": data.layers,
            "X_train": data.encode(data.X_train),
            "X": data.encode(few),
            "fit": {"d_type": distance, "disc_perc": [25, 50, 75]},
        }
        losses = {"C": {**ADULT_LOSS, **settings}}
        what, as_they_came = f"adult, {distance}", {"rows": few, "judge": data.model}
        onehot = Task(
            what, seed, handed["X_train"], handed["X"], data.net, handed, losses, **as_they_came
        )
        onehot.batch, onehot.decode = data.encode(rejected), data.decode
        onehot.given_space = FeatureSpace(onehot_groups=data.onehot_groups())
        frame = Task(f"{what}, DataFrame", seed, data.X_train, few, data.model, None, losses)
        frame.batch, frame.given_space = rejected, FeatureSpace(ordinal_features=ordinal)
        tasks += [onehot, frame]
        for task in (onehot, frame):
            task.space, task.solvers = free, {"C": ("auto", "fista", "cheapest")}
            task.fit_parameters = {"categorical_distance": distance}
    return tasks


def theirs(task, loss):
    """Alibi's answer, one row after the other: it takes no batch."""
    explain = {"k": 1} if task.losses[loss]["theta"] else {}
    asked = {**task.handed, "settings": task.losses[loss], "explain": explain, "seed": task.seed}
    told = run_alibi(asked)
    apart = np.abs(told["proba"] - task.model.predict_proba(task.X)).max()
    assert apart < 1e-5, f"the classifiers are {apart} apart"
    for raised in filter(None, told["raised"]):
        print(f"alibi raised {raised}")
    seconds = told["seconds"].mean()
    return task.explained(ALIBI, loss, told["X_cf"], told["found"], seconds, seconds)


def explainer_of(kind, task, loss, **changes):
    """An explainer of this class with the settings of a loss, but for some changes; fitted."""
    settings = task.losses[loss]
    parameters = {
        "target_class": "other",
        "feature_space": task.given_space,
        "c": settings["c_init"],
        "learning_rate_init": settings["learning_rate_init"],
        "max_steps": settings["max_iterations"],
        "random_state": task.seed,
        **{name: settings[name] for name in ("beta", "theta", "kappa", "c_steps")},
        **task.fit_parameters,
        **changes,
    }
    explainer = kind(task.model, **parameters)
    return explainer.fit(task.X_train, task.model.predict(task.X_train))


def ours(task, loss, solver, batch):
    """What PrototypeExplainer gives, and its CPU seconds a row.

    Parameters
    ----------
    task : Task
        Classifier and rows.
    loss : str
        Of the task's.
    solver : str
        One of `SOLVERS`.
    batch : bool
        Whether all rows are explained at once, or the first few one by one.

    Returns
    -------
    result : CounterfactualResult
        Of all rows, or of the last.
    seconds : float
        A row.
    """
    explainer = explainer_of(PrototypeExplainer, task, loss, **SOLVERS[solver])
    if batch:
        explainer.explain(task.batch[:2])  # what is made ready on the first call
        return timed(explainer, [task.batch])
    rows = [task.X[i : i + 1] for i in range(min(ALONE, len(task.X)))]
    timings = [timed(explainer, rows) for _ in range(PASSES[solver == "fista"])]
    return timings[0][0], float(np.median([seconds for _, seconds in timings]))


def timed(explainer, parts):
    """The last result, and CPU seconds a row."""
    start = time.process_time()
    for X in parts:
        result = explainer.explain(X)
    return result, (time.process_time() - start) / sum(map(len, parts))


def our_answer(task, loss, solver):
    """Both timings, and the answer to the rows that alibi had, too; how many were not valid."""
    result, together = ours(task, loss, solver, batch=True)
    _, alone = ours(task, loss, solver, batch=False)
    n, found = len(task.X), result.status == "found"
    name = f"skcf, {solver}"
    if len(task.batch) > n:
        print(f"{task.name}: {name}: {found.sum()} of {len(found)} valid in the batch")
    return task.explained(name, loss, result.X_cf[:n], found[:n], alone, together)


class Run:
    """All answers; prints the tables."""

    def __init__(self, with_alibi, losses=""):
        self.with_alibi, self.losses, self.answers = with_alibi, losses, []

    def add(self, task):
        """Explain the rows of a task by all explainers with all losses."""
        for loss in filter(lambda name: name.startswith(self.losses), task.losses):
            if self.with_alibi and task.handed is not None:
                self.keep(theirs(task, loss))
            for solver in task.solvers[loss]:
                self.keep(our_answer(task, loss, solver))

    def keep(self, answer):
        """Print and keep an answer."""
        self.answers.append(answer)
        print(answer.line(), flush=True)

    def groups(self):
        """Answers over the seeds, by data, loss and explainer."""
        groups = {}
        for one in self.answers:
            groups.setdefault((one.task.name, one.loss, one.name), []).append(one)
        return groups

    def show_means(self):
        """Print the means over the seeds."""
        print("\n## Means over the seeds\n")
        header(HEADER.replace(" seed |", " seeds |"))
        for (data, loss, name), ones in self.groups().items():
            told = (data, len(ones), loss, name, sum(len(one.X) for one in ones))
            print("| " + " | ".join(map(str, told)) + " " + numbers(ones))

    def show_asked(self):
        """Print what was asked, and whether it was met."""
        groups = self.groups()
        print("\n## Asked (issue 6)\n")
        for (data, loss, name), ones in groups.items():
            if name != ALIBI and (data, loss, ALIBI) in groups:
                compare(f"{data}, {loss}, {name}", ones, groups[data, loss, ALIBI])


def compare(what, mine, peer):
    """Print which of the things asked for a loss are met; costs over rows valid for both."""
    both = np.concatenate([one.valid & other.valid for one, other in zip(mine, peer, strict=True)])
    ratio = {name: mean_of(mine, name, both) / mean_of(peer, name, both) for name in MEASURES}
    alone, batch = (mean_of(peer, "alone") / mean_of(mine, name) for name in ("alone", "together"))
    if what.endswith("candidate") or ", B, skcf, auto" in what or ", B, c searched" in what:
        told = ", ".join(f"{name} {value:.3f} x" for name, value in ratio.items())
        print(f"    NOTE  {what}: {told}, as fast {alone:.0f} x alone, {batch:.0f} x in a batch")
        return
    if what.endswith("fista"):
        verdict(batch >= 20, f"{what}: batch at least 20 x: {batch:.0f}")
        if np.isfinite(ratio["en"]):
            verdict(abs(ratio["en"] - 1) <= 0.05, f"{what}: EN within 5 %: {ratio['en']:.3f}")
        return
    least, slack, measures = asked_of(what)
    verdict(alone >= least, f"{what}: one row at least {least} x: {alone:.0f}")
    verdict(batch >= 1000, f"{what}: batch at least 1000 x: {batch:.0f}")
    for name in measures:
        verdict(ratio[name] <= slack, f"{what}: {name} at most {slack:g} x: {ratio[name]:.3f}")
    valid = mean_of(mine, "valid")
    needed = mean_of(peer, "valid") if ", A" in what or ", B" in what else 1.0
    verdict(valid >= needed, f"{what}: valid at least {needed:.3f}: {valid:.3f}")


def asked_of(what):
    """How many times as fast one row is to be, what ratio of which measures is allowed."""
    if what.startswith("adult"):
        return 300, 1.0, ("cost",)
    if what.startswith("breast cancer, C"):
        return 300, 1.05, ("en", "im1", "im2")
    return 100, 1.0, () if "forest" in what else ("en",)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="run parts whose name contains this")
    parser.add_argument("--seeds", type=int, default=3, help="number of classifiers")
    parser.add_argument("--losses", default="", help="run losses whose name begins with this")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", InvalidCounterfactualWarning)
    torch.set_num_threads(1)
    run = Run(alibi_or_why_not() is None, arguments.losses)
    header(HEADER)
    with threadpool_limits(1):
        for make in (cancer, forest, adult):
            seeds = range(arguments.seeds if make is not adult else 1)
            for seed in seeds if arguments.only in make.__name__ else ():
                made = make(seed)
                for task in made if isinstance(made, list) else [made]:
                    run.add(task)
    run.show_means()
    run.show_asked()


if __name__ == "__main__":
    main()
