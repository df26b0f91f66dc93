"""From columns and labels to a trained net: sizes, devices, dtypes, seeds."""

from copy import deepcopy

import numpy as np
import torch
from sklearn.base import clone

from skcf.latent._net import GMMLatentNet

__all__ = ["checked_device", "configured", "trained", "used_module"]

N_CHECKED = 2
"""Rows on which the shapes of modules are checked."""


def checked_device(device):
    """Refuse a device that is not there.

    Parameters
    ----------
    device : str
        As torch names it.

    Returns
    -------
    str
    """
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"device={device!r} is not there: expected one that torch has, as 'cpu'. {first}"
        ) from error
    return device


def configured(net, options):
    """Copy a net, or make one, and set what the explainer says."""
    if net is None:
        return GMMLatentNet(**options)
    if not isinstance(net, GMMLatentNet):
        raise TypeError(
            "net must be an unfitted GMMLatentNet, whose training is that of the method; got "
            f"{type(net).__name__}."
        )
    _check_agreement(net, options)
    return clone(net).set_params(**options)


def _check_agreement(net, options):
    """Refuse a net that has another opinion of what is a parameter of the explainer.

    It would be overruled without a word, and a search over it would find nothing.
    """
    own, untouched = net.get_params(), GMMLatentNet().get_params()
    for name, value in options.items():
        given = own.get(name)
        if name in own and given != untouched.get(name) and given != value:
            parameter = name.removeprefix("module__")
            raise ValueError(
                f"net has {name}={given!r}, but that is a parameter of the explainer, whose "
                f"{parameter} makes it {value!r}: set {parameter} there."
            )


def trained(net, columns, labels, *, seed, dtype, go_on=False):
    """Train a net, or train it further.

    Parameters
    ----------
    net : GMMLatentNet
        Configured.
    columns : ndarray of float64, shape (n_rows, n_columns)
        Rows.
    labels : ndarray of int, shape (n_rows,)
        Class codes.
    seed : int
        Of weights, batches and codes. torch's own state is left as it was.
    dtype : {"float32", "float64"}
        Of the parameters.
    go_on : bool, default=False
        Whether to go on from the weights that there are.

    Returns
    -------
    GMMLatentNet
        The same.
    """
    X = torch.as_tensor(columns, dtype=getattr(torch, dtype))
    y = torch.as_tensor(np.asarray(labels), dtype=torch.int64)
    # weights and orders are drawn on the processor, whatever the device
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        if not go_on:
            net.initialize()
            _check_shapes(net.module_, X[:N_CHECKED].to(net.device))
        net.partial_fit(X, y)
    return net


def _check_shapes(module, X):
    """Refuse modules that give something else than is expected of them, before any epoch."""
    module.eval()
    latent_dim = module.mixture.means.shape[1]
    residual_dim = module.adversary[0].in_features
    with torch.no_grad():
        z = _checked("encoder", module.encoder, X, latent_dim)
        z_u = _checked("encoder", module.residual_encoder, X, residual_dim)
        _checked("decoder", module.decoder, torch.cat([z, z_u], dim=1), X.shape[1])


def _checked(name, module, inputs, n_outputs):
    """What a module gives, if it has the shape expected."""
    shape = (len(inputs), n_outputs)
    try:
        given = module(inputs)
    except RuntimeError as error:
        raise ValueError(
            f"{name} cannot take rows of shape {tuple(inputs.shape)}, of which it is to make "
            f"{shape}: {error}"
        ) from error
    if tuple(given.shape) != shape:
        raise ValueError(
            f"{name} must give shape {shape} for rows of shape {tuple(inputs.shape)}, got "
            f"{tuple(given.shape)}."
        )
    return given


def used_module(net):
    """The trained module, for use: in evaluation mode, on the processor."""
    return (net.module_ if net.device in (None, "cpu") else deepcopy(net.module_).cpu()).eval()
