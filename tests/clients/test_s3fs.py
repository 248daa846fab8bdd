"""s3fs: S3 as a file system for Python, on aiobotocore (whose botocore is older than ours: hence its own venv)."""

from __future__ import annotations

from pathlib import Path

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, Steps, equal, fetch, large, same

client = Steps("s3fs", package="s3fs", venv=("s3fs",))


def filesystem():
    """Endpoint, credentials and authority come from the environment."""
    import s3fs

    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


@client.step
def put(target):
    fs, path = filesystem(), f"{target.bucket}/{target.prefix}put"
    fs.pipe(path, SMALL)
    same(fs.cat(path), SMALL)


@client.step
def get(target):
    same(filesystem().cat(f"{target.bucket}/{SMALL_SEED}"), SMALL)


@client.step
def list_(target):
    found = filesystem().find(f"{target.bucket}/seeds/list/")
    equal(found, [f"{target.bucket}/{key}" for key in LIST_SEEDS])


@client.step
def multipart(target):
    fs, path = filesystem(), f"{target.bucket}/{target.prefix}large"
    with fs.open(path, "wb", block_size=6 << 20) as file:
        file.write(large())
    equal(fs.size(path), len(large()))


@client.step
def upload_file(target):
    Path("large").write_bytes(large())
    fs, path = filesystem(), f"{target.bucket}/{target.prefix}uploaded"
    fs.put("large", path)
    equal(fs.size(path), len(large()))


@client.step
def download_large(target):
    same(filesystem().cat(f"{target.bucket}/{LARGE_SEED}"), large())


@client.step
def read_in_pieces(target):
    with filesystem().open(f"{target.bucket}/{LARGE_SEED}", "rb") as file:
        file.seek(10_000_000)
        same(file.read(1000), large()[10_000_000:10_001_000])
        file.seek(-10, 2)
        same(file.read(), large()[-10:])


@client.step
def presigned(target):
    same(fetch(filesystem().sign(f"{target.bucket}/{SMALL_SEED}")), SMALL)


@client.step
def copy(target):
    fs, path = filesystem(), f"{target.bucket}/{target.prefix}copy"
    fs.copy(f"{target.bucket}/{SMALL_SEED}", path)
    same(fs.cat(path), SMALL)


@client.step
def remove(target):
    fs, folder = filesystem(), f"{target.bucket}/{target.prefix}gone"
    fs.pipe({f"{folder}/a": SMALL, f"{folder}/b/c": SMALL})
    fs.rm(folder, recursive=True)
    equal(fs.find(folder), [])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
