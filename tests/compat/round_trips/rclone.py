from .trip import Trip, Unavailable


class Rclone(Trip):
    name = title = "rclone"

    def version(self):
        raise Unavailable("stub")
