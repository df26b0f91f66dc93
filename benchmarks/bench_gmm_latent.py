"""GMMLatentExplainer on Adult, Lending Club and MNIST as in paper 2, beside the other explainers.

Run ``SKCF_DATA=... OMP_NUM_THREADS=1 python benchmarks/bench_gmm_latent.py --cache FOLDER``; see
README.md beside it. What is in the folder already is not run again.
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _latent_data import PROBLEMS
from _latent_explainers import (
    DEFAULT,
    LITERAL,
    PLAUSIBLE,
    ROBUST,
    TRANSPORT,
    fitted_explainers,
)
from _latent_images import image_measures
from _latent_measures import explained, measured, refit_shares
from _latent_peers import peers
from _latent_times import times_alone
from _tables import header, verdict
from threadpoolctl import threadpool_limits

from skcf import InvalidCounterfactualWarning
from skcf.metrics import fit_autoencoders

PARTS = (*PROBLEMS, "peers")
N_ROWS = {"adult": 1000, "lending": 600, "mnist": 200, "blackbox": 500}
N_ALONE, N_PASSES, SLOW_ALONE = 20, 3, 3  # rows one by one, passes; rows of slow ones
N_REFITS = 5
MOST_ALONE = 2.0  # ms, asked
N_LITERAL = {"adult": 1, "lending": 1, "mnist": 1}  # seeds with the paper's setting, and its net
N_LEARNED = 8000  # rows of the autoencoders apart
SHOWN = {  # column: digits
    "valid": 3,
    "by the walk": 3,
    "violations": 0,
    "L1": 3,
    "L2": 3,
    "L1 a column": 4,
    "L2 squared a column": 4,
    "changes": 2,
    "own": 4,
    "own a column": 5,
    "apart": 4,
    "MMD2": 4,
    "refits": 3,
    "ms alone": 2,
    "ms a row": 3,
    "steps": 1,
    "train s": 0,
}
IMAGES = {"IM1": 3, "IM2": 4, "IM1, alpha 1": 3, "IM2, alpha 1": 4}


def run(part, seed, folder):
    """Everything of a part with a seed: dict of dicts of numbers."""
    problem = PROBLEMS[part](seed)
    X = problem.queries(N_ROWS[part])
    print(f"{part}, seed {seed}: classifier {problem.accuracy:.3f}, {len(X)} rows", flush=True)
    few = problem.X_train[:N_LEARNED]
    autoencoders = None
    if part != "mnist":
        autoencoders = fit_autoencoders(few, problem.predicted[: len(few)], max_epochs=60)
    told, answers, made = {}, {}, {}
    without = () if seed < N_LITERAL.get(part, 0) else (LITERAL,)
    for name, one in fitted_explainers(problem, without):
        made[name] = one.explainer
        rows = X[: one.n_rows]
        told[name], answers[name] = answer(problem, one, rows, autoencoders)
        print(f"    {name}: {told[name]}", flush=True)
    told["real rows"] = measured(
        problem, problem.real[1::2], problem.real[1::2], autoencoders, made[DEFAULT]
    )
    for name, share in refit_shares(problem, answers, N_REFITS).items():
        told[name]["refits"] = share
    if part == "mnist":
        image_measures(problem, X, made, answers, told, folder)
    if part in ("adult", "lending"):
        told["times"] = times_alone(problem)
    return told


def answer(problem, one, X, autoencoders):
    """Numbers of an explainer, and its rows with their counterfactuals."""
    quick = one.n_rows is None
    times = (N_ALONE, N_PASSES) if quick else (SLOW_ALONE, 1)
    result, together, alone = explained(one.explainer, X, *times)
    own = one.explainer if hasattr(one.explainer, "net_") else None
    told = measured(problem, X, result.X_cf, autoencoders, own)
    told |= {"ms a row": together, "ms alone": alone, "train s": one.seconds}
    if own is not None:
        told |= {"leakage": own.leakage_score_, "swapped": own.swap_validity_}
        told["by the walk"] = result.summary().get("share_by_latent", np.nan)
    if hasattr(result, "n_steps"):
        told["steps"], told["median steps"] = np.mean(result.n_steps), np.median(result.n_steps)
    return {name: float(value) for name, value in told.items()}, (X, result.X_cf)


def kept(part, seed, folder):
    """What a part with a seed gave, from the folder or anew."""
    path = Path(folder) / f"{part}-{seed}.json"
    if not path.is_file():
        start = time.process_time()
        told = run(part, seed, folder) if part != "peers" else peers(seed, N_ROWS["adult"])
        path.write_text(json.dumps(told))
        print(f"    {time.process_time() - start:.0f} CPU s", flush=True)
    return json.loads(path.read_text())


def mean_sd(told, name, column, digits=3):
    """Mean and standard deviation over the seeds, as text."""
    values = [one[name].get(column, np.nan) for one in told if name in one]
    values = [value for value in values if np.isfinite(value)]
    if not values:
        return ""
    deviation = np.std(values, ddof=1) if len(values) > 1 else np.nan
    spread = f" ± {deviation:.{digits}f}" if np.isfinite(deviation) else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def mean(told, name, column):
    """Mean over the seeds."""
    values = [one[name].get(column, np.nan) for one in told if name in one]
    return float(np.mean(values)) if values else np.nan


def show(part, told):
    """Print the table of a part."""
    names = dict.fromkeys(name for one in told for name in one if name != "times")
    columns = {
        column: digits
        for column, digits in (SHOWN | IMAGES).items()
        if any(mean_sd(told, name, column) for name in names)
    }
    print(f"\n### {part}, {len(told)} seeds\n")
    header("| explainer | " + " | ".join(columns) + " |")
    for name in names:
        cells = [mean_sd(told, name, column, digits) for column, digits in columns.items()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    show_times([one["times"] for one in told if "times" in one])
    print(flush=True)


def show_times(told):
    """Print what one row alone takes, by what the classifier is."""
    for name in dict.fromkeys(name for one in told for name in one):
        print(f"- {name}: {mean_sd(told, name, 'ms')} ms")


def show_verdicts(part, told):
    """Say what was asked and what came."""
    print(f"{part}:")
    for name in (DEFAULT, TRANSPORT, ROBUST, PLAUSIBLE):
        valid = mean(told, name, "valid")
        verdict(valid >= 0.995, f"{name}: valid at least .995: {valid:.4f}")
    ratios = [mean(told, "GDL", c) / mean(told, DEFAULT, c) for c in ("ms a row", "ms alone")]
    said = f"{ratios[0]:.0f} in a batch, {ratios[1]:.1f} alone"
    verdict(min(ratios) >= 20, f"GDL at least 20 times slower: {said}")
    if part != "mnist":
        batch = mean(told, DEFAULT, "ms a row")
        verdict(batch <= 0.1, f"at most .1 ms a row in a batch: {batch:.3f}")
    for column in ("MMD2", "refits"):
        ours, theirs = (mean(told, name, column) for name in (PLAUSIBLE, "nearest, refined"))
        better = ours < theirs if column == "MMD2" else ours > theirs
        verdict(better, f"{PLAUSIBLE}: {column} better than nearest: {ours:.4f}, {theirs:.4f}")
    limit = 120 if part == "mnist" else 60
    seconds = mean(told, DEFAULT, "train s")
    verdict(seconds < limit, f"training under {limit} s of CPU: {seconds:.0f}")
    if part == "adult":
        show_papers(told)


def show_papers(told):
    """Say how the settings compare with the paper's numbers on Adult."""
    for name in (LITERAL, DEFAULT, TRANSPORT):
        l1, l2, own, a_column = (
            mean(told, name, column) for column in ("L1", "L2", "own", "own a column")
        )
        verdict(
            l1 < 0.343 and l2 <= 0.193 and own < 0.012,
            f"{name}: L1 below .343, L2 at most .193, reconstruction below .012: {l1:.3f}, "
            f"{l2:.3f}, {own:.4f} a row or {a_column:.5f} a column",
        )
    name = "one row alone, arrays and the network"
    ms = mean([one["times"] for one in told], name, "ms")
    verdict(ms <= MOST_ALONE, f"{name}: at most {MOST_ALONE} ms: {ms:.2f}")


def seeds_of(part, seeds):
    """All of them; alibi is slow and has the first alone."""
    return seeds[:1] if part == "peers" else seeds


def main():
    """Print the tables and the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits")
    parser.add_argument("--first-seed", type=int, default=0)
    folder = Path(tempfile.gettempdir()) / "skcf-gmm-latent"
    parser.add_argument("--cache", default=folder, help="folder of what was measured")
    arguments = parser.parse_args()
    Path(arguments.cache).mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", InvalidCounterfactualWarning)
    torch.set_num_threads(1)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with threadpool_limits(1):
        told = {
            part: [kept(part, seed, arguments.cache) for seed in seeds_of(part, seeds)]
            for part in arguments.part or PARTS
        }
    for part, each in told.items():
        show(part, each)
    for part, each in told.items():
        if part != "peers":
            show_verdicts(part, each)


if __name__ == "__main__":
    main()
