"""ImageRowDisplay: rows of images, such as the steps of a way, or what explainers make of a few."""

from math import prod

import numpy as np

from skcf._values import shortened
from skcf.inspection._panels import AFTER, REMARK
from skcf.inspection._rows import checked_rows
from skcf.space._containers import Table, checked_container

__all__ = ["ImageRowDisplay"]

SIZE, TITLE_HEIGHT, LABEL_WIDTH = 0.95, 0.24, 1.1
"""Inches of an image, of the text above it, and of the names of lines."""

MOST_SHOWN = 8
"""Rows that are shown where none are named."""

FRAME = "0.8"

LONGEST_NAME = 24


class ImageRowDisplay:
    """Images in lines and columns, with a text above each.

    The steps of rows on their way to their counterfactuals, with the classifier's score (Figure 3
    of [1]_), by :meth:`from_path`; images above what several explainers make of them, with the
    class that the classifier puts each in (Figure 2), by :meth:`from_results`; or any others. Texts
    are blue above images that the classifier puts in the target, and grey above all others.

    Parameters
    ----------
    images : array-like of float, shape (n_lines, n_columns, n_pixels)
        Images as flat rows.
    image_shape : tuple of int
        Rows and columns of pixels, or channels and these.
    texts : array-like of str, shape (n_lines, n_columns), default=None
        What is written above each.
    arrived : array-like of bool, shape (n_lines, n_columns), default=None
        Which are in the target.
    line_names : sequence of str, default=None
        What the lines are called.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_lines, n_columns)
        One for each image.
    images_ : ndarray of matplotlib AxesImage, shape (n_lines, n_columns)
        The images.
    figure_ : matplotlib Figure
        The figure that they are in.

    See Also
    --------
    LatentDisplay : The ways in the latent space.
    skcf.GMMLatentExplainer.interpolate : Rows on their ways.

    References
    ----------
    .. [1] X. Zhao, K. Broelemann, G. Kasneci. "Counterfactual explanation via search in Gaussian
       mixture distributed latent space." arXiv:2307.13390, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.inspection import ImageRowDisplay
    >>> images = np.random.default_rng(0).uniform(size=(2, 5, 64))
    >>> display = ImageRowDisplay(images=images, image_shape=(8, 8), line_names=["a", "b"])
    >>> display.plot().axes_.shape
    (2, 5)
    """

    def __init__(self, *, images, image_shape, texts=None, arrived=None, line_names=None):
        self.images = images
        self.image_shape = image_shape
        self.texts = texts
        self.arrived = arrived
        self.line_names = line_names

    @classmethod
    def from_path(cls, path, image_shape, *, rows=None, ax=None, cmap="gray_r"):
        """Draw rows on their way: a line each, a column for each step, scores above.

        Parameters
        ----------
        path : LatentPath
            What `GMMLatentExplainer.interpolate` gives.
        image_shape : tuple of int
            Rows and columns of pixels, or channels and these.
        rows : int or array-like of int, default=None
            Positions of the rows to show, among those that were given to it. None: the first 8.
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, see :meth:`plot`.
        cmap : str or matplotlib Colormap, default="gray_r"
            Colours of images with one channel.

        Returns
        -------
        ImageRowDisplay

        Raises
        ------
        TypeError
            If path is none.
        ValueError
            If there are no such rows, or image_shape is not that of the rows.
        """
        if not all(hasattr(path, name) for name in ("X", "score", "step", "y_target")):
            raise TypeError(
                "ImageRowDisplay.from_path takes a LatentPath, as interpolate gives it; got "
                f"{type(path).__name__}."
            )
        n_steps = int(np.max(path.step)) + 1
        pixels = _pixels(path.X, image_shape)
        chosen = _chosen(rows, len(pixels) // n_steps)
        scores = np.reshape(path.score, (-1, n_steps))[chosen]
        display = cls(
            images=pixels.reshape(-1, n_steps, pixels.shape[1])[chosen],
            image_shape=tuple(image_shape),
            texts=[[f"{score:.2f}" for score in line] for line in scores],
            arrived=scores > 0.5,
            line_names=[f"to {target}" for target in np.asarray(path.y_target)[chosen * n_steps]],
        )
        return display.plot(ax=ax, cmap=cmap)

    @classmethod
    def from_results(cls, results, image_shape, *, rows=None, ax=None, cmap="gray_r"):
        """Draw images and below each its counterfactuals: a line for each explainer.

        Parameters
        ----------
        results : dict of {str: CounterfactualResult}
            What ``explain`` of each explainer gave for the same rows, by its name.
        image_shape : tuple of int
            Rows and columns of pixels, or channels and these.
        rows : int or array-like of int, default=None
            Positions of the rows to show. None: the first 8.
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, see :meth:`plot`.
        cmap : str or matplotlib Colormap, default="gray_r"
            Colours of images with one channel.

        Returns
        -------
        ImageRowDisplay

        Raises
        ------
        TypeError
            If results are not results by names.
        ValueError
            If they are not of the same rows, if there are no such rows, or if image_shape is not
            that of the rows.
        """
        first = _first_of(results)
        pixels = _pixels(first.X, image_shape)
        for name, result in results.items():
            if not np.array_equal(_pixels(result.X, image_shape), pixels, equal_nan=True):
                raise ValueError(f"results must be of the same rows; those of {name!r} are others.")
        chosen = _chosen(rows, len(pixels))
        found = [result.status[chosen] == "found" for result in results.values()]
        classes = [first.y, *(result.y_cf for result in results.values())]
        display = cls(
            images=[
                pixels[chosen],
                *(_pixels(result.X_cf, image_shape)[chosen] for result in results.values()),
            ],
            image_shape=tuple(image_shape),
            texts=[[str(label) for label in np.asarray(line)[chosen]] for line in classes],
            arrived=[np.zeros(len(chosen), dtype=bool), *found],
            line_names=["image", *results],
        )
        return display.plot(ax=ax, cmap=cmap)

    def plot(self, *, ax=None, cmap="gray_r"):
        """Draw the images.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw: one for each image, line by line, or one that is divided. None: a new
            figure.
        cmap : str or matplotlib Colormap, default="gray_r"
            Colours of images with one channel. All images have one scale, from the least pixel to
            the largest.

        Returns
        -------
        ImageRowDisplay
            Itself.

        Raises
        ------
        ValueError
            If images, image_shape, texts and names do not go together, or there are not as many
            Axes as images.
        """
        pictures, low, high = _pictures(self.images, tuple(self.image_shape))
        shape = pictures.shape[:2]
        texts = _checked_grid("texts", self.texts, shape)
        arrived = _checked_grid("arrived", self.arrived, shape)
        if self.line_names is not None and len(self.line_names) != shape[0]:
            raise ValueError(
                f"line_names must name {shape[0]} lines, got {len(self.line_names)} names."
            )
        self.axes_ = _axes_for(shape, ax, self.line_names is not None)
        self.figure_ = self.axes_[0, 0].figure
        self.images_ = np.empty(shape, dtype=object)
        for at in np.ndindex(shape):
            picture = self.axes_[at].imshow(pictures[at], cmap=cmap, vmin=low, vmax=high)
            self.images_[at] = picture
            self.axes_[at].set(xticks=[], yticks=[])
            self.axes_[at].spines[:].set_color(FRAME)
            if texts is not None:
                color = AFTER if arrived is not None and arrived[at] else REMARK
                self.axes_[at].set_title(str(texts[at]), fontsize="small", color=color, pad=3)
        for ax_, name in zip(self.axes_[:, 0], self.line_names or (), strict=False):
            text = shortened(str(name), LONGEST_NAME)
            ax_.set_ylabel(text, rotation=0, ha="right", va="center", fontsize="small")
        return self


def _first_of(results):
    """The first of the results, where there are any."""
    is_named = isinstance(results, dict) and results
    if not is_named or not all(hasattr(r, "X_cf") for r in results.values()):
        raise TypeError(
            "ImageRowDisplay.from_results takes results by their names, as {'latent': "
            f"explainer.explain(X)}}; got {type(results).__name__}."
        )
    return next(iter(results.values()))


def _pixels(X, image_shape):
    """Flat rows of numbers, as many as image_shape says."""
    table = Table.of(checked_container(X))
    if prod(image_shape) != len(table.columns):
        raise ValueError(
            f"image_shape={tuple(image_shape)} is of {prod(image_shape)} pixels, but rows have "
            f"{len(table.columns)} columns."
        )
    return np.asarray(table.container(), dtype=float)


def _chosen(rows, n_rows):
    """Positions of the rows to show."""
    return np.arange(min(n_rows, MOST_SHOWN)) if rows is None else checked_rows(rows, n_rows)


def _pictures(images, image_shape):
    """Images as they are drawn, (n_lines, n_columns, height, width[, colours]), and their range.

    Those with colours are scaled to 0 to 1.
    """
    flat = np.asarray(images, dtype=float)
    is_image = len(image_shape) in (2, 3) and image_shape[:-2] in ((), (1,), (3,))
    if flat.ndim != 3 or not flat.size or not is_image or flat.shape[2] != prod(image_shape):
        raise ValueError(
            "images must be of shape (n_lines, n_columns, n_pixels), and image_shape be (height, "
            f"width) or (1 or 3, height, width) of as many pixels; got {flat.shape} and "
            f"{image_shape}."
        )
    low, high = np.nanmin(flat), np.nanmax(flat)
    pictures = flat.reshape(*flat.shape[:2], *image_shape)
    if len(image_shape) == 2:
        return pictures, low, high
    if image_shape[0] == 1:
        return pictures[:, :, 0], low, high
    span = high - low if high > low else 1.0
    return (np.moveaxis(pictures, 2, -1) - low) / span, low, high


def _checked_grid(name, values, shape):
    """An entry for each image, or None."""
    if values is None:
        return None
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(
            f"{name} must be of shape {shape}, one for each image; got {values.shape}."
        )
    return values


def _axes_for(shape, ax, are_named):
    """Axes for all images: new, those given, or parts of the one given."""
    import matplotlib.pyplot as plt

    n_lines, n_columns = shape
    if ax is None:
        size = (SIZE * n_columns + LABEL_WIDTH * are_named, (SIZE + TITLE_HEIGHT) * n_lines)
        return plt.subplots(*shape, squeeze=False, figsize=size, layout="constrained")[1]
    axes = np.asarray(ax, dtype=object).ravel()
    if len(axes) == n_lines * n_columns:
        return axes.reshape(shape)
    spec = axes[0].get_subplotspec() if len(axes) == 1 else None
    if spec is None:
        raise ValueError(
            f"ax has {len(axes)} Axes for {n_lines} x {n_columns} images: give one for each image, "
            "or one of a grid that can be divided."
        )
    axes[0].set_axis_off()
    grid = spec.subgridspec(*shape)
    cells = [axes[0].figure.add_subplot(grid[at]) for at in np.ndindex(shape)]
    return np.array(cells).reshape(shape)
