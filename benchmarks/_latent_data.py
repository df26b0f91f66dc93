"""Data and classifiers of paper 2's experiments, split anew for each seed."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder
from sklearn.utils import compute_sample_weight

from skcf import FeatureSpace
from skcf.datasets import fetch_adult, fetch_lending_club, fetch_mnist

__all__ = ["PROBLEMS", "Problem"]

PAPERS_NUMBERS = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
PAPERS_COLUMNS = [*PAPERS_NUMBERS, "education"]
SIDE = 28


class BalancedNet(MLPClassifier):
    """Perceptrons that weight the classes, also where they are fitted again."""

    def fit(self, X, y):
        """Fit; few epochs are enough, and say so."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return super().fit(X, y, sample_weight=compute_sample_weight("balanced", y))


@dataclass
class Problem:
    """A split, a classifier fitted on it, and the rows to explain.

    Attributes
    ----------
    name : str
    seed : int
        Of the split and of the classifier.
    X_train, X_test : DataFrame or ndarray
    y_train : ndarray
        True labels.
    model : object
        Fitted classifier.
    target : object
        Label that rows are to get.
    space : FeatureSpace
        What may change; not fitted.
    columns : transformer or None
        Numbers to 0 to 1 over the training rows, categories one-hot; None: rows are so already.
    image_shape : tuple of int or None
    accuracy : float
        Mean of the two classes' shares that the classifier gets right.
    """

    name: str
    seed: int
    X_train: object
    X_test: object
    y_train: np.ndarray
    model: object
    target: object
    space: FeatureSpace
    columns: object = None
    image_shape: tuple | None = None
    accuracy: float = np.nan

    def scaled(self, X):
        """Rows as the paper measures them: numbers from 0 to 1, categories one-hot."""
        return X if self.columns is None else self.columns.transform(X)

    @cached_property
    def predicted(self):
        """What the classifier says of the training rows."""
        return self.model.predict(self.X_train)

    @cached_property
    def real(self):
        """Held-out rows that the classifier puts in the target."""
        return self.X_test[self.model.predict(self.X_test) == self.target]

    @cached_property
    def usual_score(self):
        """Score of the target that half of the training rows put there do not reach."""
        own = self.X_train[self.predicted == self.target]
        at = list(self.model.classes_).index(self.target)
        return float(min(np.median(self.model.predict_proba(own)[:, at]), 0.99))

    @cached_property
    def measured_in(self):
        """Space of distances between distributions; that of images has all pixels alike."""
        if self.image_shape is None:
            return FeatureSpace(categorical_features=self.space.categorical_features).fit(
                self.X_train
            )
        n_pixels = self.X_train.shape[1]
        return FeatureSpace().fit(np.vstack([self.X_train, np.zeros(n_pixels), np.ones(n_pixels)]))

    def queries(self, n):
        """The first held-out rows that it does not."""
        return self.X_test[self.model.predict(self.X_test) != self.target][:n]


def adult(seed):
    """The paper's six columns, all free, and a network of its widths."""
    X, y, _ = fetch_adult()
    space = FeatureSpace(categorical_features=["education"])
    net = BalancedNet((10, 4), max_iter=15, batch_size=200, learning_rate_init=3e-3)
    return table("adult", seed, X[PAPERS_COLUMNS], y, ">50K", space, net)


def lending(seed):
    """Lending Club: all columns that there are, with the constraints of the data."""
    X, y, space = fetch_lending_club()
    net = BalancedNet((20, 10), max_iter=20, batch_size=100, learning_rate_init=3e-3, alpha=1.0)
    return table("lending", seed, X, y, "good", space, net)


def blackbox(seed):
    """Adult with all columns, missing values, constraints, and a model without gradients."""
    X, y, space = fetch_adult()
    return table("blackbox", seed, X, y, ">50K", space, None)


def table(name, seed, X, y, target, space, net):
    """A split of a table, and a network or a boosted model on it."""
    y = np.asarray(y)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=seed)
    text = [column for column in X if X[column].dtype.kind not in "iuf"]
    onehot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    numbers = [column for column in X if column not in text]
    columns = make_column_transformer((MinMaxScaler(), numbers), (onehot, text)).fit(X_train)
    if net is None:
        ranks = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        first = make_column_transformer((ranks, text), remainder="passthrough")
        final = HistGradientBoostingClassifier(random_state=seed)
    else:
        first, final = columns, net.set_params(random_state=seed)
    model = make_pipeline(first, final).fit(X_train, y_train)
    problem = Problem(name, seed, X_train, X_test, y_train, model, target, space, columns)
    return judged(problem, y_test)


def mnist(seed):
    """Ones and sevens among the 10,000 images; ones are to become sevens."""
    X, y, _ = fetch_mnist()
    kept = np.isin(y, [1, 7])
    X, y = np.asarray(X, dtype=float)[kept] / 255, np.asarray(y)[kept].astype(int)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=seed)
    net = BalancedNet((128, 64, 32), max_iter=8, batch_size=100, random_state=seed)
    model = net.fit(X_train, y_train)
    pixels = FeatureSpace(permitted_range=dict.fromkeys(range(SIDE * SIDE), (0, 1)))
    shape = {"image_shape": (SIDE, SIDE)}
    problem = Problem("mnist", seed, X_train, X_test, y_train, model, 7, pixels, **shape)
    return judged(problem, y_test)


def judged(problem, y_test):
    """Say how good the classifier is."""
    right = problem.model.predict(problem.X_test) == y_test
    shares = [right[y_test == label].mean() for label in np.unique(y_test)]
    problem.accuracy = float(np.mean(shares))
    return problem


PROBLEMS = {"adult": adult, "lending": lending, "mnist": mnist, "blackbox": blackbox}
