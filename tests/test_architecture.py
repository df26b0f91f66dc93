"""The arrows that must never be drawn (design, section 3), read off the imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skcf

PACKAGE = Path(skcf.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

EXPLAINERS = {"nearest", "collective", "latent", "prototype", "group"}
HEAVY = {"torch", "skorch", "ot", "matplotlib"}

ABOVE_THE_ORACLE = {"metrics", "inspection", "datasets", "base", "_refine", "_result", "_targets"}
ABOVE_THE_ORACLE |= {"_imposing", "_starts", "_moves", "_assemble", "_search"}

# who must not import whom; the first word is a part of skcf
FORBIDDEN = {
    **{name: {"metrics", "inspection", "datasets"} | (EXPLAINERS - {name}) for name in EXPLAINERS},
    "metrics": EXPLAINERS | {"inspection"},
    "inspection": EXPLAINERS,
    "datasets": EXPLAINERS | {"metrics", "inspection", "base"},
    "space": EXPLAINERS
    | ABOVE_THE_ORACLE
    | {"_oracle", "_classifiers", "_embedding", "_gradients", "_differences", "_shortcut"},
    "transport": EXPLAINERS | {"metrics", "inspection", "datasets", "base", "_oracle", "space"},
    "_oracle": EXPLAINERS | ABOVE_THE_ORACLE,
    "_classifiers": EXPLAINERS
    | ABOVE_THE_ORACLE
    | {"_oracle", "_embedding", "_gradients", "_differences", "_shortcut"},
    "_embedding": EXPLAINERS
    | ABOVE_THE_ORACLE
    | {"_oracle", "_gradients", "_differences", "_shortcut"},
    "_gradients": EXPLAINERS | ABOVE_THE_ORACLE | {"_oracle", "_differences", "_shortcut"},
    "_shortcut": EXPLAINERS | ABOVE_THE_ORACLE | {"_oracle", "_differences"},
    "_differences": EXPLAINERS
    | ABOVE_THE_ORACLE
    | {"_oracle", "_embedding", "_gradients", "_shortcut"},
    "_knapsack": {"space", "_oracle", "_classifiers"} | EXPLAINERS | ABOVE_THE_ORACLE,
    "_moves": EXPLAINERS | {"_oracle", "_classifiers", "base", "_assemble", "_search"},
    "_assemble": EXPLAINERS | {"metrics", "inspection", "datasets", "base", "_search", "_refine"},
    "_refine": EXPLAINERS | {"metrics", "inspection", "datasets", "base", "_search", "_assemble"},
    "_search": EXPLAINERS | {"metrics", "inspection", "datasets", "base"},
    "base": EXPLAINERS | {"metrics", "inspection", "datasets"},
}

# where nets, solvers and plots are defined
MAY_IMPORT_HEAVY = {"transport", "latent"}
MODULES_OF_NETS = {"metrics/_autoencoder_net.py"}


def part_of(path):
    """The part of skcf that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(tree, *, top_level_only=False):
    """Full names of the modules that a tree imports."""
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_forbidden_arrow(path):
    part = part_of(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name in imports_of(tree):
        words = name.split(".")
        assert words[0] not in {"tests", "examples", "benchmarks"}, name
        if words[0] == "skcf" and len(words) > 1:
            assert words[1] not in FORBIDDEN.get(part, set()), f"{part} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_late(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    heavy = {name.split(".")[0] for name in imports_of(tree, top_level_only=True)} & HEAVY
    defines_nets = path.relative_to(PACKAGE).as_posix() in MODULES_OF_NETS
    assert not heavy or part_of(path) in MAY_IMPORT_HEAVY or defines_nets


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_private_names_of_scikit_learn_are_imported_in_one_place(path):
    if path.name == "_compat.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    private = [
        name
        for name in imports_of(tree)
        if name.startswith("sklearn") and any(word.startswith("_") for word in name.split("."))
    ]
    assert not private


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_functions_are_short(path):
    """Nine in ten under 30 lines of body in every file, docstrings not counted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lengths = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lengths.append(body[-1].end_lineno - body[0].lineno + 1 if body else 0)
    long = sum(length >= 30 for length in lengths)
    assert long <= max(1, len(lengths) // 10), f"{long} of {len(lengths)} functions are long"


def loaded_by(statement):
    code = f"{statement}; import sys; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def test_importing_skcf_takes_nothing_heavy_with_it():
    assert not HEAVY & loaded_by("import skcf")


def test_using_the_public_names_takes_nothing_heavy_with_it():
    names = ", ".join(name for name in skcf.__all__ if not name.startswith("_"))
    assert not HEAVY & loaded_by(f"from skcf import {names}")


def test_public_names_exist_and_are_listed():
    for name in skcf.__all__:
        assert getattr(skcf, name) is not None
    assert set(skcf.__all__) <= set(dir(skcf))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        skcf.nonsense  # noqa: B018
