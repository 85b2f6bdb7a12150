"""Runs the Python of README.md, block after block in one namespace, in a folder that holds the sample dataset `out/`.

usage: readme.py README.md
"""
import importlib.util
import re
import sys

namespace = {}
blocks = re.findall(r"```python\n(.*?)```", open(sys.argv[1]).read(), re.S)
assert len(blocks) >= 3
for number, block in enumerate(blocks):
    if "import torch" in block and importlib.util.find_spec("torch") is None:
        compile(block, f"README block {number}", "exec")
        print(f"README block {number}: torch is not installed, compiled only")
        continue
    exec(compile(block, f"README block {number}", "exec"), namespace)
    print(f"README block {number}: ran")
