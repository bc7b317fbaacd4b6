# SPDX-License-Identifier: Apache-2.0
"""Where the face is on a scan.

`pose` finds it in any rotation; `atlas` and `fit` place a mean face on it, from whose landmarks the
network starts; `refusal` and `relief` decide whether it is a face; `region` cuts it out.
"""
