"""Paths that are taken over from one fit to the next, where they solve the same problem."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcf.group._problem import GroupProblem
from skcf.group._prox import Path

__all__ = ["SolvedPath", "taken_over"]


@dataclass(frozen=True)
class SolvedPath:
    """A path, with all that it depends on.

    Attributes
    ----------
    problem : GroupProblem
        Of the loss "mean", which sees of the rows their means alone.
    sources : tuple of object
        What the representation was read from.
    options : tuple
        Of the solver.
    path : Path
        What was found.
    """

    problem: GroupProblem
    sources: tuple[Any, ...]
    options: tuple[Any, ...]
    path: Path

    def solves(self, problem, alphas, sources, options):
        """Whether another path would be the same."""
        return (
            self.options == options
            and all(a is b for a, b in zip(self.sources, sources, strict=True))
            and np.array_equal(self.path.alphas, alphas)
            and self._is_of(problem)
        )

    def _is_of(self, problem):
        mine, other = self.problem, problem
        return (
            mine.pairs.target == other.pairs.target
            and np.array_equal(_signs_of(mine), _signs_of(other))
            and all(
                np.array_equal(getattr(mine, name), getattr(other, name))
                for name in ("means", "targets", "free")
            )
        )


def taken_over(solved, *question):
    """The path of one of some `SolvedPath` that solves this problem, or None."""
    return next((one.path for one in solved if one.solves(*question)), None)


def _signs_of(problem):
    signs = problem.penalty.signs
    return np.zeros(len(problem.free)) if signs is None else signs
