"""Parquet files on S3 by pyarrow: a reader that wants footers and columns, by range."""

import importlib.metadata

from harness import settings

from . import samples
from .trip import Trip, Unavailable, expect, step

#: Rows of the table.
ROWS = 1_000_000
GROUP = 50_000


def table():
    """A table of three columns."""
    import pyarrow as pa

    numbers = range(ROWS)
    return pa.table({
        "id": pa.array(numbers, pa.int64()),
        "half": pa.array([n / 2 for n in numbers], pa.float64()),
        "name": pa.array([f"row {n * 2654435761 % ROWS}" for n in numbers]),
    })


class PyArrow(Trip):
    """`pyarrow.fs.S3FileSystem`, on the AWS SDK for C++."""

    name = "pyarrow"
    title = "pyarrow (Parquet)"

    def version(self):
        try:
            return importlib.metadata.version("pyarrow")
        except importlib.metadata.PackageNotFoundError:
            raise Unavailable("needs the Python package pyarrow") from None

    def prepare(self):
        self.fs = self.system(settings.ROOT_SECRET)

    def system(self, secret):
        """The file system of pyarrow."""
        from pyarrow import fs

        return fs.S3FileSystem(
            access_key=settings.ROOT_ACCESS, secret_key=secret, endpoint_override=self.node.s3_addr, scheme="http",
            region=settings.REGION, allow_bucket_creation=True, allow_bucket_deletion=True,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
        )

    def at(self, key=""):
        return f"{self.bucket}/{key}"

    @step("make a bucket")
    def make(self):
        self.fs.create_dir(self.bucket)
        expect(self.fs.get_file_info(self.bucket).is_file is False, "it is not there")

    @step("write 40 MiB in parts, read whole and by range")
    def large(self):
        with self.fs.open_output_stream(self.at("large.bin"), metadata={"Content-Type": "text/x-test"}) as out:
            out.write(samples.large())
        self.in_parts("large.bin")
        with self.fs.open_input_stream(self.at("large.bin")) as stream:
            expect(stream.read() == samples.large(), "other bytes came back")
            expect(stream.metadata().get("Content-Type") == b"text/x-test", f"metadata: {stream.metadata()}")
        with self.fs.open_input_file(self.at("large.bin")) as file:
            for start, size in ((0, 10), (12_345_678, 4_000_000), (samples.LARGE - 5, 5)):
                expect(file.read_at(size, start) == samples.large()[start : start + size], f"{size} bytes from {start}")

    @step("odd names")
    def names(self):
        for name, data in samples.tree().items():
            with self.fs.open_output_stream(self.at(f"t/{name}")) as out:
                out.write(data)
        self.holds("t/", samples.tree())
        for name, data in samples.tree().items():
            with self.fs.open_input_stream(self.at(f"t/{name}")) as stream:
                expect(stream.read() == data, f"bytes of {name!r}")

    @step("list: recursive, one level, pages")
    def lists(self):
        from pyarrow import fs

        def found(where, recursive):
            infos = self.fs.get_file_info(fs.FileSelector(where, recursive=recursive))
            return {info.path.removeprefix(where + "/") for info in infos if info.is_file}

        expect(found(self.at("t"), True) == samples.tree().keys(), "recursive")
        expect("dir/deep/er/file" not in found(self.at("t"), False), "one level")
        expect(len(found(self.many, True)) == samples.MANY, "pages")

    @step("Parquet: write, footer, columns and row groups by range")
    def parquet(self):
        from pyarrow import parquet as pq

        whole = table()
        pq.write_table(whole, self.at("table.parquet"), filesystem=self.fs, row_group_size=GROUP)
        size = self.fs.get_file_info(self.at("table.parquet")).size
        before = self.sent()
        with pq.ParquetFile(self.fs.open_input_file(self.at("table.parquet"))) as file:
            expect(file.metadata.num_rows == ROWS and file.num_row_groups == ROWS // GROUP, "the footer")
            column = file.read_row_group(7, columns=["id"])["id"].to_pylist()
        expect(column == list(range(7 * GROUP, 8 * GROUP)), "one column of one row group")
        sent = self.sent() - before
        expect(0 < sent < size / 4, f"{sent:.0f} bytes of {size} were sent for one column of one row group")
        columns, last = ["id", "name"], [("id", ">=", ROWS - 3)]
        some = pq.read_table(self.at("table.parquet"), filesystem=self.fs, columns=columns, filters=last)
        expect(some.to_pylist() == whole.select(columns).slice(ROWS - 3).to_pylist(), "a filter")
        expect(pq.read_table(self.at("table.parquet"), filesystem=self.fs).equals(whole), "the whole table")

    @step("partitioned data set")
    def dataset(self):
        import pyarrow as pa
        from pyarrow import dataset as ds

        rows = pa.table({"kind": ["a b", "c+d", "a b", "\u00e9"], "n": [1, 2, 3, 4]})
        flavour = ds.partitioning(pa.schema([("kind", pa.string())]), flavor="hive")
        ds.write_dataset(rows, self.at("set"), format="parquet", filesystem=self.fs, partitioning=flavour)
        read = ds.dataset(self.at("set"), format="parquet", filesystem=self.fs, partitioning=flavour)
        got = read.to_table(filter=ds.field("kind") == "a b", columns=["n"])["n"].to_pylist()
        expect(sorted(got) == [1, 3], f"one partition: {got}")

    @step("copy, move, delete one")
    def moves(self):
        self.fs.copy_file(self.at("t/plus+sign"), self.at("copied +%41"))
        self.fs.move(self.at("copied +%41"), self.at("moved +%41"))
        expect(self.stored("moved ") == samples.sums({"+%41": b"the bytes of plus+sign"}), "the moved copy")
        self.fs.delete_file(self.at("moved +%41"))

    @step("missing key, wrong secret")
    def refusals(self):
        from pyarrow import fs

        expect(self.fs.get_file_info(self.at("none")).type == fs.FileType.NotFound, "a missing key is found")
        try:
            self.fs.open_input_file(self.at("none"))
            expect(False, "a missing key was opened")
        except FileNotFoundError:
            pass
        try:
            self.system("wrong").get_file_info(fs.FileSelector(self.bucket))
            expect(False, "a wrong secret is taken")
        except OSError as error:
            expect("SIGNATURE_DOES_NOT_MATCH" in str(error) or "ACCESS_DENIED" in str(error), f"{error}")

    @step("delete recursively, remove the bucket")
    def delete(self):
        self.fs.delete_dir(self.at("t"))
        self.emptied("t/")
        self.fs.delete_dir(self.bucket)
        self.gone()
