"""Dense nets as maps in NumPy: small nets and few rows take torch longer to start than to do.

A step of a solver asks for some dozens of rows, of which a net of a few layers makes little work:
the calls take the time. Here a net is a list of matrices and functions of single values, in
float64 whatever its parameters are, so that a solver can tell smaller differences apart.
"""

import math
import sys
from functools import partial

import numpy as np
from scipy.special import erf, expit

from skcf._maps import AffineMap, Map

__all__ = ["DenseMap", "dense_map", "dense_map_of"]

MOST_WEIGHTS = {4: 2**16, 8: 2**18}
"""Weights of a net beyond which torch is left to it, by the bytes of each: in float32 it is faster
with many, and then worth its calls."""

BATCH_ELEMENTS = 2**16
"""Values of the widest layer at a time: what a step makes stays in the cache."""

BLOCK_ELEMENTS = 2**24
"""Values of all layers that a gradient keeps at a time: 128 MiB."""


def dense_map(module):
    """Read a net of dense layers and functions of single values.

    Taken are `torch.nn.Linear` of float32 or float64, the activations of `ACTIVATIONS`, Identity,
    all kinds of dropout (which evaluation mode passes), and `torch.nn.Sequential` of these, also
    nested. What could do something else on its way is left to torch: other classes (also those
    derived from these, and parametrized ones), hooks, and methods that were replaced.

    The module is read as in evaluation mode, once: what becomes of its weights later does not
    change the map. (A torch module that is asked itself would change with them.)

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    AffineMap, DenseMap or None
        An affine map where no activation is between the layers. None: not a net of this kind, or
        so wide that torch takes it faster.
    """
    steps = _steps_of(module)
    weights = [step[0] for step in steps or [] if isinstance(step, tuple)]
    if not weights or sum(W.size for W in weights) > _most_weights(module):
        return None
    if len(weights) < len(steps):
        return DenseMap(steps)
    return _as_affine(steps)


def dense_map_of(layers):
    """The map of layers with hyperbolic tangents between them.

    Parameters
    ----------
    layers : list of tuple of ndarray, shapes (n_inputs, n_outputs) and (n_outputs,)
        Weights, and what is added.

    Returns
    -------
    DenseMap
    """
    steps = [part for W, b in layers for part in ((W.T, b), _tanh)]
    return DenseMap(steps[:-1])


def _most_weights(module):
    return MOST_WEIGHTS[min(weight.element_size() for weight in module.parameters())]


def _steps_of(part):
    """Layers (weights and shifts) and activations of a module; None if it has anything else."""
    nn = sys.modules["torch"].nn
    if not _is_plain(part):
        return None
    if type(part) is nn.Sequential:
        inner = [_steps_of(child) for child in part]
        return None if None in inner else [step for steps in inner for step in steps]
    if type(part) is nn.Linear:
        return _layer(part)
    name = type(part).__name__ if type(part).__module__.startswith("torch.nn.modules.") else None
    if name in PASSED:
        return []
    if name not in ACTIVATIONS or getattr(part, "approximate", "none") != "none":
        return None
    return [ACTIVATIONS[name](part)]


def _is_plain(part):
    """Whether a module does what its class does, and nobody listens."""
    watched = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return "forward" not in vars(part) and not any(getattr(part, name) for name in watched)


def _layer(linear):
    """Weights of a layer, shape (n_outputs, n_inputs), and what is added."""
    torch = sys.modules["torch"]
    weight, bias = linear.weight, linear.bias
    if weight.is_meta or weight.dtype not in (torch.float32, torch.float64):
        return None
    added = torch.zeros(len(weight)) if bias is None else bias
    return [tuple(t.detach().double().cpu().numpy().copy() for t in (weight, added))]


def _as_affine(steps):
    """Layers in a row as one, where that takes less."""
    slope, intercept = steps[0][0].T, steps[0][1]
    if slope.shape[0] * len(steps[-1][0]) > sum(W.size for W, _ in steps):
        return DenseMap(steps)
    for W, b in steps[1:]:
        slope, intercept = slope @ W.T, intercept @ W.T + b
    return AffineMap(slope, intercept)


class DenseMap(Map):
    """A net of dense layers, in float64.

    Parameters
    ----------
    steps : list
        Each a layer, (weights of shape (n_outputs, n_inputs), shifts), or an activation: called
        with an array and whether the slope is wanted, it gives its values and that (or None).
    """

    def __init__(self, steps):
        self.steps = steps
        widths = [max(step[0].shape) for step in steps if isinstance(step, tuple)]
        self.size = max(1, BATCH_ELEMENTS // max(widths, default=1))
        self.block = self.size * max(1, BLOCK_ELEMENTS // max(1, sum(widths)) // self.size)

    def first_layer(self):
        """Its first layer and the map that follows; None if it begins with something else."""
        if not isinstance(self.steps[0], tuple):
            return None
        W, b = self.steps[0]
        return W.T, b, DenseMap(self.steps[1:])

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return _joined([self._forward(Z[b], False)[0] for b in _batches(Z, self.size)])

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``."""
        return self.residual_pullback(Z, lambda values, b: V[b])[1]

    def residual_pullback(self, Z, residual_of):
        """Gradient, with a single pass for it and the values."""
        parts = [self._of_block(Z[b], b, residual_of) for b in _batches(Z, self.block)]
        V, grad = (_joined(arrays) for arrays in zip(*parts, strict=True))
        return V, grad

    def _of_block(self, Z, block, residual_of):
        """The same for some rows, which are asked about as one: forward, and back, in batches."""
        batches = _batches(Z, self.size)
        passed = [self._forward(Z[b], True) for b in batches]
        V = residual_of(_joined([values for values, _ in passed]), block)
        pairs = zip(batches, passed, strict=True)
        return V, _joined([self._back(V[b], slopes) for b, (_, slopes) in pairs])

    def _back(self, V, slopes):
        for step, slope in zip(reversed(self.steps), reversed(slopes), strict=True):
            V = V @ step[0] if slope is None else V * slope
        return V

    def _forward(self, Z, with_slopes):
        slopes = []
        for step in self.steps:
            if isinstance(step, tuple):
                Z, slope = Z @ step[0].T, None
                Z += step[1]
            else:
                Z, slope = step(Z, with_slopes)
            slopes.append(slope)
        return Z, slopes


def _batches(Z, size):
    """Some rows at a time; one batch of no rows, too."""
    return [slice(i, min(i + size, len(Z))) for i in range(0, max(1, len(Z)), size)]


def _joined(parts):
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _relu(X, with_slope):
    return np.maximum(X, 0.0), (X > 0) * 1.0 if with_slope else None


def _leaky_relu(X, with_slope, share):
    if not with_slope and 0 < share <= 1:
        return np.maximum(X, share * X), None
    slope = np.where(X > 0, 1.0, share)
    return X * slope, slope


def _elu(X, with_slope, alpha, scale=1.0):
    """``scale * x`` where positive, ``scale * alpha (e^x - 1)`` elsewhere."""
    below = np.expm1(np.minimum(X, 0.0))
    values = np.maximum(X, 0.0)
    values += below if alpha == 1.0 else alpha * below
    slope = None
    if with_slope:
        slope = below + 1.0  # 1 where X is positive
        if alpha != 1.0:
            slope[X <= 0] *= alpha
    if scale != 1.0:
        values, slope = scale * values, scale * slope if with_slope else None
    return values, slope


def _tanh(X, with_slope):
    values = np.tanh(X)
    return values, 1.0 - values**2 if with_slope else None


def _sigmoid(X, with_slope):
    values = expit(X)
    return values, values * (1.0 - values) if with_slope else None


def _softplus(X, with_slope, beta, threshold):
    """``log(1 + e^(beta x)) / beta``; x itself beyond a threshold, as torch has it."""
    inner = beta * X
    is_line = inner > threshold
    values = np.where(is_line, X, np.logaddexp(0.0, inner) / beta)
    return values, np.where(is_line, 1.0, expit(inner)) if with_slope else None


def _gelu(X, with_slope):
    """``x Phi(x)``, with the distribution function of the normal distribution."""
    share = 0.5 * (1.0 + erf(X / math.sqrt(2.0)))
    if not with_slope:
        return X * share, None
    return X * share, share + X * np.exp(-0.5 * X**2) / math.sqrt(2.0 * math.pi)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
"""Of the definition of SELU."""

ACTIVATIONS = {
    "ReLU": lambda part: _relu,
    "LeakyReLU": lambda part: partial(_leaky_relu, share=part.negative_slope),
    "ELU": lambda part: partial(_elu, alpha=part.alpha),
    "SELU": lambda part: partial(_elu, alpha=SELU_ALPHA, scale=SELU_SCALE),
    "Tanh": lambda part: _tanh,
    "Sigmoid": lambda part: _sigmoid,
    "Softplus": lambda part: partial(_softplus, beta=part.beta, threshold=part.threshold),
    "GELU": lambda part: _gelu,
}
"""What an activation of torch is here."""

PASSED = {"Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"}
"""What evaluation mode leaves out."""
