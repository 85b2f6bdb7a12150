"""`batchwright.Batches` gives each row once, in order, with the masks that brute force finds, at any world size.

usage: reader.py ROOT BINARY WORK_DIR
"""

import json
import random
import shutil

import numpy as np
import pyarrow.parquet as pq
from datasets import GROUPED, PACKED, SPREAD, WORK, compose, global_batches, liked, mask, same_item, same_user

from batchwright import Batches, DatasetError, Positives, groups

clicked = liked(lambda row: row["clicked"])

small = ("compose.batch_size=64", "output.row_group_rows=256", "output.shard_rows=1024")
rules = {
    "both": (("mask.rules=['same:identity','same:item']",), lambda a, b: same_user(a, b) or same_item(a, b)),
    "identity": (("mask.rules=['same:identity']",), same_user),
    "portable": (
        ("mask.rules=['same:identity','same:item']", "output.types='portable'"),
        lambda a, b: same_user(a, b) or same_item(a, b),
    ),
    "no-mask": (
        ("mask.rules=['same:identity','same:item']", "mask.encoding='none'"),
        lambda a, b: same_user(a, b) or same_item(a, b),
    ),
    "known": (
        ("mask.rules=['known_positive']", "mask.positive='clicked'"),
        lambda a, b: same_item(a, b) or (a["user_id"], b["item_id"]) in clicked,
    ),
    "surface": (("mask.rules=['same:surface']",), lambda a, b: a["surface"] == b["surface"]),
    "slots": (
        ("mask.rules=['known_positive']", "mask.positive='clicked'", "mask.encoding='slots'"),
        lambda a, b: same_item(a, b) or (a["user_id"], b["item_id"]) in clicked,
    ),
}


def masks_are_those_of_brute_force():
    for name, (sets, excluded) in rules.items():
        for ranks in (1, 4):
            pipeline = SPREAD if ranks == 1 else PACKED
            dataset = compose(f"{name}-{ranks}", pipeline, f"output.ranks={ranks}", *small, *sets)
            batches = global_batches(dataset)
            # Brute force takes its time: every fifth batch, and the last ones.
            looked_at = [k for k in range(len(batches)) if k % 5 == 0 or k + 3 > len(batches)]
            negatives = {k: mask(batches[k], excluded) for k in looked_at}
            users = {k: np.array([[same_user(a, b) for b in batches[k]] for a in batches[k]]) for k in looked_at}
            for world in (1, 2, 4):
                shares = [list(Batches(dataset, rank, world)) for rank in range(world)]
                for index, share in enumerate(zip(*shares, strict=True)):
                    batch = batches[index]
                    assert sum(len(own) for own in share) == len(batch)
                    seen = np.concatenate([own.slots for own in share])
                    assert (seen == np.arange(len(batch))).all()
                    for own in share:
                        assert own.index == index and own.width == len(batch)
                        slots = own.slots
                        assert (own.targets() == slots).all()
                        assert own.table["item_id"].to_pylist() == [batch[slot]["item_id"] for slot in slots]
                        assert (own.anchors == [batch[slot]["bw_anchor"] for slot in slots]).all()
                        if index not in negatives:
                            continue
                        expected, found = negatives[index][slots], own.negatives()
                        assert (found == expected).all(), (name, ranks, world, index)
                        assert (own.negatives(local=True) == expected[:, slots]).all()
                        assert (own.same_user() == users[index][slots]).all()
                        assert (own.same_user(local=True) == users[index][slots][:, slots]).all()
                assert index + 1 == len(batches)


def positives_are_those_of_brute_force():
    for encoding in ("bitmap", "slots"):
        for ranks in (1, 4):
            pipeline = SPREAD if ranks == 1 else PACKED
            sets = ("mask.rules=['same:identity']", "mask.positives=['same:surface']", f"mask.encoding='{encoding}'")
            dataset = compose(f"positives-{encoding}-{ranks}", pipeline, f"output.ranks={ranks}", *small, *sets)
            batches = global_batches(dataset)
            for world in (1, 2, 4):
                shares = [list(Batches(dataset, rank, world)) for rank in range(world)]
                for index in range(0, len(batches), 7):
                    batch = batches[index]
                    examples = [(row["user_id"], row["request_id"], row["item_id"]) for row in batch]
                    # Padding is nobody's positive: these logs have no other copies.
                    fits = lambda i, j: batch[i]["surface"] == batch[j]["surface"] and not batch[j]["bw_copy"] and examples[i] != examples[j]
                    expected = np.array([[fits(i, j) for j in range(len(batch))] for i in range(len(batch))])
                    for share in shares:
                        own = share[index]
                        assert (own.positives() == expected[own.slots]).all(), (encoding, ranks, world, index)
                        assert not (own.positives() & own.negatives()).any()
                        assert (own.positives(local=True) == expected[own.slots][:, own.slots]).all()
                        assert (own.table["bw_valid_positives"].to_numpy() == expected[own.slots].sum(1)).all()


def a_cut_is_a_part_of_its_masks():
    for batch in Batches(WORK / "known-1"):
        whole, n = batch.negatives(), len(batch)
        for start in range(0, n, 24):
            rows = slice(start, start + 24)
            assert (batch.cut(rows).negatives() == whole[rows]).all()
            part = batch.cut(rows, slice(8, 40))
            assert (part.negatives() == whole[rows, 8:40]).all()
            assert part.table["item_id"].to_pylist() == batch.table["item_id"].to_pylist()[start : start + 24]
            inside = part.targets() >= 0
            assert (inside == ((part.slots >= 8) & (part.slots < 40))).all()
            assert (part.targets()[inside] + 8 == part.slots[inside]).all()
            places = np.array([5, 2, 11])
            again = batch.cut(rows, slice(8, 40)).cut(slice(0, 12), slice(4, 20))
            assert (again.negatives() == whole[rows, 8:40][0:12, 4:20]).all()
            if n - start > 11:
                assert (batch.cut(rows).cut(places).negatives() == whole[rows][places]).all()


def any_order_has_each_batch_once():
    for dataset in (WORK / "both-1", WORK / "both-4"):
        plain = [batch.number for batch in Batches(dataset)]
        assert plain == list(range(len(plain)))
        other = [batch.number for batch in Batches(dataset, shuffle=3)]
        assert sorted(other) == plain and other != plain
        ranks = [[b.number for b in Batches(dataset, rank, 2, shuffle=3)] for rank in range(2)]
        assert ranks == [other, other]
        assert other != [b.number for b in Batches(dataset, shuffle=4)]
        two = list(Batches([dataset, dataset], start=5))
        assert [batch.index for batch in two] == list(range(5, 2 * len(plain)))
        reader = Batches(dataset, start=len(plain) - 1)
        assert [batch.index for batch in reader] == [len(plain) - 1] == [batch.index for batch in reader]
        reader.load({**reader.state(), "next": 3})
        assert reader.state()["next"] == 3 and len(list(reader)) == len(plain) - 3
        assert reader.state()["next"] == len(plain) - 1 and len(list(reader)) == 1


def whoever_goes_on_elsewhere_sees_the_same_batches():
    chance = random.Random(0)
    dataset = WORK / "both-4"
    for shuffle in (None, 11):
        whole = [batch.table["item_id"].to_pylist() for batch in Batches(dataset, shuffle=shuffle)]
        for _ in range(5):
            position, state, seen = 0, None, []
            while position < len(whole):
                world = chance.choice([1, 2, 4])
                readers = [Batches(dataset, rank, world, shuffle=shuffle) for rank in range(world)]
                for reader in readers:
                    state and reader.load(json.loads(json.dumps(state)))
                stop = min(len(whole), position + chance.randint(1, 40))
                for share in zip(*readers, strict=True):
                    seen.append([item for own in share for item in own.table["item_id"].to_pylist()])
                    position += 1
                    if position == stop:
                        break
                # Killed here: any rank's state says where all go on.
                state = chance.choice(readers).state() if position < len(whole) else state
            assert seen == whole


def requests_stand_once():
    dataset = compose("packed", PACKED, "output.ranks=4", *small)
    packed = {tuple(row["user_history"] or ()) for batch in global_batches(dataset) for row in batch}
    histories = {row["request_id"]: tuple(row["user_history"]) for batch in global_batches(dataset) for row in batch if row["bw_request_first"]}
    assert len(packed) > 10
    for world in (1, 2, 4):
        for rank in range(world):
            for batch in Batches(dataset, rank, world):
                table, of_row = batch.requests(["user_history"])
                expected = [histories[request] for request in batch.table["request_id"].to_pylist()]
                found = table["user_history"].to_pylist()
                assert [tuple(found[at]) for at in of_row] == expected
                rows = slice(3, 9)
                assert (batch.cut(rows).requests()[1] == of_row[rows]).all()


def groups_are_rows_of_one_identity():
    dataset = compose("grouped", GROUPED)
    number = 0
    for batch in Batches(dataset):
        rows = groups(batch)
        users, labels = batch.column("bw_user").to_numpy(), batch.column("label").to_pylist()
        for group in rows:
            assert len(set(users[group])) == 1
            assert sorted(labels[row] for row in group) == sorted(labels[row] for row in rows[0])
        number += len(rows)
    assert number > 100


def known_positives_of_any_candidate():
    dataset = compose("positives", SPREAD, *small, "mask.rules=['known_positive']", "mask.positive='clicked'", "output.positives=true")
    positives = Positives(dataset)
    queue: list = []
    for batch in list(Batches(dataset))[:12]:
        users, items = batch.column("bw_user").to_numpy(), batch.column("bw_item").to_numpy()
        names = list(zip(batch.table["user_id"].to_pylist(), batch.table["item_id"].to_pylist()))
        queue = (queue + list(zip(items, (item for _, item in names))))[-300:]
        candidates = np.array([token for token, _ in queue])
        found = positives.known(users, candidates)
        assert found.tolist() == [[(user, item) in clicked for _, item in queue] for user, _ in names]
    strangers = np.array([1, 2, 3])
    assert not positives.known(strangers, candidates).any() and positives.known(users, candidates[:0]).shape == (len(users), 0)


def refused(words, read):
    try:
        read()
    except (DatasetError, ValueError) as error:
        assert all(word in str(error) for word in words), error
        return
    raise AssertionError(f"nothing was said of {words}")


def what_is_torn_foreign_or_half_copied_is_refused():
    source, other = WORK / "both-1", WORK / "known-1"

    def copy(name, change):
        out = WORK / f"torn-{name}"
        shutil.copytree(source, out)
        change(out, sorted((out / "batches").glob("*.parquet")))
        return out

    def rewrite(shard, change, **facts):
        """A shard with other rows, and a manifest that agrees with its size."""
        file, size = pq.ParquetFile(shard), shard.stat().st_size
        known = {key: value for key, value in file.metadata.metadata.items() if key.startswith(b"batchwright.")}
        facts = known | {key.encode(): value.encode() for key, value in facts.items()}
        pq.write_table(change(file.read()).replace_schema_metadata(facts), shard, row_group_size=256)
        manifest = shard.parents[1] / "_batchwright/manifest.json"
        text = json.loads(manifest.read_text())
        (record,) = [s for s in text["shards"] if s["path"] == f"batches/{shard.name}"]
        assert record["bytes"] == size
        record["bytes"] = shard.stat().st_size
        manifest.write_text(json.dumps(text))

    cases = {
        "no-manifest": (lambda out, shards: (out / "_batchwright/manifest.json").unlink(), ["manifest"]),
        "lost": (lambda out, shards: shards[2].unlink(), ["not there"]),
        "cut": (lambda out, shards: shards[2].write_bytes(shards[2].read_bytes()[:-9]), ["bytes"]),
        "foreign": (lambda out, shards: shutil.copy(shards[0], shards[0].with_name("part-99999.parquet")), ["does not list"]),
        "damaged": (lambda out, shards: shards[0].write_bytes(b"x" * shards[0].stat().st_size), ["can't be read"]),
        "mixed": (lambda out, shards: rewrite(shards[1], lambda t: t, **{"batchwright.run": "0" * 32}), ["run"]),
        "place": (lambda out, shards: rewrite(shards[1], lambda t: t, **{"batchwright.first_batch": "3"}), ["first_batch"]),
        "fewer": (lambda out, shards: rewrite(shards[1], lambda t: t.slice(0, t.num_rows - 1)), ["rows"]),
        "swapped": (lambda out, shards: rewrite(shards[0], lambda t: t.take([1, 0, *range(2, t.num_rows)])), ["torn"]),
        "no-stats": (lambda out, shards: (out / "_batchwright/stats.parquet").unlink(), ["stats"]),
    }
    for name, (change, words) in cases.items():
        dataset = copy(name, change)
        refused(words, lambda: list(Batches(dataset)))
    refused(["no column", "colour"], lambda: list(Batches(source, columns=["colour"])))
    refused(["3 processes"], lambda: Batches(source, 0, 3))
    refused(["3 processes"], lambda: Batches(WORK / "both-4", 0, 3))
    refused(["rank is 2"], lambda: Batches(source, 2, 2))
    refused(["start"], lambda: Batches(source, start=10_000))
    refused(["another dataset"], lambda: Batches(source).load(Batches(other).state()))
    refused(["shuffle=5"], lambda: Batches(source).load(Batches(source, shuffle=5).state()))
    refused(["positives"], lambda: Positives(WORK / "packed"))
    refused(["bw_positives"], lambda: next(iter(Batches(source))).positives())
    refused(["requests"], lambda: next(iter(Batches(source))).requests())


def what_nobody_asks_for_is_not_read():
    (batch, *_) = Batches(WORK / "known-1", columns=["item_id"])
    group = batch._slices[0].group
    assert set(group._columns) <= {"bw_batch", "bw_slot", "item_id"}
    assert batch.table.column_names == ["item_id"]
    batch.negatives()
    assert "bw_negatives" in group._columns


masks_are_those_of_brute_force()
positives_are_those_of_brute_force()
a_cut_is_a_part_of_its_masks()
any_order_has_each_batch_once()
whoever_goes_on_elsewhere_sees_the_same_batches()
requests_stand_once()
groups_are_rows_of_one_identity()
known_positives_of_any_candidate()
what_is_torn_foreign_or_half_copied_is_refused()
what_nobody_asks_for_is_not_read()
