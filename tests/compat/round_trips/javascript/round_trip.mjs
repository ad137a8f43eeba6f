// One step of the JavaScript SDK's round trip (its name is the argument); prints what it saw as a line of JSON.

import { createHash } from "node:crypto";
import { createReadStream, promises as fs } from "node:fs";
import path from "node:path";
import { PassThrough } from "node:stream";
import {
    CopyObjectCommand, CreateBucketCommand, DeleteBucketCommand, DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand,
    GetObjectTaggingCommand, HeadObjectCommand, ListBucketsCommand, ListObjectVersionsCommand, PutBucketVersioningCommand,
    PutObjectCommand, S3Client, paginateListObjectsV2, waitUntilBucketExists,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const env = process.env;
const Bucket = env.TRIP_BUCKET;
const s3 = new S3Client({
    endpoint: env.TRIP_ENDPOINT, region: "us-east-1", forcePathStyle: true, maxAttempts: 1,
    credentials: { accessKeyId: env.TRIP_ACCESS, secretAccessKey: env.TRIP_SECRET },
});

const put = (Key, Body, more) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = (Key, more) => s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
const nameOf = (promise) => promise.then(() => "no error", (error) => error.name);

async function files(folder, below = "") {
    const found = [];
    for (const entry of await fs.readdir(path.join(folder, below), { withFileTypes: true })) {
        const name = below ? `${below}/${entry.name}` : entry.name;
        found.push(...(entry.isDirectory() ? await files(folder, name) : [name]));
    }
    return found;
}

async function all(how) {
    const keys = [], prefixes = [];
    for await (const page of paginateListObjectsV2({ client: s3 }, how)) {
        keys.push(...(page.Contents ?? []).map((each) => each.Key));
        prefixes.push(...(page.CommonPrefixes ?? []).map((each) => each.Prefix));
    }
    return { keys, prefixes };
}

const steps = {
    async make() {
        await s3.send(new CreateBucketCommand({ Bucket }));
        await waitUntilBucketExists({ client: s3, maxWaitTime: 20 }, { Bucket });
        return { buckets: (await s3.send(new ListBucketsCommand({}))).Buckets.map((each) => each.Name) };
    },

    async large() {
        const up = (Key, Body) => new Upload({ client: s3, params: { Bucket, Key, Body }, partSize: 8 << 20 }).done();
        await up("large.bin", createReadStream(env.TRIP_LARGE));
        await up("streamed", createReadStream(env.TRIP_LARGE).pipe(new PassThrough()));
        const hash = createHash("sha256");
        for await (const piece of (await get("large.bin")).Body) hash.update(piece);
        return { sum: hash.digest("hex") };
    },

    async tree() {
        for (const name of await files(env.TRIP_TREE)) {
            await put(`t/${name}`, await fs.readFile(path.join(env.TRIP_TREE, name)));
            const target = path.join(env.TRIP_DOWN, name);
            await fs.mkdir(path.dirname(target), { recursive: true });
            await fs.writeFile(target, await (await get(`t/${name}`)).Body.transformToByteArray());
        }
        return {};
    },

    async lists() {
        const { keys } = await all({ Bucket, Prefix: "t/" });
        const { prefixes } = await all({ Bucket, Prefix: "t/", Delimiter: "/" });
        const many = (await all({ Bucket: env.TRIP_MANY, MaxKeys: 100 })).keys.length;
        return { keys, prefixes, many };
    },

    async stat() {
        const Key = "m";
        await put(Key, "0123456789", {
            Metadata: { colour: "blue" }, ContentType: "text/x-test", Tagging: "a=b%20c", ChecksumAlgorithm: "SHA256",
        });
        const head = await s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
        const range = await (await get(Key, { Range: "bytes=2-5" })).Body.transformToString();
        const tags = (await s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
        return { metadata: head.Metadata, type: head.ContentType, sha256: head.ChecksumSHA256, range, tags };
    },

    async copies() {
        const CopySource = encodeURIComponent(`${Bucket}/t/plus+sign`);
        await s3.send(new CopyObjectCommand({ Bucket, Key: "copied +%41", CopySource }));
        const link = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "sent" }), { expiresIn: 60 });
        const sent = await fetch(link, { method: "PUT", body: "by a link" });
        return { get: await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "t/plus+sign" })), put: sent.status };
    },

    async versions() {
        const at = { Bucket: `${Bucket}-v` }, Key = "v";
        await s3.send(new CreateBucketCommand(at));
        await s3.send(new PutBucketVersioningCommand({ ...at, VersioningConfiguration: { Status: "Enabled" } }));
        const first = await s3.send(new PutObjectCommand({ ...at, Key, Body: "first" }));
        await s3.send(new PutObjectCommand({ ...at, Key, Body: "second" }));
        await s3.send(new DeleteObjectCommand({ ...at, Key }));
        const CopySource = `${at.Bucket}/${Key}?versionId=${first.VersionId}`;
        await s3.send(new CopyObjectCommand({ ...at, Key, CopySource }));
        const restored = await (await s3.send(new GetObjectCommand({ ...at, Key }))).Body.transformToString();
        const { Versions, DeleteMarkers } = await s3.send(new ListObjectVersionsCommand(at));
        const Objects = [...Versions, ...DeleteMarkers].map((each) => ({ Key: each.Key, VersionId: each.VersionId }));
        await s3.send(new DeleteObjectsCommand({ ...at, Delete: { Objects } }));
        await s3.send(new DeleteBucketCommand(at));
        return { versions: Versions.length, markers: DeleteMarkers.length, restored };
    },

    async refusals() {
        const none = await nameOf(get("none"));
        const head = await nameOf(s3.send(new HeadObjectCommand({ Bucket, Key: "none" })));
        return { none, head, second: await nameOf(put("m", "again", { IfNoneMatch: "*" })) };
    },

    async denied() {
        return { denied: await nameOf(s3.send(new ListBucketsCommand({}))) };
    },

    async delete() {
        const { keys } = await all({ Bucket });
        await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }));
        await s3.send(new DeleteBucketCommand({ Bucket }));
        return {};
    },
};

console.log(JSON.stringify(await steps[process.argv[2]]()));
