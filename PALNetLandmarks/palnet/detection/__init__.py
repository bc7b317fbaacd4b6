# SPDX-License-Identifier: Apache-2.0
"""The stages of a detection, which `palnet.detector.detect` runs and trainings share.

`finding` prepares the scan and has guesses of the pose fitted (`fitting`) and judged (`judging`).
`placing` puts the landmarks of the network on the face, and `combining` adds what its colors show.
Both `judging` and `placing` ask the network by way of `refinement`.
"""
