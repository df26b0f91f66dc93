"""Unbalanced transport: skcf's newton solver against POT's, and how it grows.

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_transport.py``; see README.md beside it. All
solvers get the same masses, the same objective and, the peers, the cost matrix ready made;
skcf computes the costs itself, which is in its time. A peer runs until the duality gap of its
plan, which is computed outside its time, is below the tolerance, or until its cap.
"""

import argparse
import resource
import time
import warnings

import numpy as np
import ot
from threadpoolctl import threadpool_limits

from skcf.transport import PointCost, mean_cost, solve_transport

DIMENSION = 10
TOLERANCE = 1e-3


def mixtures(m, n, seed=0):
    """Two Gaussian mixtures in ten dimensions, at costs of mean 1."""
    rng = np.random.default_rng(seed)

    def mixture(size, shift):
        centres = rng.normal(size=(5, DIMENSION)) + shift
        return centres[rng.integers(5, size=size)] + 0.7 * rng.normal(size=(size, DIMENSION))

    cost = PointCost(mixture(m, 0.0), mixture(n, 0.5))
    return cost.times(1 / mean_cost(cost, np.random.RandomState(seed)))


def matrix_of(cost):
    """All costs, for the peers."""
    rows, columns = np.divmod(np.arange(cost.shape[0] * cost.shape[1]), cost.shape[1])
    return cost.pairs(rows, columns).reshape(cost.shape)


def gap_of(C, P, penalty, source):
    """Relative duality gap of a plan: chi2 target, hard or chi2 source, equal masses."""
    m, n = C.shape
    a, b = 1 / m, 1 / n
    p, q = P.sum(axis=1), P.sum(axis=0)
    primal = float(np.sum(C * P)) + penalty * float(np.sum((q - b) ** 2) / b)
    g = np.maximum(2 * penalty * (q / b - 1), -2 * penalty)
    s = (C + g).min(axis=1)
    dual = -float(np.sum(b * (g + g**2 / (4 * penalty))))
    if source == "hard":
        dual += a * float(np.sum(s))
    else:
        primal += penalty * float(np.sum((p - a) ** 2) / a)
        s = np.minimum(s, 2 * penalty)
        dual += a * float(np.sum(s - s**2 / (4 * penalty)))
    return (primal - dual) / primal


class SemiRelaxed:
    """POT's conditional gradient for a hard source, with exact line search."""

    name, source = "ot.optim.semirelaxed_cg", "hard"

    def __init__(self, C, penalty):
        self.C, self.penalty = C, penalty
        m, n = C.shape
        self.a, self.b = np.full(m, 1 / m), np.full(n, 1 / n)
        self.P = np.outer(self.a, self.b)

    def advance(self, steps):
        """Take some steps more."""
        b = self.b

        def value(P):
            return float(np.sum((P.sum(axis=0) - b) ** 2 / b))

        def gradient(P):
            return np.broadcast_to(2 * (P.sum(axis=0) / b - 1), P.shape)

        def line_search(cost, P, direction, Mi, cost_P, df_P=None, **unused):
            q, dq = P.sum(axis=0), direction.sum(axis=0)
            slope = float(np.sum(self.C * direction))
            slope += self.penalty * float(np.sum(2 * (q / b - 1) * dq))
            bend = 2 * self.penalty * float(np.sum(dq**2 / b))
            alpha = min(1.0, max(0.0, -slope / bend)) if bend > 0 else 1.0
            new = cost_P + alpha * slope + alpha**2 * bend / 2
            return (alpha, 1, new) if df_P is None else (alpha, 1, new, gradient(P))

        self.P = ot.optim.semirelaxed_cg(
            self.a,
            self.b,
            self.C,
            self.penalty,
            value,
            gradient,
            G0=self.P,
            line_search=line_search,
            numItermax=steps,
            stopThr=0,
            stopThr2=0,
        )


class MajorizationMinimization:
    """POT's multiplicative updates for quadratic penalties on both sides."""

    name, source = "ot.unbalanced.mm_unbalanced", "chi2"

    def __init__(self, C, penalty):
        self.C, self.penalty = C, penalty
        m, n = C.shape
        self.a, self.b = np.full(m, 1 / m), np.full(n, 1 / n)
        self.P = np.outer(self.a, self.b)

    def advance(self, steps):
        """Take some steps more."""
        # with equal masses 1 / n, chi2 is n times the squared distance
        weights = self.penalty * len(self.a), self.penalty * len(self.b)
        self.P = ot.unbalanced.mm_unbalanced(
            self.a,
            self.b,
            self.C,
            reg_m=weights,
            div="l2",
            G0=self.P,
            numItermax=steps,
            stopThr=0,
        )


def peer_seconds(Peer, C, penalty, cap):
    """CPU seconds that a peer takes to the tolerance, or its cap, and the gap it has then."""
    peer, spent, steps, rate = Peer(C, penalty), 0.0, 8, None
    while True:
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged yet
            peer.advance(steps)
        spent += time.process_time() - start
        gap = gap_of(C, peer.P, penalty, peer.source)
        if gap <= TOLERANCE or spent >= cap:
            return spent, gap
        rate = spent / steps if rate is None else rate
        steps = max(8, int(min(0.25 * spent, 0.5 * (cap - spent)) / rate) + 1)


def own_seconds(cost, penalty, source):
    """CPU seconds of the newton solver, its gap, and its passes."""
    start = time.process_time()
    result = solve_transport(
        cost,
        source=source,
        source_penalty=penalty,
        target_penalty=penalty,
        tol=TOLERANCE,
        random_state=0,
    )
    return time.process_time() - start, result


def against_peers(sizes, penalties, caps):
    """The table: CPU seconds to a gap of 1e-3, and ratios."""
    print(f"\nCPU seconds to a relative duality gap of {TOLERANCE:g}, one thread, m = n, d = 10")
    print(
        f"{'n':>6} {'penalty':>8} {'source':>7} {'skcf':>8} {'peer':>9} {'its gap':>9} {'ratio':>8}"
    )
    for n in sizes:
        cost = mixtures(n, n)
        C = matrix_of(cost)
        for penalty in penalties:
            for Peer in (SemiRelaxed, MajorizationMinimization):
                own_seconds(cost, penalty, Peer.source)  # warm
                own, _ = own_seconds(cost, penalty, Peer.source)
                spent, gap = peer_seconds(Peer, C, penalty, caps[n])
                sign = " " if gap <= TOLERANCE else ">"
                ours = f"{n:6d} {penalty:8g} {Peer.source:>7} {own:8.2f}"
                theirs = f"{sign}{spent:8.1f} {gap:9.1e} {sign}{spent / own:7.0f}  {Peer.name}"
                print(ours, theirs, flush=True)


def growth(sizes, tol, n_jobs):
    """How time and memory grow with the population, beside one pass over all pairs."""
    print(f"\nGrowth: hard source, penalty 0.1, certified gap {tol:g}, n_jobs={n_jobs}")
    print("      n  wall s   CPU s      gap passes one pass s  peak MB")
    table = []
    for n in sizes:
        cost = mixtures(n, n)
        one_pass = pass_seconds(cost)
        start, cpu = time.perf_counter(), time.process_time()
        result = solve_transport(cost, target_penalty=0.1, tol=tol, random_state=0, n_jobs=n_jobs)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        certified = f"{result.gap:8.1e} {result.n_passes:6d}"
        print(f"{n:7d} {wall:7.1f} {cpu:7.1f} {certified} {one_pass:10.1f} {peak:8.0f}", flush=True)
        table.append((n, cpu, one_pass))
    return table


def pass_seconds(cost):
    """CPU seconds of one pass over all pairs: matrix products and row minima alone."""
    m, n = cost.shape
    tile = cost.reduced(np.zeros(m), np.zeros(n))
    start = time.process_time()
    rows = range(0, m, 256)
    timed = rows[:: max(1, len(rows) // 40)]  # a sample of the tiles
    for row in timed:
        for column in range(0, n, 4096):
            tile(slice(row, row + 256), slice(column, column + 4096)).min(axis=1)
    return (time.process_time() - start) * len(rows) / len(timed)


def plot(table, path):
    """Time against size, with the limit that one pass sets."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    n, cpu, one_pass = np.array(table).T
    figure, axis = plt.subplots(figsize=(6, 4))
    axis.loglog(n, cpu, "o-", label="solve_transport")
    axis.loglog(n, one_pass, "k--", label="one pass over all pairs")
    axis.set(xlabel="sources = targets", ylabel="CPU seconds")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main():
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("peers", "growth", "both"), default="both")
    parser.add_argument("--quick", action="store_true", help="small sizes and caps")
    parser.add_argument("--n-jobs", type=int, default=None, help="workers of the growth part")
    parser.add_argument("--plot", help="file to draw time against size to")
    arguments = parser.parse_args()
    penalties = (0.01, 0.1, 1.0, 10.0)
    caps = {500: 5, 2000: 20, 5000: 60} if arguments.quick else {500: 30, 2000: 60, 5000: 250}
    growing = (1000, 5000, 20_000) if arguments.quick else (1000, 5000, 20_000, 50_000, 100_000)
    with threadpool_limits(1):
        if arguments.part != "growth":
            against_peers((500, 2000, 5000), penalties, caps)
        if arguments.part != "peers":
            table = growth(growing, 1e-4, arguments.n_jobs)
            if arguments.plot:
                plot(table, arguments.plot)


if __name__ == "__main__":
    main()
