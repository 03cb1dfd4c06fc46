"""Outlier scores and simple detectors equal closed forms and scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.metrics import average_precision_score, roc_auc_score

from nfml_jax.errors import UserError
from nfml_jax.evaluation import anomaly

RNG = np.random.default_rng(0)


def test_auroc_equals_scikit_learn_with_ties():
    inside, outside = RNG.normal(size=300).round(1), RNG.normal(1, 1, 200).round(1)
    found = anomaly.out_of_distribution(inside, outside)
    labels = np.repeat([0, 1], [300, 200])
    exact = roc_auc_score(labels, np.concatenate([inside, outside]))
    assert found["auroc"] == pytest.approx(exact, abs=1e-12)
    pooled = np.concatenate([inside, outside])
    exact = average_precision_score(labels, pooled)
    assert found["average_precision"] == pytest.approx(exact, abs=1e-12)
    assert 0.005 < found["auroc_error"] < 0.05
    threshold = np.quantile(outside, 0.05, method="inverted_cdf")
    assert found["fpr@tpr=95"] == pytest.approx((inside >= threshold).mean(), abs=0.02)
    perfect = anomaly.out_of_distribution([0.0], [1.0])
    assert perfect == {
        "auroc": 1,
        "auroc_error": 0,
        "average_precision": 1,
        "fpr@tpr=95": 0,
    }


def blobs(n=300):
    labels = np.arange(n) % 3
    scale = np.array([[1.0, 0.3], [0.5, 1.0], [1.0, 1.0]])
    return RNG.normal(size=(n, 2)) * scale[labels] + 2 * np.eye(3, 2)[labels], labels


def test_gaussian_classes_equal_discriminant_analysis(monkeypatch):
    monkeypatch.setattr(anomaly, "RIDGE", 0)
    (x, labels), (test, _) = blobs(), blobs(60)
    ours = anomaly.GaussianClasses.fit(x, labels, 3)
    joint = ours.log_joint(test)
    for c in range(3):
        group = x[labels == c]
        exact = stats.multivariate_normal(group.mean(0), np.cov(group.T, bias=True))
        expected = exact.logpdf(test) + np.log(1 / 3)
        np.testing.assert_allclose(joint[:, c], expected, rtol=1e-4, atol=1e-4)
    theirs = QuadraticDiscriminantAnalysis().fit(x, labels).predict(test)
    assert (joint.argmax(1) == theirs).mean() > 0.95
    np.testing.assert_allclose(ours.log_prob(test), np.logaddexp.reduce(joint, axis=1))
    assert ours.mahalanobis(ours.mean).max() < 1e-3
    far = ours.mahalanobis(10 * np.ones((1, 2)))
    assert far > ours.mahalanobis(test).max()


def test_knn_distance_is_that_to_the_kth_neighbor():
    train = np.array([[0.0], [1.0], [3.0]])
    found = anomaly.knn_distance(train, np.array([[0.0], [10.0]]), k=2)
    np.testing.assert_allclose(found, [1, 9], atol=1e-5)


MISTAKES = {
    "k is 5; expected 1 to 2": lambda: anomaly.knn_distance(np.eye(2), np.eye(2)),
    "two or more": lambda: anomaly.GaussianClasses.fit(np.eye(2), [0, 1], 2),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_bad_input_is_named(sentence):
    with pytest.raises(UserError, match=sentence):
        MISTAKES[sentence]()
