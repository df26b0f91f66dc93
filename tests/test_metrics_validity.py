"""Validity, coverage and margin."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skcf import FeatureSpace
from skcf.metrics import coverage, margin, validity

X = np.array([[0.0], [1.0], [2.0], [5.0]])
X_CF = np.array([[4.0], [3.5], [2.5], [5.0]])  # the last one needs none


def accepts(rows):
    return np.where(rows[:, 0] > 3, "yes", "no")


def test_validity_by_hand():
    assert validity(X, X_CF, estimator=accepts, target_class="yes") == pytest.approx(2 / 3)
    assert validity(X, X_CF, estimator=accepts, target_class="other") == pytest.approx(2 / 4)


def test_validity_counts_rows_without_a_counterfactual_as_not_valid():
    status = ["not_found", "found", "found", "already_target"]
    expected = pytest.approx(1 / 3)
    assert validity(X, X_CF, estimator=accepts, target_class="yes", status=status) == expected
    assert validity(X, X_CF, status=status) == pytest.approx(2 / 3)  # believed


def test_validity_where_nobody_needed_anything_or_nobody_got_it():
    assert validity(X[3:], X_CF[3:], estimator=accepts, target_class="yes") == 1.0
    assert validity(X, X_CF, status=["already_target"] * 4) == 1.0
    assert validity(X, X_CF, status=np.zeros(4, dtype=bool)) == 0.0
    nobody = np.zeros(4, dtype=bool)
    assert validity(X, X_CF, status=nobody, estimator=accepts, target_class="no") == 0.0


def test_validity_does_not_depend_on_the_order_of_the_rows():
    order = np.random.default_rng(0).permutation(4)
    assert validity(X[order], X_CF[order], estimator=accepts, target_class="yes") == validity(
        X, X_CF, estimator=accepts, target_class="yes"
    )


def test_validity_needs_to_be_told():
    with pytest.raises(ValueError, match="Give estimator, or the status"):
        validity(X, X_CF)
    with pytest.raises(ValueError, match=r"target_class='maybe'.*'no', 'yes'"):
        validity(X, X_CF, estimator=accepts, target_class="maybe")


def test_coverage_by_hand():
    space = FeatureSpace(change_direction={0: -1}, permitted_range={0: (-1, 9)}).fit(X)
    after = np.array([[-1.0], [np.nan], [2.5], [-2.0]])  # only the first one is allowed
    assert coverage(X, after, feature_space=space) == 1 / 4
    assert coverage(X, after, feature_space=space, status=[True, True, False, False]) == 1 / 4
    assert coverage(X, after, feature_space=space, status=["already_target"] * 4) == 1.0


def test_coverage_of_infinite_and_of_no_rows():
    after = np.array([[np.inf], [-np.inf], [np.nan], [1.0]])
    assert coverage(X, after) == 1 / 4
    assert coverage(X, after, status=np.zeros(4, dtype=bool)) == 0.0


def test_margin_is_the_logit_of_a_binary_model():
    model = LogisticRegression().fit(X, accepts(X))
    for target, sign in (("yes", 1), ("no", -1), (None, 1)):
        values = margin(X, X_CF, estimator=model, target_class=target, average=None)
        np.testing.assert_allclose(values, sign * model.decision_function(X_CF))


def test_margin_against_a_loop_over_classes():
    rows, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(rows, y)
    own, after = model.predict(rows), rows[::-1].copy()
    log_p = model.decision_function(after)
    fixed = margin(rows, after, estimator=model, target_class=2, average=None)
    other = margin(rows, after, estimator=model, average=None)
    for i in range(len(rows)):
        assert fixed[i] == pytest.approx(log_p[i, 2] - log_p[i, :2].max())
        assert other[i] == pytest.approx(np.delete(log_p[i], own[i]).max() - log_p[i, own[i]])


def test_margin_is_positive_exactly_where_the_row_is_valid():
    rows, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(rows, y)
    after = rows[np.random.default_rng(0).permutation(len(rows))]
    values = margin(rows, after, estimator=model, target_class=1, average=None)
    np.testing.assert_array_equal(values > 0, model.predict(after) == 1)


def test_margin_of_a_classifier_that_gives_labels_only():
    values = margin(X, X_CF, estimator=accepts, target_class="yes", average=None)
    np.testing.assert_array_equal(values, [1, 1, -1, 1])
    status = [True, False, True, True]
    values = margin(X, X_CF, estimator=accepts, target_class="yes", status=status, average=None)
    np.testing.assert_array_equal(values, [1, np.nan, -1, 1])


@pytest.mark.parametrize("model", [LogisticRegression(), DecisionTreeClassifier(), accepts])
def test_margin_of_nobody_is_nan(model):
    if model is not accepts:
        model = model.fit(X, accepts(X))
    nobody = np.zeros(4, dtype=bool)
    assert np.isnan(margin(X, X_CF, estimator=model, target_class="yes", status=nobody))


def test_a_torch_module_is_asked_for_its_logits():
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(1, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.0], [1.0]]))
        module.bias.copy_(torch.tensor([3.0, 0.0]))  # class 1 above 3
    assert validity(X, X_CF, estimator=module) == pytest.approx(2 / 3)
    values = margin(X, X_CF, estimator=module, average=None)
    np.testing.assert_allclose(values, X_CF.ravel() - 3)
