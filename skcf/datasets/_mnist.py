"""Handwritten digits: from a local folder, else from OpenML."""

from os import PathLike

import numpy as np

from skcf.datasets._fetch import CHECKED, local_path, openml
from skcf.space import FeatureSpace

__all__ = ["fetch_mnist"]

FILE = "mnist_t10k.npz"

N_IMAGES, N_PIXELS, HIGHEST = 10_000, 28 * 28, 255

N_ALL = 70_000
"""Images on OpenML: the test images are the last ones."""


@CHECKED
def fetch_mnist(*, data_home: str | PathLike | None = None) -> tuple:
    """Load the test images of MNIST: which digit is it.

    10,000 handwritten digits as images of 28 by 28 pixels. They are the smaller part of MNIST, the
    one that classifiers are usually tested on; its people did not write the other 60,000.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds `mnist_t10k.npz`, with the arrays `X` (the images) and `y` (the digits);
        by default, the one that the environment variable `SKCF_DATA` names. Where the file is not
        there, version 1 of "mnist_784" is downloaded from OpenML by
        :func:`sklearn.datasets.fetch_openml`, which keeps it in this folder, or by default in
        scikit-learn's data home.

    Returns
    -------
    X : ndarray of float64, shape (10000, 784)
        Grey levels from 0 (paper) to 255 (ink), all whole numbers; the rows of an image one after
        the other, so ``X[i].reshape(28, 28)`` is an image.
    y : ndarray of int64, shape (10000,)
        The digits.
    feature_space : FeatureSpace
        Not fitted. Pixels are whole numbers from 0 to 255.

    Raises
    ------
    OSError
        If the file is in no folder and cannot be downloaded.
    ValueError
        If what was found are no such images.

    See Also
    --------
    sklearn.datasets.load_digits : Smaller digits, which come with scikit-learn.

    Notes
    -----
    A change across the range that a pixel has in the data costs 1. So ink is cheap where people
    write, and dear at the edges, where they never do. From OpenML the 60,000 other images are
    downloaded too, and left out. They are described in [1]_.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. "Gradient-based learning applied to document
       recognition." Proceedings of the IEEE 86 (1998), 2278-2324.

    Examples
    --------
    >>> from skcf.datasets import fetch_mnist
    >>> X, y, feature_space = fetch_mnist()  # doctest: +SKIP
    >>> X[0].reshape(28, 28).max(), y[0]  # doctest: +SKIP
    (np.float64(255.0), np.int64(7))
    """
    path = local_path(FILE, data_home)
    if path and path.is_file():
        images, digits, origin = _read(path)
    else:
        images, digits, origin = _download(data_home, path)
    X, y = _in_form(images, digits, origin)
    pixels = range(N_PIXELS)
    feature_space = FeatureSpace(
        integer_features=list(pixels), permitted_range=dict.fromkeys(pixels, (0, HIGHEST))
    )
    return X, y, feature_space


def _read(path):
    with np.load(path) as arrays:
        absent = [name for name in ("X", "y") if name not in arrays]
        if absent:
            raise ValueError(
                f"{path} must have the arrays 'X' and 'y'; it lacks {absent} and has "
                f"{list(arrays)}."
            )
        return arrays["X"], arrays["y"], str(path)


def _download(data_home, path):
    """Fetch all images from OpenML, and take the last ones."""
    name, version = "mnist_784", 1
    fetched = openml(name, version, file=FILE, path=path, data_home=data_home, as_frame=False)
    origin = f"{name!r} on OpenML"
    if len(fetched.data) != N_ALL:
        raise ValueError(f"{origin} must have {N_ALL} images; it has {len(fetched.data)}.")
    return fetched.data[-N_IMAGES:], fetched.target[-N_IMAGES:], origin


def _in_form(images, digits, origin):
    """One row of grey levels for each image, and one digit."""
    X = np.array(images, dtype=np.float64).reshape(len(images), -1)
    if X.shape[1] != N_PIXELS or np.shape(digits) != (len(X),):
        raise ValueError(
            f"{origin} must have images of {N_PIXELS} pixels and a digit for each; it has arrays "
            f"of shape {np.shape(images)} and {np.shape(digits)}."
        )
    _check_whole(X, HIGHEST, "grey levels", origin)
    y = np.array(digits, dtype=np.float64)  # OpenML writes them as text
    _check_whole(y, 9, "digits", origin)
    return X, y.astype(np.int64)


def _check_whole(values, highest, what, origin):
    wrong = values[~((values >= 0) & (values <= highest) & (values == np.rint(values)))]
    if len(wrong):
        raise ValueError(
            f"{origin} must hold {what} from 0 to {highest}, whole numbers; got {wrong[0]:g}."
        )
