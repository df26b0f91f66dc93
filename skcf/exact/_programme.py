"""A mixed-integer linear programme, put together piece by piece and given to HiGHS."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

__all__ = ["Outcome", "Programme", "Sum"]

OPTIMAL, INFEASIBLE = 0, 2  # scipy's codes

# HiGHS judges by absolute tolerances, of 1e-6 and 1e-7
LARGEST_COST = 1e3
LARGEST_COEFFICIENT = 1e2


@dataclass
class Sum:
    """A linear expression: a constant, and variables with their coefficients."""

    columns: list
    values: list
    constant: float = 0.0

    def plus(self, other, factor=1.0):
        """Add a multiple of another one."""
        return Sum(
            self.columns + other.columns,
            self.values + [factor * value for value in other.values],
            self.constant + factor * other.constant,
        )


@dataclass(frozen=True)
class Outcome:
    """What the solver found.

    Attributes
    ----------
    x : ndarray of float64 or None
        The variables; None where nothing was found.
    bound : float
        No solution costs less; infinite where there is none, and minus infinity where nothing is
        known.
    is_settled : bool
        Whether the solver came to an end: with an optimum, or the proof that there is none.
    """

    x: np.ndarray | None
    bound: float
    is_settled: bool


class Programme:
    """Minimise a sum of variables under linear constraints, some variables being whole.

    Parameters
    ----------
    dearest : float, default=inf
        About how large the sum may become; it is scaled by that.

    Attributes
    ----------
    constant : float
        What is paid whatever the variables are.
    """

    def __init__(self, dearest=np.inf):
        self.constant = 0.0
        self._unit = (dearest if 0 < dearest < np.inf else 1.0) / LARGEST_COST
        self._cost, self._low, self._high, self._whole = [], [], [], []
        self._rows, self._columns, self._values = [], [], []
        self._row_low, self._row_high = [], []

    def variable(self, cost=0.0, low=0.0, high=1.0, whole=False):
        """Add a variable, and return its position."""
        self._cost.append(cost)
        self._low.append(low)
        self._high.append(high)
        self._whole.append(whole)
        return len(self._cost) - 1

    def pay(self, expression):
        """Add an expression to what is minimised."""
        self.constant += expression.constant
        for column, value in zip(expression.columns, expression.values, strict=True):
            self._cost[column] += value

    def forbid(self):
        """Leave it without a solution."""
        # HiGHS has no place for a row without variables: an impossible one is a bound
        self.variable(low=1.0, high=0.0)

    def require(self, expression, low=-np.inf, high=np.inf, scaled=False):
        """Demand that an expression lies between two numbers, in units of its own if scaled."""
        largest = np.abs(expression.values).max(initial=0.0)
        if largest == 0:
            if not low <= expression.constant <= high:
                self.forbid()
            return
        unit = largest / LARGEST_COEFFICIENT if scaled else 1.0
        self._rows.extend([len(self._row_low)] * len(expression.columns))
        self._columns.extend(expression.columns)
        self._values.extend(np.divide(expression.values, unit))
        self._row_low.append((low - expression.constant) / unit)
        self._row_high.append((high - expression.constant) / unit)

    def solve(self, time_limit=None, gap=1e-6):
        """Solve it.

        Parameters
        ----------
        time_limit : float, default=None
            Seconds.
        gap : float, default=1e-6
            Relative gap to stop at.

        Returns
        -------
        Outcome
        """
        if any(low > high for low, high in zip(self._low, self._high, strict=True)):
            return Outcome(None, np.inf, True)
        if not self._cost:
            return Outcome(np.empty(0), self.constant, True)
        # there is little to presolve: what is of no use has been left out
        options = {"mip_rel_gap": gap, "presolve": False}
        if time_limit is not None:
            options["time_limit"] = max(time_limit, 1e-3)
        result = milp(
            np.array(self._cost) / self._unit,
            integrality=np.array(self._whole, dtype=int),
            bounds=Bounds(np.array(self._low), np.array(self._high)),
            constraints=self._constraints(),
            options=options,
        )
        if result.status == INFEASIBLE:
            return Outcome(None, np.inf, True)
        bound = result.mip_dual_bound
        if bound is None:  # a programme without whole variables is solved, or is not
            bound = result.fun if result.status == OPTIMAL else -np.inf
        return Outcome(result.x, self.constant + self._unit * bound, result.status == OPTIMAL)

    def _constraints(self):
        shape = (len(self._row_low), len(self._cost))
        if not shape[0]:
            return ()
        matrix = csr_array((self._values, (self._rows, self._columns)), shape=shape)
        return LinearConstraint(matrix, np.array(self._row_low), np.array(self._row_high))
