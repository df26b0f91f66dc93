"""What one feature of a row may become, as variables of a programme."""

import numpy as np

from skcf.exact._programme import Sum

__all__ = ["Cell", "Choice", "Filled", "Settled", "Slide", "add_implication"]


class Settled:
    """A feature of which one value is left.

    Parameters
    ----------
    value, height : float
        The value, and what implications measure rises by.
    """

    def __init__(self, value, height):
        self._value, self._height = value, height

    def among(self, members):
        """Whether it is among some values, given by a mask: 1 or 0."""
        return Sum([], [], float(members[0]))

    def picked(self, x):
        """The value in a solution."""
        return self._value

    def height(self):
        """The height of the value, as an expression."""
        return Sum([], [], float(self._height))

    def rise(self, programme, origin):
        """How far the height is above the origin's, and whether it is."""
        rise = max(float(self._height) - origin, 0.0)
        return Sum([], [], rise), Sum([], [], float(rise > 0))


class Choice:
    """A feature that takes one of a few values, each at a price.

    With an order, a variable says for each gap between two values whether the value is beyond it,
    seen from the cheapest one; without, for each value whether it is taken. The first are fewer
    where sets of values are ranges, and branch better.

    Parameters
    ----------
    programme : Programme
        Gets the variables.
    values : ndarray of float64, shape (n_values,)
        Values; in their order, if they have one.
    costs : ndarray of float64, shape (n_values,)
        What each costs.
    is_ordered : bool
        Whether sets of values are asked for that are ranges.
    heights : ndarray of float64, shape (n_values,), default=None
        What implications measure rises by, if not by the values.
    whole : bool, default=True
        Whether the solver has to be told that it is one value. Not where all that is asked is that
        sets hold the value: what is in each of several sets is in those that all have in common,
        of which one is the cheapest.
    """

    def __init__(self, programme, values, costs, is_ordered, heights=None, whole=True):
        self.values, self.is_ordered = values, is_ordered
        self.heights = values if heights is None else heights
        n, self._base = len(values), int(np.argmin(costs))
        self._columns = [programme.variable(whole=whole) for _ in range(n - is_ordered)]
        if is_ordered:
            for k, pair in enumerate(zip(self._columns, self._columns[1:], strict=False)):
                if k + 1 == self._base:  # not beyond it on both sides
                    programme.require(Sum(list(pair), [1.0, 1.0]), high=1.0)
                else:  # the nearer gap is passed first
                    nearer, farther = pair if k >= self._base else pair[::-1]
                    programme.require(Sum([nearer, farther], [1.0, -1.0]), low=0.0)
        else:
            programme.require(Sum(self._columns, [1.0] * n), low=1.0, high=1.0)
        programme.pay(self.total(costs))

    def among(self, members):
        """Whether one of some values is taken, given by a mask: 1 or 0."""
        return self.total(np.asarray(members, dtype=float))

    def total(self, weights):
        """The weight of the value that is taken."""
        if not self.is_ordered:
            some = np.flatnonzero(weights)
            return Sum([self._columns[k] for k in some], [float(weights[k]) for k in some])
        steps = np.diff(weights)
        steps[: self._base] *= -1  # below the cheapest one, a gap is passed downwards
        some = np.flatnonzero(steps)
        passed = [self._columns[k] for k in some], [float(steps[k]) for k in some]
        return Sum(*passed, float(weights[self._base]))

    def picked(self, x):
        """The value in a solution."""
        on = np.array([x[column] for column in self._columns])
        if not self.is_ordered:
            return self.values[int(on.argmax())]
        passed = on > 0.5
        return self.values[self._base - passed[: self._base].sum() + passed[self._base :].sum()]

    def height(self):
        """The height of the value, as an expression."""
        return self.total(self.heights)

    def rise(self, programme, origin):
        """How far the height is above the origin's, and whether it is."""
        rises = np.maximum(self.heights - origin, 0)
        return self.total(rises), self.among(rises > 0)


class Slide:
    """A number that may go up or down, each step at the same price.

    Parameters
    ----------
    programme : Programme
        Gets the variables.
    origin : float
        Where it stands.
    low, high : float
        Where it may go.
    price : float
        Of a difference of 1.
    is_whole : bool
        Whether it moves by whole steps.
    """

    def __init__(self, programme, origin, low, high, price, is_whole):
        self.origin, self.low, self.high = origin, low, high
        reach = max(abs(low - origin), abs(high - origin))
        # the solver's tolerances are absolute: they are to be small beside what a variable may be
        self.unit = reach if 0 < reach < np.inf and not is_whole else 1.0

        def way(least, most):
            limits = max(least, 0.0) / self.unit, max(most, 0.0) / self.unit
            return programme.variable(price * self.unit, *limits, whole=is_whole)

        self._up = way(low - origin, high - origin)
        self._down = way(origin - high, origin - low)

    def height(self):
        """The value, as an expression."""
        return Sum([self._up, self._down], [self.unit, -self.unit], self.origin)

    def picked(self, x):
        """The value in a solution."""
        return self.origin + self.unit * (x[self._up] - x[self._down])

    def rise(self, programme, origin):
        """How far the value is above the origin, and whether it is."""
        largest = (self.high - origin) / self.unit
        if largest <= 0:
            return Sum([], []), Sum([], [])
        rises = programme.variable(whole=True)
        if np.isfinite(largest):
            programme.require(Sum([self._up, rises], [1.0, -largest]), high=0.0)
        return Sum([self._up], [self.unit]), Sum([rises], [1.0])


class Filled:
    """A missing number that may be filled in, at the same price whatever the number.

    Parameters
    ----------
    programme : Programme
        Gets the variables.
    low, high : float
        Numbers that it may be filled with.
    cost : float
        Of filling it in.
    is_whole : bool
        Whether the number has to be whole; so are low and high then.
    """

    def __init__(self, programme, low, high, cost, is_whole):
        self.is_filled = programme.variable(cost, whole=True)
        self._low, self._unit = low, 1.0 if is_whole else max(high - low, 1e-300)
        most = (high - low) / self._unit
        self._above = programme.variable(high=most, whole=is_whole)
        programme.require(Sum([self._above, self.is_filled], [1.0, -most]), high=0.0)

    def height(self):
        """The number, 0 where there is none, as an expression."""
        return Sum([self._above, self.is_filled], [self._unit, self._low])

    def picked(self, x):
        """The number in a solution, or NaN."""
        is_filled = x[self.is_filled] > 0.5
        return self._low + self._unit * x[self._above] if is_filled else np.nan


class Cell:
    """A number whose cell is a choice: it moves inside of the cell at a price by the unit.

    Parameters
    ----------
    programme : Programme
        Gets the variables.
    slide : Slide
        The number.
    lows, highs : ndarray of float64, shape (n_cells,)
        The cells.
    """

    def __init__(self, programme, slide, lows, highs):
        choice = Choice(programme, lows, np.zeros(len(lows)), True)
        self.among, self.rise = choice.among, slide.rise
        self.height, self.picked = slide.height, slide.picked
        above = slide.height().plus(choice.total(np.maximum(lows, slide.low)), -1.0)
        below = slide.height().plus(choice.total(np.minimum(highs, slide.high)), -1.0)
        programme.require(above, low=0.0)
        programme.require(below, high=0.0)


def add_implication(programme, first, first_origin, second, second_origin, amount, room):
    """Demand that the second rises by at least so much where the first rises.

    Parameters
    ----------
    programme : Programme
        Gets the constraint.
    first, second : Choice or Slide
        The features' variables.
    first_origin, second_origin : float
        Where they stand.
    amount : float
        Rise of the second for each unit that the first rises.
    room : float
        How far the second may fall.
    """
    rise, rises = first.rise(programme, first_origin)
    if not rises.columns and not rises.constant:
        return
    # where the first does not rise, the second may fall as far as there is room
    demand = second.height().plus(rise, -amount).plus(Sum([], [], -second_origin))
    programme.require(demand.plus(rises, -room), low=-room)
