"""CrowdingFrontier: effort against crowding, over the crowding penalties."""

from dataclasses import dataclass

import numpy as np

__all__ = ["CrowdingFrontier", "frontier_of"]


@dataclass(frozen=True, eq=False)
class CrowdingFrontier:
    """What plans of many crowding penalties cost, and how they crowd.

    Attributes
    ----------
    penalties : ndarray of float64, shape (n_penalties,)
        The crowding penalties, in mean costs.
    transport_cost : ndarray of float64, shape (n_penalties,)
        Effort of each plan, in mean costs. Rises with the penalty (hard source, cost power 1).
    crowding : ndarray of float64, shape (n_penalties,)
        Divergence of the targets' occupation, without its penalty. Falls with the penalty.
    served_fraction : ndarray of float64, shape (n_penalties,)
        Share of the people's mass that is moved: 1 with a hard source.
    gap : ndarray of float64, shape (n_penalties,)
        Relative duality gap of each plan.
    """

    penalties: np.ndarray
    transport_cost: np.ndarray
    crowding: np.ndarray
    served_fraction: np.ndarray
    gap: np.ndarray


def frontier_of(penalties, paths, shares):
    """Sum up the paths of one or several groups of people, each with its share of all."""
    shape = len(paths), len(penalties)  # no path at all where nobody may move

    def each(values_of):
        return np.array([[values_of(r) for r in path] for path in paths], float).reshape(shape)

    def mean(values_of):
        return each(values_of).T @ np.asarray(shares, dtype=float)

    return CrowdingFrontier(
        penalties=penalties,
        transport_cost=mean(lambda result: result.transport_cost),
        crowding=mean(lambda result: result.target_divergence) / penalties,
        served_fraction=mean(lambda result: result.source_marginal.sum()),
        gap=each(lambda result: result.gap).max(axis=0, initial=0.0),
    )
