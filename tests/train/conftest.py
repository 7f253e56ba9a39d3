from tests.support.runs import cached_rows

__all__ = ["cached_rows"]
