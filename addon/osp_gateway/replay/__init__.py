"""Recorded S3 traffic sent again, and what has changed since: exchanges, substitutions, comparison, reports.

Nothing here knows where recordings come from; `mitm.recording` writes them as flow files, `mitm.rereading` reads them.
"""
