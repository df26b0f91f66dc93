"""LatentDisplay: the codes of rows by class, the mixture, and the ways of counterfactuals."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from skcf._values import shortened
from skcf.inspection._panels import BEFORE
from skcf.inspection._rows import checked_rows

__all__ = ["LatentDisplay"]

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's, without those that are hard to see."""

MANY = "tab20"
"""Colours of more classes than these."""

LINE_HEIGHT = 0.5
"""Of the ellipse of a class where codes are single numbers, and each class has a line."""

WAYS_BETWEEN = 0.3, 0.7
"""Where ways are then, as shares of what is between the first line and the last."""

LONGEST_NAME = 24


class LatentDisplay:
    """The latent space of an explainer, in two dimensions.

    Codes of rows, coloured by what the classifier predicts; the mean and an ellipse of each
    component of the mixture; and for chosen rows, the way from their code to that of their
    counterfactual (Figure 4 of [1]_). Codes of two numbers are shown as they are. Of more, their
    first two principal components are. Of one, each class has a line of its own.

    Use :meth:`from_estimator` to make one. What it is given is stored as attributes.

    Parameters
    ----------
    codes : array-like of float, shape (n_rows, latent_dim)
        Codes of rows.
    labels : array-like of shape (n_rows,)
        The class of each.
    classes : sequence of object
        The classes, in the order of the components.
    means : array-like of float, shape (n_classes, latent_dim)
        Of the components.
    covariances : array-like of float, shape (n_classes, latent_dim[, latent_dim])
        Their variances, or whole covariances.
    before, after : array-like of float, shape (n_moved, latent_dim), default=None
        Codes of rows and of their counterfactuals.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What it is drawn in.
    figure_ : matplotlib Figure
        The figure that it is in.
    rows_ : list of matplotlib PathCollection
        The codes, of each class.
    means_ : matplotlib PathCollection
        The means.
    ellipses_ : list of matplotlib Ellipse
        One for each component.
    ways_ : matplotlib LineCollection or None
        The ways of rows.
    ends_ : matplotlib PathCollection or None
        Where they end.

    See Also
    --------
    ImageRowDisplay : The steps of a way as images.
    skcf.GMMLatentExplainer.encode : The codes.

    References
    ----------
    .. [1] X. Zhao, K. Broelemann, G. Kasneci. "Counterfactual explanation via search in Gaussian
       mixture distributed latent space." arXiv:2307.13390, 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcf import GMMLatentExplainer
    >>> from skcf.inspection import LatentDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, load_iris().target_names[y])
    >>> explainer = GMMLatentExplainer(model, max_epochs=30, lr=0.01, random_state=0).fit(X)
    >>> display = LatentDisplay.from_estimator(explainer, X, rows=[0, 60])
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['setosa', 'versicolor', 'virginica', 'counterfactual']
    """

    def __init__(self, *, codes, labels, classes, means, covariances, before=None, after=None):
        self.codes = codes
        self.labels = labels
        self.classes = classes
        self.means = means
        self.covariances = covariances
        self.before = before
        self.after = after

    @classmethod
    def from_estimator(cls, explainer, X, *, rows=None, ax=None, n_std=2.0):
        """Draw the latent space of a fitted explainer.

        Parameters
        ----------
        explainer : GMMLatentExplainer or GDLExplainer
            Fitted. Of a Pipeline, its last step, with X as that step takes it.
        X : array-like or DataFrame of shape (n_rows, n_columns)
            Rows to show. All of them are explained.
        rows : int or array-like of int, default=None
            Positions of those whose ways to their counterfactuals are drawn, where one was needed
            and found. None: of none.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        n_std : float, default=2.0
            Standard deviations from the means to the ellipses. Within 2 are 86 % of a Gaussian in
            two dimensions.

        Returns
        -------
        LatentDisplay

        Raises
        ------
        TypeError
            If explainer has no latent space.
        NotFittedError
            If it is not fitted.
        ValueError
            If rows are not there.

        Warns
        -----
        InvalidCounterfactualWarning
            If rows are left without a valid counterfactual.
        """
        if not callable(getattr(explainer, "encode", None)):
            raise TypeError(
                "LatentDisplay.from_estimator takes a fitted explainer that encodes rows, as "
                f"GMMLatentExplainer; got {type(explainer).__name__}. Of a Pipeline, give its last "
                "step, and X as that step takes it."
            )
        check_is_fitted(explainer)
        codes, _ = explainer.encode(X)
        chosen = None if rows is None else checked_rows(rows, len(codes))
        result = explainer.explain(X)
        if chosen is not None:
            chosen = chosen[result.status[chosen] == "found"]
        display = cls(
            codes=codes,
            labels=result.y,
            classes=np.asarray(explainer.classes_).tolist(),
            means=explainer.means_,
            covariances=explainer.covariances_,
            before=None if chosen is None else result.latent[chosen],
            after=None if chosen is None else result.latent_cf[chosen],
        )
        return display.plot(ax=ax, n_std=n_std)

    def plot(self, *, ax=None, n_std=2.0):
        """Draw the latent space.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        n_std : float, default=2.0
            Standard deviations from the means to the ellipses.

        Returns
        -------
        LatentDisplay
            Itself.

        Raises
        ------
        ValueError
            If n_std is not above 0, or codes and labels do not go together.
        """
        if not n_std > 0:
            raise ValueError(f"n_std must be above 0, got {n_std!r}.")
        codes, labels = np.asarray(self.codes, dtype=float), np.asarray(self.labels)
        if codes.ndim != 2 or len(codes) != len(labels):
            raise ValueError(
                "codes must have a row for each of the labels, got shapes "
                f"{codes.shape} and {labels.shape}."
            )
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        plane = _Plane(codes)
        self._draw_mixture(plane, n_std)
        self._draw_rows(plane.places(codes, _lines_of(labels, self.classes)), labels)
        self.ways_ = self.ends_ = None
        if self.before is not None and self.after is not None:
            self._draw_ways(plane)
        self._name_axes(plane)
        return self

    def _draw_rows(self, places, labels):
        """Draw the codes of each class in its colour."""
        self.rows_ = []
        for k, name in enumerate(self._names()):
            own = places[labels == self.classes[k]]
            style = {"s": 10, "color": self._colour(k), "alpha": 0.45, "linewidths": 0}
            self.rows_.append(self.ax_.scatter(*own.T, label=name, zorder=1, **style))

    def _draw_mixture(self, plane, n_std):
        """Draw what the codes are to be distributed as."""
        from matplotlib.patches import Ellipse

        lines = np.arange(len(self.classes))
        centres = plane.places(np.asarray(self.means, dtype=float), lines)
        colours = [self._colour(k) for k in lines]
        self.ellipses_ = []
        for k, centre in enumerate(centres):
            width, height, angle = plane.ellipse(
                np.asarray(self.covariances[k], dtype=float), n_std
            )
            style = {"facecolor": "none", "edgecolor": colours[k], "linewidth": 1.4, "zorder": 3}
            patch = Ellipse(centre, width, height, angle=angle, **style)
            self.ellipses_.append(self.ax_.add_patch(patch))
        self.means_ = self.ax_.scatter(
            *centres.T, s=90, marker="X", c=colours, edgecolors="white", linewidths=1, zorder=5
        )

    def _draw_ways(self, plane):
        """Draw a line from each code to that of the counterfactual, and a ring at its end."""
        from matplotlib.collections import LineCollection

        before, after = (np.asarray(c, dtype=float) for c in (self.before, self.after))
        # of single numbers, each way has a line between those of the classes
        lines = np.linspace(*WAYS_BETWEEN, len(before)) * (len(self.classes) - 1)
        ends = np.stack([plane.places(before, lines), plane.places(after, lines)], axis=1)
        ways = LineCollection(ends, colors=BEFORE, linewidths=0.9, zorder=2)
        self.ways_ = self.ax_.add_collection(ways)
        self.ends_ = self.ax_.scatter(
            *ends[:, 1].T,
            s=18,
            facecolors="white",
            edgecolors="black",
            linewidths=0.9,
            label="counterfactual",
            zorder=4,
        )

    def _name_axes(self, plane):
        names = plane.axis_names()
        self.ax_.set(xlabel=names[0], ylabel=names[1])
        if len(plane.components) == 1:
            self.ax_.set_yticks(range(len(self.classes)), self._names())
        self.ax_.spines[["top", "right"]].set_visible(False)
        legend = self.ax_.legend(frameon=False, fontsize="small", markerscale=1.5)
        for handle in legend.legend_handles:
            handle.set_alpha(1)

    def _names(self):
        return [shortened(str(name), LONGEST_NAME) for name in self.classes]

    def _colour(self, k):
        """Colour of a class."""
        if len(self.classes) <= len(PALETTE):
            return PALETTE[k]
        from matplotlib import colormaps

        many = colormaps[MANY].colors
        return many[k % len(many)]


class _Plane:
    """What is shown of codes: both numbers, the only one, or two principal components.

    Attributes
    ----------
    components : ndarray of float64, shape (1 or 2, latent_dim)
        Directions of the axes.
    """

    def __init__(self, codes):
        self.n_numbers = codes.shape[1]
        self.origin = np.zeros(self.n_numbers)
        self.components, self.shares = np.eye(self.n_numbers), None
        if self.n_numbers > 2:
            pca = PCA(2).fit(codes)
            self.origin, self.components = pca.mean_, pca.components_
            self.shares = pca.explained_variance_ratio_

    def places(self, codes, lines):
        """Where codes stand; those of single numbers on lines."""
        places = (codes - self.origin) @ self.components.T
        return places if len(self.components) > 1 else np.column_stack([places[:, 0], lines])

    def ellipse(self, covariance, n_std):
        """Width, height and angle in degrees."""
        whole = np.diag(covariance) if covariance.ndim == 1 else covariance
        shown = self.components @ whole @ self.components.T
        if len(shown) == 1:
            return 2 * n_std * np.sqrt(shown[0, 0]), LINE_HEIGHT, 0.0
        variances, directions = np.linalg.eigh(shown)
        width, height = 2 * n_std * np.sqrt(np.maximum(variances[::-1], 0.0))
        return width, height, float(np.degrees(np.arctan2(*directions[::-1, 1])))

    def axis_names(self):
        """What the axes are."""
        if self.shares is not None:
            words = "first", "second"
            pairs = zip(words, self.shares, strict=True)
            return [f"{word} principal component ({share:.0%})" for word, share in pairs]
        return ["z0", "z1" if self.n_numbers == 2 else ""]


def _lines_of(labels, classes):
    """The line of each label: the position of its class."""
    position = {label: k for k, label in enumerate(classes)}
    return np.array([position[label] for label in labels.tolist()], dtype=float)


def _new_axes():
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]
