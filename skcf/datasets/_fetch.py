"""Public data sets: from a local folder, else from OpenML.

A data set is one entry of `SOURCES`; the rest is the same for all of them.
"""

import os
from copy import deepcopy
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from sklearn.datasets import fetch_openml

from skcf._compat import validate_params
from skcf.space import FeatureSpace

__all__ = ["fetch_adult", "fetch_german_credit"]

DATA_HOME_VARIABLE = "SKCF_DATA"

TEXT, WHOLE = "text", "whole"


@dataclass(frozen=True)
class Source:
    """Where a data set lies, and what is in it.

    Parameters
    ----------
    file : str
        Name of the local file.
    openml : tuple of (str, int)
        Name and version on OpenML.
    columns : dict of {str: "text" or "whole"}
        The features, in order, and what they hold.
    target : str
        Name of the target, which holds text.
    labels : tuple of str
        Values of the target.
    renamed : dict of {str: str}
        OpenML's names of the columns that are called otherwise there.
    space : dict
        Parameters of the feature space.
    """

    file: str
    openml: tuple
    columns: dict
    target: str
    labels: tuple
    renamed: dict = field(default_factory=dict)
    space: dict = field(default_factory=dict)


EDUCATION = (
    "Preschool",
    "1st-4th",
    "5th-6th",
    "7th-8th",
    "9th",
    "10th",
    "11th",
    "12th",
    "HS-grad",
    "Some-college",
    "Assoc-voc",
    "Assoc-acdm",
    "Bachelors",
    "Masters",
    "Prof-school",
    "Doctorate",
)

SOURCES = {
    "adult": Source(
        file="adult.csv.gz",
        openml=("adult", 2),
        columns={
            "age": WHOLE,
            "workclass": TEXT,
            "education": TEXT,
            "education_num": WHOLE,
            "marital_status": TEXT,
            "occupation": TEXT,
            "relationship": TEXT,
            "race": TEXT,
            "sex": TEXT,
            "capital_gain": WHOLE,
            "capital_loss": WHOLE,
            "hours_per_week": WHOLE,
            "native_country": TEXT,
        },
        target="income",
        labels=("<=50K", ">50K"),
        renamed={
            "education_num": "education-num",
            "marital_status": "marital-status",
            "capital_gain": "capital-gain",
            "capital_loss": "capital-loss",
            "hours_per_week": "hours-per-week",
            "native_country": "native-country",
            "income": "class",
        },
        space={
            "immutable_features": ["sex", "race", "native_country"],
            "ordinal_features": {"education": list(EDUCATION)},
            "change_direction": {"age": +1, "education": +1, "education_num": +1},
        },
    ),
    "german_credit": Source(
        file="german_credit.csv.gz",
        openml=("credit-g", 1),
        columns={
            "account_check_status": TEXT,
            "duration_in_month": WHOLE,
            "credit_history": TEXT,
            "purpose": TEXT,
            "credit_amount": WHOLE,
            "savings": TEXT,
            "present_emp_since": TEXT,
            "installment_as_income_perc": WHOLE,
            "personal_status_sex": TEXT,
            "other_debtors": TEXT,
            "present_res_since": WHOLE,
            "property": TEXT,
            "age": WHOLE,
            "other_installment_plans": TEXT,
            "housing": TEXT,
            "credits_this_bank": WHOLE,
            "job": TEXT,
            "people_under_maintenance": WHOLE,
            "telephone": TEXT,
            "foreign_worker": TEXT,
        },
        target="credit_risk",
        labels=("bad", "good"),
        renamed={
            "account_check_status": "checking_status",
            "duration_in_month": "duration",
            "savings": "savings_status",
            "present_emp_since": "employment",
            "installment_as_income_perc": "installment_commitment",
            "personal_status_sex": "personal_status",
            "other_debtors": "other_parties",
            "present_res_since": "residence_since",
            "property": "property_magnitude",
            "other_installment_plans": "other_payment_plans",
            "credits_this_bank": "existing_credits",
            "people_under_maintenance": "num_dependents",
            "telephone": "own_telephone",
            "credit_risk": "class",
        },
        space={
            "immutable_features": ["personal_status_sex", "foreign_worker"],
            "change_direction": {"age": +1},
        },
    ),
}

CHECKED = validate_params(
    {"data_home": [str, os.PathLike, None]}, prefer_skip_nested_validation=True
)


@CHECKED
def fetch_adult(*, data_home: str | PathLike | None = None) -> tuple:
    """Load the adult (census income) data: does a person earn more than 50,000 $ a year.

    48,842 people of the US census of 1994 with 13 features. The census' 14th column,
    `fnlwgt`, is left out: it says how many people a row stands for, which is a sampling
    weight and nothing about the person, who cannot change it.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds `adult.csv.gz`; by default, the one that the environment variable
        `SKCF_DATA` names. Where the file is not there, version 2 of "adult" is downloaded
        from OpenML by :func:`sklearn.datasets.fetch_openml`, which keeps it in this folder,
        or by default in scikit-learn's data home.

    Returns
    -------
    X : DataFrame of shape (48842, 13)
        Whole numbers as int64, categories as text, 6,465 missing values as NaN.
    y : Series of str
        `income`, ">50K" or "<=50K".
    feature_space : FeatureSpace
        Not fitted. Sex, race and country of birth may not change; age and education may
        only rise.

    Raises
    ------
    OSError
        If the file is in no folder and cannot be downloaded.
    ValueError
        If what was found has other columns or other labels.

    See Also
    --------
    fetch_german_credit : A thousand credits, good and bad.
    make_recourse_population : Artificial people, with the right answers.

    Notes
    -----
    `education_num` is the rank of `education` (1 for "Preschool"). No constraint ties the
    two: for counterfactuals in which they agree, drop one of them from X and from the
    parameters of the feature space. The data [1]_ are published under CC BY 4.0. The rows
    of OpenML stand in another order.

    References
    ----------
    .. [1] B. Becker, R. Kohavi. "Adult." UCI Machine Learning Repository, 1996.
       https://doi.org/10.24432/C5XW20

    Examples
    --------
    >>> from skcf.datasets import fetch_adult
    >>> X, y, feature_space = fetch_adult()  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (48842, 13)
    >>> feature_space.fit(X).feature_kinds_["education"]  # doctest: +SKIP
    'ordinal'
    """
    return _fetch(SOURCES["adult"], data_home)


@CHECKED
def fetch_german_credit(*, data_home: str | PathLike | None = None) -> tuple:
    """Load the German credit data: which of a bank's credits went well.

    1,000 credits of the 1970s with 20 features, about the credit and about the person.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds `german_credit.csv.gz`; by default, the one that the environment
        variable `SKCF_DATA` names. Where the file is not there, version 1 of "credit-g" is
        downloaded from OpenML by :func:`sklearn.datasets.fetch_openml`, which keeps it in
        this folder, or by default in scikit-learn's data home.

    Returns
    -------
    X : DataFrame of shape (1000, 20)
        Whole numbers as int64, categories as text; nothing is missing.
    y : Series of str
        `credit_risk`, "good" or "bad".
    feature_space : FeatureSpace
        Not fitted. Sex and family status (one column) and being a foreign worker may not
        change; age may only rise.

    Raises
    ------
    OSError
        If the file is in no folder and cannot be downloaded.
    ValueError
        If what was found has other columns or other labels.

    See Also
    --------
    fetch_adult : People of a census, and whether they earn much.
    make_recourse_population : Artificial people, with the right answers.

    Notes
    -----
    Columns, dtypes and labels do not depend on where the data come from, but the wording of
    the categories does: what is "< 0 DM" in a local file is "<0" on OpenML. So a model
    fitted on one must not be asked about the other. There are also files that decode
    `purpose` by a shifted list (280 "domestic appliances" where the original [1]_ counts
    280 "radio/television"). The data are published under CC BY 4.0.

    References
    ----------
    .. [1] H. Hofmann. "Statlog (German Credit Data)." UCI Machine Learning Repository,
       1994. https://doi.org/10.24432/C5NC77

    Examples
    --------
    >>> from skcf.datasets import fetch_german_credit
    >>> X, y, feature_space = fetch_german_credit()  # doctest: +SKIP
    >>> y.value_counts().to_dict()  # doctest: +SKIP
    {'good': 700, 'bad': 300}
    """
    return _fetch(SOURCES["german_credit"], data_home)


def _fetch(source, data_home):
    """Find a data set, bring it into its form, and describe its features."""
    folder = data_home if data_home is not None else os.environ.get(DATA_HOME_VARIABLE)
    path = Path(folder).expanduser() / source.file if folder else None
    frame = _read(path) if path and path.is_file() else _download(source, data_home, path)
    X, y = _in_form(frame, source)
    return X, y, FeatureSpace(**deepcopy(source.space))


def _read(path):
    import pandas as pd

    return pd.read_csv(path)


def _download(source, data_home, path):
    """Fetch a data set from OpenML, under the local column names."""
    name, version = source.openml
    try:
        frame = fetch_openml(name, version=version, data_home=data_home, as_frame=True).frame
    except OSError as error:
        lack = f"There is no {path}" if path else "No local folder was given"
        raise OSError(
            f"{lack}, and {name!r} could not be downloaded from OpenML: {error}. The folder that "
            f"holds {source.file} may be given as data_home, or by the environment variable "
            f"{DATA_HOME_VARIABLE}."
        ) from error
    return frame.rename(columns={theirs: ours for ours, theirs in source.renamed.items()})


def _in_form(frame, source):
    """Pick the columns, in order and with their dtypes."""
    import pandas as pd

    kinds = {**source.columns, source.target: TEXT}
    absent = [name for name in kinds if name not in frame.columns]
    if absent:
        raise ValueError(
            f"{source.file} (or its copy on OpenML) must have the columns {list(kinds)}; it lacks "
            f"{absent} and has {list(frame.columns)}."
        )
    convert = {TEXT: _as_text, WHOLE: _as_whole}
    frame = pd.DataFrame({name: convert[kind](frame[name]) for name, kind in kinds.items()})
    y = frame.pop(source.target)
    foreign = sorted(set(y) - set(source.labels), key=str)
    if foreign:
        raise ValueError(
            f"{source.target} must hold {list(source.labels)} and nothing else; got {foreign}."
        )
    return frame, y


def _as_text(column):
    # pandas makes str of text from version 3 on, and leaves it object before
    return column.astype(object).infer_objects()


def _as_whole(column):
    numbers = column.astype("float64")
    wrong = numbers[numbers != numbers.round()]
    if len(wrong):
        raise ValueError(f"{column.name} must hold whole numbers; got {wrong.iloc[0]}.")
    return numbers.astype("int64")
