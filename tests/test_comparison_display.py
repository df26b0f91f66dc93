"""ComparisonDisplay: what is drawn is what the table says."""

import matplotlib.pyplot
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from skcf.inspection import ComparisonDisplay

matplotlib.use("Agg")

REAL = "real target-class rows"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture
def table():
    """Two splits, three explainers, one of which fails in the second split, and real rows."""
    lines = [
        # explainer, metric, value and rank of each split
        ("cheap", "validity", (0.75, 1.0), (3, 2)),
        ("sure", "validity", (1.0, 1.0), (1.5, 1)),
        ("bad", "validity", (1.0, np.nan), (1.5, 3)),
        ("cheap", "proximity", (1.0, 3.0), (1, 1)),
        ("sure", "proximity", (4.0, 4.0), (2, 2)),
        ("bad", "proximity", (9.0, np.nan), (3, 3)),
        (REAL, "neighbour_share", (0.9, 0.7), (np.nan, np.nan)),
        ("cheap", "neighbour_share", (0.4, 0.6), (3, 2)),
        ("sure", "neighbour_share", (1.0, 0.8), (1, 1)),
        ("bad", "neighbour_share", (0.7, np.nan), (2, 3)),
        ("cheap", "fit_time", (0.1, 0.1), (1, 1)),
    ]
    rows = [
        (name, split, metric, values[split], ranks[split], None)
        for name, metric, values, ranks in lines
        for split in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["explainer", "split", "metric", "value", "rank", "error"])


def test_means_spreads_and_ranks(table):
    display = ComparisonDisplay(table)
    assert display.explainers == ["cheap", "sure", "bad", REAL]  # real rows last
    assert display.metrics == ["validity", "proximity", "neighbour_share", "fit_time"]
    np.testing.assert_allclose(display.mean[:3, 0], [0.875, 1.0, 1.0])
    np.testing.assert_allclose(display.spread[:3, 1], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(display.rank[:3, 0], [2.5, 1.25, 2.25])
    assert np.isnan(display.mean[3, 0])
    assert np.isnan(display.rank[3]).all()


def test_heatmap_writes_means_on_colours_of_ranks(table):
    display = ComparisonDisplay.from_comparison(table)
    text = [[cell.get_text() for cell in line] for line in display.text_]
    assert text[0] == ["0.875", "2", "0.5", "0.1"]
    assert text[3] == ["", "", "0.8", ""]
    merit = display.image_.get_array()
    np.testing.assert_allclose(merit[:3, 1], [1.0, 0.5, 0.0])  # of three, mean ranks 1, 2, 3
    assert merit.mask[3].all()
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == display.explainers
    heads = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert heads == ["validity", "proximity", "neighbour share", "fit time (s)"]
    assert display.text_[0, 1].get_color() == "white"
    assert display.text_[2, 1].get_color() == "black"


def test_heatmap_of_some_metrics_in_ones_own_axes(table):
    _, ax = matplotlib.pyplot.subplots()
    display = ComparisonDisplay.from_comparison(table, metrics=["fit_time", "validity"], ax=ax)
    assert display.ax_ is ax
    assert display.text_.shape == (4, 2)
    assert display.text_[1, 1].get_text() == "1"


def test_frontier(table):
    display = ComparisonDisplay.from_comparison(table, kind="frontier")
    places = {name: point.get_xydata()[0].tolist() for name, point in display.points_.items()}
    assert places == {"cheap": [2.0, 0.875], "sure": [4.0, 1.0], "bad": [9.0, 1.0]}
    line = display.ax_.lines[0].get_xydata()  # "bad" is dearer than "sure", and no better
    np.testing.assert_allclose(line, [[2.0, 0.875], [4.0, 1.0]])
    bar = display.figure_.axes[1]
    assert bar.get_ylabel() == "neighbour share (line: real rows)"
    assert [mark.get_ydata()[0] for mark in bar.lines if len(mark.get_ydata()) == 2] == [0.8]
    colours = {name: to_rgba(point.get_color()) for name, point in display.points_.items()}
    low, high = (to_rgba(matplotlib.colormaps["viridis"](end)) for end in (0.0, 1.0))
    assert colours["cheap"] == pytest.approx(low)
    assert colours["sure"] == pytest.approx(high)


def test_frontier_of_what_is_no_share_shows_every_point(table):
    table.loc[table["metric"] == "validity", "value"] -= 1.5  # margins, say
    display = ComparisonDisplay.from_comparison(table, kind="frontier")
    low, high = display.ax_.get_ylim()
    heights = [point.get_ydata()[0] for point in display.points_.values()]
    assert low < min(heights) < 0
    assert high > max(heights)


def test_frontier_without_plausibility_is_grey(table):
    display = ComparisonDisplay(table).plot(kind="frontier", plausibility="im1")
    assert {point.get_color() for point in display.points_.values()} == {"0.5"}
    assert len(display.figure_.axes) == 1


def test_bad_input_is_refused(table):
    with pytest.raises(ValueError, match=r"it lacks the columns \['split', 'rank'\]"):
        ComparisonDisplay(table.drop(columns=["split", "rank"]))
    with pytest.raises(ValueError, match="it lacks the columns"):
        ComparisonDisplay({"explainer": []})
    with pytest.raises(ValueError, match="kind must be one of"):
        ComparisonDisplay(table).plot(kind="radar")
    with pytest.raises(ValueError, match=r"no metric \['im1'\]: it has \['validity'"):
        ComparisonDisplay(table).plot(metrics=["im1"])
    with pytest.raises(ValueError, match="No explainer has both fit_time and neighbour_share"):
        ComparisonDisplay(pd.concat([table[table["explainer"] == REAL],
            table[table["metric"] == "fit_time"]])
        ).plot(kind="frontier", cost="fit_time", validity="neighbour_share")  # fmt: skip
