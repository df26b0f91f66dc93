"""How well an explainer's translations lead rows that it has not seen from group to group."""

from functools import partial

import numpy as np

from skcf.metrics._rows import average_of

__all__ = ["share_of_groups"]


def share_of_groups(function, explained):
    """Correctness or coverage of a group explainer's translations, of rows in groups.

    Rows and translations are taken as the explainer encodes them, so that it makes no difference
    what columns hold. Where it has one target, only the translations to this count.

    Parameters
    ----------
    function : callable
        `skcf.metrics.group_correctness` or `group_coverage`, or a `functools.partial` of it.
    explained : Explained
        Of an explainer with translations.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If the explainer has no translations of groups.
    """
    explainer, options = explained.explainer, getattr(function, "keywords", {})
    if not hasattr(explainer, "translation"):
        name = getattr(function, "func", function).__name__
        raise TypeError(
            f"{name} is a metric of group explainers, as TGTExplainer; got {explainer!r}."
        )
    given = {"eps": explainer.eps_, "labels": explainer.classes_, **_in_numbers(explained)}
    given = {key: value for key, value in given.items() if key not in options}
    shares = partial(function, average=None)(**given)
    sought = ~np.isnan(explainer.correctness_) | np.eye(len(shares), dtype=bool)
    return average_of(shares[sought & ~np.isnan(shares)], options.get("average", "mean"))


def _in_numbers(explained):
    """Rows, groups and translations, as the explainer's representation takes them."""
    explainer, space = explained.explainer, explained.explainer.feature_space_
    Z = space._encode(space._tabulate(explained.rows))
    labels = explainer.classes_.tolist()
    return {
        "X": explainer._filled(Z),
        "groups": explained.groups,
        "translations": [[explainer.translation(i, j) for j in labels] for i in labels],
        "representation": explainer._represent.values,
    }
