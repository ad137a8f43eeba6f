"""Parquet files on S3 by DuckDB's httpfs."""

import importlib.metadata
import importlib.util
from pathlib import Path

from harness import settings

from . import parquet, samples
from .trip import Trip, Unavailable, expect, step


class Duck(Trip):
    """SQL over S3."""

    name = "duckdb"
    title = "DuckDB (Parquet)"

    def version(self):
        if not importlib.util.find_spec("duckdb"):
            raise Unavailable("needs the Python package duckdb")
        return importlib.metadata.version("duckdb")

    def prepare(self):
        found = importlib.util.find_spec("duckdb_extension_httpfs")
        files = list(Path(found.origin).parent.rglob("httpfs.duckdb_extension")) if found else []
        if not files:
            raise Unavailable("needs DuckDB's httpfs extension (the Python package duckdb-extension-httpfs)")
        self.extension = files[0]
        self.db = self.connect(settings.ROOT_SECRET)
        self.s3.create_bucket(Bucket=self.bucket)

    def connect(self, secret):
        """A database of its own, with this secret."""
        import duckdb

        db = duckdb.connect()
        db.execute(f"LOAD '{self.extension}'")
        db.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{settings.ROOT_ACCESS}', SECRET '{secret}', REGION '{settings.REGION}', "
            f"ENDPOINT '{self.node.s3_addr}', URL_STYLE 'path', USE_SSL false)"
        )
        db.execute("SET http_retries = 0")
        # A ten-thousandth of it is the size of a part.
        db.execute("SET s3_uploader_max_filesize = '60GB'")
        return db

    def sql(self, text):
        """All rows of a query; `{at}` is the bucket."""
        return self.db.execute(text.replace("{at}", f"s3://{self.bucket}")).fetchall()

    @step("COPY TO in parts")
    def writes(self):
        self.sql(
            f"COPY (SELECT n AS id, n / 2 AS half, md5(n::VARCHAR) AS name FROM range({parquet.ROWS}) t(n)) "
            f"TO '{{at}}/a b/+t%é.parquet' (ROW_GROUP_SIZE {parquet.GROUP})"
        )
        expect("-" in self.s3.head_object(Bucket=self.bucket, Key="a b/+t%é.parquet")["ETag"], "not uploaded in parts")

    @step("footer, columns and row groups by range")
    def reads(self):
        where = "'{at}/a b/+t%é.parquet'"
        size, before = self.s3.head_object(Bucket=self.bucket, Key="a b/+t%é.parquet")["ContentLength"], self.sent()
        expect(self.sql(f"SELECT num_rows FROM parquet_file_metadata({where})") == [(parquet.ROWS,)], "the footer")
        total = parquet.ROWS * (parquet.ROWS - 1) // 2
        expect(self.sql(f"SELECT count(*), sum(id) FROM {where}") == [(parquet.ROWS, total)], "sum")
        expect(self.sql(f"SELECT name FROM {where} WHERE id = 777777") == [("f63f4fbc9f8c85d409f2f59f2b9e12d5",)], "one row")
        sent = self.sent() - before
        expect(0 < sent < size, f"{sent:.0f} bytes of {size} were sent for a footer, one column and one row group")

    @step("listing by pattern, partitions")
    def patterns(self):
        self.sql("COPY (SELECT n, n % 3 AS part FROM range(300) t(n)) TO '{at}/set' (FORMAT parquet, PARTITION_BY (part))")
        expect(self.sql("SELECT count(*) FROM '{at}/set/*/*.parquet' WHERE part = 1") == [(100,)], "one partition")
        expect(len(self.sql("SELECT file FROM glob('{at}/**')")) >= 4, "`glob`")
        many = self.db.execute(f"SELECT count(*) FROM glob('s3://{self.many}/**')").fetchall()
        expect(many == [(samples.MANY,)], f"`glob` in pages: {many}")

    @step("CSV and JSON")
    def texts(self):
        self.sql("COPY (SELECT 1 AS a, 'x,y' AS b) TO '{at}/f.csv'")
        expect(self.sql("SELECT * FROM '{at}/f.csv'") == [(1, "x,y")], "CSV")
        self.sql("COPY (SELECT 1 AS a, 'x' AS b) TO '{at}/f.json'")
        expect(self.sql("SELECT a, b FROM '{at}/f.json'") == [(1, "x")], "JSON")

    @step("missing key, wrong secret")
    def refusals(self):
        for db, what, said in ((self.db, "none.parquet", "404"), (self.connect("wrong"), "f.csv", "403")):
            try:
                db.execute(f"SELECT * FROM 's3://{self.bucket}/{what}'").fetchall()
                expect(False, f"{what} was read")
            except Exception as error:  # duckdb's classes: HTTPException, IOException by version
                expect(said in str(error), f"{error}")

    @step("what others see")
    def others(self):
        expect(len(self.stored()) == 6, f"{self.stored().keys()}")
        for key in self.stored():
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        self.s3.delete_bucket(Bucket=self.bucket)
        self.gone()
