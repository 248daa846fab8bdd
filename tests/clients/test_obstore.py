"""obstore: the Rust object_store from Python."""

from __future__ import annotations

from datetime import timedelta

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, equal, fetch, large, same

client = Steps("obstore", package="obstore", h2=True)


def store(target):
    """Endpoint, credentials and authority come from the environment; plain HTTP and HTTP/2 have to be asked for."""
    from obstore.store import S3Store

    options = {}
    if not target.tls:
        options["allow_http"] = True
    if target.way == "h2":
        options["http2_only"] = True
    return S3Store(target.bucket, client_options=options)


@client.step
def put(target):
    store(target).put(f"{target.prefix}put", SMALL)
    same(store(target).get(f"{target.prefix}put").bytes(), SMALL)


@client.step
def get(target):
    same(store(target).get(SMALL_SEED).bytes(), SMALL)


@client.step
def list_(target):
    found = [entry["path"] for page in store(target).list("seeds/list/") for entry in page]
    equal(sorted(found), list(LIST_SEEDS))


@client.step
def multipart(target):
    store(target).put(f"{target.prefix}large", large())
    equal(store(target).head(f"{target.prefix}large")["size"], len(large()))


@client.step
def download_large(target):
    same(store(target).get(LARGE_SEED).bytes(), large())


@client.step
def ranges(target):
    found = store(target).get_ranges(LARGE_SEED, starts=[0, 20_000_000], lengths=[10, 10])
    equal([bytes(piece) for piece in found], [large()[:10], large()[20_000_000:20_000_010]])


@client.step
def presigned(target):
    import obstore

    same(fetch(obstore.sign(store(target), "GET", SMALL_SEED, timedelta(minutes=5))), SMALL)


@client.step
def put_if_absent(target):
    from obstore.exceptions import AlreadyExistsError

    store(target).put(f"{target.prefix}once", SMALL, mode="create")
    try:
        store(target).put(f"{target.prefix}once", b"again", mode="create")
    except AlreadyExistsError:
        return
    raise AssertionError("it was written twice")


@client.step
def put_if_unchanged(target):
    from obstore.exceptions import PreconditionError

    first = store(target).put(f"{target.prefix}version", SMALL)
    condition = {"e_tag": first["e_tag"]}
    store(target).put(f"{target.prefix}version", b"second", mode=condition)
    try:
        store(target).put(f"{target.prefix}version", b"third", mode=condition)
    except PreconditionError:
        return
    raise AssertionError("it was written over")


@client.step
def copy(target):
    store(target).copy(SMALL_SEED, f"{target.prefix}copy")
    same(store(target).get(f"{target.prefix}copy").bytes(), SMALL)


@client.step
def delete_many(target):
    keys = [f"{target.prefix}gone/{name}" for name in "ab"]
    for key in keys:
        store(target).put(key, SMALL)
    store(target).delete(keys)
    equal([entry for page in store(target).list(f"{target.prefix}gone/") for entry in page], [])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
    if verdict.through["way"] == "h2":
        assert verdict.http_versions == ["HTTP/2.0"]
