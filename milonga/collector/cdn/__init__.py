"""What browsers and phones fetch: the library, its chunks, and the settings of a source. See docs/browsers.md."""

from milonga.collector.cdn.cdn import Cdn

__all__ = ["Cdn"]
