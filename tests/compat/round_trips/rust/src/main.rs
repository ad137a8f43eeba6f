//! One step of the Rust SDK's round trip (its name is the argument); prints what it saw as a line of JSON.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketVersioningStatus, ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier, Tag,
    Tagging, VersioningConfiguration,
};
use sha2::{Digest, Sha256};

type Said = Result<String, Box<dyn Error>>;

const PART: usize = 8 << 20;

struct Trip {
    s3: Client,
    bucket: String,
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// A string of JSON. What is shown has no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An array of strings.
fn array<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", texts.into_iter().map(quoted).collect::<Vec<_>>().join(","))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

impl Trip {
    async fn put(&self, key: &str, data: Vec<u8>) -> Result<(), Box<dyn Error>> {
        self.s3.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(data)).send().await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let answer = self.s3.get_object().bucket(&self.bucket).key(key).send().await?;
        Ok(answer.body.collect().await?.to_vec())
    }

    /// All keys and prefixes.
    async fn all(
        &self,
        bucket: &str,
        prefix: &str,
        delimiter: Option<&str>,
    ) -> Result<[Vec<String>; 2], Box<dyn Error>> {
        let request = self.s3.list_objects_v2().bucket(bucket).prefix(prefix).max_keys(100);
        let mut pages = request.set_delimiter(delimiter.map(str::to_owned)).into_paginator().send();
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await {
            let page = page?;
            keys.extend(page.contents().iter().filter_map(|each| each.key()).map(str::to_owned));
            prefixes.extend(page.common_prefixes().iter().filter_map(|each| each.prefix()).map(str::to_owned));
        }
        Ok([keys, prefixes])
    }

    async fn make(&self) -> Said {
        self.s3.create_bucket().bucket(&self.bucket).send().await?;
        let answer = self.s3.list_buckets().send().await?;
        Ok(format!("{{\"buckets\":{}}}", array(answer.buckets().iter().filter_map(|each| each.name()))))
    }

    async fn large(&self) -> Said {
        let data = fs::read(variable("TRIP_LARGE"))?;
        let begun = self.s3.create_multipart_upload().bucket(&self.bucket).key("large.bin").send().await?;
        let upload = begun.upload_id().unwrap_or_default();
        let mut parts = CompletedMultipartUpload::builder();
        for (number, piece) in (1..).zip(data.chunks(PART)) {
            let request =
                self.s3.upload_part().bucket(&self.bucket).key("large.bin").upload_id(upload).part_number(number);
            let answer = request.body(ByteStream::from(piece.to_vec())).send().await?;
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32);
            parts = parts.parts(part.build());
        }
        let request = self.s3.complete_multipart_upload().bucket(&self.bucket).key("large.bin").upload_id(upload);
        request.multipart_upload(parts.build()).send().await?;
        let file = ByteStream::from_path(variable("TRIP_LARGE")).await?;
        self.s3.put_object().bucket(&self.bucket).key("streamed").body(file).send().await?;
        let mut sums = [Sha256::new(), Sha256::new()];
        for (sum, key) in sums.iter_mut().zip(["large.bin", "streamed"]) {
            let mut body = self.s3.get_object().bucket(&self.bucket).key(key).send().await?.body;
            while let Some(piece) = body.try_next().await? {
                sum.update(&piece);
            }
        }
        let sums = sums.map(|sum| sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        Ok(format!("{{\"sums\":{}}}", array(sums.iter().map(String::as_str))))
    }

    async fn tree(&self) -> Said {
        let (tree, down) = (PathBuf::from(variable("TRIP_TREE")), PathBuf::from(variable("TRIP_DOWN")));
        let mut found = Vec::new();
        files(&tree, &mut found)?;
        for path in found {
            let name = path.strip_prefix(&tree)?.to_str().ok_or("a name is not UTF-8")?;
            self.put(&format!("t/{name}"), fs::read(&path)?).await?;
            let target = down.join(name);
            fs::create_dir_all(target.parent().ok_or("no folder")?)?;
            fs::write(target, self.get(&format!("t/{name}")).await?)?;
        }
        Ok("{}".to_owned())
    }

    async fn lists(&self) -> Said {
        let [keys, _] = self.all(&self.bucket, "t/", None).await?;
        let [_, prefixes] = self.all(&self.bucket, "t/", Some("/")).await?;
        let [many, _] = self.all(&variable("TRIP_MANY"), "", None).await?;
        let [keys, prefixes] = [keys, prefixes].map(|each| array(each.iter().map(String::as_str)));
        Ok(format!("{{\"keys\":{keys},\"prefixes\":{prefixes},\"many\":{}}}", many.len()))
    }

    async fn stat(&self) -> Said {
        let put = self.s3.put_object().bucket(&self.bucket).key("m").body(ByteStream::from_static(b"0123456789"));
        let put =
            put.metadata("colour", "blue").content_type("text/x-test").checksum_algorithm(ChecksumAlgorithm::Sha256);
        let sum = put.send().await?.checksum_sha256.unwrap_or_default();
        let tag = Tag::builder().key("a").value("b c").build()?;
        let tags = Tagging::builder().tag_set(tag).build()?;
        self.s3.put_object_tagging().bucket(&self.bucket).key("m").tagging(tags).send().await?;
        let head = self.s3.head_object().bucket(&self.bucket).key("m").send().await?;
        let colour = head.metadata().and_then(|all| all.get("colour")).cloned().unwrap_or_default();
        let part = self.s3.get_object().bucket(&self.bucket).key("m").range("bytes=2-5").send().await?;
        let range = String::from_utf8(part.body.collect().await?.to_vec())?;
        let tags = self.s3.get_object_tagging().bucket(&self.bucket).key("m").send().await?;
        let tag = tags.tag_set().first().map(|tag| format!("{}={}", tag.key(), tag.value())).unwrap_or_default();
        let kind = head.content_type().unwrap_or_default();
        Ok(format!("{{\"seen\":{}}}", array([colour.as_str(), kind, range.as_str(), tag.as_str(), sum.as_str()])))
    }

    async fn copies(&self) -> Said {
        let source = format!("{}/t/plus%2Bsign", self.bucket);
        self.s3.copy_object().bucket(&self.bucket).key("copied +%41").copy_source(source).send().await?;
        let how = PresigningConfig::expires_in(Duration::from_secs(60))?;
        let get = self.s3.get_object().bucket(&self.bucket).key("t/plus+sign").presigned(how.clone()).await?;
        let put = self.s3.put_object().bucket(&self.bucket).key("sent").presigned(how).await?;
        Ok(format!("{{\"get\":{},\"put\":{}}}", quoted(get.uri()), quoted(put.uri())))
    }

    async fn versions(&self) -> Said {
        let bucket = format!("{}-v", self.bucket);
        self.s3.create_bucket().bucket(&bucket).send().await?;
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        self.s3.put_bucket_versioning().bucket(&bucket).versioning_configuration(enabled).send().await?;
        let mut first = None;
        for text in ["first", "second"] {
            let body = ByteStream::from(text.as_bytes().to_vec());
            let answer = self.s3.put_object().bucket(&bucket).key("v").body(body).send().await?;
            first = first.or(answer.version_id);
        }
        self.s3.delete_object().bucket(&bucket).key("v").send().await?;
        let source = format!("{bucket}/v?versionId={}", first.unwrap_or_default());
        self.s3.copy_object().bucket(&bucket).key("v").copy_source(source).send().await?;
        let body = self.s3.get_object().bucket(&bucket).key("v").send().await?.body.collect().await?;
        let restored = String::from_utf8(body.to_vec())?;
        let listed = self.s3.list_object_versions().bucket(&bucket).send().await?;
        let (versions, markers) = (listed.versions(), listed.delete_markers());
        let ids = versions.iter().map(|each| each.version_id()).chain(markers.iter().map(|each| each.version_id()));
        let mut delete = Delete::builder();
        for id in ids {
            delete =
                delete.objects(ObjectIdentifier::builder().key("v").set_version_id(id.map(str::to_owned)).build()?);
        }
        self.s3.delete_objects().bucket(&bucket).delete(delete.build()?).send().await?;
        self.s3.delete_bucket().bucket(&bucket).send().await?;
        let counts = format!("\"versions\":{},\"markers\":{}", versions.len(), markers.len());
        Ok(format!("{{{counts},\"restored\":{}}}", quoted(&restored)))
    }

    async fn refusals(&self) -> Said {
        let none = self.s3.get_object().bucket(&self.bucket).key("none").send().await.err();
        let none = none.is_some_and(|error| error.as_service_error().is_some_and(|error| error.is_no_such_key()));
        let head = self.s3.head_object().bucket(&self.bucket).key("none").send().await.err();
        let head = head.is_some_and(|error| error.as_service_error().is_some_and(|error| error.is_not_found()));
        let again = self.s3.put_object().bucket(&self.bucket).key("m").if_none_match("*").send().await.err();
        let again = again.as_ref().and_then(ProvideErrorMetadata::code).unwrap_or("no error");
        Ok(format!("{{\"none\":{none},\"head\":{head},\"second\":{}}}", quoted(again)))
    }

    async fn denied(&self) -> Said {
        let refused = self.s3.list_buckets().send().await.err();
        let code = refused.as_ref().and_then(ProvideErrorMetadata::code).unwrap_or("no error");
        Ok(format!("{{\"denied\":{}}}", quoted(code)))
    }

    async fn delete(&self) -> Said {
        let [keys, _] = self.all(&self.bucket, "", None).await?;
        let mut delete = Delete::builder();
        for key in keys {
            delete = delete.objects(ObjectIdentifier::builder().key(key).build()?);
        }
        self.s3.delete_objects().bucket(&self.bucket).delete(delete.build()?).send().await?;
        self.s3.delete_bucket().bucket(&self.bucket).send().await?;
        Ok("{}".to_owned())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let step = env::args().nth(1).unwrap_or_default();
    let keys = Credentials::new(variable("TRIP_ACCESS"), variable("TRIP_SECRET"), None, None, "round trip");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(variable("TRIP_ENDPOINT"))
        .region(Region::new("us-east-1"))
        .credentials_provider(keys)
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .build();
    let trip = Trip { s3: Client::from_conf(config), bucket: variable("TRIP_BUCKET") };
    let said = match step.as_str() {
        "make" => trip.make().await,
        "large" => trip.large().await,
        "tree" => trip.tree().await,
        "lists" => trip.lists().await,
        "stat" => trip.stat().await,
        "copies" => trip.copies().await,
        "versions" => trip.versions().await,
        "refusals" => trip.refusals().await,
        "denied" => trip.denied().await,
        "delete" => trip.delete().await,
        _ => Err(format!("there is no step {step:?}").into()),
    };
    println!("{}", said?);
    Ok(())
}
