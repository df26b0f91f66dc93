"""PlanDisplay: who goes where by a collective plan, and the price of crowding there."""

import textwrap
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcf._compat import Interval, validate_params
from skcf._values import shortened
from skcf.inspection._panels import BEFORE
from skcf.inspection._places import axis_of, checked_features
from skcf.space._containers import Table

__all__ = ["PlanDisplay"]

COLORS = "coolwarm"
"""Blue where there is room, grey at a price of 0, red where it is crowded."""

CLIPPED = 0.01
"""Share of the prices that may lie beyond the ends of the colours."""

SPREAD = 0.25
"""How far people of one category are moved apart, on either side."""

MOST_UPRIGHT = 6
"""Number of categories beyond which their names are turned, to fit below the axes."""

WIDEST = 1.4
"""Points: the line of a move that takes the whole of a person's mass."""


class PlanDisplay:
    """A collective plan in two of the columns: people, targets, and moves between them.

    People are small grey dots. Targets are coloured by the price of crowding: red where more
    people come than would be in proportion to the accepted population, blue where there is room.
    For a sample of people, lines lead to where the plan sends them; the wider, the larger the
    share of the person's mass.

    Use :meth:`from_estimator` to make one. What it is given is stored as attributes.

    Parameters
    ----------
    people : array-like of float, shape (n_people, 2)
        Where people stand. NaN: nowhere, and they are not drawn.
    targets : array-like of float, shape (n_targets, 2)
        Where targets stand.
    prices : array-like of float, shape (n_targets,)
        Price of crowding at each; targets with an infinite price are not drawn.
    plan : sparse array of shape (n_people, n_targets)
        Mass that moves from each person to each target.
    feature_names : sequence of two str, default=("x0", "x1")
        What the axes are called.
    categories : sequence of two lists or None, default=(None, None)
        For an axis of categories, what stands at 0, 1, 2 …; None for an axis of numbers.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What it is drawn in.
    figure_ : matplotlib Figure
        The figure that they are in.
    people_, targets_ : matplotlib PathCollection
        The dots.
    moves_ : matplotlib LineCollection
        The lines.
    colorbar_ : matplotlib Colorbar or None
        What the colours mean.

    See Also
    --------
    CrowdingFrontierDisplay : What plans of other crowding penalties would cost.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.svm import SVC
    >>> from skcf import CCEExplainer
    >>> from skcf.inspection import PlanDisplay
    >>> X, y = make_moons(200, noise=0.1, random_state=0)
    >>> model = SVC().fit(X, y)
    >>> explainer = CCEExplainer(model, random_state=0).fit(X, model.predict(X))
    >>> display = PlanDisplay.from_estimator(explainer, n_people=20, random_state=0)
    >>> display.colorbar_.ax.get_ylabel()
    'price of crowding'
    """

    def __init__(
        self,
        *,
        people,
        targets,
        prices,
        plan,
        feature_names=("x0", "x1"),
        categories=(None, None),
    ):
        self.people = people
        self.targets = targets
        self.prices = prices
        self.plan = plan
        self.feature_names = feature_names
        self.categories = categories

    @classmethod
    def from_estimator(
        cls,
        explainer,
        *,
        features=(0, 1),
        source_class=None,
        n_people=100,
        random_state=None,
        ax=None,
        colorbar=True,
    ):
        """Draw the plan of a fitted collective explainer.

        Parameters
        ----------
        explainer : CCEExplainer
            Fitted. Of a Pipeline, its last step.
        features : sequence of two str or int, default=(0, 1)
            The columns that make the axes, by name or position.
        source_class : object, default=None
            The class whose people are shown. Only with ``target_class="other"``, where each class
            has a plan and prices of its own; there it must be given.
        n_people : int, default=100
            Number of people whose moves are drawn. None: all.
        random_state : int, RandomState instance or None, default=None
            Draws them, see `plot`.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        colorbar : bool, default=True
            Whether to explain the colours beside the axes.

        Returns
        -------
        PlanDisplay

        Raises
        ------
        TypeError
            If explainer has no plan.
        NotFittedError
            If it is not fitted.
        ValueError
            If features or the class are not there.

        Warns
        -----
        InvalidCounterfactualWarning
            If there are people whom the constraints allow no target.
        """
        if not callable(getattr(explainer, "explain_population", None)):
            raise TypeError(
                "PlanDisplay.from_estimator takes a fitted CCEExplainer, which has a plan; got "
                f"{type(explainer).__name__}. Of a Pipeline, give its last step."
            )
        check_is_fitted(explainer)
        targets = Table.of(explainer.targets_)
        columns = checked_features(features, targets)
        result = explainer.explain_population()
        moved = np.flatnonzero(result.status != "already_target")  # one for each row of the plan
        shown, prices = _shown(explainer, result.y[moved], source_class)
        people = Table.of(result.X).take(moved[shown])
        axes = [axis_of([people, targets], j, explainer.feature_space_) for j in columns]
        display = cls(
            people=_places(axes, people, columns),
            targets=_places(axes, targets, columns),
            prices=prices,
            plan=explainer.plan_[shown],
            feature_names=[axis.name for axis in axes],
            categories=[axis.categories for axis in axes],
        )
        return display.plot(ax=ax, n_people=n_people, random_state=random_state, colorbar=colorbar)

    @validate_params(
        {
            "n_people": [Interval(Integral, 1, None, closed="left"), None],
            "random_state": ["random_state"],
            "colorbar": ["boolean"],
        },
        prefer_skip_nested_validation=True,
    )
    def plot(self, *, ax=None, n_people=100, random_state=None, colorbar=True):
        """Draw the plan.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.
        n_people : int, default=100
            Number of people whose moves are drawn. None: all.
        random_state : int, RandomState instance or None, default=None
            Draws them, and moves people of one category apart so that they can be told from each
            other. Numbers stand where they are.
        colorbar : bool, default=True
            Whether to explain the colours beside the axes.

        Returns
        -------
        PlanDisplay
            Itself.
        """
        rng = check_random_state(random_state)
        offered = np.flatnonzero(np.isfinite(self.prices))
        people, targets = (self._apart(places, rng) for places in (self.people, self.targets))
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        self.people_ = self.ax_.scatter(
            *people.T, s=9, color=BEFORE, alpha=0.5, linewidths=0, zorder=1, label="people"
        )
        self.moves_ = self._draw_moves(people, targets, _drawn(len(people), n_people, rng))
        self._draw_targets(targets[offered], np.asarray(self.prices)[offered], colorbar)
        self._name_axes()
        return self

    def _apart(self, places, rng):
        """Places with the people of one category moved apart."""
        places = np.array(places, dtype=float)
        for axis, categories in enumerate(self.categories):
            if categories is not None:
                places[:, axis] += rng.uniform(-SPREAD, SPREAD, len(places))
        return places

    def _draw_moves(self, people, targets, drawn):
        """Draw a line for each move of some people, as wide as its share of the person."""
        from matplotlib.collections import LineCollection

        entries = csr_array(self.plan)[drawn].tocoo()
        ends = np.stack([people[drawn[entries.row]], targets[entries.col]], axis=1)
        total = np.bincount(entries.row, entries.data, len(drawn))[entries.row]
        visible = np.isfinite(ends).all(axis=(1, 2)) & (entries.data > 0)
        widths = WIDEST * np.sqrt(entries.data[visible] / total[visible])
        lines = LineCollection(
            ends[visible], linewidths=widths, colors=BEFORE, alpha=0.35, zorder=2, label="moves"
        )
        self.ax_.add_collection(lines)
        return lines

    def _draw_targets(self, places, prices, colorbar):
        """Draw targets in colours whose middle is a price of 0."""
        from matplotlib.colors import CenteredNorm

        size = np.abs(prices)
        end = float(np.quantile(size, 1 - CLIPPED)) if len(size) else 0.0
        end = end or max(size, default=0.0) or 1.0
        self.targets_ = self.ax_.scatter(
            *places.T,
            c=prices,
            cmap=COLORS,
            norm=CenteredNorm(halfrange=end),
            s=22,
            edgecolors="white",
            linewidths=0.4,
            zorder=3,
            label="targets",
        )
        self.colorbar_ = None
        if colorbar:
            beyond = ["neither", "min", "max", "both"][
                int((prices < -end).any()) + 2 * int((prices > end).any())
            ]
            self.colorbar_ = self.figure_.colorbar(
                self.targets_, ax=self.ax_, label="price of crowding", extend=beyond
            )

    def _name_axes(self):
        """Name the axes, and write categories where they stand."""
        for axis, name, categories in zip(
            (self.ax_.xaxis, self.ax_.yaxis), self.feature_names, self.categories, strict=True
        ):
            axis.set_label_text(name)
            if categories is not None:
                texts = [textwrap.fill(shortened(c, 28), 14) for c in categories]
                axis.set_ticks(range(len(texts)), texts, fontsize="small")
                if axis is self.ax_.xaxis and len(texts) > MOST_UPRIGHT:
                    axis.set_tick_params(rotation=90)


def _shown(explainer, y, source_class):
    """Rows of the plan that are shown, and the prices for these people."""
    prices = np.asarray(explainer.prices_)
    if prices.ndim == 1:
        if source_class is not None:
            raise ValueError(
                f"source_class={source_class!r}, but this explainer has one plan for all people: "
                "leave it out."
            )
        return np.arange(len(y)), prices
    classes = np.asarray(explainer.classes_).tolist()
    if source_class not in classes:
        raise ValueError(
            "With target_class='other' each class has a plan of its own: source_class must be one "
            f"of {classes}, got {source_class!r}."
        )
    return np.flatnonzero(y == source_class), prices[classes.index(source_class)]


def _places(axes, table, columns):
    """Where rows stand on two axes."""
    return np.column_stack([axis.places(table, j) for axis, j in zip(axes, columns, strict=True)])


def _drawn(n_people, wanted, rng):
    """Positions of the people whose moves are drawn."""
    if wanted is None or wanted >= n_people:
        return np.arange(n_people)
    return np.sort(rng.choice(n_people, wanted, replace=False))


def _new_axes():
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(6.4, 4.8), layout="constrained")[1]
