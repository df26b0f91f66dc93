"""A result as an HTML table: what a notebook shows of it.

Styles stand in the elements themselves, since notebooks may drop style sheets. They name no
colour of the text and none of the page, so that they serve on light and on dark pages.
"""

from html import escape

import numpy as np

from skcf._values import differing, objects_of, shortened, text_of, texts_of_change
from skcf.space._containers import Table

__all__ = ["result_as_html"]

N_ROWS, N_COLUMNS = 10, 12
"""Rows and columns of the data that are shown at most."""

LENGTH = 40
"""Characters of a text that are shown at most."""

NOTHING = "–"
"""What stands where a number is missing."""

CELL = "padding:.25em .6em;text-align:right"
CHANGED = f"{CELL};background:rgba(0,114,178,.18);box-shadow:inset 3px 0 rgb(0,114,178)"
"""A blue that colour-blind people tell from grey; a bar, an arrow and bold type say the same."""

HEAD = f"{CELL};vertical-align:bottom"
TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
CAPTION = "caption-side:top;text-align:left;font-weight:bold;padding:.25em 0;color:inherit"
BEFORE, AFTER = "text-decoration:none;opacity:.7", "text-decoration:none;font-weight:bold"


def result_as_html(result):
    """Write a result as a table of before and after.

    Parameters
    ----------
    result : CounterfactualResult
        Its ``_measures`` are shown too.

    Returns
    -------
    str
        Whatever comes from the data is escaped.
    """
    rows = _shown_rows(result.status)
    before, after = (Table.of(X).take(rows) for X in (result.X, result.X_cf))
    changed = differing(before, after) & (result.status[rows] == "found")[:, None]
    columns = _shown_columns(changed)
    facts = _facts(result, rows)
    cells = _cells(before, after, changed, columns)
    body = [
        _row(_label(result, before, k, row), [fact[k] for fact in facts.values()], cells[k])
        for k, row in enumerate(rows)
    ]
    head = _head([_index_name(before), *facts, *(_column_name(before, j) for j in columns)])
    caption = f'<caption style="{CAPTION}">{escape(_summary(result))}</caption>'
    table = f'<table style="{TABLE}">{caption}{head}<tbody>{"".join(body)}</tbody></table>'
    notes = _notes(len(result.status), len(columns), changed)
    return f'<div class="skcf-result" style="overflow-x:auto">{table}{notes}</div>'


def _shown_rows(status):
    """Positions of the rows that are shown, those that needed a counterfactual first."""
    order = np.argsort(status == "already_target", kind="stable")
    return np.sort(order[:N_ROWS])


def _shown_columns(changed):
    """Positions of the columns that change, the ones that change in most rows."""
    count = changed.sum(axis=0)
    most = np.argsort(-count, kind="stable")[:N_COLUMNS]
    return np.sort(most[count[most] > 0])


def _facts(result, rows):
    """What is said of each row beside its values, as {heading: texts}."""
    facts = {"rank": [str(result.rank[i]) for i in rows]} if np.any(result.rank) else {}
    facts["prediction"] = [_prediction(result, i) for i in rows]
    facts["status"] = [str(result.status[i]) for i in rows]
    for name, values in result._measures().items():
        facts[name] = [_measure(values[i]) for i in rows]
    return facts


def _prediction(result, i):
    """The class of a row, and the one that its counterfactual is predicted as."""
    y, y_cf = (shortened(label[i], LENGTH) for label in (result.y, result.y_cf))
    return f"{y} → {y_cf}" if result.status[i] == "found" else y


def _measure(value):
    return NOTHING if np.isnan(value) else text_of(value.item(), 3)


def _cells(before, after, changed, columns):
    """The values of each row: its own, or before and after where it changes."""
    values, values_cf = objects_of(before), objects_of(after)
    return [
        [
            _changed_cell(values[j][k], values_cf[j][k])
            if changed[k, j]
            else _cell(shortened(text_of(values[j][k]), LENGTH))
            for j in columns
        ]
        for k in range(before.n_rows)
    ]


def _cell(text):
    return f'<td style="{CELL}">{escape(text)}</td>'


def _changed_cell(old, new):
    old, new = (escape(shortened(text, LENGTH)) for text in texts_of_change(old, new))
    return (
        f'<td style="{CHANGED}"><del style="{BEFORE}">{old}</del> → '
        f'<ins style="{AFTER}">{new}</ins></td>'
    )


def _row(label, facts, cells):
    head = f'<th scope="row" style="{HEAD}">{escape(label)}</th>'
    return f"<tr>{head}{''.join(_cell(fact) for fact in facts)}{''.join(cells)}</tr>"


def _head(names):
    cells = [f'<th scope="col" style="{HEAD}">{escape(name)}</th>' for name in names]
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def _label(result, table, k, row):
    """What a row is called: by its index, or by its position among those explained."""
    return _name(result.row[row] if table.index is None else table.index[k])


def _column_name(table, j):
    return f"x{j}" if table.names is None else _name(table.names[j])


def _index_name(table):
    name = getattr(table.index, "name", None)
    return "row" if name is None else _name(name)


def _name(label):
    """A label of an index as text; those of several levels are tuples."""
    return shortened(", ".join(map(str, label)) if isinstance(label, tuple) else label, LENGTH)


def _summary(result):
    """One line: how many rows, what became of them, and what the changes cost."""
    text = repr(result).strip("<>")
    summary = result.summary()
    if np.isnan(summary["mean_cost"]):
        return text
    return (
        f"{text}; mean cost {text_of(summary['mean_cost'], 3)}, "
        f"{text_of(summary['mean_n_changes'], 3)} changes a row"
    )


def _notes(n_rows, n_columns, changed):
    """What is not shown."""
    n_shown, n_changing = len(changed), int(changed.any(axis=0).sum())
    n_more, n_same = n_changing - n_columns, changed.shape[1] - n_changing
    notes = []
    if n_shown < n_rows:
        notes.append(f"{n_shown} of {n_rows} rows, those in need of a counterfactual first.")
    if n_more:
        notes.append(f"{_columns_change(n_more, 'more ')} in these rows.")
    if n_same:
        notes.append(f"{_columns_change(n_same)} in none of these rows.")
    style = "font-size:smaller;opacity:.8;margin:.25em 0"
    return f'<p style="{style}">{" ".join(notes)}</p>' if notes else ""


def _columns_change(n, more=""):
    return f"{n} {more}column{' changes' if n == 1 else 's change'}"
