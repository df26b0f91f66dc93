"""Loaders of public data sets, and generators whose right answers are known."""

from skcf.datasets._fetch import fetch_adult, fetch_german_credit
from skcf.datasets._population import make_recourse_population

__all__ = ["fetch_adult", "fetch_german_credit", "make_recourse_population"]
