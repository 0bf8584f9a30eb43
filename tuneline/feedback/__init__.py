"""What applications made of their inputs, judged: the good ones are what a model learns from next."""

from tuneline.feedback.recording import NotRecorded, record, record_all

__all__ = ["NotRecorded", "record", "record_all"]
