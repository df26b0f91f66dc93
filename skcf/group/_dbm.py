"""DBMExplainer: the difference between the means."""

from skcf.group._base import BaseGroupExplainer

__all__ = ["DBMExplainer"]


class DBMExplainer(BaseGroupExplainer):
    """Translations between groups by the difference between their means, the baseline of TGT.

    ``delta_ij = xbar_j - xbar_i`` ([1]_, section 4), of which the `n_features_to_change` largest
    are kept: those of features that may not change are 0. It needs no search; the representation
    tells only how well it does.

    Parameters
    ----------
    representation, estimator, target_class, feature_space, n_features_to_change, support, \
reference_group, magnitude, eps : object
        As in `TGTExplainer`.

    Attributes
    ----------
    translations_, correctness_, coverage_, transitivity_violation_, eps_, classes_, estimator_, \
feature_space_, n_features_in_, feature_names_in_ : object
        As in `TGTExplainer`.

    See Also
    --------
    TGTExplainer : Translations that are fitted to the representation.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.decomposition import PCA
    >>> from skcf import DBMExplainer
    >>> X, y = load_iris(return_X_y=True)
    >>> explainer = DBMExplainer(PCA(2).fit(X), n_features_to_change=1).fit(X, y)
    >>> explainer.translation(0, 2).round(2)
    array([0.  , 0.  , 0.  , 1.78])
    """

    def _translate(self, task):
        T = task.problem.difference_between_means()
        return T, self._kept(task.problem, T)
