"""Write golden files: ``python -m tests.support.golden.write NAME...``, never done by a test.

A file that is there is not overwritten: a change of bytes raises the version in the module first, and the old
file stays as what must be read or refused.
"""

from __future__ import annotations

import sys

from tests.support.golden.every_encoding import GOLDEN
from tests.support.golden.golden_file import golden_path, save


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - GOLDEN.keys())
    if unknown or not names:
        print(
            f"unknown: {', '.join(unknown) or 'nothing named'}; there are {', '.join(GOLDEN)}",
            file=sys.stderr,
        )
        return 2
    for name in names:
        golden = GOLDEN[name]
        path = golden_path(name, golden.version)
        if path.exists():
            print(
                f"{path.name} is there; raise the version in the module, or remove the file", file=sys.stderr
            )
            return 1
        save(path, name, golden.version, golden.written())
        print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
