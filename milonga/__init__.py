"""Milonga: Segment's SDKs in, Totango out. See docs/how-it-works.md for the road an event takes."""

__version__ = "0.1.0"
