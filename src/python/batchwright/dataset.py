"""A dataset's manifest and shards, checked against one another before a row is read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .arrays import numbers
from .errors import DatasetError

MANIFEST = "_batchwright/manifest.json"
FORMAT = "batchwright/1"


@dataclass(frozen=True)
class Shard:
    """A file of whole batches, or of one rank's slices of them."""

    path: Path
    bytes: int
    rows: int
    rank: int
    first_batch: int
    batches: int


class Dataset:
    """What the manifest says. Raises DatasetError where there is none, or files are not those that it lists."""

    def __init__(self, location):
        self.root = Path(location)
        path = self.root / MANIFEST
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DatasetError(path, "there is no manifest, which is written last", "name a dataset, or copy it whole") from None
        except (OSError, ValueError) as error:
            raise DatasetError(path, f"it can't be read ({error})", "copy the dataset again") from None
        # Minor versions only add: "batchwright/1.4" is read too.
        if manifest.get("format", "").split(".")[0] != FORMAT:
            raise DatasetError(path, f"its format is {manifest.get('format')!r}, not {FORMAT!r}", "use a newer reader")
        pipeline = manifest["pipeline"]
        self.manifest = manifest
        self.run_id: str = manifest["run_id"]
        self.batch_size: int = pipeline["compose"]["batch_size"]
        self.ranks: int = pipeline["output"]["ranks"]
        self.encoding: str = pipeline["mask"]["encoding"]
        self.rules: list[str] = pipeline["mask"]["rules"]
        self.request_columns: list[str] = pipeline["requests"]["columns"] if pipeline["requests"]["layout"] == "first" else []
        self.batches: int = manifest["counts"]["batches"]
        self.shards = [
            Shard(self.root / s["path"], s["bytes"], s["rows"], s["rank"], s["first_batch"], s["batches"])
            for s in manifest["shards"]
        ]
        self._check_files()
        self._rows_of_batches = self._read_rows()

    def rows_of_batch(self, number: int) -> int:
        """Rows of a global batch: `batch_size`, or fewer where it is the last one of its pool."""
        return int(self._rows_of_batches[number])

    @property
    def is_ramped(self) -> bool:
        """Whether a share rises from the first batch to the last, so that another order would undo it."""
        cluster = self.manifest["pipeline"]["compose"].get("cluster") or {}
        return isinstance(cluster.get("share"), list)

    def of_rank(self, rank: int) -> list[Shard]:
        """A written rank's shards, in reading order."""
        return [shard for shard in self.shards if shard.rank == rank]

    def _check_files(self):
        """The files of `batches/` are those that the manifest lists, with their sizes."""
        found = {path for path in (self.root / "batches").rglob("*") if path.suffix == ".parquet"}
        if foreign := found - {shard.path for shard in self.shards}:
            raise DatasetError(min(foreign), "the manifest does not list it", "remove it, or compose the dataset again")
        for rank in range(self.ranks):
            batch = 0
            for shard in self.of_rank(rank):
                if shard.first_batch != batch:
                    raise DatasetError(self.root / MANIFEST, f"it lacks batch {batch} of rank {rank}", "compose the dataset again")
                batch += shard.batches
            if batch != self.batches:
                raise DatasetError(self.root / MANIFEST, f"rank {rank} has {batch} of {self.batches} batches", "compose the dataset again")
        for shard in self.shards:
            try:
                size = shard.path.stat().st_size
            except OSError:
                raise DatasetError(shard.path, "the manifest lists it, and it is not there", "copy the dataset whole") from None
            if size != shard.bytes:
                raise DatasetError(shard.path, f"it has {size} bytes, not {shard.bytes}", "copy the dataset again")

    def _read_rows(self) -> np.ndarray:
        """By batch: its rows, as the table of statistics has them."""
        path = self.root / "_batchwright/stats.parquet"
        try:
            rows = numbers(pq.read_table(path, columns=["rows"])["rows"])
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(path, f"it can't be read ({error})", "copy the dataset whole") from None
        if len(rows) != self.batches or rows.sum() != self.manifest["counts"]["rows_out"]:
            raise DatasetError(path, "it is not that of the manifest", "copy the dataset whole")
        return rows

    def open(self, shard: Shard) -> pq.ParquetFile:
        """The shard's file. Raises DatasetError where its footer is of another run or place."""
        try:
            file = pq.ParquetFile(shard.path)
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(shard.path, f"it can't be read ({error})", "copy the dataset again") from None
        facts = file.metadata.metadata or {}
        wanted = {
            "run": self.run_id,
            "batch_size": self.batch_size,
            "rank": shard.rank,
            "first_batch": shard.first_batch,
            "batches": shard.batches,
        }
        for key, value in wanted.items():
            found = facts.get(f"batchwright.{key}".encode(), b"nothing").decode()
            if found != str(value):
                problem = f"its footer says {key} = {found}, the manifest {value}"
                raise DatasetError(shard.path, problem, "it is of another dataset: copy this one whole")
        if file.metadata.num_rows != shard.rows:
            raise DatasetError(shard.path, f"it has {file.metadata.num_rows} rows, not {shard.rows}", "copy the dataset again")
        return file
