"""What a notebook shows of a result: a table that says what changes, whatever the data hold."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from skcf import CCEExplainer, NearestExplainer
from skcf._result import CounterfactualResult
from skcf._values import shortened
from skcf.collective._result import CollectiveResult

VOID = {"br", "img", "input", "hr", "meta", "link"}


@dataclass
class Cell:
    """A cell of a table: its text, and what is struck out and put in."""

    tag: str
    attributes: dict
    text: str = ""
    parts: dict = field(default_factory=dict)


class Page(HTMLParser):
    """Reads a table back, and refuses what is not closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.rows, self.caption, self.note = [], set(), [], "", ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        assert tag not in VOID
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append(Cell(tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            cell = self.rows[-1][-1]
            cell.text += data
            if self.open[-1] in ("del", "ins"):
                cell.parts[self.open[-1]] = data
        elif "caption" in self.open:
            self.caption += data
        else:
            assert self.open[-1] == "p"
            self.note += data

    @property
    def head(self):
        return [cell.text for cell in self.rows[0]]

    def texts(self, name):
        """Texts of the column of a name."""
        return [row[self.head.index(name)].text for row in self.rows[1:]]

    def changes(self, name):
        """(before, after) of the changed cells of a column, None of the others."""
        cells = [row[self.head.index(name)] for row in self.rows[1:]]
        return [(c.parts["del"], c.parts["ins"]) if c.parts else None for c in cells]


def result_of(X, X_cf, status=None, cls=CounterfactualResult, **fields):
    n = len(X)
    status = np.array(["found"] * n if status is None else status, dtype="<U14")
    found = status == "found"
    defaults = {
        "y": np.repeat("no", n),
        "y_cf": np.where(found, "yes", "no"),
        "cost": np.where(found, 0.12345, np.nan),
        "n_changes": found.astype(int),
        "n_queries": np.ones(n, int),
    }
    return cls(X=X, X_cf=X_cf, status=status, **{**defaults, **fields})


def page_of(*args, **kwargs):
    return Page(result_of(*args, **kwargs)._repr_html_())


X = pd.DataFrame(
    {"age": [30, 40, 50], "pay": [1.5, 2.5, 3.5], "job": ["cook", "nurse", "pilot"]},
    index=["Ann", "Bob", "Cem"],
)
X_CF = X.assign(age=[31, 40, 50], job=["nurse", "nurse", "cook"])


def test_table_says_what_changes_and_marks_it():
    page = page_of(X, X_CF)
    assert page.head == ["row", "prediction", "status", "cost", "changes", "age", "job"]
    assert page.texts("row") == ["Ann", "Bob", "Cem"]
    assert page.texts("prediction") == ["no → yes"] * 3
    assert page.texts("cost") == ["0.123"] * 3
    assert page.texts("age") == ["30 → 31", "40", "50"]
    assert page.changes("age") == [("30", "31"), None, None]
    assert page.changes("job") == [("cook", "nurse"), None, ("pilot", "cook")]


def test_heads_say_what_they_are_heads_of():
    page = page_of(X, X_CF)
    assert all(cell.attributes["scope"] == "col" for cell in page.rows[0])
    for first, *others in page.rows[1:]:
        assert first.tag == "th"
        assert first.attributes["scope"] == "row"
        assert all(cell.tag == "td" for cell in others)
    marked = {bool(c.parts): c.attributes["style"] for row in page.rows[1:] for c in row[1:]}
    assert marked[True] != marked[False]


def test_styles_leave_the_colours_of_text_and_page_alone():
    page = page_of(X, X_CF)
    assert "style" not in page.tags
    styles = [cell.attributes["style"] for row in page.rows for cell in row]
    words = ";".join(styles).replace("background:rgba(0,114,178,.18)", "").split(";")
    assert not [word for word in words if word.startswith(("color:", "background"))]


def test_summary_stands_on_top():
    status = ["found", "already_target", "not_found"]
    assert page_of(X, X_CF, status).caption == (
        "CounterfactualResult of 3 rows: 1 already_target, 1 found, 1 not_found; "
        "mean cost 0.123, 1 changes a row"
    )
    assert page_of(X, X_CF, ["infeasible"] * 3).caption == (
        "CounterfactualResult of 3 rows: 3 infeasible"
    )


@pytest.mark.parametrize("status", ["already_target", "not_found", "infeasible", "no_group"])
def test_rows_without_a_counterfactual_show_their_own_values(status):
    page = page_of(X, X_CF, ["found", "found", status])
    assert page.texts("status")[2] == status
    assert page.texts("prediction")[2] == "no"
    assert page.texts("cost")[2] == "–"
    assert page.texts("job") == ["cook → nurse", "nurse", "pilot"]
    assert page.changes("job")[2] is None


def test_columns_that_do_not_change_are_left_out_and_counted():
    assert page_of(X, X_CF).note == "1 column changes in none of these rows."
    page = page_of(X, X.copy())
    assert page.head == ["row", "prediction", "status", "cost", "changes"]
    assert page.note == "3 columns change in none of these rows."
    assert page_of(X, X.assign(age=1, pay=1.0, job="x")).note == ""


@pytest.mark.parametrize("n_rows", [10, 11, 300])
def test_ten_rows_are_shown_at_most(n_rows):
    frame = pd.DataFrame({"a": np.arange(n_rows)})
    page = page_of(frame, frame + 1)
    assert page.texts("row") == [str(i) for i in range(10)]
    note = f"10 of {n_rows} rows, those in need of a counterfactual first."
    assert page.note == (note if n_rows > 10 else "")


def test_rows_that_need_a_counterfactual_are_shown_first_of_all():
    frame = pd.DataFrame({"a": np.arange(30)})
    status = np.array(["already_target", "found", "infeasible"])[np.arange(30) // 10]
    status[[0, 25]] = "found", "already_target"
    assert page_of(frame, frame + 1, status).texts("row") == [str(i) for i in (0, *range(10, 19))]
    status[:] = "already_target"
    status[28] = "found"
    assert page_of(frame, frame + 1, status).texts("row") == [str(i) for i in (*range(9), 28)]


def test_of_many_columns_those_are_shown_that_change_most_often():
    wide = np.zeros((5, 100))
    changed = np.triu(np.ones((5, 100)), 50)
    changed[:, 7] = 1
    page = page_of(wide, wide + changed)
    assert page.head[5:] == ["x7", *(f"x{j}" for j in range(54, 65))]
    assert (
        page.note
        == "39 more columns change in these rows. 49 columns change in none of these rows."
    )


def test_arrays_are_shown_by_position():
    before = np.array([[1, 2], [3, 4]])
    page = page_of(before, before + [[0, 1], [0, 0]])
    assert page.head[0] == "row"
    assert page.texts("row") == ["0", "1"]
    assert page.texts("x1") == ["2 → 3", "4"]


def test_whole_numbers_stay_whole_and_missing_values_are_named():
    before = pd.DataFrame(
        {
            "a": pd.array([1, None, 3], dtype="Int64"),
            "b": [np.nan, 2.0, 123456.75],
            "c": np.array([3_000_000_000, 2, 1]),
            "d": pd.Categorical([None, "x", "y"]),
        }
    )
    after = before.assign(
        a=pd.array([2, 4, 3], dtype="Int64"), b=[1.0, np.nan, 2.0], c=[5, 2, 1], d=["x", "y", "y"]
    )
    page = page_of(before, after)
    assert page.texts("a") == ["1 → 2", "missing → 4", "3"]
    assert page.texts("b") == ["missing → 1", "2 → missing", "123457 → 2"]
    assert page.texts("c") == ["3000000000 → 5", "2", "1"]
    assert page.texts("d") == ["missing → x", "x → y", "y"]


def test_numbers_have_as_many_digits_as_tell_them_apart():
    before = np.array([[0.123456], [1.0]])
    page = page_of(before, np.array([[0.123457], [1.0]]))
    assert page.texts("x0") == ["0.123456 → 0.123457", "1"]


def test_polars_frames_are_shown():
    pl = pytest.importorskip("polars")
    before = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    page = page_of(before, pl.DataFrame({"a": [1, 3], "b": ["x", "y"]}))
    assert page.texts("row") == ["0", "1"]
    assert page.texts("a") == ["1", "2 → 3"]
    assert page.texts("b") == ["x", "missing → y"]


def test_index_and_columns_may_be_called_anything():
    frame = X.set_index(pd.MultiIndex.from_tuples([("p", 1), ("p", 2), ("q", 1)]))
    assert page_of(frame, X_CF.set_index(frame.index)).texts("row") == [
        "p, 1",
        "p, 2",
        "q, 1",
    ]
    named = X.rename_axis("person")
    assert page_of(named, X_CF).head[0] == "person"
    numbered = X.set_axis(pd.Index([0, 2.5, ("job", 1)], tupleize_cols=False), axis=1)
    assert page_of(numbered, X_CF.set_axis(numbered.columns, axis=1)).head[5:] == [
        "0",
        "job, 1",
    ]


@pytest.mark.parametrize("kind", ["pandas", "numpy"])
def test_several_counterfactuals_of_a_row_have_ranks(kind):
    frame = X.iloc[[0, 0, 1, 1], :2]
    after = frame + np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    rows = np.array([0, 0, 1, 1])
    pair = (frame, after) if kind == "pandas" else (frame.to_numpy(), after.to_numpy())
    page = page_of(*pair, row=rows, rank=np.array([0, 1, 0, 1]))
    assert page.head[:2] == ["row", "rank"]
    assert page.texts("rank") == ["0", "1", "0", "1"]
    labels = ["Ann", "Ann", "Bob", "Bob"] if kind == "pandas" else ["0", "0", "1", "1"]
    assert page.texts("row") == labels


def test_collective_results_show_effort_and_price():
    effort, price = np.array([0.5, np.nan, 1.0]), np.array([-0.25, np.nan, np.nan])
    page = page_of(X, X_CF, cls=CollectiveResult, effort=effort, price=price)
    assert page.head[3:7] == ["cost", "changes", "effort", "price"]
    assert page.texts("effort") == ["0.5", "–", "1"]
    assert page.texts("price") == ["-0.25", "–", "–"]
    assert page.caption.startswith("CollectiveResult of 3 rows")


def test_explainers_results_are_shown():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.normal(size=60), "b": rng.integers(0, 9, 60)})
    model = LogisticRegression().fit(rows, rows["a"] > 0)
    rejected = rows[~model.predict(rows)].head(10)
    result = NearestExplainer(model).fit(rows).explain(rejected)
    page = Page(result._repr_html_())
    changes = result.changes()
    for name, of_column in changes.groupby("feature"):
        shown = {i: c for i, c in zip(rejected.index, page.changes(name), strict=True) if c}
        assert list(shown) == of_column["row"].tolist()
    several = CCEExplainer(model, random_state=0).fit(rows).explain(rejected, n_counterfactuals=2)
    page = Page(several._repr_html_())
    assert page.head[1:7] == ["rank", "prediction", "status", "cost", "changes", "effort"]
    assert page.texts("row") == [str(i) for i in np.repeat(rejected.index[:5], 2)]


MARKUP = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(
            ["<", ">", "&", "'", '"', "</td>", "<script>", "&lt;", "&#60;", "<!--", "]]>", "a", " "]
        ),
        max_size=8,
    ).map("".join),
)


@settings(deadline=None, max_examples=60)
@given(before=MARKUP, after=MARKUP, name=MARKUP, label=MARKUP, y=MARKUP)
def test_nothing_in_the_data_is_read_as_markup(before, after, name, label, y):
    frame = pd.DataFrame({name: [before, "fixed"]}, index=pd.Index([label, "z"], name=name))
    classes = np.array([y, y], dtype=object)
    page = page_of(frame, frame.assign(**{name: [after, "moved"]}), y=classes, y_cf=classes)
    allowed = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "del", "ins", "p"}
    assert page.tags <= allowed
    assert page.head[0] == page.head[-1] == shortened(name, 40)
    first = page.rows[1]
    assert first[0].text == shortened(label, 40)
    assert first[1].text == f"{shortened(y, 40)} → {shortened(y, 40)}"
    texts = shortened(before, 40), shortened(after, 40)
    expected = " → ".join(texts) if before != after else texts[0]
    assert first[-1].text == expected


def test_long_text_is_shortened():
    before = pd.DataFrame({"a" * 100: ["b" * 100]})
    page = page_of(before, before + "c")
    assert len(page.head[-1]) == 40
    old, new = page.changes(page.head[-1])[0]
    assert len(old) == len(new) == 40
    assert new.endswith("bc")


def test_a_table_is_no_longer_than_it_has_to_be():
    """A result of many rows and columns makes a page of some kilobytes."""
    wide = np.zeros((2000, 200))
    assert len(result_of(wide, wide + 1)._repr_html_()) < 50_000


def test_rows_are_not_written_to():
    before, after = X.copy(), X_CF.copy()
    result_of(before, after)._repr_html_()
    pd.testing.assert_frame_equal(before, X)
    pd.testing.assert_frame_equal(after, X_CF)
