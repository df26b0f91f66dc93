"""Panels: the changes of one row each, drawn with matplotlib."""

import textwrap

import numpy as np

from skcf._values import shortened

__all__ = ["draw_panels", "new_axes", "panel_height", "split_axes"]

BEFORE, AFTER, TRACK, REMARK = "#6e6e6e", "#0072b2", "#8080802e", "#6e6e6e"
"""Grey, and the blue of Okabe and Ito's palette, which colour-blind people tell from grey."""

WIDTH, LINE_HEIGHT, FRAME_HEIGHT = 7.2, 0.34, 0.6
"""Inches: of a figure, of a line of a panel, and of what a panel needs around its lines."""

SPACE = 0.22
"""Inches between two panels."""

GAP = 9
"""Points between the middle of a dot, or of an arrow, and the value beside it."""

SHORTEST_ARROW = 14
"""Points between two dots below which there is no room for an arrow."""

LARGEST_MARGIN = 0.35
"""Share of a panel's width that the values may take beyond each end of the range."""


def panel_height(panel):
    """Number of lines of a panel."""
    return max(1, len(panel["changes"])) + bool(panel["remark"] and panel["changes"])


def new_axes(panels):
    """Make a figure with one panel below the other."""
    import matplotlib.pyplot as plt

    lines = [panel_height(panel) for panel in panels]
    figure, axes = plt.subplots(
        len(panels),
        squeeze=False,
        figsize=(WIDTH, LINE_HEIGHT * sum(lines) + FRAME_HEIGHT * (len(panels) + 1)),
        height_ratios=lines,
        layout="constrained",
    )
    figure.get_layout_engine().set(h_pad=SPACE / 2)
    return axes.ravel()


def split_axes(ax, panels):
    """Make room for several panels where one axes is."""
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            f"ax is one Axes for {len(panels)} rows, and none of a grid that could be divided: "
            "give an Axes for each row."
        )
    ax.set_axis_off()
    lines = [panel_height(panel) for panel in panels]
    grid = GridSpecFromSubplotSpec(len(panels), 1, spec, height_ratios=lines, hspace=0.6)
    return np.array([ax.figure.add_subplot(cell) for cell in grid])


def draw_panels(axes, panels):
    """Draw each panel into its axes.

    Parameters
    ----------
    axes : sequence of matplotlib Axes
        One for each panel.
    panels : list of dict
        With ``title`` and ``remark`` (text) and ``changes`` (list of Change).
    """
    values = [_draw_panel(ax, **panel) for ax, panel in zip(axes, panels, strict=True)]
    with_dots = [k for k, panel in enumerate(panels) if any(c.has_place for c in panel["changes"])]
    if with_dots:
        _explain_axis(axes[with_dots[-1]])
    for figure in {ax.figure.canvas.figure for ax in axes}:
        figure.draw_without_rendering()  # from here on, sizes are known
    margin = max(_margin(ax, texts) for ax, texts in zip(axes, values, strict=True))
    for ax, panel in zip(axes, panels, strict=True):
        ax.set_xlim(-margin, 1 + margin)
        _draw_arrows(ax, panel["changes"])


def _draw_panel(ax, title, changes, remark):
    """Draw everything but what needs to know sizes, and return the values beside dots."""
    ax.set_title(title, loc="left", fontsize="medium", fontweight="bold")
    lines = [textwrap.fill(shortened(c.feature, 50), 28) for c in changes]
    ax.set_yticks(range(len(lines)), lines)
    n_lines = panel_height({"changes": changes, "remark": remark})
    ax.set_ylim(n_lines - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    values = _draw_dots(ax, changes)
    _draw_texts(ax, changes)
    if remark:
        place, axis = (0, n_lines - 1), ax.get_yaxis_transform()
        _write(ax, remark, place, (0, 0), "left", REMARK, xycoords=axis, style="italic")
    return values


def _draw_dots(ax, changes):
    """Draw the changes of numbers: a dot before, a dot after, and their values."""
    placed = [(line, c) for line, c in enumerate(changes) if c.has_place]
    if not placed:
        return []
    lines = [line for line, _ in placed]
    ax.hlines(lines, 0, 1, color=TRACK, linewidth=5, zorder=1, capstyle="round")
    start, end = [c.start for _, c in placed], [c.end for _, c in placed]
    ax.scatter(
        start,
        lines,
        s=52,
        c=[ax.get_facecolor()],
        edgecolors=BEFORE,
        lw=1.6,
        zorder=3,
        label="before",
    )
    ax.scatter(end, lines, s=42, c=AFTER, edgecolors=AFTER, lw=1.6, zorder=4, label="after")
    texts = []
    for line, c in placed:
        side = 1 if c.end >= c.start else -1
        for value, x, out, color in (
            (c.before, c.start, -side, BEFORE),
            (c.after, c.end, side, AFTER),
        ):
            align = "left" if out > 0 else "right"
            texts.append(_write(ax, value, (x, line), (out * GAP, 0), align, color))
    return texts


def _draw_texts(ax, changes):
    """Write the changes of everything else: before → after."""
    for line, c in enumerate(changes):
        if not c.has_place:
            before, after = (textwrap.fill(shortened(t, 48), 25) for t in (c.before, c.after))
            _write(ax, before, (0.5, line), (-GAP, 0), "right", BEFORE)
            _write(ax, "→", (0.5, line), (0, 0), "center", AFTER)
            _write(ax, after, (0.5, line), (GAP, 0), "left", AFTER)


def _write(ax, text, place, offset, align, color, **more):
    """Write text so many points beside a place; it does not move the layout."""
    written = ax.annotate(
        text,
        place,
        offset,
        textcoords="offset points",
        ha=align,
        va="center_baseline" if "\n" not in text else "center",
        fontsize="small",
        color=color,
        annotation_clip=False,
        bbox={"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1.5},
        **more,
    )
    written.set_in_layout(False)
    return written


def _explain_axis(ax):
    """Say what the places on the axis mean, below the last panel that has dots."""
    from matplotlib.transforms import ScaledTranslation

    ax.set_xticks([0, 1], ["lowest", "highest"], color=REMARK, fontsize="small")
    below = ScaledTranslation(0, 4 / 72, ax.figure.dpi_scale_trans)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=ax.transAxes + below,
        ncols=2,
        frameon=False,
        fontsize="small",
        handletextpad=0.1,
        columnspacing=1.2,
    )


def _margin(ax, texts):
    """What the axis must have beyond 0 and 1, so that the values stay inside of the axes."""
    if not texts:
        return 0.0
    gap = GAP * ax.figure.dpi / 72
    needed = max(text.get_window_extent().width for text in texts) + 1.5 * gap
    share = min(needed / ax.get_window_extent().width, LARGEST_MARGIN)
    return share / (1 - 2 * share)


def _draw_arrows(ax, changes):
    """Draw an arrow from dot to dot, where there is room for one."""
    for line, c in enumerate(changes):
        if not c.has_place:
            continue
        ends = ax.transData.transform([(c.start, line), (c.end, line)])
        if abs(ends[1, 0] - ends[0, 0]) * 72 / ax.figure.dpi < SHORTEST_ARROW:
            continue
        style = {"arrowstyle": "-|>", "color": AFTER, "lw": 1.6, "shrinkA": 4, "shrinkB": 3}
        arrow = ax.annotate("", (c.end, line), (c.start, line), arrowprops=style, zorder=2)
        arrow.set_in_layout(False)
