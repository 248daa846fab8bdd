"""The whole path once: a client, the addon in mitmdump, a real store."""


def test_an_object_written_through_the_gateway_is_in_the_store(s3, direct, prefix):
    s3.put_object(Bucket="demo", Key=prefix + "hello.txt", Body=b"hello")
    assert direct.get_object(Bucket="demo", Key=prefix + "hello.txt")["Body"].read() == b"hello"
    assert s3.get_object(Bucket="demo", Key=prefix + "hello.txt")["Body"].read() == b"hello"
