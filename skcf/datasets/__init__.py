"""Loaders of public data sets, and generators whose right answers are known."""

from skcf.datasets._causal_groups import make_causal_groups
from skcf.datasets._fetch import (
    fetch_adult,
    fetch_credit_data,
    fetch_credit_default,
    fetch_german_credit,
    fetch_lending_club,
)
from skcf.datasets._mnist import fetch_mnist
from skcf.datasets._modified_group import make_modified_group
from skcf.datasets._population import make_recourse_population

__all__ = [
    "fetch_adult",
    "fetch_credit_data",
    "fetch_credit_default",
    "fetch_german_credit",
    "fetch_lending_club",
    "fetch_mnist",
    "make_causal_groups",
    "make_modified_group",
    "make_recourse_population",
]
