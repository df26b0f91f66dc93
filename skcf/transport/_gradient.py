"""Being written."""

__all__ = ["solve_projected_gradient"]


def solve_projected_gradient(problem, **options):
    """Being written."""
    raise NotImplementedError
