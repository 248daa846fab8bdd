"""What differs between an answer and the recorded one, and what may."""

from __future__ import annotations

import pytest

from osp_gateway.replay.compare import MAX_SHOWN_CHARS, Difference, compare, error_code
from osp_gateway.replay.exchange import Answer, Exchange, Payload
from osp_gateway.replay.names import Kind, Names
from osp_gateway.replay.tolerance import Rule, Tolerance
from osp_gateway.replay.xml import MAX_DEPTH, parse, without_secrets
from support.exchanges_made import answer, document, exchange, request

ERROR = "<Error><Code>{}</Code><Message>{}</Message><RequestId>{}</RequestId></Error>"


def differences(
    recorded: Answer, found: Answer, operation: str = "GetObject", *rules: Rule, method: str = "GET"
) -> list[str]:
    done = exchange(operation, request(method), recorded)
    return [str(d) for d in compare(done, found, Names(), Tolerance(ignore=rules))]


def places(*arguments: object, **more: str) -> list[str]:
    return [line.partition(":")[0] for line in differences(*arguments, **more)]  # type: ignore[arg-type]


def test_the_same_answer_has_no_differences():
    found = answer(200, b"body", {"etag": '"a"', "content-type": "text/plain"})
    assert differences(found, found) == []


def test_a_status_is_named_and_nothing_that_follows_from_it():
    assert differences(answer(200, b"x"), answer(404, b"y")) == ["status: expected 200, found 404"]


def test_an_error_code_is_named():
    one, other = ERROR.format("NoSuchKey", "m", "1"), ERROR.format("AccessDenied", "m", "2")
    assert differences(document(one, 404), document(other, 404)) == [
        "error code: expected NoSuchKey, found AccessDenied"
    ]
    assert differences(document(one, 404), answer(404)) == ["error code: expected NoSuchKey, found (absent)"]


def test_a_message_is_compared_unless_it_is_tolerated():
    one, other = (document(ERROR.format("NoSuchKey", message, message), 404) for message in ("one", "two"))
    assert places(one, other) == ["Error/Message"]
    assert places(one, other, "GetObject", Rule(messages=True)) == []
    assert places(one, other, "GetObject", Rule(operations=("Put*",), messages=True)) == ["Error/Message"]


@pytest.mark.parametrize(
    "name", ["content-type", "cache-control", "x-amz-meta-colour", "x-amz-delete-marker", "content-range"]
)
def test_a_meaningful_header_is_named_where_it_is_another_absent_or_new(name):
    one, other, none = answer(headers={name: "one"}), answer(headers={name: "two"}), answer()
    assert differences(one, other) == [f"header {name}: expected one, found two"]
    assert differences(one, none) == [f"header {name}: expected one, found (absent)"]
    assert differences(none, one) == [f"header {name}: expected (absent), found one"]


@pytest.mark.parametrize("name", ["date", "server", "x-amz-request-id", "x-amz-id-2", "connection"])
def test_a_header_of_the_moment_is_not_looked_at(name):
    assert differences(answer(headers={name: "one"}), answer(headers={name: "two"})) == []


def test_a_tolerated_header_may_be_another_or_absent_for_its_operations_alone():
    rule = Rule(operations=("Get*",), headers=("x-amz-meta-*",))
    one = answer(headers={"x-amz-meta-colour": "blue"})
    for other in (answer(), answer(headers={"x-amz-meta-colour": "red"})):
        assert places(one, other, "GetObject", rule) == []
        assert places(one, other, "HeadObject", rule) == ["header x-amz-meta-colour"]


def test_an_entity_tag_may_be_another_if_it_is_so_everywhere():
    done = exchange(answered=answer(headers={"etag": '"a"'}))
    names = Names()
    names.learn(Kind.TAG, ("demo", "key"), '"a"', '"b"')
    assert compare(done, answer(headers={"etag": '"b"'}), names, Tolerance()) == ()
    assert compare(done, answer(headers={"etag": '"a"'}), names, Tolerance()) == (
        Difference("header etag", '"b"', '"a"'),
    )


def test_a_listing_has_the_tag_of_each_object():
    names = Names()
    names.learn(Kind.TAG, ("demo", "a%20b"), '"old"', '"new"')
    entry = "<Contents><Key>{}</Key><ETag>{}</ETag></Contents>"
    listing = "<ListBucketResult>" + entry.format("a b", "{}") + entry.format("c", "{}") + "</ListBucketResult>"
    done = exchange("ListObjectsV2", request(key=""), document(listing.format("old", "old")))
    assert compare(done, document(listing.format("new", "old")), names, Tolerance()) == ()
    assert compare(done, document(listing.format("old", "new")), names, Tolerance()) == (
        Difference("ListBucketResult/Contents[1]/ETag", "new", "old"),
        Difference("ListBucketResult/Contents[2]/ETag", "old", "new"),
    )


def test_a_time_of_change_must_be_there_and_may_be_another():
    one, other = (answer(headers={"last-modified": f"{day} Nov 2026"}) for day in (1, 2))
    assert differences(one, other) == []
    assert places(one, answer()) == ["header last-modified"]
    assert places(answer(304, headers=dict(one.headers)), answer(304)) == []


def test_what_is_for_browsers_is_compared_where_the_request_was_one_s():
    one, none = answer(headers={"access-control-allow-origin": "*"}), answer()
    assert differences(one, none) == []
    asked = request(headers=(("origin", "https://app.test"),))
    (found,) = compare(exchange(asked=asked, answered=one), none, Names(), Tolerance())
    assert found.where == "header access-control-allow-origin"


@pytest.mark.parametrize("name", ["x-amz-restore", "x-amz-expiration"])
def test_dates_that_are_so_many_days_away_are_others_each_day(name):
    told = 'ongoing-request="false", expiry-date="Fri, {} Dec 2026 00:00:00 GMT"'
    one, next_day = (answer(headers={name: told.format(day)}) for day in (1, 2))
    assert differences(one, next_day) == []
    assert places(one, answer(headers={name: 'ongoing-request="true"'})) == [f"header {name}"]


def test_all_values_of_a_header_are_compared():
    def answered(*values: str) -> Answer:
        return Answer(200, tuple(("cache-control", value) for value in values), Payload.of(b""))

    assert differences(answered("a", "b"), answered("a, b")) == []
    assert differences(answered("a", "b"), answered("a", "c")) == ["header cache-control: expected a, b, found a, c"]


def test_a_client_that_is_sent_on_is_sent_to_the_same_place():
    one, other, same = (
        answer(303, headers={"location": f"https://{host}.test/done?etag={tag}"})
        for host, tag in (("one", "a"), ("other", "a"), ("one", "b"))
    )
    assert differences(one, same, "PostObject") == []
    assert places(one, other, "PostObject") == ["header location"]


@pytest.mark.parametrize("key", [" one", "one ", "o  ne", "one\n"])
def test_spaces_of_a_key_count(key):
    assert listed("<Key>one", f"<Key>{key}") != []


def test_a_date_that_somebody_has_set_is_compared():
    rule = "<LifecycleConfiguration><Rule><Expiration><Date>{}</Date></Expiration></Rule></LifecycleConfiguration>"
    one, other = (document(rule.format(f"2030-01-0{day}T00:00:00Z")) for day in (1, 2))
    assert places(one, other, "GetBucketLifecycleConfiguration") != []


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0" encoding="klingon"?><a/>',
        b"<a>" * 5000 + b"</a>" * 5000,
        b"<a>" * (MAX_DEPTH + 2) + b"</a>" * (MAX_DEPTH + 2),
        b"\xff",
        b"",
    ],
    ids=["encoding", "deep", "a-bit-too-deep", "octets", "nothing"],
)
def test_a_document_that_nobody_should_read_is_none(content):
    assert parse(content) is None


@pytest.mark.parametrize("written", ["&#x1;", "&#1;", "&#X01;", "&#31;", "&#x0;"])
def test_keys_with_characters_that_xml_has_no_place_for_are_compared(written):
    one, other = (document(LISTING.replace(">one<", f">{key}<")) for key in (f"a{written}b", f"a{written}c"))
    assert parse(one.payload.content or b"") is not None
    assert differences(one, one, "ListObjectsV2") == []
    assert len(differences(one, other, "ListObjectsV2")) == 1
    code = document(ERROR.format("NoSuchKey", f"a{written}", "1"), 404)
    assert error_code(code) == "NoSuchKey"


def test_such_a_key_is_known_by_its_own_characters():
    tree = parse(b"<R><Key>a&#x1;b&#9;c</Key></R>")
    assert tree is not None
    assert tree.children[0].text == "a\x01b\tc"


def test_what_is_no_document_where_one_was_is_compared_by_its_octets():
    one, other = (document(f"<ListBucketResult>{text}") for text in ("a", "b"))
    assert differences(one, one, "ListObjectsV2") == []
    assert places(one, other, "ListObjectsV2") == ["body"]


def test_entries_in_any_order_may_differ_in_their_ids_alone():
    names = Names()
    for old, new in (("v1", "w9"), ("v2", "w5"), ("v3", "w7")):
        names.learn(Kind.ID, ("demo", "key"), old, new)
    entry = "<Deleted><Key>key</Key><VersionId>{}</VersionId></Deleted>"
    recorded, found, another = (
        document("<DeleteResult>" + "".join(entry.format(version) for version in versions) + "</DeleteResult>")
        for versions in (("v1", "v2", "v3"), ("w7", "w9", "w5"), ("w7", "w9", "w6"))
    )
    done = exchange("DeleteObjects", request("POST", ""), recorded)
    assert compare(done, found, names, Tolerance()) == ()
    assert len(compare(done, another, names, Tolerance())) > 0


def test_objects_are_compared_by_their_octets():
    (found,) = differences(answer(content=b"one"), answer(content=b"two!"))
    assert found.startswith("body: expected 3 octets, SHA-256 7692c3ad3540bb8")
    assert "found 4 octets, SHA-256" in found


def test_an_object_that_is_xml_is_compared_by_its_octets():
    assert places(document("<a><b/></a>"), document("<a> <b/></a>")) == ["body"]
    assert places(document("<a><b/></a>"), document("<a> <b/></a>"), "ListObjectsV2") == []


def test_the_object_that_is_expected_may_be_another_than_the_recorded():
    done, found = exchange(answered=answer(content=b"recorded")), answer(content=b"made up")
    expected = (found.payload.length, found.payload.sha256)
    assert compare(done, found, Names(), Tolerance(), expected) == ()
    assert [d.where for d in compare(done, done.answer, Names(), Tolerance(), expected)] == ["body"]


def test_the_length_that_head_says_is_compared():
    one, other = answer(headers={"content-length": "5"}), answer(headers={"content-length": "6"})
    assert places(one, other, "HeadObject", method="HEAD") == ["header content-length"]
    assert places(one, other, "PutObject", method="PUT") == []
    part, another = (answer(206, headers={"content-length": length}) for length in "56")
    assert places(part, another, "HeadObject", method="HEAD") == ["header content-length"]


def test_of_an_object_that_nobody_knows_the_length_is_compared():
    done = exchange(answered=answer(content=b"recorded"))
    assert compare(done, answer(content=b"now this"), Names(), Tolerance(), (8, "")) == ()
    assert [str(d) for d in compare(done, answer(content=b"else"), Names(), Tolerance(), (8, ""))] == [
        f"body: expected 8 octets, SHA-256 of any value, found 4 octets, SHA-256 {Payload.of(b'else').sha256}"
    ]


LISTING = (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>demo</Name>'
    "<Contents><Key>one</Key><Size>1</Size><LastModified>now</LastModified></Contents>"
    "<Contents><Key>two</Key><Size>2</Size><LastModified>now</LastModified></Contents></ListBucketResult>"
)
ONE = "<Contents><Key>one</Key><Size>1</Size><LastModified>now</LastModified></Contents>"
TWO = ONE.replace("one", "two").replace("1", "2")


def listed(old: str, new: str, *rules: Rule) -> list[str]:
    assert old in LISTING
    return differences(document(LISTING), document(LISTING.replace(old, new)), "ListObjectsV2", *rules)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("now", "then"),
        (' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ""),
        ("<Name>", "\n  <Name>"),
        ("<Key>one</Key><Size>1</Size>", "<Size>1</Size><Key>one</Key>"),
        ("<Name>demo</Name>", "<Name>\n demo </Name>"),
    ],
)
def test_documents_are_compared_by_their_structure(old, new):
    assert listed(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("<Name>demo", "<Name>other", ["ListBucketResult/Name: expected demo, found other"]),
        ("<Size>2", "<Size>3", ["ListBucketResult/Contents[2]/Size: expected 2, found 3"]),
        ("<Size>2</Size>", "", ["number of ListBucketResult/Contents[2]/Size: expected 1, found 0"]),
        (
            TWO,
            "",
            [
                "number of ListBucketResult/Contents: expected 2, found 1",
                "ListBucketResult/Contents: expected two, found (absent)",
            ],
        ),
        (
            TWO,
            TWO + TWO.replace("two", "three"),
            [
                "number of ListBucketResult/Contents: expected 2, found 3",
                "ListBucketResult/Contents: expected (absent), found three",
            ],
        ),
        ("<Name>", "<New>x</New><Name>", ["number of ListBucketResult/New: expected 0, found 1"]),
        ("</ListBucketResult>", "", ["document: expected <ListBucketResult>, found none"]),
    ],
)
def test_a_difference_in_a_document_is_named(old, new, found):
    result = listed(old, new)
    assert [line for line in result if line in found] == found, result


def test_the_order_of_a_listing_matters_unless_it_is_tolerated():
    swapped = document(LISTING.replace(ONE + TWO, TWO + ONE))
    assert swapped != document(LISTING)
    assert places(document(LISTING), swapped, "ListObjectsV2")
    assert places(document(LISTING), swapped, "ListObjectsV2", Rule(unordered=("Contents",))) == []
    changed = document(LISTING.replace(ONE + TWO, TWO.replace("2", "9") + ONE))
    assert places(document(LISTING), changed, "ListObjectsV2", Rule(unordered=("Contents",)))


def test_what_a_store_tells_of_a_signature_is_not_compared():
    told = "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>{}</StringToSign>{}</Error>"
    one, other = (document(told.format(text, "<Token-0>x</Token-0>" * len(text)), 403) for text in ("", "a"))
    assert differences(one, other) == []


def test_what_a_batch_has_deleted_comes_in_any_order():
    one, two = (f"<Deleted><Key>{key}</Key></Deleted>" for key in ("one", "two"))
    first, second = (document(f"<DeleteResult>{body}</DeleteResult>") for body in (one + two, two + one))
    assert places(first, second, "DeleteObjects") == []


def test_tolerated_elements_may_be_absent_and_tolerated_values_may_not():
    missing = ("<Size>2</Size>", "")
    assert listed(*missing, Rule(elements=("Size",))) == []
    assert listed(*missing, Rule(values=("Size",)))
    assert listed("<Size>2", "<Size>3", Rule(values=("Size",))) == []
    assert listed("<Size>2", "<Size>", Rule(values=("Size",))) == []


def test_a_time_is_another_each_time_and_there_is_one():
    assert listed("<LastModified>now", "<LastModified>then") == []
    assert listed(ONE, ONE.replace("now", "")) != []


def test_hostile_documents_are_no_documents():
    bomb = '<!DOCTYPE a [<!ENTITY b "bbb">]><ListBucketResult><Name>&b;</Name></ListBucketResult>'
    assert differences(document(LISTING), document(bomb), "ListObjectsV2") == [
        "document: expected <ListBucketResult>, found none"
    ]


def test_differences_are_cut_and_harmless_to_a_terminal():
    shown = str(Difference("body", "\x1b[31m", "x" * 10_000))
    assert "\x1b" not in shown
    assert len(shown) < 2 * MAX_SHOWN_CHARS


def test_an_answer_that_was_not_kept_is_compared_by_its_digest():
    recorded = Answer(200, (), Payload(9, Payload.of(b"unchanged").sha256))
    assert differences(recorded, answer(content=b"unchanged")) == []
    assert places(recorded, answer(content=b"unchanges")) == ["body"]


def test_exchanges_are_named_for_people():
    assert Exchange("ListBuckets", "", request(bucket="", key=""), answer()).title == "ListBuckets /"
    assert exchange().title == "GetObject demo/key"


@pytest.mark.parametrize(
    "name", ["StringToSign", "SignatureProvided", "AWSAccessKeyId", "CanonicalRequest", "SecretAccessKey"]
)
@pytest.mark.parametrize("spelled", ["<{0}>s3cr\net</{0}>", '<{0} a="b">s3cret</{0} >', "<x:{0}>s3cret</x:{0}>"])
def test_documents_are_recorded_without_secrets(name, spelled):
    inside = spelled.format(name).encode()
    assert without_secrets(b"<Error><Code>c</Code>" + inside + b"</Error>") == b"<Error><Code>c</Code></Error>"


def test_documents_without_secrets_stay_what_they_are():
    assert without_secrets(LISTING.encode()) == LISTING.encode()


# Stores that are not the same


def test_an_error_need_not_say_what_is_for_those_who_run_the_store():
    plain = document("<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", 404)
    more = "<Error><Code>NoSuchKey</Code><Message>m</Message><Resource>/a</Resource><HostId>h</HostId></Error>"
    assert differences(plain, document(more, 404)) == []
    assert places(plain, document(more.replace("HostId", "BucketName"), 404)) == [
        "number of Error/BucketName",
        "Error/BucketName",
    ]


def test_a_tolerated_message_may_be_absent():
    one, other = (document(f"<Error><Code>NoSuchKey</Code>{m}</Error>", 404) for m in ("<Message></Message>", ""))
    assert places(one, other) == ["number of Error/Message", "Error/Message"]
    assert places(one, other, "GetObject", Rule(messages=True)) == []


def test_a_tolerated_status_is_as_good_and_the_rest_is_still_compared():
    one, other = answer(200, b"same"), answer(206, b"same")
    ranges = Rule(operations=("GetObject",), statuses=((200, 206),))
    assert places(one, other) == ["status"]
    assert places(one, other, "GetObject", ranges) == []
    assert places(one, other, "HeadObject", ranges) == ["status"]
    assert places(one, answer(206, b"else"), "GetObject", ranges) == ["body"]
    assert places(one, answer(204), "GetObject", ranges) == ["status"]


def test_a_retry_that_was_recorded_need_not_be_needed_again():
    busy, fine = document(ERROR.format("SlowDown", "m", "1"), 503), answer(content=b"object")
    rule = Rule(when=(503,), statuses=((200, 503),))
    assert places(busy, fine) == ["status", "error code"]
    assert places(busy, fine, "GetObject", rule) == []
    assert places(fine, busy, "GetObject", rule) == ["status", "error code"]


def test_a_tolerated_name_of_a_document_is_as_good():
    one, other = (
        document("<Started><UploadId>1</UploadId></Started>"),
        document("<Begun><UploadId>1</UploadId></Begun>"),
    )
    assert places(one, other, "CreateMultipartUpload") == ["document"]
    assert places(one, other, "CreateMultipartUpload", Rule(documents=(("Begun", "Started"),))) == []
    more = document("<Begun><UploadId>1</UploadId><More>1</More></Begun>")
    assert places(one, more, "CreateMultipartUpload", Rule(documents=(("Begun", "Started"),))) != []


def test_a_rule_may_be_about_some_statuses_alone():
    rule = Rule(when=(304,), headers=("etag",))
    for status, found in ((304, []), (200, ["header etag"])):
        assert places(answer(status, headers={"etag": "a"}), answer(status), "GetObject", rule) == found


@pytest.mark.parametrize("other", ["a%2Fkey+with+%2B", "a/key%20with%20%2B", "a%2Fkey%20with%20%2b"])
def test_keys_may_be_encoded_in_another_way_where_they_are(other):
    listing = "<ListBucketResult>{}<Contents><Key>{}</Key></Contents></ListBucketResult>"
    url = "<EncodingType>url</EncodingType>"
    recorded = document(listing.format(url, "a/key+with+%2B"))
    assert differences(recorded, document(listing.format(url, other)), "ListObjectsV2") == []
    assert places(recorded, document(listing.format(url, "a/key+with+%20")), "ListObjectsV2") != []
    assert places(document(listing.format("", "a+b")), document(listing.format("", "a%20b")), "ListObjectsV2") != []
