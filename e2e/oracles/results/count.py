"""The peer of `make bench`: pyarrow reads the same records and counts runs and passes by probe, region and minute, then minutes in
which no region failed. One process, its own threads. Usage: count.py STORE KEYS"""

import glob
import resource
import sys
import time

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

import recompute_keys

began = time.time()
factory = pe.CryptoFactory(recompute_keys.client(sys.argv[2]))
rows = minutes = bad = 0
for path in sorted(glob.glob(sys.argv[1] + "/v1/*/raw/*/*.parquet")):
    properties = factory.file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration(), path)
    table = pq.read_table(path, columns=["probe", "slot", "outcome", "duration_us"], decryption_properties=properties)
    minute = pc.floor_temporal(table["slot"], unit="minute")
    failed = pc.equal(pc.cast(table["outcome"], "string"), "fail").cast("int8")
    by = table.append_column("minute", minute).append_column("failed", failed).group_by(["probe", "minute"])
    told = by.aggregate([("failed", "sum"), ("duration_us", "sum"), ("duration_us", "count")])
    rows += table.num_rows
    minutes += told.num_rows
    bad += pc.sum(pc.greater(told["failed_sum"], 1).cast("int64")).as_py() or 0
usage = resource.getrusage(resource.RUSAGE_SELF)
print(f"pyarrow_rows {rows}.00 ")
print(f"pyarrow_counted_in {time.time() - began:.2f} s")
print(f"pyarrow_counted_with {usage.ru_utime + usage.ru_stime:.2f} CPU s")
print(f"pyarrow_minutes {minutes}.00 ")
print(f"pyarrow_minutes_down {bad}.00 ")
print(f"pyarrow_peak_memory {usage.ru_maxrss / 1024:.2f} MiB")
