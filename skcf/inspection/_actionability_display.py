"""ActionabilityDisplay: what advice asks people to change, how often, and by how much."""

import textwrap
from numbers import Integral

import numpy as np

from skcf._compat import Interval, validate_params
from skcf._values import shortened, text_of
from skcf.inspection._feature_changes import changes_by_feature
from skcf.inspection._panels import AFTER, REMARK, TRACK
from skcf.space._containers import Table

__all__ = ["ActionabilityDisplay"]

WIDTH, LINE_HEIGHT, FRAME_HEIGHT = 8.4, 0.42, 1.1
"""Inches: of a figure, of a feature's line, and of what stands above and below the lines."""

WIDTH_RATIOS = (2, 3)
"""Widths of the panels of shares and of sizes."""

QUARTILES, TAILS = (0.25, 0.75), (0.05, 0.95)
"""Between which quantiles of the changes the thick and the thin bar lie."""

N_SWITCHES, LENGTH = 2, 22
"""Switches that are written for a feature of categories, and characters of each category."""

SCALES = {
    "range": "range",
    "std": "standard deviation",
    "mad": "median absolute deviation",
}


class ActionabilityDisplay:
    """What counterfactuals ask for: which features change, how often, and by how much.

    One line a feature, the most often changed on top. On the left is the share of the
    counterfactuals that change it. On the right is how they change it. For numbers, a dot stands at
    the median of the changes, with its value in the units of the column at the edge; a thick bar
    reaches from quartile to quartile, a thin one from 5 % to 95 %. For categories, the commonest
    switches are written out, with their share of the feature's changes.

    Use :meth:`from_estimator` or :meth:`from_result` to make one. What they are given is stored as
    attributes.

    Parameters
    ----------
    feature_names : sequence of str
        What the features are called.
    share : array-like of float, shape (n_features,)
        Share of the counterfactuals that change each.
    sizes : sequence of n_features arrays of float or None
        By how much each changes where it does, in the units of its column. None for categories.
    scale : array-like of float, shape (n_features,)
        The difference of each that is drawn as 1.
    switches : sequence of n_features lists of (str, str, float)
        For categories: what becomes of what, and the share that this has of the feature's changes.
    n_counterfactuals : int
        How many counterfactuals there are.
    scale_name : str, default="range"
        What the scale is of each feature.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The shares.
    size_ax_ : matplotlib Axes
        The sizes.
    figure_ : matplotlib Figure
        The figure that they are in.
    bars_ : matplotlib BarContainer
        The shares, one for each line.
    medians_ : matplotlib PathCollection
        The medians of the changes.
    quartiles_, tails_ : matplotlib LineCollection
        The thick and the thin bars.

    See Also
    --------
    CounterfactualDisplay : What changes for a few rows, before and after.
    skcf.CounterfactualResult.changes : All changes, as a table.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skcf import NearestExplainer
    >>> from skcf.inspection import ActionabilityDisplay
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    >>> explainer = NearestExplainer(model).fit(X, model.predict(X))
    >>> display = ActionabilityDisplay.from_estimator(explainer, X[:20])
    >>> display.n_counterfactuals, len(display.bars_)
    (19, 6)
    """

    def __init__(
        self,
        *,
        feature_names,
        share,
        sizes,
        scale,
        switches,
        n_counterfactuals,
        scale_name="range",
    ):
        self.feature_names = feature_names
        self.share = share
        self.sizes = sizes
        self.scale = scale
        self.switches = switches
        self.n_counterfactuals = n_counterfactuals
        self.scale_name = scale_name

    @classmethod
    def from_estimator(cls, explainer, X, *, source_class=None, ax=None, max_features=10):
        """Explain rows, and draw what changes.

        Parameters
        ----------
        explainer : explainer
            Fitted. Of a Pipeline, its last step, with X as that step takes it.
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the explainer takes them.
        source_class : label, default=None
            Only rows that the classifier puts in this class are counted. None: all.
        ax : matplotlib Axes or array-like of two Axes, default=None
            Where to draw, see `plot`.
        max_features : int, default=10
            Number of features that are drawn, see `plot`.

        Returns
        -------
        ActionabilityDisplay

        Raises
        ------
        TypeError
            If explainer is none.
        ValueError
            If no counterfactual was found.

        Warns
        -----
        InvalidCounterfactualWarning
            If rows are left without a valid counterfactual.
        """
        if not callable(getattr(explainer, "explain", None)):
            raise TypeError(
                "ActionabilityDisplay.from_estimator takes a fitted explainer, which has a method "
                f"explain; got {type(explainer).__name__}. Of a Pipeline, give its last step, and "
                "X as that step takes it."
            )
        result = explainer.explain(X)
        return cls.from_result(
            result,
            feature_space=getattr(explainer, "feature_space_", None),
            source_class=source_class,
            ax=ax,
            max_features=max_features,
        )

    @classmethod
    def from_result(
        cls, result, *, feature_space=None, source_class=None, ax=None, max_features=10
    ):
        """Draw what changes in a result.

        Parameters
        ----------
        result : CounterfactualResult
            From an explainer's ``explain``. Several counterfactuals of a row count one by one.
        feature_space : FeatureSpace, default=None
            Fitted, as the explainer's ``feature_space_``: says which columns hold categories,
            which are one feature, and what the scales are. None: the dtypes say what holds
            categories, each column is a feature, and the scale is its range in the rows and the
            counterfactuals that are counted.
        source_class : label, default=None
            Only rows that the classifier puts in this class are counted. None: all.
        ax : matplotlib Axes or array-like of two Axes, default=None
            Where to draw, see `plot`.
        max_features : int, default=10
            Number of features that are drawn, see `plot`.

        Returns
        -------
        ActionabilityDisplay

        Raises
        ------
        TypeError
            If result is none.
        ValueError
            If no counterfactual was found, or the feature space has other columns.
        """
        if not hasattr(result, "X_cf"):
            raise TypeError(
                "ActionabilityDisplay.from_result takes a CounterfactualResult; got "
                f"{type(result).__name__}."
            )
        rows = _counted(result, source_class)
        before, after = (Table.of(X).take(rows) for X in (result.X, result.X_cf))
        features = changes_by_feature(before, after, feature_space)
        display = cls(
            feature_names=[feature.name for feature in features],
            share=np.array([feature.share for feature in features]),
            sizes=[feature.sizes for feature in features],
            scale=np.array([feature.scale for feature in features]),
            switches=[feature.switches for feature in features],
            n_counterfactuals=len(rows),
            scale_name="range" if feature_space is None else SCALES[feature_space.scale],
        )
        return display.plot(ax=ax, max_features=max_features)

    @validate_params(
        {"max_features": [Interval(Integral, 1, None, closed="left")]},
        prefer_skip_nested_validation=True,
    )
    def plot(self, *, ax=None, max_features=10):
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of two Axes, default=None
            Two Axes, for the shares and for the sizes; or one, which is divided. None: a new
            figure.
        max_features : int, default=10
            Number of features that are drawn, the most often changed ones; the others that change
            are counted in a note. Features that never change are not drawn.

        Returns
        -------
        ActionabilityDisplay
            Itself.

        Raises
        ------
        ValueError
            If there are not one or two Axes.
        """
        order = np.argsort(-np.asarray(self.share), kind="stable")
        changing = [int(k) for k in order if self.share[k] > 0]
        drawn = changing[:max_features]
        self.ax_, self.size_ax_ = _axes_for(len(drawn), ax)
        self.figure_ = self.ax_.figure
        self._draw_shares(drawn, len(changing) - len(drawn))
        self._draw_sizes(drawn)
        return self

    def _draw_shares(self, drawn, n_more):
        """Draw a bar for each feature, its share beside it."""
        share = [float(self.share[k]) for k in drawn]
        self.ax_.barh(range(len(drawn)), 1, height=0.55, color=TRACK)
        self.bars_ = self.ax_.barh(range(len(drawn)), share, height=0.55, color=AFTER)
        self.ax_.bar_label(self.bars_, [_percent(s) for s in share], padding=4, fontsize="small")
        names = [textwrap.fill(shortened(self.feature_names[k], 50), 28) for k in drawn]
        self.ax_.set_yticks(range(len(drawn)), names)
        self.ax_.set_xticks([])
        self.ax_.set_xlim(0, 1.22)  # the longest has its share beside it
        text = f"share of {_count(self.n_counterfactuals, 'counterfactual')}"
        if n_more:
            text += f"\n({_count(n_more, 'more feature')} with changes)"
        self.ax_.set_xlabel(text, loc="left", fontsize="small")
        _strip(self.ax_, "how often it changes", len(drawn))

    def _draw_sizes(self, drawn):
        """Draw how each feature changes: numbers as bars, categories as text."""
        sized = [
            (line, np.asarray(self.sizes[k], dtype=float), float(self.scale[k]))
            for line, k in enumerate(drawn)
            if self.sizes[k] is not None and len(self.sizes[k])
        ]
        lines = [line for line, _, _ in sized]
        ends = {q: [np.quantile(s, q) / u for _, s, u in sized] for q in (*TAILS, *QUARTILES, 0.5)}
        ax = self.size_ax_
        self.tails_ = ax.hlines(lines, *(ends[q] for q in TAILS), color=AFTER, lw=1.2, zorder=2)
        self.quartiles_ = ax.hlines(
            lines, *(ends[q] for q in QUARTILES), color=AFTER, lw=6, alpha=0.45, zorder=2
        )
        self.medians_ = ax.scatter(ends[0.5], lines, s=34, color=AFTER, zorder=3)
        if sized:
            ax.axvline(0, color=TRACK, linewidth=3, zorder=1)
            ax.margins(x=0.06)
            ax.set_xlabel(f"change (1: the {self.scale_name} of the feature)", fontsize="small")
            ax.tick_params(axis="x", labelsize="small")
        else:
            ax.set_xticks([])
        for line, sizes, _ in sized:
            _write(ax, _signed(np.median(sizes)), (1, line), offset=6)
        for line, k in enumerate(drawn):
            if line not in lines:
                _write(ax, self._switches_text(k), (0, line))
        ax.set_yticks([])
        _strip(ax, "how it changes", len(drawn))
        if sized:
            _write(ax, "median", (1, -0.5), offset=6, color=REMARK)

    def _switches_text(self, k):
        """The commonest switches of a feature, one below the other."""
        texts = [
            f"{shortened(old, LENGTH)} → {shortened(new, LENGTH)}, {_percent(share)}"
            for old, new, share in self.switches[k][:N_SWITCHES]
        ]
        return "\n".join(texts) or "only from missing values, or to them"


def _counted(result, source_class):
    """Positions of the counterfactuals that were found, of a class if one is asked for."""
    counted = np.asarray(result.status) == "found"
    if source_class is not None:
        counted &= np.asarray(result.y) == source_class
    if not counted.any():
        of_class = "" if source_class is None else f" for rows of class {source_class!r}"
        raise ValueError(f"result has no counterfactual that was found{of_class}.")
    return np.flatnonzero(counted)


def _axes_for(n_lines, ax):
    """Two Axes: new ones, those given, or the parts of the one given."""
    import matplotlib.pyplot as plt

    if ax is None:
        size = (WIDTH, LINE_HEIGHT * n_lines + FRAME_HEIGHT)
        return plt.subplots(1, 2, figsize=size, width_ratios=WIDTH_RATIOS, layout="constrained")[1]
    axes = np.asarray(ax, dtype=object).ravel()
    if len(axes) == 2:
        return axes
    if len(axes) != 1:
        raise ValueError(f"ax must be one Axes, or two; got {len(axes)}.")
    spec = axes[0].get_subplotspec()
    if spec is None:
        raise ValueError("ax is one Axes, and none of a grid that could be divided: give two.")
    axes[0].set_axis_off()
    return [
        axes[0].figure.add_subplot(cell)
        for cell in spec.subgridspec(1, 2, width_ratios=WIDTH_RATIOS)
    ]


def _strip(ax, title, n_lines):
    """Leave nothing of the frame but a title, and put the first line on top."""
    ax.set_title(title, loc="left", fontsize="medium", fontweight="bold")
    ax.set_ylim(max(n_lines, 1) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(False)


def _write(ax, text, place, offset=0, **more):
    """Write text right of a place: x as a share of the axes' width, y a line."""
    ax.annotate(
        text,
        place,
        (offset, 0),
        xycoords=ax.get_yaxis_transform(),
        textcoords="offset points",
        ha="left",
        va="center",
        fontsize="small",
        annotation_clip=False,
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1.5},
        zorder=4,
        **more,
    )


def _count(n, thing):
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _percent(share):
    """A share in percent; none is rounded to nothing, or to all."""
    if 0 < share < 0.01:
        return "< 1 %"
    return "> 99 %" if 0.99 < share < 1 else f"{share:.0%}".replace("%", " %")


def _signed(value):
    """A change as text, with its sign."""
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + text_of(abs(float(value)), 3)
