"""Adult with 12 columns and a network of given weights, as paper 5's section 4.4 has it."""

import numpy as np
from _cancer_net import ADAM, as_perceptrons, train_classifier
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

from skcf.datasets import fetch_adult

N_TRAIN = 32561  # the split that UCI gives
NUMBERS = ["age", "capital_gain", "capital_loss", "hours_per_week"]
EPOCHS = 30


class Adult:
    """Complete rows, a network of 60 and 60 rectifiers, and both ways to write a row.

    As in alibi's documented example, categories are one-hot and numbers are scaled to -1 to 1.
    The years of education, which say what education says, are left out.

    Parameters
    ----------
    seed : int
        Of the network.

    Attributes
    ----------
    X_train, X_test : DataFrame
        Raw rows.
    layers : list of tuple of ndarray
        Of the network, on encoded rows.
    model : Pipeline
        Of the encoding and the network, on raw rows.
    n_categories : list of int
        Of each category, in the order of the encoded columns, numbers last.
    """

    def __init__(self, seed):
        X, y, self.space = fetch_adult()
        X = X.drop(columns="education_num")
        complete = X.notna().all(axis=1)
        first = np.arange(len(X)) < N_TRAIN
        self.X_train, self.X_test = X[complete & first], X[complete & ~first]
        self.y_train = np.asarray(y)[complete & first]
        self.text = [name for name in X if name not in NUMBERS]
        onehot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
        columns = make_column_transformer((onehot, self.text), (MinMaxScaler((-1, 1)), NUMBERS))
        self.columns = columns.fit(self.X_train)
        known = columns.named_transformers_["onehotencoder"].categories_
        self.n_categories = [len(levels) for levels in known]
        self.layers = train_classifier(
            self.encode(self.X_train),
            (self.y_train == ">50K").astype(int),
            seed,
            widths=(60, 60),
            epochs=EPOCHS,
            optimizer=ADAM,
        )
        self.net = as_perceptrons(self.layers)
        self.model = make_pipeline(self.columns, self.net)

    def encode(self, X):
        """Rows as alibi takes them."""
        return self.columns.transform(X)

    def decode(self, Z, like):
        """Encoded rows as raw ones: the likeliest category, and numbers not rounded.

        Parameters
        ----------
        Z : ndarray
            Encoded rows; NaN where there is none.
        like : DataFrame
            Rows that they came from: what differs by alibi's single precision is as it was.
        """
        X = like.astype(dict.fromkeys(NUMBERS, float))
        have = np.isfinite(Z).all(axis=1)
        onehot, scaler = (self.columns.transformers_[i][1] for i in range(2))
        moved = ~np.isclose(Z[:, -len(NUMBERS) :], self.encode(like)[:, -len(NUMBERS) :], atol=1e-6)
        numbers = scaler.inverse_transform(np.nan_to_num(Z[:, -len(NUMBERS) :]))
        X[NUMBERS] = np.where(moved & have[:, None], numbers, X[NUMBERS])
        ends = np.cumsum(self.n_categories)
        blocks = np.split(Z[:, : ends[-1]], ends[:-1], axis=1)
        for name, levels, block in zip(self.text, onehot.categories_, blocks, strict=True):
            X[name] = np.where(have, levels[np.argmax(block, axis=1)], X[name])
        return X

    def cat_vars(self):
        """First column and number of categories of each, as alibi asks for one-hot ones."""
        firsts = np.cumsum([0, *self.n_categories[:-1]]).tolist()
        return dict(zip(firsts, self.n_categories, strict=True))

    def onehot_groups(self):
        """Positions of the columns of each category, as FeatureSpace takes them."""
        ends = np.cumsum(self.n_categories)
        return [list(range(end - n, end)) for n, end in zip(self.n_categories, ends, strict=True)]

    def feature_range(self):
        """Numbers and embedded categories between -1 and 1, as in alibi's example."""
        ones = np.ones((1, len(self.text) + len(NUMBERS)), dtype=np.float32)
        return -ones, ones
