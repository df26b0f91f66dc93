"""Whether counterfactuals stay valid when the model is trained again."""

import sys
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.utils import check_random_state

from skcf._classifiers import as_taken, codes_of, is_skorch_net, read_classifier, unfrozen
from skcf._targets import reached
from skcf.metrics._answers import Answers
from skcf.metrics._points import checked_labels
from skcf.metrics._rows import check_average, check_positive, read_pairs

__all__ = ["robustness"]

LARGEST_SEED = 2**31 - 1


def robustness(
    X: Any,
    X_cf: Any = None,
    *,
    estimator: Any,
    X_train: Any,
    y_train: Any,
    n_refits: int = 10,
    target_class: Any = None,
    feature_space: Any = None,
    status: Any = None,
    n_jobs: int | None = None,
    random_state: Any = 0,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Share of refits of the model under which the counterfactual is still valid.

    ``1/B sum_b [f_b(x') is the target]``, with f_b the model, cloned and fitted on a bootstrap
    sample of its training rows: 1 less the invalidation rate of [1]_ over these models. Each
    label's rows are drawn among themselves, with replacement and as many as there are, so that
    every sample holds every label, in its true share.

    With ``target_class="other"`` a counterfactual is valid where f_b does not give it the label
    that the *original* model gave its row: that is the decision to be left. What f_b says of the
    row itself is not asked.

    Range 0 to 1, the more the better; what lies on the boundary comes to about a half. Rows
    without a counterfactual, and rows that needed none by the status, have no value; a
    counterfactual that is not valid for the original model has. Cost: `n_refits` fits; each is
    asked twice about X_cf.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    estimator : estimator
        The classifier, fitted: a scikit-learn classifier or Pipeline, or a skorch net; bare or in a
        FrozenEstimator. What is frozen inside of it, a step of a Pipeline, is not fitted again.
    X_train : array-like or DataFrame of shape (n_train, n_columns)
        The rows that it was trained on.
    y_train : array-like of shape (n_train,)
        The true labels that it was trained on; not what it predicts.
    n_refits : int, default=10
        Number of refits. The standard error of a row's share is at most ``0.5 / sqrt(n_refits)``.
    target_class : object, default=None
        Label that the rows were to get; as explainers take it.
    feature_space : FeatureSpace, default=None
        Fitted. None: read off X_train.
    status : array-like of str or bool, default=None
        What became of each row.
    n_jobs : int, default=None
        Number of refits at a time, as in joblib; the values do not depend on it.
    random_state : int, RandomState instance or None, default=0
        Draws a seed for each refit: of its sample, and of every parameter ``random_state`` of the
        estimator and its parts, so that a refit differs by chance as a training run does.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    TypeError
        If the estimator cannot be cloned and fitted: a function, a torch module.
    ValueError
        If y_train does not hold the classes of the estimator, each of them.

    See Also
    --------
    stability : The same for small changes of the row.
    margin : How far beyond the boundary counterfactuals are; needs no refit.

    References
    ----------
    .. [1] E. Black, Z. Wang, M. Fredrikson, A. Datta. "Consistent counterfactuals for deep
       models." ICLR 2022.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcf.metrics import robustness
    >>> X, y = make_blobs(100, centers=[[0, 0], [2, 0]], random_state=0)
    >>> model = LogisticRegression().fit(X, y)
    >>> x, x_cf = [[0.0, 0.0], [0.0, 0.0]], [[1.1, 0.0], [3.0, 0.0]]
    >>> shares = robustness(
    ...     x, x_cf, estimator=model, X_train=X, y_train=y, n_refits=20, average=None
    ... )
    >>> bool(shares[0] < shares[1] == 1.0)
    True
    """
    check_average(average)
    estimator = _checked_estimator(estimator)
    check_positive(n_refits, "n_refits")
    pairs = read_pairs(X, X_cf, feature_space, status, reference=X_train)
    answers = Answers(estimator, pairs, target_class)
    training = _Training(answers, pairs.space, estimator, X_train, y_train)
    after = pairs.after.take(pairs.places)
    # one seed a refit: whatever the order in which they are done
    seeds = check_random_state(random_state).randint(LARGEST_SEED, size=n_refits)
    n_valid = np.zeros(len(pairs.places))
    if len(pairs.places):
        own = answers.own[pairs.places]
        tasks = [delayed(training.codes_after_refit)(seed, after) for seed in seeds]
        for codes in Parallel(n_jobs=n_jobs, return_as="generator")(tasks):
            n_valid += reached(codes, own, answers.target)
    return pairs.averaged(n_valid / n_refits, average)


def _checked_estimator(estimator):
    """The estimator out of its FrozenEstimator, if it can be cloned and fitted."""
    estimator = unfrozen(estimator)
    has_all = all(hasattr(estimator, name) for name in ("fit", "predict", "get_params"))
    if not has_all or isinstance(estimator, type):
        raise TypeError(
            "robustness fits the classifier anew: estimator must be a scikit-learn estimator or a "
            "skorch net, with fit, predict and get_params. A function or a torch module cannot be "
            f"cloned and fitted; got {estimator!r}."
        )
    return estimator


class _Training:
    """The rows that a classifier was trained on, to train it again.

    Parameters
    ----------
    answers : Answers
        Of the classifier as it is: its classes, and the rows as it takes them.
    space : FeatureSpace
        How rows are read.
    estimator : estimator
        The classifier.
    X_train, y_train : array-like
        Rows and true labels.
    """

    def __init__(self, answers, space, estimator, X_train, y_train):
        self.space, self.estimator = space, estimator
        self.reader = answers.reader
        self.table = space._tabulate(X_train)
        self.y = checked_labels(y_train, self.table.n_rows, name="y_train", rows="row of X_train")
        self.codes = codes_of(self.y, self.reader.classes)
        self._check_labels()

    def _check_labels(self):
        """Refuse labels that the classifier cannot have been trained on."""
        classes = self.reader.classes.tolist()
        if set(self.codes.tolist()) != set(range(len(classes))):
            labels = np.unique(self.y.astype(str) if self.y.dtype == object else self.y)
            raise ValueError(
                f"y_train must hold the classes of the estimator, {classes}, each of them, and no "
                f"other label; got {labels.tolist()}."
            )

    def codes_after_refit(self, seed, table):
        """Class codes that the classifier gives to rows, once it is trained again."""
        random = np.random.RandomState(seed)
        rows = self._sample(random)
        refit = _reseeded(clone(self.estimator), random)
        X = as_taken(self.reader, self.space, self.table.take(rows))
        if is_skorch_net(refit):
            X = self.reader.cast(X)
        with _torch_seeded(random.randint(LARGEST_SEED)):
            refit.fit(X, self.y[rows])
            reader = read_classifier(refit, self.space, table)
            codes = reader.labels(as_taken(reader, self.space, table))
        return codes_of(reader.classes[codes], self.reader.classes)

    def _sample(self, random):
        """A bootstrap sample of the rows of each label."""
        rows = [np.flatnonzero(self.codes == code) for code in range(len(self.reader.classes))]
        return np.concatenate([random.choice(some, size=len(some)) for some in rows])


def _reseeded(estimator, random):
    """Set every parameter that seeds the estimator or a part of it."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]
    seeds = {name: int(random.randint(LARGEST_SEED)) for name in sorted(names)}
    return estimator.set_params(**seeds) if seeds else estimator


@contextmanager
def _torch_seeded(seed):
    """Let nets draw from a seed of their own; does not import torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
