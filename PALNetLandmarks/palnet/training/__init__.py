# SPDX-License-Identifier: Apache-2.0
"""Training, in torch: of a model from generated faces, or on a lab's annotated scans.

`generated` and `annotated` hold the two ways; here is what both share. Recipes and protocols are
in the folder `recipes`.
"""
