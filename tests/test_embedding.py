"""How encoded rows enter the final model: sums over the features, or none at all."""

import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

import skcf._embedding
from skcf import FeatureSpace
from skcf._classifiers import read_classifier
from skcf._embedding import KeptValues, learn_embedding, split_classifier

TEXT = ["job", "sex", "owner"]
NUMBERS = ["age", "income", "hours"]


def parts_of(estimator, X, space=None):
    space = (FeatureSpace() if space is None else space).fit(X)
    table = space._tabulate(X)
    return read_classifier(estimator, space, table), space, table


def embedding_of(estimator, X, space=None):
    return learn_embedding(*parts_of(estimator, X, space))


def entered(steps, X):
    """Rows as the final model gets them."""
    for step in steps:
        X = step.transform(X)
    return np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=float)


def assert_reproduces(pipeline, X, rtol=1e-9):
    """The sum over the features is what the pipeline's own steps give."""
    reader, space, table = parts_of(pipeline, X)
    embedding = learn_embedding(reader, space, table)
    steps, final = split_classifier(reader)
    true = entered(steps, X)
    assert true.shape[1] == final.n_features_in_ == embedding.n_outputs
    x = embedding(space.transform(X))
    assert_allclose(x, true, rtol=rtol, atol=rtol * np.abs(true).max())
    Z, by_hand = space.transform(X), np.tile(embedding.intercept, (len(X), 1))
    for j, slope in enumerate(embedding.slope):
        if j in embedding.tables:
            assert_array_equal(slope, 0)
            by_hand += embedding.tables[j][Z[:, j].astype(int)]
        else:
            by_hand += Z[:, j, None] * slope
    assert_allclose(by_hand, true, rtol=rtol, atol=10 * rtol * np.abs(true).max())
    return embedding


ENCODERS = [
    OneHotEncoder(),
    OneHotEncoder(drop="first", sparse_output=False),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=40),
    OrdinalEncoder(),
    TargetEncoder(),
]
SCALERS = [
    StandardScaler(),
    MinMaxScaler(),
    RobustScaler(),
    MaxAbsScaler(),
    "passthrough",
    make_pipeline(SimpleImputer(), StandardScaler(), PCA(2)),
]


def named(estimators):
    return pytest.mark.parametrize(
        "step", estimators, ids=lambda e: e if isinstance(e, str) else type(e).__name__
    )


@named(ENCODERS)
def test_encoders_are_tables(step):
    X, y = mixed_population(200, missing=False)
    columns = make_column_transformer((step, TEXT), (StandardScaler(), NUMBERS))
    embedding = assert_reproduces(make_pipeline(columns, LogisticRegression()).fit(X, y), X)
    assert {j: len(table) for j, table in embedding.tables.items()} == {3: 4, 4: 2, 5: 2}


@named(SCALERS)
def test_scalers_are_lines(step):
    X, y = mixed_population(200, missing=False)
    columns = make_column_transformer((OneHotEncoder(), TEXT), (step, NUMBERS))
    assert_reproduces(make_pipeline(columns, LogisticRegression(max_iter=5000)).fit(X, y), X)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_chains_over_frames_that_steps_pass_on(output):
    X, y = mixed_population(200, missing=False)
    encoder = OneHotEncoder(sparse_output=False)
    columns = make_column_transformer((encoder, TEXT), (StandardScaler(), NUMBERS))
    pipeline = make_pipeline(columns, "passthrough", PCA(5), LogisticRegression())
    assert_reproduces(pipeline.set_output(transform=output).fit(X, y), X)


def test_columns_that_are_dropped_have_no_part():
    X, y = mixed_population(200, missing=False)
    columns = make_column_transformer((StandardScaler(), ["income"]), ("drop", ["age"]))
    embedding = assert_reproduces(make_pipeline(columns, LogisticRegression()).fit(X, y), X)
    assert_array_equal(np.flatnonzero(embedding.slope.any(axis=1)), [1])
    assert not any(table.any() for table in embedding.tables.values())


def test_polars_rows():
    polars = pytest.importorskip("polars")
    X, y = mixed_population(150, missing=False)
    X = polars.DataFrame({name: X[name].to_list() for name in X})
    columns = make_column_transformer((OneHotEncoder(), TEXT), (StandardScaler(), NUMBERS))
    assert_reproduces(make_pipeline(columns, LogisticRegression()).fit(X, y), X)


def test_bare_model_takes_rows_as_they_are():
    X, y = mixed_population(100, missing=False)
    X = X[NUMBERS].assign(hours=np.float64(4.0))  # a constant has a slope too
    embedding = assert_reproduces(LogisticRegression(max_iter=5000).fit(X, y), X)
    assert_allclose(embedding.slope, np.eye(3), rtol=1e-12)
    assert_allclose(embedding.intercept, 0, atol=1e-9)


def test_onehot_groups_are_written_out():
    X = pd.DataFrame(np.eye(3, dtype=int)[np.arange(60) % 3], columns=["a", "b", "c"])
    X.insert(1, "size", np.linspace(-1, 1, 60))
    space = FeatureSpace(onehot_groups=[["a", "b", "c"]])
    model = LogisticRegression().fit(X, np.arange(60) % 2)
    embedding = embedding_of(model, X, space)
    assert_allclose(embedding(space.transform(X)), X.to_numpy(float), atol=1e-12)
    assert embedding.slope.shape == (2, 4)
    assert [len(table) for table in embedding.tables.values()] == [3]


def test_narrow_floats_are_judged_by_their_own_precision():
    rng = np.random.default_rng(0)
    X = rng.normal(100, 1, (80, 4)).astype(np.float32)
    model = make_pipeline(StandardScaler(), PCA(3), LogisticRegression()).fit(X, X[:, 0] > 100)
    embedding = assert_reproduces(model, X, rtol=1e-4)
    assert embedding.eps == np.finfo(np.float32).eps


def test_large_offsets_do_not_hide_small_differences():
    X = 1e9 + np.random.default_rng(0).normal(size=(80, 2))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, X[:, 0] > 1e9)
    assert_allclose(
        embedding_of(model, X)(X), StandardScaler().fit_transform(X), rtol=1e-6, atol=1e-6
    )


# ---- what is no sum -------------------------------------------------------------------------


NOT_ADDITIVE = [
    MinMaxScaler(clip=True),
    KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf")
    if "quantile_method" in KBinsDiscretizer().get_params()
    else KBinsDiscretizer(3, encode="ordinal"),
    PolynomialFeatures(2, interaction_only=True),
    QuantileTransformer(n_quantiles=20),
    SplineTransformer(),
    Normalizer(),
    FunctionTransformer(np.tanh),
    FunctionTransformer(np.sqrt),
]


@named(NOT_ADDITIVE)
def test_other_preprocessing_has_no_embedding(step):
    X, y = mixed_population(200, missing=False)
    model = make_pipeline(step, StandardScaler(), LogisticRegression()).fit(X[NUMBERS], y)
    assert embedding_of(model, X[NUMBERS]) is None


def refusing(X):
    if np.min(X) < 0:
        raise KeyError("no negative numbers here")
    return X


def test_preprocessing_that_refuses_rows_has_no_embedding():
    X, y = mixed_population(100, missing=False)
    X = X[NUMBERS]
    step = FunctionTransformer(refusing)
    assert embedding_of(make_pipeline(step, LogisticRegression(max_iter=5000)).fit(X, y), X) is None


def test_tables_that_are_too_large_are_not_made(monkeypatch):
    X, y = mixed_population(100, missing=False)
    columns = make_column_transformer((OneHotEncoder(), TEXT), (StandardScaler(), NUMBERS))
    model = make_pipeline(columns, LogisticRegression()).fit(X, y)
    monkeypatch.setattr(skcf._embedding, "LARGEST_TABLES", 100)
    assert embedding_of(model, X) is None


# ---- missing and unseen values --------------------------------------------------------------


def imputing(imputer):
    text = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = make_column_transformer((text, ["job", "sex"]), (imputer, NUMBERS))
    return make_pipeline(columns, StandardScaler(with_mean=False), LogisticRegression())


def with_gaps_and_strangers(X):
    queries = X.copy()
    queries.loc[queries.index[3], "job"] = "astronaut"
    queries.loc[queries.index[4], ["job", "income"]] = ["diver", np.nan]
    queries.loc[queries.index[5], "job"] = "astronaut"
    return queries


@pytest.mark.parametrize("missing_in_fit", [True, False])
@pytest.mark.parametrize("indicator", [True, False])
def test_missing_and_unseen_values_enter_as_the_preprocessing_writes_them(
    missing_in_fit, indicator
):
    X, y = mixed_population(200, missing=missing_in_fit)
    imputer = SimpleImputer(add_indicator=indicator)
    model = imputing(imputer).fit(X, y)
    reader, space, table = parts_of(model, X)
    embedding = learn_embedding(reader, space, table)
    queries = with_gaps_and_strangers(mixed_population(60, seed=1, missing=missing_in_fit)[0])
    if indicator and not missing_in_fit:
        queries["income"] = queries["income"].fillna(1000.0)  # the indicator would refuse it
    origin = space._tabulate(queries)
    kept = KeptValues(embedding, reader, space, origin, space._encode(origin))
    assert kept.is_known.all()
    Z, rows = space.transform(queries), np.arange(len(queries))
    assert np.isnan(Z).any() or not missing_in_fit
    true = entered(split_classifier(reader)[0], queries)
    assert_allclose(embedding(Z, kept, rows), true, atol=1e-9)
    odd = embedding.is_odd(Z).any(axis=1)
    assert odd.sum() >= 3
    assert_array_equal(np.isnan(embedding(Z)).any(axis=1), odd)
    # what else changes is added as ever; proposed values take the place of those kept
    moved = Z.copy()
    moved[:, 0] += 7
    moved[5, 3] = 0
    moved[4, 1] = 2000.0
    true = entered(split_classifier(reader)[0], space.inverse_transform(moved, queries))
    assert_allclose(embedding(moved, kept, rows), true, atol=1e-9)
    assert_allclose(embedding(moved[::-1], kept, rows[::-1]), true[::-1], atol=1e-9)


def lengths(X):
    return X.apply(lambda column: column.str.len())


def test_each_unseen_category_enters_by_itself():
    X, y = mixed_population(100, missing=False)
    names = make_column_transformer((FunctionTransformer(lengths), ["job"]))
    model = make_pipeline(names, LogisticRegression()).fit(X, y)
    reader, space, table = parts_of(model, X)
    queries = X[:4].assign(job=["astronaut", "diver", "astronaut", "cook"])
    origin = space._tabulate(queries)
    kept = KeptValues(
        learn_embedding(reader, space, table), reader, space, origin, space._encode(origin)
    )
    assert kept.is_known.all()
    x = learn_embedding(reader, space, table)(space.transform(queries), kept, np.arange(4))
    assert_allclose(x[:, 0], [9, 5, 9, 4])


def test_rows_whose_imputer_looks_at_other_features_are_not_known():
    X, y = mixed_population(200)
    model = imputing(KNNImputer(n_neighbors=3)).fit(X, y)
    reader, space, table = parts_of(model, X)
    embedding = learn_embedding(reader, space, table)  # complete rows are a sum as ever
    kept = KeptValues(embedding, reader, space, table, space._encode(table))
    gaps = X["income"].isna().to_numpy()
    assert 0 < gaps.sum() < len(X)
    assert_array_equal(kept.is_known[~gaps], True)
    assert kept.is_known[gaps].mean() < 0.2
    assert_allclose(
        embedding(space.transform(X), kept, np.arange(len(X)))[kept.is_known],
        entered(split_classifier(reader)[0], X)[kept.is_known],
        atol=1e-7,
    )


def test_column_that_was_missing_throughout():
    X, y = mixed_population(120)
    X["income"] = np.nan
    X["sex"] = pd.Series(np.nan, index=X.index, dtype=object)
    columns = make_column_transformer(
        (OneHotEncoder(), ["job", "sex"]),
        (SimpleImputer(keep_empty_features=True), NUMBERS),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=5000)).fit(X, y)
    space = FeatureSpace(categorical_features=["sex"])
    reader, space, table = parts_of(model, X, space)
    embedding = learn_embedding(reader, space, table)
    kept = KeptValues(embedding, reader, space, table, space._encode(table))
    x = embedding(space.transform(X), kept, np.arange(len(X)))
    assert_allclose(x, entered(split_classifier(reader)[0], X), atol=1e-9)


def test_blocks_change_nothing(monkeypatch):
    X, y = mixed_population(100)
    model = imputing(SimpleImputer()).fit(X, y)
    at_once = embedding_of(model, X)
    monkeypatch.setattr(skcf._embedding, "BLOCK_ELEMENTS", 70)
    in_blocks = embedding_of(model, X)
    assert_array_equal(in_blocks.slope, at_once.slope)


# ---- splitting a classifier -----------------------------------------------------------------


def test_wrappers_are_taken_off():
    X, y = mixed_population(100, missing=False)
    X, y = X[NUMBERS], (y == "yes").astype(int)
    inner = make_pipeline(PCA(2), FixedThresholdClassifier(LogisticRegression(), threshold=0.3))
    search = GridSearchCV(make_pipeline(StandardScaler(), inner), {}, cv=2).fit(X, y)
    tuned = TunedThresholdClassifierCV(search, cv=2).fit(X, y)
    frozen = FrozenEstimator(make_pipeline(FrozenEstimator(tuned)))
    steps, final = split_classifier(parts_of(frozen, X)[0])
    assert [type(step) for step in steps] == [StandardScaler, PCA]
    assert type(final) is LogisticRegression
    assert_allclose(
        embedding_of(frozen, X)(X.to_numpy(float)), entered(steps, X), rtol=1e-9, atol=1e-9
    )


def test_function_is_its_own_final_model():
    X, _ = mixed_population(50, missing=False)
    assert split_classifier(parts_of(is_old, X)[0]) == ([], is_old)


def is_old(X):
    return X["age"].to_numpy() > 50


def test_embedding_pickles():
    X, y = mixed_population(100, missing=False)
    columns = make_column_transformer((OneHotEncoder(), TEXT), (StandardScaler(), NUMBERS))
    model = make_pipeline(columns, LogisticRegression()).fit(X, y)
    embedding = embedding_of(model, X)
    Z = FeatureSpace().fit(X).transform(X)
    assert_array_equal(pickle.loads(pickle.dumps(embedding))(Z), embedding(Z))
