"""A fit that fails, or is interrupted, leaves the estimator as it was."""

from contextlib import contextmanager

__all__ = ["unchanged_on_failure"]


@contextmanager
def unchanged_on_failure(estimator):
    """Take back everything that a block set on an estimator, if the block does not end well.

    Parameters
    ----------
    estimator : object
        What the block sets attributes on.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
