# SPDX-License-Identifier: Apache-2.0
"""`python -m palnet` is the `palnet` command."""

from palnet.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
