// The steps of test_aws_sdk_java.py: what the AWS SDK for Java does, with its defaults.
// The target comes in arguments; endpoint, credentials and region are in the environment, too.

import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletionException;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.AsyncResponseTransformer;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

public final class AwsSdkJava {
    interface Work {
        void run() throws Exception;
    }

    static final int PART = 8 << 20;

    public static void main(String[] arguments) throws Exception {
        String bucket = arguments[0];
        String prefix = arguments[1];
        Path file = Path.of(arguments[2]);
        String small = arguments[3];
        String smallSeed = arguments[4];
        String largeSeed = arguments[5];
        List<String> listSeeds = Arrays.asList(arguments).subList(6, arguments.length);
        byte[] large = Files.readAllBytes(file);

        // An address has no subdomains: path-style, as the SDK chooses itself for one.
        S3Client s3 = S3Client.create();
        S3AsyncClient multipart = S3AsyncClient.builder().multipartEnabled(true).build();
        S3Presigner presigner = S3Presigner.builder()
                .serviceConfiguration(S3Configuration.builder().pathStyleAccessEnabled(true).build())
                .endpointOverride(URI.create(System.getenv("AWS_ENDPOINT_URL")))
                .build();

        step("put", () -> {
            s3.putObject(r -> r.bucket(bucket).key(prefix + "put"), RequestBody.fromString(small));
            equal(text(s3, bucket, prefix + "put"), small);
        });
        step("get", () -> equal(text(s3, bucket, smallSeed), small));
        step("list", () -> {
            List<String> keys = new ArrayList<>();
            s3.listObjectsV2Paginator(r -> r.bucket(bucket).prefix("seeds/list/").maxKeys(2))
                    .contents()
                    .forEach(entry -> keys.add(entry.key()));
            equal(keys, listSeeds);
        });
        step("multipart", () -> {
            String key = prefix + "large";
            String id = s3.createMultipartUpload(r -> r.bucket(bucket).key(key)).uploadId();
            List<CompletedPart> parts = new ArrayList<>();
            for (int start = 0, number = 1; start < large.length; start += PART, number++) {
                int one = number;
                byte[] piece = Arrays.copyOfRange(large, start, Math.min(large.length, start + PART));
                String tag = s3.uploadPart(
                                r -> r.bucket(bucket).key(key).uploadId(id).partNumber(one),
                                RequestBody.fromBytes(piece))
                        .eTag();
                parts.add(CompletedPart.builder().partNumber(one).eTag(tag).build());
            }
            s3.completeMultipartUpload(
                    r -> r.bucket(bucket).key(key).uploadId(id).multipartUpload(m -> m.parts(parts)));
            equal(s3.headObject(r -> r.bucket(bucket).key(key)).contentLength(), (long) large.length);
        });
        step("async multipart", () -> {
            String key = prefix + "async";
            multipart.putObject(r -> r.bucket(bucket).key(key), AsyncRequestBody.fromFile(file)).join();
            equal(s3.headObject(r -> r.bucket(bucket).key(key)).contentLength(), (long) large.length);
        });
        step("async download large", () -> {
            byte[] found = multipart
                    .getObject(r -> r.bucket(bucket).key(largeSeed), AsyncResponseTransformer.toBytes())
                    .join()
                    .asByteArray();
            same(found, large);
        });
        step("upload file", () -> {
            s3.putObject(r -> r.bucket(bucket).key(prefix + "file"), file);
            same(s3.getObjectAsBytes(r -> r.bucket(bucket).key(prefix + "file")).asByteArray(), large);
        });
        step("upload stream", () -> {
            try (InputStream stream = Files.newInputStream(file)) {
                s3.putObject(r -> r.bucket(bucket).key(prefix + "stream"), RequestBody.fromInputStream(stream, large.length));
            }
            equal(s3.headObject(r -> r.bucket(bucket).key(prefix + "stream")).contentLength(), (long) large.length);
        });
        step("download large", () -> same(s3.getObjectAsBytes(r -> r.bucket(bucket).key(largeSeed)).asByteArray(), large));
        step("presigned", () -> {
            URI url = presigner.presignGetObject(p -> p.signatureDuration(Duration.ofMinutes(10))
                            .getObjectRequest(r -> r.bucket(bucket).key(smallSeed)))
                    .url()
                    .toURI();
            equal(fetched(HttpRequest.newBuilder(url).build()), small);
        });
        step("presigned put", () -> {
            URI url = presigner.presignPutObject(p -> p.signatureDuration(Duration.ofMinutes(10))
                            .putObjectRequest(r -> r.bucket(bucket).key(prefix + "presigned")))
                    .url()
                    .toURI();
            fetched(HttpRequest.newBuilder(url).PUT(HttpRequest.BodyPublishers.ofString(small)).build());
            equal(text(s3, bucket, prefix + "presigned"), small);
        });
        step("copy", () -> {
            s3.copyObject(r -> r.sourceBucket(bucket).sourceKey(smallSeed)
                    .destinationBucket(bucket).destinationKey(prefix + "copy"));
            equal(text(s3, bucket, prefix + "copy"), small);
        });
        step("delete many", () -> {
            List<ObjectIdentifier> gone = new ArrayList<>();
            for (String name : List.of("a", "b c+d", "ü")) {
                String key = prefix + "gone/" + name;
                s3.putObject(r -> r.bucket(bucket).key(key), RequestBody.fromString(small));
                gone.add(ObjectIdentifier.builder().key(key).build());
            }
            equal(s3.deleteObjects(r -> r.bucket(bucket).delete(d -> d.objects(gone))).errors(), List.of());
            equal(s3.listObjectsV2(r -> r.bucket(bucket).prefix(prefix + "gone/")).contents(), List.of());
        });
        System.exit(0);
    }

    static String text(S3Client s3, String bucket, String key) {
        return s3.getObjectAsBytes(r -> r.bucket(bucket).key(key)).asUtf8String();
    }

    static String fetched(HttpRequest request) throws Exception {
        HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() / 100 != 2) {
            throw new IllegalStateException(answer.statusCode() + ": " + answer.body());
        }
        return answer.body();
    }

    static void equal(Object found, Object wanted) {
        if (!found.equals(wanted)) {
            throw new IllegalStateException("got " + found + " instead of " + wanted);
        }
    }

    static void same(byte[] found, byte[] wanted) {
        if (!Arrays.equals(found, wanted)) {
            throw new IllegalStateException("got " + found.length + " other octets instead of " + wanted.length);
        }
    }

    static void step(String name, Work work) {
        double began = System.currentTimeMillis() / 1000.0;
        String outcome = "ok";
        String error = "";
        try {
            work.run();
        } catch (Exception failure) {
            Throwable cause = failure instanceof CompletionException ? failure.getCause() : failure;
            outcome = "error";
            error = cause.getClass().getSimpleName() + ": " + cause.getMessage();
        }
        // A millisecond more on both sides: what is recorded elsewhere is more exact than this clock.
        double ended = System.currentTimeMillis() / 1000.0 + 0.001;
        System.out.printf(
                java.util.Locale.ROOT,
                "%n{\"step\": \"%s\", \"outcome\": \"%s\", \"error\": \"%s\", \"began\": %.3f, \"ended\": %.3f}%n",
                name, outcome, quoted(error), began - 0.001, ended);
    }

    static String quoted(String text) {
        return text.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}+", " ");
    }
}
