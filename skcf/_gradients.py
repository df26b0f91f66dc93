"""Margins with their gradients, for classifiers that have them without finite differences.

The preprocessing of a pipeline enters as an `Embedding`; the final model behind it is one of
the families of `FAMILIES`. A new family is one function there, which takes a fitted model and
returns a `LinearModel`, a `NetModel` or a `TorchModel`. Whatever it returns is compared with the
classifier's own scores before it is used.
"""

from functools import partial

import numpy as np
from scipy.special import expit, softmax

from skcf._classifiers import as_taken, evaluating
from skcf._embedding import KeptValues, learn_embedding, sample_of, split_classifier

__all__ = [
    "FAMILIES",
    "Gradients",
    "LinearModel",
    "NetModel",
    "TorchModel",
    "alike",
    "known_model",
    "read_gradients",
]


def read_gradients(reader, space, table):
    """Find the gradients of a classifier, if they can be had.

    Parameters
    ----------
    reader : object
        Made by `skcf._classifiers.read_classifier`.
    space : FeatureSpace
        Fitted on the rows that the classifier takes.
    table : Table
        Those rows.

    Returns
    -------
    Gradients, or None
        It pickles.
    """
    model = known_model(split_classifier(reader)[1]) if reader.has_scores else None
    embedding = None if model is None else learn_embedding(reader, space, table)
    if embedding is None:
        return None
    model.offset = getattr(reader, "offset", 0.0)
    gradients = Gradients(embedding, model)
    return gradients if gradients.reproduce(reader, space, sample_of(table)) else None


class Gradients:
    """Margins of encoded rows, with their gradients.

    Parameters
    ----------
    embedding : Embedding
        How encoded rows enter the final model.
    model : LinearModel, NetModel or TorchModel
        The final model.
    """

    def __init__(self, embedding, model):
        self.embedding = embedding
        self.model = model

    def reproduce(self, reader, space, table):
        """Whether the classifier's own scores come out for the rows of a table."""
        Z = space.encoding_.encode(table)
        kept = KeptValues(self.embedding, reader, space, table, Z)
        rows = np.flatnonzero(kept.is_known)
        if not len(rows):
            return False
        known = table.part(rows)
        x = self.embedding(Z[rows], kept, rows)
        try:
            scores, eps = self.model.scores(x), max(self.embedding.eps, self.model.eps)
            self.model.margin_and_grad(x[:2], np.zeros(len(x[:2]), dtype=np.intp))
        except (RuntimeError, TypeError, ValueError):
            # torch has no derivative of something; a subclass takes other columns
            return False
        return alike(scores, reader.scores(as_taken(reader, space, known)), eps)

    def first_order(self, Z, target, kept, rows, with_swaps, probabilities=False):
        """Find margins, and how they change with each feature, to first order.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        target : ndarray of int, shape (n,)
            Class codes.
        kept : KeptValues
            How missing and unseen values enter.
        rows : ndarray of int, shape (n,)
            Which of the rows of `kept` each of them is to replace.
        with_swaps : bool
            Whether the changes with each category are wanted.
        probabilities : bool, default=False
            Whether margins are differences of probabilities, rather than of scores.

        Returns
        -------
        margin : ndarray of float64, shape (n,)
            As `Oracle.margin`.
        grad : ndarray of float64, shape (n, n_features)
            Derivatives by the numbers; zero for categories and missing values.
        swaps : dict of {int: ndarray of float64, shape (n, n_categories)}
            For each categorical feature, the change with each category; empty where they are
            not wanted.
        """
        x, odd = self.embedding(Z, kept, rows), self.embedding.is_odd(Z)
        margin, g = self.model.margin_and_grad(x, target, probabilities)
        grad = g @ self.embedding.slope.T
        grad[odd] = 0.0
        swaps = {}
        for j, table in self.embedding.tables.items() if with_swaps else ():
            swaps[j], now, at = g @ table.T, np.zeros(len(Z)), odd[:, j]
            now[at] = np.sum(g[at] * kept.effect(j, rows[at]), axis=1)
            if len(table):
                now[~at] = swaps[j][~at, Z[~at, j].astype(np.intp)]
            swaps[j] -= now[:, None]
        return margin, grad, swaps


class _PulledBack:
    """A model in float64 whose gradients are had by going back from its scores."""

    offset = 0.0
    eps = float(np.finfo(np.float64).eps)

    def margin_and_grad(self, x, target, probabilities=False):
        """Margins, and their gradients by what enters."""
        return self.pulled_back(x, partial(_lead_of, target=target, probabilities=probabilities))


class LinearModel(_PulledBack):
    """Scores that are linear in what enters; their gradients are their coefficients.

    Parameters
    ----------
    coef : ndarray of float64, shape (n_classes, d)
        Coefficients of each class; of one row, those of the second of two.
    intercept : ndarray of float64, shape (n_classes,)
        Constants, likewise.

    Attributes
    ----------
    offset : ndarray of float64, shape (n_classes,), or 0.0
        What is taken off the scores.
    eps : float
        Relative spacing of the floats that it works with.
    """

    def __init__(self, coef, intercept):
        coef = coef.toarray() if hasattr(coef, "toarray") else np.atleast_2d(coef)
        intercept = np.broadcast_to(intercept, len(coef))
        if len(coef) == 1:
            coef, intercept = np.vstack([0 * coef, coef]), np.append(0.0, intercept)
        self.coef, self.intercept = coef.astype(np.float64), intercept.astype(np.float64)

    def scores(self, x):
        """Scores of the classes, shape (n, n_classes)."""
        return x @ self.coef.T + self.intercept - self.offset

    def pulled_back(self, x, weigh):
        """What a function makes of the scores, and its gradients by what enters.

        Parameters
        ----------
        x : ndarray of float64, shape (n, d)
            What enters.
        weigh : callable
            Takes scores; returns values, shape (n,), and their derivatives by each score.
        """
        values, weight = weigh(self.scores(x))
        return values, weight @ self.coef


class NetModel(_PulledBack):
    """Scores of scikit-learn's MLP, with gradients by going back through its layers.

    Its log-odds are what stands before the last nonlinearity.

    Parameters
    ----------
    coefs, intercepts : list of ndarray of float64
        Of its layers.
    activation : {"identity", "logistic", "tanh", "relu"}
        Between them.

    Attributes
    ----------
    offset : ndarray of float64, shape (n_classes,), or 0.0
        What is taken off the scores.
    eps : float
        Relative spacing of the floats that it works with.
    """

    def __init__(self, coefs, intercepts, activation):
        self.layers = list(zip(coefs, intercepts, strict=True))
        self.activation = activation

    def scores(self, x):
        """Scores of the classes, shape (n, n_classes)."""
        return self._scores(self._outputs(x)[-1])

    def scores_behind(self, first):
        """The same, of what comes out of the first layer."""
        return self._scores(self._through(self.layers[1:], first)[-1])

    def _scores(self, logits):
        if logits.shape[1] == 1:  # for the second of two
            logits = np.hstack([np.zeros_like(logits), logits])
        return logits - self.offset

    def _outputs(self, x):
        """What comes out of each layer."""
        coef, intercept = self.layers[0]
        return self._through(self.layers[1:], x @ coef + intercept)

    def _through(self, layers, z):
        """What comes out of a layer, and then of each of those behind it."""
        outputs, activate = [z], ACTIVATIONS[self.activation][0]
        for coef, intercept in layers:
            outputs.append(activate(outputs[-1]) @ coef + intercept)
        return outputs

    def pulled_back(self, x, weigh):
        """As `LinearModel.pulled_back`."""
        outputs, slope_at = self._outputs(x), ACTIVATIONS[self.activation][1]
        values, weight = weigh(self._scores(outputs[-1]))
        grad = weight[:, weight.shape[1] - outputs[-1].shape[1] :]
        for (coef, _), before in zip(self.layers[:0:-1], outputs[-2::-1], strict=True):
            grad = (grad @ coef.T) * slope_at(before)
        return values, grad @ self.layers[0][0].T


def _lead_of(scores, target, probabilities):
    """By how much the target leads, and how much each score adds to it."""
    at, others = np.arange(len(scores)), scores.copy()
    others[at, target] = -np.inf
    rival = others.argmax(axis=1)
    weight = np.zeros(scores.shape)
    if not probabilities:
        weight[at, target], weight[at, rival] = 1.0, -1.0
        return scores[at, target] - scores[at, rival], weight
    shares = softmax(scores, axis=1)
    own, other = shares[at, target], shares[at, rival]
    weight[at, target], weight[at, rival] = own, -other
    return own - other, weight - (own - other)[:, None] * shares


def _logistic_slope(z):
    share = expit(z)
    return share * (1 - share)


def _tanh_slope(z):
    return 1 - np.tanh(z) ** 2


ACTIVATIONS = {
    "identity": (np.positive, np.ones_like),
    "logistic": (expit, _logistic_slope),
    "tanh": (np.tanh, _tanh_slope),
    "relu": (partial(np.maximum, 0), partial(np.less, 0)),
}
"""Activations of scikit-learn's nets, and their slopes."""


class TorchModel:
    """Scores of a torch module, with gradients by autograd.

    It is called as `skcf._classifiers` calls it: in evaluation mode, in the dtype and on the
    device of its parameters. Margins are those of the log-odds, which go on where the
    classifier's own probabilities round to 0 and 1 and have no slope left.

    Parameters
    ----------
    module : torch.nn.Module
        Gives logits: one a class, or one for the second of two.
    probabilities : callable, optional
        Turns what the module gives into probabilities, where they are no logits.

    Attributes
    ----------
    offset : ndarray of float64, shape (n_classes,), or 0.0
        What is taken off the scores.
    """

    offset = 0.0

    def __init__(self, module, probabilities=None):
        self.module = module
        self.probabilities = probabilities

    @property
    def _like(self):
        import torch

        return next(iter(self.module.parameters()), torch.empty(0))

    @property
    def eps(self):
        """Relative spacing of the floats that it works with."""
        import torch

        return torch.finfo(self._like.dtype).eps

    def scores(self, x):
        """Scores of the classes, shape (n, n_classes)."""
        import torch

        with evaluating(self.module), torch.no_grad():
            return self._scores(self._batch(x)).cpu().numpy()

    def margin_and_grad(self, x, target, probabilities=False):
        """Margins, and their gradients by what enters."""
        import torch

        with evaluating(self.module), torch.inference_mode(False), torch.enable_grad():
            batch = self._batch(x).requires_grad_()
            # a copy: the module may write to what it is given
            scores = self._scores(batch.clone())
            scores = scores.softmax(dim=1) if probabilities else scores
            own = torch.as_tensor(target, device=scores.device)[:, None]
            best_other = scores.scatter(1, own, -torch.inf).max(dim=1).values
            margin = scores.gather(1, own)[:, 0] - best_other
            (grad,) = torch.autograd.grad(margin.sum(), batch)
        return margin.detach().cpu().numpy(), grad.double().cpu().numpy()

    def _batch(self, x):
        import torch

        return torch.tensor(x, dtype=self._like.dtype, device=self._like.device)

    def _scores(self, batch):
        import torch

        out = self.module(batch)
        out = out[0] if isinstance(out, tuple) else out  # as skorch reads it
        if self.probabilities is not None:
            out = self.probabilities(out)
        out = out.double().reshape(len(batch), -1)
        if out.shape[1] == 1:
            first = torch.zeros_like(out) if self.probabilities is None else 1 - out
            out = torch.cat([first, out], dim=1)
        if self.probabilities is not None:
            out = torch.log(out.clamp(min=torch.finfo(out.dtype).tiny))
        return out - torch.as_tensor(self.offset, dtype=out.dtype, device=out.device)


def _linear(model):
    """Whatever decides by scikit-learn's ``X @ coef_.T + intercept_``."""
    return LinearModel(model.coef_, model.intercept_)


def _linear_svm(model):
    """A binary SVM with a linear kernel; several classes are decided by votes of pairs."""
    if model.kernel != "linear" or len(model.classes_) > 2:
        return None
    return LinearModel(model.coef_, model.intercept_)


def _perceptrons(model):
    """scikit-learn's MLP, but for regression or several labels."""
    if model.out_activation_ not in ("logistic", "softmax") or model.activation not in ACTIVATIONS:
        return None
    return NetModel(model.coefs_, model.intercepts_, model.activation)


def _net(net):
    """A skorch net; what its module gives is read as the net itself reads it."""
    import torch

    if callable(net.predict_nonlinearity):
        return TorchModel(net.module_, net.predict_nonlinearity)
    logits = (torch.nn.CrossEntropyLoss, torch.nn.BCEWithLogitsLoss)
    if net.predict_nonlinearity == "auto" and isinstance(net.criterion_, logits):
        return TorchModel(net.module_)
    return TorchModel(net.module_, _as_they_are)


def _as_they_are(probabilities):
    return probabilities


FAMILIES = {
    ("sklearn", "LinearClassifierMixin"): _linear,
    ("sklearn", "SVC"): _linear_svm,
    ("sklearn", "NuSVC"): _linear_svm,
    ("sklearn", "MLPClassifier"): _perceptrons,
    ("skorch", "NeuralNet"): _net,
    ("torch", "Module"): TorchModel,
}
"""Families of final models: package and name of a class, which its subclasses share, and the
function that takes a fitted one and returns its scores, or None. By names, so that no package
is imported which the user has not imported; and a class may move within its package."""


def known_model(final):
    """Read a final model as one whose gradients are known.

    Returns
    -------
    LinearModel, NetModel, TorchModel or None
        None for models of no known family.
    """
    for kind in type(final).__mro__:
        family = FAMILIES.get((kind.__module__.partition(".")[0], kind.__name__))
        if family is not None:
            try:
                return family(final)
            except AttributeError:  # a subclass that keeps what it learns elsewhere
                return None
    return None


def alike(scores, true, eps):
    """Whether scores are the same up to one constant a row, where floats can tell.

    Probabilities near 1 round: of a rival that is far behind, only that it is.
    """
    if scores.shape != true.shape:
        return False
    behind, theirs = (each - each.max(axis=1, keepdims=True) for each in (scores, true))
    close = np.abs(behind - theirs) <= 10 * np.sqrt(eps) * np.maximum(1, np.abs(theirs))
    far = np.log(eps) / 2
    return bool((close | ((behind < far) & (theirs < far))).all())
