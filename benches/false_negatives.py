#!/usr/bin/env python3
"""How many false negatives `same:identity` misses that `known_positive` finds, from `plan` alone.

usage: benches/false_negatives.py DATA_DIR   (a folder with complete_journey_transactions/ and otto_sessions.parquet)
"""
import json, os, subprocess, sys, tempfile
from pathlib import Path

root = Path(__file__).resolve().parent.parent
binary = Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release/batchwright"
tables = {
    "complete_journey_transactions": ('identity = "household_id"\nitem = "product_id"\nrequest = "basket_id"', 1024),
    "otto_sessions.parquet": ('identity = "session"\nitem = "aid"', 64),
}
for name, (columns, batch) in tables.items():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "p.toml"
        file.write_text(f'[input]\nshards = ["{sys.argv[1]}/{name}"]\n[columns]\n{columns}\n[compose]\nbatch_size = {batch}\n[output]\npath = "x"\n')
        rate = {}
        for rules in ('["same:identity"]', '["same:identity", "known_positive"]'):
            out = subprocess.run([binary, "plan", file, "--format", "json", "--set", f"mask.rules={rules}"], check=True, capture_output=True)
            rate[rules] = json.loads(out.stdout)["stats"]["excluded_rate"]
        alone, both = rate.values()
        print(f"{name}, batches of {batch}: {both:.4%} of pairs are false negatives; same:identity finds {alone:.4%} and misses {1 - alone / both:.1%} of them")
