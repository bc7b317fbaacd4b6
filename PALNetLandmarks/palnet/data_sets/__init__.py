# SPDX-License-Identifier: Apache-2.0
"""Annotated scans in folders, read and checked.

`layouts` reads LAFAS, FaceScape, or meshes with landmark files beside them into a `DataSet`
(`dataset`); `checking` lists its problems before a training begins.
"""
