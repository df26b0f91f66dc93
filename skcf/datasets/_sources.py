"""What the public tables are: where each lies, what it holds, and what may change in it."""

from dataclasses import dataclass, field

__all__ = ["NUMBER", "SOURCES", "TEXT", "WHOLE", "WHOLE_OR_MISSING", "Source"]

TEXT, WHOLE, WHOLE_OR_MISSING, NUMBER = "text", "whole", "whole or missing", "number"
"""What a column holds."""


@dataclass(frozen=True)
class Source:
    """Where a table lies, and what is in it.

    Parameters
    ----------
    file : str
        Name of the local file.
    columns : dict of {str: str}
        The features, in order, and what they hold.
    target : str
        Name of the target.
    labels : tuple of str or int
        Values of the target.
    openml : tuple of (str, int), default=None
        Name and version on OpenML. None: it is not there, but at `url`.
    url : str, default=None
        Where it is published as a CSV file.
    n_rows : int, default=None
        Rows of that file, which has no version that would vouch for them.
    renamed : dict of {str: str}
        OpenML's names of the columns that are called otherwise there.
    codes : dict of {str: dict of {int: str}}
        For columns that OpenML has as numbers: what the numbers stand for.
    space : dict
        Parameters of the feature space.
    """

    file: str
    columns: dict
    target: str
    labels: tuple
    openml: tuple | None = None
    url: str | None = None
    n_rows: int | None = None
    renamed: dict = field(default_factory=dict)
    codes: dict = field(default_factory=dict)
    space: dict = field(default_factory=dict)

    @property
    def target_kind(self):
        """What the target holds."""
        return TEXT if isinstance(self.labels[0], str) else WHOLE


MODELDATA = "https://vincentarelbundock.github.io/Rdatasets/csv/modeldata"
"""The data of R's package modeldata, as CSV files."""

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
            "linked_features": [["education", "education_num"]],
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
    "credit_default": Source(
        file="credit_default.csv.gz",
        openml=("default-of-credit-card-clients", 1),
        columns={
            "LIMIT_BAL": WHOLE,
            "SEX": TEXT,
            "EDUCATION": TEXT,
            "MARRIAGE": TEXT,
            "AGE": WHOLE,
            **{f"PAY_{month}": WHOLE for month in (0, 2, 3, 4, 5, 6)},
            **{f"BILL_AMT{month}": WHOLE for month in range(1, 7)},
            **{f"PAY_AMT{month}": WHOLE for month in range(1, 7)},
        },
        target="default_next_month",
        labels=(0, 1),
        renamed={
            "LIMIT_BAL": "x1",
            "SEX": "x2",
            "EDUCATION": "x3",
            "MARRIAGE": "x4",
            "AGE": "x5",
            **{f"PAY_{month}": f"x{6 + k}" for k, month in enumerate((0, 2, 3, 4, 5, 6))},
            **{f"BILL_AMT{month}": f"x{11 + month}" for month in range(1, 7)},
            **{f"PAY_AMT{month}": f"x{17 + month}" for month in range(1, 7)},
            "default_next_month": "y",
        },
        codes={
            "SEX": {1: "male", 2: "female"},
            "EDUCATION": {1: "graduate", 2: "university", 3: "high_school"}
            | dict.fromkeys((0, 4, 5, 6), "other"),
            "MARRIAGE": {1: "married", 2: "single"} | dict.fromkeys((0, 3), "other"),
        },
        space={
            "immutable_features": ["SEX", "MARRIAGE"],
            "change_direction": {"AGE": +1},
        },
    ),
    "lending_club": Source(
        file="lending_club.csv.gz",
        url=f"{MODELDATA}/lending_club.csv",
        n_rows=9857,
        columns={
            "funded_amnt": WHOLE,
            "term": TEXT,
            "int_rate": NUMBER,
            "sub_grade": TEXT,
            "addr_state": TEXT,
            "verification_status": TEXT,
            "annual_inc": NUMBER,
            "emp_length": TEXT,
            "delinq_2yrs": WHOLE,
            "inq_last_6mths": WHOLE,
            "revol_util": NUMBER,
            "acc_now_delinq": WHOLE,
            "open_il_6m": WHOLE,
            "open_il_12m": WHOLE,
            "open_il_24m": WHOLE,
            "total_bal_il": WHOLE,
            "all_util": WHOLE,
            "inq_fi": WHOLE,
            "inq_last_12m": WHOLE,
            "delinq_amnt": WHOLE,
            "num_il_tl": WHOLE,
            "total_il_high_credit_limit": WHOLE,
        },
        target="Class",
        labels=("bad", "good"),
        space={
            "immutable_features": ["addr_state"],
            "ordinal_features": {
                "term": ["term_36", "term_60"],
                "sub_grade": [f"{grade}{step}" for grade in "ABCDEFG" for step in range(1, 6)],
            },
        },
    ),
    "credit_data": Source(
        file="credit_data.csv.gz",
        url=f"{MODELDATA}/credit_data.csv",
        n_rows=4454,
        columns={
            "Seniority": WHOLE,
            "Home": TEXT,
            "Time": WHOLE,
            "Age": WHOLE,
            "Marital": TEXT,
            "Records": TEXT,
            "Job": TEXT,
            "Expenses": WHOLE,
            "Income": WHOLE_OR_MISSING,
            "Assets": WHOLE_OR_MISSING,
            "Debt": WHOLE_OR_MISSING,
            "Amount": WHOLE,
            "Price": WHOLE,
        },
        target="Status",
        labels=("bad", "good"),
        space={
            "integer_features": ["Income", "Assets", "Debt"],
            "change_direction": {"Age": +1, "Seniority": +1},
        },
    ),
}
