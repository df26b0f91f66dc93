"""Being written."""

__all__ = ["solve_sinkhorn"]


def solve_sinkhorn(problem, **options):
    """Being written."""
    raise NotImplementedError
