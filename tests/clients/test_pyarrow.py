"""pyarrow's S3FileSystem, which is the AWS SDK for C++."""

from __future__ import annotations

from support.client_steps import LARGE_SEED, LIST_SEEDS, SMALL, SMALL_SEED, NotApplicable, Steps, equal, large, same

client = Steps("pyarrow", package="pyarrow")


def filesystem(target):
    """Credentials come from the environment; the SDK for C++ has an option of its own for the authority."""
    from pyarrow.fs import S3FileSystem

    authority = {"tls_ca_file_path": target.ca} if target.tls else {}
    scheme = "https" if target.tls else "http"
    return S3FileSystem(endpoint_override=target.netloc, scheme=scheme, region=target.region, **authority)


def write(target, key, body):
    with filesystem(target).open_output_stream(f"{target.bucket}/{key}") as stream:
        stream.write(body)


def read(target, key):
    with filesystem(target).open_input_stream(f"{target.bucket}/{key}") as stream:
        return stream.read()


@client.step
def put(target):
    write(target, f"{target.prefix}put", SMALL)
    same(read(target, f"{target.prefix}put"), SMALL)


@client.step
def get(target):
    same(read(target, SMALL_SEED), SMALL)


@client.step
def list_(target):
    from pyarrow.fs import FileSelector, FileType

    found = filesystem(target).get_file_info(FileSelector(f"{target.bucket}/seeds/list", recursive=True))
    files = sorted(entry.path for entry in found if entry.type == FileType.File)
    equal(files, [f"{target.bucket}/{key}" for key in LIST_SEEDS])


@client.step
def multipart(target):
    write(target, f"{target.prefix}large", large())
    same(read(target, f"{target.prefix}large"), large())


@client.step
def download_large(target):
    same(read(target, LARGE_SEED), large())


@client.step
def read_in_pieces(target):
    with filesystem(target).open_input_file(f"{target.bucket}/{LARGE_SEED}") as file:
        same(file.read_at(1000, 10_000_000), large()[10_000_000:10_001_000])
        same(file.read_at(10, file.size() - 10), large()[-10:])


@client.step
def presigned(target):
    raise NotApplicable("pyarrow makes no URLs")


@client.step
def read_dataset(target):
    from pyarrow import dataset

    found = dataset.dataset(f"{target.bucket}/seeds/table", filesystem=filesystem(target), format="parquet")
    equal(found.to_table(filter=dataset.field("id") == 1500)["name"].to_pylist(), ["1500"])


@client.step
def write_dataset(target):
    import pyarrow
    from pyarrow import dataset

    table = pyarrow.table({"part": ["a", "a", "b"], "id": [1, 2, 3]})
    place, fs = f"{target.bucket}/{target.prefix}dataset", filesystem(target)
    dataset.write_dataset(table, place, format="parquet", partitioning=["part"], filesystem=fs)
    equal(dataset.dataset(place, filesystem=fs, partitioning=["part"]).count_rows(), 3)


@client.step
def copy(target):
    filesystem(target).copy_file(f"{target.bucket}/{SMALL_SEED}", f"{target.bucket}/{target.prefix}copy")
    same(read(target, f"{target.prefix}copy"), SMALL)


@client.step
def move(target):
    write(target, f"{target.prefix}from", SMALL)
    fs, folder = filesystem(target), f"{target.bucket}/{target.prefix}"
    fs.move(f"{folder}from", f"{folder}to")
    same(read(target, f"{target.prefix}to"), SMALL)


@client.step
def delete_folder(target):
    from pyarrow.fs import FileSelector

    fs, folder = filesystem(target), f"{target.bucket}/{target.prefix}gone"
    fs.create_dir(folder)
    write(target, f"{target.prefix}gone/a", SMALL)
    write(target, f"{target.prefix}gone/b/c", SMALL)
    fs.delete_dir(folder)
    equal(fs.get_file_info(FileSelector(folder, allow_not_found=True)), [])


def test_what_works_direct_works_through_the_gateway(verdict):
    assert not verdict.regressions
