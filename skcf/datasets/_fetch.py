"""Public tables: from a local folder, else from OpenML or the web.

A table is one entry of `SOURCES`; the rest is the same for all of them.
"""

import os
from contextlib import contextmanager
from copy import deepcopy
from os import PathLike
from pathlib import Path

from sklearn.datasets import fetch_file, fetch_openml

from skcf._compat import validate_params
from skcf.datasets._sources import NUMBER, SOURCES, TEXT, WHOLE, WHOLE_OR_MISSING
from skcf.space import FeatureSpace

__all__ = [
    "fetch_adult",
    "fetch_credit_data",
    "fetch_credit_default",
    "fetch_german_credit",
    "fetch_lending_club",
]

DATA_HOME_VARIABLE = "SKCF_DATA"

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
    fetch_credit_default : Credit cards of which some were not paid back.
    make_recourse_population : Artificial people, with the right answers.

    Notes
    -----
    `education_num` is the rank of `education` (1 for "Preschool"). They are linked in the
    feature space: counterfactuals change them together. The data [1]_ are published under
    CC BY 4.0. The rows of OpenML stand in another order.

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
    >>> feature_space.fit(X).feature_kinds_["education|education_num"]  # doctest: +SKIP
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
    fetch_credit_data : Another bank's credits, with missing values.
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


@CHECKED
def fetch_credit_default(*, data_home: str | PathLike | None = None) -> tuple:
    """Load the credit card data: who does not pay the next month's bill.

    30,000 credit cards of a bank in Taiwan in 2005 with 23 features: the limit, the person, and
    the delays, bills and payments of six months.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds `credit_default.csv.gz`; by default, the one that the environment
        variable `SKCF_DATA` names. Where the file is not there, version 1 of
        "default-of-credit-card-clients" is downloaded from OpenML by
        :func:`sklearn.datasets.fetch_openml`, which keeps it in this folder, or by default in
        scikit-learn's data home.

    Returns
    -------
    X : DataFrame of shape (30000, 23)
        Whole numbers as int64, and three categories as text; nothing is missing.
    y : Series of int
        `default_next_month`: 1 for those who did not pay, 0 for those who did.
    feature_space : FeatureSpace
        Not fitted. Sex and marriage may not change; age may only rise.

    Raises
    ------
    OSError
        If the file is in no folder and cannot be downloaded.
    ValueError
        If what was found has other columns, codes or labels.

    See Also
    --------
    fetch_german_credit : A thousand credits, good and bad.
    fetch_lending_club : Loans from many lenders.

    Notes
    -----
    Paying is the favourable class, so an explainer takes ``target_class=0``. The codes of the
    original [1]_ are written out. Those that its description does not know are "other"; since
    "other" has no place in an order, `EDUCATION` is no ordinal feature. `PAY_0` is the delay in
    September and `PAY_2` that in August (there is no `PAY_1`); below 1 there was none. All
    months may change: what is past is not immutable here, and counterfactuals say "had they
    paid". The data are published under CC BY 4.0.

    References
    ----------
    .. [1] I.-C. Yeh. "Default of Credit Card Clients." UCI Machine Learning Repository, 2009.
       https://doi.org/10.24432/C55S3H

    Examples
    --------
    >>> from skcf.datasets import fetch_credit_default
    >>> X, y, feature_space = fetch_credit_default()  # doctest: +SKIP
    >>> y.value_counts().to_dict()  # doctest: +SKIP
    {0: 23364, 1: 6636}
    """
    return _fetch(SOURCES["credit_default"], data_home)


@CHECKED
def fetch_lending_club(*, data_home: str | PathLike | None = None) -> tuple:
    """Load the Lending Club data: which loans between private people went well.

    9,857 loans of the first quarter of 2016 with 22 features. 517 went badly.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds `lending_club.csv.gz`; by default, the one that the environment
        variable `SKCF_DATA` names. Where the file is not there, it is downloaded from
        Rdatasets [2]_ by :func:`sklearn.datasets.fetch_file`, which keeps it in this folder, or
        by default in scikit-learn's data home.

    Returns
    -------
    X : DataFrame of shape (9857, 22)
        Whole numbers as int64, other numbers as float64, and five categories as text; nothing
        is missing.
    y : Series of str
        `Class`, "good" or "bad".
    feature_space : FeatureSpace
        Not fitted. The state where a person lives may not change; `term` and `sub_grade` are
        ordered.

    Raises
    ------
    OSError
        If the file is in no folder and cannot be downloaded.
    ValueError
        If what was found has other columns, labels or rows.

    See Also
    --------
    fetch_credit_default : Credit cards of which some were not paid back.
    fetch_credit_data : A bank's credits, with missing values.

    Notes
    -----
    Only 5 % are bad: weight the classes, or a classifier will call everybody good. The lender
    sets `sub_grade` and `int_rate`; to ask what a borrower could do, make them immutable.
    `emp_length` has a category for those of whom nothing is known, and thus no order. The data
    come with R's package modeldata [1]_, under the MIT license.

    References
    ----------
    .. [1] M. Kuhn. "modeldata: Data Sets Useful for Modeling Examples."
       https://modeldata.tidymodels.org
    .. [2] V. Arel-Bundock. "Rdatasets: A collection of datasets originally distributed in R
       packages." https://vincentarelbundock.github.io/Rdatasets

    Examples
    --------
    >>> from skcf.datasets import fetch_lending_club
    >>> X, y, feature_space = fetch_lending_club()  # doctest: +SKIP
    >>> y.value_counts().to_dict()  # doctest: +SKIP
    {'good': 9340, 'bad': 517}
    """
    return _fetch(SOURCES["lending_club"], data_home)


@CHECKED
def fetch_credit_data(*, data_home: str | PathLike | None = None) -> tuple:
    """Load the credit scoring data: which of a bank's credits went well; with missing values.

    4,454 credits with 13 features, about the credit and about the person.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder that holds `credit_data.csv.gz`; by default, the one that the environment
        variable `SKCF_DATA` names. Where the file is not there, it is downloaded from
        Rdatasets [2]_ by :func:`sklearn.datasets.fetch_file`, which keeps it in this folder, or
        by default in scikit-learn's data home.

    Returns
    -------
    X : DataFrame of shape (4454, 13)
        Whole numbers as int64, or as float64 where some are missing (`Income`, `Assets`,
        `Debt`), and four categories as text. 455 values are missing, as NaN.
    y : Series of str
        `Status`, "good" or "bad".
    feature_space : FeatureSpace
        Not fitted. Age and seniority may only rise; the numbers with missing values are whole.

    Raises
    ------
    OSError
        If the file is in no folder and cannot be downloaded.
    ValueError
        If what was found has other columns, labels or rows.

    See Also
    --------
    fetch_german_credit : A thousand credits, good and bad.
    fetch_lending_club : Loans from many lenders.

    Notes
    -----
    Age and seniority are years, which pass together. No constraint ties the two. The data come
    with R's package modeldata [1]_, under the MIT license.

    References
    ----------
    .. [1] M. Kuhn. "modeldata: Data Sets Useful for Modeling Examples."
       https://modeldata.tidymodels.org
    .. [2] V. Arel-Bundock. "Rdatasets: A collection of datasets originally distributed in R
       packages." https://vincentarelbundock.github.io/Rdatasets

    Examples
    --------
    >>> from skcf.datasets import fetch_credit_data
    >>> X, y, feature_space = fetch_credit_data()  # doctest: +SKIP
    >>> int(X.isna().to_numpy().sum())  # doctest: +SKIP
    455
    """
    return _fetch(SOURCES["credit_data"], data_home)


def _fetch(source, data_home):
    """Find a table, bring it into its form, and describe its features."""
    path = local_path(source.file, data_home)
    if path and path.is_file():
        frame, origin = _read(path), str(path)
    else:
        download = _from_openml if source.openml else _from_web
        frame, origin = download(source, data_home, path)
    X, y = _in_form(frame, source, origin)
    return X, y, FeatureSpace(**deepcopy(source.space))


def local_path(file, data_home):
    """Where a file would lie, in the folder given or the one of the environment; else None."""
    folder = data_home if data_home is not None else os.environ.get(DATA_HOME_VARIABLE)
    return Path(folder).expanduser() / file if folder else None


def _read(path):
    import pandas as pd

    return pd.read_csv(path)


def openml(name, version, *, file, path, data_home, as_frame):
    """Fetch a data set from OpenML, which keeps it in `data_home`."""
    with _explained(f"{name!r} could not be downloaded from OpenML", file, path):
        return fetch_openml(name, version=version, data_home=data_home, as_frame=as_frame)


@contextmanager
def _explained(failure, file, path):
    """Say what was tried, and what else can be done, where a download fails."""
    try:
        yield
    except OSError as error:
        lack = f"There is no {path}" if path else "No local folder was given"
        raise OSError(
            f"{lack}, and {failure}: {error}. The folder that holds {file} may be given as "
            f"data_home, or by the environment variable {DATA_HOME_VARIABLE}."
        ) from error


def _from_openml(source, data_home, path):
    """Fetch a table from OpenML, under the local column names."""
    name, version = source.openml
    fetched = openml(name, version, file=source.file, path=path, data_home=data_home, as_frame=True)
    frame = fetched.frame.rename(columns={theirs: ours for ours, theirs in source.renamed.items()})
    decoded = {
        column: _decoded(frame[column], texts)
        for column, texts in source.codes.items()
        if column in frame
    }
    return frame.assign(**decoded), f"{name!r} on OpenML"


def _from_web(source, data_home, path):
    """Fetch a table from where it is published, and check that it is whole."""
    folder = None if data_home is None else Path(data_home).expanduser()
    with _explained(f"{source.url} could not be downloaded", source.file, path):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        file = fetch_file(source.url, folder=folder)
    origin = f"{file}, downloaded from {source.url} (delete it to download it again),"
    try:
        frame = _read(file)
    except ValueError as error:
        raise ValueError(f"{origin} must be a CSV file: {error}") from error
    if len(frame) != source.n_rows:
        raise ValueError(f"{origin} must have {source.n_rows} rows; it has {len(frame)}.")
    return frame, origin


def _in_form(frame, source, origin):
    """Pick the columns, in order and with their dtypes."""
    import pandas as pd

    kinds = {**source.columns, source.target: source.target_kind}
    absent = [name for name in kinds if name not in frame.columns]
    if absent:
        raise ValueError(
            f"{origin} must have the columns {list(kinds)}; it lacks {absent} and has "
            f"{list(frame.columns)}."
        )
    convert = {
        TEXT: _as_text,
        WHOLE: _as_whole,
        WHOLE_OR_MISSING: _as_whole_or_missing,
        NUMBER: _as_number,
    }
    frame = pd.DataFrame({name: convert[kind](frame[name]) for name, kind in kinds.items()})
    y = frame.pop(source.target)
    foreign = sorted(set(y.tolist()) - set(source.labels), key=str)
    if foreign:
        raise ValueError(
            f"{source.target} must hold {list(source.labels)} and nothing else; got {foreign}."
        )
    return frame, y


def _as_text(column):
    # pandas makes str of text from version 3 on, and leaves it object before
    return column.astype(object).infer_objects()


def _as_number(column):
    return column.astype("float64")


def _as_whole(column):
    return _checked_whole(_as_number(column)).astype("int64")


def _as_whole_or_missing(column):
    numbers = _as_number(column)
    _checked_whole(numbers.dropna())
    return numbers


def _checked_whole(numbers):
    wrong = numbers[numbers != numbers.round()]
    if len(wrong):
        raise ValueError(f"{numbers.name} must hold whole numbers; got {wrong.iloc[0]}.")
    return numbers


def _decoded(column, texts):
    """Write out what the numbers of a column stand for."""
    codes = _as_whole(column)
    unknown = sorted(set(codes.tolist()) - set(texts))
    if unknown:
        raise ValueError(f"{column.name} must hold the codes {sorted(texts)}; got {unknown}.")
    return codes.map(texts)
