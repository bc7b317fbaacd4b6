# SPDX-License-Identifier: Apache-2.0
"""Training on annotated scans: cross-validation of the paper's networks, and fine-tuning.

`crossvalidation` and `finetuning` are the two commands; a `FoldMethod` says what is trained.
"""
