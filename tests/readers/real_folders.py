"""Folders of one log as pandas, DuckDB, Polars and pyarrow would have written a day of it: composed, and compared row by row.

usage: real_folders.py BATCHWRIGHT WORK_DIR
"""
import glob
import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

batchwright, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
START = datetime(2024, 1, 30, 23, 30)


def log(first, n=24):
    """Plain rows of a log, none of them alike."""
    return [
        {
            "user_id": (first + k) % 7 + 1,
            "item_id": 100 + (first + k) % 11,
            "ts": START + timedelta(minutes=17 * (first + k), microseconds=k),
            "query": None if k % 5 == 0 else f"query {k % 6} é",
            "price": round(0.25 * (first + k), 2),
            "history": [] if k % 4 == 0 else list(range(k % 4)),
            "city": ["Bern", "Genève", "Chur"][k % 3],
            "n": first + k,
        }
        for k in range(n)
    ]


def of(rows, name):
    return [row[name] for row in rows]


def with_pandas(rows, path):
    """Nanoseconds, categories, ids that a left join made floats, and an index."""
    frame = pd.DataFrame(rows)
    frame["ts"] = frame["ts"].astype("datetime64[ns]")
    frame["city"] = frame["city"].astype("category")
    frame["user_id"] = frame["user_id"].astype("float64")
    frame.to_parquet(path)


def with_duckdb(rows, path):
    """Microseconds, 32-bit lists, required columns where no value is null."""
    rows_of_day = pa.Table.from_pylist(rows)
    duckdb.sql("select * replace (user_id::integer as user_id, history::integer[] as history) from rows_of_day").write_parquet(str(path))


def with_polars(rows, path):
    """Large strings, large lists, enums."""
    frame = pl.DataFrame(rows, schema_overrides={"history": pl.List(pl.Int64), "item_id": pl.UInt32})
    frame.with_columns(pl.col("city").cast(pl.Categorical)).write_parquet(path)


def with_pyarrow(rows, path):
    """Milliseconds, plain dictionaries, columns in another order, a new column."""
    columns = {
        "n": pa.array(of(rows, "n"), pa.int32()),
        "dwell_ms": pa.array([3 * n for n in of(rows, "n")], pa.int64()),
        "ts": pa.array([t.replace(microsecond=1000 * (t.microsecond // 1000)) for t in of(rows, "ts")], pa.timestamp("ms")),
        "user_id": pa.array(of(rows, "user_id"), pa.int64()),
        "item_id": pa.array(of(rows, "item_id"), pa.int16()),
        "city": pa.array(of(rows, "city")).dictionary_encode(),
        "history": pa.array(of(rows, "history"), pa.list_(pa.int64())),
        "price": pa.array(of(rows, "price"), pa.float32()),
        "query": pa.array(of(rows, "query"), pa.string_view()),
    }
    pq.write_table(pa.table(columns), path)


def without_query(rows, path):
    """A day on which nobody searched: to pandas, a column of nothing."""
    frame = pd.DataFrame([{**row, "query": None} for row in rows])
    frame.to_parquet(path)


def no_rows(rows, path):
    """A day without a row, whose types say nothing."""
    pd.DataFrame(rows)[:0].astype("object").to_parquet(path)


def run(folder, pipeline, *more, code=0):
    (folder / "p.toml").write_text(pipeline)
    ran = subprocess.run([batchwright, "run", "p.toml", "--overwrite", *more], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == code, f"{folder}: {ran.stderr}"
    if code == 0:
        judged = subprocess.run([batchwright, "verify", "out", "--against", "p.toml"], cwd=folder, capture_output=True, text=True)
        assert judged.returncode == 0, f"{folder}: {judged.stdout}{judged.stderr}"
    return ran


def dataset(folder):
    return pa.concat_tables([pq.read_table(shard) for shard in sorted(glob.glob(f"{folder}/out/batches/*.parquet"))])


def plain(value):
    """A value as one compares it, whoever read it."""
    if isinstance(value, float) and value == int(value):
        return int(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, (list, np.ndarray)):
        return [plain(v) for v in value]
    return value


PIPELINE = """
[input]
shards = ["log"]
[columns]
identity = "user_id"
item = "item_id"
time = "ts"
[identity]
keep_raw = true
[compose]
batch_size = 8
window = "6h"
[output]
path = "out"
"""


def one_log_of_many_writers():
    """Whoever wrote which day, in whichever order: the same rows come out, and the same tokens."""
    writers = [with_pandas, with_duckdb, with_polars, with_pyarrow, without_query, no_rows]
    users = {}
    for turn in range(len(writers)):
        folder = work / f"log-{turn}"
        (folder / "log").mkdir(parents=True)
        expected = {}
        for day, writer in enumerate(writers[turn:] + writers[:turn]):
            rows = log(100 * day)
            writer(rows, folder / "log" / f"day-{day}.parquet")
            for row in [] if writer is no_rows else rows:
                row = dict(row)
                row["dwell_ms"] = 3 * row["n"] if writer is with_pyarrow else None
                if writer is with_pyarrow:
                    row["ts"] = row["ts"].replace(microsecond=1000 * (row["ts"].microsecond // 1000))
                if writer is without_query:
                    row["query"] = None
                expected[row["n"]] = {name: plain(value) for name, value in row.items()}
        run(folder, PIPELINE)
        out = dataset(folder)
        assert out.num_rows == len(expected)
        for row in out.to_pylist():
            found = {name: plain(value) for name, value in row.items() if not name.startswith("bw_")}
            found.pop("__index_level_0__", None)
            if isinstance(row["ts"], pd.Timestamp):
                found["ts"] = row["ts"].to_pydatetime()
            assert found == expected[found["n"]], (found, expected[found["n"]])
            users.setdefault(found["user_id"], set()).add(row["bw_user"])
    assert len(users) == 7 and all(len(tokens) == 1 for tokens in users.values()), users


def kinds():
    """What one writer's files hold that another's do not, a folder each: the values that pyarrow finds in the inputs."""
    n = 12
    numbers, words = list(range(n)), [f"w{k % 4}" for k in range(n)]
    base = lambda first: {"user_id": [k % 3 for k in range(n)], "n": [first + k for k in range(n)]}
    days = {
        "large-strings": (pa.table({**base(0), "x": words}), pl.DataFrame({**base(n), "x": words}).to_arrow()),
        "views": (pa.table({**base(0), "x": pa.array(words, pa.string_view())}), pa.table({**base(n), "x": pa.array(words)})),
        "binaries": (pa.table({**base(0), "x": pa.array([w.encode() for w in words], pa.binary(2))}), pa.table({**base(n), "x": pa.array([b"longer"] * n, pa.large_binary())})),
        "integers": (pa.table({**base(0), "x": pa.array(numbers, pa.uint8())}), pa.table({**base(n), "x": pa.array([-k for k in numbers], pa.int8())})),
        "doubles": (pa.table({**base(0), "x": pa.array(numbers, pa.int32())}), pa.table({**base(n), "x": pa.array([k / 4 for k in numbers])})),
        "decimals": (pa.table({**base(0), "x": pa.array([Decimal(k) / 4 for k in numbers], pa.decimal128(9, 2))}), pa.table({**base(n), "x": pa.array([Decimal(k) / 8 for k in numbers], pa.decimal128(20, 3))})),
        "null-typed": (pa.table({**base(0), "x": pa.nulls(n)}), pa.table({**base(n), "x": pa.array([[k] for k in numbers])})),
        "fixed-lists": (pa.table({**base(0), "x": pa.array([[k, k] for k in numbers], pa.list_(pa.float32(), 2))}), pa.table({**base(n), "x": pa.array([[k / 2] * (k % 3) for k in numbers], pa.list_(pa.float32()))})),
        "structs": (pa.table({**base(0), "x": [{"a": k, "b": f"b{k}"} for k in numbers]}), pa.table({**base(n), "x": [{"c": [k], "a": float(k) / 2} for k in numbers]})),
        "time-units": (pa.table({**base(0), "x": pa.array(numbers, pa.timestamp("s", "UTC"))}), pa.table({**base(n), "x": pa.array(numbers, pa.timestamp("ns", "+00:00"))})),
        "durations": (pa.table({**base(0), "x": pa.array(numbers, pa.duration("ms"))}), pa.table({**base(n), "x": pa.array(numbers, pa.duration("us"))})),
        "dictionaries": (pa.table({**base(0), "x": pa.array(words).dictionary_encode()}), pa.table({**base(n), "x": pa.array(words)})),
        "field-ids": (pa.table({**base(0), "x": numbers}).cast(pa.schema([pa.field("user_id", pa.int64()), pa.field("n", pa.int64()), pa.field("x", pa.int64(), metadata={"PARQUET:field_id": "7"})])), pa.table({**base(n), "x": numbers})),
    }
    for name, tables in days.items():
        folder = work / name
        (folder / "log").mkdir(parents=True)
        expected = {}
        for k, table in enumerate(tables):
            pq.write_table(table, folder / "log" / f"{k}.parquet")
            for row in pq.read_table(folder / "log" / f"{k}.parquet").to_pylist():
                expected[row["n"]] = row["x"]
        text = PIPELINE.replace('item = "item_id"\ntime = "ts"', "").replace('window = "6h"', "")
        run(folder, text)
        found = {row["n"]: row["x"] for row in dataset(folder).to_pylist()}
        assert len(found) == len(expected)
        for at, value in expected.items():
            if name == "structs":
                # Fields that a file lacks are null.
                assert {f: v for f, v in found[at].items() if v is not None} == {f: v for f, v in value.items() if v is not None}
                continue
            same = found[at] == value if name != "time-units" else pd.Timestamp(found[at]) == pd.Timestamp(value)
            assert same or pd.Timedelta(found[at]) == pd.Timedelta(value), (name, at, found[at], value)


def ordered_categories():
    """pandas' ordered categories: whole and in order, for pandas too."""
    folder = work / "ordered"
    (folder / "log").mkdir(parents=True)
    sizes = pd.CategoricalDtype(["S", "M", "L", "XL"], ordered=True)
    for k in range(2):
        frame = pd.DataFrame({"user_id": range(12), "n": range(12 * k, 12 * k + 12), "size": pd.Series(["L", "S", "M"] * 4, dtype=sizes)})
        frame.to_parquet(folder / "log" / f"{k}.parquet")
    run(folder, PIPELINE.replace('item = "item_id"\ntime = "ts"', "").replace('window = "6h"', ""))
    out = dataset(folder).to_pandas()
    assert out["size"].dtype == sizes, out["size"].dtype
    assert [out.loc[out["n"] == n, "size"].item() for n in range(24)] == ["L", "S", "M"] * 8


def an_order_that_only_a_file_without_rows_tells():
    folder = work / "order-without-rows"
    (folder / "log").mkdir(parents=True)
    sizes = pa.DictionaryArray.from_arrays(pa.array([], pa.int8()), ["S", "M"], ordered=True)
    pq.write_table(pa.table({"n": [1, 2]}), folder / "log" / "a.parquet")
    pq.write_table(pa.table({"n": pa.array([], pa.int64()), "size": sizes}), folder / "log" / "b.parquet")
    run(folder, 'input.shards = ["log"]\noutput.path = "out"\ncolumns.identity = "n"\nidentity.keep_raw = true\ncompose.batch_size = 2')
    assert dataset(folder)["size"].to_pylist() == [None, None]


def partitioned_by_duckdb_and_pyarrow():
    """Folders that DuckDB and pyarrow make of a column, with what must be encoded in a name."""
    import pyarrow.dataset as ds

    people = ["ann lee/jr", "bo=x", "c%d é", "plain"]
    table = parts = pa.table({"person": [people[k % 4] for k in range(24)], "n": list(range(24))})
    flat = work / "flat"
    (flat / "log").mkdir(parents=True)
    pq.write_table(table, flat / "log" / "a.parquet")
    text = """
input = { shards = ["log"], hive = HIVE }
columns = { identity = "person", item = "n" }
identity.keep_raw = true
compose.batch_size = 4
output.path = "out"
"""
    run(flat, text.replace("HIVE", "false"))
    expected = {row["n"]: (row["person"], row["bw_user"]) for row in dataset(flat).to_pylist()}
    for writer in ["pyarrow", "duckdb"]:
        folder = work / f"partitioned-{writer}"
        folder.mkdir()
        if writer == "pyarrow":
            partitioning = ds.partitioning(pa.schema([("person", pa.string())]), flavor="hive")
            ds.write_dataset(table, folder / "log", format="parquet", partitioning=partitioning)
        else:
            duckdb.sql(f"copy (select * from parts) to '{folder}/log' (format parquet, partition_by (person))")
        run(folder, text.replace("HIVE", "true"))
        found = {row["n"]: (row["person"], row["bw_user"]) for row in dataset(folder).to_pylist()}
        assert found == expected, writer


def predicates_as_duckdb_has_them():
    """The rows that DuckDB keeps, for predicates that both understand."""
    folder = work / "predicates"
    (folder / "log").mkdir(parents=True)
    rows = [dict(row, user_id=k, f=[1.5, float("nan"), None, -2.0][k % 4], d=row["ts"].date(), big=2**63 + k - 3) for k, row in enumerate(log(0, 60))]
    schema = {"big": pl.UInt64}
    table = parts = pl.DataFrame(rows, schema_overrides=schema).to_arrow()
    pq.write_table(table, folder / "log" / "a.parquet")
    kept_somewhere = 0
    for sql in [
        "ts >= '2024-01-31'",
        "ts < TIMESTAMP '2024-01-31 02:00:00' AND query IS NOT NULL",
        "ts BETWEEN '2024-01-31' AND '2024-01-31 06:00:00'",
        "d = '2024-01-31'",
        "d > DATE '2024-01-30'",
        "CAST(ts AS DATE) = '2024-01-31'",
        "isnan(f)",
        "NOT isnan(f)",
        "f > 1",
        "f <> f",
        "f >= 1.5 OR f IS NULL",
        "big >= 9223372036854775808",
        "big = 9223372036854775807",
        "city IN ('Bern', 'Chur') AND price % 2 = 0.5",
        "query LIKE 'query 1%'",
        "NOT (n % 3 = 1)",
    ]:
        expected = {n for (n,) in duckdb.sql(f"select n from parts where {sql}").fetchall()}
        text = PIPELINE.replace('shards = ["log"]', f"shards = [\"log\"]\nwhere = '''{sql}'''")
        if not expected:
            assert "no example is left" in run(folder, text, code=2).stderr, sql
            continue
        run(folder, text)
        found = set(dataset(folder)["n"].to_pylist())
        assert found == expected, (sql, found ^ expected)
        kept_somewhere += len(found)
    assert kept_somewhere > 200


def forms_that_readers_take_for_others():
    """Types that Parquet, or one of its readers, has no word for: composed, and judged by value."""
    views, n = pa.array([[1], [2], [3]], pa.list_view(pa.int8())), [1, 2, 3]
    stamps = lambda unit, zone=None: pa.array(n, pa.timestamp(unit, zone))
    nested = lambda array: pa.StructArray.from_arrays([pa.array(n), array], names=["id", "score"])
    times = [
        (stamps("us", "UTC"), {"store_schema": False}),
        (stamps("s"), {"use_deprecated_int96_timestamps": True}),
        (stamps("s", "UTC"), {"use_deprecated_int96_timestamps": True}),
        (pa.array(n, pa.time32("s")), {}),
        (pa.array(n, pa.duration("s")), {}),
        (pa.array([0, 86_400_000, 172_800_000], pa.date64()), {}),
    ] + [(stamps(unit, zone), {}) for unit in ["s", "ns"] for zone in ["-07:30", "+05:30", "Europe/Paris", "+00:00"]]
    cases = [({"x": array}, {}, options) for array, options in times]
    cases += [({"x": array, "z": views}, {}, options) for array, options in times]
    cases += [({"x": nested(array)}, {}, options) for array, options in times]
    cases += [({"x": array, "z": views}, {"columns.time": "x"}, options) for array, options in times if not pa.types.is_time(array.type) and not pa.types.is_duration(array.type)]
    cases += [({"x": array, "z": views}, {"input.drop": '["z"]'}, options) for array, options in times]
    halves, wide = pa.array(np.array(n, np.float16)), pa.array([Decimal(k) for k in n], pa.decimal256(60, 0))
    for array in [halves, wide, views]:
        cases += [({"x": nested(array)}, {f"columns.{role}": "x.id"}, {}) for role in ["identity", "item", "label", "time", "request"]]
    lists = pa.array([{"a": [1], "d": None}] * 3, pa.struct([("a", pa.list_(pa.field("item", pa.int32()))), ("d", pa.date64())]))
    cases.append(({"x": lists}, {}, {"use_compliant_nested_type": False}))
    cases.append(({"x": pa.array([[2**32 - 1], None, []], pa.list_(pa.uint32()))}, {}, {"version": "1.0"}))
    cases.append(({"x": pa.array(n, pa.uint32())}, {"columns.item": "x"}, {"version": "1.0"}))
    for k, (columns, settings, options) in enumerate(cases):
        folder = work / f"form-{k}"
        (folder / "log").mkdir(parents=True)
        pq.write_table(pa.table({"n": n, **columns}), folder / "log" / "a.parquet", **options)
        settings = {"columns.identity": "n", **settings}
        lines = [f"{key} = {value if value[0] == '[' else json.dumps(value)}" for key, value in settings.items()]
        lines += ['input.shards = ["log"]', 'output.path = "out"', "compose.batch_size = 2", "identity.keep_raw = true"]
        run(folder, "\n".join(lines))
        found = dataset(folder)
        order = np.argsort(found["n"].to_numpy())
        read = pq.read_table(folder / "log" / "a.parquet")["x"]
        assert found["x"].combine_chunks().take(pa.array(order)).cast(read.type).to_pylist() == read.to_pylist(), (k, columns, settings)


def a_polars_category_in_a_struct():
    """What Polars notes of its category does not hold of the type that holds pyarrow's dictionary too."""
    folder = work / "category"
    (folder / "log").mkdir(parents=True)
    schema = {"n": pl.Int64, "x": pl.Struct({"s": pl.Categorical})}
    pl.DataFrame({"n": [1], "x": [{"s": "a"}]}, schema=schema).write_parquet(folder / "log" / "a.parquet")
    column = pa.array([{"s": "b"}], pa.struct([("s", pa.dictionary(pa.int32(), pa.string()))]))
    pq.write_table(pa.table({"n": [2], "x": column}), folder / "log" / "b.parquet")
    run(folder, 'input.shards = ["log"]\noutput.path = "out"\ncolumns.identity = "n"\nidentity.keep_raw = true\ncompose.batch_size = 2')
    assert {row["n"]: row["x"]["s"] for row in dataset(folder).to_pylist()} == {1: "a", 2: "b"}
    pl.read_parquet(folder / "out" / "batches" / "*.parquet")


for check in [one_log_of_many_writers, kinds, ordered_categories, an_order_that_only_a_file_without_rows_tells, partitioned_by_duckdb_and_pyarrow, predicates_as_duckdb_has_them,
              forms_that_readers_take_for_others, a_polars_category_in_a_struct]:
    check()
    print(f"{check.__name__}: as written")
