"""A table of ways to break a signature, each with the causes to be found; support/middlebox.py has the pieces."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from support import middlebox as m
from support.explain_corpus import SECRET
from support.middlebox import EMPTY_HASH, Mangler, one

MANGLERS: Mapping[str, Mangler] = {
    # Host
    "the port is dropped": one(m.host(lambda value: value.rpartition(":")[0]), "host-port-dropped"),
    "the port is added": one(m.signed_for("store.example.test", "store.example.test:6190"), "host-port-added"),
    "the port changes": one(m.signed_for("store.example.test:443", "store.example.test:6190"), "host-port-changed"),
    "Host is rewritten, X-Forwarded-Host tells": one(m.hidden_behind("X-Forwarded-Host"), "host-rewritten"),
    "Host is rewritten, X-Original-Host tells": one(m.hidden_behind("X-Original-Host"), "host-rewritten"),
    "Host is rewritten, Forwarded tells": one(m.hidden_behind("Forwarded", "for=192.0.2.1;host="), "host-rewritten"),
    "Host is rewritten to an address": one(m.signed_for("osp.example.test", "10.0.0.7:6190"), "host-rewritten"),
    "Host is put in upper case": one(m.signed_for("store.example.test", "STORE.EXAMPLE.TEST"), "host-case"),
    "the bucket moves from host to path": one(m.bucket_to_path, "bucket-moved-to-path"),
    # Path
    "slashes are merged": one(m.path(lambda text: text.replace("//", "/")), "path-normalised"),
    "a dot segment is taken out": one(
        m.signed_otherwise("path", lambda text: text.replace("/folder/", "/./folder/")), "path-normalised"
    ),
    "the path is encoded again": one(m.path(lambda text: text.replace("%", "%25")), "path-double-encoded"),
    "the path is signed encoded twice": one(
        m.signed_otherwise("path", lambda text: text.replace("%", "%25")), "path-encoded-twice"
    ),
    "a %2F in the path is decoded": one(
        m.signed_otherwise("path", lambda text: text.replace("/folder/", "/folder%2F", 1)), "path-decoded"
    ),
    "blanks in the path become pluses": one(m.path(lambda text: text.replace("%20", "+")), "path-blank-became-plus"),
    "pluses in the path become blanks": one(m.path(lambda text: text.replace("%2B", "%20")), "path-plus-became-blank"),
    "the path is signed with lower-case hex": one(
        m.signed_otherwise("path", lambda text: text.replace("%2B", "%2b")), "path-lowercase-hex"
    ),
    "a prefix is stripped": one(m.prefixed("/s3"), "path-prefix-stripped"),
    "a prefix is stripped, X-Forwarded-Prefix tells": one(m.forwarded_prefix, "path-prefix-stripped"),
    "a prefix is stripped, X-Original-URI tells": one(m.forwarded_uri, "path-prefix-stripped"),
    "a prefix is added": one(m.path(lambda text: "/gateway/v1" + text), "path-prefix-added"),
    "a slash is added at the end": one(m.path(lambda text: text.rstrip("/") + "/"), "path-trailing-slash"),
    "a slash is taken from the end": one(m.path(lambda text: text.rstrip("/")), "path-trailing-slash"),
    # Query
    "a tracking parameter is added": one(m.plus("utm_source=mail"), "query-parameter-added:utm_source"),
    "tracking parameters are added": one(m.plus("fbclid=x&utm_source=y&utm_medium=z"), "query-parameters-added"),
    "an unknown parameter is added": one(m.plus("tenant=blue"), "query-parameter-added:tenant"),
    "x-id is removed": one(m.query_without("x-id"), "query-parameter-removed:x-id"),
    "delimiter is removed": one(m.query_without("delimiter"), "query-parameter-removed:delimiter"),
    "an empty parameter is removed": one(m.signed_with("fetch-owner="), "query-parameter-removed:fetch-owner"),
    "the query is encoded again": one(m.query(lambda text: text.replace("%", "%25")), "query-double-encoded"),
    "blanks in the query become pluses": one(m.query(lambda text: text.replace("%20", "+")), "query-blank-became-plus"),
    "pluses in the query become blanks": one(
        m.query(lambda text: text.replace("%2B", "%20")), "query-plus-became-blank"
    ),
    "the query is signed unsorted": one(m.signed_unsorted, "query-unsorted"),
    "the query is signed with its slashes": one(
        m.signed_otherwise("query", lambda text: text.replace("%2F", "/")), "query-slash-not-encoded"
    ),
    "a presigned URL is copied from HTML": one(
        m.only_if(m.is_presigned, m.query(lambda text: text.replace("&", "&amp;"))), "query-html-escaped"
    ),
    "a presigned URL is made to last": one(m.made_to_last, "expires-changed"),
    # Headers
    "Accept-Encoding changes": one(m.header("accept-encoding", "gzip, br"), "header-changed:accept-encoding"),
    "Accept-Encoding is dropped": one(m.dropped("accept-encoding"), "header-dropped:accept-encoding"),
    "Accept-Encoding of another client changes": one(
        m.signed_also("accept-encoding", "identity", "gzip"), "header-changed:accept-encoding"
    ),
    "a charset is added": one(m.charset_added, "header-changed:content-type"),
    "a charset is dropped": one(m.charset_dropped, "header-changed:content-type"),
    "Content-Type is dropped": one(
        m.signed_also("content-type", "application/xml", None), "header-dropped:content-type"
    ),
    "Expect is dropped": one(m.signed_also("expect", "100-continue", None), "header-dropped:expect"),
    "Transfer-Encoding is dropped": one(
        m.signed_also("transfer-encoding", "chunked", None), "header-dropped:transfer-encoding"
    ),
    "Connection changes": one(m.signed_also("connection", "keep-alive", "close"), "header-changed:connection"),
    "User-Agent is added to": one(
        m.signed_also("user-agent", "client/1.0 lang/3", "client/1.0 lang/3 a-proxy/2"), "header-changed:user-agent"
    ),
    "User-Agent is dropped": one(m.signed_also("user-agent", "client/1.0", None), "header-dropped:user-agent"),
    "Content-Length 0 is dropped": one(
        m.only_if(m.is_empty, m.signed_also("content-length", "0", None)), "header-dropped:content-length"
    ),
    "Content-MD5 is filled in": one(
        m.signed_also("content-md5", "", "1B2M2Y8AsgTpgAmY7PhCfg=="), "header-changed:content-md5"
    ),
    "Cache-Control changes": one(
        m.signed_also("cache-control", "no-cache", "max-age=0"), "header-changed:cache-control"
    ),
    "values are joined": one(m.signed_also("x-amz-meta-list", "a,b", "a, b"), "header-joined:x-amz-meta-list"),
    "a second value is added": one(
        m.both(m.signed_also("x-amz-meta-one", "a", "a"), m.with_header("x-amz-meta-one", "b")),
        "header-added:x-amz-meta-one",
    ),
    "a value changes its case": one(m.signed_also("x-amz-meta-case", "MIXED", "Mixed"), "header-case:x-amz-meta-case"),
    "an x-amz header is added after signing": one(
        m.with_header("x-amz-request-payer", "requester"), "header-added:x-amz-request-payer"
    ),
    "the payload hash is replaced by a mode": one(
        m.header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), "header-changed:x-amz-content-sha256"
    ),
    "x-amz-content-sha256 is dropped": one(m.dropped("x-amz-content-sha256"), "header-dropped:x-amz-content-sha256"),
    "x-amz-date is dropped": one(m.dropped("x-amz-date"), "header-dropped:x-amz-date"),
    # Method
    "HEAD becomes GET": one(m.method("HEAD", "GET"), "method-changed"),
    "GET becomes HEAD": one(m.method("GET", "HEAD"), "method-changed"),
    "PUT becomes POST": one(m.method("PUT", "POST"), "method-changed"),
    # Scope and time
    "another region is signed": one(m.at_signer(region="aws-global"), "scope-region"),
    "the signing key is for another region": one(m.at_signer(key_region="eu-west-1"), "signing-key-region"),
    "another service is signed": one(m.at_signer(service="execute-api"), "scope-service"),
    "the signing key is of yesterday": one(m.key_of_yesterday, "signing-key-day"),
    "the time is moved on the way": one(m.written_later(hours=2), "date-changed"),
    "the clock is ahead": one(m.only_if(m.before_evening, m.signed_at(minutes=73)), "clock-skew"),
    "local time is written as UTC": one(m.only_if(m.before_evening, m.signed_at(hours=2)), "time-zone-slip"),
    "the day slips": one(m.day_slipped, "date-slip"),
    "the Date header is signed": one(m.date_header_signed, "date-header-signed"),
    # Secret
    "the secret ends with a newline": one(m.at_signer(secret=SECRET + "\n"), "secret-trailing-newline"),
    "the secret ends with CR LF": one(m.at_signer(secret=SECRET + "\r\n"), "secret-trailing-crlf"),
    "the secret ends with a blank": one(m.at_signer(secret=SECRET + " "), "secret-trailing-blank"),
    "the secret is quoted": one(m.at_signer(secret=f'"{SECRET}"'), "secret-double-quotes"),
    "the secret is in single quotes": one(m.at_signer(secret=f"'{SECRET}'"), "secret-single-quotes"),
    "the secret is percent-decoded": one(m.at_signer(secret=unquote(SECRET)), "secret-percent-decoded"),
    "the secret's plus becomes a blank": one(m.at_signer(secret=SECRET.replace("+", " ")), "secret-plus-became-blank"),
    "another key's secret is used": one(m.at_signer(secret=m.OTHER_SECRET), "secret-of-other-key"),
    "key and secret are swapped": one(m.swapped, "keys-swapped"),
    "AWS4 is left out of the key": one(m.at_signer(start=""), "signing-key-without-aws4"),
    # Body
    "the body is changed": one(m.with_body(lambda body: body.replace(b"\n", b"\r\n")), "body-altered"),
    "UNSIGNED-PAYLOAD is signed": one(m.moved_hash("UNSIGNED-PAYLOAD"), "payload-unsigned"),
    "an empty body's hash is signed": one(m.moved_hash(EMPTY_HASH), "payload-empty-hash"),
    "a payload hash comes with a presigned URL": one(
        m.only_if(m.has_no_hash, m.with_header("x-amz-content-sha256", EMPTY_HASH)),
        "payload-unsigned",
        "header-added:x-amz-content-sha256",
    ),
    "an Authorization header comes with a presigned URL": one(
        m.only_if(m.is_presigned, m.with_header("Authorization", "Bearer not-a-real-token")), "header-and-query"
    ),
}

PAIRS: tuple[tuple[str, str], ...] = (
    ("the port is dropped", "Accept-Encoding changes"),
    ("the port is dropped", "a tracking parameter is added"),
    ("the port is dropped", "GET becomes HEAD"),
    ("the port is dropped", "a prefix is added"),
    ("the port is dropped", "slashes are merged"),
    ("the port is dropped", "a slash is added at the end"),
    ("the port is dropped", "pluses in the query become blanks"),
    ("the secret ends with a newline", "the port is dropped"),
    ("the secret ends with a newline", "Accept-Encoding changes"),
    ("another key's secret is used", "the port is dropped"),
    ("a prefix is added", "a tracking parameter is added"),
    ("a charset is dropped", "Accept-Encoding changes"),
    ("a charset is added", "the port is dropped"),
    ("another region is signed", "the port is dropped"),
    ("local time is written as UTC", "the port is dropped"),
    ("an x-amz header is added after signing", "the port is dropped"),
    ("blanks in the query become pluses", "the port is dropped"),
    ("Expect is dropped", "the port is dropped"),
)
"""Two at once, in this order."""
