"""GroupTranslationDisplay: a translation between groups, where it leads, and how well all do."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcf._values import shortened
from skcf.inspection._panels import AFTER, BEFORE
from skcf.space._containers import Table, checked_container

__all__ = ["GroupTranslationDisplay"]

KINDS = ("stem", "heatmap", "scatter")

MOST_NAMED = 30
"""Features up to which all have their names below the axis, beyond which some that change have."""

NEAREST_NAMES = 1 / 30
"""Share of the axis that is between two names, at least."""

COLOURS, LIGHTEST_TEXT = "Blues", 0.6
"""Of shares, and the share from which on the text on them is white."""

PALE, MOVED = "tab20", "#d55e00"
"""Colours of groups, and the vermilion of Okabe and Ito's palette for rows that are moved."""

SMALLEST_MATRIX, CELL_SIZE = 3.4, 0.34
"""Inches of a heatmap's side at least, and of its cells where there are many."""

LARGEST_TEXT, TEXT_SHARE = 9, 0.38
"""Points of the text in cells, and its share of a cell."""

LONGEST_NAME = 24


class GroupTranslationDisplay:
    """Translations between groups as pictures.

    Three kinds of them ([1]_):

    - "stem": the changes of one translation, feature by feature (Figures 2 and 20).
    - "heatmap": correctness and coverage of all pairs of groups (Figure 8). From the group of a
      line to the group of a column.
    - "scatter": the first two outputs of the representation, in pale colours by group, and the
      rows of one group before and after their translation to another one (Figure 9). With a single
      output, each group has a line of its own.

    Use :meth:`from_estimator` to make one. What it is given is stored as attributes; what a kind
    does not need may be None.

    Parameters
    ----------
    groups : sequence of object
        What the groups are called.
    origin, target : object
        The groups of the translation.
    feature_names : sequence of str, default=None
        What the features are called. None: x0, x1 ….
    translation : array-like of float, shape (n_features,), default=None
        From the origin to the target.
    correctness, coverage : array-like of float, shape (n_groups, n_groups), default=None
        Of all pairs, from i to j at [i, j]; NaN where there is none.
    places : array-like of float, shape (n_rows, n_outputs), default=None
        The representation of rows.
    members : array-like of shape (n_rows,), default=None
        The group of each; rows of no group are grey.
    before, after : array-like of float, shape (n_moved, n_outputs), default=None
        The representation of the origin's rows before and after the translation.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What it is drawn in; of a heatmap, the first.
    axes_ : ndarray of matplotlib Axes, shape (1,) or (2,)
        All of them.
    figure_ : matplotlib Figure
        The figure that they are in.
    dots_ : matplotlib PathCollection
        Of "stem": the changes.
    stems_ : matplotlib LineCollection
        Of "stem": the lines that lead there.
    images_ : list of two matplotlib AxesImage
        Of "heatmap": correctness and coverage.
    texts_ : list of two ndarray of matplotlib Text or None, shape (n_groups, n_groups)
        Of "heatmap": what is written in the cells; None where a pair has none.
    rows_, before_, after_ : matplotlib PathCollection
        Of "scatter".

    See Also
    --------
    skcf.metrics.group_correctness : What the heatmap shows.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skcf import TGTExplainer
    >>> from skcf.inspection import GroupTranslationDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> explainer = TGTExplainer(PCA(2).fit(X), n_features_to_change=1)
    >>> explainer.fit(X, load_iris().target_names[y])
    TGTExplainer(n_features_to_change=1, representation=PCA(n_components=2))
    >>> display = GroupTranslationDisplay.from_estimator(explainer, target="virginica")
    >>> display.ax_.get_title()
    'setosa → virginica'
    """

    def __init__(
        self,
        *,
        groups,
        origin,
        target,
        feature_names=None,
        translation=None,
        correctness=None,
        coverage=None,
        places=None,
        members=None,
        before=None,
        after=None,
    ):
        self.groups = groups
        self.origin = origin
        self.target = target
        self.feature_names = feature_names
        self.translation = translation
        self.correctness = correctness
        self.coverage = coverage
        self.places = places
        self.members = members
        self.before = before
        self.after = after

    @classmethod
    def from_estimator(cls, explainer, X=None, *, kind="stem", origin=None, target=None, ax=None):
        """Draw the translations of a fitted explainer of groups.

        Parameters
        ----------
        explainer : TGTExplainer or DBMExplainer
            Fitted. Of a Pipeline, its last step.
        X : array-like or DataFrame of shape (n_rows, n_columns), default=None
            Rows to show. Needed for "scatter".
        kind : {"stem", "heatmap", "scatter"}, default="stem"
            See the class.
        origin, target : object, default=None
            The groups of the translation. None: the first of ``classes_``, and the first other.
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, see :meth:`plot`.

        Returns
        -------
        GroupTranslationDisplay

        Raises
        ------
        TypeError
            If explainer has no translations.
        NotFittedError
            If it is not fitted.
        ValueError
            If there is no such kind or group, or origin and target are the same; if rows are
            needed and none are given, or none of them is in the origin.
        """
        if not callable(getattr(explainer, "translation", None)):
            raise TypeError(
                "GroupTranslationDisplay.from_estimator takes a fitted explainer of groups, which "
                f"has translations; got {type(explainer).__name__}. Of a Pipeline, give its last "
                "step."
            )
        check_is_fitted(explainer)
        _check_kind(kind)
        origin, target = _checked_pair(explainer.classes_, origin, target)
        delta = np.asarray(explainer.translation(origin, target), dtype=float)
        if X is None and kind == "scatter":
            raise ValueError("kind='scatter' shows rows: X must be given.")
        shown = {} if X is None else _represented(explainer, X, origin, delta)
        display = cls(
            groups=np.asarray(explainer.classes_).tolist(),
            origin=origin,
            target=target,
            feature_names=list(explainer.feature_space_.get_feature_names_out()),
            translation=delta,
            correctness=explainer.correctness_,
            coverage=explainer.coverage_,
            **shown,
        )
        return display.plot(kind=kind, ax=ax)

    def plot(self, *, kind="stem", ax=None):
        """Draw the translations.

        Parameters
        ----------
        kind : {"stem", "heatmap", "scatter"}, default="stem"
            See the class.
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw. A heatmap takes two Axes, or one that is divided. None: a new figure.

        Returns
        -------
        GroupTranslationDisplay
            Itself.

        Raises
        ------
        ValueError
            If there is no such kind, if what it shows is not there, or if there are not as many
            Axes as it takes.
        """
        _check_kind(kind)
        needed = {
            "stem": ["translation"],
            "heatmap": ["correctness", "coverage"],
            "scatter": ["places", "members", "before", "after"],
        }[kind]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"kind={kind!r} shows {needed}, but {missing} are not given.")
        self.axes_ = _axes_for(len(self.groups) if kind == "heatmap" else None, ax)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        {"stem": self._stem, "heatmap": self._heatmap, "scatter": self._scatter}[kind]()
        return self

    def _stem(self):
        """Changes over features: a line and a dot for each that is not 0."""
        delta = np.asarray(self.translation, dtype=float)
        changed = np.flatnonzero(delta)
        self.ax_.axhline(0, color=BEFORE, linewidth=0.8, zorder=1)
        self.stems_ = self.ax_.vlines(changed, 0, delta[changed], color=AFTER, zorder=2)
        self.dots_ = self.ax_.scatter(changed, delta[changed], s=25, color=AFTER, zorder=3)
        self.ax_.set_xlim(-0.5, len(delta) - 0.5)
        self.ax_.set(title=self._way(), xlabel="feature", ylabel="change")
        at = _named(delta)
        names = [f"x{j}" if self.feature_names is None else self.feature_names[j] for j in at]
        texts = [shortened(str(name), LONGEST_NAME) for name in names]
        turned = sum(map(len, texts)) > 60
        self.ax_.set_xticks(at, texts, rotation=90 if turned else 0, fontsize="small")

    def _heatmap(self):
        """Correctness and coverage side by side."""
        self.images_, self.texts_ = [], []
        names = [shortened(str(group), LONGEST_NAME) for group in self.groups]
        for ax, word in zip(self.axes_, ("correctness", "coverage"), strict=True):
            shares = np.asarray(getattr(self, word), dtype=float)
            shown = np.ma.masked_invalid(shares)
            self.images_.append(ax.imshow(shown, cmap=COLOURS, vmin=0, vmax=1))
            self.texts_.append(_written(ax, shares))
            mean = shown.mean()
            ax.set_title(word if mean is np.ma.masked else f"{word} (mean {mean:.2f})")
            turned = max(map(len, names)) * len(names) > 40
            ax.set_xticks(range(len(names)), names, rotation=90 if turned else 0, fontsize="small")
            ax.set_yticks(range(len(names)), names, fontsize="small")
            ax.set(xlabel="to", ylabel="from")
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)

    def _scatter(self):
        """The representation of all rows, and where some are before and after."""
        members = np.asarray(self.members)
        lines = [self._line_of(group) for group in members.tolist()]
        places = _plane(self.places, lines)
        self.rows_ = self.ax_.scatter(
            *places.T, s=9, c=self._colours(members), alpha=0.4, linewidths=0, zorder=1
        )
        moved = {"s": 16, "linewidths": 0.9}
        before, after = (
            _plane(rows, np.full(len(rows), self._line_of(group)))
            for rows, group in ((self.before, self.origin), (self.after, self.target))
        )
        self.before_ = self.ax_.scatter(
            *before.T, facecolors="none", edgecolors="black", label="before", zorder=2, **moved
        )
        self.after_ = self.ax_.scatter(
            *after.T, facecolors=MOVED, edgecolors="white", label="after", zorder=3, **moved
        )
        self._name_groups(places, members)
        self.ax_.set_title(self._way() + self._shares(), fontsize="medium")
        self.ax_.legend(frameon=False, fontsize="small")

    def _name_groups(self, places, members):
        """Write what groups are called: above most of their rows, or beside their lines."""
        names = [shortened(str(group), LONGEST_NAME) for group in self.groups]
        self.ax_.set_xlabel("r0")
        if np.shape(self.places)[1] == 1:
            self.ax_.set_yticks(range(len(names)), names)
            return
        self.ax_.set_ylabel("r1")
        for group, name in zip(self.groups, names, strict=True):
            own = places[members == group]
            if len(own):
                top = np.median(own[:, 0]), np.quantile(own[:, 1], 0.95)
                self.ax_.annotate(
                    name, top, (0, 5), textcoords="offset points", ha="center", zorder=4
                )

    def _colours(self, members):
        """A colour for each row, by its group; grey for those of none."""
        from matplotlib import colormaps
        from matplotlib.colors import to_rgba

        palette = np.array(colormaps[PALE].colors)
        colours = np.tile(to_rgba(BEFORE), (len(members), 1))
        for k, group in enumerate(self.groups):
            colours[members == group, :3] = palette[k % len(palette)]
        return colours

    def _line_of(self, group):
        """Position of a group, -1 for none."""
        groups = list(self.groups)
        return groups.index(group) if group in groups else -1

    def _way(self):
        """From where to where."""
        ends = [shortened(str(group), LONGEST_NAME) for group in (self.origin, self.target)]
        return " → ".join(ends)

    def _shares(self):
        """Correctness and coverage of the pair, in words, where they are known."""
        if self.correctness is None or self.coverage is None:
            return ""
        at = self._line_of(self.origin), self._line_of(self.target)
        words = [
            f"{word} {np.asarray(shares)[at]:.2f}"
            for word, shares in (("correctness", self.correctness), ("coverage", self.coverage))
            if np.isfinite(np.asarray(shares, dtype=float)[at])
        ]
        return ": " + ", ".join(words) if words else ""


def _check_kind(kind):
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")


def _checked_pair(classes, origin, target):
    """The groups of a translation; the first where none are named."""
    groups = np.asarray(classes).tolist()
    for name, group in (("origin", origin), ("target", target)):
        if group is not None and group not in groups:
            raise ValueError(f"{name} must be one of the groups {groups}, got {group!r}.")
    if origin is None:
        origin = next(group for group in groups if group != target)
    if target is None:
        target = next(group for group in groups if group != origin)
    if origin == target:
        raise ValueError(f"origin and target must be different groups, got {origin!r} for both.")
    return origin, target


def _represented(explainer, X, origin, delta):
    """Where rows are, and where those of a group are before and after a translation."""
    X = checked_container(X)
    members = np.asarray(explainer.assign(X))
    own = np.flatnonzero(members == origin)
    if not len(own):
        raise ValueError(f"No row of X is in the group {origin!r}.")
    places = np.asarray(explainer.represent(X))
    space, rows = explainer.feature_space_, Table.of(X).take(own).container()
    Z = space.transform(rows)
    moved = space.inverse_transform(space.project(Z + delta, Z), reference=rows)
    return {
        "places": places,
        "members": members,
        "before": places[own],
        "after": np.asarray(explainer.represent(moved)),
    }


def _named(delta):
    """Which features have their names below the axis."""
    if len(delta) <= MOST_NAMED:
        return list(range(len(delta)))
    named = []
    for j in np.argsort(-np.abs(delta), kind="stable"):
        if delta[j] == 0:
            break
        if all(abs(j - other) >= NEAREST_NAMES * len(delta) for other in named):
            named.append(int(j))
    return sorted(named)


def _written(ax, shares):
    """Shares as text in their cells, where there are any."""
    texts = np.full(shares.shape, None, dtype=object)
    box = ax.get_window_extent()
    points = min(box.width, box.height) * 72 / ax.figure.dpi
    size = min(LARGEST_TEXT, TEXT_SHARE * points / len(shares))
    for i, j in np.argwhere(np.isfinite(shares)):
        texts[i, j] = ax.text(
            j,
            i,
            f"{shares[i, j]:.2f}".removeprefix("0"),
            ha="center",
            va="center",
            fontsize=size,
            color="white" if shares[i, j] > LIGHTEST_TEXT else "black",
        )
    return texts


def _plane(places, lines):
    """Two coordinates of rows: the first two outputs; or the only one, and a line."""
    places = np.asarray(places, dtype=float)
    return places[:, :2] if places.shape[1] > 1 else np.column_stack([places[:, 0], lines])


def _axes_for(n_groups, ax):
    """Axes for one panel, or two matrices of groups: new, those given, or parts of the given."""
    import matplotlib.pyplot as plt

    n = 1 if n_groups is None else 2
    if ax is None:
        side = max(SMALLEST_MATRIX, CELL_SIZE * (n_groups or 0))
        size = (6.4, 4.8) if n == 1 else (n * (side + 0.8), side + 1.1)
        return plt.subplots(1, n, squeeze=False, figsize=size, layout="constrained")[1].ravel()
    axes = np.asarray(ax, dtype=object).ravel()
    if len(axes) == n:
        return axes
    if len(axes) == 1:
        return _divided(axes[0], n)
    raise ValueError(f"ax has {len(axes)} Axes, but this kind takes {n}.")


def _divided(ax, n):
    """Several axes side by side where one is."""
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            f"ax is one Axes, and none of a grid that could be divided: give {n} of them."
        )
    ax.set_axis_off()
    grid = GridSpecFromSubplotSpec(1, n, spec, wspace=0.4)
    return np.array([ax.figure.add_subplot(cell) for cell in grid])
