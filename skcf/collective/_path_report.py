"""What routes are like: their speed, the people they pass, and how they crowd."""

from itertools import pairwise

import numpy as np

from skcf.collective._move_costs import MoveCosts, unconstrained
from skcf.transport import cheapest

__all__ = ["Neighbourhood", "speed_deviation"]

QUANTILE = 0.95

N_SAMPLE = 2000
"""People whose nearest neighbours tell how far apart people are, at most; evenly spread in their
order."""


def speed_deviation(states, times, costs):
    """Standard deviation of the speed of each row, over its mean.

    The speed in a step is its cost (``"cityblock"``: the lengths of steps in one direction add up,
    in whichever order) over the time that it takes; both moments are over time.

    Parameters
    ----------
    states : ndarray of float64, shape (n_times, n_rows, n_features)
        Encoded states.
    times : ndarray of float64, shape (n_times,)
        Their times.
    costs : MoveCost
        What moves cost, forbidden or not.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        NaN where nothing moves.
    """
    if len(times) < 2:
        return np.full(states.shape[1], np.nan)
    steps = np.array([costs.shares(*pair).sum(axis=1) for pair in pairwise(states)])
    total = steps.sum(axis=0)
    share = np.diff(times) / (times[-1] - times[0])
    with np.errstate(over="ignore"):  # a jump in next to no time
        speed = steps / share[:, None]  # its mean is the total
        deviation = np.sqrt(share @ (speed - total) ** 2)
    return np.divide(deviation, total, out=np.full(len(total), np.nan), where=total > 0)


class Neighbourhood:
    """The people of the training rows, and who of them is nearest.

    Distances are the feature space's ``"euclidean"``, whatever the constraints: a state is compared
    with all people.

    Parameters
    ----------
    space : FeatureSpace
        Says what differences cost.
    people : ndarray of float64, shape (n_people, n_features)
        Distinct encoded rows.
    counts : ndarray of float64, shape (n_people,)
        How often they occur.
    n_jobs : int, default=None
        Number of workers; as in joblib.
    verbose : int, default=0
        Whether to show progress.
    """

    def __init__(self, space, people, counts, *, n_jobs=None, verbose=0):
        self.space = unconstrained(space)
        self.people, self.counts = people, counts
        self.n_jobs, self.verbose = n_jobs, verbose

    def nearest(self, Z):
        """Nearest person of each row, the first one in a tie, and the distance."""
        index, square = self._nearest(Z, 1)
        return index[:, 0], np.sqrt(square[:, 0])

    def _nearest(self, Z, k):
        cost = MoveCosts(self.space, Z, self.people)  # squares: one matrix product a block
        free = np.zeros(len(self.people))
        return cheapest(cost, free, k, n_jobs=self.n_jobs, verbose=self.verbose)

    def radius(self):
        """The distance to the nearest other person that 95 % of people do not exceed."""
        n = len(self.people)
        sample = np.unique(np.linspace(0, n - 1, min(n, N_SAMPLE)).astype(np.intp))
        index, square = self._nearest(self.people[sample], min(2, n))
        other = np.where(index == sample[:, None], np.inf, square).min(axis=1)
        return float(np.quantile(np.sqrt(other), QUANTILE, method="higher"))

    def crowding(self, nearest):
        """Chi-square divergence of where rows are from where the people are.

        With q the shares of the rows whose nearest person each is, and b the shares of all
        training rows that each is: ``sum_j (q_j - b_j)**2 / b_j``.
        """
        if not len(nearest):
            return np.nan
        b = self.counts / self.counts.sum()
        q = np.bincount(nearest, minlength=len(b)) / len(nearest)
        return float(np.sum((q - b) ** 2 / b))
