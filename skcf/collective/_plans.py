"""A population: who is to be moved, where they may go, and what a plan means for each."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array, vstack

from skcf._distinct import distinct_rows
from skcf._targets import OTHER
from skcf.collective._move_costs import MoveCosts

__all__ = ["Distinct", "Population", "distinct_people", "expanded", "population_of"]


@dataclass(frozen=True)
class Distinct:
    """Rows without their repetitions.

    Attributes
    ----------
    Z : ndarray of float64, shape (n_distinct, n_features)
        The distinct encoded rows, sorted: so that nothing depends on the order they came in.
    labels : ndarray of int, shape (n_distinct,)
        Their class codes.
    counts : ndarray of float64, shape (n_distinct,)
        How often they occur, weights counted.
    of_row : ndarray of int, shape (n_rows,)
        Which of them each row is.
    """

    Z: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    of_row: np.ndarray


def distinct_people(Z, labels, sample_weight):
    """Merge equal rows of one class; weights add up."""
    first, of_row = distinct_rows(labels, Z + 0.0)
    counts = np.bincount(of_row, sample_weight, len(first)).astype(np.float64)
    return Distinct(Z[first], labels[first], counts, of_row)


@dataclass(frozen=True)
class Movers:
    """People who may be moved, the targets' masses as they see them, and what moves cost.

    Attributes
    ----------
    code : int
        Their class code; -1 for all that are not in the target class.
    sources : ndarray of int, shape (m,)
        Positions among the distinct rows of those who have an allowed target.
    a : ndarray of float64, shape (m,)
        Their masses, with sum 1.
    b : ndarray of float64, shape (n_targets,)
        Masses of the targets, with sum 1; 0 where these people do not go.
    cost : MoveCosts
        What moves cost.
    share : float
        Their share of all people who may be moved.
    """

    code: int
    sources: np.ndarray
    a: np.ndarray
    b: np.ndarray
    cost: MoveCosts
    share: float


@dataclass(frozen=True)
class Population:
    """Who is to be moved, and where they may go.

    Attributes
    ----------
    distinct : Distinct
        The rows without their repetitions.
    targets : ndarray of int, shape (n_targets,)
        Positions of the targets among them.
    movers : list of Movers
        All of them, or one entry for each class that is left.
    """

    distinct: Distinct
    targets: np.ndarray
    movers: list


def population_of(distinct, target, space, metric):
    """Settle who is to be moved where.

    Parameters
    ----------
    distinct : Distinct
        The rows without their repetitions.
    target : int
        Code of the target class, or `OTHER`.
    space : FeatureSpace
        Says who may move where, and at what cost.
    metric : str
        How the features' differences add up.

    Returns
    -------
    Population
        Its list of movers is empty if nobody has an allowed target.
    """
    labels, counts = distinct.labels, distinct.counts
    eligible = space.constraints_.admissible(distinct.Z)
    eligible &= np.ones(len(labels), bool) if target == OTHER else labels == target
    targets = np.flatnonzero(eligible)
    movable = ~space.constraints_.blocked(distinct.Z).any(axis=1)
    movers = []
    for code in np.unique(labels) if target == OTHER else [OTHER]:
        leaving = labels == code if target == OTHER else labels != target
        sources = np.flatnonzero(leaving & movable)
        there = labels[targets] != code
        cost = MoveCosts(space, distinct.Z[sources], distinct.Z[targets], metric)
        allowed = cost.take(slice(0, len(sources)), np.flatnonzero(there)).feasible()
        if allowed.any():
            sources, cost = sources[allowed], cost.take(allowed, slice(0, len(targets)))
            b = np.where(there, counts[targets], 0.0)
            a = counts[sources]
            movers.append(Movers(int(code), sources, a / a.sum(), b / b.sum(), cost, a.sum()))
    total = sum(group.share for group in movers)
    return Population(distinct, targets, [replace(g, share=g.share / total) for g in movers])


@dataclass(frozen=True)
class Expanded:
    """Plans of distinct rows, spread over the people who have these rows.

    Attributes
    ----------
    plan : csr_array of shape (n_people, n_targets)
        The plan of all people.
    mass : ndarray of float64, shape (n_people,)
        Their masses, with sum 1; 0 where infeasible.
    infeasible : ndarray of bool, shape (n_people,)
        Who has no allowed target.
    """

    plan: csr_array
    mass: np.ndarray
    infeasible: np.ndarray


def expanded(population, results, people, weight):
    """Spread the plans of distinct rows over the people who have these rows.

    Parameters
    ----------
    population : Population
        Who is moved where.
    results : list of TransportResult
        The plans of its movers.
    people : ndarray of int, shape (n_people,)
        Rows of all people to be moved.
    weight : ndarray of float64, shape (n_people,)
        Their weights.

    Returns
    -------
    Expanded
    """
    distinct, movers = population.distinct, population.movers
    stacked = vstack(
        [result.plan * group.share for group, result in zip(movers, results, strict=True)]
        + [csr_array((1, len(population.targets)))],  # of those who have no target
        format="csr",
    )
    nobody = stacked.shape[0] - 1
    place = np.full(len(distinct.Z), nobody)
    nowhere = np.empty(0, dtype=np.intp)
    place[np.concatenate([nowhere, *(group.sources for group in movers)])] = np.arange(nobody)
    mass_there = np.concatenate([*(group.a * group.share for group in movers), [0.0]])
    whose = place[distinct.of_row[people]]
    part = weight / distinct.counts[distinct.of_row[people]]
    plan = csr_array(stacked)[whose]
    plan.data *= np.repeat(part, np.diff(plan.indptr))
    return Expanded(plan, mass_there[whose] * part, whose == nobody)
