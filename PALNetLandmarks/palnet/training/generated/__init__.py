# SPDX-License-Identifier: Apache-2.0
"""Training a model from generated faces; `pipeline` runs the stages of a recipe in their order."""
