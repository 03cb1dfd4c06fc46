"""Measures of classes, pairs, clusters and densities, and metrics, by scikit-learn."""

import numpy as np

from tests.peers.rows import CLASSES, clusters, matrix, scores

PEER, ENVIRONMENT = "scikit-learn", None
EXPLAINED = {}
SOME = np.random.default_rng(6).integers(0, 5, 120)


def apart(rows, labels):
    """Return rows whose classes are far from each other."""
    return rows + 50 * np.random.default_rng(8).normal(size=(CLASSES, 8))[labels]


def log_probs():
    logits = np.random.default_rng(7).normal(size=(120, CLASSES))
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def true_and_scores():
    genuine, impostor = scores()
    true = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    return true, np.r_[genuine, impostor]


def ours():
    import jax

    from nfml_jax import mahalanobis
    from nfml_jax.evaluation import (
        accept_rates,
        anomaly,
        classification,
        clustering,
        kmeans,
        mixtures,
        neighbors,
        retrieval,
    )
    from nfml_jax.mahalanobis.nca import nca_objective

    rows, labels = clusters()
    genuine, impostor = scores()

    def partitions():
        table = clustering.contingency(SOME, labels)
        return {
            "NMI": clustering.normalized_mutual_information(table),
            "AMI": clustering.adjusted_mutual_information(table),
            "ARI": clustering.adjusted_rand_index(table),
            "pairwise F1": clustering.pairwise_f1(table),
        }

    def search():
        found = {}
        for metric in ("euclidean", "cosine"):
            near = neighbors.top_k(rows[60:], rows[:60], 5, metric=metric)
            found[f"{metric}, neighbors"] = np.sort(near[1], axis=1)
            found[f"{metric}, scores"] = near[0]
            found[f"{metric}, vote"] = neighbors.knn_accuracy(
                *(rows[:60], labels[:60], rows[60:], labels[60:]), k=1, metric=metric
            )
        return found

    def rankings():
        names = "map", "ndcg", "mrr"
        return retrieval.per_query(
            rows[60:], labels[60:], rows[:60], labels[:60], names=names
        )

    def pairs():
        found = anomaly.out_of_distribution(impostor, genuine)
        return {
            "area under the ROC curve": accept_rates.roc(genuine, impostor).auc,
            "average precision": found["average_precision"],
        }

    def classes():
        return {
            "log loss": classification.log_loss(log_probs(), labels),
            "accuracy": classification.accuracy(log_probs(), labels),
            "confusion": classification.confusion_matrix(SOME, labels, CLASSES),
        }

    def metrics():
        whitened = rows @ mahalanobis.covariance(rows, labels).T
        module = mahalanobis.Mahalanobis()
        apply = module.apply(
            mahalanobis.variables(matrix()), rows[:60], rows[60:], method="distance"
        )
        return {
            "covariance, squared distances": squares(whitened, whitened),
            "L, distances": apply,
        }

    def nca():
        matrices = {"identity": np.eye(8), "matrix": matrix()}
        matrices["learned"] = mahalanobis.nca(rows, labels, steps=100)
        objective = jax.jit(nca_objective)
        return {
            f"objective, {name}": objective(L, rows, labels)
            for name, L in matrices.items()
        }

    def densities():
        return {"Gaussian, log": mixtures.fit_gaussian(rows).log_prob(rows)}

    def means():
        return {"inertia": kmeans.kmeans(apart(rows, labels), CLASSES).inertia}

    return {
        "partitions": partitions,
        "search": search,
        "ranking": rankings,
        "pairs": pairs,
        "classes": classes,
        "Mahalanobis": metrics,
        "NCA": nca,
        "density": densities,
        "k-means": means,
    }


def squares(a, b):
    return np.sum((a[:, None] - b[None]) ** 2, axis=-1)


def theirs():
    from sklearn import cluster, covariance, metrics, mixture, neighbors

    rows, labels = clusters()

    def partitions():
        pairs = metrics.cluster.pair_confusion_matrix(labels, SOME)
        precision = pairs[1, 1] / pairs[:, 1].sum()
        recall = pairs[1, 1] / pairs[1].sum()
        return {
            "NMI": metrics.normalized_mutual_info_score(labels, SOME),
            "AMI": metrics.adjusted_mutual_info_score(labels, SOME),
            "ARI": metrics.adjusted_rand_score(labels, SOME),
            "pairwise F1": 2 * precision * recall / (precision + recall),
        }

    def search():
        found = {}
        for metric in ("euclidean", "cosine"):
            options = {"metric": metric, "algorithm": "brute"}
            near = neighbors.NearestNeighbors(n_neighbors=5, **options).fit(rows[:60])
            distance, index = near.kneighbors(rows[60:])
            votes = neighbors.KNeighborsClassifier(1, **options)
            votes.fit(rows[:60], labels[:60])
            found[f"{metric}, neighbors"] = np.sort(index, axis=1)
            score = -(distance**2) if metric == "euclidean" else 1 - distance
            found[f"{metric}, scores"] = score
            found[f"{metric}, vote"] = votes.score(rows[60:], labels[60:])
        return found

    def rankings():
        cosines = metrics.pairwise.cosine_similarity(rows[60:], rows[:60])
        relevant = labels[60:, None] == labels[None, :60]
        pairs = list(zip(relevant, cosines, strict=True))
        first = [1 / (np.argmax(a[np.argsort(-b)]) + 1) for a, b in pairs]
        return {
            "map": [metrics.average_precision_score(a, b) for a, b in pairs],
            "ndcg": [metrics.ndcg_score([a], [b]) for a, b in pairs],
            "mrr": first,
        }

    def pairs():
        return {
            "area under the ROC curve": metrics.roc_auc_score(*true_and_scores()),
            "average precision": metrics.average_precision_score(*true_and_scores()),
        }

    def classes():
        among = np.arange(CLASSES)
        return {
            "log loss": metrics.log_loss(labels, np.exp(log_probs())),
            "accuracy": metrics.accuracy_score(labels, log_probs().argmax(1)),
            "confusion": metrics.confusion_matrix(labels, SOME, labels=among),
        }

    def mahalanobis():
        inverse = np.linalg.inv(covariance.empirical_covariance(rows))
        weights = matrix().T @ matrix()
        between = metrics.pairwise_distances
        whitened = between(rows, metric="mahalanobis", VI=inverse) ** 2
        apart = between(rows[:60], rows[60:], metric="mahalanobis", VI=weights)
        return {
            "covariance, squared distances": whitened,
            "L, distances": np.diag(apart),
        }

    def nca():
        model = neighbors.NeighborhoodComponentsAnalysis(init="identity", max_iter=100)
        model.fit(rows, labels)
        model.n_iter_ = 1  # the loss is a private method, and prints at the first call
        same = labels[:, None] == labels[None]

        def objective(L):
            loss, _ = model._loss_grad_lbfgs(np.ravel(L), rows.astype(float), same, 1.0)
            return -loss / len(rows)

        matrices = {"identity": np.eye(8), "matrix": matrix()}
        matrices["learned"] = model.components_
        return {f"objective, {name}": objective(L) for name, L in matrices.items()}

    def densities():
        gaussian = mixture.GaussianMixture(1, reg_covar=0.0).fit(rows.astype(float))
        return {"Gaussian, log": gaussian.score_samples(rows.astype(float))}

    def means():
        found = cluster.KMeans(CLASSES, n_init=10, random_state=0)
        return {"inertia": found.fit(apart(rows, labels)).inertia_}

    return {
        "partitions": partitions,
        "search": search,
        "ranking": rankings,
        "pairs": pairs,
        "classes": classes,
        "Mahalanobis": mahalanobis,
        "NCA": nca,
        "density": densities,
        "k-means": means,
    }
