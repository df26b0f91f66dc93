"""Warnings of skcf."""

import sys

__all__ = ["InvalidCounterfactualWarning", "level_of_caller"]

OWN_CODE = ("skcf.", "sklearn.", "contextlib")


class InvalidCounterfactualWarning(UserWarning):
    """Some rows of a call got no valid counterfactual.

    Raised once a call by ``transform`` and ``explain``, with the number of rows
    for each reason. ``explain(X).status`` tells which rows they are.
    """


def level_of_caller():
    """The ``stacklevel`` at which a warning points out of skcf and scikit-learn, to the user."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(OWN_CODE):
        frame, level = frame.f_back, level + 1
    return level
