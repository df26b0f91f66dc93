"""Progress bars for long work."""

from tqdm import tqdm

__all__ = ["progress"]


def progress(iterable, verbose, total, what):
    """Go through an iterable, with a progress bar on standard error where ``verbose`` asks.

    Parameters
    ----------
    iterable : iterable or None
        What to go through; None for a bar that is updated by hand, in a ``with`` block.
    verbose : int
        0: no bar.
    total : int or None
        How many steps there are, where that is known.
    what : str
        What is being done.

    Returns
    -------
    tqdm.tqdm
    """
    return tqdm(iterable, total=total, desc=what, leave=False, disable=not verbose)
