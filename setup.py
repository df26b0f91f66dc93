"""Packaging of skcf. Tools are configured in pyproject.toml, metadata stands here."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = {}
exec((HERE / "skcf" / "_version.py").read_text(encoding="utf-8"), VERSION)

FRAMES = ["pandas>=2.2", "polars>=1.0", "pyarrow>=15"]
TESTS = [
    *FRAMES,
    "dask[dataframe,distributed]>=2024.8",
    "hypothesis>=6.100",
    "mypy>=1.11",
    "pytest>=8",
    "pytest-xdist>=3",
    "ruff>=0.8",
]
DOCS = [
    *FRAMES,
    "sphinx>=7.4",
    "numpydoc>=1.8",
    "sphinx-gallery>=0.17",
    "pydata-sphinx-theme>=0.15",
]

setup(
    name="skcf",
    version=VERSION["__version__"],
    description="Counterfactual explanations as scikit-learn estimators",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="BSD-3-Clause",
    license_files=["LICENSE"],
    packages=find_packages(include=["skcf*"]),
    package_data={"skcf": ["py.typed"]},
    python_requires=">=3.11",
    install_requires=[
        "scikit-learn>=1.6",
        "numpy>=1.26",
        "scipy>=1.12",
        "POT>=0.9.5",
        "torch>=2.4",
        "skorch>=1.1",
        "joblib>=1.3",
        "matplotlib>=3.8",
        "tqdm>=4.65",
    ],
    extras_require={"frames": FRAMES, "tests": TESTS, "docs": DOCS},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
