// The steps of test_aws_sdk_js.py: what the AWS SDK for JavaScript does, with its defaults.
// The target comes as JSON in standard input; endpoint, credentials and authority are in the environment.
// Arguments: the folder with the packages, the file to upload, and as JSON what is there to read.

import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [installed, largeFile, seeds] = process.argv.slice(2);
const require = createRequire(`${pathToFileURL(installed)}/package.json`);
const {
  CopyObjectCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command,
  PutObjectCommand, S3Client, paginateListObjectsV2,
} = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const { small, smallSeed, largeSeed, listSeeds } = JSON.parse(seeds);
const target = JSON.parse(readFileSync(0, "utf8"));
const Bucket = target.bucket;

// An address has no subdomains: the SDK itself says to use path-style then.
const s3 = new S3Client({ forcePathStyle: true });

function equal(found, wanted) {
  const [a, b] = [found, wanted].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`got ${a} instead of ${b}`);
}

const digest = (octets) => createHash("sha256").update(octets).digest("hex");

async function text(Key) {
  return (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body.transformToString();
}

async function size(Key) {
  return (await s3.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength;
}

async function fetched(url, options) {
  const answer = await fetch(url, options);
  const body = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status}: ${body}`);
  return body;
}

const steps = {
  async put() {
    const Key = `${target.prefix}put`;
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: small, Metadata: { colour: "blue" } }));
    equal(await text(Key), small);
  },
  async get() {
    equal(await text(smallSeed), small);
  },
  async list() {
    const keys = [];
    for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket, Prefix: "seeds/list/" })) {
      keys.push(...(page.Contents ?? []).map((entry) => entry.Key));
    }
    equal(keys, listSeeds);
  },
  async multipart() {
    const Key = `${target.prefix}large`;
    await new Upload({ client: s3, params: { Bucket, Key, Body: createReadStream(largeFile) } }).done();
    equal(await size(Key), readFileSync(largeFile).length);
  },
  async "upload large"() {
    const Key = `${target.prefix}whole`;
    const body = readFileSync(largeFile);
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: body }));
    equal(await size(Key), body.length);
  },
  async "upload stream"() {
    const Key = `${target.prefix}stream`;
    const ContentLength = readFileSync(largeFile).length;
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: createReadStream(largeFile), ContentLength }));
    equal(await size(Key), ContentLength);
  },
  async "download large"() {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: largeSeed }));
    equal(digest(await Body.transformToByteArray()), digest(readFileSync(largeFile)));
  },
  async presigned() {
    const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: smallSeed }), { expiresIn: 600 });
    equal(await fetched(url), small);
  },
  async "presigned put"() {
    const Key = `${target.prefix}presigned`;
    const url = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key }), { expiresIn: 600 });
    await fetched(url, { method: "PUT", body: small });
    equal(await text(Key), small);
  },
  async copy() {
    const Key = `${target.prefix}copy`;
    await s3.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${smallSeed}` }));
    equal(await text(Key), small);
  },
  async "delete many"() {
    const Objects = ["a", "b c+d", "ü"].map((name) => ({ Key: `${target.prefix}gone/${name}` }));
    for (const { Key } of Objects) await s3.send(new PutObjectCommand({ Bucket, Key, Body: small }));
    const { Errors } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    equal(Errors ?? [], []);
    const left = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: `${target.prefix}gone/` }));
    equal(left.Contents ?? [], []);
  },
};

for (const [step, work] of Object.entries(steps)) {
  const began = Date.now() / 1000;
  let outcome = "ok";
  let error = "";
  try {
    await work();
  } catch (failure) {
    outcome = "error";
    error = `${failure.name}: ${failure.message}`;
  }
  console.log(`\n${JSON.stringify({ step, outcome, error, began, ended: Date.now() / 1000 })}`);
}
process.exit(0);
