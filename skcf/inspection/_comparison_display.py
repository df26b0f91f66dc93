"""ComparisonDisplay: explainers side by side, as a heatmap or a frontier."""

import numpy as np

__all__ = ["ComparisonDisplay"]

COLUMNS = ("explainer", "split", "metric", "value", "rank")
KINDS = ("heatmap", "frontier")

COLOURS = "Blues"
LIGHTEST_TEXT = 0.75
"""Merit beyond which a cell is so dark that its text is white."""

UNITS = {"fit_time": "s", "time_per_row": "s", "time_per_row_single": "s", "peak_memory": "MB"}

COLUMN_WIDTH, ROW_HEIGHT, LABELS = 1.3, 0.42, (1.9, 1.3)
"""Inches: of a cell, and what the labels beside and above the cells need."""

COLOUR_OF_PLAUSIBILITY = "viridis"
MARKERS = "osD^vPX<>*"


class ComparisonDisplay:
    """What `skcf.metrics.compare_explainers` found, as a picture.

    Use :meth:`from_comparison` to make one. What it is given is stored as attributes.

    Parameters
    ----------
    table : pandas.DataFrame
        What `compare_explainers` returned.

    Attributes
    ----------
    explainers : list of str
        Their names, in the order of the table; "real target-class rows" comes last.
    metrics : list of str
        What was measured, in the order of the table.
    mean, spread, rank : ndarray of float64, shape (n_explainers, n_metrics)
        Mean and standard deviation of each metric over the splits, leaving out those without a
        value, and mean rank. NaN where there is none.
    ax_ : matplotlib Axes
        What it is drawn in.
    figure_ : matplotlib Figure
        The figure that it is in.
    image_ : matplotlib AxesImage
        The cells of the heatmap.
    text_ : ndarray of matplotlib Text, shape (n_explainers, n_metrics)
        Their text.
    points_ : dict of {str: matplotlib Line2D}
        The points of the frontier.

    See Also
    --------
    skcf.metrics.compare_explainers : Makes the table.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.svm import SVC
    >>> from skcf import NearestExplainer
    >>> from skcf.inspection import ComparisonDisplay
    >>> from skcf.metrics import compare_explainers
    >>> X, y = make_moons(200, noise=0.2, random_state=0)
    >>> model = SVC().fit(X, y)
    >>> explainers = {
    ...     "a training row": NearestExplainer(model, refine=False),
    ...     "refined": NearestExplainer(model),
    ... }
    >>> table = compare_explainers(explainers, X, model.predict(X), cv=2)
    >>> display = ComparisonDisplay.from_comparison(table)
    >>> display.explainers
    ['a training row', 'refined', 'real target-class rows']
    """

    def __init__(self, table):
        self.table = table
        missing = [name for name in COLUMNS if name not in getattr(table, "columns", ())]
        if missing:
            raise ValueError(
                f"table must be what compare_explainers returns: it lacks the columns {missing}."
            )
        names = list(dict.fromkeys(table["explainer"]))
        ranked = table.groupby("explainer")["rank"].count()
        self.explainers = sorted(names, key=lambda name: ranked[name] == 0)
        self.metrics = list(dict.fromkeys(table["metric"]))
        cells = table.groupby(["explainer", "metric"])
        self.mean, self.spread, self.rank = (
            values.unstack().reindex(index=self.explainers, columns=self.metrics).to_numpy(float)
            for values in (
                cells["value"].mean(),
                cells["value"].std(ddof=0),
                cells["rank"].mean(),
            )
        )

    @classmethod
    def from_comparison(cls, table, *, kind="heatmap", ax=None, **options):
        """Draw a comparison.

        Parameters
        ----------
        table : pandas.DataFrame
            What `compare_explainers` returned.
        kind : {"heatmap", "frontier"}, default="heatmap"
            See :meth:`plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        **options : dict
            What else :meth:`plot` takes.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        ValueError
            If the table is none of a comparison.
        """
        return cls(table).plot(kind=kind, ax=ax, **options)

    def plot(
        self,
        *,
        kind="heatmap",
        metrics=None,
        cost="proximity",
        validity="validity",
        plausibility="neighbour_share",
        ax=None,
    ):
        """Draw the comparison.

        Parameters
        ----------
        kind : {"heatmap", "frontier"}, default="heatmap"
            "heatmap": a line for each explainer, a column for each metric, with its mean over the
            splits written in the cell; the darker, the better is its mean rank. "frontier":
            validity over cost, a point for each explainer with the standard deviations over the
            splits as bars, in the colour of its plausibility; a line joins those that no other
            one beats in both.
        metrics : list of str, default=None
            The columns of the heatmap. None: all.
        cost, validity, plausibility : str
            What the axes and the colour of the frontier are. The colour is left out where the
            table has no such metric.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        ComparisonDisplay
            Itself.

        Raises
        ------
        ValueError
            If there is no such kind, or the table has no such metric.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}.")
        if kind == "heatmap":
            return self._plot_heatmap(self.metrics if metrics is None else metrics, ax)
        return self._plot_frontier(cost, validity, plausibility, ax)

    def _columns(self, metrics):
        """Positions of metrics."""
        missing = [name for name in metrics if name not in self.metrics]
        if missing:
            raise ValueError(f"The table has no metric {missing}: it has {self.metrics}.")
        return [self.metrics.index(name) for name in metrics]

    def _plot_heatmap(self, metrics, ax):
        """Means as text on the colours of ranks."""
        columns = self._columns(metrics)
        mean, rank = self.mean[:, columns], self.rank[:, columns]
        size = (LABELS[0] + COLUMN_WIDTH * len(columns), LABELS[1] + ROW_HEIGHT * len(mean))
        self._start(ax, size)
        most = max(2, np.sum(~np.isnan(self.rank).all(axis=1)))
        merit = (most - rank) / (most - 1)  # 1 for the best, 0 for the last
        self.image_ = self.ax_.imshow(
            np.ma.masked_invalid(merit), cmap=COLOURS, vmin=0, vmax=1.25, aspect="auto"
        )
        self.text_ = self._write(mean, merit)
        self.ax_.set_xticks(range(len(columns)), [_worded(name) for name in metrics])
        self.ax_.set_yticks(range(len(mean)), self.explainers)
        self.ax_.tick_params(length=0, labelsize="small", top=True, labeltop=True)
        self.ax_.tick_params(bottom=False, labelbottom=False)
        self.ax_.spines[:].set_visible(False)
        return self

    def _write(self, mean, merit):
        """The means in their cells."""
        text = np.empty(mean.shape, dtype=object)
        for i, j in np.ndindex(mean.shape):
            colour = "white" if merit[i, j] > LIGHTEST_TEXT else "black"
            text[i, j] = self.ax_.text(
                j, i, _short(mean[i, j]), ha="center", va="center", fontsize="small", color=colour
            )
        return text

    def _plot_frontier(self, cost, validity, plausibility, ax):
        """Validity over cost, coloured by plausibility."""
        across, up = self._columns([cost, validity])
        shown = np.flatnonzero(~np.isnan(self.mean[:, [across, up]]).any(axis=1))
        if not len(shown):
            raise ValueError(f"No explainer has both {cost} and {validity}.")
        self._start(ax, (6.4, 4.8))
        colours = self._colours(plausibility, shown)
        x, y = self.mean[:, across], self.mean[:, up]
        self._draw_line(x[shown], y[shown])
        self.points_ = {}
        for k, i in enumerate(shown):
            drawn = self.ax_.errorbar(
                x[i],
                y[i],
                xerr=self.spread[i, across],
                yerr=self.spread[i, up],
                fmt=MARKERS[k % len(MARKERS)],
                color=colours[k],
                markeredgecolor="0.2",
                markersize=9,
                elinewidth=1,
                label=self.explainers[i],
            )
            self.points_[self.explainers[i]] = drawn.lines[0]
        self.ax_.set(xlabel=_worded(cost), ylabel=_worded(validity))
        self.ax_.legend(frameon=False, fontsize="small")
        return self

    def _draw_line(self, x, y):
        """Join the points that no other one beats in cost and validity."""
        order = np.lexsort((-y, x))
        best = order[y[order] > np.concatenate([[-np.inf], np.maximum.accumulate(y[order])[:-1]])]
        self.ax_.plot(x[best], y[best], color="0.6", linewidth=1, zorder=0)
        if y.min() >= 0 and y.max() <= 1:  # a share: what a bar reaches beyond it cannot be
            self.ax_.set_ylim(max(0.0, y.min() - 0.1), 1.03)

    def _colours(self, plausibility, shown):
        """A colour for each explainer, with its bar; grey where there is nothing to show."""
        if plausibility not in self.metrics:
            return ["0.5"] * len(shown)
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        values = self.mean[:, self.metrics.index(plausibility)]
        known = values[~np.isnan(values)]
        if not len(known):
            return ["0.5"] * len(shown)
        scale = Normalize(known.min(), max(known.max(), known.min() + 1e-9))
        self._draw_bar(scale, plausibility, values[np.isnan(self.rank).all(axis=1)])
        colours = colormaps[COLOUR_OF_PLAUSIBILITY](scale(np.nan_to_num(values)))
        return ["0.5" if np.isnan(values[i]) else colours[i] for i in shown]

    def _draw_bar(self, scale, plausibility, of_real_rows):
        """What the colours mean, and where real rows are."""
        from matplotlib.cm import ScalarMappable

        bar = self.figure_.colorbar(ScalarMappable(scale, COLOUR_OF_PLAUSIBILITY), ax=self.ax_)
        label = _worded(plausibility)
        for value in of_real_rows[~np.isnan(of_real_rows)]:
            bar.ax.axhline(value, color="black", linewidth=2)
            label = f"{_worded(plausibility)} (line: real rows)"
        bar.set_label(label)

    def _start(self, ax, size):
        """Settle where to draw."""
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.subplots(figsize=size, layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure


def _short(value):
    """A number in few characters."""
    return "" if np.isnan(value) else f"{value:.3g}"


def _worded(name):
    """The name of a metric, as words, with its unit."""
    unit = f" ({UNITS[name]})" if name in UNITS else ""
    return name.replace("_", " ") + unit
