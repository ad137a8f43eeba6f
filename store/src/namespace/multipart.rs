//! Multipart uploads: parts are stored content held by their own rows; Complete names their concatenation.

use md5::{Digest, Md5};

use super::Namespace;
use super::engine::Engine;
use super::list::{is_rolled_up, roll_up};
use super::notices::Event;
use super::object::{NewObject, object_info};
use super::s3_types::{
    CompletePart, CompleteRequest, CreateUpload, ObjectInfo, PartSummary, PutMeta, UploadInfo, UploadPage,
};
use super::sealing::{content_of, customer_etag};
use super::txn::{Rows, Txn};
use crate::chunk::Stored;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::record::Op;
use crate::meta::rows::{Checksum, Content, PartInfo, PartRow, RowValue, UploadRow};
use crate::meta::schema;
use crate::meta::seal::UploadSeal;
use crate::types::{Caller, ETag, Id, MAX_OBJECT_SIZE};
use crate::unixfs::Profile;

/// The largest part number.
pub const MAX_PARTS: u32 = 10_000;
/// The smallest size of a part that is not the last, in bytes.
pub const MIN_PART_SIZE: u64 = 5 << 20;

pub(super) fn no_such_upload(upload: Id) -> Error {
    Error::new(ErrorKind::NoSuchUpload, "the multipart upload does not exist").with("upload", upload)
}

fn upload_info(key: &[u8], id: Id, row: UploadRow) -> UploadInfo {
    UploadInfo {
        key: key.to_vec(),
        id,
        created: row.created,
        initiator: row.initiator,
        checksum: row.checksum,
        storage_class: row.headers.storage_class,
        seal: row.seal.map(|seal| seal.key),
    }
}

fn part_summary(number: u32, row: PartRow) -> PartSummary {
    PartSummary {
        number,
        size: row.content.size,
        etag: row.etag,
        last_modified: row.last_modified,
        checksum: row.checksum,
    }
}

impl Txn<'_> {
    fn upload_row(&self, key: &[u8], upload: Id) -> Result<UploadRow> {
        self.row(&schema::upload(self.bucket, key, upload))?.ok_or_else(|| no_such_upload(upload))
    }

    pub(super) fn drop_part(&mut self, key: Vec<u8>, part: &PartRow) -> Result<()> {
        self.let_go(&part.content.needs()?, &key);
        self.delete(key);
        Ok(())
    }
}

impl Engine {
    pub(super) fn part_rows(&self, upload: Id, after: u32, max: usize) -> Result<Vec<(Vec<u8>, PartRow)>> {
        let start = schema::part(upload, after.saturating_add(1));
        let end = schema::part(upload, u32::MAX);
        let rows = self.meta.range(&start, &end, max)?;
        rows.into_iter().map(|(key, value)| Ok((key, PartRow::decode(&value)?))).collect()
    }

    fn join_parts(&self, parts: &[Content], profile: Profile, seal: Option<&UploadSeal>) -> Result<Stored> {
        let Some(upload) = seal else {
            let plain: Vec<_> = parts.iter().map(|part| (part.root, part.size)).collect();
            return self.chunks.concat(&plain, profile);
        };
        let sealed = |part: &Content| {
            let seal = part.seal.clone().ok_or_else(|| Error::corrupt("a part of a sealed upload is not sealed"))?;
            Ok((part.root, part.size, seal))
        };
        let sealed = parts.iter().map(sealed).collect::<Result<Vec<_>>>()?;
        self.chunks.concat_sealed(&sealed, profile, &upload.key, &self.upload_manifests(upload)?)
    }

    /// Checks Complete's list against what was uploaded.
    fn chosen_parts(&self, upload: Id, wanted: &[CompletePart]) -> Result<Vec<(u32, PartRow)>> {
        if wanted.is_empty() {
            return Err(Error::new(ErrorKind::InvalidPart, "a multipart upload has at least one part"));
        }
        if wanted.windows(2).any(|pair| pair[1].number <= pair[0].number) {
            return Err(Error::new(ErrorKind::InvalidPartOrder, "the list of parts is not in ascending order"));
        }
        let mut chosen = Vec::with_capacity(wanted.len());
        for (index, part) in wanted.iter().enumerate() {
            let row = self
                .row::<PartRow>(&schema::part(upload, part.number))?
                .filter(|row| row.etag.0 == part.etag)
                .ok_or_else(|| {
                    Error::new(ErrorKind::InvalidPart, "a part was not found, or its ETag does not match")
                        .with("part", part.number)
                })?;
            if let (Some(said), Some(kept)) = (&part.checksum, &row.checksum)
                && *said != kept.value
            {
                return Err(
                    Error::new(ErrorKind::InvalidPart, "a part's checksum does not match").with("part", part.number)
                );
            }
            let last = index + 1 == wanted.len();
            if !last && row.content.size < MIN_PART_SIZE {
                return Err(Error::new(ErrorKind::PartTooSmall, "a part is smaller than the minimum")
                    .with("part", part.number)
                    .with("etag", &row.etag)
                    .with("size", row.content.size)
                    .with("minimum", MIN_PART_SIZE));
            }
            chosen.push((part.number, row));
        }
        Ok(chosen)
    }
}

/// S3's composite ETag: MD5 of the parts' MD5s, a dash, the number of parts.
fn composite_etag(parts: &[(u32, PartRow)]) -> Result<ETag> {
    let mut md5 = Md5::new();
    for (number, part) in parts {
        let digest = hex::decode(&part.etag.0)
            .map_err(|e| Error::corrupt("a part's ETag is not hex").with("part", number).caused_by(e))?;
        md5.update(digest);
    }
    Ok(ETag(format!("{}-{}", hex::encode(md5.finalize()), parts.len())))
}

impl Namespace {
    /// CreateMultipartUpload.
    pub async fn create_upload(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        request: CreateUpload,
    ) -> Result<UploadInfo> {
        super::path::KeyPath::parse_new(key)?;
        let row = self.0.bucket_row(bucket)?;
        // S3 lists the uploads of one key in the order in which they were begun.
        let upload = Id::in_order();
        let seal = request.sealing.as_ref().map(|sealing| self.0.seal_upload(sealing)).transpose()?;
        let created = self.0.commit(caller, row.id, Op::Multipart, |txn| {
            txn.engine.bucket_row(bucket)?;
            let PutMeta { headers, tags, posix, lock, .. } = request.meta;
            let row = UploadRow {
                created: txn.now,
                initiator: caller.principal.clone(),
                headers,
                tags,
                checksum: request.checksum,
                posix,
                profile: row.profile,
                lock,
                seal,
            };
            txn.put(schema::upload(txn.bucket, key, upload), &row)?;
            Ok(upload_info(key, upload, row))
        })?;
        self.0.acknowledged(caller, created).await
    }

    /// An upload in progress; NoSuchUpload if key and id do not name one.
    pub fn upload(&self, bucket: &str, key: &[u8], upload: Id) -> Result<UploadInfo> {
        let id = self.0.bucket_row(bucket)?.id;
        let row = self.0.row::<UploadRow>(&schema::upload(id, key, upload))?;
        row.map(|row| upload_info(key, upload, row)).ok_or_else(|| no_such_upload(upload))
    }

    /// UploadPart: names stored content as part `number` (1 to 10,000). A part that comes again replaces the first.
    #[allow(clippy::too_many_arguments)] // S3's own list of what a part is
    pub async fn put_part(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        upload: Id,
        number: u32,
        mut content: Stored,
        checksum: Option<Checksum>,
    ) -> Result<PartSummary> {
        if !(1..=MAX_PARTS).contains(&number) {
            return Err(
                Error::new(ErrorKind::InvalidArgument, "a part's number is from 1 to 10,000").with("part", number)
            );
        }
        let md5 = content.md5.ok_or_else(|| Error::new(ErrorKind::Internal, "a part was stored without its MD5"))?;
        let profile = self.0.bucket_row(bucket)?.profile;
        let id = self.0.bucket_row(bucket)?.id;
        let inline = content.inline.take();
        let named = content_of(&content, profile);
        let etag = customer_etag(&named)?.unwrap_or_else(|| ETag(hex::encode(md5)));
        let put = self.0.commit(caller, id, Op::Multipart, |txn| {
            let sealed = txn.upload_row(key, upload)?.seal.map(|seal| seal.key);
            if sealed.as_ref() != named.seal.as_deref().map(|seal| &seal.key) {
                let what = "a part is not sealed as its upload's are";
                return Err(Error::new(ErrorKind::Internal, what).with("upload", upload));
            }
            let part_key = schema::part(upload, number);
            if let Some(old) = txn.row::<PartRow>(&part_key)? {
                txn.drop_part(part_key.clone(), &old)?;
            }
            let row = PartRow { content: named, etag, last_modified: txn.now, checksum };
            txn.carry(inline);
            txn.hold(&row.content.needs()?, &part_key);
            txn.put(part_key, &row)?;
            Ok(part_summary(number, row))
        })?;
        content.committed();
        self.0.acknowledged(caller, put).await
    }

    /// Parts after `after`, at most `max`; the flag says whether there are more.
    pub fn parts(
        &self,
        bucket: &str,
        key: &[u8],
        upload: Id,
        after: u32,
        max: usize,
    ) -> Result<(Vec<PartSummary>, bool)> {
        self.upload(bucket, key, upload)?;
        let rows = self.0.part_rows(upload, after, max.saturating_add(1))?;
        let more = rows.len() > max;
        let parts = rows
            .into_iter()
            .take(max)
            .map(|(row_key, row)| Ok(part_summary(schema::parse_part(&row_key)?, row)))
            .collect::<Result<_>>()?;
        Ok((parts, more))
    }

    /// Uploads after the marker (key, id), at most `max` uploads and prefixes together.
    pub fn uploads(
        &self,
        bucket: &str,
        prefix: &[u8],
        delimiter: &[u8],
        after: Option<(Vec<u8>, Option<Id>)>,
        max: usize,
    ) -> Result<UploadPage> {
        let id = self.0.bucket_row(bucket)?.id;
        let all = schema::upload_prefix(id);
        let end = schema::prefix_end(&all);
        let mut start = [all.as_slice(), prefix].concat();
        match after {
            Some((key, Some(upload))) => {
                start = start.max([schema::upload(id, &key, upload).as_slice(), b"\0"].concat())
            }
            // Without an upload id: everything after that key, or after all that rolled up to it.
            Some((key, None)) => {
                let rolled = is_rolled_up(&key, prefix, delimiter);
                let next = if rolled { schema::prefix_end(&key) } else { [key.as_slice(), b"\x01"].concat() };
                start = start.max([all.as_slice(), &next].concat());
            }
            None => {}
        }
        let mut page = UploadPage::default();
        'pages: loop {
            let rows = self.0.meta.range(&start, &end, 256)?;
            let Some((last, _)) = rows.last() else { return Ok(page) };
            start = [last.as_slice(), b"\0"].concat();
            for (row_key, value) in &rows {
                let (key, upload) = schema::parse_upload(row_key)?;
                if !key.starts_with(prefix) {
                    return Ok(page);
                }
                if page.uploads.len() + page.prefixes.len() == max {
                    page.truncated = true;
                    return Ok(page);
                }
                if let Some(common) = roll_up(key, prefix, delimiter) {
                    start = [all.as_slice(), &schema::prefix_end(common)].concat();
                    page.prefixes.push(common.to_vec());
                    continue 'pages;
                }
                page.uploads.push(upload_info(key, upload, UploadRow::decode(value)?));
            }
        }
    }

    /// CompleteMultipartUpload: the parts become one object under its canonical CID (S18). Parts that end on chunk
    /// bounds are linked without copying.
    pub async fn complete_upload(
        &self,
        caller: &Caller,
        bucket: &str,
        key: &[u8],
        upload: Id,
        request: CompleteRequest,
    ) -> Result<ObjectInfo> {
        let row = self.0.bucket_row(bucket)?;
        let upload_row =
            self.0.row::<UploadRow>(&schema::upload(row.id, key, upload))?.ok_or_else(|| no_such_upload(upload))?;
        let parts = self.0.chosen_parts(upload, &request.parts)?;
        let size: u64 = parts.iter().map(|(_, part)| part.content.size).sum();
        if size > MAX_OBJECT_SIZE {
            return Err(Error::new(ErrorKind::TooLarge, "an object has at most 5 TiB")
                .with("bytes", size)
                .with("maximum", MAX_OBJECT_SIZE));
        }
        if let Some(expected) = request.expected_size
            && expected != size
        {
            return Err(Error::new(ErrorKind::InvalidArgument, "the object's size is not what the request says")
                .with("expected", expected)
                .with("size", size));
        }
        if !request.precondition.is_empty() || self.0.keeping.of(row.id).versions() {
            self.0.publish_for_condition(&row, key)?;
        }
        let contents: Vec<_> = parts.iter().map(|(_, part)| part.content.clone()).collect();
        let (profile, engine, seal) = (upload_row.profile, std::sync::Arc::clone(&self.0), upload_row.seal.clone());
        let mut stored = tokio::task::spawn_blocking(move || engine.join_parts(&contents, profile, seal.as_ref()))
            .await
            .map_err(|e| Error::new(ErrorKind::Internal, "joining parts ended early").caused_by(e))??;
        let inline = stored.inline.take();
        let object = NewObject {
            content: content_of(&stored, profile),
            etag: composite_etag(&parts)?,
            meta: PutMeta {
                headers: upload_row.headers,
                tags: upload_row.tags,
                checksum: request.checksum,
                posix: upload_row.posix,
                lock: upload_row.lock,
            },
            symlink: None,
            parts: parts
                .iter()
                .map(|(number, part)| PartInfo {
                    number: *number,
                    size: part.content.size,
                    checksum: part.checksum.clone(),
                })
                .collect(),
        };
        let completed = self.0.commit(caller, row.id, Op::Put, |txn| {
            // Whoever completes or aborts first wins; a part uploaded again meanwhile is not the one that was checked.
            txn.upload_row(key, upload)?;
            for (number, part) in &parts {
                if txn.row::<PartRow>(&schema::part(upload, *number))?.as_ref() != Some(part) {
                    return Err(Error::new(ErrorKind::InvalidPart, "a part changed while the upload was completed")
                        .with("part", number));
                }
            }
            txn.carry(inline);
            let node = txn.put_object(key, object, &request.precondition)?;
            txn.tell(Event::Complete, key, node.file(), None)?;
            txn.end_upload(key, upload)?;
            Ok(node)
        })?;
        stored.committed();
        let node = self.0.acknowledged(caller, completed).await?;
        object_info(key.to_vec(), &node)
    }

    /// AbortMultipartUpload.
    pub async fn abort_upload(&self, caller: &Caller, bucket: &str, key: &[u8], upload: Id) -> Result<()> {
        let id = self.0.bucket_row(bucket)?.id;
        let aborted = self.0.commit(caller, id, Op::Multipart, |txn| {
            txn.upload_row(key, upload)?;
            txn.end_upload(key, upload)
        })?;
        self.0.acknowledged(caller, aborted).await
    }
}
