"""CrowdingFrontierDisplay: what effort buys, and where other advice stands."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcf.inspection._panels import AFTER

__all__ = ["CrowdingFrontierDisplay"]

PENALTIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Crowding penalties that are solved for where none are given."""

OTHERS = ["#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
MARKERS = "sD^vPX"
"""Colours of Okabe and Ito's palette, and shapes, of other advice."""

NEAREST_LABELS = 14
"""Points between two dots below which only the first has its penalty beside it."""

LARGEST_LINEAR_RATIO = 20
"""Largest over smallest crowding beyond which its axis is logarithmic."""


class CrowdingFrontierDisplay:
    """Effort against crowding: plans of many crowding penalties, and other advice beside them.

    Each dot is a plan, with its crowding penalty beside it where there is room. Nothing lies below
    and to the left of the line: to crowd less takes more effort. (That is so for a hard source and
    a cost power of 1.)

    Use :meth:`from_estimator` or :meth:`from_frontier` to make one. What they are given
    is stored as attributes.

    Parameters
    ----------
    effort : array-like of float, shape (n_penalties,)
        Effort of each plan, in mean costs.
    crowding : array-like of float, shape (n_penalties,)
        Crowding of each: the divergence of the targets' occupation from the accepted
        population.
    penalties : array-like of float, shape (n_penalties,)
        The crowding penalty of each.
    others : dict of {str: (effort, crowding)}, default=None
        Other advice, by name.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What it is drawn in.
    figure_ : matplotlib Figure
        The figure that they are in.
    line_ : matplotlib Line2D
        The frontier.
    others_ : dict of {str: matplotlib Line2D}
        The points of other advice.

    See Also
    --------
    PlanDisplay : One plan, in two of the columns.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.svm import SVC
    >>> from skcf import CCEExplainer, NearestExplainer
    >>> from skcf.inspection import CrowdingFrontierDisplay
    >>> X, y = make_moons(200, noise=0.1, random_state=0)
    >>> model = SVC().fit(X, y)
    >>> explainer = CCEExplainer(model, random_state=0).fit(X, model.predict(X))
    >>> nearest = NearestExplainer(model, refine=False).fit(X, model.predict(X))
    >>> rejected = X[model.predict(X) == 0]
    >>> display = CrowdingFrontierDisplay.from_estimator(
    ...     explainer, penalties=[0.1, 1, 10], results={"nearest": nearest.explain(rejected)}
    ... )
    >>> display.others_["nearest"].get_label()
    'nearest'
    """

    def __init__(self, *, effort, crowding, penalties, others=None):
        self.effort = effort
        self.crowding = crowding
        self.penalties = penalties
        self.others = others

    @classmethod
    def from_estimator(cls, explainer, *, penalties=None, results=None, ax=None):
        """Solve for many crowding penalties, and draw effort against crowding.

        Parameters
        ----------
        explainer : CCEExplainer
            Fitted; it stays as it is. Of a Pipeline, its last step.
        penalties : array-like of float, default=None
            Crowding penalties, in mean costs. None: ten from 0.01 to 10.
        results : dict of {str: CounterfactualResult}, default=None
            Advice to compare, by name: of this explainer or of any other, for rows with the same
            columns. Its effort is measured as the plan's is, and its crowding by
            ``explainer.crowding``.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        CrowdingFrontierDisplay

        Raises
        ------
        TypeError
            If explainer has no frontier.
        NotFittedError
            If it is not fitted.
        ValueError
            If a penalty is not positive, or a result cannot be placed: it moves nobody, or breaks
            the explainer's constraints.

        Notes
        -----
        A plan splits people; advice gives each one target. So m people occupy at most m of n
        targets, which alone is a chi2 divergence of ``n / m - 1`` where the targets have equal
        masses and m is less than n. Compare points of equally many people with each other, and
        with the line only where people are many.
        """
        if not callable(getattr(explainer, "crowding_path", None)):
            raise TypeError(
                "CrowdingFrontierDisplay.from_estimator takes a fitted CCEExplainer, which has a "
                f"method crowding_path; got {type(explainer).__name__}. Of a Pipeline, give its "
                "last step."
            )
        check_is_fitted(explainer)
        others = {name: _place(explainer, name, result) for name, result in (results or {}).items()}
        frontier = explainer.crowding_path(PENALTIES if penalties is None else penalties)
        return cls.from_frontier(frontier, others=others, ax=ax)

    @classmethod
    def from_frontier(cls, frontier, *, others=None, ax=None):
        """Draw a frontier that has been solved for.

        Parameters
        ----------
        frontier : CrowdingFrontier
            From ``CCEExplainer.crowding_path``.
        others : dict of {str: (effort, crowding)}, default=None
            Other advice, by name.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        CrowdingFrontierDisplay
        """
        display = cls(
            effort=frontier.transport_cost,
            crowding=frontier.crowding,
            penalties=frontier.penalties,
            others=others,
        )
        return display.plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw the frontier.

        Crowding has a logarithmic axis where it is positive throughout and its largest value
        is more than twenty times the smallest.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        CrowdingFrontierDisplay
            Itself.
        """
        self.ax_ = _new_axes() if ax is None else ax
        self.figure_ = self.ax_.figure
        order = np.argsort(self.penalties, kind="stable")
        effort, crowding, penalties = (
            np.asarray(values, dtype=float)[order]
            for values in (self.effort, self.crowding, self.penalties)
        )
        (self.line_,) = self.ax_.plot(
            effort, crowding, "o-", color=AFTER, markersize=5, label="collective plan"
        )
        self.others_ = self._draw_others()
        every = np.concatenate([crowding, [place[1] for place in (self.others or {}).values()]])
        if every.min() > 0 and every.max() > LARGEST_LINEAR_RATIO * every.min():
            self.ax_.set_yscale("log")
        self._write_penalties(effort, crowding, penalties)
        self.ax_.set(xlabel="effort (mean costs)", ylabel="crowding (divergence)")
        self.ax_.legend(frameon=False, fontsize="small")
        return self

    def _write_penalties(self, effort, crowding, penalties):
        """Write each crowding penalty beside its dot, but none over the one before."""
        self.ax_.autoscale_view()
        last = np.full(2, np.inf)
        for x, y, penalty in zip(effort, crowding, penalties, strict=True):
            place = self.ax_.transData.transform((x, y)) * 72 / self.figure_.dpi
            if np.abs(place - last).max() < NEAREST_LABELS:
                continue
            last = place
            self.ax_.annotate(
                f"{penalty:.2g}",
                (x, y),
                (-5, -5),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize="x-small",
                color=AFTER,
            )

    def _draw_others(self):
        """Draw the points of other advice."""
        drawn = {}
        for k, (name, place) in enumerate((self.others or {}).items()):
            (drawn[name],) = self.ax_.plot(
                [place[0]],
                [place[1]],
                MARKERS[k % len(MARKERS)],
                color=OTHERS[k % len(OTHERS)],
                markersize=8,
                label=str(name),
            )
        return drawn


def _place(explainer, name, result):
    """Effort and crowding of advice, both as the plan's are measured."""
    if not hasattr(result, "X_cf"):
        raise TypeError(
            f"results[{name!r}] must be a CounterfactualResult; got {type(result).__name__}."
        )
    found = np.asarray(result.status) == "found"
    if not found.any():
        raise ValueError(f"results[{name!r}] moves nobody: it has no place in the picture.")
    cost = explainer.feature_space_.cost(result.X, result.X_cf, metric=explainer.cost)[found]
    n_forbidden = int(np.isinf(cost).sum())
    if n_forbidden:
        raise ValueError(
            f"results[{name!r}] has {n_forbidden} moves that the explainer's constraints forbid: "
            "their effort is infinite."
        )
    power = explainer.cost_power
    mean = np.mean((cost / explainer.cost_scale_) ** power)
    return float(mean ** (1 / power)), explainer.crowding(result)


def _new_axes():
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(6.4, 4.8), layout="constrained")[1]
