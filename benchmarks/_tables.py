"""What the benchmarks print: heads of tables, means with bounds, and verdicts."""

import numpy as np

__all__ = ["header", "spread", "verdict"]


def header(line):
    """Print the head of a table."""
    print(f"{line}\n|" + "---|" * line.count(" |"), flush=True)


def spread(values, factor=1.0, digits=2):
    """Mean with its 95 % bound, and the median."""
    values = factor * np.asarray(values, float)
    if not len(values):
        return "", ""
    bound = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.{digits}f} ± {bound:.{digits}f}", f"{np.median(values):.{digits}f}"


def verdict(met, detail):
    """Print one thing asked."""
    print(f"    {'PASS' if met else 'MISS'}  {detail}")
