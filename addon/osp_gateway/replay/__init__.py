"""Recorded S3 traffic sent again, and what has changed since: exchanges, substitutions, comparison, reports.

Nothing here knows where recordings come from; `mitm.recording` reads and writes them as flow files.
"""
