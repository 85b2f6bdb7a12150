"""Runs the Python of a document, block after block in one namespace, in a folder that holds the sample datasets `out/`.

usage: readme.py DOCUMENT.md
"""
import re
import sys


def blocks(document):
    return re.findall(r"```python\n(.*?)```", open(document).read(), re.S)


def run(document):
    """Gives what the blocks leave behind."""
    namespace = {"__name__": "__main__"}
    for number, block in enumerate(blocks(document)):
        exec(compile(block, f"{document}, block {number}", "exec"), namespace)
        print(f"{document}, block {number}: ran")
    return namespace


if __name__ == "__main__":
    assert blocks(sys.argv[1]), "no Python in it"
    run(sys.argv[1])
