# SPDX-License-Identifier: Apache-2.0
"""The Slicer side of PALNetLandmarks: scene, review, background jobs and panel parts."""
