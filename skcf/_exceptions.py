"""Warnings of skcf."""

__all__ = ["InvalidCounterfactualWarning"]


class InvalidCounterfactualWarning(UserWarning):
    """Some rows of a call got no valid counterfactual.

    Raised once a call by ``transform`` and ``explain``, with the number of rows
    for each reason. ``explain(X).status`` tells which rows they are.
    """
