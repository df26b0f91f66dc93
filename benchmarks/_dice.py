"""DiCE (`dice-ml`, no dependency of skcf), told of the same constraints; for the benchmarks."""

import contextlib
import io
import random
import signal
import time
import warnings

import numpy as np
import pandas as pd
from bench_nearest import text_columns

MISSING = "missing"


def dice_or_why_not():
    """None where DiCE can be imported, else the error."""
    try:
        import dice_ml  # noqa: F401
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


class AsDiceAsks:
    """A model that is asked in the types that DiCE makes of the columns.

    Parameters
    ----------
    model : object
        Fitted classifier.
    dtypes : Series
        Types of the columns.
    target : object
        Favourable class; the second of two for DiCE.

    Attributes
    ----------
    seconds : float
        CPU seconds spent on the types: no time of DiCE's, nor of the model's.
    n_rows : int
        Number of rows that the model was asked for.
    """

    def __init__(self, model, dtypes, target):
        self.model, self.dtypes, self.target = model, dtypes, target
        self.seconds, self.n_rows = 0.0, 0

    def rows(self, X):
        """Rows as the model knows them."""
        start, typed = time.process_time(), {}
        for name, dtype in self.dtypes.items():
            if dtype.kind in "iu":
                typed[name] = pd.to_numeric(X[name]).round().astype(dtype)
            elif dtype.kind == "f":
                typed[name] = pd.to_numeric(X[name]).astype(dtype)
            else:
                text = X[name].astype(object)
                typed[name] = text.where(text != MISSING, np.nan).astype(dtype)
        rows = pd.DataFrame(typed, index=X.index)
        self.seconds += time.process_time() - start
        return rows

    def predict_proba(self, X):
        """Probability of each class; of labels alone, 0 and 1."""
        rows = self.rows(X)
        self.n_rows += len(rows)
        if hasattr(self.model, "predict_proba"):
            column = list(self.model.classes_).index(self.target)
            accepted = self.model.predict_proba(rows)[:, column]
        else:
            accepted = (self.model.predict(rows) == self.target).astype(float)
        return np.column_stack([1 - accepted, accepted])

    def predict(self, X):
        """0 and 1."""
        return self.predict_proba(X)[:, 1] > 0.5


class Dice:
    """One of DiCE's methods for one model, told of the constraints as far as it can be.

    Parameters
    ----------
    method : {"random", "genetic"}
        As DiCE calls it.
    model : object
        Fitted classifier.
    X : DataFrame
        Rows that DiCE learns the columns from.
    y : array-like
        What the model predicts on them.
    space : FeatureSpace
        What may change.
    target : object
        Favourable class.
    """

    def __init__(self, method, model, X, y, space, target):
        import dice_ml

        self.space, self.asked = space, AsDiceAsks(model, X.dtypes, target)
        self.text = text_columns(X)
        self.known = self._filled(X)
        self.known["accepted"] = (y == target).astype(int)
        data = dice_ml.Data(
            dataframe=self.known,
            continuous_features=[name for name in X if name not in self.text],
            outcome_name="accepted",
        )
        dice_model = dice_ml.Model(model=self.asked, backend="sklearn")
        self.dice = dice_ml.Dice(data, dice_model, method=method)

    def _filled(self, X):
        """Missing text as a category of its own."""
        X = X.copy()
        X[self.text] = X[self.text].astype(object).fillna(MISSING)
        return X

    def explain(self, X, failures=None, limit=0):
        """One counterfactual of each row, one after the other.

        Parameters
        ----------
        X : DataFrame
            Rows.
        failures : exception class or tuple of them, default=None
            What means that there is none for a row; None: what DiCE raises to say so.
        limit : float, default=0
            CPU seconds after which a row is given up, with a TimeoutError; 0: never. DiCE's
            genetic method draws rows until enough are valid, however long that takes.

        Returns
        -------
        X_cf : DataFrame
            Rows in the types of X; a row without a counterfactual as it was.
        told : list
            For each row None, or the name of the failure.
        """
        if failures is None:
            from raiutils.exceptions import UserConfigValidationException

            failures = UserConfigValidationException
        queries, told = self._filled(X), []
        X_cf = queries.copy().astype(object)
        for i in range(len(X)):
            try:
                with cpu_limit(limit):
                    X_cf.iloc[i] = self._explain_one(queries[i : i + 1], seed=i)
                told.append(None)
            except failures as failure:
                told.append(type(failure).__name__)
        return self.asked.rows(X_cf), told

    def _explain_one(self, row, seed):
        """One counterfactual of one row; an exception if there is none."""
        from raiutils.exceptions import UserConfigValidationException

        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 DiCE draws from the global generators
        immutable = list(self.space.immutable_features or [])
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            found = self.dice.generate_counterfactuals(
                row,
                total_CFs=1,
                desired_class=1,
                features_to_vary=[name for name in row if name not in immutable],
                permitted_range=allowed_ranges(row, self.known, self.space, immutable),
                posthoc_sparsity_algorithm="binary",  # "linear" takes minutes for amounts
            )
        frame = found.cf_examples_list[0].final_cfs_df_sparse
        if frame is None or not len(frame):
            raise UserConfigValidationException("no row came")
        return frame[list(row)].iloc[0].to_numpy()


@contextlib.contextmanager
def cpu_limit(seconds):
    """Raise a TimeoutError after some CPU time; 0: never."""

    def stop(number, frame):
        raise TimeoutError(f"over {seconds:g} CPU s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def allowed_ranges(row, known, space, immutable):
    """What DiCE may propose for a row: no missing value, nothing against a rule."""
    ranges, ordinal = {}, space.ordinal_features or {}
    permitted, direction = space.permitted_range or {}, space.change_direction or {}
    for name in text_columns(row.drop(columns=immutable)):
        levels = [str(level) for level in known[name].unique() if level != MISSING]
        if name in permitted:
            levels = [level for level in levels if level in permitted[name]]
        if name in ordinal and name in direction:
            rank, here = list(ordinal[name]).index, row[name].iloc[0]
            levels = [
                level for level in levels if (rank(level) - rank(here)) * direction[name] >= 0
            ]
        ranges[name] = levels
    for name in [name for name in row if name in permitted or name in direction]:
        if name not in ranges and name not in immutable:
            low, high = permitted.get(name, (known[name].min(), known[name].max()))
            value = row[name].iloc[0]
            if name in direction:
                low, high = (value, high) if direction[name] > 0 else (low, value)
            ranges[name] = [min(low, value), max(high, value)]
    return ranges
