"""One face for every kind of classifier: class codes, and scores on the logit scale.

`read_classifier` makes a reader for a scikit-learn estimator, a torch module, a skorch net
or a plain function. A reader never trains or changes what it reads.
"""

import sys
from contextlib import contextmanager

import numpy as np
from scipy.special import logit
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from skcf.space._containers import BACKENDS

__all__ = ["as_taken", "codes_of", "evaluating", "read_classifier", "unfrozen"]

N_SAMPLE = 2000  # rows on which it is settled how a classifier is read


def read_classifier(estimator, space, table, y=None):
    """Make the reader that fits a classifier.

    Parameters
    ----------
    estimator : object
        A fitted scikit-learn classifier, a torch module, a skorch net or a function.
    space : FeatureSpace
        Fitted on the rows that the classifier takes.
    table : Table
        Those rows: how scores are to be read is settled on them.
    y : ndarray of shape (n_samples,), optional
        Labels, which name the classes where the classifier cannot.

    Returns
    -------
    object
        With ``classes``, ``has_scores``, ``takes_encoded``, ``labels(rows)`` and
        ``scores(rows)``; it pickles.
    """
    estimator = unfrozen(estimator)
    if is_torch_module(estimator):
        return TorchReader(estimator, _encoded_sample(space, table), y)
    if is_skorch_net(estimator):
        return SkorchReader(estimator, _encoded_sample(space, table))
    if hasattr(estimator, "predict"):
        return EstimatorReader(estimator, table)
    return FunctionReader(estimator, table, y)


def as_taken(reader, space, table):
    """Rows as the classifier takes them: encoded floats, or the container it knows."""
    return space.encoding_.as_floats(table) if reader.takes_encoded else reader.rows(table)


def unfrozen(estimator):
    """Take a classifier out of its FrozenEstimator, which hides what kind it is."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def is_torch_module(estimator):
    """Whether this is a torch module; does not import torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(estimator, torch.nn.Module)


def is_skorch_net(estimator):
    """Whether this is a skorch net; does not import skorch."""
    skorch = sys.modules.get("skorch")
    return skorch is not None and isinstance(estimator, skorch.NeuralNet)


@contextmanager
def evaluating(module):
    """Put a torch module in evaluation mode, and each of its parts back as it was."""
    modes = [(part, True) for part in module.modules() if part.training]
    if not modes:
        yield
        return
    try:
        module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def codes_of(labels, classes):
    """Position of each label among the classes, -1 where it is none of them."""
    labels = np.asarray(labels).ravel()  # some classifiers predict a column
    order = np.argsort(classes, kind="stable")
    try:
        place = np.searchsorted(classes[order], labels)
    except TypeError:  # text against numbers
        return np.full(len(labels), -1)
    code = order[np.minimum(place, len(classes) - 1)]
    return np.where(classes[code] == labels, code, -1)


class Reader:
    """What is learned of every kind of classifier, by explainers that want it.

    Attributes
    ----------
    embedding : Embedding or None
        How encoded rows enter the final model; see `skcf._embedding.learn_embedding`.
    gradients : Gradients or None
        See `skcf._oracle.Oracle.learn_gradients`.
    shortcut : Shortcut or None
        See `skcf._oracle.Oracle.learn_shortcut`.
    """

    embedding = None
    gradients = None
    shortcut = None


class EstimatorReader(Reader):
    """A fitted scikit-learn classifier, called with the container that it was fitted on.

    Parameters
    ----------
    estimator : estimator
        Has ``predict``; scores come from ``decision_function``, else from ``predict_proba``.
    table : Table
        Rows on which the scores are compared with the labels. Where they disagree (a
        threshold that we cannot read, votes that are no scores), only labels are used.
    """

    takes_encoded = False

    def __init__(self, estimator, table):
        self.estimator = estimator
        self._names = _names_wanted(estimator, table)
        classes = getattr(estimator, "classes_", None)
        # classes that are not told are those that some row has
        sample = table if classes is None else _sample_of(table)
        labels = _checked_labels(estimator.predict(self.rows(sample)), sample.n_rows)
        self.classes = _classes_among(labels) if classes is None else np.asarray(classes)
        self._response = _response(estimator)
        self.has_scores = self._response is not None and self._agree(sample, labels)

    def _agree(self, sample, labels):
        scores = self.scores(self.rows(sample))
        if scores.shape[1] != len(self.classes):
            return False
        best = scores.max(axis=1)
        theirs = scores[np.arange(len(scores)), codes_of(labels, self.classes)]
        return bool(np.all(best - theirs <= 1e-9 * np.maximum(1, np.abs(best))))

    def rows(self, table):
        """Write a table as the container that the classifier expects."""
        if isinstance(self._names, str):
            return table.converted(BACKENDS["array"], None).container()
        if self._names is not None and table.backend.name == "array":
            return table.converted(BACKENDS["pandas"], self._names).container()
        return table.container()

    @property
    def offset(self):
        """What is taken off the scores of the classes for a threshold, shape (n_classes,)."""
        _, threshold, positive = self._response
        return np.where(np.arange(len(self.classes)) == positive, threshold, 0.0)

    def labels(self, rows):
        """Class codes of rows."""
        return codes_of(self.estimator.predict(rows), self.classes)

    def scores(self, rows, estimator=None):
        """Scores of the classes on the logit scale, shape (n_rows, n_classes).

        Those of the whole classifier, or of a part of it that takes other rows.
        """
        method, threshold, positive = self._response
        asked = self.estimator if estimator is None else estimator
        values = np.asarray(getattr(asked, method)(rows), dtype=np.float64)
        if method == "predict_proba":
            values = np.log(np.maximum(values, np.finfo(np.float64).tiny))
        elif values.ndim == 1 or values.shape[1] == 1:
            values = np.column_stack([np.zeros(len(values)), values.ravel()])
        if threshold:
            values[:, positive] -= threshold
        return values


def _names_wanted(estimator, table):
    """How rows are passed: as they are (None), as an array ("array"), or under these names."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        return list(names) if len(names) == len(table.columns) else None
    named = table.names is not None and all(isinstance(name, str) for name in table.names)
    unnamed_fit = named and hasattr(estimator, "n_features_in_")
    return "array" if unnamed_fit else None


def _response(estimator):
    """Which method gives scores, the threshold to take off, and from which class."""
    tuned = (FixedThresholdClassifier, TunedThresholdClassifierCV)
    for part in _deciding_parts(estimator):
        if isinstance(part, tuned):
            return _tuned_response(part)
        if not getattr(part, "break_ties", True) and len(part.classes_) > 2:
            return None  # SVC: the votes of pairs decide, which its scores say only roughly
    for method in ("decision_function", "predict_proba"):
        if hasattr(estimator, method):
            return method, 0.0, 1
    return None


def _deciding_parts(estimator):
    """The estimator itself, its last step or the best of its candidates, theirs, and so on."""
    while estimator is not None:
        yield estimator
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        else:
            estimator = getattr(estimator, "best_estimator_", None)


def _tuned_response(tuned):
    """Response of a binary classifier with a threshold of its own, on the logit scale."""
    methods = ("predict_proba", "decision_function")
    asked = methods if tuned.response_method == "auto" else (tuned.response_method,)
    method = next((name for name in asked if hasattr(tuned.estimator_, name)), None)
    if method is None:
        return None
    neutral = 0.5 if method == "predict_proba" else 0.0
    threshold = getattr(tuned, "best_threshold_", getattr(tuned, "threshold", "auto"))
    threshold = neutral if isinstance(threshold, str) else float(threshold)
    if method == "predict_proba":
        tiny = np.finfo(np.float64).tiny
        threshold = float(logit(np.clip(threshold, tiny, 1 - np.finfo(np.float64).epsneg)))
    positive = _positive_class(tuned)
    if method == "decision_function" and positive == 0:
        return method, -threshold, 1  # the score that is thresholded is the negated one
    return method, threshold, positive


def _positive_class(tuned):
    """Position of the class whose score is held against the threshold."""
    label = getattr(tuned, "pos_label", None)
    scorer = getattr(tuned, "_curve_scorer", None)  # where a tuned threshold keeps it
    if hasattr(scorer, "_get_pos_label"):
        label = scorer._get_pos_label()
    return 1 if label is None else int(codes_of([label], tuned.classes_)[0])


class FunctionReader(Reader):
    """A plain function of rows that returns labels, or scores of shape (n, n_classes).

    Parameters
    ----------
    function : callable
        Takes the container that the explainer was fitted on. Scores that are probabilities
        on the rows of fit are read as such, others as logits.
    table : Table
        Rows to try it on.
    y : ndarray, optional
        Labels that name the columns of the scores.
    """

    takes_encoded = False

    def __init__(self, function, table, y):
        self.function = function
        out = np.asarray(function(table.container()))
        if out.ndim == 0 or len(out) != table.n_rows or out.ndim > 2:
            raise ValueError(
                "A function to explain must return labels of shape (n_samples,) or scores of shape "
                f"(n_samples, n_classes); got shape {out.shape} for {table.n_rows} rows."
            )
        self.has_scores = out.ndim == 2 and out.shape[1] > 1
        if self.has_scores:
            self.classes = name_classes(out.shape[1], y)
            self._probabilities = bool(np.all(out >= 0) and np.allclose(out.sum(axis=1), 1))
        else:
            self.classes = _classes_among(_checked_labels(out, table.n_rows), y)

    def rows(self, table):
        """Write a table as the container that the function expects."""
        return table.container()

    def labels(self, rows):
        """Class codes of rows."""
        out = np.asarray(self.function(rows))
        return _best(out) if self.has_scores else codes_of(out, self.classes)

    def scores(self, rows):
        """Scores of the classes on the logit scale, shape (n_rows, n_classes)."""
        out = np.asarray(self.function(rows), dtype=np.float64)
        return np.log(np.maximum(out, np.finfo(np.float64).tiny)) if self._probabilities else out


class TorchReader(Reader):
    """A torch module that returns logits: one a class, or one for the second of two.

    Parameters
    ----------
    module : torch.nn.Module
        Takes encoded float rows, in the dtype and on the device of its parameters. It is put
        in evaluation mode for each call, and back.
    sample : ndarray of float64, shape (n_rows, n_columns)
        Encoded rows to try it on.
    y : ndarray, optional
        Labels that name the outputs.
    """

    takes_encoded = True
    has_scores = True

    def __init__(self, module, sample, y):
        self.module = module
        out = self._logits(sample[:2])
        self.classes = name_classes(out.shape[1], y)

    def _logits(self, rows):
        import torch

        first = next(iter(self.module.parameters()), torch.empty(0))
        with evaluating(self.module), torch.no_grad():
            # a copy: the module may write to what it is given
            batch = torch.tensor(rows, dtype=first.dtype, device=first.device)
            out = self.module(batch).double().cpu().numpy()
        out = out.reshape(len(rows), -1)
        return np.column_stack([np.zeros(len(out)), out]) if out.shape[1] == 1 else out

    def labels(self, rows):
        """Class codes of encoded rows."""
        return _best(self._logits(rows))

    def scores(self, rows):
        """Logits, shape (n_rows, n_classes)."""
        return self._logits(rows)


class SkorchReader(Reader):
    """A fitted skorch net, called with encoded float rows in its module's dtype.

    Parameters
    ----------
    net : skorch.NeuralNet
        Has ``predict`` and ``predict_proba``.
    sample : ndarray of float64, shape (n_rows, n_columns)
        Encoded rows, on which the scores are compared with the labels.
    """

    takes_encoded = True

    def __init__(self, net, sample):
        self.net = net
        labels = _checked_labels(self._ask(net.predict, sample), len(sample))
        scores = self.scores(sample)
        self.classes = np.asarray(getattr(net, "classes_", np.arange(scores.shape[1])))
        if np.any(codes_of(labels, self.classes) < 0):  # skorch predicts positions, not names
            self.classes = np.arange(scores.shape[1])
        agree = scores.shape[1] == len(self.classes)
        self.has_scores = agree and np.array_equal(self.classes[_best(scores)], labels)

    def cast(self, rows):
        """Rows in the dtype of the module."""
        first = next(iter(self.net.module_.parameters()), None)
        wide = first is not None and str(first.dtype) == "torch.float64"
        return rows.astype(np.float64 if wide else np.float32)

    def _ask(self, method, rows):
        """Call the net; its data loader draws a seed, which is none of the user's."""
        import torch

        with torch.random.fork_rng(devices=[]):
            return method(self.cast(rows))

    def labels(self, rows):
        """Class codes of encoded rows."""
        if np.isnan(rows).any():  # predict would turn NaN into the first class
            _best(self.scores(rows))
        return codes_of(self._ask(self.net.predict, rows), self.classes)

    def scores(self, rows):
        """Scores of the classes on the logit scale, shape (n_rows, n_classes)."""
        proba = np.asarray(self._ask(self.net.predict_proba, rows), dtype=np.float64)
        if proba.ndim == 1 or proba.shape[1] == 1:
            proba = np.column_stack([1 - proba.ravel(), proba.ravel()])
        return np.log(np.maximum(proba, np.finfo(np.float64).tiny))


def _checked_labels(labels, n_rows):
    """Predicted labels as a 1-d array, one a row."""
    labels = np.asarray(labels)
    if labels.shape not in ((n_rows,), (n_rows, 1)):
        raise ValueError(
            f"A classifier to explain must predict one label a row; got shape {labels.shape} for "
            f"{n_rows} rows."
        )
    return labels.ravel()


def _classes_among(labels, y=None):
    """Distinct labels, with those of y that are of their kind."""
    if labels.dtype.kind == "f" and np.any(labels != np.rint(labels)):
        fraction = labels[labels != np.rint(labels)][0]
        raise ValueError(
            f"The classifier predicts {fraction}, which is no label: a classifier is explained, "
            "not a regressor, and scores must have one column a class."
        )
    y = np.empty(0, labels.dtype) if y is None else np.asarray(y)
    alike = (labels.dtype.kind in "OUS") == (y.dtype.kind in "OUS")
    return np.unique(np.concatenate([labels, y])) if alike else np.unique(labels)


def _best(scores):
    """Position of the highest score of each row."""
    if np.isnan(scores).any():  # argmax would pick the missing one
        raise ValueError("The classifier gives NaN as a score.")
    return scores.argmax(axis=1)


def name_classes(n_outputs, y):
    """Labels of a classifier's outputs: those of y where all are there, else 0, 1, ….

    Raises
    ------
    ValueError
        If y holds labels that are not among 0, 1, … and not one for each output.
    """
    if y is None:
        return np.arange(n_outputs)
    seen = np.unique(y)
    if len(seen) == n_outputs:
        return seen
    if not np.isin(seen, np.arange(n_outputs)).all():
        raise ValueError(
            f"The classifier gives {n_outputs} scores a row, but y holds the {len(seen)} labels "
            f"{seen.tolist()}: its outputs cannot be named. Use labels 0 to {n_outputs - 1}, or "
            "fit on rows of every class."
        )
    return np.arange(n_outputs)


def _sample_of(table):
    """A systematic sample: tables are often sorted, by class or by score."""
    rows = np.linspace(0, table.n_rows - 1, min(table.n_rows, N_SAMPLE))
    return table.take(rows.astype(np.intp))


def _encoded_sample(space, table):
    """Encoded rows of a sample of a table, one column for each input column."""
    return space.encoding_.as_floats(_sample_of(table))
