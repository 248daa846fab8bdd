"""A gateway for other people's test suites: a pytest plugin.

    plugin       options and fixtures: `s3_gateway`, `s3_recording`, `s3_faults`
    gateway      what the fixtures give
    environment  variables for programs under test
    recordings   record modes, and where recordings are
    store        the S3 server that is there where nobody names one
    process      the gateway's process, as seen from the tests
    child        the gateway's process
    keeper       ends other programs with pytest

Whatever is imported when pytest starts is small: mitmproxy is loaded in the child alone.
"""
