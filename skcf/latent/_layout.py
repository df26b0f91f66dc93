"""What the columns of a network are: numbers first, then the shares of each category's values."""

from functools import cached_property

import numpy as np

__all__ = ["Layout"]


class Layout:
    """Numbers, and groups of columns that are shares of one.

    Parameters
    ----------
    n_numbers : int
        Columns that are numbers.
    sizes : sequence of int, default=()
        Width of each group that follows.
    temperature : float, default=1.0
        What scores are divided by before the softmax: the lower, the nearer to one-hot.
    """

    def __init__(self, n_numbers, sizes=(), temperature=1.0):
        self.n_numbers, self.sizes = n_numbers, tuple(sizes)
        self.temperature = temperature
        ends = n_numbers + np.cumsum([0, *self.sizes])
        self.starts = ends[:-1].astype(np.intp)
        self.n_columns = int(ends[-1])

    @cached_property
    def padded(self):
        """Column of each group's each value, shape (n_groups, widest); -1 where there is none."""
        wide = np.arange(max(self.sizes, default=0))
        sizes = np.array(self.sizes, dtype=np.intp).reshape(-1, 1)
        return np.where(wide < sizes, self.starts[:, None] + wide, -1)

    def log_shares(self, raw):
        """Logarithms of the softmax of each group of a tensor, shape (n, n_groups, widest)."""
        import torch

        columns = torch.as_tensor(self.padded, device=raw.device)
        scores = raw[:, columns.clamp(min=0)] / self.temperature
        return scores.masked_fill(columns < 0, -torch.inf).log_softmax(dim=2)

    def soft(self, raw):
        """Numbers as they are and shares of categories, of a tensor."""
        import torch

        if not self.sizes:
            return raw
        shares = self.log_shares(raw).exp().flatten(1)
        flat = torch.as_tensor(np.flatnonzero(self.padded >= 0), device=raw.device)
        return torch.cat([raw[:, : self.n_numbers], shares[:, flat]], dim=1)

    def soft_array(self, raw):
        """The same of an array."""
        if not self.sizes:
            return raw
        firsts, scores = self.starts - self.n_numbers, raw[:, self.n_numbers :] / self.temperature
        scores = scores - np.repeat(np.maximum.reduceat(scores, firsts, axis=1), self.sizes, axis=1)
        np.exp(scores, out=scores)
        scores /= np.repeat(np.add.reduceat(scores, firsts, axis=1), self.sizes, axis=1)
        return np.hstack([raw[:, : self.n_numbers], scores])

    def soft_pullback(self, soft, V):
        """Gradient of ``sum(V * soft_array(raw))`` by raw, given its value."""
        if not self.sizes:
            return V
        n, firsts = self.n_numbers, self.starts - self.n_numbers
        share, V_share = soft[:, n:], V[:, n:]
        mean = np.repeat(np.add.reduceat(share * V_share, firsts, axis=1), self.sizes, axis=1)
        return np.hstack([V[:, :n], share * (V_share - mean) / self.temperature])

    def hardened(self, soft):
        """One-hot categories of a tensor, with the gradient of the shares (straight through)."""
        import torch

        if not self.sizes:
            return soft
        columns = torch.as_tensor(self.padded, device=soft.device)
        shares = soft.detach()[:, columns.clamp(min=0)].masked_fill(columns < 0, -1.0)
        best = torch.take_along_dim(
            columns.expand(len(soft), -1, -1), shares.argmax(2)[..., None], 2
        )
        hard = torch.zeros_like(soft).scatter_(1, best[..., 0], 1.0)
        hard[:, : self.n_numbers] = soft.detach()[:, : self.n_numbers]
        return soft + (hard - soft).detach()
