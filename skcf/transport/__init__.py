"""Unbalanced optimal transport: arrays in, a certified plan and prices out."""

from skcf.transport._back_and_forth import GridTransport, back_and_forth
from skcf.transport._cheapest import cheapest
from skcf.transport._costs import MatrixCost, PairCost, PointCost
from skcf.transport._result import TransportResult
from skcf.transport._solve import SOLVERS, crowding_path, mean_cost, solve_transport

__all__ = [
    "SOLVERS",
    "GridTransport",
    "MatrixCost",
    "PairCost",
    "PointCost",
    "TransportResult",
    "back_and_forth",
    "cheapest",
    "crowding_path",
    "mean_cost",
    "solve_transport",
]
