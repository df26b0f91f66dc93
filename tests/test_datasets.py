"""Loaders bring both sources into one form; generators know the right answers."""

import os
import pickle
import re
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from urllib.error import URLError

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import Bunch

from skcf import FeatureSpace
from skcf.datasets import (
    _fetch,
    fetch_adult,
    fetch_credit_data,
    fetch_credit_default,
    fetch_german_credit,
    fetch_lending_club,
    fetch_mnist,
    make_recourse_population,
)
from skcf.datasets._linear_rule import LinearRule
from skcf.datasets._optimum import cheapest_acceptance
from skcf.datasets._sources import SOURCES

pd = pytest.importorskip("pandas")

FETCHERS = {
    "adult": fetch_adult,
    "german_credit": fetch_german_credit,
    "credit_default": fetch_credit_default,
    "lending_club": fetch_lending_club,
    "credit_data": fetch_credit_data,
}
WEB = ("lending_club", "credit_data")

OPENML_TEXT = {
    "adult": (
        "age workclass fnlwgt education education-num marital-status occupation relationship "
        "race sex capital-gain capital-loss hours-per-week native-country class"
    ),
    "german_credit": (
        "checking_status duration credit_history purpose credit_amount savings_status employment "
        "installment_commitment personal_status other_parties residence_since property_magnitude "
        "age other_payment_plans housing existing_credits job num_dependents own_telephone "
        "foreign_worker class"
    ),
    "credit_default": " ".join(f"x{i}" for i in range(1, 24)) + " y",
}

LOCAL_TEXT = {
    "adult": (
        "age workclass fnlwgt education education_num marital_status occupation relationship "
        "race sex capital_gain capital_loss hours_per_week native_country income"
    ),
    "german_credit": (
        "account_check_status duration_in_month credit_history purpose credit_amount savings "
        "present_emp_since installment_as_income_perc personal_status_sex other_debtors "
        "present_res_since property age other_installment_plans housing credits_this_bank job "
        "people_under_maintenance telephone foreign_worker credit_risk"
    ),
    "credit_default": (
        "LIMIT_BAL SEX EDUCATION MARRIAGE AGE PAY_0 PAY_2 PAY_3 PAY_4 PAY_5 PAY_6 BILL_AMT1 "
        "BILL_AMT2 BILL_AMT3 BILL_AMT4 BILL_AMT5 BILL_AMT6 PAY_AMT1 PAY_AMT2 PAY_AMT3 PAY_AMT4 "
        "PAY_AMT5 PAY_AMT6 default_next_month"
    ),
    "lending_club": (
        "funded_amnt term int_rate sub_grade addr_state verification_status annual_inc emp_length "
        "delinq_2yrs inq_last_6mths revol_util acc_now_delinq open_il_6m open_il_12m open_il_24m "
        "total_bal_il all_util inq_fi inq_last_12m delinq_amnt num_il_tl "
        "total_il_high_credit_limit Class"
    ),
    "credit_data": (
        "Seniority Home Time Age Marital Records Job Expenses Income Assets Debt Amount Price "
        "Status"
    ),
}

OPENML_COLUMNS = {name: text.split() for name, text in OPENML_TEXT.items()}
LOCAL_COLUMNS = {name: text.split() for name, text in LOCAL_TEXT.items()}

ROWS = {
    "adult": [
        "25 Private 226802 11th 7 Never-married Machine-op-inspct Own-child Black Male 0 0 40 "
        "United-States <=50K",
        "44 Private 160323 Some-college 10 Married-civ-spouse Machine-op-inspct Husband Black Male "
        "7688 0 40 United-States >50K",
        "18 ? 103497 Some-college 10 Never-married ? Own-child White Female 0 0 30 ? <=50K",
    ],
    "german_credit": [
        "<0 6 critical radio/tv 1169 none >=7 4 single none 4 estate 67 none own 2 skilled 1 yes "
        "yes good",
        "0<=X<200 48 paid education 5951 <100 1<=X<4 2 married none 2 estate 22 none own 1 skilled "
        "1 none no bad",
    ],
    "credit_default": [
        "20000 female university married 24 2 2 -1 -1 -2 -2 3913 3102 689 0 0 0 0 689 0 0 0 0 1",
        "50000 male high_school single 37 0 0 0 0 0 0 46990 48233 49291 28314 28959 29547 2000 "
        "2019 1200 1100 1069 1000 0",
        "80000 male other other 51 -1 0 0 0 0 0 -10 0 0 0 0 0 0 0 0 0 0 0 0",
    ],
    "lending_club": [
        "16100 term_36 13.99 C4 CT Not_Verified 35000 emp_5 0 0 67.4 0 1 0 0 1099 48 0 3 0 3 13193 "
        "good",
        "26700 term_60 15 C5 FL Source_Verified 3e+05 emp_1 0 0 97 0 9 2 5 2e+05 81 3 2 0 22 "
        "254286 bad",
    ],
    "credit_data": [
        "9 rent 60 30 married no freelance 73 129 0 0 800 846 good",
        "0 ? 48 37 single no ? 35 ? ? ? 1500 1850 bad",
    ],
}

CODED = {
    "x2": {"male": "1", "female": "2"},
    "x3": {"university": "2", "high_school": "3", "other": "5"},
    "x4": {"married": "1", "single": "2", "other": "0"},
}
"""How OpenML writes the categories of the credit cards."""


def small_frame(name, columns, text_dtype):
    """Rows as a parser gives them: numbers, and text in the given dtype."""
    raw = pd.DataFrame([row.split() for row in ROWS[name]], columns=columns[name])
    raw = raw.replace(CODED) if columns is OPENML_COLUMNS and name == "credit_default" else raw
    frame = {}
    for column in raw:
        values = raw[column].where(raw[column] != "?", np.nan)
        numbers = pd.to_numeric(values, errors="coerce")
        is_number = numbers.notna().sum() == values.notna().sum() and column not in CODED
        frame[column] = numbers if is_number else values.astype(text_dtype)
    return pd.DataFrame(frame)


class FakeOpenML:
    """Stands for fetch_openml: the same column names and categorical dtypes."""

    def __init__(self, **changes):
        self.calls = []
        self.changes = changes

    def __call__(self, name, *, version, data_home, as_frame):
        self.calls.append({"name": name, "version": version, "data_home": data_home})
        assert as_frame is True
        known = {
            "adult": "adult",
            "credit-g": "german_credit",
            "default-of-credit-card-clients": "credit_default",
        }[name]
        frame = small_frame(known, OPENML_COLUMNS, "category").assign(**self.changes)
        target = frame.columns[-1]
        return Bunch(frame=frame, data=frame.drop(columns=target), target=frame[target])


class FakeWeb:
    """Stands for fetch_file: a CSV file as Rdatasets has it, with the row names of R."""

    def __init__(self, home):
        self.calls = []
        self.home = home
        self.change = lambda frame: frame

    def __call__(self, url, folder=None):
        self.calls.append({"url": url, "folder": folder})
        path = (self.home if folder is None else folder) / url.rsplit("/", 1)[1]
        if not path.is_file():
            name = path.stem
            frame = small_frame(name, LOCAL_COLUMNS, object)
            n_rows = SOURCES[name].n_rows
            frame = frame.iloc[np.arange(n_rows) % len(frame)].set_axis(range(1, n_rows + 1))
            self.change(frame).rename_axis("rownames").to_csv(path)
        return path


@pytest.fixture
def openml(monkeypatch):
    """Replace the download, and forget the folder that this machine has."""
    monkeypatch.delenv("SKCF_DATA", raising=False)
    fake = FakeOpenML()
    monkeypatch.setattr(_fetch, "fetch_openml", fake)
    return fake


@pytest.fixture
def web(monkeypatch, tmp_path):
    """Replace the other download likewise."""
    monkeypatch.delenv("SKCF_DATA", raising=False)
    home = tmp_path / "scikit_learn_data"
    home.mkdir()
    fake = FakeWeb(home)
    monkeypatch.setattr(_fetch, "fetch_file", fake)
    return fake


def write_local(name, folder, **changes):
    frame = small_frame(name, LOCAL_COLUMNS, object).assign(**changes)
    frame.to_csv(folder / f"{name}.csv.gz", index=False)


def shared_data(name, ending="csv.gz"):
    folder = os.environ.get("SKCF_DATA")
    if not folder:
        pytest.skip("SKCF_DATA is not set: it names the folder of the shared data")
    if not (Path(folder) / f"{name}.{ending}").is_file():
        pytest.skip(f"SKCF_DATA is {folder!r}, which has no {name}.{ending}")
    return folder


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("adult", {"name": "adult", "version": 2}),
        ("german_credit", {"name": "credit-g", "version": 1}),
        ("credit_default", {"name": "default-of-credit-card-clients", "version": 1}),
    ],
)
@pytest.mark.parametrize("data_home", [None, "somewhere"])
def test_where_no_file_is_it_is_downloaded(openml, tmp_path, name, arguments, data_home):
    folder = None if data_home is None else tmp_path / data_home
    FETCHERS[name](data_home=folder)
    assert openml.calls == [{**arguments, "data_home": folder}]


@pytest.mark.parametrize("name", WEB)
@pytest.mark.parametrize("data_home", [None, "somewhere", Path("some") / "where"])
def test_where_no_file_is_it_is_downloaded_from_the_web(web, tmp_path, name, data_home):
    folder = None if data_home is None else tmp_path / data_home
    FETCHERS[name](data_home=str(folder) if isinstance(data_home, str) else folder)
    (call,) = web.calls
    assert call["url"].endswith(f"/Rdatasets/csv/modeldata/{name}.csv")
    assert call["folder"] == folder


@pytest.mark.parametrize("name", FETCHERS)
def test_both_sources_come_in_the_same_form(openml, web, tmp_path, name):
    downloaded = FETCHERS[name]()
    write_local(name, tmp_path)
    local = FETCHERS[name](data_home=tmp_path)
    assert len(openml.calls) + len(web.calls) == 1
    n_rows = len(local[0])
    pd.testing.assert_frame_equal(local[0], downloaded[0].head(n_rows))
    pd.testing.assert_series_equal(local[1], downloaded[1].head(n_rows))
    assert local[1].name == LOCAL_COLUMNS[name][-1]
    assert list(local[0]) == [c for c in LOCAL_COLUMNS[name][:-1] if c != "fnlwgt"]


@pytest.mark.parametrize(
    "name, n_int, n_float",
    [
        ("adult", 5, 0),
        ("german_credit", 7, 0),
        ("credit_default", 20, 0),
        ("lending_club", 14, 3),
        ("credit_data", 6, 3),
    ],
)
def test_dtypes_are_text_and_numbers(openml, web, name, n_int, n_float):
    X, y, _ = FETCHERS[name]()
    text = pd.Series(["a"]).dtype  # str from pandas 3 on, object before
    assert (X.dtypes == np.int64).sum() == n_int
    assert (X.dtypes == np.float64).sum() == n_float
    assert (X.dtypes == text).sum() == X.shape[1] - n_int - n_float
    assert y.dtype == (np.int64 if name == "credit_default" else text)


def test_missing_values_are_nan(openml):
    X, _, _ = fetch_adult()
    gaps = X.isna()
    assert list(X.columns[gaps.any()]) == ["workclass", "occupation", "native_country"]
    assert gaps.loc[2, ["workclass", "occupation", "native_country"]].all()
    assert X.loc[2, "workclass"] is not None
    assert np.isnan(X.loc[2, "workclass"])


def test_missing_numbers_leave_the_others_whole(web):
    X, _, space = fetch_credit_data()
    assert np.isnan(X.loc[1, ["Income", "Assets", "Debt"]].astype(float)).all()
    assert np.isnan(X.loc[1, "Home"])
    kinds = space.fit(X).feature_kinds_
    assert [kinds[name] for name in ("Income", "Assets", "Debt")] == ["integer"] * 3


@pytest.mark.parametrize("dtype", ["category", object, "int64", "float64"])
def test_codes_are_written_out_whatever_holds_them(openml, dtype):
    openml.changes = {"x3": pd.Series(["1", "0", "6"]).astype(dtype)}
    X, _, _ = fetch_credit_default()
    assert X["EDUCATION"].tolist() == ["graduate", "other", "other"]
    assert X["SEX"].tolist() == ["female", "male", "male"]
    assert X["MARRIAGE"].tolist() == ["married", "single", "other"]


def test_code_that_nobody_knows_is_refused(openml):
    openml.changes = {"x3": [1, 2, 7]}
    with pytest.raises(ValueError, match=r"EDUCATION must hold the codes \[0, .*6\]; got \[7\]"):
        fetch_credit_default()


@pytest.mark.parametrize("name", ["adult", "german_credit", "credit_default"])
def test_feature_space_is_not_fitted_and_not_shared(openml, name):
    first, second = FETCHERS[name]()[2], FETCHERS[name]()[2]
    assert not hasattr(first, "scale_")
    first.immutable_features.clear()
    first.change_direction.clear()
    assert second.immutable_features
    assert second.change_direction
    assert FETCHERS[name]()[2].immutable_features == second.immutable_features


def test_given_folder_comes_before_the_environment(openml, monkeypatch, tmp_path):
    given, environment = tmp_path / "given", tmp_path / "environment"
    for age, folder in enumerate([given, environment]):
        folder.mkdir()
        write_local("adult", folder, age=age)
    monkeypatch.setenv("SKCF_DATA", str(environment))
    assert (fetch_adult(data_home=str(given))[0]["age"] == 0).all()
    assert (fetch_adult()[0]["age"] == 1).all()
    assert openml.calls == []


def test_environment_folder_without_the_file_falls_back(openml, monkeypatch, tmp_path):
    write_local("adult", tmp_path)
    monkeypatch.setenv("SKCF_DATA", str(tmp_path))
    fetch_german_credit()
    assert openml.calls == [{"name": "credit-g", "version": 1, "data_home": None}]


@pytest.mark.parametrize("given", [True, False])
def test_failed_download_says_what_was_tried(monkeypatch, tmp_path, given):
    def offline(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(_fetch, "fetch_openml", offline)
    monkeypatch.delenv("SKCF_DATA", raising=False)
    lack = f"There is no {tmp_path / 'adult.csv.gz'}, and" if given else "No local folder was given"
    with pytest.raises(OSError, match=re.escape(lack)) as error:
        fetch_adult(data_home=tmp_path if given else None)
    assert "no route to host" in str(error.value)
    assert "SKCF_DATA" in str(error.value)


@pytest.mark.parametrize("given", [True, False])
def test_failed_download_from_the_web_says_what_was_tried(monkeypatch, tmp_path, given):
    def offline(url, folder=None):
        raise URLError("no route to host")

    monkeypatch.setattr(_fetch, "fetch_file", offline)
    monkeypatch.delenv("SKCF_DATA", raising=False)
    lack = f"There is no {tmp_path / 'credit_data.csv.gz'}" if given else "No local folder was"
    with pytest.raises(OSError, match=re.escape(lack)) as error:
        fetch_credit_data(data_home=tmp_path if given else None)
    for text in ("https://", "no route to host", "SKCF_DATA", "credit_data.csv.gz"):
        assert text in str(error.value)


@pytest.fixture
def server(monkeypatch):
    """Serve a CSV file that is as long as it must be, and has other columns."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"rownames,a\n" + b"1,2\n" * SOURCES["credit_data"].n_rows)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}/credit_data.csv"
    monkeypatch.setitem(SOURCES, "credit_data", replace(SOURCES["credit_data"], url=url))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
    yield server, url
    server.server_close()


def test_what_a_server_gives_is_kept_and_checked(server, tmp_path):
    server, url = server
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(ValueError, match="lacks") as error:
            fetch_credit_data(data_home=tmp_path / "new")
    finally:
        server.shutdown()
        thread.join()
    assert f"{tmp_path / 'new' / 'credit_data.csv'}, downloaded from {url}" in str(error.value)
    assert (tmp_path / "new" / "credit_data.csv").is_file()


@pytest.mark.filterwarnings("ignore:Retry downloading")
def test_server_that_does_not_answer_is_named(server, tmp_path):
    server, url = server
    server.server_close()
    with pytest.raises(OSError, match=re.escape(url)):
        fetch_credit_data(data_home=tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_download_that_was_cut_is_refused_and_named(web, tmp_path):
    web.change = lambda frame: frame.head(100)
    with pytest.raises(ValueError, match=r"must have 9857 rows; it has 100") as error:
        fetch_lending_club(data_home=tmp_path)
    assert f"{tmp_path / 'lending_club.csv'}, downloaded from https://" in str(error.value)
    assert "delete it" in str(error.value)


def test_download_that_is_no_table_is_refused_and_named(web, tmp_path):
    (tmp_path / "lending_club.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"lending_club.csv, downloaded .* must be a CSV file"):
        fetch_lending_club(data_home=tmp_path)


def test_local_file_comes_before_the_web(web, tmp_path):
    write_local("credit_data", tmp_path)
    assert len(fetch_credit_data(data_home=tmp_path)[0]) == 2
    assert web.calls == []


def test_file_with_other_columns_is_refused(openml, tmp_path):
    frame = small_frame("adult", LOCAL_COLUMNS, object).drop(columns=["sex"])
    frame.to_csv(tmp_path / "adult.csv.gz", index=False)
    with pytest.raises(ValueError, match=r"adult.csv.gz must have .* lacks \['sex'\]"):
        fetch_adult(data_home=tmp_path)


def test_file_with_other_labels_is_refused(openml, tmp_path):
    write_local("german_credit", tmp_path, credit_risk=["good", "1"])
    with pytest.raises(ValueError, match=r"\['bad', 'good'\] and nothing else; got \['1'\]"):
        fetch_german_credit(data_home=tmp_path)
    write_local("credit_default", tmp_path, default_next_month=[0, 1, 2])
    with pytest.raises(ValueError, match=r"must hold \[0, 1\] and nothing else; got \[2\]"):
        fetch_credit_default(data_home=tmp_path)


@pytest.mark.parametrize("age, came", [([25.5, 30, 31], "25.5"), ([25, np.nan, 31], "nan")])
def test_whole_numbers_are_not_cut(openml, tmp_path, age, came):
    write_local("adult", tmp_path, age=age)
    with pytest.raises(ValueError, match=f"age must hold whole numbers; got {came}"):
        fetch_adult(data_home=tmp_path)


def test_whole_numbers_with_gaps_are_not_cut_either(web, tmp_path):
    write_local("credit_data", tmp_path, Income=[np.nan, 7.5])
    with pytest.raises(ValueError, match=r"Income must hold whole numbers; got 7\.5"):
        fetch_credit_data(data_home=tmp_path)


@pytest.mark.parametrize("name", [*FETCHERS, "mnist"])
def test_folder_must_be_a_path(name):
    with pytest.raises(ValueError, match="'data_home' parameter"):
        {**FETCHERS, "mnist": fetch_mnist}[name](data_home=3)


def test_shared_adult():
    X, y, space = fetch_adult(data_home=shared_data("adult"))
    assert X.shape == (48842, 13)
    assert X.isna().to_numpy().sum() == 6465
    assert y.value_counts().to_dict() == {"<=50K": 37155, ">50K": 11687}
    kinds = space.fit(X).feature_kinds_
    linked = "education|education_num"
    assert [name for name, kind in kinds.items() if kind == "ordinal"] == [linked]
    levels = space.ordinal_features["education"]
    assert space.categories_[linked] == list(zip(levels, range(1, 17), strict=True))
    ranks = {level: rank for rank, level in enumerate(levels, start=1)}
    assert (X["education"].map(ranks) == X["education_num"]).all()


def test_shared_adult_constraints():
    X, _, space = fetch_adult(data_home=shared_data("adult"))
    space.fit(X)
    row = X.dropna().query("education == 'HS-grad'").iloc[[0]]

    def allowed(**changes):
        return bool(space.feasible(row, row.assign(**changes))[0])

    assert allowed(education="Masters", education_num=14, age=row["age"] + 2, hours_per_week=20)
    forbidden = [
        {"education": "11th", "education_num": 7},
        {"education_num": row["education_num"] + 1},
        {"education": "Masters"},
        {"age": row["age"] - 1},
        {"sex": "Male" if row["sex"].item() == "Female" else "Female"},
        {"race": "White" if row["race"].item() != "White" else "Black"},
        {"native_country": "Cuba" if row["native_country"].item() != "Cuba" else "India"},
    ]
    assert not any(allowed(**changes) for changes in forbidden)


def test_shared_german_credit():
    X, y, space = fetch_german_credit(data_home=shared_data("german_credit"))
    assert X.shape == (1000, 20)
    assert not X.isna().to_numpy().any()
    assert y.value_counts().to_dict() == {"good": 700, "bad": 300}
    kinds = list(space.fit(X).feature_kinds_.values())
    assert kinds.count("integer") == 7
    assert kinds.count("category") == 13
    row = X.iloc[[0]]
    assert not space.feasible(row, row.assign(age=row["age"] - 1))[0]
    assert not space.feasible(row, row.assign(foreign_worker="no"))[0]
    assert not space.feasible(row, row.assign(personal_status_sex="male : married/widowed"))[0]
    assert space.feasible(row, row.assign(duration_in_month=60, telephone="none"))[0]


def test_shared_credit_default():
    X, y, space = fetch_credit_default(data_home=shared_data("credit_default"))
    assert X.shape == (30000, 23)
    assert not X.isna().to_numpy().any()
    assert y.value_counts().to_dict() == {0: 23364, 1: 6636}
    assert X["EDUCATION"].value_counts().to_dict() == {
        "university": 14030,
        "graduate": 10585,
        "high_school": 4917,
        "other": 468,
    }
    kinds = space.fit(X).feature_kinds_
    categories = [name for name, kind in kinds.items() if kind == "category"]
    assert categories == ["SEX", "EDUCATION", "MARRIAGE"]
    assert set(kinds.values()) == {"category", "integer"}
    row = X.iloc[[0]]
    assert not space.feasible(row, row.assign(AGE=23))[0]
    assert not space.feasible(row, row.assign(SEX="male"))[0]
    assert not space.feasible(row, row.assign(MARRIAGE="single"))[0]
    assert space.feasible(row, row.assign(AGE=25, EDUCATION="graduate", PAY_0=0))[0]


def test_shared_lending_club():
    X, y, space = fetch_lending_club(data_home=shared_data("lending_club"))
    assert X.shape == (9857, 22)
    assert not X.isna().to_numpy().any()
    assert y.value_counts().to_dict() == {"good": 9340, "bad": 517}
    kinds = space.fit(X).feature_kinds_
    assert [name for name, kind in kinds.items() if kind == "ordinal"] == ["term", "sub_grade"]
    assert space.categories_["sub_grade"][0] == "A1"
    assert space.categories_["sub_grade"][-1] == "G5"
    row = X.iloc[[0]]
    assert not space.feasible(row, row.assign(addr_state="NY"))[0]
    assert space.feasible(row, row.assign(sub_grade="A1", term="term_60"))[0]


def test_shared_credit_data():
    X, y, space = fetch_credit_data(data_home=shared_data("credit_data"))
    assert X.shape == (4454, 13)
    assert X.isna().to_numpy().sum() == 455
    assert y.value_counts().to_dict() == {"good": 3200, "bad": 1254}
    kinds = list(space.fit(X).feature_kinds_.values())
    assert kinds.count("category") == 4
    assert kinds.count("integer") == 9
    row = X.iloc[[0]]
    assert not space.feasible(row, row.assign(Age=29))[0]
    assert not space.feasible(row, row.assign(Seniority=8))[0]
    assert not space.feasible(row, row.assign(Income=129.5))[0]
    assert space.feasible(row, row.assign(Age=31, Income=130.0, Home="owner"))[0]


@pytest.mark.parametrize("name", ["lending_club", "credit_data"])
def test_shared_tables_have_the_rows_that_a_download_must_have(name):
    X, _, _ = FETCHERS[name](data_home=shared_data(name))
    assert len(X) == SOURCES[name].n_rows


def images(n, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28)).astype(dtype)


@pytest.mark.parametrize("flat", [True, False])
def test_local_digits_are_rows_of_grey_levels(tmp_path, flat):
    X, y = images(20), np.arange(20, dtype=np.uint8) % 10
    np.savez(tmp_path / "mnist_t10k.npz", X=X.reshape(20, -1) if flat else X, y=y)
    rows, digits, space = fetch_mnist(data_home=tmp_path)
    assert rows.dtype == np.float64
    assert digits.dtype == np.int64
    np.testing.assert_array_equal(rows.reshape(20, 28, 28), X)
    np.testing.assert_array_equal(digits, y)
    assert not hasattr(space, "scale_")


@pytest.mark.parametrize("data_home", [None, "somewhere"])
def test_downloaded_digits_are_the_last_ten_thousand(monkeypatch, tmp_path, data_home):
    calls = []

    def fake(name, **arguments):
        calls.append((name, arguments))
        data = np.zeros((70_000, 784), dtype=np.int64)
        data[59_999], data[60_000], data[-1] = 1, 2, 3
        target = np.array(["5", "7"]).repeat([60_000, 10_000]).astype(object)
        return Bunch(data=data, target=target)

    monkeypatch.delenv("SKCF_DATA", raising=False)
    monkeypatch.setattr(_fetch, "fetch_openml", fake)
    folder = None if data_home is None else tmp_path / data_home
    X, y, _ = fetch_mnist(data_home=folder)
    assert calls == [("mnist_784", {"version": 1, "data_home": folder, "as_frame": False})]
    assert X.shape == (10_000, 784)
    assert (X[0] == 2).all()
    assert (X[-1] == 3).all()
    assert X.dtype == np.float64
    assert y.dtype == np.int64
    assert (y == 7).all()


def test_download_of_other_digits_is_refused(monkeypatch):
    small = Bunch(data=np.zeros((1797, 64)), target=np.zeros(1797).astype(str))
    monkeypatch.delenv("SKCF_DATA", raising=False)
    monkeypatch.setattr(_fetch, "fetch_openml", lambda *args, **kwargs: small)
    with pytest.raises(ValueError, match="'mnist_784' on OpenML must have 70000 images; it has"):
        fetch_mnist()


def test_failed_download_of_digits_says_what_was_tried(monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(_fetch, "fetch_openml", offline)
    with pytest.raises(OSError, match=r"There is no .*mnist_t10k.npz, and 'mnist_784' could not"):
        fetch_mnist(data_home=tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"X": images(5)[:, :20]}, "images of 784 pixels and a digit for each"),
        ({"y": np.zeros(4)}, r"arrays of shape \(5, 28, 28\) and \(4,\)"),
        ({"X": images(5, float) + 0.5}, "grey levels from 0 to 255, whole numbers; got"),
        ({"X": images(5, float) - 256}, "grey levels from 0 to 255"),
        ({"X": np.full((5, 784), np.nan)}, "whole numbers; got nan"),
        ({"y": np.full(5, 10)}, "digits from 0 to 9, whole numbers; got 10"),
    ],
)
def test_file_of_other_digits_is_refused(tmp_path, change, message):
    np.savez(tmp_path / "mnist_t10k.npz", **{"X": images(5), "y": np.zeros(5), **change})
    with pytest.raises(ValueError, match=message):
        fetch_mnist(data_home=tmp_path)


def test_file_without_digits_is_refused(tmp_path):
    np.savez(tmp_path / "mnist_t10k.npz", X=images(5))
    with pytest.raises(ValueError, match=r"lacks \['y'\] and has \['X'\]"):
        fetch_mnist(data_home=tmp_path)


def test_shared_mnist():
    X, y, space = fetch_mnist(data_home=shared_data("mnist_t10k", "npz"))
    assert X.shape == (10_000, 784)
    assert X.min() == 0
    assert X.max() == 255
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(y).tolist() == counts
    space.fit(X[:500])
    assert set(space.feature_kinds_.values()) == {"integer"}
    inked = X[:1].copy()
    for level, allowed in [(255, True), (256, False), (100.5, False), (-1, False)]:
        inked[0, 400] = level
        assert space.feasible(X[:1], inked)[0] == allowed


LEVELS = ["primary", "secondary", "college", "bachelor", "master"]
NUMBERS = ["age", "income", "savings", "loans", "missed_payments"]
BOX = {  # how far each value may go, given its own
    "age": lambda x: (x, 200),
    "income": lambda x: (10, 60),
    "savings": lambda x: (0, 40),
    "loans": lambda x: (0, 5),
    "missed_payments": lambda x: (x, 200),
}


@pytest.fixture(scope="module")
def population():
    return make_recourse_population(300, crowding=0.3, random_state=0)


@pytest.fixture(scope="module")
def space(population):
    return clone(population.feature_space).fit(population.X)


def points_per_unit(population):
    """Weights of the linear rule, read off the classifier's scores alone."""
    row = population.X.iloc[[0]].assign(education="primary", employed=False)
    score = population.classifier.decision_function
    steps = {name: row.assign(**{name: row[name] + 1}) for name in NUMBERS}
    steps["education"] = row.assign(education="secondary")
    steps["employed"] = row.assign(employed=True)
    return {name: (score(step) - score(row)).item() for name, step in steps.items()}


def cost_per_unit(population):
    """Prices by the definition of the default cost: weight over range."""
    prices = {name: 1 / np.ptp(population.X[name].to_numpy()) for name in NUMBERS}
    prices |= {"education": 1 / (len(LEVELS) - 1), "employed": 1.0}
    weights = population.feature_space.feature_weights
    return {name: weights.get(name, 1) * price for name, price in prices.items()}


def cheapest_by_milp(row, score, points, prices):
    """The same optimum by branch and bound: rises and falls of all features but the region."""
    names = [*NUMBERS, "education", "employed"]
    level = LEVELS.index(row["education"])
    up = {name: BOX[name](row[name])[1] - row[name] for name in NUMBERS}
    down = {name: row[name] - BOX[name](row[name])[0] for name in NUMBERS}
    up |= {"education": len(LEVELS) - 1 - level, "employed": 1 - row["employed"]}
    down |= {"education": 0, "employed": int(row["employed"])}
    gain = np.array([points[name] for name in names])
    price = np.array([prices[name] for name in names])
    whole = np.array([name not in ("income", "savings") for name in names])
    solution = milp(
        np.concatenate([price, price]),
        constraints=LinearConstraint(np.concatenate([gain, -gain]), lb=-score),
        bounds=Bounds(0, [float(side[name]) for side in (up, down) for name in names]),
        integrality=np.concatenate([whole, whole]),
        options={"mip_rel_gap": 0},
    )
    return solution.fun if solution.success else np.inf


@pytest.mark.parametrize("seed", [1, 2])
def test_optimal_cost_agrees_with_milp(seed):
    population = make_recourse_population(200, random_state=seed)
    points, prices = points_per_unit(population), cost_per_unit(population)
    rejected = np.flatnonzero(population.y == "rejected")
    infeasible = np.flatnonzero(population.infeasible)
    rows = np.unique(np.concatenate([rejected[:30], infeasible[:3]]))
    scores = population.classifier.decision_function(population.X)
    expected = [cheapest_by_milp(population.X.iloc[i], scores[i], points, prices) for i in rows]
    np.testing.assert_allclose(population.optimal_cost[rows], expected, rtol=1e-6, atol=1e-6)


def test_optimum_uses_whole_and_continuous_features():
    # otherwise the comparison with the other solver would say little
    population = make_recourse_population(500, random_state=0)
    changed = (population.optimal_X != population.X).any()
    assert set(changed.index[changed]) == {"income", "savings", "loans", "education", "employed"}
    score = population.classifier.decision_function(population.optimal_X)
    found = (population.y == "rejected") & ~population.infeasible
    assert (score[found] > 0.01).any()  # a whole loan overshoots


def test_optimal_rows_are_allowed_accepted_and_cost_the_optimum(population, space):
    feasible = ~population.infeasible
    X, X_cf = population.X[feasible], population.optimal_X[feasible]
    assert space.feasible(X, X_cf).all()
    assert (population.classifier.predict(X_cf) == "accepted").all()
    cost = space.cost(X, X_cf)
    np.testing.assert_allclose(cost, population.optimal_cost[feasible], rtol=0, atol=1e-9)


def test_optimal_rows_keep_the_form_of_X(population):
    optimal_X, X = population.optimal_X, population.X
    pd.testing.assert_frame_equal(optimal_X.iloc[:0], X.iloc[:0])
    pd.testing.assert_index_equal(optimal_X.index, X.index)
    same = (population.y == "accepted") | population.infeasible
    pd.testing.assert_frame_equal(optimal_X[same], X[same])


def test_accepted_rows_cost_nothing_and_only_infeasible_ones_infinity(population):
    accepted = (population.y == "accepted").to_numpy()
    assert (population.optimal_cost[accepted] == 0).all()
    assert (population.optimal_cost[~accepted] > 0).all()
    np.testing.assert_array_equal(np.isinf(population.optimal_cost), population.infeasible)
    assert not (accepted & population.infeasible).any()


def test_a_step_less_than_the_optimum_is_not_accepted(population):
    # where a continuous feature was raised last, the optimum stands on the line
    score = population.classifier.decision_function(population.optimal_X)
    on_the_line = (score < 1e-9) & (population.y == "rejected").to_numpy() & ~population.infeasible
    assert on_the_line.mean() > 0.3
    shy = population.optimal_X[on_the_line]
    shy = shy.assign(income=shy["income"] - 1e-6)
    assert (population.classifier.predict(shy) == "rejected").all()


def test_infeasible_rows_have_no_accepted_corner(population):
    rejected = np.flatnonzero(population.y == "rejected")
    accepted_corner = np.array([any_corner_accepted(population, i) for i in rejected])
    np.testing.assert_array_equal(accepted_corner, ~population.infeasible[rejected])


def any_corner_accepted(population, i):
    """A linear score is highest in a corner of the box of allowed values."""
    row = population.X.iloc[i]
    sides = {name: BOX[name](row[name]) for name in NUMBERS}
    sides |= {"education": (row["education"], "master"), "employed": (False, True)}
    corners = pd.DataFrame(list(product(*sides.values())), columns=list(sides))
    corners = corners.assign(region=row["region"])[list(population.X)]
    return (population.classifier.predict(corners) == "accepted").any()


def test_no_accepted_row_is_cheaper_than_the_optimum(population, space):
    accepted = (population.y == "accepted").to_numpy()
    cost = space.pairwise_cost(population.X[~accepted], population.X[accepted])
    nearest = cost.min(axis=1)
    assert (nearest >= population.optimal_cost[~accepted] - 1e-12).all()
    assert np.isfinite(nearest).sum() > 100  # and most of them can reach somebody
    assert np.isinf(nearest[population.infeasible[~accepted]]).all()


def busiest_share(population):
    """Share of the rejected whose nearest accepted row is among the busiest 1 % of them."""
    space = clone(population.feature_space).fit(population.X)
    accepted = (population.y == "accepted").to_numpy()
    cost = space.pairwise_cost(population.X[~accepted], population.X[accepted])
    nearest = cost[np.isfinite(cost).any(axis=1)].argmin(axis=1)
    visits = np.sort(np.bincount(nearest, minlength=accepted.sum()))[::-1]
    return visits[: int(np.ceil(0.01 * accepted.sum()))].sum() / len(nearest)


@pytest.mark.parametrize("seed", range(3))
def test_crowding_sends_most_people_to_the_same_few(seed):
    spread, half, crowded = (
        busiest_share(make_recourse_population(1000, crowding=crowding, random_state=seed))
        for crowding in (0.0, 0.5, 0.9)
    )
    assert spread < 0.3
    assert spread < half < crowded
    assert crowded > 0.8


@pytest.mark.parametrize("crowding", [0, 0.25, 1])
def test_crowding_is_the_share_of_the_accepted_in_one_spot(crowding):
    population = make_recourse_population(200, crowding=crowding, random_state=3)
    spread = make_recourse_population(200, random_state=3)
    accepted = population.X[population.y == "accepted"]
    others = ["age", "loans", "missed_payments", "education", "employed"]
    at_spot = accepted[others].eq([52, 1, 0, "college", True]).all(axis=1)
    at_spot &= accepted["income"].between(40, 41) & accepted["savings"].between(15, 15.5)
    assert at_spot.sum() == crowding * 80
    kept = population.X.index.difference(accepted.index[at_spot])
    pd.testing.assert_frame_equal(population.X.loc[kept], spread.X.loc[kept])
    pd.testing.assert_series_equal(population.X["region"], spread.X["region"])
    pd.testing.assert_series_equal(population.y, spread.y)


@pytest.mark.parametrize("n_samples", [2, 3, 10, 100, 257])
@pytest.mark.parametrize("crowding", [0.0, 1.0])
def test_all_kinds_of_people_occur(n_samples, crowding):
    for seed in range(3):
        population = make_recourse_population(n_samples, crowding=crowding, random_state=seed)
        assert len(population.X) == n_samples
        assert set(population.y) == {"rejected", "accepted"}
        assert population.infeasible.sum() == (np.ceil(n_samples / 20) if n_samples >= 10 else 0)
        assert (np.isfinite(population.optimal_cost) & (population.y == "rejected")).any()


def test_columns_are_mixed(population, space):
    kinds = {
        "age": "integer",
        "income": "continuous",
        "savings": "continuous",
        "loans": "integer",
        "missed_payments": "integer",
        "education": "ordinal",
        "region": "category",
        "employed": "category",
    }
    assert space.feature_kinds_ == kinds
    assert isinstance(population.feature_space, FeatureSpace)
    assert not hasattr(population.feature_space, "scale_")
    assert space.feasible(population.X, population.X).all()


def test_same_seed_same_bits(population):
    again = make_recourse_population(300, crowding=0.3, random_state=np.random.RandomState(0))
    pd.testing.assert_frame_equal(again.X, population.X, check_exact=True)
    pd.testing.assert_frame_equal(again.optimal_X, population.optimal_X, check_exact=True)
    pd.testing.assert_series_equal(again.y, population.y)
    assert again.optimal_cost.tobytes() == population.optimal_cost.tobytes()
    other = make_recourse_population(300, crowding=0.3, random_state=1)
    assert not other.X.equals(population.X)


@pytest.mark.parametrize("random_state", [0, None])
def test_global_generator_is_untouched(random_state):
    before = np.random.get_state()[1:3]  # noqa: NPY002
    make_recourse_population(20, random_state=random_state)
    after = np.random.get_state()[1:3]  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]


def test_no_seed_draws_new_people():
    first, second = make_recourse_population(20), make_recourse_population(20)
    assert not first.X.equals(second.X)


@pytest.mark.parametrize(
    "name, value",
    [
        ("n_samples", 1),
        ("n_samples", 10.5),
        ("crowding", -0.1),
        ("crowding", 1.1),
        ("crowding", "high"),
        ("random_state", "zero"),
    ],
)
def test_parameters_are_checked(name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of make_recourse_population"):
        make_recourse_population(**{"n_samples": 20, name: value})


def test_classifier_is_the_rule(population):
    classifier = population.classifier
    score = classifier.decision_function(population.X)
    np.testing.assert_array_equal(classifier.classes_, ["rejected", "accepted"])
    np.testing.assert_array_equal(classifier.classes_[(score >= 0).astype(int)], population.y)
    assert classifier.score(population.X, population.y) == 1


def test_classifier_scores_rows_by_themselves(population):
    score = population.classifier.decision_function(population.X)
    backwards = population.classifier.decision_function(population.X.iloc[::-1])
    np.testing.assert_array_equal(backwards[::-1], score)
    alone = [population.classifier.decision_function(population.X.iloc[[i]])[0] for i in range(50)]
    np.testing.assert_array_equal(alone, score[:50])


def test_classifier_pickles_and_clones(population):
    score = population.classifier.decision_function(population.X)
    pickled = pickle.loads(pickle.dumps(population.classifier))
    np.testing.assert_array_equal(pickled.decision_function(population.X), score)
    cloned = clone(population.classifier)
    with pytest.raises(NotFittedError):
        cloned.predict(population.X)
    cloned.fit(population.X, population.y)
    np.testing.assert_array_equal(cloned.decision_function(population.X), score)


def test_description_states_the_rule(population):
    thresholds = population.classifier.thresholds.items()
    assert ", ".join(f"{region}: {points}" for region, points in thresholds) in population.DESCR
    rule = {line.split()[0]: line for line in population.DESCR.splitlines() if line.strip()}
    for name, points in population.classifier.weights.items():
        assert f"{points:+g} points" in rule[name]
    assert set(population.X) <= set(rule)


def simple_rule():
    return LinearRule(
        {"a": 0.5, "level": 1.0}, levels={"level": ["low", "high"]}, group="g", thresholds={"x": 2}
    )


def test_rule_accepts_from_zero_on():
    X = pd.DataFrame({"a": [2.0, 3.75, 4.0], "level": ["high", "low", "low"], "g": "x"})
    rule = simple_rule().fit(X)
    np.testing.assert_array_equal(rule.decision_function(X), [0.0, -0.125, 0.0])
    assert rule.predict(X).tolist() == ["accepted", "rejected", "accepted"]


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"level": "middle"},
            r"level must hold \['low', 'high'\] and nothing else; got \['middle'",
        ),
        ({"g": "y"}, r"g must hold \['x'\] and nothing else; got \['y'\]"),
        ({"a": np.nan}, "contains NaN"),
    ],
)
def test_rule_refuses_what_it_cannot_score(changes, message):
    X = pd.DataFrame({"a": [2.0], "level": ["high"], "g": ["x"]})
    rule = simple_rule().fit(X)
    with pytest.raises(ValueError, match=message):
        rule.predict(X.assign(**changes))


def test_rule_needs_its_columns():
    X = pd.DataFrame({"a": [2.0], "level": ["high"], "g": ["x"]})
    with pytest.raises(ValueError, match=r"lacks \['level'\]"):
        simple_rule().fit(X.drop(columns="level"))
    with pytest.raises(ValueError, match="must be a DataFrame"):
        simple_rule().fit(X.to_numpy())
    with pytest.raises(ValueError, match="feature names"):
        simple_rule().fit(X).predict(X[["level", "a", "g"]])


def cheapest(X, threshold, savings, **constraints):
    """Least cost under a rule of one point for savings and one for a job."""
    space = FeatureSpace(permitted_range={"savings": savings}, **constraints).fit(X)
    rule = LinearRule(
        {"savings": 1.0, "job": 1.0}, levels={}, group="g", thresholds={"x": threshold}
    ).fit(X)
    discrete, continuous = {"job": np.array([0.0, 1.0])}, {"savings": savings[1]}
    cost, Z = cheapest_acceptance(X, rule, space, discrete, continuous)
    return cost, space.inverse_transform(Z, reference=X), space


def test_optimum_leaves_what_may_not_change():
    X = pd.DataFrame({"savings": [0.0, 2.0], "job": [False, True], "g": "x"})
    cost, rows, _ = cheapest(X, 4.0, (0, 4))
    np.testing.assert_allclose(cost, [2.0, 0.5])  # 4 savings, or 3 and a job; 1 more
    assert rows["job"].tolist() == [False, True]
    cost, _, _ = cheapest(X, 4.0, (0, 3))
    np.testing.assert_allclose(cost, [2.5, 0.5])  # a job is needed now
    cost, rows, _ = cheapest(X, 4.0, (0, 3), immutable_features=["job"])
    np.testing.assert_allclose(cost, [np.inf, 0.5])
    pd.testing.assert_frame_equal(rows.iloc[:1], X.iloc[:1])


def test_optimum_stays_in_the_range_where_sums_are_rounded_up():
    X = pd.DataFrame({"savings": [0.06, 0.29, 0.34], "job": [False, True, False], "g": "x"})
    assert (X["savings"] + (0.9 - X["savings"]) > 0.9).all()
    _, rows, space = cheapest(X, 1.9 - 1e-11, (0, 0.9))
    assert space.feasible(X, rows).all()
    assert (rows["savings"] == 0.9).all()
