"""mrs-relay: one request message, one MRS job, and every status change on Kafka, in order."""

__version__ = "0.1.0"
