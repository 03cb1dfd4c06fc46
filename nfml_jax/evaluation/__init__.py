"""Measures of a trained embedding or density, as pure functions of arrays.

Each module holds one idea. Nothing here knows a model, a file or a run.

| module | measures | of |
|---|---|---|
| `classification` | accuracy, confusion matrix, log-loss, calibration | logits |
| `neighbors` | top-k search, kNN accuracy | two sets of embeddings |
| `retrieval` | Recall@K, R-precision, MAP@R, MAP, MRR, nDCG | queries and a gallery |
| `verification` | pair scores, TAR at FAR, EER, AUC, thresholds | pairs of embeddings |
| `accept_rates` | ROC, DET, EER, TAR at FAR | scores of pairs |
| `folds` | accuracy over LFW's folds | listed pairs |
| `llr` | Cllr and the least Cllr | log-likelihood ratios of pairs |
| `identification` | CMC | probes and a gallery |
| `open_set` | DIR at FPIR | scores of mated and non-mated probes |
| `gallery` | `Gallery`, which names the person in an image | people by name |
| `clustering` | NMI, AMI, ARI, purity, F1 of k-means and classes | embeddings |
| `kmeans` | k-means clusters | rows |
| `one_shot` | accuracy of N-way K-shot episodes and of given runs | embeddings |
| `class_angles` | angles to class weights and class means | embeddings |
| `spread` | alignment, uniformity, hubness, spectrum | embeddings |
| `likelihoods` | mean likelihood, KL divergence, coverage, PIT | log-densities |
| `bits_per_dim` | bits per dimension, its error and kind | terms of log P(x) |
| `measured_bits` | bits per dimension of many images, in bounded memory | a density |
| `class_bits` | bits per dimension of a mixture of classes | densities by class |
| `pixel_baselines` | histograms, a Gaussian, compressors in bits | images |
| `two_samples` | classifier test, MMD, Kolmogorov-Smirnov | two samples |
| `mixtures` | Gaussians and Gaussian mixtures as baselines | rows |
| `anomaly` | AUROC of outliers, and simple detectors | scores, or rows |
| `baselines` | pixels, whitened PCA and LDA as embeddings | images |

A function `metrics` of a module returns the numbers that experiments report of it, by
name. `retrieval_measures`, `rankings`, `similarities`, `pair_histograms`, `templates`,
`tiles` and `inputs` serve these modules. Pairs are counted and searched in tiles of
bounded size, so no array has an entry for each pair of N examples.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    dict.fromkeys(
        (
            "accept_rates",
            "anomaly",
            "baselines",
            "bits_per_dim",
            "class_angles",
            "class_bits",
            "classification",
            "clustering",
            "folds",
            "gallery",
            "identification",
            "kmeans",
            "likelihoods",
            "llr",
            "measured_bits",
            "mixtures",
            "neighbors",
            "one_shot",
            "open_set",
            "pixel_baselines",
            "retrieval",
            "spread",
            "two_samples",
            "verification",
        ),
        (),
    ),
)
