"""Measures of a trained embedding, on plain arrays, one idea per module.

| module | measures | of |
|---|---|---|
| `classification` | accuracy, confusion matrix | logits |
| `neighbours` | top-k search, kNN accuracy | two sets of embeddings |
| `retrieval` | Recall@K, R-precision, MAP@R, MAP, MRR, nDCG | queries and a gallery |
| `verification` | ROC, EER, TAR at FAR, DET | all pairs, or scores of pairs |
| `pairs` | fine histograms of cosines close together | all pairs |
| `folds` | accuracy over LFW's folds | listed pairs |
| `llr` | Cllr and the least Cllr | log-likelihood ratios of pairs |
| `identification` | CMC, open-set DIR at FPIR | probes and a gallery |
| `enrolment` | `Gallery`: who is it? | people by name |
| `clustering` | k-means against classes: NMI, AMI, ARI, purity, F1 | embeddings |
| `one_shot` | N-way K-shot episodes, given runs | embeddings |
| `geometry` | angles, alignment, uniformity, hubness, spectrum | embeddings |
| `density` | likelihoods, two-sample tests, coverage | densities and samples |
| `baselines` | pixels, whitened PCA and LDA as embeddings | images |
| `anomaly` | AUROC of strangers, and plain detectors | scores, or rows |
| `calibration` | log-loss, calibration error | probabilities of classes |

Everything runs in tiles of bounded size: no array ever has examples × examples entries.
"""

from nfml_jax.ops.lazy import lazy_exports

__getattr__, __all__ = lazy_exports(
    __name__,
    dict.fromkeys(
        (
            "anomaly",
            "baselines",
            "calibration",
            "classification",
            "clustering",
            "density",
            "enrolment",
            "folds",
            "geometry",
            "identification",
            "llr",
            "mixtures",
            "neighbours",
            "one_shot",
            "pairs",
            "retrieval",
            "verification",
        ),
        (),
    ),
)
