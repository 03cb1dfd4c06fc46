"""Measures of a trained embedding, on plain arrays, one idea per module.

`classification` (accuracy), `neighbours` (top-k search, kNN accuracy),
`verification` (same class or not: ROC, EER, TAR at FAR) and `geometry` (angles).
Everything runs in tiles of fixed size: no array ever has examples × examples entries.
"""
