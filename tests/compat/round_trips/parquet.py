from .trip import Trip, Unavailable


class PyArrow(Trip):
    name = title = "parquet"

    def version(self):
        raise Unavailable("stub")
